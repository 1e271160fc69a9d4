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

#[cfg(test)]
mod tests {
    use super::*;

    /// C channels of noise in [-1, 1), on the grid of 24-bit integers.
    fn noise(channels: usize, frames: usize) -> Vec<Vec<f32>> {
        let sample =
            |i: usize| (((i + 1).wrapping_mul(2_654_435_761) >> 7) % (1 << 24)) as f32 / (1 << 23) as f32 - 1.0;
        (0..channels).map(|c| (0..frames).map(|n| sample(n * channels + c)).collect()).collect()
    }

    /// What is read back, and the number of clipped samples.
    fn there_and_back(channels: &[Vec<f32>], format: Format) -> (Vec<Vec<f32>>, u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a file");
        let recording = Recording { channels: channels.to_vec(), sample_rate: 16_000, warnings: Vec::new() };
        let clipped = write(&path, &recording, format).unwrap();
        let back = crate::audio::read(&path).unwrap();
        assert_eq!((back.sample_rate, back.warnings), (16_000, Vec::new()), "{format}");
        (back.channels, clipped)
    }

    #[test]
    fn every_format_gives_back_what_it_can_hold() {
        for format in Format::ALL {
            let step = if format == Format::WavPcm16 { 1.0 / 32768.0 } else { 0.0 };
            for (channels, frames) in [(1, 1), (2, 2), (2, 4095), (6, 5000), (8, 4096), (2, 70_001)] {
                let wanted = noise(channels, frames);
                let (found, _) = there_and_back(&wanted, format);
                let lengths: Vec<usize> = found.iter().map(Vec::len).collect();
                assert_eq!(lengths, vec![frames; channels], "{format}");
                let worst = found.iter().flatten().zip(wanted.iter().flatten()).map(|(a, b)| (a - b).abs());
                assert!(worst.fold(0.0, f32::max) <= step, "{format}: {channels} x {frames}");
            }
        }
    }

    /// Steps, and noise that ends within a block, are where a FLAC encoder's estimates go wrong.
    #[test]
    fn a_flac_is_exact_and_no_larger_than_its_samples() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hard.flac");
        let steps = (0..48_000).map(|n| if n / 109 % 2 == 0 { 0.75 } else { -1.0 }).collect();
        let mut cut_noise = noise(1, 48_000).remove(0);
        cut_noise.chunks_mut(4096).filter_map(|block| block.get_mut(2944..)).for_each(|rest| rest.fill(0.0));
        let recording = Recording { channels: vec![steps, cut_noise], sample_rate: 48_000, warnings: Vec::new() };
        assert_eq!(write(&path, &recording, Format::Flac).unwrap(), 0);
        assert_eq!(crate::audio::read(&path).unwrap(), recording);
        let size = std::fs::metadata(&path).unwrap().len();
        assert!(size < 2 * 3 * 48_000 + 1000, "{size}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_io_error() {
        for format in Format::ALL {
            let written = Writer::create(Path::new("/dev/full"), format, 1, 8000).and_then(|mut writer| {
                writer.write(&noise(1, 10_000))?;
                writer.finish()
            });
            assert!(matches!(written, Err(Error::Io { .. })), "{format}: {written:?}");
        }
    }

    #[test]
    fn a_wav_may_be_empty() {
        for format in [Format::WavF32, Format::WavPcm16, Format::WavPcm24] {
            assert_eq!(there_and_back(&[vec![], vec![], vec![]], format), (vec![vec![]; 3], 0));
        }
    }

    #[test]
    fn an_empty_flac_is_written_but_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.flac");
        write(&path, &Recording { channels: vec![vec![]], sample_rate: 8000, warnings: vec![] }, Format::Flac).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 42, "the magic and one STREAMINFO block");
        let error = crate::audio::read(&path).unwrap_err().to_string();
        assert!(error.contains("empty.flac: ends before its first sample"), "{error}");
    }

    #[test]
    fn integers_are_rounded_to_nearest_clipped_and_counted() {
        let step = 1.0 / 32768.0;
        let channels = [vec![1.0, -1.0, 1.5, -7.0, 1.0 - step], vec![0.4 * step, 0.6 * step, -0.6 * step, 0.0, 0.5]];
        let (found, clipped) = there_and_back(&channels, Format::WavPcm16);
        assert_eq!(found, [[1.0 - step, -1.0, 1.0 - step, -1.0, 1.0 - step], [0.0, step, -step, 0.0, 0.5]]);
        assert_eq!(clipped, 3);
        assert_eq!(there_and_back(&channels, Format::WavF32), (channels.to_vec(), 0));
        assert_eq!(there_and_back(&channels, Format::Flac).1, 3);
    }

    #[test]
    fn blocks_of_any_length_make_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let channels = noise(2, 10_000);
        for format in Format::ALL {
            let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
            write(&whole, &Recording { channels: channels.clone(), sample_rate: 8000, warnings: vec![] }, format)
                .unwrap();
            let mut writer = Writer::create(&parts, format, 2, 8000).unwrap();
            for range in [0..0, 0..1, 1..4097, 4097..9999, 9999..10_000] {
                writer.write(&[&channels[0][range.clone()], &channels[1][range]]).unwrap();
            }
            writer.finish().unwrap();
            assert!(std::fs::read(whole).unwrap() == std::fs::read(parts).unwrap(), "{format}");
        }
    }

    #[test]
    fn what_a_file_cannot_hold_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        for (channels, rate, format) in
            [(0, 1, Format::WavF32), (257, 1, Format::WavF32), (1, 0, Format::WavPcm16), (9, 8000, Format::Flac)]
        {
            assert!(matches!(Writer::create(&path, format, channels, rate), Err(Error::Audio { .. })));
        }
        let nowhere = folder.path().join("no folder/a.wav");
        for format in Format::ALL {
            assert!(matches!(Writer::create(&nowhere, format, 1, 8000), Err(Error::Io { .. })));
        }
        let mut writer = Writer::create(&path, Format::WavF32, 2, 8000).unwrap();
        assert!(matches!(writer.write(&[[0.0]]), Err(Error::Input(_))));
        assert!(matches!(writer.write(&[&[0.0][..], &[]]), Err(Error::Input(_))));
        writer.write(&[[0.0], [0.0]]).unwrap();
        let error = writer.write(&[[0.0, 0.0], [0.0, f32::NAN]]).unwrap_err().to_string();
        assert!(error.contains("a.wav: sample 2 of channel 1"), "{error}");
        writer.frames = MAX_WAV_BYTES / 8;
        let error = writer.write(&[[0.0], [0.0]]).unwrap_err().to_string();
        assert!(error.contains("4 GiB"), "{error}");
    }

    #[test]
    fn formats_have_names() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse::<Format>().unwrap(), format);
            assert!(format.to_string().starts_with(format.extension()));
        }
        assert!("mp3".parse::<Format>().is_err());
    }
}
