//! Parses the command line, and rewords the parser's errors.

use std::any::TypeId;
use std::error::Error as _;
use std::num::{ParseFloatError, ParseIntError};
use std::path::PathBuf;

use anyhow::bail;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Parser};

use super::escaped;
use super::output::told;

/// Parses the arguments. None if they asked for help, which is then printed.
///
/// # Errors
/// One line that names the option, its value and the allowed values.
pub(super) fn parse<C: Parser>() -> anyhow::Result<Option<C>> {
    let matches = with_dashes(C::command()).try_get_matches();
    match matches.and_then(|matches| C::from_arg_matches(&matches)) {
        Ok(command) => Ok(Some(command)),
        Err(error) if !error.use_stderr() => {
            told(error.print())?;
            Ok(None)
        }
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            bail!("no command given; see `partwise --help`")
        }
        Err(error) => bail!(line(&error)),
    }
}

/// Takes "-1" after an option as its value. The error then names the wrong value, not an unknown option "-1".
fn with_dashes(command: Command) -> Command {
    let value = |arg: Arg| {
        if arg.is_positional() || !arg.get_action().takes_values() {
            return arg;
        }
        let kind = arg.get_value_parser().type_id();
        // For a number, another option in its place is not a valid value. A name or a list of values could be followed
        // by an option.
        let named = [TypeId::of::<String>(), TypeId::of::<PathBuf>()].iter().any(|name| kind == *name);
        let several = arg.get_num_args().is_some_and(|count| count.max_values() > 1);
        if named || several { arg.allow_negative_numbers(true) } else { arg.allow_hyphen_values(true) }
    };
    command.mut_args(value).mut_subcommands(with_dashes)
}

/// Rewords a parser error as one line.
fn line(error: &clap::Error) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let named = |arg: &str| arg.split(' ').next().unwrap_or_default().to_string();
    let what = match (text(ContextKind::InvalidArg).map(named), text(ContextKind::InvalidValue)) {
        (Some(arg), Some(value)) => format!("{arg} {value}"),
        _ => return rendered(error),
    };
    match (error.kind(), error.get(ContextKind::ValidValue), error.source()) {
        (ErrorKind::InvalidValue, _, _) if text(ContextKind::InvalidValue) == Some("") => {
            format!("{}: needs a value", what.trim_end())
        }
        (ErrorKind::InvalidValue, Some(ContextValue::Strings(valid)), _) => {
            format!("{what}: use {}", valid.join(", ")).replace(" :", ":")
        }
        (ErrorKind::ValueValidation, _, Some(cause)) if cause.is::<ParseIntError>() => {
            format!("{what}: use a whole number from 0 on")
        }
        (ErrorKind::ValueValidation, _, Some(cause)) if cause.is::<ParseFloatError>() => {
            format!("{what}: use a number")
        }
        (ErrorKind::ValueValidation, _, Some(cause)) => format!("{what}: {cause}"),
        _ => rendered(error),
    }
}

/// The parser's own message as one line.
fn rendered(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let said = |line: &&str| !line.is_empty() && !line.starts_with("For more information");
    let lines = text.lines().map(str::trim).filter(said).map(|line| escaped(line).into_owned());
    lines.collect::<Vec<_>>().join("; ").trim_start_matches("error: ").replace(":;", ":")
}
