//! Decodes packets: MP3, FLAC, Ogg, and the containers that symphonia demuxes.
//!
//! This module finds the frames and pages of MP3, FLAC and Ogg itself, and symphonia decodes them one by one.
//! symphonia's demuxers are not used for them: they guess the length of an MP3 from its first frames and cut it there,
//! and they skip damaged parts without a gap, so later samples would come too early.

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

/// Opens a compressed file that begins at `start`, after leading tags.
///
/// A part that cannot be decoded becomes silence, so later samples keep their time; a warning gives its length and
/// place. A file that ends within a packet gives the samples before it. It is an error if nothing can be decoded.
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
