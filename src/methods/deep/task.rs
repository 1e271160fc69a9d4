//! What a cost is learned for.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// What a cost is learned for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// To take noise off recordings, without bases (Algorithm 1).
    Denoise,
    /// To separate sources by bases that are learned under it (Algorithm 2).
    Separate,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Denoise => "denoise",
            Self::Separate => "separate",
        })
    }
}

impl FromStr for Task {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "denoise" => Ok(Self::Denoise),
            "separate" => Ok(Self::Separate),
            _ => Err(Error::input("use denoise or separate")),
        }
    }
}
