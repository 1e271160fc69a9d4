//! The report: JSON as it is, and text as tables.

use partwise::engine::Adapter;
use serde::Serialize;

use super::super::table;
use super::jobs::{ITERATIONS, JobTime, RANK, SECONDS, STFT};
use super::kernels::{KernelTime, Measured};
use super::transforms::TransformTime;

#[derive(Serialize)]
pub(super) struct Report {
    pub(super) version: &'static str,
    pub(super) system: String,
    pub(super) cores: usize,
    /// The adapter, if a GPU is measured.
    pub(super) adapter: Option<Adapter>,
    #[serde(flatten)]
    pub(super) measured: Measured,
    pub(super) against: Option<Measured>,
    pub(super) transforms: Vec<TransformTime>,
    pub(super) jobs: Vec<JobTime>,
}

pub(super) fn text(report: &Report) -> String {
    let against = report.against.as_ref();
    let mut text = machine(&report.measured) + &against.map(machine).unwrap_or_default() + "\n";
    text += &kernels(&report.measured, against);
    text += &busy(&report.measured).unwrap_or_default();
    text += &format!("\n{}", transforms(report));
    if !report.jobs.is_empty() {
        text += &format!("\n{}", jobs(report));
    }
    text
}

fn machine(measured: &Measured) -> String {
    let peaks = measured.peaks.map_or_else(String::new, |peaks| {
        let (gflops, gigabytes) = (peaks.gflops, peaks.gigabytes_per_second);
        format!(": {gflops:.0} GFLOP/s in registers, {gigabytes:.1} GB/s copied")
    });
    format!("{}{peaks}\n", measured.engine)
}

/// A kernel's name, with its divergence.
pub(super) fn name(time: &KernelTime) -> String {
    time.divergence.as_ref().map_or_else(|| time.kernel.into(), |divergence| format!("{} {divergence}", time.kernel))
}

/// A column of the kernel table: its heading and its cells.
type Column = (&'static str, fn(&KernelTime) -> String);

fn kernels(measured: &Measured, against: Option<&Measured>) -> String {
    let mut columns: Vec<Column> = Vec::new();
    let mut column = |heading, cell| columns.push((heading, cell));
    column("kernel", name);
    column("F x N x K (x T x P)", |time| time.shape.joined(" x "));
    column("ms", |time| format!("{:.3}", time.milliseconds));
    if measured.kernels.iter().any(|time| time.device_milliseconds.is_some()) {
        column("on device", |time| time.device_milliseconds.map_or_else(String::new, |ms| format!("{ms:.3}")));
    }
    column("GFLOP/s", |time| figure(time.gflops));
    column("GB/s", |time| figure(time.gigabytes_per_second));
    column("flop/byte", |time| figure(time.flop_per_byte));
    if measured.peaks.is_some() {
        column("of FMA", |time| percent(time.share_of_peak_flops));
        column("of roof", |time| of_roof(time.share_of_roofline));
    }
    if against.is_some() {
        column("times faster", |time| time.times_faster.map_or_else(String::new, |times| format!("{times:.1}")));
    }
    let mut rows = vec![columns.iter().map(|(heading, _)| heading.to_string()).collect::<Vec<_>>()];
    rows.extend(measured.kernels.iter().map(|time| columns.iter().map(|(_, cell)| cell(time)).collect()));
    let faster = against.map_or_else(String::new, |against| format!("times faster than {}\n", against.engine));
    table(&rows) + &faster
}

/// A share of a peak. There is none if a busy machine made it impossible.
fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "busy".into(), |share| format!("{:.0} %", 100.0 * share))
}

/// A share of the roofline. More than all of it has a kernel whose operands stay in caches, which are faster than a copy in memory.
pub(super) fn of_roof(share: Option<f64>) -> String {
    match share {
        Some(share) if share > 1.1 => "in cache".into(),
        share => percent(share),
    }
}

/// A rate with two digits or more, so that a slow kernel's is not 0.
pub(super) fn figure(rate: f64) -> String {
    let decimals = if rate >= 100.0 { 0 } else { (1.0 - rate.max(1e-9).log10().floor()).clamp(0.0, 9.0) as usize };
    format!("{rate:.decimals$}")
}

/// What is said if the machine did other work.
fn busy(measured: &Measured) -> Option<String> {
    let busy = measured.kernels.iter().filter(|time| time.is_busy(measured.peaks)).count();
    let of = measured.kernels.len();
    (busy > 0).then(|| {
        format!("the machine was busy during {busy} of {of} measurements: their figures are too low; repeat them when it is idle\n")
    })
}

fn transforms(report: &Report) -> String {
    let mut rows = vec![["transform", "ms", "frames/s", "x real time"].map(String::from).to_vec()];
    rows.extend(report.transforms.iter().map(|time| {
        vec![
            time.transform.into(),
            format!("{:.2}", time.milliseconds),
            format!("{:.0}", time.frames_per_second),
            format!("{:.0}", time.real_time_factor),
        ]
    }));
    table(&rows)
}

fn jobs(report: &Report) -> String {
    let clips = format!("clips of {SECONDS} s");
    let mut rows =
        vec![[clips.as_str(), "cold, s", "x real time", "warm, s", "x real time"].map(String::from).to_vec()];
    rows.extend(report.jobs.iter().map(|time| {
        vec![
            time.clips.to_string(),
            format!("{:.2}", time.cold_seconds),
            format!("{:.0}", time.cold_real_time_factor),
            format!("{:.2}", time.warm_seconds),
            format!("{:.0}", time.warm_real_time_factor),
        ]
    }));
    let bins = STFT.fft / 2 + 1;
    format!("{}{bins} bins, 2 x {RANK} components, {ITERATIONS} iterations of is, files to files\n", table(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_two_digits_and_impossible_shares_a_word() {
        assert_eq!([123.4, 42.0, 1.5, 0.0315].map(figure), ["123", "42", "1.5", "0.032"]);
        assert_eq!(percent(Some(0.874)), "87 %");
        assert_eq!(percent(None), "busy");
        assert_eq!([Some(0.5), Some(1.05), Some(2.5), None].map(of_roof), ["50 %", "105 %", "in cache", "busy"]);
    }
}
