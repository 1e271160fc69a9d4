//! What every command may be told, and how it may end.

use clap::Args;

use super::choice::Choice;

/// Options of every command.
#[derive(Args, Clone)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Common {
    /// The engine that computes; auto takes a real GPU if it is faster than the CPU engine
    #[arg(long, global = true, value_name = "auto|gpu|cpu|reference", default_value = "auto")]
    pub(super) engine: Choice,
    /// The GPU to use: its index in `partwise devices`, a part of its name, dx12:NAME behind another backend, or its PCI bus id;
    /// `separate` also takes all, for every GPU
    #[arg(long, global = true, value_name = "INDEX|NAME|BACKEND:NAME|PCI|all")]
    pub(super) gpu: Option<String>,
    /// Measure again which kernels are the fastest on the GPU, and whether it is faster than the CPU; otherwise both are measured
    /// once and kept
    #[arg(long, global = true)]
    pub(super) retune: bool,
    /// Threads of the CPU engine and of reading and writing, at most as many as there are cores [default: all of them]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
    /// Seed of random starts: the same seed gives the same bytes [default: 0]
    #[arg(long, global = true, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Print one JSON document on stdout instead of a table
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Show more on stderr; -vv shows details
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Show only errors on stderr
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Hide progress bars; they appear only on a terminal
    #[arg(long, global = true)]
    pub(super) no_progress: bool,
}

impl Common {
    /// The seed of random starts.
    pub(super) fn seed(&self) -> u64 {
        self.seed.unwrap_or_default()
    }

    /// The threads that the engine, and reading and writing, may use: as many as were asked for, but no more than can run at once.
    pub(super) fn thread_count(&self) -> usize {
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
