//! Files to samples, block by block.

use super::kind::{self, Kind};
use super::source::{Blocks, Shape, Source};
use super::{Recording, aiff, caf, first_not_finite, packets, wav, wave64};
use crate::{Error, Result};
use std::fs::File;
use std::path::{Path, PathBuf};

/// A recording being read block by block; memory stays that of a block. What it reads, and what it makes of odd files,
/// is told at [`read`](super::read).
pub struct Reader {
    name: PathBuf,
    shape: Shape,
    blocks: Box<dyn Blocks>,
    warnings: Vec<String>,
    /// Samples of each channel read so far.
    position: u64,
    ended: bool,
}

impl Reader {
    /// Opens a regular file. Others are refused: a pipe has no second pass, and opening one can wait forever.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read; [`Error::Audio`] if it is no regular file, not audio that can be read,
    /// or broken beyond use.
    pub fn open(path: &Path) -> Result<Self> {
        let kind = std::fs::metadata(path).map_err(Error::io(path, "open"))?.file_type();
        if !(kind.is_file() || kind.is_dir()) {
            return Err(Error::audio(path, "is a pipe or a device, not a file; save it to one"));
        }
        // A folder gives the system's own error, here or at the first byte.
        Self::over(path, File::open(path).map_err(Error::io(path, "open"))?)
    }

    /// Reads from `source`, from its start, whatever its position; errors call it `name`.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn over(name: &Path, mut source: impl Source) -> Result<Self> {
        let (kind, start) = kind::of(name, &mut source)?;
        let (shape, blocks) = match kind {
            Kind::Wav => wav::open(name, source, start)?,
            Kind::Wave64 => wave64::open(name, source, start)?,
            Kind::Aiff => aiff::open(name, source, start)?,
            Kind::Caf => caf::open(name, source, start)?,
            Kind::Flac | Kind::Ogg | Kind::Mp3 | Kind::Container => packets::open(name, kind, source, start)?,
        };
        Ok(Self { name: name.into(), shape, blocks, warnings: Vec::new(), position: 0, ended: false })
    }

    /// C.
    pub fn channels(&self) -> usize {
        self.shape.channels
    }

    /// Hz.
    pub fn sample_rate(&self) -> u32 {
        self.shape.sample_rate
    }

    /// Bits of an integer sample as the file says: 8 to 32; 16 for A-law and mu-law, whose steps need them. None for
    /// floats and for what lossy codecs give.
    pub fn bits(&self) -> Option<u32> {
        self.shape.bits
    }

    /// Which loudspeakers the channels are for, as WAV has it (dwChannelMask): bit 0 is front left, 1 front right, 2 front
    /// centre, and so on; channels come in the order of the bits. 0 where the file does not say.
    pub fn channel_mask(&self) -> u32 {
        self.shape.mask
    }

    /// Replaces `block` by the next samples (C, n), 1 <= n <= 65536, however many channels it had. False at the end, and
    /// from then on: `block` is then C empty channels.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read; [`Error::Audio`] if it is broken beyond use from here on, or a sample is
    /// NaN or infinite. There is nothing to read after an error.
    pub fn read(&mut self, block: &mut Vec<Vec<f32>>) -> Result<bool> {
        block.resize_with(self.shape.channels, Vec::new);
        self.ended = self.ended || !self.blocks.next(block, &mut self.warnings)?;
        if self.ended {
            block.iter_mut().for_each(Vec::clear);
            return Ok(false);
        }
        if let Some((channel, index)) = first_not_finite(block) {
            let index = self.position + index as u64;
            let reason = format!("sample {index} of channel {channel} (from 0) is NaN or infinite; repair the file");
            return Err(Error::audio(&self.name, reason));
        }
        self.position += block[0].len() as u64;
        Ok(true)
    }

    /// What was odd about the file but survivable (truncated, sizes wrong), one line each; complete once
    /// [`read`](Self::read) has returned false.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// All samples from here to the end.
    pub(super) fn collect(mut self) -> Result<Recording> {
        let mut channels = vec![Vec::new(); self.channels()];
        let mut block = Vec::new();
        while self.read(&mut block)? {
            for (channel, samples) in channels.iter_mut().zip(&block) {
                channel.extend_from_slice(samples);
            }
        }
        Ok(Recording { channels, sample_rate: self.sample_rate(), warnings: self.warnings })
    }
}
