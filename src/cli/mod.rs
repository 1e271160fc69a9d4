//! What a user types. A command a file; what all may be told is in `common.rs`.

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
mod engine;
mod evaluate;
mod factorize;
mod info;
mod interrupt;
mod manifest;
mod memory;
mod models;
mod output;
mod progress;
mod reproduce;
mod separate;
#[cfg(feature = "serve")]
mod serve;
mod sources;
mod state;
mod train;

use std::io::Write;

use anyhow::Context;
use clap::{Parser, Subcommand};
use log::LevelFilter;

pub(crate) use common::Ending;
pub(crate) use output::complain;

use common::Common;
use output::{check_output, escaped, print, say, shown, table, write_whole};

/// Separates one recording into its sources by nonnegative factorization, on any GPU or CPU.
#[derive(Parser)]
#[command(name = "partwise", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Subcommand)]
enum Command {
    Train(train::Train),
    Separate(Box<separate::Separate>),
    Denoise(Box<separate::Denoise>),
    Manifest(manifest::Manifest),
    Evaluate(evaluate::Evaluate),
    Factorize(factorize::Factorize),
    Check(check::Check),
    Models(models::Models),
    Info(info::Info),
    Devices(devices::Devices),
    Bench(bench::Bench),
    Demo(demo::Demo),
    Reproduce(reproduce::Reproduce),
    #[cfg(feature = "serve")]
    Serve(Box<serve::Serve>),
    #[cfg(feature = "serve")]
    Client(client::Client),
}

/// Parses the arguments and runs the command.
pub(crate) fn run() -> anyhow::Result<Ending> {
    prepare();
    let Some(Cli { command, common }) = arguments::parse::<Cli>()? else { return Ok(Ending::Done) };
    start_log(&common);
    if let Some(threads) = common.threads.filter(|&threads| usize::from(threads) > common.thread_count()) {
        log::warn!("--threads {threads}: this machine runs {} at once, so there are no more", common.thread_count());
    }
    // Transforms share the global pool; the engine has its own.
    let threads = common.thread_count();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    pool.with_context(|| format!("cannot start {threads} threads; give fewer --threads"))?;
    match command {
        Command::Train(train) => train.run(&common),
        Command::Separate(separate) => separate.run(&common),
        Command::Denoise(denoise) => denoise.run(&common),
        Command::Manifest(manifest) => manifest.run(&common),
        Command::Evaluate(evaluate) => evaluate.run(&common),
        Command::Factorize(factorize) => factorize.run(&common),
        Command::Check(check) => check.run(&common),
        Command::Models(models) => models.run(&common),
        Command::Info(info) => info.run(&common),
        Command::Devices(devices) => devices.run(&common),
        Command::Bench(bench) => bench.run(&common),
        Command::Demo(demo) => demo.run(&common),
        Command::Reproduce(reproduce) => reproduce.run(&common),
        #[cfg(feature = "serve")]
        Command::Serve(serve) => serve.run(&common),
        #[cfg(feature = "serve")]
        Command::Client(client) => client.run(&common),
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

/// Logs go to stderr, warnings and up unless asked otherwise; `RUST_LOG` overrules.
fn start_log(common: &Common) {
    let level = match (common.quiet, common.verbose) {
        (true, _) => LevelFilter::Error,
        (_, 0) => LevelFilter::Warn,
        (_, 1) => LevelFilter::Info,
        _ => LevelFilter::Debug,
    };
    // Drivers and their loaders have much to say that no user can act on.
    let foreign = if common.verbose < 2 { LevelFilter::Error } else { LevelFilter::Warn };
    env_logger::Builder::new()
        .filter_level(level)
        // A service says what it does, unless it is told to be quiet.
        .filter_module("partwise::serve", if common.quiet { level } else { level.max(LevelFilter::Info) })
        .filter_module("wgpu_hal", foreign)
        .filter_module("wgpu_core", foreign)
        .filter_module("naga", foreign)
        .filter_module("symphonia", foreign)
        .parse_default_env()
        .format(|out, record| {
            let level = record.level().as_str().to_lowercase();
            writeln!(out, "partwise: {level}: {}", escaped(&record.args().to_string()))
        })
        .init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
