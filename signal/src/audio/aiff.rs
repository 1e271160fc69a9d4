//! Reads AIFF and AIFC: the chunk structure of WAV, with big-endian sizes.

use super::chunks::{Chunks, is_chunk_list};
use super::pcm::{Encoding, Layout, Samples, number};
use super::source::{Blocks, Shape, Source};
use super::{implausible, tags};
use crate::{Error, Result};
use std::io::SeekFrom;
use std::path::Path;

/// Opens the AIFF that begins at `start` and seeks to its first sample.
pub(super) fn open(path: &Path, mut source: impl Source, start: u64) -> Result<(Shape, Box<dyn Blocks>)> {
    let read = |error| Error::io(path, "read")(error);
    let (mut common, mut sound) = (None, None);
    let mut chunks = Chunks::new(&mut source, start + 12, true).map_err(read)?;
    while let Some(chunk) = chunks.next().map_err(read)? {
        match &chunk.name {
            b"COMM" => common = Some(chunks.bytes(&chunk, 22).map_err(read)?),
            b"SSND" if sound.is_none() => {
                let head = chunks.bytes(&chunk, 8).map_err(read)?;
                let offset = head.get(..4).map_or(0, |offset| number(offset, true));
                sound = Some((chunk.start + 8 + offset, chunk.size.saturating_sub(8 + offset)));
            }
            _ => {}
        }
        if !chunks.pass(&chunk).map_err(read)? {
            break;
        }
    }
    let missing = |what: &str| format!("is an aiff without a `{what}` chunk; record or copy it again");
    let common = common.ok_or_else(|| Error::audio(path, missing("COMM")))?;
    let (layout, counted) = parse(&common).map_err(|reason| Error::audio(path, reason))?;
    let (first, declared) = sound.ok_or_else(|| Error::audio(path, missing("SSND")))?;
    let length = source.seek(SeekFrom::End(0)).map_err(read)?;
    let end = tags::trailing(&mut source).map_err(read)?;
    let there = length.saturating_sub(first);
    let frame = layout.frame_bytes();
    let mut warnings = Vec::new();
    let bytes = if counted == 0 && declared == 0 && end > first {
        let listed = is_chunk_list(&mut source, first, end).map_err(read)?.is_some();
        if !listed {
            warnings.push("its header sizes were never filled in; read to the end of the file".to_owned());
        }
        if listed { 0 } else { end - first }
    } else if declared > there {
        let wanted = if counted > 0 { counted.min(declared / frame) } else { declared / frame };
        warnings.push(format!("cut short: {} of {wanted} frames are there", there / frame));
        there
    } else if counted * frame > declared {
        // One of the two sizes is wrong. Read as many frames as the file holds.
        let bytes = (counted * frame).min(there);
        let found = bytes / frame;
        warnings.push(format!("its chunk sizes give {} frames, its header {counted}; read {found}", declared / frame));
        bytes
    } else {
        if declared / frame > counted {
            let found = declared / frame;
            warnings.push(format!("its header counts {counted} frames, but {found} were found; read all"));
        }
        let after = end.saturating_sub(first + declared + declared % 2);
        if after > 0 && is_chunk_list(&mut source, first + declared, end).map_err(read)?.is_none() {
            warnings.push(format!("ignored {after} bytes after the samples"));
        }
        declared
    };
    source.seek(SeekFrom::Start(first)).map_err(read)?;
    Ok(Samples::open(path, source, layout, bytes, warnings))
}

/// Parses a `COMM` chunk into the sample layout and the frame count. The error says why the chunk is unusable.
fn parse(common: &[u8]) -> std::result::Result<(Layout, u64), String> {
    let Some((basic, rest)) = common.split_first_chunk::<18>() else {
        return Err(format!("its `COMM` chunk has {} bytes, not 18 or more; convert it again", common.len()));
    };
    let number = |bytes: &[u8]| number(bytes, true);
    let (channels, frames, bits) = (number(&basic[..2]) as usize, number(&basic[2..6]), number(&basic[6..8]));
    let sample_rate = extended(&basic[8..]).ok_or("its sample rate is not a whole number; convert it to wav")?;
    if let Some(reason) = implausible(channels, sample_rate) {
        return Err(reason);
    }
    let compression = rest.first_chunk::<4>().unwrap_or(b"NONE");
    let sample_bytes = bits.div_ceil(8);
    let (encoding, big_endian) = match compression {
        b"NONE" | b"twos" | b"in24" | b"in32" => (Encoding::integer(sample_bytes), true),
        b"sowt" => (Encoding::integer(sample_bytes), false),
        b"raw " => (Some(Encoding::U8), true),
        b"fl32" | b"FL32" => (Some(Encoding::F32), true),
        b"fl64" | b"FL64" => (Some(Encoding::F64), true),
        b"alaw" | b"ALAW" => (Some(Encoding::ALaw), true),
        b"ulaw" | b"ULAW" => (Some(Encoding::MuLaw), true),
        _ => (None, true),
    };
    let Some(encoding) = encoding else {
        let name = compression.escape_ascii();
        return Err(format!("aiff format `{name}` of {bits} bits is not supported; convert it to wav"));
    };
    let bits = if encoding == Encoding::U8 { 8 } else { bits as u32 };
    Ok((Layout { encoding, channels, sample_rate, bits, big_endian, mask: 0 }, frames))
}

/// Rounds an 80-bit extended float to the nearest u32. Returns None if it does not fit one.
fn extended(bytes: &[u8]) -> Option<u32> {
    let (exponent, mantissa) = (number(&bytes[..2], true), number(&bytes[2..10], true));
    let value = mantissa as f64 * 2.0_f64.powi(exponent as i32 - 16_383 - 63);
    (exponent < 0x8000 && (0.5..4e9).contains(&value)).then_some(value.round() as u32)
}
