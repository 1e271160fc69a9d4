//! Packets to samples: MP3, FLAC, Ogg and what symphonia's own demuxers read.
//!
//! Frames and pages of MP3, FLAC and Ogg are found here, and symphonia decodes them one by one. Its demuxers would
//! guess the length of an MP3 from its first frames and cut it there, and pass over what is damaged as if it had never
//! been: what follows would come too early.

mod containers;
mod decoding;
mod flac;
mod flac_frame;
mod mp3;
mod mpeg;
mod ogg;
mod timeline;
mod window;

pub(super) use flac_frame::{MASK_COMMENT, MASKS};
pub(super) use mpeg::{Found, find};

use super::kind::Kind;
use super::source::{Blocks, Shape, Source};
use crate::{Error, Result};
use decoding::{Decoder, Decoding, Packets, changes, contained, parameters, refuse, undecodable};
use std::io::SeekFrom;
use std::path::Path;

/// Opens a file of a packed kind, which begins at `start`: tags are passed.
///
/// What cannot be decoded becomes silence, so that what follows keeps its time, and a warning says how much was lost and
/// where; a file that ends within a packet gives what came before. A file of which nothing can be decoded is an error.
pub(super) fn open(path: &Path, kind: Kind, mut source: impl Source, start: u64) -> Result<(Shape, Box<dyn Blocks>)> {
    let end = super::tags::trailing(&mut source).map_err(Error::io(path, "read"))?;
    source.seek(SeekFrom::Start(start)).map_err(Error::io(path, "read"))?;
    contained(path, || match kind {
        Kind::Mp3 => mp3::open(path, source, start, end),
        Kind::Flac => flac::open(path, source, start, end),
        Kind::Ogg => ogg::open(path, source, start, end),
        Kind::Container | Kind::Wav | Kind::Wave64 | Kind::Aiff | Kind::Caf => containers::open(path, source),
    })
}
