//! What samples are read from, and how they come.

use crate::Result;
use std::io::{Read, Seek};

/// What a recording can be read from: a file, or bytes in memory behind a [`Cursor`](std::io::Cursor).
pub trait Source: Read + Seek + Send + Sync + 'static {}

impl<T: Read + Seek + Send + Sync + 'static> Source for T {}

/// What a file says of its samples before the first of them.
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

/// The samples of one kind of file, in order.
pub(super) trait Blocks: Send + Sync {
    /// Replaces the channels (C) of `block` by the next samples, at least one each, or returns false at the end.
    /// Adds what is odd about the file to `warnings`, at the end at the latest.
    fn next(&mut self, block: &mut Vec<Vec<f32>>, warnings: &mut Vec<String>) -> Result<bool>;
}
