//! The options that commands share, and how a command may end.

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::choice::Choice;
use super::{print, start_log};

/// The headings of options in help texts, beside those of methods.
pub(super) mod heading {
    pub(in crate::cli) const FILES: &str = "Input and output";
    pub(in crate::cli) const MODEL: &str = "Model";
    pub(in crate::cli) const JOBS: &str = "Jobs";
    pub(in crate::cli) const ENGINE: &str = "Engine";
    pub(in crate::cli) const SCREEN: &str = "Output on screen";
}

// A command, and the options that it shares with others. They stand last in its help. These groups have no doc comments: that of
// a group would replace that of its command.
#[derive(Args)]
pub(super) struct With<S: Args, C: Args> {
    #[command(flatten)]
    command: C,
    #[command(flatten)]
    shared: S,
    #[command(flatten)]
    screen: Screen,
}

impl<S: Args + Shared, C: Args> With<S, C> {
    /// Runs the command, after logs and threads are arranged as its options say.
    pub(super) fn run(self, run: impl FnOnce(C, &Common) -> anyhow::Result<Ending>) -> anyhow::Result<Ending> {
        let Screen { json, verbose, quiet, no_progress, .. } = self.screen;
        let common = Common { json, quiet, no_progress, ..self.shared.common() };
        start_log(quiet, verbose);
        let threads = common.thread_count();
        if let Some(asked) = common.threads.filter(|&asked| usize::from(asked) > threads) {
            log::warn!("--threads {asked}: this machine runs {threads} at once, so there are no more");
        }
        // Transforms share the global pool; the engine has its own.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        pool.with_context(|| format!("cannot start {threads} threads; give fewer --threads"))?;
        run(self.command, &common)
    }
}

/// Options that some commands share. Those that a command lacks have their usual values.
pub(super) trait Shared {
    fn common(self) -> Common;
}

#[derive(Args)]
pub(super) struct Computing {
    /// The engine that computes: auto (a real GPU if it is faster than the CPU), gpu, cpu, or reference (plain and slow)
    #[arg(long, global = true, value_name = "auto|gpu|cpu|reference", default_value = "auto", help_heading = heading::ENGINE)]
    engine: Choice,
    /// The GPU to use: its index in `partwise devices`, a part of its name, dx12:NAME behind another backend, or its PCI bus id;
    /// `separate` also takes all, for every GPU [default: the best one]
    #[arg(long, global = true, value_name = "INDEX|NAME|BACKEND:NAME|PCI|all", help_heading = heading::ENGINE)]
    gpu: Option<String>,
    #[command(flatten)]
    tuning: Tuning,
}

#[derive(Args)]
pub(super) struct Tuning {
    /// Measure again which kernels are the fastest on the GPU, and whether it is faster than the CPU; otherwise both are measured
    /// once and kept
    #[arg(long, global = true, hide_short_help = true, help_heading = heading::ENGINE)]
    retune: bool,
    #[command(flatten)]
    threads: Threads,
}

#[derive(Args)]
pub(super) struct Threads {
    /// Threads that compute, read and write, at most as many as there are cores [default: all cores]
    #[arg(
        long,
        global = true,
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=1024),
        help_heading = heading::ENGINE
    )]
    threads: Option<u16>,
}

#[derive(Args)]
pub(super) struct Nothing {}

#[derive(Args)]
struct Screen {
    /// Print one JSON document on stdout instead of text
    #[arg(long, global = true, help_heading = heading::SCREEN)]
    json: bool,
    /// Name files as they begin and end; -vv: also panels, passes and engines
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = heading::SCREEN)]
    verbose: u8,
    /// Print nothing but errors and what was asked for
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = heading::SCREEN)]
    quiet: bool,
    /// Hide the progress bar; it appears only on a terminal
    #[arg(long, global = true, help_heading = heading::SCREEN)]
    no_progress: bool,
    #[command(flatten)]
    help: Help,
}

// Stands in for clap's own option, which would stand under a heading of its own before all others.
#[derive(Args)]
pub(super) struct Help {
    /// Print a short help; --help prints all options and examples
    #[arg(short, long, global = true, action = clap::ArgAction::Help, help_heading = heading::SCREEN)]
    help: Option<bool>,
}

impl Shared for Computing {
    fn common(self) -> Common {
        Common { engine: self.engine, gpu: self.gpu, ..self.tuning.common() }
    }
}

impl Shared for Tuning {
    fn common(self) -> Common {
        Common { retune: self.retune, ..self.threads.common() }
    }
}

impl Shared for Threads {
    fn common(self) -> Common {
        Common { threads: self.threads, ..Common::default() }
    }
}

impl Shared for Nothing {
    fn common(self) -> Common {
        Common::default()
    }
}

/// What was said by the shared options.
#[derive(Clone, Default)]
pub(super) struct Common {
    pub(super) engine: Choice,
    pub(super) gpu: Option<String>,
    pub(super) retune: bool,
    pub(super) threads: Option<u16>,
    pub(super) json: bool,
    pub(super) quiet: bool,
    pub(super) no_progress: bool,
}

impl Common {
    /// Prints how a command ended whose results are files. A quiet one says nothing.
    pub(super) fn conclude(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        if self.quiet && !self.json { Ok(()) } else { print(self.json, value, text) }
    }

    /// The threads that the engine, and reading and writing, may use: as many as were asked for, but no more than can run at once.
    pub(super) fn thread_count(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        self.threads.map_or(cores, |threads| usize::from(threads).min(cores))
    }
}

/// The option of commands that begin at random.
#[derive(Args)]
pub(super) struct Seed {
    /// The seed of random starts: the same seed gives the same bytes [default: 0]
    #[arg(long, global = true, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(super) seed: u64,
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
