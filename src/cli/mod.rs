//! What a user types. A command a file; what all share is here.

mod bench;
mod check;
mod demo;
mod devices;
mod engine;
mod evaluate;
mod factorize;
mod interrupt;
mod kept;
mod manifest;
mod progress;
mod reproduce;
mod separate;
mod sources;
mod stations;
mod train;
mod tuning;

use std::io::Write;
use std::path::Path;

use clap::{Args, Parser, Subcommand};
use log::LevelFilter;
use partwise::Error;

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
    /// Where arithmetic runs; auto takes a real GPU if there is one and it is faster, else the native CPU engine
    #[arg(long, global = true, value_name = "auto|gpu|cpu|reference", default_value = "auto")]
    engine: engine::Choice,
    /// Which GPU: its index in `partwise devices`, a part of its name, also as dx12:NAME where it is behind several backends,
    /// or its PCI bus id; for `separate` also all of them
    #[arg(long, global = true, value_name = "INDEX|NAME|BACKEND:NAME|PCI|all")]
    gpu: Option<String>,
    /// Measure anew which kernels are the fastest on the GPU, and whether it is faster than the CPU; otherwise that is done once
    /// and kept
    #[arg(long, global = true)]
    retune: bool,
    /// Threads of the CPU engine and of reading and writing [default: all cores]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Seed of random starts: the same seed gives the same bytes
    #[arg(long, global = true, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Print one JSON document on stdout instead of a table
    #[arg(long, global = true)]
    json: bool,
    /// Say more on stderr; twice for details
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Say nothing on stderr but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// No progress bars; they only ever go to a terminal
    #[arg(long, global = true)]
    no_progress: bool,
}

impl Common {
    /// The threads that reading and writing may use.
    fn thread_count(&self) -> usize {
        self.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()), usize::from)
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
    quiet_drivers();
    let Cli { command, common } = Cli::parse();
    start_log(&common);
    // Transforms share the global pool; the engine has its own.
    rayon::ThreadPoolBuilder::new().num_threads(common.thread_count()).build_global()?;
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

/// Mesa's window-system layer complains on stderr wherever there is no `XDG_RUNTIME_DIR`, as on a server, though no window is
/// ever opened: it is given one.
fn quiet_drivers() {
    if cfg!(target_os = "linux") && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: the program has one thread yet.
        unsafe { std::env::set_var("XDG_RUNTIME_DIR", std::env::temp_dir()) };
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
            writeln!(out, "partwise: {level}: {}", record.args())
        })
        .init();
}

/// Prints text, or the JSON of a value, on stdout.
fn print(json: bool, value: &impl serde::Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    let text = if json { serde_json::to_string_pretty(value)? + "\n" } else { text() };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// Refuses to write a result over something that it is made from.
fn spare<'a>(output: &Path, mut inputs: impl Iterator<Item = &'a Path>) -> partwise::Result<()> {
    let same = |input: &Path| matches!((input.canonicalize(), output.canonicalize()), (Ok(a), Ok(b)) if a == b);
    match inputs.find(|input| same(input)) {
        None => Ok(()),
        Some(_) => {
            let output = output.display();
            Err(Error::Input(format!("{output}: the output would overwrite an input; choose another name")))
        }
    }
}

/// Writes a file beside its place, then gives it its name: it is whole or it is not there.
fn write_whole(path: &Path, write: impl FnOnce(&Path) -> std::io::Result<()>) -> partwise::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = path.with_file_name(format!(".{name}.partial"));
    let written = write(&partial).and_then(|()| std::fs::rename(&partial, path));
    if written.is_err() {
        // The first error is the one to report.
        let _ = std::fs::remove_file(&partial);
    }
    written.map_err(Error::io(path, "write"))
}

/// A table in columns: the first row is the heading, the first column flush left, the others flush right.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn tables_line_up() {
        let rows = [vec!["name".to_string(), "dB".into()], vec!["ü".into(), "-12.5".into()]];
        assert_eq!(table(&rows), "name     dB\nü     -12.5\n");
    }
}
