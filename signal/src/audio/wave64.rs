//! Reads Sony's Wave64 (.w64): a WAV with GUIDs for chunk names and 64-bit sizes.

use super::pcm::{Layout, Samples, number};
use super::source::{Blocks, Shape, Source};
use crate::{Error, Result};
use std::io::{Read, SeekFrom};
use std::path::Path;

/// The GUID at the start of a file: "riff" and a tail that only this GUID has.
pub(super) const RIFF: [u8; 16] = *b"riff\x2E\x91\xCF\x11\xA5\xD6\x28\xDB\x04\xC1\0\0";
/// The tail of all other chunk GUIDs.
const TAIL: [u8; 12] = [0xF3, 0xAC, 0xD3, 0x11, 0x8C, 0xD1, 0, 0xC0, 0x4F, 0x8E, 0xDB, 0x8A];
/// Bytes of a chunk's name and size. The declared size includes them.
const HEAD: u64 = 24;

/// Opens the Wave64 that begins at `start` and seeks to its first sample.
pub(super) fn open(path: &Path, mut source: impl Source, start: u64) -> Result<(Shape, Box<dyn Blocks>)> {
    let read = |error| Error::io(path, "read")(error);
    let end = source.seek(SeekFrom::End(0)).map_err(read)?;
    let mut look = |at: u64, count: u64| -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        source.seek(SeekFrom::Start(at)).map_err(read)?;
        source.by_ref().take(count).read_to_end(&mut bytes).map_err(read)?;
        Ok(bytes)
    };
    // The form name, "wave", follows the first chunk header.
    let (mut at, mut layout) = (start + HEAD + 16, None);
    loop {
        let head = look(at, HEAD)?;
        let (Some(name), Some(size)) = (head.get(..16), head.get(16..24)) else {
            let missing = if layout.is_none() { "fmt " } else { "data" };
            let reason = format!("is a wave64 that ends before its `{missing}` chunk; record or copy it again");
            return Err(Error::audio(path, reason));
        };
        let size = number(size, false);
        let (content, kind) = (at + HEAD, name.strip_suffix(&TAIL).unwrap_or(b""));
        match kind {
            b"fmt " => {
                let fields = look(content, size.saturating_sub(HEAD).min(40))?;
                layout = Some(Layout::parse(&fields, false).map_err(|reason| Error::audio(path, reason))?);
            }
            b"data" => {
                let layout = layout.ok_or_else(|| {
                    Error::audio(path, "has a `data` chunk before any `fmt ` chunk; convert it again")
                })?;
                let (there, frame) = (end - content, layout.frame_bytes());
                let (length, warning) = match size.saturating_sub(HEAD) {
                    0 if there > 0 => {
                        (there, Some("its header sizes were never filled in; read to the end of the file".to_owned()))
                    }
                    size if size > there => {
                        (there, Some(format!("cut short: {} of {} frames are there", there / frame, size / frame)))
                    }
                    size => (size, None),
                };
                source.seek(SeekFrom::Start(content)).map_err(read)?;
                return Ok(Samples::open(path, source, layout, length, warning.into_iter().collect()));
            }
            _ => {}
        }
        at = at.saturating_add(size.max(HEAD));
        if at > end {
            return Err(Error::audio(path, "has a chunk that runs past the end of the file; copy it again"));
        }
        // Chunks begin at multiples of 8.
        at = at.next_multiple_of(8);
    }
}
