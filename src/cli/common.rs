//! What every command may be told, and how it may end.

use clap::Args;

use super::choice::Choice;

/// Options of every command.
#[derive(Args, Clone)]
pub(super) struct Common {
    /// Where arithmetic runs; auto takes a real GPU if there is one and it is faster, else the native CPU engine
    #[arg(long, global = true, value_name = "auto|gpu|cpu|reference", default_value = "auto")]
    pub(super) engine: Choice,
    /// Which GPU: its index in `partwise devices`, a part of its name, also as dx12:NAME where it is behind several backends,
    /// or its PCI bus id; for `separate` also all of them
    #[arg(long, global = true, value_name = "INDEX|NAME|BACKEND:NAME|PCI|all")]
    pub(super) gpu: Option<String>,
    /// Measure anew which kernels are the fastest on the GPU, and whether it is faster than the CPU; otherwise that is done once
    /// and kept
    #[arg(long, global = true)]
    pub(super) retune: bool,
    /// Threads of the CPU engine and of reading and writing, at most as many as there are cores [default: all of them]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
    /// Seed of random starts: the same seed gives the same bytes
    #[arg(long, global = true, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
    /// Print one JSON document on stdout instead of a table
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Say more on stderr; twice for details
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Say nothing on stderr but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// No progress bars; they only ever go to a terminal
    #[arg(long, global = true)]
    pub(super) no_progress: bool,
}

impl Common {
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
