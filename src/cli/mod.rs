//! What a user types. A command a file; the options that commands share are in `common.rs`.

mod arguments;
mod bench;
mod check;
mod choice;
#[cfg(feature = "serve")]
mod client;
mod common;
mod demo;
mod description;
mod devices;
mod documents;
mod engine;
mod evaluate;
mod examples;
mod factorize;
mod info;
mod interrupt;
mod manifest;
mod memory;
mod messages;
mod models;
mod output;
mod pages;
mod pictures;
mod plot;
mod progress;
mod reproduce;
mod separate;
#[cfg(feature = "serve")]
mod serve;
mod sources;
mod state;
mod train;

use clap::{Parser, Subcommand};

pub(crate) use common::Ending;
pub(crate) use messages::complain;

use common::{Common, Computing, Nothing, Threads, Tuning, With};
use messages::start_log;
use output::{check_output, escaped, print, say, shown, table, write_whole};

/// Separates one recording into its sources by nonnegative factorization, on any GPU or CPU
#[derive(Parser)]
#[command(name = "partwise", bin_name = "partwise", version, max_term_width = 110, after_long_help = examples::ALL)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(Box<With<Computing, train::Train>>),
    Separate(Box<With<Computing, separate::Separate>>),
    Denoise(Box<With<Computing, separate::Denoise>>),
    Evaluate(With<Threads, evaluate::Evaluate>),
    Models(With<Nothing, models::Models>),
    Info(With<Nothing, info::Info>),
    Plot(Box<With<Computing, plot::Plot>>),
    Demo(With<Computing, demo::Demo>),
    Manifest(With<Nothing, manifest::Manifest>),
    #[cfg(feature = "serve")]
    Serve(Box<With<Computing, serve::Serve>>),
    #[cfg(feature = "serve")]
    Client(Box<With<Nothing, client::Client>>),
    Devices(With<Tuning, devices::Devices>),
    Check(With<Computing, check::Check>),
    Bench(With<Computing, bench::Bench>),
    Factorize(Box<With<Computing, factorize::Factorize>>),
    Reproduce(Box<With<Computing, reproduce::Reproduce>>),
    Completions(documents::Completions),
    Man(documents::Man),
}

/// Parses the arguments and runs the command.
pub(crate) fn run() -> anyhow::Result<Ending> {
    prepare();
    let Some(Cli { command }) = arguments::parse::<Cli>()? else { return Ok(Ending::Done) };
    match command {
        Command::Train(given) => given.run(train::Train::run),
        Command::Separate(given) => given.run(separate::Separate::run),
        Command::Denoise(given) => given.run(separate::Denoise::run),
        Command::Evaluate(given) => given.run(evaluate::Evaluate::run),
        Command::Models(given) => given.run(models::Models::run),
        Command::Info(given) => given.run(info::Info::run),
        Command::Plot(given) => given.run(plot::Plot::run),
        Command::Demo(given) => given.run(demo::Demo::run),
        Command::Manifest(given) => given.run(manifest::Manifest::run),
        #[cfg(feature = "serve")]
        Command::Serve(given) => given.run(serve::Serve::run),
        #[cfg(feature = "serve")]
        Command::Client(given) => given.run(client::Client::run),
        Command::Devices(given) => given.run(devices::Devices::run),
        Command::Check(given) => given.run(check::Check::run),
        Command::Bench(given) => given.run(bench::Bench::run),
        Command::Factorize(given) => given.run(factorize::Factorize::run),
        Command::Reproduce(given) => given.run(reproduce::Reproduce::run),
        Command::Completions(completions) => completions.run(arguments::command::<Cli>()),
        Command::Man(man) => man.run(arguments::command::<Cli>()),
    }
}

/// What has to be arranged with the system before anything else.
fn prepare() {
    // SAFETY: the program has one thread yet, and no handler is installed.
    #[cfg(unix)]
    unsafe {
        // A file that outgrows `ulimit -f` is an error of that file, not the end of the program.
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        // Mesa's window-system layer complains on stderr wherever there is no `XDG_RUNTIME_DIR`, as on a server, though no window
        // is ever opened: it is given one.
        if cfg!(target_os = "linux") && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
            std::env::set_var("XDG_RUNTIME_DIR", std::env::temp_dir());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent() {
        arguments::command::<Cli>().debug_assert();
    }

    /// Every command and what is below it, by its path.
    fn commands(of: &clap::Command) -> Vec<clap::Command> {
        let below = of.get_subcommands().filter(|command| command.get_name() != "help").flat_map(commands);
        std::iter::once(of.clone()).chain(below).collect()
    }

    fn all() -> Vec<clap::Command> {
        let mut root = arguments::command::<Cli>();
        root.build();
        commands(&root)
    }

    #[test]
    fn help_fits_the_terminal_and_breaks_no_word() {
        for command in all() {
            let help = |width: usize, long: bool| {
                let mut command = command.clone().term_width(width).max_term_width(width);
                let text = if long { command.render_long_help() } else { command.render_help() };
                text.to_string()
            };
            for long in [false, true] {
                let wide = help(1000, long);
                let words: Vec<&str> = wide.split_whitespace().collect();
                for width in [60, 80, 120] {
                    let text = help(width, long);
                    let longest = text.lines().max_by_key(|line| line.chars().count()).unwrap_or_default();
                    assert!(longest.chars().count() <= width, "{}: {longest}", command.get_name());
                    let is_clean = |line: &str| line == line.trim_end() && !line.contains("[possible values");
                    assert!(text.lines().all(is_clean), "{}: {text}", command.get_name());
                    assert_eq!(text.split_whitespace().collect::<Vec<_>>(), words, "{}", command.get_name());
                }
            }
        }
    }

    #[test]
    fn options_stand_under_headings_and_shared_ones_last() {
        for command in all().into_iter().filter(|command| !command.has_subcommands()) {
            let name = command.get_name();
            let options = command.get_arguments().filter(|arg| !arg.is_positional() && !arg.is_hide_set());
            let headings: Vec<&str> = options.map(|arg| arg.get_help_heading().unwrap_or("none")).collect();
            assert!(!headings.contains(&"none"), "{name}: {headings:?}");
            let screen = headings.iter().position(|&heading| heading == common::heading::SCREEN);
            let last = &headings[screen.unwrap_or_default()..];
            assert!(last.iter().all(|&heading| heading == common::heading::SCREEN), "{name}: {headings:?}");
        }
        let has = |name: &str, option: &str| {
            let command = all().into_iter().find(|command| command.get_name() == name).unwrap();
            command.get_arguments().any(|arg| arg.get_long() == Some(option))
        };
        assert!(has("separate", "engine") && has("bench", "engine") && !has("evaluate", "engine"));
        assert!(has("evaluate", "threads") && !has("client", "threads") && !has("manifest", "threads"));
        assert!(has("factorize", "seed") && has("train", "seed") && !has("check", "seed") && !has("serve", "seed"));
    }

    #[test]
    fn short_help_has_what_beginners_need_of_single_methods() {
        let short = |name: &str| {
            let command = all().into_iter().find(|command| command.get_name() == name);
            command.unwrap().render_help().to_string()
        };
        let (train, separate) = (short("train"), short("separate"));
        assert!(train.contains("--quality") && !train.contains("--mixtures"), "{train}");
        assert!(separate.contains("--rest") && separate.contains("--sources"), "{separate}");
        assert!(!separate.contains("--prior-weight") && !separate.contains("--tolerance"), "{separate}");
    }

    #[test]
    fn every_command_has_examples_that_can_be_typed() {
        for command in all().into_iter().filter(|command| !command.has_subcommands()) {
            let name = command.get_name();
            let text = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            let typed = examples::typed(&text);
            assert!((2..=4).contains(&typed.len()), "{name}: {text}");
            for words in typed {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let parsed = arguments::command::<Cli>().try_get_matches_from(&words);
                assert!(words[0] == "partwise" && parsed.is_ok(), "{words:?}: {}", parsed.unwrap_err());
            }
        }
    }
}
