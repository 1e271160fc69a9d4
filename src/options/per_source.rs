//! Options that may differ from source to source.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::{Error, Result};

/// The key of the value that counts for all sources that are not named.
pub(super) const OTHERS: &str = "*";

/// A value for every source: one for all, or some by the names of the sources.
///
/// In JSON `64`, or `{"speech": 32, "*": 64}`, where `*` is for the sources that are not named.
#[derive(Debug, Clone, PartialEq)]
pub struct PerSource<T> {
    /// For the sources that are not named; without it they have the usual value.
    pub others: Option<T>,
    /// By the source's name.
    pub named: BTreeMap<String, T>,
}

impl<T> Default for PerSource<T> {
    fn default() -> Self {
        Self { others: None, named: BTreeMap::new() }
    }
}

impl<T> From<T> for PerSource<T> {
    fn from(all: T) -> Self {
        Self { others: Some(all), named: BTreeMap::new() }
    }
}

impl<T: Copy + fmt::Display> PerSource<T> {
    /// The values of the sources, in order.
    ///
    /// # Errors
    /// [`Error::Option`] where `option` names a source that is not there.
    pub fn of(&self, option: &str, sources: &[&str], usual: T) -> Result<Vec<T>> {
        if let Some((name, value)) = self.named.iter().find(|(name, _)| !sources.contains(&name.as_str())) {
            let known = sources.join(", ");
            return Err(Error::option(option, format!("{name}={value}: there is no such source; there are {known}")));
        }
        let others = self.others.unwrap_or(usual);
        Ok(sources.iter().map(|&source| self.named.get(source).copied().unwrap_or(others)).collect())
    }
}

impl<T: Serialize> Serialize for PerSource<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if self.named.is_empty() {
            return self.others.serialize(serializer);
        }
        let named = self.named.iter().map(|(name, value)| (name.as_str(), value));
        serializer.collect_map(self.others.iter().map(|value| (OTHERS, value)).chain(named))
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for PerSource<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let one = |value| serde_json::from_value(value).map_err(de::Error::custom);
        match Value::deserialize(deserializer)? {
            Value::Null => Ok(Self::default()),
            Value::Object(values) => {
                let mut read = Self::default();
                for (name, value) in values {
                    match name.as_str() {
                        OTHERS => read.others = Some(one(value)?),
                        _ => drop(read.named.insert(name, one(value)?)),
                    }
                }
                Ok(read)
            }
            value => Ok(one(value)?.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_for_all_sources_or_by_name() {
        let of = |json: &str| serde_json::from_str::<PerSource<usize>>(json).unwrap();
        assert_eq!(of("64").of("rank", &["a", "b"], 1).unwrap(), [64, 64]);
        assert_eq!(of(r#"{"b": 3}"#).of("rank", &["a", "b"], 1).unwrap(), [1, 3]);
        assert_eq!(of(r#"{"b": 3, "*": 5}"#).of("rank", &["a", "b"], 1).unwrap(), [5, 3]);
        let error = of(r#"{"c": 3}"#).of("rank", &["a", "b"], 1).unwrap_err().to_string();
        assert_eq!(error, "rank: c=3: there is no such source; there are a, b");
        for json in ["64", r#"{"*":5,"b":3}"#, r#"{"b":3}"#] {
            assert_eq!(serde_json::to_string(&of(json)).unwrap(), json);
        }
        assert!(serde_json::from_str::<PerSource<usize>>("\"many\"").is_err());
    }
}
