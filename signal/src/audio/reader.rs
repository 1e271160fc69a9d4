//! Reads audio files block by block.

use super::kind::{self, Kind};
use super::pipe::Pipe;
use super::source::{Blocks, Shape, Source};
use super::{Recording, aiff, caf, first, packets, wav, wave64};
use crate::{Error, Result};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Full scale is 1. Sums of louder samples, as transforms make them, could exceed what f32 holds.
const LOUDEST: f32 = 1e30;

/// Reads a recording block by block, with the memory of one block. [`read`](super::read) lists the supported types and
/// describes how odd files are handled.
pub struct Reader {
    name: PathBuf,
    shape: Shape,
    blocks: Box<dyn Blocks>,
    warnings: Vec<String>,
    /// Samples per channel read so far.
    position: u64,
    ended: bool,
}

impl Reader {
    /// Opens a regular file. Pipes and devices are refused: a pipe cannot be read twice, and opening one can block
    /// forever.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read. [`Error::Audio`] if it is not a regular file, is not a supported audio
    /// type, or is broken beyond use.
    pub fn open(path: &Path) -> Result<Self> {
        let kind = std::fs::metadata(path).map_err(Error::io(path, "open"))?.file_type();
        if !(kind.is_file() || kind.is_dir()) {
            return Err(Error::audio(path, "is a pipe or a device, not a file; save it to a file"));
        }
        // For a folder, the system reports its own error, here or at the first read.
        Self::over(path, File::open(path).map_err(Error::io(path, "open"))?)
    }

    /// Reads from the start of `source`, whatever its position. Error messages use `name`.
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
        Ok(Self::of(name, shape, blocks))
    }

    /// Reads a WAV that comes once, from a pipe. A block holds what is there, and [`read`](Self::read) waits for one sample at
    /// least. Sizes may be open, as programs write them that cannot go back to their header. Error messages use `name`.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open). [`Error::Audio`] for any other type of file.
    pub fn stream(name: &Path, input: impl Read + Send + Sync + 'static) -> Result<Self> {
        let mut source = Pipe::new(input);
        let (kind, start) = kind::find(name, &mut source)?.unzip();
        let (Some(Kind::Wav), Some(start)) = (kind, start) else {
            let reason = "and only wav is read from a pipe; convert it on the way: ffmpeg -i - -f wav - |";
            let what = kind.map_or("not audio of a known type", Kind::name);
            return Err(Error::audio(name, format!("is {what}, {reason}")));
        };
        let (shape, blocks) = wav::open(name, source, start)?;
        Ok(Self::of(name, shape, blocks))
    }

    fn of(name: &Path, shape: Shape, blocks: Box<dyn Blocks>) -> Self {
        Self { name: name.into(), shape, blocks, warnings: Vec::new(), position: 0, ended: false }
    }

    /// C.
    pub fn channels(&self) -> usize {
        self.shape.channels
    }

    /// Hz.
    pub fn sample_rate(&self) -> u32 {
        self.shape.sample_rate
    }

    /// Bits per integer sample, as declared: 8 to 32. 16 for A-law and mu-law, whose steps need them. None for floats
    /// and lossy codecs.
    pub fn bits(&self) -> Option<u32> {
        self.shape.bits
    }

    /// The loudspeakers of the channels in WAV's format (dwChannelMask): bit 0 is front left, bit 1 front right, bit 2
    /// front centre, and so on. Channels follow the order of the bits. 0 if the file does not say.
    pub fn channel_mask(&self) -> u32 {
        self.shape.mask
    }

    /// Replaces `block` by the next samples (C, n), 1 <= n <= 65536, whatever its channel count was. At the end,
    /// returns false and leaves C empty channels in `block`; later calls do the same.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read. [`Error::Audio`] if it is broken beyond use from here on, or a sample
    /// is NaN, infinite or beyond 1e30. Nothing can be read after an error.
    pub fn read(&mut self, block: &mut Vec<Vec<f32>>) -> Result<bool> {
        block.resize_with(self.shape.channels, Vec::new);
        self.ended = self.ended || !self.blocks.next(block, &mut self.warnings)?;
        if self.ended {
            block.iter_mut().for_each(Vec::clear);
            return Ok(false);
        }
        // NaN is in no range.
        if let Some((channel, index)) = first(block, |sample| !(-LOUDEST..=LOUDEST).contains(&sample)) {
            let (index, sample) = (self.position + index as u64, block[channel][index]);
            let what = if sample.is_finite() {
                format!("{sample:e}, beyond any full scale")
            } else {
                "NaN or infinite".into()
            };
            let reason = format!("sample {index} of channel {channel} (from 0) is {what}; repair the file");
            return Err(Error::audio(&self.name, reason));
        }
        self.position += block[0].len() as u64;
        Ok(true)
    }

    /// Oddities of the file that were survivable (truncated, wrong sizes), one line each. The list is complete once
    /// [`read`](Self::read) has returned false.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Reads all remaining samples.
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
