//! Bytes that come once: from a pipe, or a socket.

use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom};

/// Bytes that can be read again. They hold all by which the type of a file is told, and a header of usual size.
const KEPT: usize = 1 << 17;

/// A source that goes forward, and back by no more than [`KEPT`] bytes. It does not know its end before it is there.
pub(super) struct Pipe<R> {
    input: R,
    /// The last bytes that were read from the input.
    kept: Vec<u8>,
    /// How many bytes were read from the input.
    end: u64,
    /// The next byte to give.
    position: u64,
}

impl<R: Read> Pipe<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, kept: Vec::new(), end: 0, position: 0 }
    }

    /// Reads what is there of the input, and keeps it.
    fn fill(&mut self, out: &mut [u8]) -> Result<usize> {
        let count = self.input.read(out)?;
        self.kept.extend_from_slice(&out[..count]);
        if self.kept.len() > 2 * KEPT {
            self.kept.drain(..self.kept.len() - KEPT);
        }
        self.end += count as u64;
        Ok(count)
    }

    /// The bytes from a position on that were read and kept; None where they are not kept any more.
    fn kept_from(&self, position: u64) -> Option<&[u8]> {
        let back = usize::try_from(self.end.saturating_sub(position)).ok()?;
        self.kept.get(self.kept.len().checked_sub(back)?..)
    }
}

impl<R: Read> Read for Pipe<R> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        // What was passed over is read now.
        while self.end < self.position {
            let mut passed = [0; 1 << 12];
            let most = usize::try_from(self.position - self.end).map_or(passed.len(), |left| left.min(passed.len()));
            if self.fill(&mut passed[..most])? == 0 {
                return Ok(0);
            }
        }
        let kept = self.kept_from(self.position).unwrap_or_default();
        let again = kept.len().min(out.len());
        let count = if kept.is_empty() {
            self.fill(out)?
        } else {
            out[..again].copy_from_slice(&kept[..again]);
            again
        };
        self.position += count as u64;
        Ok(count)
    }
}

impl<R: Read> Seek for Pipe<R> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(_) => None,
        };
        let position = position.filter(|&position| self.kept_from(position).is_some());
        self.position = position.ok_or_else(|| Error::from(ErrorKind::NotSeekable))?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
    struct Drops(std::io::Cursor<Vec<u8>>);

    impl Read for Drops {
        fn read(&mut self, out: &mut [u8]) -> Result<usize> {
            let most = out.len().min(3000);
            self.0.read(&mut out[..most])
        }
    }

    fn byte(position: u64) -> u8 {
        (position * 7 % 251) as u8
    }

    #[test]
    fn a_pipe_goes_forward_and_back_by_a_little() {
        let mut pipe = Pipe::new(Drops(std::io::Cursor::new((0..1_000_000).map(byte).collect())));
        let mut expect = |to: u64, count: usize| {
            assert_eq!(pipe.seek(SeekFrom::Start(to)).unwrap(), to);
            let mut bytes = vec![0; count];
            pipe.read_exact(&mut bytes).unwrap();
            assert!(bytes.iter().zip(to..).all(|(&found, position)| found == byte(position)), "{to}");
        };
        for (to, count) in [(0, 32), (0, 90_000), (12, 8), (89_999, 100), (400_000, 5), (399_000, 300_000)] {
            expect(to, count);
        }
        assert_eq!(pipe.seek(SeekFrom::Start(100)).unwrap_err().kind(), ErrorKind::NotSeekable);
        assert_eq!(pipe.seek(SeekFrom::End(0)).unwrap_err().kind(), ErrorKind::NotSeekable);
        pipe.seek(SeekFrom::Start(999_990)).unwrap();
        let mut rest = Vec::new();
        pipe.read_to_end(&mut rest).unwrap();
        assert_eq!(rest.len(), 10);
        pipe.seek(SeekFrom::Start(5_000_000)).unwrap();
        assert_eq!(pipe.read(&mut [0; 9]).unwrap(), 0);
    }
}
