//! Skips the tags that players write before, after and between audio frames: ID3, APE, Lyrics3.

use super::source::Source;
use std::io::{Read, Result, SeekFrom};

/// Bytes that identify a tag and its size.
pub(super) const HEAD: usize = 32;
/// Bytes of an ID3v1 tag, and of the "enhanced" tag that may precede it.
const ID3V1: u64 = 128;
const ID3V1_PLUS: u64 = 227;

/// The size of the tag at the start of `head`. None without a tag that states its size.
pub(super) fn leading(head: &[u8]) -> Option<u64> {
    match head {
        [b'I', b'D', b'3', 2..=4, _, flags, a, b, c, d, ..] if [a, b, c, d].iter().all(|&&byte| byte < 0x80) => {
            let size = [a, b, c, d].iter().fold(0, |size, &&byte| size << 7 | u64::from(byte));
            Some(10 + size + if flags & 0x10 != 0 { 10 } else { 0 })
        }
        [b'A', b'P', b'E', b'T', b'A', b'G', b'E', b'X', ..] if head.len() >= HEAD => {
            let (size, flags) = ape_fields(head);
            // The size includes a footer but not the header. A lone footer ends a tag whose body was skipped.
            Some(if flags & 1 << 29 != 0 { 32 + size } else { 32 })
        }
        _ => None,
    }
}

fn ape_fields(head: &[u8]) -> (u64, u32) {
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    (u64::from(number(12)), number(20))
}

/// The position where the tags at the end of a file begin. The file's length if it has none.
pub(super) fn trailing(source: &mut impl Source) -> Result<u64> {
    let mut end = source.seek(SeekFrom::End(0))?;
    while let Some(start) = one_trailing(source, end)? {
        end = start;
    }
    Ok(end)
}

/// The start of the tag that ends at `end`, if there is one.
fn one_trailing(source: &mut impl Source, end: u64) -> Result<Option<u64>> {
    let mut bytes_at = |before: u64, count: usize| -> Result<Vec<u8>> {
        let Some(start) = end.checked_sub(before) else { return Ok(Vec::new()) };
        source.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        source.by_ref().take(count as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    if bytes_at(ID3V1, 3)? == b"TAG" {
        return Ok(end.checked_sub(ID3V1));
    }
    if bytes_at(ID3V1_PLUS, 4)? == b"TAG+" {
        return Ok(end.checked_sub(ID3V1_PLUS));
    }
    let footer = bytes_at(HEAD as u64, HEAD)?;
    if footer.starts_with(b"APETAGEX") {
        let (size, flags) = ape_fields(&footer);
        return Ok(end.checked_sub(size.max(32) + if flags & 1 << 31 != 0 { 32 } else { 0 }));
    }
    if let [.., b'3', b'D', b'I', _, _, _, a, b, c, d] = footer[..] {
        let size = [a, b, c, d].iter().fold(0, |size, &byte| size << 7 | u64::from(byte & 0x7F));
        return Ok(end.checked_sub(20 + size));
    }
    let lyrics = bytes_at(15, 15)?;
    if let Some((digits, b"LYRICS200")) = lyrics.split_last_chunk::<9>() {
        let size = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok());
        return Ok(size.and_then(|size| end.checked_sub(15 + size)));
    }
    if lyrics.ends_with(b"LYRICSEND") {
        // Lyrics3 version 1 states no size. It begins somewhere in the 5,100 bytes before its end.
        let before = bytes_at(5120.min(end), 5120)?;
        let begin = before.windows(11).rposition(|bytes| bytes == b"LYRICSBEGIN");
        return Ok(begin.map(|at| end - before.len() as u64 + at as u64));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn ape(header: bool) -> Vec<u8> {
        let part = |flags: u32| {
            let mut part = b"APETAGEX\xD0\x07\0\0".to_vec();
            part.extend([36, 1, flags].map(u32::to_le_bytes).as_flattened());
            part.extend([0; 8]);
            part
        };
        let footer = part(if header { 1 << 31 } else { 0 });
        let head = if header { part(1 << 31 | 1 << 29) } else { Vec::new() };
        [&head[..], b"item", &footer].concat()
    }

    #[test]
    fn the_size_of_leading_tags_is_known() {
        assert_eq!(leading(b"ID3\x03\0\0\0\0\x02\x01rest"), Some(10 + 257));
        assert_eq!(leading(b"ID3\x04\0\x10\0\0\0\x05rest"), Some(25), "with a footer");
        assert_eq!(leading(b"ID3\x03\0\0\0\0\x80\x01rest"), None);
        assert_eq!(leading(&ape(true)), Some(68));
        assert_eq!(leading(b"RIFF"), None);
    }

    #[test]
    fn trailing_tags_are_separated_from_audio() {
        let id3v1 = [&b"TAG"[..], &[b' '; 125]].concat();
        let lyrics = b"LYRICSBEGIN words LYRICSEND".to_vec();
        let lyrics2 = b"LYRICSBEGININD0000200000017LYRICS200".to_vec();
        let lyrics2 = [&lyrics2[..21], b"000021", b"LYRICS200"].concat();
        let appended = b"ID3\x04\0\x10\0\0\0\x02xy3DI\x04\0\x10\0\0\0\x02".to_vec();
        let tags = [id3v1.clone(), ape(true), ape(false), lyrics, lyrics2, appended, [ape(true), id3v1].concat()];
        for tag in tags {
            let file = [vec![7; 300], tag].concat();
            assert_eq!(trailing(&mut Cursor::new(file.clone())).unwrap(), 300, "{}", file[300..].escape_ascii());
        }
        for file in [vec![7; 300], Vec::new(), b"APETAGEX".to_vec()] {
            assert_eq!(trailing(&mut Cursor::new(file.clone())).unwrap(), file.len() as u64);
        }
    }
}
