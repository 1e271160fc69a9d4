//! Parses FLAC's STREAMINFO block and frame headers.

use super::{Decoder, parameters};
use crate::Result;
use crate::audio::source::Shape;
use std::path::Path;
use symphonia::core::checksum::{Crc8Ccitt, Crc16Ansi};
use symphonia::core::codecs::audio::well_known::CODEC_ID_FLAC;
use symphonia::core::io::Monitor;

/// Bytes of the STREAMINFO block.
pub(super) const INFO: usize = 34;
/// Channel masks in WAV's format for one to eight channels, in the channel order of FLAC and Vorbis.
pub(in crate::audio) const MASKS: [u32; 8] = [0x4, 0x3, 0x7, 0x33, 0x37, 0x3F, 0x70F, 0x63F];
/// The prefix of a comment that states another mask.
pub(in crate::audio) const MASK_COMMENT: &str = "WAVEFORMATEXTENSIBLE_CHANNEL_MASK=";

/// The fields of STREAMINFO.
#[derive(Clone)]
pub(super) struct Info {
    /// The raw block.
    pub(super) bytes: Vec<u8>,
    /// Samples of the shortest and the longest frame.
    pub(super) shortest: u32,
    pub(super) longest: u32,
    /// Bytes of the smallest frame; 0 if unknown.
    pub(super) smallest: u64,
    pub(super) channels: usize,
    pub(super) sample_rate: u32,
    pub(super) bits: u32,
    /// Samples per channel; None if unknown.
    pub(super) total: Option<u64>,
    pub(super) checksum: bool,
    /// Channel mask in WAV's format.
    pub(super) mask: u32,
}

impl Info {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let block = bytes.first_chunk::<INFO>()?;
        let number = |range: std::ops::Range<usize>| block[range].iter().fold(0, |n, &byte| n << 8 | u64::from(byte));
        let packed = number(10..18);
        let total = packed & ((1 << 36) - 1);
        let info = Self {
            bytes: block.to_vec(),
            shortest: number(0..2) as u32,
            longest: number(2..4) as u32,
            // An encoder that does not know the sizes may leave them in the wrong order.
            smallest: Some(number(4..7)).filter(|&smallest| smallest <= number(7..10)).unwrap_or(0),
            channels: (packed >> 41 & 7) as usize + 1,
            sample_rate: (packed >> 44) as u32,
            bits: (packed >> 36 & 31) as u32 + 1,
            total: (total > 0).then_some(total),
            checksum: block[18..].iter().any(|&byte| byte != 0),
            mask: MASKS[(packed >> 41 & 7) as usize],
        };
        (info.longest > 0 && info.sample_rate > 0).then_some(info)
    }

    pub(super) fn shape(&self) -> Shape {
        let (channels, sample_rate) = (self.channels, self.sample_rate);
        Shape { channels, sample_rate, bits: Some(self.bits), mask: self.mask }
    }

    pub(super) fn decoder(&self, path: &Path) -> Result<Decoder> {
        let parameters = parameters(CODEC_ID_FLAC, self.bytes.clone());
        Decoder::new(path, &parameters, &self.shape(), self.checksum)
    }

    /// An upper bound on the bytes of a frame.
    pub(super) fn frame_bytes(&self) -> usize {
        self.longest as usize * self.channels * (self.bits as usize / 8 + 2) + (1 << 12)
    }
}

/// The fields of a frame header.
#[derive(Clone, Copy)]
pub(super) struct Header {
    /// Samples per channel.
    pub(super) samples: u32,
    pub(super) number: u64,
    /// Whether `number` counts frames, not samples.
    pub(super) counts_frames: bool,
    /// Bytes of this header.
    bytes: usize,
    /// The side channel (the difference of the two), which has one more bit than the others.
    side: Option<usize>,
}

impl Header {
    /// Parses the header at the start of `bytes`. Returns None unless it fits the file.
    pub(super) fn parse(bytes: &[u8], info: &Info) -> Option<Self> {
        let &[0xFF, sync, sizes, kinds, ..] = bytes else { return None };
        if sync & 0xFE != 0xF8 || kinds & 1 != 0 {
            return None;
        }
        let (number, mut at) = coded_number(&bytes[4..])?;
        at += 4;
        let mut field = |count: usize| {
            let value = bytes.get(at..at + count)?.iter().fold(0, |n, &byte| n << 8 | u32::from(byte));
            at += count;
            Some(value)
        };
        let samples = match sizes >> 4 {
            0 => return None,
            1 => 192,
            code @ 2..=5 => 576 << (code - 2),
            6 => field(1)? + 1,
            7 => field(2)? + 1,
            code => 256 << (code - 8),
        };
        let sample_rate = match sizes & 15 {
            0 => info.sample_rate,
            12 => 1000 * field(1)?,
            13 => field(2)?,
            14 => 10 * field(2)?,
            15 => return None,
            code => [88_200, 176_400, 192_000, 8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000]
                [usize::from(code) - 1],
        };
        let (channels, side) = match kinds >> 4 {
            code @ 0..=7 => (usize::from(code) + 1, None),
            9 => (2, Some(0)),
            8 | 10 => (2, Some(1)),
            _ => return None,
        };
        let bits = [info.bits, 8, 12, 0, 16, 20, 24, 32][usize::from(kinds >> 1 & 7)];
        let fits =
            samples <= info.longest && (sample_rate, channels, bits) == (info.sample_rate, info.channels, info.bits);
        let mut sum = Crc8Ccitt::new(0);
        sum.process_buf_bytes(bytes.get(..at)?);
        let header = Self { samples, number, counts_frames: sync & 1 == 0, bytes: at + 1, side };
        (fits && sum.crc() == *bytes.get(at)?).then_some(header)
    }

    /// Finds the end of the frame at the start of `bytes` by parsing its subframes. Returns its size if the checksum is
    /// right. Decodes no samples: the frame may be damaged, and no decoder has to survive it.
    pub(super) fn size(&self, bytes: &[u8], info: &Info) -> Option<usize> {
        let mut bits = Bits { bytes, at: 8 * self.bytes };
        for channel in 0..info.channels {
            self.pass_channel(&mut bits, info.bits + u32::from(self.side == Some(channel)))?;
        }
        let size = bits.at.div_ceil(8) + 2;
        let mut sum = Crc16Ansi::new(0);
        sum.process_buf_bytes(bytes.get(..size)?);
        (sum.crc() == 0).then_some(size)
    }

    /// Skips a subframe with samples of `width` bits.
    fn pass_channel(&self, bits: &mut Bits, width: u32) -> Option<()> {
        let kind = bits.take(7)?;
        let wasted = if bits.take(1)? == 1 { bits.zeros()? + 1 } else { 0 };
        let (width, samples) = (width.checked_sub(wasted)? as usize, self.samples as usize);
        match kind {
            0 => bits.pass(width),
            1 => bits.pass(width * samples),
            8..=12 => {
                bits.pass(width * (kind as usize - 8))?;
                self.pass_residual(bits, kind as usize - 8)
            }
            32..=63 => {
                let order = kind as usize - 31;
                bits.pass(width * order)?;
                let precision = bits.take(4)? as usize + 1;
                bits.pass(5 + precision * order)?;
                self.pass_residual(bits, order)
            }
            _ => None,
        }
    }

    /// Skips the residual of a predictor of this order.
    fn pass_residual(&self, bits: &mut Bits, order: usize) -> Option<()> {
        let width = match bits.take(2)? {
            0 => 4,
            1 => 5,
            _ => return None,
        };
        let parts = bits.take(4)?;
        for part in 0..1 << parts {
            let count = (self.samples as usize >> parts).checked_sub(if part == 0 { order } else { 0 })?;
            let low = bits.take(width)?;
            if low == (1 << width) - 1 {
                let plain = bits.take(5)? as usize;
                bits.pass(plain * count)?;
            } else {
                for _ in 0..count {
                    bits.zeros()?;
                    bits.pass(low as usize)?;
                }
            }
        }
        Some(())
    }
}

/// Reads bits from the most significant of each byte to the least.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| {
            let bit = *self.bytes.get(self.at / 8)? >> (7 - self.at % 8) & 1;
            self.at += 1;
            Some(value << 1 | u32::from(bit))
        })
    }

    /// Skips a run of zeros and the one after it. Returns the number of zeros.
    fn zeros(&mut self) -> Option<u32> {
        let begin = self.at;
        loop {
            let rest = *self.bytes.get(self.at / 8)? << (self.at % 8);
            if rest != 0 {
                self.at += rest.leading_zeros() as usize + 1;
                return u32::try_from(self.at - 1 - begin).ok();
            }
            self.at = 8 * (self.at / 8 + 1);
        }
    }

    fn pass(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count)?;
        (self.at <= 8 * self.bytes.len()).then_some(())
    }
}

/// A number of up to 36 bits in UTF-8 style coding, and its length in bytes.
fn coded_number(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = match first.leading_ones() {
        0 => return Some((u64::from(first), 1)),
        ones @ 2..=7 => ones as usize,
        _ => return None,
    };
    let start = u64::from(first) & ((1_u64 << (7 - length.min(7))) - 1);
    bytes.get(1..length)?.iter().try_fold((start, length), |(number, length), &byte| {
        (byte >> 6 == 2).then_some((number << 6 | u64::from(byte & 63), length))
    })
}
