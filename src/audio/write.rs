//! Samples to files.

use super::flac::{self, FlacWriter};
use super::{Recording, first_not_finite, implausible};
use crate::{Error, Result};
use hound::{SampleFormat, WavSpec, WavWriter};
use std::fmt;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The most bytes of samples in a WAV, whose sizes have 32 bits and count the headers too.
const MAX_WAV_BYTES: u64 = u32::MAX as u64 - 128;

/// What a recording is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// WAV, float of 32 bits: exact, and not clipped.
    WavF32,
    /// WAV, integers of 16 bits.
    WavPcm16,
    /// WAV, integers of 24 bits.
    WavPcm24,
    /// FLAC of 24 bits, at most 8 channels.
    Flac,
}

impl Format {
    const ALL: [Self; 4] = [Self::WavF32, Self::WavPcm16, Self::WavPcm24, Self::Flac];

    /// The file name extension, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::WavF32 | Self::WavPcm16 | Self::WavPcm24 => "wav",
            Self::Flac => "flac",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::WavF32 => "wav-f32",
            Self::WavPcm16 => "wav-pcm16",
            Self::WavPcm24 => "wav-pcm24",
            Self::Flac => "flac",
        })
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|format| format.to_string() == name);
        found.ok_or_else(|| {
            Error::input(format!("{name}: not an audio format; use wav-f32, wav-pcm16, wav-pcm24 or flac"))
        })
    }
}

/// Writes a whole recording. Returns the number of samples clipped, as [`Writer::finish`] does.
///
/// # Errors
///
/// Those of [`Writer`].
pub fn write(path: &Path, recording: &Recording, format: Format) -> Result<u64> {
    let mut writer = Writer::create(path, format, recording.channels.len(), recording.sample_rate)?;
    writer.write(&recording.channels)?;
    writer.finish()
}

/// A file being written block by block; memory stays that of a block. Call [`finish`](Self::finish): what is dropped
/// before it is no valid file.
pub struct Writer {
    path: PathBuf,
    channels: usize,
    frames: u64,
    clipped: u64,
    encoder: FileEncoder,
}

enum FileEncoder {
    WavFloat(WavWriter<BufWriter<File>>),
    WavInteger { bits: u32, wav: WavWriter<BufWriter<File>> },
    Flac(Box<FlacWriter>),
}

impl Writer {
    /// Creates or overwrites the file, for `channels` channels at `sample_rate` Hz.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be created; [`Error::Audio`] if the format cannot hold so many channels (FLAC: 8)
    /// or such a sample rate (FLAC: 655 350 Hz).
    pub fn create(path: &Path, format: Format, channels: usize, sample_rate: u32) -> Result<Self> {
        if let Some(reason) = implausible(channels, sample_rate) {
            return Err(Error::audio(path, reason));
        }
        let wav = |bits_per_sample, sample_format| {
            let spec = WavSpec { channels: channels as u16, sample_rate, bits_per_sample, sample_format };
            WavWriter::create(path, spec).map_err(|error| wav_error(path, error))
        };
        let encoder = match format {
            Format::WavF32 => FileEncoder::WavFloat(wav(32, SampleFormat::Float)?),
            Format::WavPcm16 => FileEncoder::WavInteger { bits: 16, wav: wav(16, SampleFormat::Int)? },
            Format::WavPcm24 => FileEncoder::WavInteger { bits: 24, wav: wav(24, SampleFormat::Int)? },
            Format::Flac => FileEncoder::Flac(Box::new(FlacWriter::create(path, channels, sample_rate)?)),
        };
        Ok(Self { path: path.to_path_buf(), channels, frames: 0, clipped: 0, encoder })
    }

    /// Appends `block` (C, n), n samples of every channel. Integers are rounded to nearest and clipped to full scale.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], as when the disk is full; [`Error::Audio`] if a sample is NaN or infinite, or a WAV would pass
    /// 4 GiB; [`Error::Input`] if the block is not of the writer's channels, all of the same length.
    pub fn write<S: AsRef<[f32]>>(&mut self, block: &[S]) -> Result<()> {
        let block: Vec<&[f32]> = block.iter().map(AsRef::as_ref).collect();
        let length = block.first().map_or(0, |channel| channel.len());
        if block.len() != self.channels || block.iter().any(|channel| channel.len() != length) {
            let lengths: Vec<usize> = block.iter().map(|channel| channel.len()).collect();
            let channels = self.channels;
            return Err(Error::input(format!(
                "a block of lengths {lengths:?} is not one of {channels} equal channels"
            )));
        }
        if let Some((channel, index)) = first_not_finite(&block) {
            let index = self.frames + index as u64;
            let reason =
                format!("sample {index} of channel {channel} (from 0) came out NaN or infinite; please report it");
            return Err(Error::audio(&self.path, reason));
        }
        self.frames += length as u64;
        let sample_bytes = match &self.encoder {
            FileEncoder::WavFloat(_) => 4,
            FileEncoder::WavInteger { bits, .. } => u64::from(bits / 8),
            FileEncoder::Flac(_) => 0,
        };
        if self.frames * self.channels as u64 * sample_bytes > MAX_WAV_BYTES {
            return Err(Error::audio(&self.path, "would pass 4 GiB, the most a wav can hold; write flac or split it"));
        }
        let path = &self.path;
        let interleaved = (0..length).flat_map(|n| block.iter().map(move |channel| channel[n]));
        match &mut self.encoder {
            FileEncoder::WavFloat(wav) => {
                for sample in interleaved {
                    wav.write_sample(sample).map_err(|error| wav_error(path, error))?;
                }
            }
            FileEncoder::WavInteger { bits, wav } => {
                for sample in interleaved {
                    let (sample, clipped) = quantize(sample, *bits);
                    self.clipped += u64::from(clipped);
                    wav.write_sample(sample).map_err(|error| wav_error(path, error))?;
                }
            }
            FileEncoder::Flac(flac) => {
                for sample in interleaved {
                    let (sample, clipped) = quantize(sample, flac::BITS);
                    self.clipped += u64::from(clipped);
                    flac.push(path, sample)?;
                }
            }
        }
        Ok(())
    }

    /// Completes the file. Returns how many samples did not fit the integers' range (+1 itself is a step outside it)
    /// and were clipped: always 0 for float.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], as when the disk is full.
    pub fn finish(self) -> Result<u64> {
        match self.encoder {
            FileEncoder::WavFloat(wav) | FileEncoder::WavInteger { wav, .. } => {
                wav.finalize().map_err(|error| wav_error(&self.path, error))?;
            }
            FileEncoder::Flac(flac) => flac.finish(&self.path)?,
        }
        Ok(self.clipped)
    }
}

/// The nearest integer of so many bits, and whether the sample lay outside their range.
fn quantize(sample: f32, bits: u32) -> (i32, bool) {
    let full = (1_i32 << (bits - 1)) as f32;
    let nearest = (sample * full).round();
    let fitting = nearest.clamp(-full, full - 1.0);
    (fitting as i32, fitting != nearest)
}

fn wav_error(path: &Path, error: hound::Error) -> Error {
    match error {
        hound::Error::IoError(error) => Error::io(path, "write")(error),
        error => Error::audio(path, format!("cannot be written as wav: {error}")),
    }
}
