//! WAV files to samples.
//!
//! The chunks are walked here and not by a library, since real files stray from the letter in ways that no library at
//! hand takes: of odd but sound files, hound refuses float of 64 bits, A-law, 20 bits in 24, chunks of odd size with
//! their pad byte and cut data, and reads none of the samples of a stream with sizes of zero; symphonia refuses sizes
//! that a streaming writer left open, and panics at 65535 channels; neither reads RIFX or RF64.

use super::implausible;
use super::reader::{Blocks, Shape};
use crate::{Error, Result};
use std::io::{BufRead, ErrorKind, Read, copy, sink};
use std::path::{Path, PathBuf};

/// Bytes decoded at a time.
const BLOCK: usize = 1 << 16;
/// The last half of every sub-format GUID that is a plain format tag (KSDATAFORMAT_SUBTYPE_*).
pub(super) const GUID_TAIL: [u8; 8] = [0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];

/// Opens RIFF, RIFX (big-endian) or RF64 (sizes of 64 bits), and goes to its samples.
/// Declared sizes are compared with what is there, never trusted.
pub(super) fn open<R>(path: &Path, mut input: R) -> Result<(Shape, Box<dyn Blocks>)>
where
    R: BufRead + Send + Sync + 'static,
{
    let header: [u8; 12] = exactly(path, &mut input, "a header")?;
    if !header.ends_with(b"WAVE") {
        return Err(Error::audio(path, "is a riff file but not a wav; convert it to wav"));
    }
    let big_endian = header.starts_with(b"RIFX");
    let number = |bytes: &[u8]| number(bytes, big_endian);
    let mut riff_size = number(&header[4..8]);
    let mut wide_data_size = None;
    let mut layout = None;
    let mut position = 12;
    loop {
        let chunk: [u8; 8] = exactly(path, &mut input, if layout.is_none() { "`fmt `" } else { "`data`" })?;
        let size = number(&chunk[4..]);
        position += 8;
        let unread = match &chunk[..4] {
            b"fmt " => {
                let mut fields = Vec::new();
                input.by_ref().take(size.min(40)).read_to_end(&mut fields).map_err(Error::io(path, "read"))?;
                layout = Some(Layout::parse(&fields, big_endian).map_err(|reason| Error::audio(path, reason))?);
                size - fields.len() as u64
            }
            b"ds64" => {
                let sizes: [u8; 16] = exactly(path, &mut input, "`data`")?;
                riff_size = number(&sizes[..8]);
                wide_data_size = Some(number(&sizes[8..]));
                size.saturating_sub(16)
            }
            b"data" => {
                let Some(layout) = layout else {
                    return Err(Error::audio(path, "has a `data` chunk before any `fmt ` chunk; convert it anew"));
                };
                let streamed = wide_data_size.is_none()
                    && (size == u64::from(u32::MAX) || size == 0 && matches!(riff_size, 0 | 0xFFFF_FFFF));
                let declared = (!streamed).then_some(wide_data_size.unwrap_or(size));
                let shape =
                    Shape { channels: layout.channels, sample_rate: layout.sample_rate, bits: layout.integer_bits() };
                let path = path.into();
                let data = Data { path, input, layout, riff_size, position, declared, found: 0, bytes: Vec::new() };
                return Ok((shape, Box::new(data)));
            }
            _ => size,
        };
        skip(path, &mut input, unread, &chunk[..4])?;
        position += size;
        // A chunk of odd size is followed by a pad byte of zero. Some writers forget it; no chunk's name begins so.
        if size % 2 == 1 && input.fill_buf().map_err(Error::io(path, "read"))?.first() == Some(&0) {
            input.consume(1);
            position += 1;
        }
    }
}

/// A `data` chunk being read.
struct Data<R> {
    path: PathBuf,
    /// At the next sample.
    input: R,
    layout: Layout,
    riff_size: u64,
    /// Where in the file the samples begin.
    position: u64,
    /// The chunk's size in bytes; None if the samples go on to the end of the file.
    declared: Option<u64>,
    /// Bytes of samples read so far.
    found: u64,
    /// The block as it is in the file.
    bytes: Vec<u8>,
}

impl<R: BufRead + Send + Sync> Blocks for Data<R> {
    fn next(&mut self, block: &mut Vec<Vec<f32>>, warnings: &mut Vec<String>) -> Result<bool> {
        let frame = self.layout.frame_bytes();
        let left = self.declared.map_or(u64::MAX, |declared| declared - self.found);
        let most = left.min(BLOCK as u64 / frame * frame);
        self.bytes.clear();
        self.input.by_ref().take(most).read_to_end(&mut self.bytes).map_err(Error::io(&self.path, "read"))?;
        self.found += self.bytes.len() as u64;
        if (self.bytes.len() as u64) < frame {
            warnings.extend(self.warning());
            return Ok(false);
        }
        if self.layout.big_endian {
            self.bytes.chunks_exact_mut(self.layout.sample_bytes()).for_each(<[u8]>::reverse);
        }
        block.iter_mut().for_each(Vec::clear);
        self.layout.decode(&self.bytes, block);
        Ok(true)
    }
}

impl<R> Data<R> {
    /// What is odd about the sizes, once all is read.
    fn warning(&self) -> Option<String> {
        let Self { riff_size, position, found, .. } = *self;
        let frame = self.layout.frame_bytes();
        match self.declared {
            None => Some("its sizes were never filled in; read to the end of the file".to_owned()),
            Some(declared) if found < declared => {
                Some(format!("cut short: {} of {} frames are there", found / frame, declared / frame))
            }
            Some(declared) if riff_size.saturating_add(8) < declared.saturating_add(position) => {
                Some(format!("its riff size of {riff_size} bytes is too small; its data size was used"))
            }
            Some(_) => None,
        }
    }
}

/// How the samples lie in the `data` chunk.
struct Layout {
    encoding: Encoding,
    channels: usize,
    sample_rate: u32,
    /// Of a sample, as declared.
    bits: u32,
    big_endian: bool,
}

#[derive(Clone, Copy)]
enum Encoding {
    U8,
    I16,
    I24,
    I32,
    F32,
    F64,
    ALaw,
    MuLaw,
}

impl Layout {
    /// The fields of a `fmt ` chunk, or why they cannot be used.
    fn parse(fields: &[u8], big_endian: bool) -> std::result::Result<Self, String> {
        let Some(basic) = fields.first_chunk::<16>() else {
            return Err(format!("its `fmt ` chunk has {} bytes, not 16 or more; convert it anew", fields.len()));
        };
        let number = |bytes: &[u8]| number(bytes, big_endian);
        let channels = number(&basic[2..4]) as usize;
        let sample_rate = number(&basic[4..8]) as u32;
        if let Some(reason) = implausible(channels, sample_rate) {
            return Err(reason);
        }
        let mut tag = number(&basic[..2]);
        if tag == 0xFFFE {
            tag = match fields.first_chunk::<40>() {
                Some(extended) if extended.ends_with(&GUID_TAIL) => number(&extended[24..28]),
                _ => return Err("its extended wav format is not a known one; convert it to pcm".to_owned()),
            };
        }
        let bits = number(&basic[14..]);
        // Fewer bits than the container has room for stand at its top, so the container alone sets the scale.
        let encoding = match (tag, bits.div_ceil(8)) {
            (1, 1) => Encoding::U8,
            (1, 2) => Encoding::I16,
            (1, 3) => Encoding::I24,
            (1, 4) => Encoding::I32,
            (3, 4) => Encoding::F32,
            (3, 8) => Encoding::F64,
            (6, 1) => Encoding::ALaw,
            (7, 1) => Encoding::MuLaw,
            _ => return Err(format!("wav format {tag:#06x} of {bits} bits is not supported; convert it to pcm")),
        };
        let layout = Self { encoding, channels, sample_rate, bits: bits as u32, big_endian };
        let block_align = number(&basic[12..14]);
        if block_align != layout.frame_bytes() {
            let expected = layout.frame_bytes();
            return Err(format!("its frames are of {block_align} bytes, not {expected}; convert it anew"));
        }
        Ok(layout)
    }

    fn sample_bytes(&self) -> usize {
        match self.encoding {
            Encoding::U8 | Encoding::ALaw | Encoding::MuLaw => 1,
            Encoding::I16 => 2,
            Encoding::I24 => 3,
            Encoding::I32 | Encoding::F32 => 4,
            Encoding::F64 => 8,
        }
    }

    fn frame_bytes(&self) -> u64 {
        (self.channels * self.sample_bytes()) as u64
    }

    fn integer_bits(&self) -> Option<u32> {
        match self.encoding {
            Encoding::U8 | Encoding::I16 | Encoding::I24 | Encoding::I32 => Some(self.bits),
            Encoding::ALaw | Encoding::MuLaw => Some(16),
            Encoding::F32 | Encoding::F64 => None,
        }
    }

    /// Appends the whole frames of interleaved little-endian `bytes` to `channels` (C, N).
    fn decode(&self, bytes: &[u8], channels: &mut [Vec<f32>]) {
        match self.encoding {
            Encoding::U8 => append(bytes, channels, |[b]| (f32::from(b) - 128.0) / 128.0),
            Encoding::I16 => append(bytes, channels, |b| f32::from(i16::from_le_bytes(b)) / 32768.0),
            Encoding::I24 => append(bytes, channels, |[a, b, c]| full_scale(i32::from_le_bytes([0, a, b, c]))),
            Encoding::I32 => append(bytes, channels, |b| full_scale(i32::from_le_bytes(b))),
            Encoding::F32 => append(bytes, channels, f32::from_le_bytes),
            Encoding::F64 => append(bytes, channels, |b| f64::from_le_bytes(b) as f32),
            Encoding::ALaw => append(bytes, channels, |[b]| a_law(b)),
            Encoding::MuLaw => append(bytes, channels, |[b]| mu_law(b)),
        }
    }
}

fn append<const B: usize>(bytes: &[u8], channels: &mut [Vec<f32>], sample: impl Fn([u8; B]) -> f32) {
    let count = channels.len();
    let (samples, _) = bytes.as_chunks::<B>();
    let whole = samples.len() / count * count;
    for (c, channel) in channels.iter_mut().enumerate() {
        channel.extend(samples[..whole].iter().skip(c).step_by(count).map(|&bytes| sample(bytes)));
    }
}

fn full_scale(sample: i32) -> f32 {
    sample as f32 / 2_147_483_648.0
}

/// ITU-T G.711 A-law: sign, 3 bits of exponent and 4 of mantissa, every other bit inverted; 13 bits of PCM.
fn a_law(code: u8) -> f32 {
    let code = code ^ 0x55;
    let (exponent, mantissa) = (code >> 4 & 7, i16::from(code & 15));
    let magnitude = if exponent == 0 { 2 * mantissa + 1 } else { (2 * mantissa + 33) << (exponent - 1) };
    f32::from(if code & 0x80 == 0 { -magnitude } else { magnitude }) / 4096.0
}

/// ITU-T G.711 mu-law: sign, 3 bits of exponent and 4 of mantissa, all inverted, with a bias of 33; 14 bits of PCM.
fn mu_law(code: u8) -> f32 {
    let code = !code;
    let (exponent, mantissa) = (code >> 4 & 7, i16::from(code & 15));
    let magnitude = ((2 * mantissa + 33) << exponent) - 33;
    f32::from(if code & 0x80 == 0 { magnitude } else { -magnitude }) / 8192.0
}

/// The unsigned number that `bytes` are in the file's byte order.
fn number(bytes: &[u8], big_endian: bool) -> u64 {
    let shift_in = |number, &byte: &u8| number << 8 | u64::from(byte);
    if big_endian { bytes.iter().fold(0, shift_in) } else { bytes.iter().rev().fold(0, shift_in) }
}

/// The next N bytes; the file lacks `what` if they are not there.
fn exactly<const N: usize>(path: &Path, input: &mut impl Read, what: &str) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    match input.read_exact(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Err(Error::audio(path, format!("is a wav that ends before its {what} chunk; record or copy it again")))
        }
        Err(error) => Err(Error::io(path, "read")(error)),
    }
}

/// Passes over `size` bytes of the chunk `name`, which must be there.
fn skip(path: &Path, input: &mut impl Read, size: u64, name: &[u8]) -> Result<()> {
    if copy(&mut input.take(size), &mut sink()).map_err(Error::io(path, "read"))? < size {
        let reason = format!("its chunk `{}` runs past the end of the file; copy it again", name.escape_ascii());
        return Err(Error::audio(path, reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{Reader, Recording};
    use std::io::Cursor;

    /// A WAV of `data` with a `fmt ` chunk of 16 bytes.
    fn wav(tag: u16, channels: u16, bits: u16, data: &[u8]) -> Vec<u8> {
        let align = channels * bits.div_ceil(8);
        let mut file = [b"RIFF", &(36 + data.len() as u32).to_le_bytes()[..], b"WAVEfmt ", &[16, 0, 0, 0]].concat();
        file.extend([tag, channels].map(u16::to_le_bytes).as_flattened());
        file.extend([8000, 8000 * u32::from(align)].map(u32::to_le_bytes).as_flattened());
        file.extend([align, bits].map(u16::to_le_bytes).as_flattened());
        file.extend(b"data");
        file.extend((data.len() as u32).to_le_bytes());
        file.extend(data);
        file
    }

    fn read_bytes(file: &[u8]) -> Result<Recording> {
        Reader::over(Path::new("test.wav"), Cursor::new(file.to_vec()))?.collect()
    }

    #[test]
    fn samples_of_every_width_are_scaled_by_their_full_scale() {
        let single = [-1.5_f32, 0.0, 3.0].map(f32::to_le_bytes);
        let double = [-1.5_f64, 0.0, 3.0].map(f64::to_le_bytes);
        let cases: [(u16, u16, &[u8], [f32; 3]); 8] = [
            (1, 8, &[0, 128, 192], [-1.0, 0.0, 0.5]),
            (1, 16, &[0, 0x80, 0, 0, 0, 0x40], [-1.0, 0.0, 0.5]),
            (1, 12, &[0, 0x80, 0, 0, 0, 0x40], [-1.0, 0.0, 0.5]),
            (1, 24, &[0, 0, 0x80, 0, 0, 0, 0, 0, 0x40], [-1.0, 0.0, 0.5]),
            (1, 32, &[0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x40], [-1.0, 0.0, 0.5]),
            (3, 32, single.as_flattened(), [-1.5, 0.0, 3.0]),
            (3, 64, double.as_flattened(), [-1.5, 0.0, 3.0]),
            // G.711: the largest of either sign and the smallest positive one.
            (6, 8, &[0x2A, 0xAA, 0xD5], [-4032.0 / 4096.0, 4032.0 / 4096.0, 1.0 / 4096.0]),
        ];
        for (tag, bits, data, expected) in cases {
            assert_eq!(read_bytes(&wav(tag, 1, bits, data)).unwrap().channels, [expected], "{tag} {bits}");
        }
        let mu_law = read_bytes(&wav(7, 1, 8, &[0x00, 0x80, 0xFF])).unwrap();
        assert_eq!(mu_law.channels, [[-8031.0 / 8192.0, 8031.0 / 8192.0, 0.0]]);
    }

    #[test]
    fn channels_are_taken_apart_and_a_cut_frame_dropped() {
        let file = wav(1, 3, 8, &[128, 129, 130, 131, 132, 133, 134]);
        let recording = read_bytes(&file).unwrap();
        let steps: Vec<Vec<f32>> = recording.channels.iter().map(|c| c.iter().map(|x| x * 128.0).collect()).collect();
        assert_eq!(steps, [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]);
        let cut = read_bytes(&file[..file.len() - 2]).unwrap();
        assert_eq!((cut.frames(), cut.warnings), (1, vec!["cut short: 1 of 2 frames are there".to_owned()]));
    }

    #[test]
    fn frames_are_whole_across_blocks() {
        // Frames of 7 bytes do not divide a block of 65536.
        let data: Vec<u8> = (0..70_007).map(|i| (i % 7) as u8).collect();
        let recording = read_bytes(&wav(1, 7, 8, &data)).unwrap();
        for (c, channel) in recording.channels.iter().enumerate() {
            assert_eq!(channel.len(), 10_001);
            assert!(channel.iter().all(|&x| x == (c as f32 - 128.0) / 128.0), "channel {c}");
        }
    }

    #[test]
    fn a_declared_size_allocates_nothing() {
        let mut file = wav(1, 1, 16, &[0, 64]);
        file[40..44].copy_from_slice(&0xFFFF_FFF0_u32.to_le_bytes());
        let mut reader = Reader::over(Path::new("test.wav"), Cursor::new(file)).unwrap();
        let mut block = Vec::new();
        assert!(reader.read(&mut block).unwrap());
        assert_eq!(block, [[0.5]]);
        assert!(block[0].capacity() < 100, "{}", block[0].capacity());
    }

    #[test]
    fn what_no_rule_covers_is_refused_in_one_line() {
        let mut wrong_align = wav(1, 1, 16, &[0, 0]);
        wrong_align[32] = 4;
        let cases = [
            (wav(1, 0, 16, &[]), "0 channels"),
            (wav(1, 257, 8, &[]), "257 channels"),
            (wav(1, 1, 40, &[]), "format 0x0001 of 40 bits"),
            (wav(3, 1, 16, &[]), "format 0x0003 of 16 bits"),
            (wav(0x11, 1, 4, &[]), "format 0x0011 of 4 bits"),
            (wrong_align, "frames are of 4 bytes, not 2"),
            (b"RIFF\0\0\0\0WAVE".to_vec(), "before its `fmt ` chunk"),
            (b"RIFF\0\0\0\0WAVEjunk\xF0\xFF\xFF\xFF".to_vec(), "`junk` runs past the end"),
        ];
        for (file, expected) in cases {
            let error = read_bytes(&file).unwrap_err().to_string();
            assert!(error.starts_with("test.wav: ") && error.contains(expected) && !error.contains('\n'), "{error}");
        }
    }
}
