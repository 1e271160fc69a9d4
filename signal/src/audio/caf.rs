//! Reads Apple's CAF with uncompressed samples: chunks with 64-bit sizes. ALAC and AAC in CAF are not supported.

use super::pcm::{Encoding, Layout, Samples, number};
use super::source::{Blocks, Shape, Source};
use super::{implausible, tags};
use crate::{Error, Result};
use std::io::{Read, SeekFrom};
use std::path::Path;

/// Bytes of a chunk's name and size, and of the format description in `desc`.
const HEAD: u64 = 12;
const DESCRIPTION: u64 = 32;
/// `OPEN` is the size of a data chunk that runs to the end of the file. `BITMAP` is the layout tag that says that a
/// channel mask in WAV's format follows.
const OPEN: u64 = u64::MAX;
const BITMAP: u64 = 1 << 16;

/// Opens the CAF that begins at `start` and seeks to its first sample.
pub(super) fn open(path: &Path, mut source: impl Source, start: u64) -> Result<(Shape, Box<dyn Blocks>)> {
    let read = |error| Error::io(path, "read")(error);
    let length = source.seek(SeekFrom::End(0)).map_err(read)?;
    let end = tags::trailing(&mut source).map_err(read)?;
    let mut look = |at: u64, count: u64| -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        source.seek(SeekFrom::Start(at)).map_err(read)?;
        source.by_ref().take(count).read_to_end(&mut bytes).map_err(read)?;
        Ok(bytes)
    };
    let (mut at, mut layout, mut mask) = (start + 8, None, 0);
    loop {
        let head = look(at, HEAD)?;
        let Some((name, size)) = head.split_first_chunk::<4>().filter(|(_, size)| size.len() == 8) else {
            let missing = if layout.is_none() { "desc" } else { "data" };
            let reason = format!("is a caf that ends before its `{missing}` chunk; record or copy it again");
            return Err(Error::audio(path, reason));
        };
        let (size, content) = (number(size, true), at + HEAD);
        match name {
            b"desc" => {
                let fields = look(content, size.min(DESCRIPTION))?;
                layout = Some(parse(&fields).map_err(|reason| Error::audio(path, reason))?);
            }
            b"chan" => {
                let fields = look(content, size.min(8))?;
                if fields.len() == 8 && number(&fields[..4], true) == BITMAP {
                    mask = number(&fields[4..], true) as u32;
                }
            }
            b"data" => {
                let mut layout = layout
                    .ok_or_else(|| Error::audio(path, "has a `data` chunk before its `desc`; convert it again"))?;
                layout.mask = mask;
                // A 4-byte edit count precedes the samples.
                let (first, frame) = (content + 4, layout.frame_bytes());
                let there = length.saturating_sub(first);
                let (bytes, warning) = match size.saturating_sub(4) {
                    _ if size == OPEN => (end.saturating_sub(first), None),
                    0 if there > 0 => {
                        let warning = "its header sizes were never filled in; read to the end of the file";
                        (end.saturating_sub(first), Some(warning.to_owned()))
                    }
                    size if size > there => {
                        (there, Some(format!("cut short: {} of {} frames are there", there / frame, size / frame)))
                    }
                    size => (size, None),
                };
                source.seek(SeekFrom::Start(first)).map_err(read)?;
                return Ok(Samples::open(path, source, layout, bytes, warning.into_iter().collect()));
            }
            _ => {}
        }
        at = content.saturating_add(size);
        if at > length {
            let name = name.escape_ascii();
            return Err(Error::audio(path, format!("its chunk `{name}` runs past the end of the file; copy it again")));
        }
    }
}

/// Parses a `desc` chunk into the sample layout. The error says why the chunk is unusable.
fn parse(fields: &[u8]) -> std::result::Result<Layout, String> {
    if (fields.len() as u64) < DESCRIPTION {
        return Err(format!("its `desc` chunk has {} bytes, not {DESCRIPTION}; convert it again", fields.len()));
    }
    let number = |at: usize| number(&fields[at..at + 4], true);
    let rate = f64::from_bits(number(0) << 32 | number(4));
    let (format, flags) = (&fields[8..12], number(12));
    let (packet_bytes, channels, bits) = (number(16), number(24) as usize, number(28));
    // The cast turns an invalid rate (NaN, negative) into 0, which `implausible` refuses.
    let sample_rate = rate.round() as u32;
    if let Some(reason) = implausible(channels, sample_rate) {
        return Err(reason);
    }
    let encoding = match (format, flags & 1 != 0, bits) {
        (b"lpcm", true, 32) => Some(Encoding::F32),
        (b"lpcm", true, 64) => Some(Encoding::F64),
        (b"lpcm", false, _) => Encoding::integer(bits.div_ceil(8)),
        (b"alaw", ..) => Some(Encoding::ALaw),
        (b"ulaw", ..) => Some(Encoding::MuLaw),
        _ => None,
    };
    let Some(encoding) = encoding else {
        let name = match format {
            b"alac" => "ALAC".to_owned(),
            b"aac " => "AAC".to_owned(),
            _ => format!("`{}` of {bits} bits", format.escape_ascii()),
        };
        return Err(format!("is {name} in caf, which is not supported; convert it to wav"));
    };
    let layout = Layout { encoding, channels, sample_rate, bits: bits as u32, big_endian: flags & 2 == 0, mask: 0 };
    if packet_bytes != layout.frame_bytes() {
        let expected = layout.frame_bytes();
        return Err(format!("its frames have {packet_bytes} bytes, not {expected}; convert it again"));
    }
    Ok(layout)
}
