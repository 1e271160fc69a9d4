//! The frames of a FLAC.
//!
//! A frame has no length: it ends where the next one begins, and its checksum says whether it does. A frame that fails
//! it is silent; the next good one says by its number when it sounds.

use super::timeline::Timeline;
use super::window::Window;
use super::{Decoder, Decoding, Packets, changes, parameters, undecodable};
use crate::audio::reader::{Blocks, Shape, Source};
use crate::{Error, Result};
use std::io::{Read, Take};
use std::path::{Path, PathBuf};
use symphonia::core::checksum::{Crc8Ccitt, Crc16Ansi};
use symphonia::core::codecs::audio::well_known::CODEC_ID_FLAC;
use symphonia::core::io::Monitor;

/// Bytes of the STREAMINFO block.
pub(super) const INFO: usize = 34;
/// Bytes of the longest header of a frame.
const MAX_HEADER: usize = 16;
/// Bytes of comments in which a mask is looked for.
const MAX_COMMENTS: usize = 1 << 16;
/// So many frames may seem to begin within one before it is given up.
const MAX_DOUBTS: usize = 4;
/// Channel masks as WAV has them, of one to eight channels as FLAC and Vorbis order them.
pub(in crate::audio) const MASKS: [u32; 8] = [0x4, 0x3, 0x7, 0x33, 0x37, 0x3F, 0x70F, 0x63F];
/// What a comment begins with that has another mask.
pub(in crate::audio) const MASK_COMMENT: &str = "WAVEFORMATEXTENSIBLE_CHANNEL_MASK=";

/// What a file says of itself.
#[derive(Clone)]
pub(super) struct Info {
    /// The block as it is in the file.
    pub(super) bytes: Vec<u8>,
    /// Samples of the shortest and longest frames.
    shortest: u32,
    longest: u32,
    /// Bytes of the smallest frame; 0 if it does not say.
    smallest: u64,
    pub(super) channels: usize,
    pub(super) sample_rate: u32,
    pub(super) bits: u32,
    /// Samples of each channel; None if it does not say.
    total: Option<u64>,
    checksum: bool,
    /// As WAV has it.
    mask: u32,
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
            smallest: number(4..7),
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

    /// More bytes than an encoder needs for a frame.
    fn frame_bytes(&self) -> usize {
        self.longest as usize * self.channels * (self.bits as usize / 8 + 2) + (1 << 12)
    }
}

/// What a frame says of itself.
#[derive(Clone, Copy)]
struct Header {
    /// Samples of each channel.
    samples: u32,
    number: u64,
    /// Whether frames are counted, not samples.
    counts_frames: bool,
}

impl Header {
    /// The header at the start of `bytes`, if there is one that suits the file.
    fn parse(bytes: &[u8], info: &Info) -> Option<Self> {
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
        let channels = match kinds >> 4 {
            code @ 0..=7 => usize::from(code) + 1,
            8..=10 => 2,
            _ => return None,
        };
        let bits = [info.bits, 8, 12, 0, 16, 20, 24, 32][usize::from(kinds >> 1 & 7)];
        let fits =
            samples <= info.longest && (sample_rate, channels, bits) == (info.sample_rate, info.channels, info.bits);
        let mut sum = Crc8Ccitt::new(0);
        sum.process_buf_bytes(bytes.get(..at)?);
        (fits && sum.crc() == *bytes.get(at)?).then_some(Self { samples, number, counts_frames: sync & 1 == 0 })
    }
}

/// A number as UTF-8 would code it, with up to 36 bits, and its length.
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

/// Opens the FLAC from `start` to `end`, where tags begin.
pub(super) fn open(path: &Path, source: impl Source, start: u64, end: u64) -> Result<(Shape, Box<dyn Blocks>)> {
    let mut window = Window::new(source.take(end - start), start);
    let info = begin(path, &mut window)?;
    let shape = info.shape();
    if window.peek(1).map_err(Error::io(path, "read"))?.is_empty() {
        return Err(Error::audio(path, "ends before its first sample; record or copy it again"));
    }
    let flac = Flac {
        path: path.into(),
        window,
        decoder: info.decoder(path)?,
        info,
        base: 0,
        block: 0,
        size: 0,
        damage: None,
        decoded: 0,
        broken: false,
        odd: Vec::new(),
    };
    let line = Timeline::new(shape.channels, shape.sample_rate);
    Ok(Decoding::open(path, shape, flac, line))
}

/// Passes the marker and the blocks of metadata.
fn begin<S: Read>(path: &Path, window: &mut Window<S>) -> Result<Info> {
    let (mut info, mut mask) = (None, None);
    window.pass(4).map_err(Error::io(path, "read"))?;
    loop {
        let head = window.peek(4 + INFO).map_err(Error::io(path, "read"))?;
        let &[kind, a, b, c, ..] = head else {
            return Err(Error::audio(path, "ends before its first sample; record or copy it again"));
        };
        if kind & 0x7F == 0 && info.is_none() {
            info = Info::parse(&head[4..]);
        }
        let size = u64::from(u32::from_be_bytes([0, a, b, c]));
        if kind & 0x7F == 4 {
            let block = window.peek(4 + (size as usize).min(MAX_COMMENTS)).map_err(Error::io(path, "read"))?;
            mask = mask.or(commented_mask(block));
        }
        window.pass(4 + size).map_err(Error::io(path, "read"))?;
        if kind & 0x80 != 0 {
            break;
        }
    }
    let info: Option<Info> = info.map(|info: Info| Info { mask: mask.unwrap_or(info.mask), ..info });
    info.ok_or_else(|| Error::audio(path, "cannot be decoded: its header is damaged; copy it again"))
}

/// The mask of channels that a block of comments tells.
fn commented_mask(block: &[u8]) -> Option<u32> {
    let name = MASK_COMMENT.as_bytes();
    let at = block.windows(name.len()).position(|bytes| bytes.eq_ignore_ascii_case(name))? + name.len();
    let digits = block[at..].strip_prefix(b"0x")?;
    let count = digits.iter().take(8).take_while(|digit| digit.is_ascii_hexdigit()).count();
    u32::from_str_radix(std::str::from_utf8(&digits[..count]).ok()?, 16).ok()
}

struct Flac<S> {
    path: PathBuf,
    window: Window<Take<S>>,
    info: Info,
    decoder: Decoder,
    /// Where on the line this stream's sample 0 is: files that were joined have several, a part of a stream one before 0.
    base: i64,
    /// Samples of a frame, where frames are counted; 0 before the first.
    block: u32,
    /// Bytes of the frame before.
    size: usize,
    /// What is damaged since the last good frame.
    damage: Option<Damage>,
    /// Frames.
    decoded: u64,
    /// Whether anything was damaged, so that the checksum of the whole cannot be right.
    broken: bool,
    /// What there is to say of it.
    odd: Vec<String>,
}

#[derive(Default)]
struct Damage {
    bytes: u64,
    /// Where a frame ends that has a good header and nothing good behind it, in samples of this stream.
    ends: Option<u64>,
}

/// How far a frame goes.
enum Extent {
    Good(usize),
    /// Something may begin so many bytes further on.
    Damaged(usize),
}

impl<S: Source> Packets for Flac<S> {
    fn step(&mut self, line: &mut Timeline) -> Result<bool> {
        let bytes = self.window.peek(MAX_HEADER).map_err(Error::io(&self.path, "read"))?;
        if bytes.is_empty() {
            return Ok(false);
        }
        if bytes.starts_with(b"fLaC") {
            self.join(line)?;
            return Ok(true);
        }
        let Some(header) = Header::parse(bytes, &self.info) else {
            self.search()?;
            return Ok(true);
        };
        match self.extent(&header)? {
            Extent::Good(size) => self.take(&header, size, line)?,
            Extent::Damaged(size) => {
                self.damaged(size as u64)?;
                let ends = self.start(&header) + u64::from(header.samples);
                let damage = self.damage.get_or_insert_default();
                damage.ends = damage.ends.max(Some(ends));
            }
        }
        Ok(true)
    }

    fn end(&mut self, line: &mut Timeline, warnings: &mut Vec<String>) -> Result<()> {
        self.finish(line)?;
        if self.decoded == 0 {
            return Err(undecodable(&self.path));
        }
        warnings.append(&mut self.odd);
        Ok(())
    }
}

impl<S: Source> Flac<S> {
    /// The sample of this stream with which a frame begins.
    fn start(&self, header: &Header) -> u64 {
        let block = if self.info.shortest == self.info.longest { self.info.longest } else { self.block };
        if header.counts_frames { header.number * u64::from(block.max(1)) } else { header.number }
    }

    /// The number that the frame after this one has.
    fn next_number(header: &Header) -> u64 {
        header.number + if header.counts_frames { 1 } else { u64::from(header.samples) }
    }

    /// How far the frame goes that stands here: to the next that its checksum says is one.
    fn extent(&mut self, header: &Header) -> Result<Extent> {
        let most = self.info.frame_bytes();
        let mut sum = Crc16Ansi::new(0);
        // Bytes that the sum has, and bytes in which no frame begins.
        let (mut summed, mut at) = (0, 6);
        let mut doubts = Vec::new();
        let mut wanted = (self.size + self.size / 4 + 1024).min(most);
        loop {
            let bytes = self.window.peek(wanted + MAX_HEADER).map_err(Error::io(&self.path, "read"))?;
            let ended = bytes.len() < wanted + MAX_HEADER;
            let to = if ended { bytes.len() } else { wanted };
            while let Some(found) = bytes.get(at..to).and_then(|rest| rest.iter().position(|&byte| byte == 0xFF)) {
                at += found;
                if let Some(next) = Header::parse(&bytes[at..], &self.info).filter(|n| n.number > header.number) {
                    sum.process_buf_bytes(&bytes[summed..at]);
                    summed = at;
                    if sum.crc() == 0 {
                        return Ok(Extent::Good(at));
                    }
                    if let Some(marker) = joint(&bytes[..at]) {
                        return self.last_extent(marker);
                    }
                    // This is the next frame by its number, so the one before it is damaged. Any other may be chance.
                    if next.number == Self::next_number(header) {
                        return Ok(Extent::Damaged(at));
                    }
                    doubts.push(at);
                }
                at += 1;
            }
            at = at.max(to);
            if ended || wanted >= most {
                let marker = joint(&bytes[..to]);
                if let Some(last) = marker.or(ended.then_some(to)).filter(|_| doubts.is_empty()) {
                    return self.last_extent(last);
                }
            }
            if ended || wanted >= most || doubts.len() >= MAX_DOUBTS {
                return Ok(Extent::Damaged(doubts.first().copied().unwrap_or(1)));
            }
            wanted = (2 * wanted).min(most);
        }
    }

    /// How far the last frame of a stream goes, which may have anything behind it within `whole` bytes. Where its checksum
    /// is right, it may end; where it can be decoded as well, it does.
    fn last_extent(&mut self, whole: usize) -> Result<Extent> {
        let bytes = self.window.seen(whole);
        let mut sum = Crc16Ansi::new(0);
        let mut ends = Vec::new();
        for (at, &byte) in bytes.iter().enumerate() {
            sum.process_byte(byte);
            if at > 6 && sum.crc() == 0 {
                ends.push(at + 1);
            }
        }
        if ends.last() == Some(&whole) {
            return Ok(Extent::Good(whole));
        }
        let mut decoder = self.info.decoder(&self.path)?;
        let mut block = vec![Vec::new(); self.info.channels];
        for end in ends {
            if decoder.decode(&self.path, &bytes[..end], &mut block)? {
                return Ok(Extent::Good(end));
            }
        }
        Ok(Extent::Damaged(1))
    }

    /// Takes a good frame, and silence before it where frames were lost.
    fn take(&mut self, header: &Header, size: usize, line: &mut Timeline) -> Result<()> {
        if self.block == 0 {
            self.block = header.samples;
        }
        let (start, here) = (self.start(header), line.position() as i64);
        let lost = self.base + start as i64 - here;
        let first = self.decoded == 0;
        // A stream that begins with another number than 0 is a part of one; one that jumps back was joined.
        let believed = match &self.damage {
            None => !first,
            Some(damage) => !first || self.could_hold(damage, lost.unsigned_abs()),
        } && self.info.total.is_none_or(|total| start < total);
        if lost != 0 && !(lost > 0 && believed && line.gap(lost.unsigned_abs())) {
            self.base = here - start as i64;
            if !first {
                self.odd.push("its frames are not numbered one after the other".to_owned());
            }
        }
        self.broken |= lost != 0;
        self.damage = None;
        let mut block = line.block();
        if self.decoder.decode(&self.path, self.window.seen(size), &mut block)? {
            self.decoded += 1;
            line.put(block);
        } else {
            self.broken = true;
            line.gap(u64::from(header.samples));
        }
        self.size = size;
        self.window.pass(size as u64).map_err(Error::io(&self.path, "read"))
    }

    /// Whether the bytes that are damaged may have held so many samples.
    fn could_hold(&self, damage: &Damage, samples: u64) -> bool {
        let frames = 1 + 4 * damage.bytes / (self.size as u64).max(256);
        samples <= frames * u64::from(self.info.longest)
    }

    /// Passes bytes that are no good frame.
    fn damaged(&mut self, size: u64) -> Result<()> {
        self.broken = true;
        self.damage.get_or_insert_default().bytes += size;
        self.window.pass(size).map_err(Error::io(&self.path, "read"))
    }

    /// Looks for what may be the next frame.
    fn search(&mut self) -> Result<()> {
        loop {
            let bytes = self.window.peek(MAX_HEADER).map_err(Error::io(&self.path, "read"))?;
            if bytes.is_empty() || bytes.starts_with(b"fLaC") || Header::parse(bytes, &self.info).is_some() {
                return Ok(());
            }
            self.damaged(1)?;
        }
    }

    /// Another FLAC follows.
    fn join(&mut self, line: &mut Timeline) -> Result<()> {
        self.finish(line)?;
        let info = begin(&self.path, &mut self.window)?;
        let key = |info: &Info| (info.channels, info.sample_rate, info.bits);
        if key(&info) != key(&self.info) {
            return Err(changes(&self.path));
        }
        self.decoder = info.decoder(&self.path)?;
        self.info = info;
        self.base = line.position() as i64;
        (self.block, self.broken, self.damage) = (0, false, None);
        Ok(())
    }

    /// Holds what was found against what the header says.
    fn finish(&mut self, line: &mut Timeline) -> Result<()> {
        let found = (line.position() as i64 - self.base).max(0) as u64;
        let (total, damage) = (self.info.total, self.damage.take());
        // Where the file ends within a frame, it was cut. Where the last frame is damaged, its time is kept.
        let ends = damage.as_ref().and_then(|damage| match (total, damage.ends) {
            (Some(total), Some(ends)) if ends < total => None,
            _ if damage.bytes < self.info.smallest => None,
            (total, ends) => total.or(ends).filter(|end| self.could_hold(damage, end.saturating_sub(found))),
        });
        let lost = ends.map_or(0, |ends| ends.saturating_sub(found));
        if lost > 0 && line.gap(lost) {
            self.broken = true;
            return Ok(());
        }
        match (total, damage) {
            (Some(total), _) if found < total => {
                self.odd.push(format!("cut short: {found} of {total} samples are there"));
                self.broken = true;
            }
            (Some(total), _) if found > total => {
                self.odd.push(format!("its header counts {total} samples, but {found} are there; all were read"));
                self.broken = true;
            }
            (_, Some(damage)) => self.odd.push(format!("{} bytes after its last frame were not used", damage.bytes)),
            _ => {}
        }
        if !self.broken && !self.decoder.verified() {
            self.odd.push("damaged: its samples do not match the checksum in its header".to_owned());
        }
        Ok(())
    }
}

/// Where in `bytes` another FLAC begins.
fn joint(bytes: &[u8]) -> Option<usize> {
    bytes.windows(8).position(|bytes| bytes == b"fLaC\0\0\0\x22")
}
