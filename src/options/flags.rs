//! The options of a job's description: `window_shape` in JSON, `--window-shape` on the command line.

use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::per_source::OTHERS;
use crate::{Error, Result};

/// One option of a description.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// The name in JSON.
    pub name: &'static str,
    /// The placeholder for the value in help texts; empty for a switch.
    pub value: &'static str,
    /// The help text.
    pub help: &'static str,
    /// How words of the command line become the option's JSON value.
    pub kind: Kind,
    /// Which help texts have it.
    pub shown: Shown,
}

/// Which help texts have an option. The long help has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// A short help has it if all methods have it.
    Usual,
    /// A short help leaves it out: few users need it.
    Rare,
    /// A short help has it: beginners need it.
    First,
}

/// How words of the command line become a JSON value.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// One word, read by this function.
    One(fn(&str) -> Result<Value>),
    /// One free text.
    Text,
    /// No word: the option is true where it is given.
    Switch,
    /// `VALUE` for all sources or `NAME=VALUE` for one, any number of times.
    PerSource(fn(&str) -> Result<Value>),
    /// `NAME=PATH`, any number of times; more paths may follow each.
    Recordings,
}

impl Flag {
    /// An option that takes a whole number.
    pub const fn count(name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self { name, value, help, kind: Kind::One(count), shown: Shown::Usual }
    }

    /// An option that takes a number.
    pub const fn number(name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self { name, value, help, kind: Kind::One(number), shown: Shown::Usual }
    }

    /// An option whose words are read by `T`.
    pub const fn word<T: FromStr<Err = Error>>(name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self { name, value, help, kind: Kind::One(word::<T>), shown: Shown::Usual }
    }

    /// An option that takes any text.
    pub const fn text(name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self { name, value, help, kind: Kind::Text, shown: Shown::Usual }
    }

    /// An option without a value.
    pub const fn switch(name: &'static str, help: &'static str) -> Self {
        Self { name, value: "", help, kind: Kind::Switch, shown: Shown::Usual }
    }

    /// An option that takes `NAME=PATH` words.
    pub const fn recordings(name: &'static str, help: &'static str) -> Self {
        Self { name, value: "NAME=PATH", help, kind: Kind::Recordings, shown: Shown::Usual }
    }

    /// A whole number or a word that is read by `T`, for all sources, or for some by their names.
    pub const fn count_or_word_per_source<T: FromStr<Err = Error>>(
        name: &'static str,
        value: &'static str,
        help: &'static str,
    ) -> Self {
        Self { name, value, help, kind: Kind::PerSource(count_or_word::<T>), shown: Shown::Usual }
    }

    /// An option of words that are read by `T`: one for all sources, or some by their names.
    pub const fn word_per_source<T: FromStr<Err = Error>>(
        name: &'static str,
        value: &'static str,
        help: &'static str,
    ) -> Self {
        Self { name, value, help, kind: Kind::PerSource(word::<T>), shown: Shown::Usual }
    }

    /// The same option, as one that few users need.
    #[must_use]
    pub const fn rare(self) -> Self {
        Self { shown: Shown::Rare, ..self }
    }

    /// The same option, as one that beginners need, though not all methods have it.
    #[must_use]
    pub const fn first(self) -> Self {
        Self { shown: Shown::First, ..self }
    }

    /// The option as typed: `--window-shape`.
    pub fn typed(&self) -> String {
        format!("--{}", self.name.replace('_', "-"))
    }

    /// The option's JSON value from the words of the command line.
    ///
    /// # Errors
    /// [`Error::Option`] names the option; its reason says what it takes.
    pub fn read(&self, words: &[String]) -> Result<Value> {
        let refused = |word: &str, cause: &Error| {
            // The reader's message may name the option itself.
            let cause = cause.to_string();
            Error::option(self.name, format!("{word}: {cause}"))
        };
        let last = words.last().map_or("", String::as_str);
        match self.kind {
            Kind::One(read) => read(last).map_err(|cause| refused(last, &cause)),
            Kind::Text => Ok(last.into()),
            Kind::Switch => Ok(true.into()),
            Kind::PerSource(read) => {
                let mut values = Map::new();
                for word in words {
                    let (name, text) = word.split_once('=').unwrap_or((OTHERS, word));
                    values.insert(name.into(), read(text).map_err(|cause| refused(word, &cause))?);
                }
                Ok(values.into())
            }
            Kind::Recordings => {
                let mut named: Vec<(&str, Vec<&str>)> = Vec::new();
                let mut name = None;
                for word in words {
                    let path = match word.split_once('=') {
                        Some((new, path)) => {
                            name = Some(new);
                            path
                        }
                        None => word,
                    };
                    let Some(name) = name else {
                        return Err(Error::option(
                            self.name,
                            format!("{word}: expected NAME=PATH, such as speech=recordings/"),
                        ));
                    };
                    match named.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, paths)) => paths.push(path),
                        None => named.push((name, vec![path])),
                    }
                }
                Ok(named.iter().map(|(name, paths)| json!({ "name": name, "recordings": paths })).collect())
            }
        }
    }
}

fn count(text: &str) -> Result<Value> {
    text.parse::<u64>().map(Value::from).map_err(|_| Error::input("use a whole number from 0 on"))
}

fn count_or_word<T: FromStr<Err = Error>>(text: &str) -> Result<Value> {
    text.parse::<T>().map(|_| text.parse::<u64>().map_or_else(|_| text.into(), Value::from))
}

fn number(text: &str) -> Result<Value> {
    let number = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
    number.map(Value::from).ok_or_else(|| Error::input("use a finite number"))
}

fn word<T: FromStr<Err = Error>>(text: &str) -> Result<Value> {
    text.parse::<T>().map(|_| text.into())
}
