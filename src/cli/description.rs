//! Descriptions of jobs on the command line: an option for each of theirs, `--config`, and `--print-config`.

use std::marker::PhantomData;
use std::path::PathBuf;

use anyhow::{anyhow, bail};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use partwise::Error;
use partwise::options::{Described, Flag, Kind, Shown, from_map, options};
use serde::Serialize;
use serde_json::{Map, Value};

use super::common::heading::JOBS;
use super::say;

/// What was typed of a description.
pub(super) struct Options<D> {
    given: Map<String, Value>,
    config: Option<PathBuf>,
    print: bool,
    kind: PhantomData<D>,
}

const CONFIG: &str = "config";
const METHOD: &str = "method";
/// Present where the description is printed and nothing else is done.
pub(super) const PRINT: &str = "print_config";

impl<D: Described + Default + Serialize> Options<D> {
    /// The description: the options that were typed, those of `--config`, and the usual ones, in this order.
    pub(super) fn description(&self) -> anyhow::Result<D> {
        let mut merged = match &self.config {
            None => Map::new(),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(Error::io(path, "read"))?;
                match serde_json::from_str(&text) {
                    Ok(Value::Object(map)) => map,
                    Ok(_) => bail!("{}: holds no object of options", path.display()),
                    Err(cause) => bail!("{}: is not JSON: {cause}", path.display()),
                }
            }
        };
        merged.extend(self.given.clone());
        from_map(merged).map_err(|error| self.blame(error))
    }

    /// Whether the description is to be printed, and nothing else done.
    pub(super) fn is_printed(&self) -> bool {
        self.print
    }

    /// An error of the library in the words of the command line: it names the option as typed, or the file of `--config`.
    pub(super) fn blame(&self, error: Error) -> anyhow::Error {
        let Error::Option { option, reason } = &error else { return error.into() };
        let flags: Vec<&Flag> =
            std::iter::once(&D::METHOD).chain(options::<D>().into_iter().map(|(flag, _)| flag)).collect();
        match (flags.iter().find(|flag| flag.name == option), &self.config) {
            (Some(flag), _) if self.given.contains_key(option) => {
                // The reason may name another option.
                let compound = flags.iter().filter(|flag| flag.name.contains('_'));
                let reason = compound.fold(reason.clone(), |reason, flag| reason.replace(flag.name, &flag.typed()));
                // A reason begins with the value, which a switch has not got.
                let colon = if matches!(flag.kind, Kind::Switch) { ":" } else { "" };
                anyhow!("{}{colon} {reason}", flag.typed())
            }
            (_, Some(path)) => anyhow!("{}: {error}", path.display()),
            (Some(flag), None) => anyhow!("{}: {reason}", flag.typed()),
            (None, None) => error.into(),
        }
    }
}

/// Prints a description as `--config` takes it.
pub(super) fn print(description: &impl Serialize) -> anyhow::Result<()> {
    Ok(say(&(serde_json::to_string_pretty(description)? + "\n"))?)
}

/// The heading of the options that these methods have. There are a few, and they live as long as the program.
fn heading<D: Described>(methods: &[&str]) -> &'static str {
    Box::leak(D::topic(methods).into_boxed_str())
}

/// An option's argument. `usual`: the values of a description without options.
fn argument<D: Described>((flag, methods): (&'static Flag, Vec<&'static str>), usual: &Value) -> Arg {
    let default = match &usual[flag.name] {
        _ if flag.help.contains("[default:") => String::new(),
        Value::String(text) => format!(" [default: {text}]"),
        Value::Number(number) => format!(" [default: {}]", number.as_f64().unwrap_or_default()),
        _ => String::new(),
    };
    let argument = Arg::new(flag.name)
        .long(flag.name.replace('_', "-"))
        .help(format!("{}{default}", flag.help))
        .action(ArgAction::Set);
    let argument = argument.help_heading(heading::<D>(&methods));
    let is_hidden = match flag.shown {
        Shown::Usual => !methods.is_empty() && D::METHODS.len() > 1,
        Shown::Rare => true,
        Shown::First => false,
    };
    let argument = argument.hide_short_help(is_hidden);
    match flag.kind {
        Kind::One(read) => argument.value_name(flag.value).value_parser(read),
        Kind::Text => argument.value_name(flag.value).value_parser(value_parser!(String)),
        Kind::Switch => argument.action(ArgAction::SetTrue),
        Kind::PerSource(_) => argument.value_name(flag.value).action(ArgAction::Append),
        Kind::Recordings => argument.value_name(flag.value).num_args(1..).action(ArgAction::Append),
    }
}

impl<D: Described + Default> Args for Options<D> {
    fn augment_args(command: Command) -> Command {
        let usual = D::default().split().map_or(Value::Null, |(common, _)| common);
        let names: Vec<&str> = D::METHODS.iter().map(|(name, _)| *name).collect();
        let method = Arg::new(METHOD)
            .long(METHOD)
            .value_name(D::METHOD.value)
            .help(D::METHOD.help)
            .help_heading(heading::<D>(&[]))
            .hide(names.len() == 1)
            .value_parser(names)
            .hide_possible_values(true);
        let config = Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("JOB.json")
            .value_parser(value_parser!(PathBuf))
            .help_heading(JOBS)
            .help("Take options from this file, as --print-config prints them; options that are typed overrule it");
        let print = Arg::new(PRINT)
            .long("print-config")
            .action(ArgAction::SetTrue)
            .help_heading(JOBS)
            .help("Print the options in force, as JSON for --config, and do nothing else");
        command
            .arg(method)
            .args(options::<D>().into_iter().map(|option| argument::<D>(option, &usual)))
            .arg(config)
            .arg(print)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<D: Described> FromArgMatches for Options<D> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Map::new();
        if let Some(method) = matches.get_one::<String>(METHOD) {
            given.insert(METHOD.into(), method.as_str().into());
        }
        for (flag, _) in options::<D>().into_iter() {
            let words = |id| matches.get_many::<String>(id).map(|words| words.cloned().collect::<Vec<_>>());
            let value = match flag.kind {
                Kind::One(_) => matches.get_one::<Value>(flag.name).cloned(),
                Kind::Switch => matches.get_flag(flag.name).then_some(Value::Bool(true)),
                Kind::Text | Kind::PerSource(_) | Kind::Recordings => {
                    let refused = |cause: Error| {
                        let line = match cause {
                            Error::Option { reason, .. } => format!("{} {reason}", flag.typed()),
                            cause => cause.to_string(),
                        };
                        clap::Error::raw(clap::error::ErrorKind::ValueValidation, line)
                    };
                    words(flag.name).map(|words| flag.read(&words)).transpose().map_err(refused)?
                }
            };
            given.extend(value.map(|value| (flag.name.to_string(), value)));
        }
        let config = matches.get_one::<PathBuf>(CONFIG).cloned();
        Ok(Self { given, config, print: matches.get_flag(PRINT), kind: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        Self::from_arg_matches(matches).map(|typed| *self = typed)
    }
}
