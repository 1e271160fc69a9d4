//! Writes audio files block by block.

use super::flac::FlacWriter;
use super::format::Format;
use super::header::header;
use super::{Recording, first_not_finite};
use crate::{Error, Result};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Bytes encoded at a time.
const BLOCK: usize = 1 << 16;
/// The most frames in a FLAC: its header has 36 bits for the count.
const MAX_FLAC_FRAMES: u64 = (1 << 36) - 1;
/// The most frames in a WAV. No disk is larger, and the byte count of so many frames fits in 64 bits.
const MAX_WAV_FRAMES: u64 = 1 << 50;

/// Writes a whole recording. Returns the number of clipped samples, as [`Writer::finish`] does.
///
/// # Errors
///
/// See [`Writer`].
pub fn write(path: &Path, recording: &Recording, format: Format) -> Result<u64> {
    let (channels, frames) = (recording.channels.len(), recording.frames() as u64);
    let mut writer = Writer::create(path, format, channels, recording.sample_rate, frames)?;
    writer.write(&recording.channels)?;
    writer.finish()
}

/// Writes a file block by block, with the memory of one block. Call [`finish`](Self::finish): a writer that is dropped
/// earlier leaves an invalid file.
pub struct Writer {
    path: PathBuf,
    format: Format,
    channels: usize,
    /// The announced length; None: it is left open.
    frames: Option<u64>,
    written: u64,
    clipped: u64,
    /// The encoded bytes of a block.
    bytes: Vec<u8>,
    file: Sink,
}

enum Sink {
    Wav(Box<dyn Write + Send>),
    Flac(Box<FlacWriter>),
}

impl Writer {
    /// Creates or overwrites the file. The caller announces `frames` samples for each of `channels` channels at
    /// `sample_rate` Hz. A WAV of more than 4 GiB becomes an RF64.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be created. [`Error::Audio`] if the format cannot hold this many channels
    /// (FLAC: 8), this sample rate (FLAC: 655 350 Hz) or this many frames (FLAC: 2^36 - 1, WAV: 2^50).
    pub fn create(path: &Path, format: Format, channels: usize, sample_rate: u32, frames: u64) -> Result<Self> {
        Self::masked(path, format, channels, sample_rate, frames, 0)
    }

    /// Like [`create`](Self::create), for channels assigned to the loudspeakers of `mask`; see
    /// [`Reader::channel_mask`](super::Reader::channel_mask).
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub fn masked(
        path: &Path,
        format: Format,
        channels: usize,
        sample_rate: u32,
        frames: u64,
        mask: u32,
    ) -> Result<Self> {
        if let Some(reason) = format.refuses(channels, sample_rate) {
            return Err(Error::audio(path, reason));
        }
        let most = if format.extension() == "flac" { MAX_FLAC_FRAMES } else { MAX_WAV_FRAMES };
        if frames > most {
            return Err(Error::audio(path, format!("would have {frames} frames; {format} can hold {most}; split it")));
        }
        let file = match format {
            Format::WavF32 | Format::WavPcm16 | Format::WavPcm24 => {
                let mut file = File::create(path).map_err(Error::io(path, "create"))?;
                let header = header(format, channels, sample_rate, Some(frames), mask);
                file.write_all(&header).map_err(Error::io(path, "write"))?;
                Sink::Wav(Box::new(file))
            }
            Format::Flac16 | Format::Flac24 => {
                Sink::Flac(Box::new(FlacWriter::create(path, format.sample_bytes(), channels, sample_rate, mask)?))
            }
        };
        Ok(Self::over(path, (format, channels), Some(frames), file))
    }

    /// Writes a WAV of unknown length to `output`, which is flushed after each block. Its header leaves the sizes open, all ones, as
    /// programs do that write to a pipe. Errors call it `name`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be written to. [`Error::Audio`] for a FLAC, whose header is written last, and as
    /// [`masked`](Self::masked).
    pub fn stream(
        name: &Path,
        mut output: impl Write + Send + 'static,
        format: Format,
        (channels, sample_rate, mask): (usize, u32, u32),
    ) -> Result<Self> {
        if format.extension() == "flac" {
            return Err(Error::audio(name, "cannot hold a flac, whose header is written last; use a wav format"));
        }
        if let Some(reason) = format.refuses(channels, sample_rate) {
            return Err(Error::audio(name, reason));
        }
        let header = header(format, channels, sample_rate, None, mask);
        output.write_all(&header).and_then(|()| output.flush()).map_err(Error::io(name, "write"))?;
        Ok(Self::over(name, (format, channels), None, Sink::Wav(Box::new(output))))
    }

    fn over(path: &Path, (format, channels): (Format, usize), frames: Option<u64>, file: Sink) -> Self {
        Self { path: path.into(), format, channels, frames, written: 0, clipped: 0, bytes: Vec::new(), file }
    }

    /// Appends a block (C, n) of any length. Integer formats round to nearest and clip to full scale.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], for example if the disk is full. [`Error::Audio`] if a sample is NaN or infinite.
    /// [`Error::Input`] if the block's channel count is wrong, its channels differ in length, or it exceeds the
    /// announced frames.
    pub fn write<S: AsRef<[f32]>>(&mut self, block: &[S]) -> Result<()> {
        let block: Vec<&[f32]> = block.iter().map(AsRef::as_ref).collect();
        let length = block.first().map_or(0, |channel| channel.len());
        if block.len() != self.channels || block.iter().any(|channel| channel.len() != length) {
            let lengths: Vec<usize> = block.iter().map(|channel| channel.len()).collect();
            let channels = self.channels;
            return Err(Error::input(format!(
                "a block has channels of lengths {lengths:?}, but the file has {channels} channels of equal length"
            )));
        }
        if let Some((channel, index)) = first_not_finite(&block) {
            let index = self.written + index as u64;
            let reason =
                format!("sample {index} of channel {channel} (from 0) came out NaN or infinite; please report it");
            return Err(Error::audio(&self.path, reason));
        }
        if let Some(frames) = self.frames.filter(|frames| length as u64 > frames - self.written) {
            return Err(self.not_as_announced(self.written + length as u64, frames));
        }
        let step = BLOCK / (self.channels * self.format.sample_bytes());
        for start in (0..length).step_by(step) {
            let range = start..length.min(start + step);
            let part: Vec<&[f32]> = block.iter().map(|channel| &channel[range.clone()]).collect();
            self.clipped += encode(&part, self.format, &mut self.bytes);
            match &mut self.file {
                Sink::Wav(file) => file.write_all(&self.bytes).map_err(Error::io(&self.path, "write"))?,
                Sink::Flac(flac) => flac.write(&self.path, &self.bytes)?,
            }
        }
        if let (Sink::Wav(file), None) = (&mut self.file, self.frames) {
            file.flush().map_err(Error::io(&self.path, "write"))?;
        }
        self.written += length as u64;
        Ok(())
    }

    /// Completes the file. Returns the number of clipped samples: those outside the integer range. +1 itself lies one
    /// step outside it. Always 0 for float.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], for example if the disk is full. [`Error::Input`] if fewer frames were written than announced.
    pub fn finish(self) -> Result<u64> {
        if let Some(frames) = self.frames.filter(|&frames| self.written != frames) {
            return Err(self.not_as_announced(self.written, frames));
        }
        match self.file {
            Sink::Wav(mut file) => {
                let bytes = self.written * (self.channels * self.format.sample_bytes()) as u64;
                // Where sizes are open, a pad byte would be read as a part of a sample.
                let pad: &[u8] = if bytes % 2 == 1 && self.frames.is_some() { &[0] } else { &[] };
                file.write_all(pad).map_err(Error::io(&self.path, "write"))?;
            }
            Sink::Flac(flac) => flac.finish(&self.path)?,
        }
        Ok(self.clipped)
    }

    fn not_as_announced(&self, written: u64, frames: u64) -> Error {
        let path = self.path.display();
        Error::input(format!("{path}: {written} frames were written, but {frames} were announced"))
    }
}

/// Encodes a block (C, n) into `bytes` in the file's format, interleaved and little-endian. Returns the number of
/// clipped samples.
fn encode(block: &[&[f32]], format: Format, bytes: &mut Vec<u8>) -> u64 {
    let mut clipped = 0;
    let mut integer = |sample: f32, bits: u32| {
        let (integer, outside) = quantize(sample, bits);
        clipped += u64::from(outside);
        integer.to_le_bytes()
    };
    match format {
        Format::WavF32 => interleave(block, bytes, f32::to_le_bytes),
        Format::WavPcm16 | Format::Flac16 => interleave(block, bytes, |sample| {
            let [low, high, ..] = integer(sample, 16);
            [low, high]
        }),
        Format::WavPcm24 | Format::Flac24 => interleave(block, bytes, |sample| {
            let [low, middle, high, _] = integer(sample, 24);
            [low, middle, high]
        }),
    }
    clipped
}

fn interleave<const B: usize>(block: &[&[f32]], bytes: &mut Vec<u8>, mut stored: impl FnMut(f32) -> [u8; B]) {
    let length = block.first().map_or(0, |channel| channel.len());
    bytes.resize(length * block.len() * B, 0);
    let (slots, _) = bytes.as_chunks_mut::<B>();
    for (c, channel) in block.iter().enumerate() {
        for (slot, &sample) in slots.iter_mut().skip(c).step_by(block.len()).zip(*channel) {
            *slot = stored(sample);
        }
    }
}

/// Rounds to the nearest integer of `bits` bits, halves away from zero. Also returns whether the sample was out of
/// range.
fn quantize(sample: f32, bits: u32) -> (i32, bool) {
    let full = 1_i64 << (bits - 1);
    // Both f64 operations are exact wherever rounding decides, and this avoids a call to `round` per sample.
    let scaled = f64::from(sample) * full as f64;
    let nearest = (scaled + 0.5_f64.copysign(scaled)) as i64;
    let fitting = nearest.clamp(-full, full - 1);
    (fitting as i32, fitting != nearest)
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

    /// Writes and reads back; also returns the number of clipped samples.
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
    fn every_format_restores_samples_to_its_precision() {
        for format in Format::ALL {
            // The noise is on the grid of 24-bit integers. 16-bit formats round it, and clip what rounds up to full
            // scale.
            let step = if format.sample_bytes() == 2 { 1.0 / 32768.0 } else { 0.0 };
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

    /// Signals for which a FLAC encoder's size estimates go wrong: loud noise, steps, sines, silence, full scale, and
    /// noise that ends within a block.
    #[test]
    fn a_flac_is_exact_and_no_larger_than_its_samples() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hard.flac");
        for format in [Format::Flac16, Format::Flac24] {
            let step = format.step().unwrap();
            let on_grid = |x: f32| (x / step).floor().clamp(-1.0 / step, 1.0 / step - 1.0) * step;
            let sine = |n: usize| (n as f32 * 0.05).sin();
            let noise = noise(1, 48_000).remove(0);
            let mut cut_noise = noise.clone();
            cut_noise.chunks_mut(4096).filter_map(|block| block.get_mut(2944..)).for_each(|rest| rest.fill(0.0));
            let channels = [
                (0..48_000).map(|n| if n / 109 % 2 == 0 { 0.75 } else { -1.0 }).collect(),
                cut_noise,
                noise.iter().enumerate().map(|(n, x)| 0.5 * (x + sine(n))).collect(),
                (0..48_000).map(|n| 1.5 * sine(n)).collect(),
                (0..48_000).map(|n| if n % 2 == 0 { 1.0 } else { -1.0 }).collect(),
                vec![0.0; 48_000],
                vec![-1.0; 48_000],
                noise,
            ];
            let channels: Vec<Vec<f32>> =
                channels.map(|channel: Vec<f32>| channel.into_iter().map(on_grid).collect()).into();
            for channels in [&channels[..], &channels[..2], &channels[2..4], &channels[3..4], &channels[7..]] {
                let recording = Recording { channels: channels.to_vec(), sample_rate: 48_000, warnings: Vec::new() };
                assert_eq!(write(&path, &recording, format).unwrap(), 0);
                assert!(crate::audio::read(&path).unwrap() == recording, "{format}: {} channels", channels.len());
                let size = std::fs::metadata(&path).unwrap().len();
                let samples = channels.len() * format.sample_bytes() * 48_000;
                assert!(size < samples as u64 + 1000, "{format}: {size} of {samples}");
            }
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_io_error() {
        for format in Format::ALL {
            let written = Writer::create(Path::new("/dev/full"), format, 1, 8000, 10_000).and_then(|mut writer| {
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
        write(&path, &Recording { channels: vec![vec![]], sample_rate: 8000, warnings: vec![] }, Format::Flac24)
            .unwrap();
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
        assert_eq!(there_and_back(&channels, Format::Flac16), (found, 3));
        assert_eq!(there_and_back(&channels, Format::WavF32), (channels.to_vec(), 0));
        assert_eq!(there_and_back(&channels, Format::Flac24).1, 3);
    }

    #[test]
    fn the_file_does_not_depend_on_the_block_lengths() {
        let folder = tempfile::tempdir().unwrap();
        let channels = noise(2, 10_000);
        for format in Format::ALL {
            let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
            write(&whole, &Recording { channels: channels.clone(), sample_rate: 8000, warnings: vec![] }, format)
                .unwrap();
            let mut writer = Writer::create(&parts, format, 2, 8000, 10_000).unwrap();
            for range in [0..0, 0..1, 1..4097, 4097..9999, 9999..10_000] {
                writer.write(&[&channels[0][range.clone()], &channels[1][range]]).unwrap();
            }
            writer.finish().unwrap();
            assert!(std::fs::read(whole).unwrap() == std::fs::read(parts).unwrap(), "{format}");
        }
    }

    #[test]
    fn unsupported_shapes_and_non_finite_samples_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        for (channels, rate, frames, format) in [
            (0, 1, 0, Format::WavF32),
            (257, 1, 0, Format::WavF32),
            (1, 0, 0, Format::WavPcm16),
            (1, 8000, u64::MAX, Format::WavF32),
            (1, 8000, 1 << 36, Format::Flac16),
            (9, 8000, 0, Format::Flac24),
        ] {
            let created = Writer::create(&path, format, channels, rate, frames);
            assert!(matches!(created, Err(Error::Audio { .. })), "{format}: {channels} {rate} {frames}");
        }
        let nowhere = folder.path().join("no folder/a.wav");
        for format in Format::ALL {
            assert!(matches!(Writer::create(&nowhere, format, 1, 8000, 0), Err(Error::Io { .. })));
        }
        let mut writer = Writer::create(&path, Format::WavF32, 2, 8000, 10).unwrap();
        assert!(matches!(writer.write(&[[0.0]]), Err(Error::Input(_))));
        assert!(matches!(writer.write(&[&[0.0][..], &[]]), Err(Error::Input(_))));
        writer.write(&[[0.0], [0.0]]).unwrap();
        let error = writer.write(&[[0.0, 0.0], [0.0, f32::NAN]]).unwrap_err().to_string();
        assert!(error.contains("a.wav: sample 2 of channel 1"), "{error}");
    }

    #[test]
    fn a_length_other_than_announced_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a file");
        for format in Format::ALL {
            let mut writer = Writer::create(&path, format, 1, 8000, 3).unwrap();
            writer.write(&[[0.0, 0.0]]).unwrap();
            let error = writer.write(&[[0.0, 0.0]]).unwrap_err();
            assert!(matches!(error, Error::Input(_)) && error.to_string().contains("4 frames were written, but 3"));
            let error = writer.finish().unwrap_err();
            assert!(matches!(error, Error::Input(_)) && error.to_string().contains("2 frames were written, but 3"));
        }
    }

    #[test]
    fn the_length_of_a_wav_matches_its_header() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("odd.wav");
        for frames in [0, 1, 2, 70_001] {
            let recording = Recording { channels: noise(1, frames), sample_rate: 8000, warnings: Vec::new() };
            write(&path, &recording, Format::WavPcm24).unwrap();
            let file = std::fs::read(&path).unwrap();
            let declared = u32::from_le_bytes(*file[4..].first_chunk().unwrap());
            assert_eq!((file.len() % 2, file.len()), (0, 8 + declared as usize), "{frames} frames");
        }
    }

    #[test]
    fn halves_are_rounded_away_from_zero() {
        let near = |steps: f64| (steps / 32768.0) as f32;
        for (steps, wanted) in
            [(0.5, 1), (-0.5, -1), (1.5, 2), (0.499_999_97, 0), (-0.499_999_97, 0), (-32768.4, -32768)]
        {
            assert_eq!(quantize(near(steps), 16), (wanted, false), "{steps}");
        }
        assert_eq!(quantize(near(32767.5), 16), (32767, true));
        assert_eq!(quantize(f32::MAX, 24), (8_388_607, true));
        assert_eq!(quantize(f32::MIN, 24), (-8_388_608, true));
    }
}
