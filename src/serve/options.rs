//! The options of jobs: what they may be, and whether a job's go together and with its model.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::hex::hex;
use super::models::Models;
use super::queue::TRAINING;
use crate::job::{Separation, SeparationMethod, Training};
use crate::model::Model;
use crate::options::{Described, Flag, Kind, SourceFiles, from_map, options};
use crate::recordings::Event;
use crate::separate::Plan;
use crate::{Error, Result, train};

/// Checked descriptions that are remembered: clients send the same few again and again.
const REMEMBERED: usize = 256;

/// A description that a job can be run by.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    /// The description in force, without files.
    pub(super) options: Value,
    /// Jobs of one desk can be worked at together.
    pub(super) desk: String,
}

/// Checks descriptions, and remembers what it found.
#[derive(Default)]
pub(super) struct Checks(Mutex<HashMap<(String, String), Checked>>);

impl Checks {
    /// Checks a separation under a model, or without one. `sources` are recordings that the method starts from.
    ///
    /// # Errors
    /// What does not fit, in the words that the command has for it.
    pub(super) fn separation(
        &self,
        models: &Models,
        model: Option<(&str, &str)>,
        given: &Value,
        sources: &[SourceFiles],
    ) -> Result<Checked> {
        let key = (model.map(|(_, sha256)| sha256.to_owned()).unwrap_or_default(), given.to_string());
        let remembered = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.is_empty()
            && let Some(known) = remembered().get(&key)
        {
            return Ok(known.clone());
        }
        let separation = separation(given, sources)?;
        let loaded = model.map(|(name, sha256)| models.load(name, sha256)).transpose()?;
        let mut in_force = plan(loaded.as_ref(), &separation)?.separation;
        in_force.files_mut().for_each(Vec::clear);
        let text = to_json(&in_force)?;
        // Patterns that start from recordings are those of one job.
        let own = if sources.is_empty() { String::new() } else { uuid::Uuid::now_v7().to_string() };
        let desk = hex(&Sha256::digest(format!("{} {text} {own}", key.0))[..16]);
        let checked = Checked { options: text, desk };
        if sources.is_empty() {
            let mut remembered = remembered();
            if remembered.len() >= REMEMBERED {
                remembered.clear();
            }
            remembered.insert(key, checked.clone());
        }
        Ok(checked)
    }
}

/// The description of a separation, with the recordings that its method starts from.
///
/// # Errors
/// [`Error::Option`] for options that are unknown, and for recordings that no option of the method takes.
pub(super) fn separation(given: &Value, sources: &[SourceFiles]) -> Result<Separation> {
    let mut separation: Separation = from_map(object(given)?)?;
    if separation.files_mut().next().is_some() {
        return Err(Error::option("init_bases", "upload the recordings, each as a part called source:NAME"));
    }
    if !sources.is_empty() {
        let none = || {
            Error::option(
                "source",
                "this method does not start from recordings of single sources; they are for trainings",
            )
        };
        *separation.sources_mut().ok_or_else(none)? = sources.to_vec();
    }
    Ok(separation)
}

/// The plan of a separation.
///
/// # Errors
/// Those of [`Plan::new`], and that a model is missing.
pub(super) fn plan<'a>(model: Option<&'a Model>, separation: &Separation) -> Result<Plan<'a>> {
    if model.is_none() && separation.method.is_none() {
        let without = SeparationMethod::WITHOUT_MODEL.join(" or ");
        return Err(Error::option("model", format!("name a model, or a method that needs none: {without}")));
    }
    let mut odd = |event: Event| match event {
        Event::Skipped(error) => Err(error),
        Event::Warning(..) | Event::Iteration(..) => Ok(()),
    };
    Plan::new(model, separation, &mut odd)
}

/// Checks a training of these sources.
///
/// # Errors
/// What does not fit, in the words that the command has for it.
pub(super) fn training(given: &Value, names: &[&str]) -> Result<(Training, Checked)> {
    let training: Training = from_map(object(given)?)?;
    train::check(names, &training)?;
    let checked = Checked { options: to_json(&training.in_force())?, desk: TRAINING.into() };
    Ok((training, checked))
}

fn object(given: &Value) -> Result<Map<String, Value>> {
    given.as_object().cloned().ok_or_else(|| Error::input("options: must be a JSON object"))
}

fn to_json<T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value).map_err(|cause| Error::input(cause.to_string()))
}

/// The recordings of sources as a method names them.
pub(super) fn named(sources: &[(String, Vec<PathBuf>)]) -> Vec<SourceFiles> {
    sources
        .iter()
        .map(|(name, recordings)| SourceFiles { name: name.clone(), recordings: recordings.clone() })
        .collect()
}

/// The JSON schema of a description, from the tables that the command line is made of. `x-methods` names the methods that alone
/// have an option, and `x-value` is the placeholder of the command line.
pub(super) fn schema<D: Described>() -> Value {
    let mut properties = Map::new();
    let methods: Vec<&str> = D::METHODS.iter().map(|(name, _)| *name).collect();
    properties.insert(D::METHOD.name.into(), json!({"type": "string", "enum": methods, "description": D::METHOD.help}));
    for (flag, methods) in options::<D>() {
        // Recordings are uploaded, not named.
        let Some(mut property) = property(flag) else { continue };
        if !methods.is_empty() {
            property.insert("x-methods".into(), json!(methods));
        }
        properties.insert(flag.name.into(), property.into());
    }
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

/// The schema of one option.
fn property(flag: &Flag) -> Option<Map<String, Value>> {
    let value = match flag.kind {
        Kind::Recordings => return None,
        Kind::Text => json!({"type": "string"}),
        Kind::Switch => json!({"type": "boolean"}),
        Kind::One(read) => one(read, flag.value),
        Kind::PerSource(read) => {
            let one = one(read, "");
            json!({"oneOf": [one.clone(), {"type": "object", "additionalProperties": one}]})
        }
    };
    let mut property = value.as_object().cloned()?;
    property.insert("description".into(), flag.help.into());
    if !flag.value.is_empty() {
        property.insert("x-value".into(), flag.value.into());
    }
    Some(property)
}

/// The schema of a value: what its reader makes of numbers tells its type. Words that it takes as they stand are all there are,
/// unless one is an example of a form, such as `log:24:50-8000`.
fn one(read: fn(&str) -> Result<Value>, placeholder: &str) -> Value {
    match (read("1"), read("0.5")) {
        (Ok(Value::Number(_)), Ok(Value::Number(_))) => json!({"type": "number"}),
        (Ok(Value::Number(_)), _) => json!({"type": "integer", "minimum": 0}),
        _ => {
            let words: Vec<&str> = placeholder.split('|').collect();
            if words.len() > 1 && words.iter().all(|word| !word.contains(':') && read(word).is_ok()) {
                json!({"type": "string", "enum": words})
            } else {
                json!({"type": "string"})
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_has_every_option_with_its_type() {
        let schema = schema::<Separation>();
        let of = |name: &str| schema["properties"][name].clone();
        assert_eq!(of("iterations")["type"], "integer");
        assert_eq!(of("tolerance")["type"], "number");
        assert_eq!(of("updates")["enum"], json!(["extrapolated", "alternating"]));
        assert_eq!(of("mask")["type"], "string");
        assert!(of("mask").get("enum").is_none(), "ratio:P is a pattern");
        assert!(of("init_bases").is_null());
        assert!(of("method")["enum"].as_array().unwrap().contains(&json!("nmf2d")));
        assert!(of("only").get("x-methods").is_none());
        let training = super::schema::<Training>();
        assert!(training["properties"]["bands"].get("enum").is_none(), "there are other bands than the examples");
        assert_eq!(training["properties"]["rank"]["oneOf"][0]["type"], "integer");
        let known = options::<Training>().len() + 1;
        let files = options::<Training>().iter().filter(|(flag, _)| matches!(flag.kind, Kind::Recordings)).count();
        assert_eq!(training["properties"].as_object().unwrap().len(), known - files);
    }

    #[test]
    fn a_description_in_force_means_the_same_job() {
        for given in [json!({"method": "nmf2d", "seed": 3}), json!({"method": "denoise", "format": "flac"})] {
            let first = plan(None, &separation(&given, &[]).unwrap()).unwrap().separation;
            let again = plan(None, &separation(&to_json(&first).unwrap(), &[]).unwrap()).unwrap().separation;
            assert_eq!(first, again);
        }
    }

    #[test]
    fn files_cannot_be_named() {
        let given = json!({"method": "nmf2d", "init_bases": [{"name": "a", "recordings": ["/etc/passwd"]}]});
        assert!(separation(&given, &[]).unwrap_err().to_string().contains("upload"));
        let given = json!({"itertions": 3});
        assert!(separation(&given, &[]).unwrap_err().to_string().contains("the nearest is iterations"));
        assert!(separation(&json!([]), &[]).unwrap_err().to_string().contains("must be a JSON object"));
        assert!(plan(None, &Separation::default()).err().unwrap().to_string().contains("name a model"));
    }
}
