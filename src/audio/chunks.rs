//! The chunks of WAV, AIFF and their kin: a name, a size, and so many bytes.

use super::pcm::number;
use super::source::Source;
use std::io::{Read, Result, SeekFrom};

/// Where a chunk lies.
pub(super) struct Chunk {
    pub(super) name: [u8; 4],
    /// Where in the file its content begins.
    pub(super) start: u64,
    /// Bytes of its content, as it says.
    pub(super) size: u64,
}

/// The chunks of a file, one after the other.
pub(super) struct Chunks<'a, S> {
    source: &'a mut S,
    big_endian: bool,
    /// Where the next chunk begins, and where the file ends.
    position: u64,
    end: u64,
}

impl<'a, S: Source> Chunks<'a, S> {
    /// The chunks from `start` on.
    pub(super) fn new(source: &'a mut S, start: u64, big_endian: bool) -> Result<Self> {
        let end = source.seek(SeekFrom::End(0))?;
        Ok(Self { source, big_endian, position: start, end })
    }

    /// The next chunk, whether its content is there or not; None where no chunk's head is.
    pub(super) fn next(&mut self) -> Result<Option<Chunk>> {
        let head = self.at(self.position, 8)?;
        let Some(&[a, b, c, d, ref size @ ..]) = head.first_chunk::<8>() else { return Ok(None) };
        let size = number(size, self.big_endian);
        Ok(Some(Chunk { name: [a, b, c, d], start: self.position + 8, size }))
    }

    /// The first bytes of a chunk, at most `most`.
    pub(super) fn bytes(&mut self, chunk: &Chunk, most: u64) -> Result<Vec<u8>> {
        self.at(chunk.start, chunk.size.min(most))
    }

    /// Goes on behind a chunk; false where it runs past the end of the file.
    pub(super) fn pass(&mut self, chunk: &Chunk) -> Result<bool> {
        self.position = chunk.start + chunk.size;
        // A chunk of odd size is followed by a pad byte of zero. Some writers forget it; no chunk's name begins so.
        if chunk.size % 2 == 1 && self.at(self.position, 1)? == [0] {
            self.position += 1;
        }
        Ok(chunk.start + chunk.size <= self.end)
    }

    fn at(&mut self, position: u64, count: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.source.seek(SeekFrom::Start(position))?;
        self.source.by_ref().take(count).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Chunks behind the samples.
pub(super) struct List {
    /// Whether one of them holds samples too.
    pub(super) has_data: bool,
    /// Bytes behind the last of them that are none.
    pub(super) left: u64,
}

/// The chunks that stand from `start` to `end`, which may begin with a pad byte; None where something else does. They are
/// little-endian or big-endian, as they fit. Samples may look like a chunk: those of a known name, or chunks up to the
/// end, are believed.
pub(super) fn is_chunk_list(source: &mut impl Source, start: u64, end: u64) -> Result<Option<List>> {
    let known = [b"LIST", b"list", b"id3 ", b"ID3 ", b"bext", b"iXML", b"cue ", b"smpl", b"fact", b"PEAK", b"data"];
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
        if names.first().is_some_and(|name| list.left == 0 || known.contains(&name)) {
            return Ok(Some(list));
        }
    }
    Ok(None)
}
