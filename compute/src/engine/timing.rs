//! Measures the time of work.

use std::time::{Duration, Instant};

use crate::Result;

/// The least number of runs that count in a measurement, because an interruption lengthens a run.
const RUNS: usize = 3;

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

    /// The shortest time per unit of work, by either clock, over all runs within `least`. So other load on the machine
    /// has little effect. `run` is told how many units to do. Runs shorter than `long_enough` do not count, and the
    /// next is twice as long.
    ///
    /// # Errors
    /// The errors of a run.
    pub fn shortest(least: Duration, long_enough: Duration, mut run: impl FnMut(u32) -> Result<Self>) -> Result<Self> {
        let started = Instant::now();
        let mut best = Self { wall: f64::INFINITY, device: None };
        let (mut units, mut counted) = (1u32, 0);
        while counted < RUNS || started.elapsed() < least {
            let took = run(units)?;
            if took.wall < long_enough.as_secs_f64() {
                (units, counted) = (units.saturating_mul(2), 0);
            } else {
                let per_unit = |seconds: f64| seconds / f64::from(units);
                let device = took.device.map(per_unit);
                best.wall = best.wall.min(per_unit(took.wall));
                best.device = device.map(|device| best.device.map_or(device, |best| best.min(device)));
                counted += 1;
            }
        }
        Ok(best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Measures a work of 100 µs per unit whose first run is `interrupted` (in ms). The device is busy half of the
    /// time. Returns the time per unit, and the lengths of the runs.
    fn measured(least: Duration, interrupted: f64) -> (Timing, Vec<u32>) {
        let mut lengths = Vec::new();
        let run = |units: u32| {
            let extra = if lengths.is_empty() { interrupted * 1e-3 } else { 0.0 };
            lengths.push(units);
            let wall = 1e-4 * f64::from(units) + extra;
            Ok(Timing { wall, device: Some(wall / 2.0) })
        };
        (Timing::shortest(least, Duration::from_micros(700), run).unwrap(), lengths)
    }

    #[test]
    fn short_runs_do_not_count_and_the_best_of_the_others_does() {
        let (timing, lengths) = measured(Duration::ZERO, 0.0);
        assert!((timing.wall - 1e-4).abs() < 1e-12 && (timing.computing() - 5e-5).abs() < 1e-12, "{timing:?}");
        assert_eq!(lengths, [1, 2, 4, 8, 8, 8]);
        let (timing, lengths) = measured(Duration::ZERO, 5.0);
        assert!((timing.wall - 1e-4).abs() < 1e-12 && (timing.computing() - 5e-5).abs() < 1e-12, "{timing:?}");
        assert_eq!(lengths, [1, 1, 2, 4, 8, 8, 8]);
        assert!(measured(Duration::from_millis(1), 0.0).1.len() > 6);
    }
}
