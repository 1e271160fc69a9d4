//! Options that are words in JSON: `"kl"`, `"30ms"`. A number counts as its digits, so that a window of `480` samples is one.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serializer, de};
use serde_json::Value;

pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub(crate) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    parse(&Value::deserialize(deserializer)?)
}

fn parse<T: FromStr<Err: Display>, E: de::Error>(value: &Value) -> Result<T, E> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => return Err(E::custom(format!("{other} is not a word"))),
    };
    text.parse().map_err(E::custom)
}

/// The same where the option may be missing, or null.
pub(crate) mod option {
    use super::{Deserialize, Deserializer, Display, FromStr, Serializer, Value, parse};

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Null => Ok(None),
            value => parse(&value).map(Some),
        }
    }
}
