//! Measures the time of work.

use std::time::{Duration, Instant};

use crate::Result;

/// The least number of runs that count in a measurement, because an interruption lengthens a run.
const RUNS: usize = 3;

/// Where twice the work takes less than so many times as long, most of the time is no work: on a busy machine, a run waits for
/// threads that have no core.
const GROWTH: f64 = 1.5;

/// Runs of so many times what is long enough are not lengthened further.
const SURELY_LONG_ENOUGH: u32 = 20;

/// The time of some work in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// From its start until all that it asked of the engine was done.
    pub wall: f64,
    /// Computing time by the device's own clock. None without such a clock.
    pub device: Option<f64>,
}

impl Timing {
    /// The computing time: by the device's clock if it has one, otherwise by the wall clock.
    pub fn computing(&self) -> f64 {
        self.device.unwrap_or(self.wall)
    }

    /// Times work by the wall clock alone.
    ///
    /// # Errors
    /// The errors of `work`.
    pub fn of(work: impl FnOnce() -> Result<()>) -> Result<Self> {
        let started = Instant::now();
        work()?;
        Ok(Self { wall: started.elapsed().as_secs_f64(), device: None })
    }

    /// The shortest time per unit of work, by either clock, over all runs within `least`: what the machine can do. `run` is told
    /// how many units to do. Runs that are shorter than `long_enough`, or that mostly wait, do not count.
    ///
    /// # Errors
    /// The errors of a run.
    pub fn shortest(least: Duration, long_enough: Duration, run: impl FnMut(u32) -> Result<Self>) -> Result<Self> {
        let runs = runs(least, long_enough, run)?;
        let shortest = |seconds: &[f64]| seconds.iter().copied().fold(f64::INFINITY, f64::min);
        Ok(over(&runs, shortest))
    }

    /// The median time per unit of work, by either clock, over the same runs, and how much they differ.
    ///
    /// # Errors
    /// The errors of a run.
    pub fn median(least: Duration, long_enough: Duration, run: impl FnMut(u32) -> Result<Self>) -> Result<Median> {
        let runs = runs(least, long_enough, run)?;
        let timing = over(&runs, median);
        let shortest = runs.iter().map(Self::computing).fold(f64::INFINITY, f64::min);
        Ok(Median { timing, spread: timing.computing() / shortest })
    }
}

/// The median of the times of many runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Median {
    /// By either clock.
    pub timing: Timing,
    /// The median over the shortest time, 1 or more. It is near 1 on a machine that does nothing else.
    pub spread: f64,
}

/// The middle of some numbers, or the lower one of two.
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// A statistic of runs, by either clock.
fn over(runs: &[Timing], statistic: impl Fn(&[f64]) -> f64) -> Timing {
    let wall: Vec<f64> = runs.iter().map(|run| run.wall).collect();
    let device: Option<Vec<f64>> = runs.iter().map(|run| run.device).collect();
    Timing { wall: statistic(&wall), device: device.map(|device| statistic(&device)) }
}

/// The times per unit of work of all runs within `least` that are long enough.
fn runs(least: Duration, long_enough: Duration, mut run: impl FnMut(u32) -> Result<Timing>) -> Result<Vec<Timing>> {
    let (started, long_enough) = (Instant::now(), long_enough.as_secs_f64());
    let surely = long_enough * f64::from(SURELY_LONG_ENOUGH);
    // As long as runs grow less than their work, their time says nothing of it.
    let (mut units, mut before) = (1u32, f64::INFINITY);
    let is_long_enough = |took: f64, before: f64| took >= surely || (took >= long_enough && took >= GROWTH * before);
    if long_enough > 0.0 {
        let mut took = run(units)?.wall;
        while !is_long_enough(took, before) {
            units = units.saturating_mul(2);
            before = std::mem::replace(&mut took, run(units)?.wall);
        }
    }
    let mut runs: Vec<Timing> = Vec::new();
    while runs.len() < RUNS || started.elapsed() < least {
        let Timing { wall, device } = run(units)?;
        let per_unit = |seconds: f64| seconds / f64::from(units);
        runs.push(Timing { wall: per_unit(wall), device: device.map(per_unit) });
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Measures a work of 100 µs per unit, after `waits` (in ms) of each run. The device is busy half of the time. Returns the
    /// median, and the lengths of the runs.
    fn measured(least: Duration, waits: impl Fn(usize) -> f64) -> (Median, Vec<u32>) {
        let mut lengths = Vec::new();
        let run = |units: u32| {
            let wall = 1e-4 * f64::from(units) + 1e-3 * waits(lengths.len());
            lengths.push(units);
            Ok(Timing { wall, device: Some(wall / 2.0) })
        };
        (Timing::median(least, Duration::from_micros(700), run).unwrap(), lengths)
    }

    fn is_right(median: Median) -> bool {
        (median.timing.wall - 1e-4).abs() < 1e-12 && (median.timing.computing() - 5e-5).abs() < 1e-12
    }

    #[test]
    fn short_runs_do_not_count() {
        let (median, lengths) = measured(Duration::ZERO, |_| 0.0);
        assert!(is_right(median) && (median.spread - 1.0).abs() < 1e-9, "{median:?}");
        assert_eq!(lengths, [1, 2, 4, 8, 8, 8, 8]);
        assert!(measured(Duration::from_millis(1), |_| 0.0).1.len() > 7);
    }

    #[test]
    fn interruptions_change_neither_the_length_of_runs_nor_the_median() {
        // The first runs would be long enough by their waits alone.
        let (median, lengths) = measured(Duration::ZERO, |run| if run < 2 { 5.0 } else { 0.0 });
        assert!(is_right(median), "{median:?}");
        assert_eq!(lengths.last(), Some(&8));
        let (median, lengths) = measured(Duration::ZERO, |run| if run == 5 { 5.0 } else { 0.0 });
        assert!(is_right(median) && lengths.last() == Some(&8), "{median:?}");
    }

    #[test]
    fn runs_that_always_wait_are_lengthened_until_work_is_most_of_them() {
        // 4 ms of waiting alone would be 40 times a unit of work.
        let (median, lengths) = measured(Duration::ZERO, |_| 4.0);
        assert!(lengths.last().is_some_and(|&units| units >= 64), "{lengths:?}");
        assert!(median.timing.wall < 2e-4, "{median:?}");
    }

    #[test]
    fn the_spread_tells_of_a_busy_machine() {
        let (median, _) = measured(Duration::ZERO, |run| [0.0, 1.0][run.min(5) / 5]);
        assert!(median.spread > 1.5, "{median:?}");
        assert_eq!([super::median(&[3.0, 1.0, 2.0]), super::median(&[4.0, 1.0])], [2.0, 1.0]);
        assert!(super::median(&[]).is_nan());
    }
}
