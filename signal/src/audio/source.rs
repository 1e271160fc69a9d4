//! What samples are read from, and how they come.

use crate::Result;
use std::io::{ErrorKind, Read, Seek, SeekFrom};

/// A seekable source of bytes: a file, or memory behind a [`Cursor`](std::io::Cursor).
pub trait Source: Read + Seek + Send + Sync + 'static {}

impl<T: Read + Seek + Send + Sync + 'static> Source for T {}

/// The position after the last byte of a source, or None if it does not know that before it is there.
pub(super) fn end_of(source: &mut impl Source) -> std::io::Result<Option<u64>> {
    match source.seek(SeekFrom::End(0)) {
        Err(cause) if cause.kind() == ErrorKind::NotSeekable => Ok(None),
        end => end.map(Some),
    }
}

/// The header fields that describe the samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// C.
    pub(super) channels: usize,
    /// Hz.
    pub(super) sample_rate: u32,
    /// See [`Reader::bits`](super::Reader::bits).
    pub(super) bits: Option<u32>,
    /// See [`Reader::channel_mask`](super::Reader::channel_mask).
    pub(super) mask: u32,
}

/// The sample stream of one file type.
pub(super) trait Blocks: Send + Sync {
    /// Replaces the channels (C) of `block` by the next samples, at least one per channel. Returns false at the end.
    /// Adds oddities of the file to `warnings`, by the end at the latest.
    fn next(&mut self, block: &mut Vec<Vec<f32>>, warnings: &mut Vec<String>) -> Result<bool>;
}
