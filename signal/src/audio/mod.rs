//! Reads, writes and resamples audio files.

mod aiff;
mod caf;
mod chunks;
mod flac;
mod format;
mod header;
mod kind;
mod packets;
mod pcm;
mod pipe;
mod reader;
mod recording;
mod resample;
mod source;
mod tags;
mod tail;
mod wav;
mod wave64;
mod write;

pub use format::{Format, FormatChoice};
pub use reader::Reader;
pub use recording::Recording;
pub use resample::{Resampler, resample};
pub use source::Source;
pub use write::{Writer, write};

use crate::Result;
use recording::{MAX_SAMPLE_RATE, first, first_not_finite, implausible};
use std::path::Path;

/// The file name extensions of readable recordings.
const EXTENSIONS: [&str; 15] =
    ["wav", "wave", "bwf", "rf64", "bw64", "w64", "flac", "ogg", "oga", "mp3", "aif", "aiff", "aifc", "caf", "m4a"];

/// Reads a whole recording. Supported are WAV, RF64, BW64, Wave64 and AIFF (integers of 8 to 32 bits, floats of 32 and
/// 64 bits, A-law, mu-law), FLAC, Ogg Vorbis, Ogg FLAC, MP3, CAF and M4A (AAC, ALAC). The content decides the type, not
/// the name. Integers of B bits are scaled by 1/2^(B-1).
///
/// A truncated file gives the samples that it holds. A damaged part becomes silence of the same length, so later
/// samples keep their time. Both add a warning. A valid WAV without samples gives a recording of 0 frames.
///
/// # Errors
///
/// [`Error::Io`](crate::Error::Io) if the file cannot be read. [`Error::Audio`](crate::Error::Audio) if it is not a
/// regular file, is not a supported type, is broken beyond use, is compressed and holds no sample, or holds a NaN or
/// infinite sample.
pub fn read(path: &Path) -> Result<Recording> {
    Reader::open(path)?.collect()
}

/// The frames of a recording, and its sample rate in Hz. All of it is decoded: what a header says need not be true.
///
/// # Errors
/// Those of [`read`].
pub fn length(path: &Path) -> Result<(u64, u32)> {
    let mut reader = Reader::open(path)?;
    let (mut frames, mut block) = (0, Vec::new());
    while reader.read(&mut block)? {
        frames += block.first().map_or(0, Vec::len) as u64;
    }
    Ok((frames, reader.sample_rate()))
}

/// Reads all recordings of a folder, in the order of their names: the files that [`is_audio_name`] takes, without those of folders
/// below.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the folder cannot be read; those of [`read`].
pub fn read_folder(path: &Path) -> Result<Vec<Recording>> {
    let entries = std::fs::read_dir(path).map_err(crate::Error::io(path, "read"))?;
    let files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>();
    let mut files = files.map_err(crate::Error::io(path, "read"))?;
    files.retain(|file| is_audio_name(file) && file.is_file());
    files.sort();
    files.iter().map(|file| read(file)).collect()
}

/// Whether the name has the extension of an audio type that [`read`] supports, in upper or lower case.
pub fn is_audio_name(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_names_are_recognized_in_any_case() {
        for name in
            ["a.wav", "b/c.WAV", "d e.Flac", "x.ogg", "y.mP3", "z.wave", "u.OGA", "v.bwf", "z.aif", "é.m4a", "w.W64"]
        {
            assert!(is_audio_name(Path::new(name)), "{name}");
        }
        for name in ["a.txt", "wav", ".wav", "a.wav.part", "a.mp", ""] {
            assert!(!is_audio_name(Path::new(name)), "{name}");
        }
    }
}
