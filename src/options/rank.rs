//! How many components a source has, as a user says it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::PerSource;
use crate::{Error, Result};

/// K, the components of a source. In JSON a number, or "auto".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rank {
    /// Left to the training.
    #[default]
    Auto,
    /// So many.
    Of(usize),
}

impl Rank {
    /// The number, if one was given.
    pub fn given(self) -> Option<usize> {
        match self {
            Self::Auto => None,
            Self::Of(rank) => Some(rank),
        }
    }
}

impl From<usize> for Rank {
    fn from(rank: usize) -> Self {
        Self::Of(rank)
    }
}

impl From<usize> for PerSource<Rank> {
    fn from(all: usize) -> Self {
        Rank::Of(all).into()
    }
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Of(rank) => write!(f, "{rank}"),
        }
    }
}

impl FromStr for Rank {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text.parse().map(Self::Of).map_err(|_| Error::input("use a whole number, or auto")),
        }
    }
}

impl Serialize for Rank {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Of(rank) => rank.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Rank {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => text.parse().map_err(de::Error::custom),
            value => usize::deserialize(value).map(Self::Of).map_err(de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_is_a_number_or_auto() {
        let read = |json: &str| serde_json::from_str::<PerSource<Rank>>(json);
        assert_eq!(read("64").unwrap(), 64.into());
        assert_eq!(read("\"auto\"").unwrap(), Rank::Auto.into());
        let mixed = read(r#"{"voice": 8, "*": "auto"}"#).unwrap();
        assert_eq!(mixed.of("rank", &["piano", "voice"], Rank::Of(1)).unwrap(), [Rank::Auto, Rank::Of(8)]);
        assert_eq!(serde_json::to_string(&mixed).unwrap(), r#"{"*":"auto","voice":8}"#);
        for (json, reason) in
            [("\"many\"", "whole number, or auto"), ("1.5", "expected usize"), ("-1", "expected usize")]
        {
            assert!(read(json).unwrap_err().to_string().contains(reason), "{json}");
        }
    }
}
