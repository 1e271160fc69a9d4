//! Finds the pages of an Ogg and the Vorbis or FLAC packets in them.
//!
//! Each page has a checksum, a sequence number, and the sample position at which its last packet ends. After damaged
//! pages, that position restores the time: the samples of the next good page end there.

use super::flac_frame::{INFO, Info, MASKS};
use super::timeline::Timeline;
use super::window::Window;
use super::{Decoder, Decoding, Packets, changes, parameters, undecodable};
use crate::audio::implausible;
use crate::audio::source::{Blocks, Shape, Source};
use crate::{Error, Result};
use std::io::{Read, Take};
use std::path::{Path, PathBuf};
use symphonia::core::checksum::Crc32;
use symphonia::core::codecs::audio::well_known::CODEC_ID_VORBIS;
use symphonia::core::io::Monitor;

/// `HEAD`: bytes of a page before its segment table. `MAX_PAGE`: bytes of the longest page.
const HEAD: usize = 27;
const MAX_PAGE: usize = HEAD + 255 + 255 * 255;

/// Opens the Ogg between `start` and `end`. Trailing tags begin at `end`.
pub(super) fn open(path: &Path, source: impl Source, start: u64, end: u64) -> Result<(Shape, Box<dyn Blocks>)> {
    let mut pages = Pages { window: Window::new(source.take(end - start), start), path: path.into(), waiting: None };
    let (link, early) = Link::begin(path, &mut pages, 0)?;
    let shape = link.shape;
    let line = Timeline::new(shape.channels, shape.sample_rate);
    let (damaged, passed, left, odd) = (false, 0, 0, Vec::new());
    let ogg = Ogg { path: path.into(), pages, link, early, damaged, passed, left, odd };
    Ok(Decoding::open(path, shape, ogg, line))
}

/// A page with a correct checksum.
struct Page {
    /// The sample position at which the last packet that ends in this page ends. None if no packet ends here.
    ends: Option<u64>,
    serial: u32,
    number: u32,
    continues: bool,
    first: bool,
    last: bool,
    /// The packets or parts of packets in the page. All but the last end here.
    packets: Vec<Vec<u8>>,
    /// Whether the last one ends here too.
    complete: bool,
}

impl Page {
    /// Parses the complete page at the start of `bytes`. Also returns its size.
    fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let head = bytes.first_chunk::<HEAD>().filter(|head| head.starts_with(b"OggS\0"))?;
        let table = bytes.get(HEAD..HEAD + usize::from(head[26]))?;
        let body = HEAD + table.len();
        let size = body + table.iter().map(|&length| usize::from(length)).sum::<usize>();
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let mut sum = Crc32::new(0);
        sum.process_buf_bytes(&head[..22]);
        sum.process_buf_bytes(&[0; 4]);
        sum.process_buf_bytes(bytes.get(26..size)?);
        if sum.crc() != number(22) {
            return None;
        }
        let (mut at, mut packets, mut complete) = (body, Vec::new(), true);
        for &length in table {
            let part = &bytes[at..at + usize::from(length)];
            match packets.last_mut().filter(|_| !complete) {
                Some(packet) => Vec::extend_from_slice(packet, part),
                None => packets.push(part.to_vec()),
            }
            complete = length < 255;
            at += part.len();
        }
        let ends = u64::from(number(6)) | u64::from(number(10)) << 32;
        let page = Self {
            ends: (ends != u64::MAX).then_some(ends),
            serial: number(14),
            number: number(18),
            continues: head[5] & 1 != 0,
            first: head[5] & 2 != 0,
            last: head[5] & 4 != 0,
            packets,
            complete,
        };
        Some((page, size))
    }
}

/// Iterates over the pages of a file.
struct Pages<S> {
    path: PathBuf,
    window: Window<Take<S>>,
    /// A page that was read ahead.
    waiting: Option<Page>,
}

impl<S: Read> Pages<S> {
    /// Returns the next good page, or None at the end, and the number of bytes skipped before it.
    fn next(&mut self) -> Result<(Option<Page>, u64)> {
        if let Some(page) = self.waiting.take() {
            return Ok((Some(page), 0));
        }
        let begin = self.window.position();
        loop {
            let head = self.window.peek(4).map_err(Error::io(&self.path, "read"))?;
            if head.is_empty() {
                return Ok((None, self.window.position() - begin));
            }
            if head == b"OggS" {
                let bytes = self.window.peek(MAX_PAGE).map_err(Error::io(&self.path, "read"))?;
                if let Some((page, size)) = Page::parse(bytes) {
                    let passed = self.window.position() - begin;
                    self.window.pass(size as u64).map_err(Error::io(&self.path, "read"))?;
                    return Ok((Some(page), passed));
                }
            }
            self.window.pass(1).map_err(Error::io(&self.path, "read"))?;
        }
    }
}

/// The codec of a stream.
enum Codec {
    /// With its identification header.
    Vorbis(Vec<u8>),
    Flac(Info),
}

impl Codec {
    /// Detects the codec from the first packet of a stream. The error names an unsupported codec, or is None for a
    /// stream without sound.
    fn of(packet: &[u8]) -> std::result::Result<Self, Option<&'static str>> {
        match packet {
            [1, b'v', b'o', b'r', b'b', b'i', b's', ..] => Ok(Self::Vorbis(packet.to_vec())),
            // The version, the header count, the marker and the block header precede STREAMINFO.
            [0x7F, b'F', b'L', b'A', b'C', rest @ ..] if rest.len() >= 12 + INFO => {
                Info::parse(&rest[12..]).map(Self::Flac).ok_or(None)
            }
            _ if packet.starts_with(b"OpusHead") => Err(Some("Opus")),
            _ if packet.starts_with(b"Speex   ") => Err(Some("Speex")),
            _ => Err(None),
        }
    }

    /// Creates the decoder of a stream from its further headers: for Vorbis the comment and the setup.
    fn decoder(self, path: &Path, headers: &[Vec<u8>]) -> Result<(Shape, Decoder)> {
        let damaged = || Error::audio(path, "cannot be decoded: its header is damaged; copy it again");
        match self {
            Self::Flac(info) => Ok((info.shape(), info.decoder(path)?)),
            Self::Vorbis(mut header) => {
                let &[channels, a, b, c, d, ..] = header.get(11..).ok_or_else(damaged)? else { return Err(damaged()) };
                let (channels, sample_rate) = (usize::from(channels), u32::from_le_bytes([a, b, c, d]));
                if let Some(reason) = implausible(channels, sample_rate) {
                    return Err(Error::audio(path, reason));
                }
                let mask = MASKS.get(channels - 1).copied().unwrap_or(0);
                header.extend(headers.last().ok_or_else(damaged)?);
                let shape = Shape { channels, sample_rate, bits: None, mask };
                let decoder = Decoder::new(path, &parameters(CODEC_ID_VORBIS, header), &shape, false)?;
                Ok((shape, decoder))
            }
        }
    }
}

/// Returns the packets that end in this page, and keeps the start of an unfinished one in `part`. Returns false if a
/// part of a packet is missing.
fn packets(page: Page, part: &mut Option<Vec<u8>>) -> (Vec<Vec<u8>>, bool) {
    let Page { continues, mut packets, complete, .. } = page;
    let mut whole = true;
    match (continues, part.take()) {
        (true, Some(mut start)) if !packets.is_empty() => {
            start.append(&mut packets[0]);
            packets[0] = start;
        }
        (true, None) if !packets.is_empty() => {
            packets.remove(0);
            whole = false;
            if packets.is_empty() && !complete {
                return (packets, whole);
            }
        }
        (_, start) => whole = start.is_none(),
    }
    if !complete {
        *part = packets.pop();
    }
    (packets, whole)
}

/// One stream of the file. Concatenated files have several, one after the other.
struct Link {
    shape: Shape,
    decoder: Decoder,
    /// Whether the codec is Vorbis, whose first packet after a reset gives no samples. Otherwise it is FLAC.
    vorbis: bool,
    serial: u32,
    /// The sequence number that the next page should have.
    number: u32,
    /// The start of a packet that continues in the next page.
    part: Option<Vec<u8>>,
    /// Timeline position at which this stream begins.
    base: u64,
    /// Stream position of the first sample. It is not 0 in an excerpt. None before it is known.
    origin: Option<u64>,
    /// Samples since the last page with a position, or since the last damage.
    pending: Vec<Vec<Vec<f32>>>,
    /// Whether packets were lost before the pending samples.
    lost: bool,
    /// Whether the stream's last page was read.
    ended: bool,
    /// Number of parallel streams that also hold sound.
    others: usize,
}

impl Link {
    /// Reads the headers of the next decodable stream and places it at `base`. Also returns the sound packets that
    /// follow the headers in the same page.
    fn begin<S: Read>(path: &Path, pages: &mut Pages<S>, base: u64) -> Result<(Self, Vec<Vec<u8>>)> {
        let (mut found, mut others, mut known) = (None, 0, None);
        // All parallel streams of a file begin together, each with a page of its own.
        while let (Some(page), _) = pages.next()? {
            if !page.first {
                pages.waiting = Some(page);
                break;
            }
            match Codec::of(page.packets.first().map_or(&[], Vec::as_slice)) {
                Ok(codec) if found.is_none() => found = Some((codec, page.serial, page.number)),
                Ok(_) => others += 1,
                Err(name) => known = known.or(name),
            }
        }
        let Some((codec, serial, number)) = found else {
            let what = known.map_or_else(
                || "is an ogg without vorbis or flac".to_owned(),
                |name| format!("is {name} in ogg, which is not supported"),
            );
            return Err(Error::audio(path, format!("{what}; convert it to wav")));
        };
        let vorbis = matches!(codec, Codec::Vorbis(_));
        let (mut number, mut part, mut headers) = (number.wrapping_add(1), None, Vec::new());
        while vorbis && headers.len() < 2 {
            let (Some(page), _) = pages.next()? else {
                return Err(Error::audio(path, "ends before its first sample; record or copy it again"));
            };
            if page.serial == serial {
                let follows = page.number == number && !page.first;
                number = page.number.wrapping_add(1);
                let (ended, whole) = packets(page, &mut part);
                if !(follows && whole) {
                    return Err(Error::audio(path, "cannot be decoded: its header is damaged; copy it again"));
                }
                headers.extend(ended);
            }
        }
        let early = headers.split_off(headers.len().min(2));
        let (shape, decoder) = codec.decoder(path, &headers)?;
        let (origin, pending, lost, ended) = (None, Vec::new(), false, false);
        let link = Self { shape, decoder, vorbis, serial, number, part, base, origin, pending, lost, ended, others };
        Ok((link, early))
    }

    /// Decodes a packet. Returns false if that fails.
    fn decode(&mut self, path: &Path, packet: &[u8], line: &mut Timeline) -> Result<bool> {
        // Skip header packets. Vorbis headers have an odd first byte. FLAC headers do not begin with 0xFF, as frames
        // do.
        let sound = packet.first().is_some_and(|&first| if self.vorbis { first & 1 == 0 } else { first == 0xFF });
        if !sound {
            return Ok(true);
        }
        let mut block = line.block();
        if !self.decoder.decode(path, packet, &mut block)? {
            return Ok(false);
        }
        if block.first().is_some_and(|channel| !channel.is_empty()) {
            self.pending.push(block);
        }
        Ok(true)
    }

    /// Marks a loss: the next packet does not follow the previous one.
    fn lose(&mut self, line: &mut Timeline) {
        self.pending.drain(..).for_each(|block| line.put(block));
        self.decoder.reset();
        self.lost = true;
    }

    /// Places the pending samples on the timeline so that they end at stream sample `ends`.
    fn place(&mut self, ends: u64, line: &mut Timeline) {
        let length = |block: &Vec<Vec<f32>>| block.first().map_or(0, Vec::len) as u64;
        let mut count: u64 = self.pending.iter().map(length).sum();
        let here = line.position() - self.base;
        match (self.origin, self.lost) {
            // If the first page ends too early and is not the last, its first samples come before the recording. Drop
            // them.
            (None, false) => {
                let mut early = if self.ended { 0 } else { count.saturating_sub(ends) };
                count -= early;
                self.origin = Some(ends.saturating_sub(count));
                for block in &mut self.pending {
                    let cut = early.min(length(block));
                    early -= cut;
                    block.iter_mut().for_each(|channel| drop(channel.drain(..cut as usize)));
                }
            }
            (origin, true) => {
                let gap = ends.saturating_sub(count).saturating_sub(origin.unwrap_or(0)).saturating_sub(here);
                let filled = gap > 0 && line.gap(gap);
                let here = line.position() - self.base;
                if origin.is_none() || gap > 0 && !filled {
                    self.origin = Some(ends.saturating_sub(count).saturating_sub(here));
                }
            }
            (Some(_), false) => {}
        }
        // The position of the last page trims its last packets.
        let end = ends.saturating_sub(self.origin.unwrap_or(0));
        let mut excess = (line.position() - self.base + count).saturating_sub(end);
        if self.ended && excess < count {
            for block in self.pending.iter_mut().rev() {
                let cut = excess.min(length(block));
                excess -= cut;
                block.iter_mut().for_each(|channel| channel.truncate(channel.len() - cut as usize));
            }
        }
        self.pending.drain(..).for_each(|block| line.put(block));
        self.lost = false;
    }
}

/// Decodes an Ogg page by page.
struct Ogg<S> {
    path: PathBuf,
    pages: Pages<S>,
    link: Link,
    /// Sound packets that came with the headers.
    early: Vec<Vec<u8>>,
    /// Whether packets were lost.
    damaged: bool,
    /// Bytes between pages and after the last one that belong to none.
    passed: u64,
    left: u64,
    /// Warnings about the streams before the last.
    odd: Vec<String>,
}

impl<S: Source> Packets for Ogg<S> {
    fn step(&mut self, line: &mut Timeline) -> Result<bool> {
        for packet in std::mem::take(&mut self.early) {
            self.decode(&packet, line)?;
        }
        let (page, passed) = self.pages.next()?;
        let Some(page) = page else {
            self.left = passed;
            return Ok(false);
        };
        if page.first {
            self.pages.waiting = Some(page);
            self.join(line)?;
            return Ok(true);
        }
        if page.serial != self.link.serial {
            return Ok(true);
        }
        // Some writers number their pages wrongly. If no bytes were skipped and no page can be missing, none is lost.
        let follows = page.number == self.link.number || passed == 0 && page.number < self.link.number;
        self.link.number = page.number.wrapping_add(1);
        self.link.ended = page.last;
        let ends = page.ends;
        if follows {
            self.passed += passed;
        } else {
            self.link.part = None;
        }
        let (packets, whole) = packets(page, &mut self.link.part);
        if !(follows && whole) {
            self.damaged = true;
            self.link.lose(line);
        }
        for packet in packets {
            self.decode(&packet, line)?;
        }
        if let Some(ends) = ends {
            self.link.place(ends, line);
        }
        Ok(true)
    }

    fn end(&mut self, line: &mut Timeline, warnings: &mut Vec<String>) -> Result<()> {
        if self.left > 0 && self.link.ended {
            self.odd.push(format!("ignored {} bytes after its last page", self.left));
        }
        self.finish(line);
        if line.position() == 0 && (self.damaged || !self.link.ended) {
            return Err(undecodable(&self.path));
        }
        warnings.append(&mut self.odd);
        if self.passed > 0 {
            warnings.push(format!("damaged: ignored {} bytes between its pages", self.passed));
        }
        if self.damaged && line.warning().is_none() {
            warnings.push("damaged: left out packets that cannot be decoded".to_owned());
        }
        Ok(())
    }
}

impl<S: Source> Ogg<S> {
    fn decode(&mut self, packet: &[u8], line: &mut Timeline) -> Result<()> {
        if !self.link.decode(&self.path, packet, line)? {
            self.damaged = true;
            self.link.lose(line);
        }
        Ok(())
    }

    /// Ends the current stream and adds its warnings.
    fn finish(&mut self, line: &mut Timeline) {
        self.link.pending.drain(..).for_each(|block| line.put(block));
        if !self.link.ended {
            self.odd.push("cut short: its last page is missing".to_owned());
        }
        if self.link.others > 0 {
            self.odd.push(format!("ignored {} more audio streams", self.link.others));
        }
        if self.link.ended && !self.damaged && !self.link.decoder.verified() {
            self.odd.push("damaged: its samples do not match the checksum in its header".to_owned());
        }
    }

    /// Continues with the next stream.
    fn join(&mut self, line: &mut Timeline) -> Result<()> {
        self.finish(line);
        let shape = self.link.shape;
        (self.link, self.early) = Link::begin(&self.path, &mut self.pages, line.position())?;
        let same = (self.link.shape.channels, self.link.shape.sample_rate) == (shape.channels, shape.sample_rate);
        if same { Ok(()) } else { Err(changes(&self.path)) }
    }
}
