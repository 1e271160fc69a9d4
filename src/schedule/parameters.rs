//! What a result depends on beside the recording, as manifests have it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};

use crate::job::{Separation, is_later};

/// What a result depends on beside the recording: equal here, equal bytes there (on one engine).
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// Of the program.
    pub version: String,
    /// SHA-256 of the model file, in hex; empty without one.
    pub model: String,
    /// The description in force; files that it names stand there by their SHA-256.
    pub separation: Separation,
}

const VERSION: &str = "version";
const MODEL: &str = "model";

impl Serialize for Parameters {
    /// The version, the model, and beside them the options of the separation.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a> {
            version: &'a str,
            model: &'a str,
            #[serde(flatten)]
            separation: &'a Separation,
        }
        Flat { version: &self.version, model: &self.model, separation: &self.separation }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut options = Map::deserialize(deserializer)?;
        let mut text = |name| match options.remove(name) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(de::Error::custom(format!("no '{name}' in the parameters"))),
        };
        let (version, model) = (text(VERSION)?, text(MODEL)?);
        // Early versions wrote these for all methods, empty where they did not matter.
        for name in ["prior_weights", "prior_gradient"] {
            if options.get(name).is_some_and(|value| value == "" || value.as_array().is_some_and(Vec::is_empty)) {
                options.remove(name);
            }
        }
        let separation = crate::options::from_map(options).map_err(de::Error::custom)?;
        Ok(Self { version, model, separation })
    }
}

/// The parameters of a line: those of this version, or others, which are kept as they are and equal none.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Recorded {
    /// In the form of this version.
    Known(Box<Parameters>),
    /// In the form of an earlier version.
    Earlier(Value),
}

impl Recorded {
    /// Whether they are these.
    pub fn is(&self, parameters: &Parameters) -> bool {
        matches!(self, Self::Known(known) if **known == *parameters)
    }
}

impl Default for Recorded {
    fn default() -> Self {
        Self::Earlier(Value::Null)
    }
}

impl From<Parameters> for Recorded {
    fn from(parameters: Parameters) -> Self {
        Self::Known(Box::new(parameters))
    }
}

impl<'de> Deserialize<'de> for Recorded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match Parameters::deserialize(&value) {
            Ok(known) => Ok(known.into()),
            Err(cause) if value[VERSION].as_str().is_some_and(is_later) => Err(de::Error::custom(cause)),
            Err(_) => Ok(Self::Earlier(value)),
        }
    }
}

/// The version that wrote a line of a manifest, if it is later than this one.
pub(super) fn newer(line: &[u8]) -> Option<String> {
    let line: Value = serde_json::from_slice(line).ok()?;
    line["parameters"][VERSION].as_str().filter(|version| is_later(version)).map(str::to_string)
}
