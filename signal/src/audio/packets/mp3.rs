//! Finds and decodes the frames of an MP3, to the end of the file, whatever frame count its tag states.
//!
//! A frame counts as sound if another frame, a tag or the end of the file follows it. Otherwise bytes are damaged or
//! lost. The search then goes on to the next frame that is followed by another. The bytes between become silence: as
//! many frames as they would hold.

use super::mpeg::{Header, MAX_FRAME, StreamTag, chain};
use super::timeline::Timeline;
use super::window::Window;
use super::{Decoder, Decoding, Packets, changes, parameters, undecodable};
use crate::audio::source::{Blocks, Shape, Source};
use crate::audio::tags;
use crate::{Error, Result};
use std::io::Take;
use std::path::{Path, PathBuf};
use symphonia::core::codecs::audio::well_known::CODEC_ID_MP3;

/// Bytes to look ahead from a frame: three frames and a header.
const LOOK: usize = 3 * MAX_FRAME + tags::HEAD;
/// The number of recent frames whose mean size estimates the frames lost in a gap.
const RECENT: u32 = 64;

/// Opens the frames between `start` and `end`. Trailing tags begin at `end`.
pub(super) fn open(path: &Path, source: impl Source, start: u64, end: u64) -> Result<(Shape, Box<dyn Blocks>)> {
    let mut window = Window::new(source.take(end - start), start);
    let head = window.peek(LOOK).map_err(Error::io(path, "read"))?;
    let Some(header) = Header::parse(head).filter(|header| header.layer == 3) else {
        return Err(Error::audio(path, "ends before its first sample; record or copy it again"));
    };
    let mask = if header.channels == 1 { 4 } else { 3 };
    let shape = Shape { channels: header.channels, sample_rate: header.sample_rate, bits: None, mask };
    let decoder = Decoder::new(path, &parameters(CODEC_ID_MP3, Vec::new()), &shape, false)?;
    let mp3 = Mp3 {
        path: path.into(),
        window,
        decoder,
        format: header,
        part: Part::default(),
        mean: Mean::default(),
        first: true,
        decoded: 0,
        passed: 0,
        left: 0,
        cut: false,
        odd: Vec::new(),
    };
    let line = Timeline::new(shape.channels, shape.sample_rate);
    Ok(Decoding::open(path, shape, mp3, line))
}

struct Mp3<S> {
    path: PathBuf,
    window: Window<Take<S>>,
    decoder: Decoder,
    /// The format of all frames.
    format: Header,
    part: Part,
    mean: Mean,
    /// Whether no frame was found yet.
    first: bool,
    /// Number of decoded frames.
    decoded: u64,
    /// Bytes between frames that are not audio, and too few for a frame.
    passed: u64,
    /// Bytes after the last frame that are not audio.
    left: u64,
    /// Whether the file ends inside a frame.
    cut: bool,
    /// Warnings about parts whose tag states another frame count.
    odd: Vec<String>,
}

/// The frames between two encoder tags. Concatenated files have several parts.
#[derive(Default)]
struct Part {
    tag: Option<StreamTag>,
    /// Number of frames, including lost ones.
    found: u64,
}

impl Part {
    /// A warning if the tag's count differs from the frames found.
    fn oddity(&self) -> Option<String> {
        let (counted, found) = (u64::from(self.tag?.frames?), self.found);
        let what = format!("its tag counts {counted} frames");
        match counted.cmp(&found) {
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Less => Some(format!("{what}, but {found} were found; read all")),
            std::cmp::Ordering::Greater => Some(format!("cut short: {what}, but {found} were found")),
        }
    }
}

/// The mean frame size. Exact for a constant bitrate.
#[derive(Default)]
struct Mean {
    bitrate: u32,
    count: u32,
    bytes: f64,
}

impl Mean {
    fn add(&mut self, header: &Header) {
        let size = header.samples() as f64 / 8.0 * f64::from(header.bitrate) / f64::from(header.sample_rate);
        if self.bitrate != header.bitrate {
            self.bitrate = if self.count == 0 { header.bitrate } else { 0 };
        }
        self.count = (self.count + 1).min(RECENT);
        self.bytes += (size - self.bytes) / f64::from(self.count);
    }

    /// The number of frames that `bytes` bytes would hold.
    fn frames(&self, bytes: u64) -> u64 {
        if self.count == 0 { 0 } else { (bytes as f64 / self.bytes).round() as u64 }
    }
}

/// The element at the current position.
enum Here {
    Frame(Header),
    Tag(u64),
    End,
    Nothing,
}

impl<S: Source> Packets for Mp3<S> {
    fn step(&mut self, line: &mut Timeline) -> Result<bool> {
        match self.look()? {
            Here::Frame(header) => {
                let frame = self.window.seen(header.bytes).to_vec();
                self.window.pass(header.bytes as u64).map_err(Error::io(&self.path, "read"))?;
                self.take(&header, &frame, line)?;
            }
            Here::Tag(size) => self.window.pass(size).map_err(Error::io(&self.path, "read"))?,
            Here::End => return Ok(false),
            Here::Nothing => self.search(line)?,
        }
        Ok(true)
    }

    fn end(&mut self, line: &mut Timeline, warnings: &mut Vec<String>) -> Result<()> {
        if self.decoded == 0 {
            return Err(undecodable(&self.path));
        }
        let oddity = self.part.oddity();
        // Trim the padding only if the file ends at the tag's frame count. Only there does the padding end the audio.
        line.release(oddity.is_some() && self.part.tag.is_some_and(|tag| tag.frames != Some(0)));
        let says_so = self.odd.iter().chain(&oddity).any(|odd| odd.starts_with("cut short"));
        if self.cut && !says_so {
            warnings.push("cut short: it ends inside a frame".to_owned());
        }
        warnings.append(&mut self.odd);
        warnings.extend(oddity);
        if self.passed > 0 {
            warnings.push(format!("damaged: ignored {} bytes between its frames", self.passed));
        }
        if self.left > 0 {
            warnings.push(format!("ignored {} bytes after its last frame", self.left));
        }
        Ok(())
    }
}

impl<S: Source> Mp3<S> {
    /// Identifies the element at the window. A frame must be followed by something that fits.
    fn look(&mut self) -> Result<Here> {
        let bytes = self.window.peek(LOOK).map_err(Error::io(&self.path, "read"))?;
        if bytes.is_empty() {
            return Ok(Here::End);
        }
        if let Some(size) = tag(bytes) {
            return Ok(Here::Tag(size));
        }
        let Some(header) = Header::parse(bytes).filter(|header| header.is_like(&self.format)) else {
            return Ok(Here::Nothing);
        };
        let Some(next) = bytes.get(header.bytes..) else { return Ok(Here::Nothing) };
        // Fewer than 4 leftover bytes cannot be a header, so they do not speak against this frame.
        let follows =
            next.len() < 4 || Header::parse(next).is_some_and(|next| next.is_like(&self.format)) || tag(next).is_some();
        Ok(if follows { Here::Frame(header) } else { Here::Nothing })
    }

    /// Takes a frame: an encoder tag or sound.
    fn take(&mut self, header: &Header, frame: &[u8], line: &mut Timeline) -> Result<()> {
        let first = std::mem::take(&mut self.first);
        if let Some(tag) = StreamTag::parse(frame, header) {
            let before = std::mem::replace(&mut self.part, Part { tag: Some(tag), found: 0 });
            self.odd.extend(before.oddity());
            if first {
                line.skip(u64::from(tag.delay));
            }
            line.hold(u64::from(tag.padding));
            return Ok(());
        }
        self.part.found += 1;
        self.mean.add(header);
        let mut block = line.block();
        if self.decoder.decode(&self.path, frame, &mut block)? {
            self.decoded += 1;
            line.put(block);
        } else {
            line.gap(header.samples());
        }
        Ok(())
    }

    /// Searches for the next frame or tag, after bytes that are neither.
    fn search(&mut self, line: &mut Timeline) -> Result<()> {
        let begin = self.window.position();
        // The header here may be right even though the bytes after its frame are not.
        let bytes = self.window.seen(LOOK);
        let doubtful = Header::parse(bytes).filter(|header| header.is_like(&self.format));
        let doubtful = doubtful.map(|header| (header, bytes.get(..header.bytes).map(<[u8]>::to_vec)));
        let found = loop {
            self.window.pass(1).map_err(Error::io(&self.path, "read"))?;
            let bytes = self.window.peek(LOOK).map_err(Error::io(&self.path, "read"))?;
            match *bytes {
                [] => break false,
                [0xFF | b'A' | b'I' | b'L' | b'T', ..] => {}
                _ => continue,
            }
            if tag(bytes).is_some() {
                break true;
            }
            let Some(header) = Header::parse(bytes) else { continue };
            let (count, to_the_end) = chain(bytes, 3);
            if header.is_like(&self.format) && (count >= 2 || to_the_end) {
                break true;
            }
            if header.layer == 3 && count == 3 {
                return Err(changes(&self.path));
            }
        };
        let mut bytes = self.window.position() - begin;
        match doubtful {
            Some((header, Some(frame))) if bytes >= frame.len() as u64 => {
                self.take(&header, &frame, line)?;
                bytes -= frame.len() as u64;
            }
            Some((_, None)) if !found => {
                self.cut = true;
                return Ok(());
            }
            _ => {}
        }
        let mut lost = self.mean.frames(bytes);
        if !found {
            // At the end of the file no later sample has to keep its time. So frames are lost only as far as a tag has
            // counted them.
            let counted = self.part.tag.and_then(|tag| tag.frames).map_or(0, u64::from);
            lost = lost.min(counted.saturating_sub(self.part.found));
        }
        if lost > 0 && line.gap(lost * self.format.samples()) {
            self.part.found += lost;
            self.decoder.reset();
        } else if found {
            self.passed += bytes;
        } else {
            self.left += bytes;
        }
        Ok(())
    }
}

/// The size of the tag at the start of `bytes`.
fn tag(bytes: &[u8]) -> Option<u64> {
    match bytes {
        // ID3v1 has no other mark than its name. It counts as a tag if a frame, another tag or the end follows.
        [b'T', b'A', b'G', ..] => {
            let next = bytes.get(128..)?;
            (next.is_empty() || Header::parse(next).is_some() || tags::leading(next).is_some()).then_some(128)
        }
        [b'L', b'Y', b'R', b'I', b'C', b'S', b'B', ..] => {
            let ends = |end: &[u8; 9]| bytes.windows(9).position(|bytes| bytes == end);
            ends(b"LYRICS200").or_else(|| ends(b"LYRICSEND")).map(|at| at as u64 + 9)
        }
        _ => tags::leading(bytes),
    }
}
