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

/// The commands and options, as they are parsed and documented.
pub(super) fn command<C: Parser>() -> Command {
    let command = with_defaults(with_dashes(C::command())).mut_subcommands(without_help);
    let name = command.get_name().to_string();
    with_usage(command, &name)
}

/// Parses the arguments. None if they asked for help, which is then printed.
///
/// # Errors
/// One line that names the option, its value and the allowed values.
pub(super) fn parse<C: Parser>() -> anyhow::Result<Option<C>> {
    let matches = command::<C>().try_get_matches();
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
        Err(error) => bail!(line(&error, &command::<C>())),
    }
}

/// Says the default of an option, and the variable of the environment that is read for it, at the end of its help: in the same way
/// for all options. The values that are possible stand in the place of the value, or in the help.
fn with_defaults(command: Command) -> Command {
    let said = |arg: Arg| {
        if !arg.get_action().takes_values() {
            return arg;
        }
        let values: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let shown = !arg.is_hide_default_value_set() && !values.is_empty();
        let default = if shown { format!(" [default: {}]", values.join(" ")) } else { String::new() };
        let env = arg.get_env().map_or(String::new(), |name| format!(" [env: {}]", name.to_string_lossy()));
        let help = arg.get_help().map(|help| format!("{help}{env}{default}"));
        arg.help(help.unwrap_or_default()).hide_default_value(true).hide_possible_values(true).hide_env(true)
    };
    command.mut_args(said).mut_subcommands(with_defaults)
}

/// The most columns of a usage: a narrow terminal's. Other texts of the help are wrapped to the terminal.
const USAGE: usize = 60;

/// Breaks a long usage into lines, before options and arguments. `path`: the command with those above it.
fn with_usage(command: Command, path: &str) -> Command {
    let usage = command.clone().bin_name(path).render_usage().to_string().replace("Usage: ", "");
    let (mut lines, mut room) = (String::new(), USAGE - "Usage: ".len());
    for part in usage.replace(" --", "\n--").replace(" [", "\n[").replace("] <", "]\n<").split('\n') {
        if !lines.is_empty() && part.len() >= room {
            lines.push_str("\n           ");
            room = USAGE - 11;
        }
        let space = if lines.is_empty() || lines.ends_with(' ') { "" } else { " " };
        room = room.saturating_sub(part.len() + 1);
        lines = lines + space + part;
    }
    command.override_usage(lines).mut_subcommands(|below| {
        let path = format!("{path} {}", below.get_name());
        with_usage(below, &path)
    })
}

/// Commands have an option for help of their own, see [`super::common::Help`].
fn without_help(command: Command) -> Command {
    command.disable_help_flag(true).mut_subcommands(without_help)
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
        // Where a value may be missing, what follows may be an option too.
        let several = arg.get_num_args().is_some_and(|count| count.max_values() > 1 || count.min_values() == 0);
        if named || several { arg.allow_negative_numbers(true) } else { arg.allow_hyphen_values(true) }
    };
    command.mut_args(value).mut_subcommands(with_dashes)
}

/// Rewords a parser error as one line: what is wrong, and what to do.
fn line(error: &clap::Error, commands: &Command) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let named = |arg: &str| arg.split(' ').next().unwrap_or_default().to_string();
    let what = match (text(ContextKind::InvalidArg).map(named), text(ContextKind::InvalidValue)) {
        (Some(arg), Some(value)) => format!("{arg} {value}"),
        _ => return format!("{}{}", rendered(error), advice(error, commands)),
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

/// The parser's own message and its suggestion as one line.
fn rendered(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let said =
        |line: &&str| !line.is_empty() && !line.starts_with("For more information") && !line.starts_with("Usage:");
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:")).filter(said);
    let lines = lines.map(|line| escaped(line.trim_start_matches("tip: ")).into_owned());
    lines.collect::<Vec<_>>().join("; ").trim_start_matches("error: ").replace(":;", ":")
}

/// What helps further: the nearest command, or where the options are explained.
fn advice(error: &clap::Error, commands: &Command) -> String {
    if let (None, Some(ContextValue::String(wrong))) =
        (error.get(ContextKind::SuggestedSubcommand), error.get(ContextKind::InvalidSubcommand))
        && let Some(near) = nearest(wrong, commands)
    {
        return format!("; a similar subcommand exists: '{near}'");
    }
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else { return String::new() };
    let usage = usage.to_string();
    let is_command = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    let words = usage.trim_start_matches("Usage:").split_whitespace();
    let path: Vec<&str> = words.take_while(|word| is_command(word) && !word.starts_with('-')).collect();
    // Before the command, an option is not known.
    let options_first = path.len() == 1 && std::env::args().nth(1).is_some_and(|first| first.starts_with('-'));
    let hint = if options_first { "; options come after the command" } else { "" };
    format!("{hint}; see `{} --help`", path.join(" "))
}

/// The name of a command, on any level, that is most like a wrong one.
fn nearest(wrong: &str, commands: &Command) -> Option<String> {
    let below = |command: &Command| command.get_subcommands().map(|c| c.get_name().to_string()).collect::<Vec<_>>();
    let names = below(commands).into_iter().chain(commands.get_subcommands().flat_map(below));
    let likeness = |name: &String| strsim::jaro_winkler(name, wrong);
    let near = names.filter(|name| likeness(name) > 0.8).max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    near.filter(|_| !wrong.is_empty())
}
