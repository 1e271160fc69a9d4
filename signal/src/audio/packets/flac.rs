//! Finds and decodes the frames of a FLAC.
//!
//! A frame states no length: it ends where the next one begins, and its checksum confirms the end. A frame with a wrong
//! checksum becomes silence. The number of the next good frame restores the time.

use super::flac_frame::{Header, INFO, Info, MASK_COMMENT};
use super::timeline::Timeline;
use super::window::Window;
use super::{Decoder, Decoding, Packets, changes, undecodable};
use crate::audio::source::{Blocks, Shape, Source};
use crate::{Error, Result};
use memchr::memchr;
use std::io::{Read, Take};
use std::path::{Path, PathBuf};
use symphonia::core::checksum::Crc16Ansi;
use symphonia::core::io::Monitor;

/// Bytes of the longest header of a frame.
const MAX_HEADER: usize = 16;
/// Bytes of comments that are searched for a channel mask.
const MAX_COMMENTS: usize = 1 << 16;
/// The number of possible next headers within a frame after which the frame is given up.
const MAX_DOUBTS: usize = 4;
/// Opens the FLAC between `start` and `end`. Trailing tags begin at `end`.
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

/// Skips the marker and the metadata blocks.
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

/// The channel mask in a comment block, if it has one.
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
    /// Timeline position of the stream's sample 0. Concatenated files hold several streams. The excerpt of a stream has
    /// its sample 0 before the file begins.
    base: i64,
    /// Samples per frame in streams that number frames; 0 before the first frame.
    block: u32,
    /// Bytes of the previous frame.
    size: usize,
    /// The damage since the last good frame.
    damage: Option<Damage>,
    /// Number of decoded frames.
    decoded: u64,
    /// Whether anything was damaged. If so, the checksum of the whole stream cannot match.
    broken: bool,
    /// Warnings so far.
    odd: Vec<String>,
}

#[derive(Default)]
struct Damage {
    bytes: u64,
    /// Where the last frame with a good header but a bad body ends, in samples of this stream.
    ends: Option<u64>,
}

/// The extent of a frame.
enum Extent {
    Good(usize),
    /// The frame is bad. The next one may begin this many bytes further on.
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
    /// The stream sample at which a frame begins.
    fn start(&self, header: &Header) -> u64 {
        let block = if self.info.shortest == self.info.longest { self.info.longest } else { self.block };
        if header.counts_frames { header.number * u64::from(block.max(1)) } else { header.number }
    }

    /// The number that the next frame should have.
    fn next_number(header: &Header) -> u64 {
        header.number + if header.counts_frames { 1 } else { u64::from(header.samples) }
    }

    /// Finds the end of the current frame: the next header at which the frame's checksum is right.
    fn extent(&mut self, header: &Header) -> Result<Extent> {
        let most = self.info.frame_bytes();
        let mut sum = Crc16Ansi::new(0);
        // `summed` counts the bytes in the checksum, `at` the bytes in which no frame begins.
        let (mut summed, mut at) = (0, 6);
        let mut doubts = Vec::new();
        let mut wanted = (self.size + self.size / 4 + 1024).min(most);
        loop {
            let bytes = self.window.peek(wanted + MAX_HEADER).map_err(Error::io(&self.path, "read"))?;
            let ended = bytes.len() < wanted + MAX_HEADER;
            let to = if ended { bytes.len() } else { wanted };
            while let Some(found) = bytes.get(at..to).and_then(|rest| memchr(0xFF, rest)) {
                at += found;
                if let Some(next) = Header::parse(&bytes[at..], &self.info).filter(|n| n.number > header.number) {
                    sum.process_buf_bytes(&bytes[summed..at]);
                    summed = at;
                    if sum.crc() == 0 {
                        return Ok(Extent::Good(at));
                    }
                    if let Some(marker) = joint(&bytes[..at]) {
                        return self.alone(header, marker, 1);
                    }
                    // Its number proves that this is the next frame, so the frame before it is damaged. Any other
                    // number may be chance.
                    if next.number == Self::next_number(header) {
                        return self.alone(header, at, at);
                    }
                    doubts.push(at);
                }
                at += 1;
            }
            at = at.max(to);
            if ended || wanted >= most {
                let marker = joint(&bytes[..to]);
                if let Some(last) = marker.or(ended.then_some(to)).filter(|_| doubts.is_empty()) {
                    return self.alone(header, last, 1);
                }
            }
            if ended || wanted >= most || doubts.len() >= MAX_DOUBTS {
                let next = doubts.first().copied().unwrap_or(1);
                return self.alone(header, next, next);
            }
            wanted = (2 * wanted).min(most);
        }
    }

    /// Decides the extent of a frame that no fitting header follows. Parses its subframes within `within` bytes. If
    /// they do not match the checksum, the frame is damaged and the search goes on `next` bytes further.
    fn alone(&mut self, header: &Header, within: usize, next: usize) -> Result<Extent> {
        let size = header.size(self.window.seen(within), &self.info);
        Ok(size.map_or(Extent::Damaged(next), Extent::Good))
    }

    /// Decodes a good frame, after silence for the frames lost before it.
    fn take(&mut self, header: &Header, size: usize, line: &mut Timeline) -> Result<()> {
        if self.block == 0 {
            self.block = header.samples;
        }
        let (start, here) = (self.start(header), line.position() as i64);
        let lost = self.base + start as i64 - here;
        let first = self.decoded == 0;
        // A stream that does not begin with number 0 is an excerpt. A stream whose numbers jump back was concatenated.
        let believed = match &self.damage {
            None => !first,
            Some(damage) => !first || self.could_hold(damage, lost.unsigned_abs()),
        } && self.info.total.is_none_or(|total| start < total);
        if lost != 0 && !(lost > 0 && believed && line.gap(lost.unsigned_abs())) {
            self.base = here - start as i64;
            if !first {
                self.odd.push("its frame numbers are not consecutive".to_owned());
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

    /// Whether the damaged bytes can have held this many samples.
    fn could_hold(&self, damage: &Damage, samples: u64) -> bool {
        let frames = 1 + 4 * damage.bytes / (self.size as u64).max(256);
        samples <= frames * u64::from(self.info.longest)
    }

    /// Skips bytes that form no good frame.
    fn damaged(&mut self, size: u64) -> Result<()> {
        self.broken = true;
        self.damage.get_or_insert_default().bytes += size;
        self.window.pass(size).map_err(Error::io(&self.path, "read"))
    }

    /// Searches for the next possible frame.
    fn search(&mut self) -> Result<()> {
        loop {
            let bytes = self.window.peek(MAX_HEADER).map_err(Error::io(&self.path, "read"))?;
            if bytes.is_empty() || bytes.starts_with(b"fLaC") || Header::parse(bytes, &self.info).is_some() {
                return Ok(());
            }
            self.damaged(1)?;
        }
    }

    /// Continues with another FLAC stream that follows this one.
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

    /// Compares the samples found with the header's count and checksum.
    fn finish(&mut self, line: &mut Timeline) -> Result<()> {
        let found = (line.position() as i64 - self.base).max(0) as u64;
        let (total, damage) = (self.info.total, self.damage.take());
        // A file that ends within a frame was truncated. A damaged last frame keeps its duration as silence.
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
                self.odd.push(format!("its header counts {total} samples, but {found} were found; read all"));
                self.broken = true;
            }
            (_, Some(damage)) => self.odd.push(format!("ignored {} bytes after its last frame", damage.bytes)),
            _ => {}
        }
        if !self.broken && !self.decoder.verified() {
            self.odd.push("damaged: its samples do not match the checksum in its header".to_owned());
        }
        Ok(())
    }
}

/// The position in `bytes` where another FLAC stream begins.
fn joint(bytes: &[u8]) -> Option<usize> {
    let begins = |bytes: &[u8]| bytes.starts_with(b"fLaC") && bytes[4] & 0x7F == 0 && bytes[5..] == [0, 0, 0x22];
    bytes.windows(8).position(begins)
}
