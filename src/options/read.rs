//! Descriptions to JSON and back: flat, in the order of their options, and strict about names.

use serde::ser::SerializeMap;
use serde::{Serializer, de};
use serde_json::{Map, Value};

use super::flags::Flag;
use crate::{Error, Result};

/// A description whose options are those that all methods share and those of its method.
pub trait Described: Sized {
    /// What a description of this kind is called.
    const KIND: &'static str;
    /// What its options are about, as a heading.
    const TOPIC: &'static str;
    /// The methods that need no model, where others need one.
    const WITHOUT_MODEL: &'static [&'static str] = &[];
    /// The option that names the method.
    const METHOD: Flag;
    /// The options that all methods share.
    const COMMON: &'static [Flag];
    /// Every method, and its own options.
    const METHODS: &'static [(&'static str, &'static [Flag])];

    /// The options as JSON: those that all methods share, and, where it has a method, those of the method with its name as
    /// `method`.
    ///
    /// # Errors
    /// What serde_json says.
    fn split(&self) -> serde_json::Result<(Value, Option<Value>)>;

    /// A description from such parts, where what is missing has its default.
    ///
    /// # Errors
    /// What serde_json says.
    fn join(common: Value, method: Option<Value>) -> serde_json::Result<Self>;

    /// The method of a description that names none.
    const USUAL: Option<&'static str>;

    /// The heading of the options that these methods have and others have not; none for options that all share.
    fn topic(methods: &[&str]) -> String {
        let is_blind = |method: &&str| Self::WITHOUT_MODEL.contains(method);
        match methods.iter().filter(|method| is_blind(method)).count() {
            _ if methods.is_empty() || Self::METHODS.len() == 1 => Self::TOPIC.into(),
            0 => format!("{} by {}", Self::TOPIC, methods.join(" and ")),
            blind if blind == methods.len() => format!("Blind {}", Self::TOPIC.to_lowercase()),
            _ => Self::TOPIC.into(),
        }
    }
}

/// The key of the method's name.
const METHOD: &str = "method";

/// The options of a method, by its name.
fn own<D: Described>(method: &str) -> Option<&'static [Flag]> {
    D::METHODS.iter().find(|(name, _)| *name == method).map(|(_, flags)| *flags)
}

fn has(flags: &[Flag], name: &str) -> bool {
    flags.iter().any(|flag| flag.name == name)
}

/// Every option of a description, each once, and the methods that alone have it; none for options that all share.
pub fn options<D: Described>() -> Vec<(&'static Flag, Vec<&'static str>)> {
    let mut all: Vec<(&Flag, Vec<&str>)> = D::COMMON.iter().map(|flag| (flag, Vec::new())).collect();
    for (method, flags) in D::METHODS {
        for flag in *flags {
            match all.iter_mut().find(|(known, _)| known.name == flag.name) {
                Some((_, methods)) => methods.push(method),
                None => all.push((flag, vec![method])),
            }
        }
    }
    all
}

/// A description from its options as JSON.
///
/// # Errors
/// [`Error::Option`] names an option that is not known, is of another method, or has a value of another type.
pub fn from_map<D: Described>(given: Map<String, Value>) -> Result<D> {
    let method = match given.get(METHOD) {
        None | Some(Value::Null) => owner::<D>(&given)?.or(D::USUAL),
        Some(Value::String(name)) => Some(name.as_str()),
        Some(other) => {
            return Err(Error::option(METHOD, format!("{other}: must be a name, one of {}", methods::<D>())));
        }
    };
    let Some(flags) = method.map_or(Some(&[][..]), own::<D>) else {
        let name = method.unwrap_or_default();
        return Err(Error::option(METHOD, format!("{name}: not a method of {}; use {}", D::KIND, methods::<D>())));
    };
    let method = method.map(str::to_string);
    let (mut common, mut of_method) = (Map::new(), Map::new());
    for (name, value) in given.into_iter().filter(|(name, _)| name != METHOD) {
        let part = if has(D::COMMON, &name) {
            &mut common
        } else if has(flags, &name) {
            &mut of_method
        } else {
            return Err(unknown::<D>(&name, method.as_deref()));
        };
        part.insert(name, value);
    }
    let tagged = |mut options: Map<String, Value>| {
        method.clone().map(|method| {
            options.insert(METHOD.into(), method.into());
            Value::Object(options)
        })
    };
    D::join(common.clone().into(), tagged(of_method.clone())).map_err(|cause| {
        // Which of them does not fit shows when each is read alone.
        let alone = |(name, value): (String, Value), own: bool| {
            let one = Map::from_iter([(name.clone(), value)]);
            let (common, of_method) = if own { (Map::new(), one) } else { (one, Map::new()) };
            let cause = D::join(common.into(), tagged(of_method)).err()?;
            Some(Error::option(name, plain(&cause)))
        };
        let found = common.into_iter().find_map(|entry| alone(entry, false));
        let found = found.or_else(|| of_method.into_iter().find_map(|entry| alone(entry, true)));
        found.unwrap_or_else(|| Error::input(plain(&cause)))
    })
}

/// The only method that has all those options which not all methods share, where there are any.
fn owner<D: Described>(given: &Map<String, Value>) -> Result<Option<&'static str>> {
    if D::USUAL.is_some() {
        return Ok(None);
    }
    let special: Vec<&str> = given.keys().map(String::as_str).filter(|name| !has(D::COMMON, name)).collect();
    let special: Vec<&str> = special.into_iter().filter(|&name| name != METHOD).collect();
    if special.is_empty() {
        return Ok(None);
    }
    let fits = |(_, flags): &&(&str, &[Flag])| special.iter().all(|name| has(flags, name));
    let mut owners = D::METHODS.iter().filter(fits);
    match (owners.next(), owners.next()) {
        (Some((method, _)), None) => Ok(Some(method)),
        (None, _) => Err(unknown::<D>(special[0], None)),
        (Some(_), Some(_)) => {
            let all = options::<D>();
            let owners = all.iter().find(|(flag, _)| flag.name == special[0]).map(|(_, owners)| owners.join(" and "));
            let owners = owners.unwrap_or_default();
            Err(Error::option(special[0], format!("is an option of the methods {owners}; name one as {METHOD}")))
        }
    }
}

fn methods<D: Described>() -> String {
    D::METHODS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// An option that the description has not got: of another method, or the nearest that it has.
fn unknown<D: Described>(name: &str, method: Option<&str>) -> Error {
    let all = options::<D>();
    if let Some((_, owners)) = all.iter().find(|(flag, _)| flag.name == name) {
        let owners = owners.join(" and ");
        let here = method.map_or_else(String::new, |method| format!(", and the method here is {method}"));
        return Error::option(name, format!("is an option of the method {owners}{here}"));
    }
    let near = |flag: &Flag| strsim::jaro_winkler(flag.name, name);
    let reachable = all.iter().filter(|(_, owners)| owners.is_empty() || owners.iter().any(|&one| Some(one) == method));
    let nearest = reachable.map(|(flag, _)| *flag).max_by(|a, b| near(a).total_cmp(&near(b)));
    let hint = nearest.map_or_else(String::new, |flag| format!("; the nearest is {}", flag.name));
    Error::option(name, format!("is not an option of {}{hint}", D::KIND))
}

/// What serde_json says of a value, in a user's words.
fn plain(cause: &serde_json::Error) -> String {
    let said = cause.to_string();
    let types = [("expected usize", "expected a whole number"), ("expected u64", "expected a whole number")];
    let more = [("expected f64", "expected a number"), ("expected a boolean", "expected true or false")];
    types.iter().chain(&more).fold(said, |said, (from, to)| said.replace(from, to))
}

/// Writes a description, its method first, then its options in their order.
pub(crate) fn serialize<D: Described, S: Serializer>(
    description: &D,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    let (common, method) = description.split().map_err(serde::ser::Error::custom)?;
    let name = method.as_ref().and_then(|method| method[METHOD].as_str());
    let mut map = serializer.serialize_map(None)?;
    if let Some(name) = name {
        map.serialize_entry(METHOD, name)?;
    }
    let flags = name.and_then(own::<D>).unwrap_or_default();
    let entries = D::COMMON.iter().map(|flag| (flag, &common));
    for (flag, of) in entries.chain(flags.iter().zip(std::iter::repeat(method.as_ref().unwrap_or(&Value::Null)))) {
        map.serialize_entry(flag.name, &of[flag.name])?;
    }
    map.end()
}

/// Reads a description.
pub(crate) fn deserialize<'de, D: Described, T: serde::Deserializer<'de>>(
    deserializer: T,
) -> std::result::Result<D, T::Error> {
    from_map(serde::Deserialize::deserialize(deserializer)?).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::job::{Separation, SeparationMethod, Training, TrainingMethod};

    fn read<D: Described>(value: Value) -> Result<D> {
        match value {
            Value::Object(map) => from_map(map),
            _ => panic!("{value} is no description"),
        }
    }

    /// Every description of a kind, by its method, with the usual options.
    fn check_names<D: Described + serde::Serialize + PartialEq + std::fmt::Debug>() {
        for (method, flags) in D::METHODS {
            let usual: D = read(json!({ METHOD: method })).unwrap();
            let written = serde_json::to_value(&usual).unwrap();
            let expected = D::COMMON.iter().chain(*flags).map(|flag| flag.name).chain([METHOD]);
            let (mut expected, mut names): (Vec<&str>, Vec<&str>) =
                (expected.collect(), written.as_object().unwrap().keys().map(String::as_str).collect());
            expected.sort_unstable();
            names.sort_unstable();
            assert_eq!(names, expected, "{method}: an option without a flag, or a flag without an option");
            let (common, own) = usual.split().unwrap();
            assert_eq!(common.as_object().unwrap().len(), D::COMMON.len(), "{method}");
            assert_eq!(own.unwrap().as_object().unwrap().len(), flags.len() + 1, "{method}");
            assert_eq!(read::<D>(written).unwrap(), usual);
        }
    }

    #[test]
    fn every_option_has_a_flag_and_comes_back_as_it_was() {
        check_names::<Training>();
        check_names::<Separation>();
    }

    #[test]
    fn options_are_flat_and_the_method_is_found_by_its_own() {
        let training: Training = read(json!({"method": "gain-prior", "mixtures": 5, "rank": {"a": 3}})).unwrap();
        assert!(matches!(&training.method, TrainingMethod::GainPrior(own) if own.mixtures == 5));
        assert_eq!(training.rank.named["a"], crate::options::Rank::Of(3));
        let separation: Separation = read(json!({"prior_weight": 0.1, "iterations": 7})).unwrap();
        assert!(matches!(separation.method, Some(SeparationMethod::GainPrior(_))));
        assert_eq!(separation.iterations, Some(7));
        assert_eq!(read::<Separation>(json!({"iterations": null})).unwrap(), Separation::default());
        assert_eq!(read::<Training>(json!({})).unwrap(), Training::default());
        let window: Training = read(json!({"window": 480, "hop": "12ms"})).unwrap();
        assert_eq!(window.transform().window, Some(crate::spectrogram::Length::Samples(480)));
    }

    fn assert_refused<D: Described + std::fmt::Debug>(value: Value, expected: &str) {
        let error = read::<D>(value).unwrap_err();
        assert!(matches!(error, Error::Option { .. }), "{error:?}");
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn unknown_names_are_refused_with_the_nearest() {
        assert_refused::<Training>(
            json!({"itertions": 5}),
            "itertions: is not an option of a training; the nearest is iterations",
        );
        assert_refused::<Separation>(
            json!({"time_lag": 5, "method": "nmf2d"}),
            "time_lag: is not an option of a separation; the nearest is time_lags",
        );
        assert_refused::<Training>(
            json!({"mixtures": 5}),
            "mixtures: is an option of the method gain-prior, and the method here is nmf",
        );
        assert_refused::<Separation>(
            json!({"sources": 2, "method": "gain-prior"}),
            "sources: is an option of the method nmf2d, and the method here is gain-prior",
        );
        assert_refused::<Training>(
            json!({"method": "vbn"}),
            "method: vbn: not a method of a training; use nmf, exemplars, gain-prior, sparse, discriminative, averaged, deep",
        );
        assert_refused::<Training>(
            json!({"method": 3}),
            "method: 3: must be a name, one of nmf, exemplars, gain-prior, sparse, discriminative, averaged, deep",
        );
        assert_refused::<Separation>(
            json!({"sources": 2, "prior_weight": 0}),
            "prior_weight: is an option of the method gain-prior",
        );
    }

    #[test]
    fn values_of_another_type_are_refused_by_name() {
        for (value, option) in [
            (json!({"iterations": "many"}), "iterations"),
            (json!({"iterations": -1}), "iterations"),
            (json!({"tolerance": "x", "iterations": 3}), "tolerance"),
            (json!({"divergence": "euclid"}), "divergence"),
            (json!({"rank": {"a": "x"}}), "rank"),
            (json!({"window_shape": "round"}), "window_shape"),
            (json!({"method": "gain-prior", "mixtures": true}), "mixtures"),
        ] {
            let error = read::<Training>(value).unwrap_err();
            assert!(matches!(&error, Error::Option { option: found, .. } if found == option), "{error:?}");
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
        }
        let error = read::<Training>(json!({"iterations": "many"})).unwrap_err().to_string();
        assert!(error.contains("expected a whole number"), "{error}");
    }
}
