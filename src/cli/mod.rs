//! What a user types. A command a file; what all share is here.

mod arguments;
mod bench;
mod check;
mod demo;
mod description;
mod devices;
mod engine;
mod evaluate;
mod factorize;
mod interrupt;
mod manifest;
mod memory;
mod output;
mod progress;
mod reproduce;
mod separate;
mod sources;
mod train;

use std::io::Write;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use log::LevelFilter;

pub(crate) use output::complain;
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
    Manifest(manifest::Manifest),
    Evaluate(evaluate::Evaluate),
    Factorize(factorize::Factorize),
    Check(check::Check),
    Devices(devices::Devices),
    Bench(bench::Bench),
    Demo(demo::Demo),
    Reproduce(reproduce::Reproduce),
}

/// Options of every command.
#[derive(Args, Clone)]
struct Common {
    /// The engine that computes; auto takes a real GPU if it is faster than the CPU engine
    #[arg(long, global = true, value_name = "auto|gpu|cpu|reference", default_value = "auto")]
    engine: engine::Kind,
    /// The GPU to use: its index in `partwise devices`, a part of its name, dx12:NAME behind another backend, or its PCI bus id;
    /// `separate` also takes all, for every GPU
    #[arg(long, global = true, value_name = "INDEX|NAME|BACKEND:NAME|PCI|all")]
    gpu: Option<String>,
    /// Measure again which kernels are the fastest on the GPU, and whether it is faster than the CPU; otherwise both are measured
    /// once and kept
    #[arg(long, global = true)]
    retune: bool,
    /// Threads of the CPU engine and of reading and writing, at most as many as there are cores [default: all of them]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Seed of random starts: the same seed gives the same bytes [default: 0]
    #[arg(long, global = true, value_name = "N")]
    seed: Option<u64>,
    /// Print one JSON document on stdout instead of a table
    #[arg(long, global = true)]
    json: bool,
    /// Show more on stderr; -vv shows details
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Show only errors on stderr
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Hide progress bars; they appear only on a terminal
    #[arg(long, global = true)]
    no_progress: bool,
}

impl Common {
    /// The seed of random starts.
    fn seed(&self) -> u64 {
        self.seed.unwrap_or_default()
    }

    /// The threads that the engine, and reading and writing, may use: as many as were asked for, but no more than can run at once.
    fn thread_count(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        self.threads.map_or(cores, |threads| usize::from(threads).min(cores))
    }
}

/// How a command ended, short of failing.
pub(crate) enum Ending {
    /// Everything was done.
    Done,
    /// Some inputs failed, the rest were done.
    Partial,
    /// The user ended it early.
    Interrupted,
}

/// Parses the arguments and runs the command.
pub(crate) fn run() -> anyhow::Result<Ending> {
    prepare();
    let Some(Cli { command, common }) = arguments::parse()? else { return Ok(Ending::Done) };
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
        Command::Manifest(manifest) => manifest.run(&common),
        Command::Evaluate(evaluate) => evaluate.run(&common),
        Command::Factorize(factorize) => factorize.run(&common),
        Command::Check(check) => check.run(&common),
        Command::Devices(devices) => devices.run(&common),
        Command::Bench(bench) => bench.run(&common),
        Command::Demo(demo) => demo.run(&common),
        Command::Reproduce(reproduce) => reproduce.run(&common),
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
