//! Walks the chunks of WAV and AIFF files: a name, a size, and that many bytes.

use super::pcm::number;
use super::source::{Source, end_of};
use std::io::{Read, Result, SeekFrom};

/// A chunk's name, position and size.
pub(super) struct Chunk {
    pub(super) name: [u8; 4],
    /// Position of its content in the file.
    pub(super) start: u64,
    /// Bytes of its content, as declared.
    pub(super) size: u64,
}

/// Iterates over the chunks of a file.
pub(super) struct Chunks<'a, S> {
    source: &'a mut S,
    big_endian: bool,
    /// The position of the next chunk.
    position: u64,
    /// The end of the file, if that is known.
    end: Option<u64>,
}

impl<'a, S: Source> Chunks<'a, S> {
    /// Starts at position `start`.
    pub(super) fn new(source: &'a mut S, start: u64, big_endian: bool) -> Result<Self> {
        let end = end_of(source)?;
        Ok(Self { source, big_endian, position: start, end })
    }

    /// Returns the next chunk, even if its content is missing. Returns None where the file has no complete chunk
    /// header.
    pub(super) fn next(&mut self) -> Result<Option<Chunk>> {
        let head = self.at(self.position, 8)?;
        let Some(&[a, b, c, d, ref size @ ..]) = head.first_chunk::<8>() else { return Ok(None) };
        let size = number(size, self.big_endian);
        Ok(Some(Chunk { name: [a, b, c, d], start: self.position + 8, size }))
    }

    /// Returns the first bytes of a chunk's content, at most `most`.
    pub(super) fn bytes(&mut self, chunk: &Chunk, most: u64) -> Result<Vec<u8>> {
        self.at(chunk.start, chunk.size.min(most))
    }

    /// Skips a chunk. Returns false if the chunk runs past the end of the file.
    pub(super) fn pass(&mut self, chunk: &Chunk) -> Result<bool> {
        self.position = chunk.start + chunk.size;
        // A zero pad byte follows a chunk of odd size. Some writers forget it. No chunk name begins with a zero byte,
        // so the byte itself tells.
        if chunk.size % 2 == 1 && self.at(self.position, 1)? == [0] {
            self.position += 1;
        }
        Ok(self.end.is_none_or(|end| chunk.start + chunk.size <= end))
    }

    fn at(&mut self, position: u64, count: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.source.seek(SeekFrom::Start(position))?;
        self.source.by_ref().take(count).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The names of the chunks that usually follow samples.
const KNOWN: [&[u8; 4]; 11] =
    [b"LIST", b"list", b"id3 ", b"ID3 ", b"bext", b"iXML", b"cue ", b"smpl", b"fact", b"PEAK", b"data"];

/// Whether bytes begin like a chunk. Samples look so once in 200 times.
pub(super) fn has_name(bytes: &[u8]) -> bool {
    bytes.first_chunk::<4>().is_some_and(|name| {
        KNOWN.contains(&name) || name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b' ')
    })
}

/// The chunks found after the samples.
pub(super) struct List {
    /// Whether one of them is another sample chunk.
    pub(super) has_data: bool,
    /// Bytes after the last chunk that belong to none.
    pub(super) left: u64,
}

/// Parses the bytes from `start` to `end` as a list of chunks, which may begin with a pad byte. Returns None if they
/// are something else. Tries little-endian and big-endian sizes.
/// Samples can look like a chunk by chance. So the list must begin with a known name, or its chunks must reach exactly
/// to the end.
pub(super) fn is_chunk_list(source: &mut impl Source, start: u64, end: u64) -> Result<Option<List>> {
    for (start, big_endian) in [(start, false), (start + 1, false), (start, true), (start + 1, true)] {
        let mut list = List { has_data: false, left: 0 };
        let mut chunks = Chunks::new(source, start, big_endian)?;
        let mut names = Vec::new();
        while let Some(chunk) = chunks.next()? {
            let fits = chunk.start + chunk.size <= end && chunk.name.iter().all(|byte| matches!(byte, b' '..=b'~'));
            if !fits {
                break;
            }
            list.has_data |= chunk.name == *b"data" || chunk.name == *b"SSND";
            names.push(chunk.name);
            chunks.pass(&chunk)?;
        }
        list.left = end.saturating_sub(chunks.position);
        if names.first().is_some_and(|name| list.left == 0 || KNOWN.contains(&name)) {
            return Ok(Some(list));
        }
    }
    Ok(None)
}
