//! Detects the type of a file from its content, whatever its name.

use super::packets::{self, Found};
use super::source::Source;
use super::tags;
use crate::{Error, Result};
use std::io::{Read, SeekFrom};
use std::path::Path;

/// An MP3 has no magic number. Search for its first frame within this many bytes.
const JUNK: usize = 1 << 16;
/// Bytes that three frames of MP3 or AAC need.
const FRAMES: usize = 3 << 13;

/// A file type, which decides how the file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// RIFF, RIFX, RF64 and BW64.
    Wav,
    /// Sony's Wave64.
    Wave64,
    /// AIFF and AIFC.
    Aiff,
    Caf,
    Flac,
    Ogg,
    Mp3,
    /// M4A and MP4.
    Container,
}

impl Kind {
    /// The name of the type, for messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Wave64 => "wave64",
            Self::Aiff => "aiff",
            Self::Caf => "caf",
            Self::Flac => "flac",
            Self::Ogg => "ogg",
            Self::Mp3 => "mp3",
            Self::Container => "m4a or mp4",
        }
    }
}

/// Returns the type of a file and the position where it begins. Skips leading tags, and junk before an MP3.
pub(super) fn of(path: &Path, source: &mut impl Source) -> Result<(Kind, u64)> {
    find(path, source)?.ok_or_else(|| {
        let kinds = "a wav, flac, ogg vorbis, mp3, aiff, caf or m4a file";
        Error::audio(path, format!("is not {kinds}; convert it to one of these"))
    })
}

/// The same; `None` if it is not audio of a known type.
pub(super) fn find(path: &Path, source: &mut impl Source) -> Result<Option<(Kind, u64)>> {
    let mut start = 0;
    let mut look = |at: u64, count: usize| -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        source.seek(SeekFrom::Start(at)).map_err(Error::io(path, "read"))?;
        source.by_ref().take(count as u64).read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
        Ok(bytes)
    };
    let mut head = look(0, tags::HEAD)?;
    if head.is_empty() {
        return Err(Error::audio(path, "is empty: 0 bytes"));
    }
    while let Some(size) = tags::leading(&head) {
        start += size;
        head = look(start, tags::HEAD)?;
    }
    if head.is_empty() {
        return Err(Error::audio(path, "ends before its first sample; record or copy it again"));
    }
    if let Some(kind) = known(&head) {
        return Ok(Some((kind, start)));
    }
    if let Some(name) = unread(&head) {
        return Err(not_read(path, name));
    }
    match packets::find(&look(start, JUNK + FRAMES)?, JUNK) {
        Some(Found::Mp3(at)) => Ok(Some((Kind::Mp3, start + at as u64))),
        Some(Found::OtherLayer(1)) => Err(not_read(path, "MPEG audio of layer I")),
        Some(Found::OtherLayer(_)) => Err(not_read(path, "MPEG audio of layer II")),
        Some(Found::Adts) => Err(not_read(path, "AAC in ADTS")),
        None => Ok(None),
    }
}

fn not_read(path: &Path, name: &str) -> Error {
    Error::audio(path, format!("is {name}, which is not supported; convert it to wav"))
}

/// The type that the first bytes of a file identify.
fn known(head: &[u8]) -> Option<Kind> {
    Some(match head {
        [b'R', b'I', b'F', b'F' | b'X', ..] | [b'R', b'F', b'6', b'4', ..] | [b'B', b'W', b'6', b'4', ..] => Kind::Wav,
        [b'F', b'O', b'R', b'M', _, _, _, _, b'A', b'I', b'F', b'F' | b'C', ..] => Kind::Aiff,
        _ if head.starts_with(&super::wave64::RIFF) => Kind::Wave64,
        _ if head.starts_with(b"fLaC") => Kind::Flac,
        _ if head.starts_with(b"OggS") => Kind::Ogg,
        _ if head.starts_with(b"caff") => Kind::Caf,
        _ if head.get(4..8) == Some(b"ftyp") => Kind::Container,
        _ => return None,
    })
}

/// The name of a type that is recognized but not supported.
fn unread(head: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 22] = [
        (b"\x30\x26\xB2\x75\x8E\x66\xCF\x11", "Windows Media"),
        (b"\x1A\x45\xDF\xA3", "Matroska or WebM"),
        (b"FLV", "Flash video"),
        (b"\0\0\x01\xBA", "an MPEG program stream"),
        (b"#!AMR", "AMR"),
        (b".snd", "Sun AU"),
        (b"dns.", "Sun AU"),
        (b"MAC ", "Monkey's Audio"),
        (b"wvpk", "WavPack"),
        (b"TTA1", "True Audio"),
        (b"TTA2", "True Audio"),
        (b"MP+", "Musepack"),
        (b"MPCK", "Musepack"),
        (b"DSD ", "DSD"),
        (b"FRM8", "DSD"),
        (b"OFR ", "OptimFROG"),
        (b"tBaK", "TAK"),
        (b"ajkg", "Shorten"),
        (b"\x0B\x77", "AC-3"),
        (b"\x7F\xFE\x80\x01", "DTS"),
        (b"MThd", "MIDI"),
        (b"ADIF", "AAC in ADIF"),
    ];
    known.iter().find(|(magic, _)| head.starts_with(magic)).map(|&(_, name)| name)
}
