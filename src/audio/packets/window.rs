//! A source through a window that can be looked at before it is passed.

use std::io::{Read, Result};

/// Bytes read at a time.
const CHUNK: usize = 1 << 16;

/// The bytes of a source from a certain place on.
pub(super) struct Window<S> {
    source: S,
    /// What was read and not passed yet is `bytes[start..]`.
    bytes: Vec<u8>,
    start: usize,
    /// Where in the file the window stands.
    position: u64,
    ended: bool,
}

impl<S: Read> Window<S> {
    /// `position` is where in its file the source stands.
    pub(super) fn new(source: S, position: u64) -> Self {
        Self { source, bytes: Vec::new(), start: 0, position, ended: false }
    }

    /// Where in the file the window stands.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next `count` bytes; fewer at the end alone. Memory grows with what is there, not with what is asked for.
    pub(super) fn peek(&mut self, count: usize) -> Result<&[u8]> {
        if self.bytes.len() - self.start < count && !self.ended {
            self.bytes.drain(..self.start);
            self.start = 0;
            let missing = (count - self.bytes.len()).max(CHUNK);
            self.ended = self.source.by_ref().take(missing as u64).read_to_end(&mut self.bytes)? < missing;
        }
        Ok(&self.bytes[self.start..self.bytes.len().min(self.start.saturating_add(count))])
    }

    /// What was looked at last, as far as `count` bytes.
    pub(super) fn seen(&self, count: usize) -> &[u8] {
        &self.bytes[self.start..self.bytes.len().min(self.start.saturating_add(count))]
    }

    /// Passes `count` bytes, or all that are left.
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
    fn bytes_are_looked_at_before_they_are_passed() {
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
