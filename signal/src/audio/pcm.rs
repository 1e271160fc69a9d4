//! Decodes interleaved uncompressed samples: integers, floats, A-law and mu-law.

use super::source::{Blocks, Shape};
use crate::{Error, Result};
use std::io::{BufReader, ErrorKind, Read, Take};
use std::path::{Path, PathBuf};

/// Bytes decoded at a time.
const BLOCK: usize = 1 << 16;

/// The sample layout of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) encoding: Encoding,
    pub(super) channels: usize,
    pub(super) sample_rate: u32,
    /// Bits per sample, as declared.
    pub(super) bits: u32,
    pub(super) big_endian: bool,
    /// See [`Shape::mask`].
    pub(super) mask: u32,
}

/// The storage of a sample. Samples with fewer bits than their container are aligned to its top, so the container alone
/// sets the scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    U8,
    I8,
    I16,
    I24,
    /// 24 bits at the bottom of 4 bytes. The top byte is ignored.
    I24Of32,
    I32,
    F32,
    F64,
    ALaw,
    MuLaw,
}

impl Encoding {
    /// Signed integers of `bytes` bytes.
    pub(super) fn integer(bytes: u64) -> Option<Self> {
        [Self::I8, Self::I16, Self::I24, Self::I32].get(usize::try_from(bytes).ok()?.checked_sub(1)?).copied()
    }
}

impl Layout {
    fn sample_bytes(&self) -> usize {
        match self.encoding {
            Encoding::U8 | Encoding::I8 | Encoding::ALaw | Encoding::MuLaw => 1,
            Encoding::I16 => 2,
            Encoding::I24 => 3,
            Encoding::I24Of32 | Encoding::I32 | Encoding::F32 => 4,
            Encoding::F64 => 8,
        }
    }

    /// Bytes of one sample of all channels.
    pub(super) fn frame_bytes(&self) -> u64 {
        (self.channels * self.sample_bytes()) as u64
    }

    pub(super) fn shape(&self) -> Shape {
        let bits = match self.encoding {
            Encoding::ALaw | Encoding::MuLaw => Some(16),
            Encoding::F32 | Encoding::F64 => None,
            _ => Some(self.bits),
        };
        Shape { channels: self.channels, sample_rate: self.sample_rate, bits, mask: self.mask }
    }

    /// Appends the complete frames of interleaved little-endian `bytes` to `channels` (C, N).
    fn decode(&self, bytes: &[u8], channels: &mut [Vec<f32>]) {
        match self.encoding {
            Encoding::U8 => append(bytes, channels, |[b]| (f32::from(b) - 128.0) / 128.0),
            Encoding::I8 => append(bytes, channels, |[b]| f32::from(b.cast_signed()) / 128.0),
            Encoding::I16 => append(bytes, channels, |b| f32::from(i16::from_le_bytes(b)) / 32768.0),
            Encoding::I24 => append(bytes, channels, |[a, b, c]| full_scale(i32::from_le_bytes([0, a, b, c]))),
            Encoding::I24Of32 => append(bytes, channels, |[a, b, c, _]| full_scale(i32::from_le_bytes([0, a, b, c]))),
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
    for (c, channel) in channels.iter_mut().enumerate() {
        channel.extend(samples.chunks_exact(count).map(|frame| sample(frame[c])));
    }
}

fn full_scale(sample: i32) -> f32 {
    sample as f32 / 2_147_483_648.0
}

/// ITU-T G.711 A-law: sign, 3-bit exponent, 4-bit mantissa, every other bit inverted. 13-bit PCM.
fn a_law(code: u8) -> f32 {
    let code = code ^ 0x55;
    let (exponent, mantissa) = (code >> 4 & 7, i16::from(code & 15));
    let magnitude = if exponent == 0 { 2 * mantissa + 1 } else { (2 * mantissa + 33) << (exponent - 1) };
    f32::from(if code & 0x80 == 0 { -magnitude } else { magnitude }) / 4096.0
}

/// ITU-T G.711 mu-law: sign, 3-bit exponent, 4-bit mantissa, all bits inverted, bias 33. 14-bit PCM.
fn mu_law(code: u8) -> f32 {
    let code = !code;
    let (exponent, mantissa) = (code >> 4 & 7, i16::from(code & 15));
    let magnitude = ((2 * mantissa + 33) << exponent) - 33;
    f32::from(if code & 0x80 == 0 { magnitude } else { -magnitude }) / 8192.0
}

/// Reads the samples of a file block by block.
pub(super) struct Samples<S> {
    path: PathBuf,
    layout: Layout,
    input: Take<BufReader<S>>,
    /// Oddities of the file.
    warnings: Vec<String>,
    /// The raw bytes of a block; between blocks, those of a frame that has begun.
    bytes: Vec<u8>,
    /// Whether it is known where 24 bits stand in 4 bytes, if that is the encoding.
    is_settled: bool,
}

impl<S: Read + Send + Sync + 'static> Samples<S> {
    /// `source` stands at the first of `length` bytes of samples. The caller has compared `length` with the file;
    /// `warnings` tells of any difference.
    pub(super) fn open(
        path: &Path,
        source: S,
        layout: Layout,
        length: u64,
        warnings: Vec<String>,
    ) -> (Shape, Box<dyn Blocks>) {
        (layout.shape(), Box::new(Self::new(path, source, layout, length, warnings)))
    }
}

impl<S: Read> Samples<S> {
    /// The same, not behind a box.
    pub(super) fn new(path: &Path, source: S, layout: Layout, length: u64, warnings: Vec<String>) -> Self {
        let input = BufReader::new(source).take(length);
        let is_settled = layout.encoding != Encoding::I24Of32;
        Self { path: path.into(), layout, input, warnings, bytes: Vec::new(), is_settled }
    }

    /// What is read from.
    pub(super) fn source(&self) -> &S {
        self.input.get_ref().get_ref()
    }

    /// Reads the bytes that are there, and waits for one frame at least. While it is not known where 24 bits stand in 4 bytes, waits
    /// for a whole block.
    fn fill(&mut self) -> std::io::Result<()> {
        let frame = self.layout.frame_bytes() as usize;
        let (most, mut count) = (BLOCK / frame * frame, self.bytes.len());
        self.bytes.resize(most, 0);
        while count < if self.is_settled { frame } else { most } {
            match self.input.read(&mut self.bytes[count..]) {
                Ok(0) => break,
                Ok(read) => count += read,
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
        self.bytes.truncate(count);
        Ok(())
    }

    /// Finds out where 24 bits stand in 4 bytes: at the top if a top byte is no sign. The first block that is not all silent decides.
    fn settle(&mut self, whole: usize) {
        let bytes = &self.bytes[..whole];
        if !self.is_settled && bytes.iter().any(|&byte| byte != 0) {
            self.is_settled = true;
            if bytes.as_chunks::<4>().0.iter().any(|&[.., top]| !matches!(top, 0 | 0xFF)) {
                self.layout.encoding = Encoding::I32;
            }
        }
    }
}

impl<S: Read + Send + Sync> Blocks for Samples<S> {
    fn next(&mut self, block: &mut Vec<Vec<f32>>, warnings: &mut Vec<String>) -> Result<bool> {
        let frame = self.layout.frame_bytes() as usize;
        self.fill().map_err(Error::io(&self.path, "read"))?;
        let whole = self.bytes.len() / frame * frame;
        if whole == 0 {
            warnings.append(&mut self.warnings);
            return Ok(false);
        }
        if self.layout.big_endian {
            self.bytes[..whole].chunks_exact_mut(self.layout.sample_bytes()).for_each(<[u8]>::reverse);
        }
        self.settle(whole);
        block.iter_mut().for_each(Vec::clear);
        self.layout.decode(&self.bytes[..whole], block);
        self.bytes.drain(..whole);
        Ok(true)
    }
}

/// The unsigned integer in `bytes`, in the file's byte order.
pub(super) fn number(bytes: &[u8], big_endian: bool) -> u64 {
    let shift_in = |number, &byte: &u8| number << 8 | u64::from(byte);
    if big_endian { bytes.iter().fold(0, shift_in) } else { bytes.iter().rev().fold(0, shift_in) }
}
