//! What is said on stderr: errors, warnings and logs, all in one form, a line each.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use log::{Level, LevelFilter};

use super::escaped;

/// Writes the error that ends the program to stderr. If that fails, the error has nowhere to go.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(anstream::stderr(), "{}", message(Level::Error, line));
}

/// A line of stderr: "partwise: error: x.wav: cannot open". Its colours are removed where they cannot be shown, or `NO_COLOR` is set.
fn message(level: Level, text: &str) -> String {
    let (word, colour) = match level {
        Level::Error => ("error", Some(AnsiColor::Red)),
        Level::Warn => ("warning", Some(AnsiColor::Yellow)),
        Level::Info => ("info", None),
        Level::Debug => ("debug", None),
        Level::Trace => ("trace", None),
    };
    let style = colour.map_or(Style::new(), |colour| colour.on_default().bold());
    format!("partwise: {style}{word}:{style:#} {}", escaped(text))
}

/// Logs go to stderr, warnings and up unless asked otherwise; `RUST_LOG` overrules.
pub(super) fn start_log(quiet: bool, verbose: u8) {
    let level = match (quiet, verbose) {
        (true, _) => LevelFilter::Error,
        (_, 0) => LevelFilter::Warn,
        (_, 1) => LevelFilter::Info,
        _ => LevelFilter::Debug,
    };
    // Drivers and their loaders have much to say that no user can act on.
    let foreign = if verbose < 2 { LevelFilter::Error } else { LevelFilter::Warn };
    env_logger::Builder::new()
        .filter_level(level)
        // A service says what it does, unless it is told to be quiet.
        .filter_module("partwise::serve", if quiet { level } else { level.max(LevelFilter::Info) })
        .filter_module("wgpu_hal", foreign)
        .filter_module("wgpu_core", foreign)
        .filter_module("naga", foreign)
        .filter_module("symphonia", foreign)
        .parse_default_env()
        .format(|out, record| writeln!(out, "{}", message(record.level(), &record.args().to_string())))
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_one_form_and_only_their_word_is_coloured() {
        let plain = |level| anstream::adapter::strip_str(&message(level, "a\nb")).to_string();
        assert_eq!(plain(Level::Error), "partwise: error: a\\nb");
        assert_eq!(plain(Level::Warn), "partwise: warning: a\\nb");
        assert!(
            message(Level::Error, "x").contains("\u{1b}[31m") && message(Level::Error, "x").ends_with("\u{1b}[0m x")
        );
        assert_eq!(message(Level::Info, "x"), "partwise: info: x");
    }
}
