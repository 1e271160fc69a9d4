//! Parses MPEG audio frame headers, and the encoder tag in the first frame.

use symphonia::core::checksum::Crc16AnsiLe;
use symphonia::core::io::Monitor;

/// Bytes of the longest layer III frame.
pub(super) const MAX_FRAME: usize = 1441;
/// Bytes of a frame header.
const HEADER: usize = 4;
/// Samples that every decoder adds in front, by LAME's figure.
const DECODER_DELAY: u32 = 529;

/// A frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// 1 to 3.
    pub(super) layer: u32,
    /// As coded in the header: 3 is MPEG 1, 2 is MPEG 2, 0 is MPEG 2.5.
    version: u32,
    /// Hz.
    pub(super) sample_rate: u32,
    pub(super) channels: usize,
    /// Bits per second.
    pub(super) bitrate: u32,
    /// Bytes of the frame, including this header.
    pub(super) bytes: usize,
}

impl Header {
    /// Parses the header at the start of `bytes`. Returns None for free bitrate too, because such frames state no size.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let word = u32::from_be_bytes(*bytes.first_chunk::<HEADER>()?);
        let field = |shift: u32, bits: u32| word >> shift & ((1 << bits) - 1);
        let (version, layer, bitrate, rate) = (field(19, 2), 4 - field(17, 2), field(12, 4), field(10, 2));
        if word >> 21 != 0x7FF || version == 1 || layer == 4 || matches!(bitrate, 0 | 15) || rate == 3 {
            return None;
        }
        // The emphasis value 2 is reserved.
        if field(0, 2) == 2 {
            return None;
        }
        let kilobits = match (version == 3, layer) {
            (true, 1) => [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
            (true, 2) => [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
            (true, _) => [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
            (false, 1) => [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
            (false, _) => [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
        };
        let bitrate = 1000 * kilobits[bitrate as usize - 1];
        let sample_rate = [44_100, 48_000, 32_000][rate as usize] >> [2, 0, 1, 0][version as usize];
        let padding = field(9, 1);
        let bytes = match layer {
            1 => 4 * (12 * bitrate / sample_rate + padding),
            3 if version != 3 => 72 * bitrate / sample_rate + padding,
            _ => 144 * bitrate / sample_rate + padding,
        };
        let channels = if field(6, 2) == 3 { 1 } else { 2 };
        Some(Self { layer, version, sample_rate, channels, bitrate, bytes: bytes as usize })
    }

    /// Samples per channel.
    pub(super) fn samples(&self) -> u64 {
        match self.layer {
            1 => 384,
            3 if self.version != 3 => 576,
            _ => 1152,
        }
    }

    /// Whether two frames can belong to one recording.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let key = |header: &Self| (header.layer, header.version, header.sample_rate, header.channels);
        key(self) == key(other)
    }

    /// The end of the side information, where an encoder tag may begin.
    fn side_end(&self) -> usize {
        HEADER
            + match (self.version == 3, self.channels) {
                (true, 1) => 17,
                (true, _) => 32,
                (false, 1) => 9,
                (false, _) => 17,
            }
    }
}

/// Counts the consecutive frames of one format from the start of `bytes`, at most `most`. Also returns whether they
/// reach the last byte. A header alone counts as a frame.
pub(super) fn chain(bytes: &[u8], most: usize) -> (usize, bool) {
    let (mut at, mut count, mut first) = (0, 0, None);
    while count < most {
        let Some(header) = bytes.get(at..).and_then(Header::parse) else { break };
        if !header.is_like(first.get_or_insert(header)) {
            break;
        }
        at += header.bytes;
        count += 1;
    }
    (count, at == bytes.len())
}

/// The tag in a silent frame that describes the stream: Xing/LAME or VBRI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamTag {
    /// The number of frames that follow, if stated.
    pub(super) frames: Option<u32>,
    /// Samples that the encoder added before and after the recording, including the decoder's delay.
    pub(super) delay: u32,
    pub(super) padding: u32,
}

impl StreamTag {
    /// Parses `frame` as a tag. Returns None if it is not one.
    pub(super) fn parse(frame: &[u8], header: &Header) -> Option<Self> {
        let side_end = header.side_end();
        // A frame checksum adds two bytes before the side information. LAME's tag position ignores them.
        let silent = |to: usize| frame.get(HEADER + 2..to).is_some_and(|side| side.iter().all(|&byte| byte == 0));
        let number = |at: usize| Some(u32::from_be_bytes(*frame.get(at..)?.first_chunk()?));
        if matches!(frame.get(side_end..side_end + 4), Some(b"Xing" | b"Info")) && silent(side_end) {
            let flags = number(side_end + 4)?;
            let sizes = [(1, 4), (2, 4), (4, 100), (8, 4)];
            let length: usize = sizes.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, size)| size).sum();
            let frames = if flags & 1 != 0 { number(side_end + 8) } else { None };
            let (delay, padding) = trimmed(frame, side_end + 8 + length).unwrap_or((0, 0));
            return Some(Self { frames, delay, padding });
        }
        let vbri = HEADER + 32;
        if frame.get(vbri..vbri + 6) == Some(b"VBRI\0\x01") && silent(vbri) {
            return Some(Self { frames: number(vbri + 14), delay: 0, padding: 0 });
        }
        None
    }
}

/// The delay and padding in the LAME part of a tag, which begins at `at`. Returns None unless an encoder known to fill
/// them in wrote it and its checksum is right or missing.
fn trimmed(frame: &[u8], at: usize) -> Option<(u32, u32)> {
    let part = frame.get(at..at + 24)?;
    let encoder = &part[..4];
    if ![b"LAME", b"Lavf", b"Lavc"].iter().any(|known| encoder == *known) {
        return None;
    }
    let checked = encoder == b"LAME" || frame[1] & 1 == 0;
    if let (true, Some(&[high, low])) = (checked, frame.get(at + 34..at + 36)) {
        let (stated, mut sum) = (u16::from_be_bytes([high, low]), Crc16AnsiLe::new(0));
        sum.process_buf_bytes(&frame[..at + 34]);
        if stated != 0 && stated != sum.crc() {
            return None;
        }
    }
    let [a, b, c] = [part[21], part[22], part[23]].map(u32::from);
    let (delay, padding) = (a << 4 | b >> 4, (b & 15) << 8 | c);
    Some((delay + DECODER_DELAY, padding.saturating_sub(DECODER_DELAY)))
}

/// The result of [`find`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::audio) enum Found {
    /// Layer III frames, from this byte on.
    Mp3(usize),
    /// Layer I or II frames.
    OtherLayer(u32),
    /// AAC in ADTS.
    Adts,
}

/// Finds the first frames that are followed by others: at the start of `bytes`, or after junk within the first `within`
/// bytes. `bytes` must end with the file or three frames after that.
pub(in crate::audio) fn find(bytes: &[u8], within: usize) -> Option<Found> {
    for at in 0..bytes.len().min(within) {
        if bytes[at] != 0xFF {
            continue;
        }
        let rest = &bytes[at..];
        if adts(rest) {
            return Some(Found::Adts);
        }
        // In noise, two headers in a row occur once per half gigabyte, and three never. At the very start one may be
        // enough.
        let (count, to_the_end) = chain(rest, 3);
        if count == 3 || to_the_end && count + usize::from(at == 0) >= 2 || at == 0 && count == 2 {
            let layer = Header::parse(rest)?.layer;
            return Some(if layer == 3 { Found::Mp3(at) } else { Found::OtherLayer(layer) });
        }
    }
    None
}

/// Whether `bytes` begins with three ADTS frames, or with two that end the file.
fn adts(bytes: &[u8]) -> bool {
    let (mut at, mut count) = (0, 0);
    while count < 3 {
        let Some(&[0xFF, second, _, fourth, fifth, sixth]) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else {
            break;
        };
        let length = usize::from(fourth & 3) << 11 | usize::from(fifth) << 3 | usize::from(sixth) >> 5;
        if second & 0xF6 != 0xF0 || length < 7 {
            break;
        }
        at += length;
        count += 1;
    }
    count == 3 || count == 2 && at >= bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A silent frame of MPEG 1, layer III, 128 kb/s, 44.1 kHz, stereo, without padding.
    fn frame() -> Vec<u8> {
        [&[0xFF, 0xFB, 0x90, 0x00][..], &[0; 413]].concat()
    }

    #[test]
    fn a_header_gives_size_rate_and_channels() {
        let found = |word: [u8; 4]| {
            let header = Header::parse(&word)?;
            Some((header.layer, header.sample_rate, header.channels, header.bytes, header.samples()))
        };
        assert_eq!(found([0xFF, 0xFB, 0x90, 0x00]), Some((3, 44_100, 2, 417, 1152)));
        assert_eq!(found([0xFF, 0xFB, 0x92, 0x00]), Some((3, 44_100, 2, 418, 1152)));
        assert_eq!(found([0xFF, 0xF3, 0x40, 0xC0]), Some((3, 22_050, 1, 104, 576)));
        assert_eq!(found([0xFF, 0xE3, 0x18, 0xC0]), Some((3, 8000, 1, 72, 576)));
        assert_eq!(found([0xFF, 0xFD, 0xA4, 0x00]), Some((2, 48_000, 2, 576, 1152)));
        assert_eq!(found([0xFF, 0xFB, 0xE8, 0x00]).unwrap().3, MAX_FRAME - 1, "the longest, without padding");
        // Free bitrate, invalid bitrate, reserved rate, reserved layer, reserved version, reserved emphasis.
        for word in [[0xFF, 0xFB, 0x00, 0x00], [0xFF, 0xFB, 0xF0, 0x00], [0xFF, 0xFB, 0x9C, 0x00]] {
            assert_eq!(found(word), None);
        }
        for word in [[0xFF, 0xF9, 0x90, 0x00], [0xFF, 0xEB, 0x90, 0x00], [0xFF, 0xFB, 0x90, 0x02]] {
            assert_eq!(found(word), None);
        }
    }

    #[test]
    fn frames_are_found_after_junk_but_not_in_noise() {
        let frames = frame().repeat(3);
        for junk in [&[][..], &[0; 4096], b"HTTP/1.1 200 OK\r\n\r\n", &[0xFF; 100]] {
            assert_eq!(find(&[junk, &frames].concat(), 1 << 16), Some(Found::Mp3(junk.len())));
        }
        assert_eq!(find(&frame(), 1), Some(Found::Mp3(0)), "a single frame that fills the file");
        assert_eq!(find(&[&b"junk"[..], &frame()].concat(), 1 << 16), None, "one frame behind junk may be chance");
        let mut state = 1_u64;
        let noise = (0..1 << 20).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        });
        assert_eq!(find(&noise.collect::<Vec<_>>(), usize::MAX), None);
        let adts = [0xFF, 0xF1, 0x50, 0x80, 0x01, 0x1F, 0xFC, 0x00];
        assert_eq!(find(&adts.repeat(3), 1), Some(Found::Adts));
        let second_layer = [&[0xFF, 0xFD, 0xA4, 0x00][..], &[0; 572]].concat();
        assert_eq!(find(&second_layer.repeat(3), 1), Some(Found::OtherLayer(2)));
    }

    #[test]
    fn a_tag_gives_frame_count_delay_and_padding() {
        let header = Header::parse(&frame()).unwrap();
        let mut tag = frame();
        assert_eq!(StreamTag::parse(&tag, &header), None);
        tag[36..40].copy_from_slice(b"Info");
        tag[43] = 1;
        tag[44..48].copy_from_slice(&78_u32.to_be_bytes());
        let bare = StreamTag { frames: Some(78), delay: 0, padding: 0 };
        assert_eq!(StreamTag::parse(&tag, &header), Some(bare));
        tag[48..52].copy_from_slice(b"LAME");
        tag[69..72].copy_from_slice(&[0x24, 0x04, 0x38]);
        let whole = StreamTag { delay: 576 + 529, padding: 1080 - 529, ..bare };
        assert_eq!(StreamTag::parse(&tag, &header), Some(whole), "without a checksum");
        let mut sum = Crc16AnsiLe::new(0);
        sum.process_buf_bytes(&tag[..82]);
        tag[82..84].copy_from_slice(&sum.crc().to_be_bytes());
        assert_eq!(StreamTag::parse(&tag, &header), Some(whole));
        tag[83] ^= 1;
        assert_eq!(StreamTag::parse(&tag, &header), Some(bare), "fields under a wrong checksum are ignored");
        tag[20] = 1;
        assert_eq!(StreamTag::parse(&tag, &header), None, "a frame with sound is no tag");
        let mut vbri = frame();
        vbri[36..42].copy_from_slice(b"VBRI\0\x01");
        vbri[50..54].copy_from_slice(&9_u32.to_be_bytes());
        assert_eq!(StreamTag::parse(&vbri, &header), Some(StreamTag { frames: Some(9), delay: 0, padding: 0 }));
    }
}
