//! Writes FLAC files with flacenc.

use super::packets::{MASK_COMMENT, MASKS};
use crate::{Error, Result};
use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr, Stream};
use flacenc::config::Encoder;
use flacenc::error::{Verified, Verify};
use flacenc::source::{Context, Fill, FrameBuf};
use std::fmt::Display;
use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::Path;

/// Samples per channel in a FLAC frame.
const BLOCK: usize = 4096;
/// The highest sample rate in Hz that flacenc accepts. FLAC's header has room for more.
const MAX_SAMPLE_RATE: usize = 96_000;
/// A rate that has no code in a frame header. Frames then refer to the rate in the file header.
const UNNAMED_RATE: usize = 95_999;
/// Byte offsets in the header: the block type, the frame sizes, the sample rate.
const INFO_KIND: usize = 4;
const INFO_SIZES: usize = 12;
const INFO_RATE: usize = 18;

/// Writes a FLAC file frame by frame. The header goes out first without the length and checksum, and is rewritten with
/// them at the end.
pub(super) struct FlacWriter {
    file: BufWriter<File>,
    config: Verified<Encoder>,
    header: Stream,
    /// Hz.
    sample_rate: u32,
    /// Channel mask in WAV's format; 0 for the default layout.
    mask: u32,
    context: Context,
    frame: FrameBuf,
    sample_bytes: usize,
    /// Bytes of the smallest and the largest frame so far.
    sizes: Option<(u32, u32)>,
    /// Samples of a frame that is not full yet.
    pending: Vec<u8>,
}

impl FlacWriter {
    /// Writes integers of `sample_bytes` bytes (2 or 3).
    pub(super) fn create(
        path: &Path,
        sample_bytes: usize,
        channels: usize,
        sample_rate: u32,
        mask: u32,
    ) -> Result<Self> {
        let bits = 8 * sample_bytes;
        // flacenc chooses fixed predictors by an estimate of their size. For loud 24-bit samples the estimate is far
        // too low: an hour of noise over a sine grew to 3 GB. The size of the linear predictor is counted exactly, and
        // flacenc stores plain samples where prediction does not pay.
        let mut config = Encoder::default();
        config.subframe_coding.use_fixed = false;
        let config = config.into_verified().map_err(|(_, error)| refuse(path, &error))?;
        let frame = FrameBuf::with_size(channels, BLOCK).map_err(|error| refuse(path, &error))?;
        let named = Some(sample_rate as usize).filter(|&rate| rate <= MAX_SAMPLE_RATE).unwrap_or(UNNAMED_RATE);
        let mut header = Stream::new(named, channels, bits).map_err(|error| refuse(path, &error))?;
        header.stream_info_mut().set_block_sizes(BLOCK, BLOCK).map_err(|error| refuse(path, &error))?;
        let context = Context::new(bits, channels);
        let file = BufWriter::new(File::create(path).map_err(Error::io(path, "create"))?);
        let mask = if MASKS.get(channels - 1) == Some(&mask) { 0 } else { mask };
        let pending = Vec::new();
        let mut flac =
            Self { file, config, header, sample_rate, mask, context, frame, sample_bytes, sizes: None, pending };
        flac.write_header(path)?;
        Ok(flac)
    }

    /// Appends interleaved little-endian samples.
    pub(super) fn write(&mut self, path: &Path, mut samples: &[u8]) -> Result<()> {
        let full = BLOCK * self.frame.channels() * self.sample_bytes;
        while !samples.is_empty() {
            let (now, later) = samples.split_at(samples.len().min(full - self.pending.len()));
            self.pending.extend_from_slice(now);
            samples = later;
            if self.pending.len() == full {
                self.write_frame(path)?;
            }
        }
        Ok(())
    }

    fn write_frame(&mut self, path: &Path) -> Result<()> {
        let number = self.context.current_frame_number().map_or(0, |last| last + 1);
        let mut bytes = ByteSink::new();
        (&mut self.frame, &mut self.context)
            .fill_le_bytes(&self.pending, self.sample_bytes)
            .map_err(|error| refuse(path, &error))?;
        let info = self.header.stream_info();
        flacenc::encode_fixed_size_frame(&self.config, &self.frame, number, info)
            .map_err(|error| refuse(path, &error))?
            .write(&mut bytes)
            .map_err(|error| refuse(path, &error))?;
        self.pending.clear();
        let size = bytes.as_slice().len() as u32;
        self.sizes = Some(self.sizes.map_or((size, size), |(least, most)| (least.min(size), most.max(size))));
        self.file.write_all(bytes.as_slice()).map_err(Error::io(path, "write"))
    }

    pub(super) fn finish(mut self, path: &Path) -> Result<()> {
        if !self.pending.is_empty() {
            self.write_frame(path)?;
        }
        self.header.stream_info_mut().set_total_samples(self.context.total_samples());
        self.header.stream_info_mut().set_md5_digest(&self.context.md5_digest());
        self.file.rewind().map_err(Error::io(path, "write"))?;
        self.write_header(path)?;
        self.file.flush().map_err(Error::io(path, "write"))
    }

    fn write_header(&mut self, path: &Path) -> Result<()> {
        let mut bytes = ByteSink::new();
        self.header.write(&mut bytes).map_err(|error| refuse(path, &error))?;
        let mut bytes = bytes.as_slice().to_vec();
        // 24 bits each; 0 means unknown.
        let (least, most) = self.sizes.unwrap_or((0, 0));
        bytes[INFO_SIZES..INFO_SIZES + 3].copy_from_slice(&least.to_be_bytes()[1..]);
        bytes[INFO_SIZES + 3..INFO_SIZES + 6].copy_from_slice(&most.to_be_bytes()[1..]);
        // The rate has 20 bits.
        let [_, a, b, c] = (self.sample_rate << 4).to_be_bytes();
        bytes[INFO_RATE..INFO_RATE + 2].copy_from_slice(&[a, b]);
        bytes[INFO_RATE + 2] = c | bytes[INFO_RATE + 2] & 0x0F;
        if self.mask != 0 {
            // Another block follows.
            bytes[INFO_KIND] &= 0x7F;
            bytes.extend(mask_comment(self.mask));
        }
        self.file.write_all(&bytes).map_err(Error::io(path, "write"))
    }
}

/// The comment block that names the loudspeakers of the channels. It is the last metadata block.
fn mask_comment(mask: u32) -> Vec<u8> {
    let comment = format!("{MASK_COMMENT}0x{mask:X}");
    let mut block = vec![0x84, 0, 0, 12 + comment.len() as u8];
    block.extend([0, 1, comment.len() as u32].map(u32::to_le_bytes).as_flattened());
    block.extend(comment.bytes());
    block
}

fn refuse(path: &Path, error: &dyn Display) -> Error {
    Error::audio(path, format!("cannot be written as flac: {error}"))
}
