//! The samples of a WAV whose end nobody knows before it is there.

use std::io::{Read, Result as Done};
use std::path::Path;

use super::chunks;
use super::pcm::{Layout, Samples};
use super::source::{Blocks, Shape};
use crate::Result;

/// From this size on, the size of the samples in a WAV may stand for an unknown one: sox writes 0x7FFFF000, arecord 0x80000000 and
/// ffmpeg 0xFFFFFFFF.
const OPEN: u64 = 0x7FFF_0000;

/// The bytes of samples, as a header declares them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Declared {
    /// How many there are; missing if the header leaves that open.
    pub(super) bytes: Option<u64>,
    /// Whether another size of the header agrees.
    pub(super) is_confirmed: bool,
}

/// The bytes of samples at the end of a source that can only be read forward.
struct Tail<R> {
    input: R,
    declared: Declared,
    /// The bytes of samples so far.
    taken: u64,
    /// Bytes of samples that were looked at and not given.
    over: Vec<u8>,
    /// Whether more samples than declared were found.
    is_longer: bool,
    has_ended: bool,
    /// Bytes after the end that are no chunks.
    ignored: u64,
}

impl<R: Read> Tail<R> {
    /// Looks at what follows as many bytes as were declared: further samples; or other chunks, or bytes that are nothing if two
    /// sizes agree. These are passed over to the end of the input, so that whoever writes it can go on.
    fn look(&mut self) -> Done<()> {
        let mut next = Vec::new();
        self.input.by_ref().take(9).read_to_end(&mut next)?;
        let is_chunk = chunks::has_name(&next) || (next.first() == Some(&0) && chunks::has_name(&next[1..]));
        let Declared { bytes, is_confirmed } = self.declared;
        let is_sure = is_confirmed && bytes.is_some_and(|bytes| bytes < OPEN);
        if next.len() > 1 && !is_chunk && !is_sure {
            (self.over, self.is_longer) = (next, true);
            return Ok(());
        }
        self.has_ended = true;
        let passed = next.len() as u64 + std::io::copy(&mut self.input, &mut std::io::sink())?;
        self.ignored = if is_chunk { 0 } else { passed };
        Ok(())
    }
}

impl<R: Read> Read for Tail<R> {
    fn read(&mut self, out: &mut [u8]) -> Done<usize> {
        if self.declared.bytes == Some(self.taken) && !self.is_longer && !self.has_ended {
            self.look()?;
        }
        if self.has_ended || out.is_empty() {
            return Ok(0);
        }
        let count = if self.over.is_empty() {
            let left = self.declared.bytes.filter(|_| !self.is_longer).map_or(u64::MAX, |bytes| bytes - self.taken);
            let most = usize::try_from(left).map_or(out.len(), |left| left.min(out.len()));
            self.input.read(&mut out[..most])?
        } else {
            let count = self.over.len().min(out.len());
            out[..count].copy_from_slice(&self.over[..count]);
            self.over.drain(..count);
            count
        };
        self.has_ended = count == 0;
        self.taken += count as u64;
        Ok(count)
    }
}

/// The sample stream of such a source.
struct Stream<R> {
    samples: Samples<Tail<R>>,
    frame: u64,
}

/// Reads samples of this layout from where `input` stands.
pub(super) fn open(
    path: &Path,
    input: impl Read + Send + Sync + 'static,
    layout: Layout,
    declared: Declared,
) -> (Shape, Box<dyn Blocks>) {
    let (shape, frame) = (layout.shape(), layout.frame_bytes());
    let tail = Tail { input, declared, taken: 0, over: Vec::new(), is_longer: false, has_ended: false, ignored: 0 };
    (shape, Box::new(Stream { samples: Samples::new(path, tail, layout, u64::MAX, Vec::new()), frame }))
}

impl<R: Read + Send + Sync> Blocks for Stream<R> {
    fn next(&mut self, block: &mut Vec<Vec<f32>>, warnings: &mut Vec<String>) -> Result<bool> {
        let any = self.samples.next(block, warnings)?;
        if !any {
            warnings.extend(self.odd());
        }
        Ok(any)
    }
}

impl<R: Read> Stream<R> {
    /// What is odd about the end.
    fn odd(&self) -> Option<String> {
        let (&Tail { taken, declared, ignored, .. }, frame) = (self.samples.source(), self.frame);
        let counted = declared.bytes.filter(|&declared| declared < OPEN && taken / frame != declared / frame);
        match counted {
            Some(counted) if taken < counted => {
                Some(format!("cut short: {} of {} frames are there", taken / frame, counted / frame))
            }
            Some(counted) => Some(format!(
                "its header counts {} frames, but {} were found; read all",
                counted / frame,
                taken / frame
            )),
            None if !taken.is_multiple_of(frame) => {
                Some(format!("ends in the middle of a frame; left out its last {} bytes", taken % frame))
            }
            None if ignored >= frame => Some(format!("ignored {ignored} bytes after the samples")),
            None => None,
        }
    }
}
