//! What an engine could do at most: multiply-adds in registers, and copies in memory. No method asks for it; it is what
//! the times of the kernels are held against.

mod cpu;
mod gpu;
mod reference;

use std::time::{Duration, Instant};

use crate::Result;
use crate::engine::{Engine, Timing};

/// The most that was measured of an engine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peaks {
    /// f32 operations a second; a multiply-add is two.
    pub flops: f64,
    /// Bytes read and written a second by a copy of buffers far larger than the caches.
    pub bytes: f64,
}

impl Peaks {
    /// The higher of two measurements, each for itself.
    pub fn max(self, other: Self) -> Self {
        Self { flops: self.flops.max(other.flops), bytes: self.bytes.max(other.bytes) }
    }
}

/// An engine whose peaks can be measured.
pub trait Peak: Engine {
    /// Measures each peak for at least `least`: the best of many short runs, so that what else the machine does for a
    /// while does not count. None for the reference, which is not made to be fast.
    ///
    /// # Errors
    /// [`Error::Engine`](crate::Error::Engine) where the device fails.
    fn peaks(&self, least: Duration) -> Result<Option<Peaks>>;
}

/// Runs of a length that is long enough, at least: an interruption makes any run long.
const RUNS: usize = 5;

/// The most units a second of all runs within `least`. A run gets its length, and says how many units it did in which
/// time. Runs that last less than `shortest` do not count; the next is twice as long.
fn best_rate(
    least: Duration,
    shortest: Duration,
    mut run: impl FnMut(u32) -> Result<(f64, Timing)>,
) -> Result<f64> {
    let started = Instant::now();
    let (mut length, mut counted, mut best) = (1u32, 0, 0.0f64);
    while counted < RUNS || started.elapsed() < least {
        let (units, timing) = run(length)?;
        if timing.wall < shortest {
            (length, counted) = (length.saturating_mul(2), 0);
        } else {
            best = best.max(units / timing.computing().as_secs_f64());
            counted += 1;
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rate and the lengths of runs that take 100 µs a unit, `interrupted` (in ms) longer the first; the device
    /// itself is busy half of the time.
    fn measured(least: Duration, interrupted: u64) -> (f64, Vec<u32>) {
        let mut lengths = Vec::new();
        let run = |length: u32| {
            let busy = Duration::from_micros(100 * u64::from(length));
            let extra = if lengths.is_empty() { interrupted } else { 0 };
            lengths.push(length);
            let wall = busy + Duration::from_millis(extra);
            Ok((f64::from(length), Timing { wall, device: Some(wall / 2) }))
        };
        (best_rate(least, Duration::from_micros(700), run).unwrap(), lengths)
    }

    #[test]
    fn short_runs_do_not_count_and_the_best_of_the_others_does() {
        let (rate, lengths) = measured(Duration::ZERO, 0);
        assert!((rate - 2e4).abs() < 1e-6, "{rate}");
        assert_eq!(lengths, [1, 2, 4, 8, 8, 8, 8, 8]);
        let (rate, lengths) = measured(Duration::ZERO, 5);
        assert!((rate - 2e4).abs() < 1e-6, "{rate}");
        assert_eq!(lengths, [1, 1, 2, 4, 8, 8, 8, 8, 8]);
        assert!(measured(Duration::from_millis(1), 0).1.len() > 8);
    }
}
