//! `partwise bench`

mod jobs;
mod kernels;
mod plot;
mod report;
mod transforms;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use partwise::{AnyEngine, Divergence, with_engine};

use self::kernels::{Measured, Plan, Shape};
use self::report::Report;
use super::choice::Choice;
use super::common::heading::FILES;
use super::engine::open;
use super::progress::{self, advanced};
use super::{Common, Ending, check_output, examples, print, shown, write_whole};

/// Measure this machine: its peaks, every kernel against them, the transforms, and whole jobs from file to file
///
/// GFLOP/s and GB/s count the products that a kernel must compute (6FNK flop per factor, 4FNK under KL, 2FNK for the
/// masks of two sources; TP times as many for patterns that move over T time lags and P pitch lags) and each operand
/// moved once. They use the time by the device's own clock or, without such a clock, the wall time. "of FMA" is the
/// share of the peak rate of multiply-adds in registers. "of roof" is the share of what this rate and the bandwidth of
/// a copy allow together. Times are the medians of many runs. "in cache" is
/// more than all of the roof: the operands stay in caches, which are faster than a copy. "busy" is more than the peak:
/// the machine did other work.
///
/// A cold job runs in a new process, timed from its start to its end. A warm job runs in a process that has done one
/// before. On two cores the whole benchmark takes about two minutes. Most of this is for 256 clips, which also need 400
/// MB of temporary files. Other load on the machine distorts the results: leave the machine alone.
#[derive(Args)]
#[command(after_long_help = examples::BENCH)]
pub(super) struct Bench {
    /// Problem sizes of the kernels: bins, frames, components and, for patterns that move, time lags and pitch lags;
    /// one or several
    #[arg(
        long,
        value_name = "FxNxK[xTxP]",
        num_args = 1..,
        help_heading = "Measurements",
        default_values = ["257x1000x64", "513x4000x30", "1025x5168x88", "257x20000x128", "175x500x2x7x18"]
    )]
    shape: Vec<Shape>,
    /// The divergences of the updates: eu, kl, is, beta:B, t:N or ggd:B; one or several
    #[arg(long, value_name = "DIVERGENCE", num_args = 1.., default_values = ["is", "kl"], help_heading = "Measurements")]
    divergence: Vec<Divergence>,
    /// Numbers of 10 s clips in the whole jobs, one or several; 0 for no jobs
    #[arg(long, value_name = "N", num_args = 1.., default_values_t = [1, 16, 256], value_parser = clap::value_parser!(u16).range(..=10_000), help_heading = "Measurements")]
    clips: Vec<u16>,
    /// Least seconds to measure each kernel, transform and job; peaks take four times as long
    #[arg(long, value_name = "S", default_value_t = 0.3, help_heading = "Measurements")]
    seconds: f64,
    /// Measure the kernels of another engine too, for comparison: cpu, gpu, reference or none [default: cpu if a real
    /// GPU is measured, else none]
    #[arg(long, value_name = "cpu|gpu|reference|none", help_heading = "Measurements")]
    against: Option<Against>,
    /// Draw the kernels under the roofline of this machine
    #[arg(long, value_name = "OUT.svg", help_heading = FILES)]
    plot: Option<PathBuf>,
}

/// The value of `--against`.
#[derive(Clone, Copy)]
struct Against(Option<Choice>);

impl FromStr for Against {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self(None)),
            "cpu" | "gpu" | "reference" => text.parse().map(|choice| Self(Some(choice))),
            _ => Err("use cpu, gpu, reference or none".into()),
        }
    }
}

impl Bench {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Ending> {
        let seconds = self.seconds;
        anyhow::ensure!(seconds > 0.0 && seconds <= 60.0, "--seconds {seconds}: use more than 0, at most 60");
        if let Some(plot) = &self.plot {
            check_output(plot, std::iter::empty())?;
        }
        let engine = open(common)?;
        anyhow::ensure!(
            self.plot.is_none() || !matches!(engine, AnyEngine::Reference(_)),
            "--plot: the reference engine has no peaks; use another engine"
        );
        let other = self.other(&engine).map(|choice| open(&Common { engine: choice, ..common.clone() })).transpose()?;
        let plan = Plan { shapes: self.shape, divergences: self.divergence, least: Duration::from_secs_f64(seconds) };
        let clips: Vec<usize> = self.clips.into_iter().map(usize::from).filter(|&clips| clips > 0).collect();
        let engines = 1 + usize::from(other.is_some());
        let bar = progress::bar(common, (engines * kernels::steps(&plan) + 1 + 2 * clips.len()) as u64, "measuring");

        let mut measured = measure(&engine, &plan, &bar)?;
        let against = other.as_ref().map(|other| measure(other, &plan, &bar)).transpose()?;
        if let Some(against) = &against {
            kernels::compare(&mut measured.kernels, &against.kernels);
        }
        let report = Report {
            version: env!("CARGO_PKG_VERSION"),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            adapter: engine.adapter().cloned(),
            measured,
            against,
            transforms: advanced(&bar, transforms::times(plan.least)?),
            jobs: jobs::times(&engine, common, &clips, plan.least, &bar)?,
        };
        bar.finish_and_clear();
        if let (Some(path), Some(peaks)) = (&self.plot, report.measured.peaks) {
            let svg = plot::roofline(&report.measured, peaks)?;
            write_whole(path, |path| std::fs::write(path, svg))?;
        }
        let drawn = self.plot.as_deref().map_or_else(String::new, |plot| format!("wrote {}\n", shown(plot)));
        print(common.json, &report, || report::text(&report) + &drawn)?;
        Ok(Ending::Done)
    }

    /// The engine to compare with, if there is one.
    fn other(&self, engine: &AnyEngine) -> Option<Choice> {
        match (self.against, engine) {
            (Some(Against(choice)), _) => choice,
            (None, AnyEngine::Gpu(gpu)) if !gpu.adapter().is_software() => Some(Choice::Cpu),
            (None, _) => None,
        }
    }
}

fn measure(engine: &AnyEngine, plan: &Plan, bar: &ProgressBar) -> partwise::Result<Measured> {
    with_engine!(engine, |engine| kernels::measure(engine, plan, bar))
}
