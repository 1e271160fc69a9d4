//! A byte source with lookahead.

use std::io::{Read, Result};

/// Bytes read at a time.
const CHUNK: usize = 1 << 16;

/// Reads a source and lets the caller peek before advancing.
pub(super) struct Window<S> {
    source: S,
    /// `bytes[start..]` was read but not consumed yet.
    bytes: Vec<u8>,
    start: usize,
    /// The window's position in the file.
    position: u64,
    ended: bool,
}

impl<S: Read> Window<S> {
    /// `position` is the position of `source` in its file.
    pub(super) fn new(source: S, position: u64) -> Self {
        Self { source, bytes: Vec::new(), start: 0, position, ended: false }
    }

    /// The window's position in the file.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next `count` bytes, or fewer at the end of the source. Memory grows with the bytes that exist, not with
    /// `count`.
    pub(super) fn peek(&mut self, count: usize) -> Result<&[u8]> {
        if self.bytes.len() - self.start < count && !self.ended {
            self.bytes.drain(..self.start);
            self.start = 0;
            let missing = (count - self.bytes.len()).max(CHUNK);
            self.ended = self.source.by_ref().take(missing as u64).read_to_end(&mut self.bytes)? < missing;
        }
        Ok(&self.bytes[self.start..self.bytes.len().min(self.start.saturating_add(count))])
    }

    /// The bytes of the last peek, at most `count`.
    pub(super) fn seen(&self, count: usize) -> &[u8] {
        &self.bytes[self.start..self.bytes.len().min(self.start.saturating_add(count))]
    }

    /// Consumes `count` bytes, or all that are left.
    pub(super) fn pass(&mut self, mut count: u64) -> Result<()> {
        while count > 0 {
            let now = self.peek(count.min(CHUNK as u64) as usize)?.len();
            if now == 0 {
                break;
            }
            self.start += now;
            self.position += now as u64;
            count -= now as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peeking_does_not_consume_bytes() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
        let mut window = Window::new(&bytes[..], 10);
        assert_eq!(window.peek(3).unwrap(), [0, 1, 2]);
        assert_eq!(window.peek(100_000).unwrap(), &bytes[..100_000]);
        window.pass(99_999).unwrap();
        assert_eq!((window.position(), window.peek(2).unwrap()), (100_009, &bytes[99_999..100_001]));
        assert_eq!(window.peek(usize::MAX).unwrap(), &bytes[99_999..]);
        assert_eq!(window.seen(1), &bytes[99_999..100_000]);
        window.pass(u64::MAX).unwrap();
        assert_eq!((window.position(), window.peek(1).unwrap().len()), (200_010, 0));
    }
}
