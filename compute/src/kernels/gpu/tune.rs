//! Measures which workgroup shape is fastest on this device, for each kernel and problem size.

use std::time::Instant;

use ndarray::Array2;

use crate::divergence::Divergence;
use crate::engine::gpu::{RANKS, Tiling};
use crate::engine::{Engine, Gpu, Tuning};
use crate::kernels::{Products, Rule};
use crate::{EngineError, Error, Result};

/// Problem sizes: rows, columns of a narrow and a wide problem, and components of each rank class.
const PROBLEMS: (usize, [usize; 2], [usize; 4]) = (513, [5_000, 40_000], RANKS);
/// Small sizes for software adapters, where tuning is only to be exercised.
const SOFTWARE_PROBLEMS: (usize, [usize; 2], [usize; 4]) = (33, [40, 70], [8; 4]);
/// The least duration of a measurement in seconds. It makes the cost of submitting and waiting negligible.
const PERIOD: f64 = 4e-3;
/// The most updates per measurement.
const REPEATS: f64 = 32.0;
/// Rounds that count. Each round measures every tiling once.
const ROUNDS: usize = 3;
/// Seconds of warm-up rounds, which do not count. An idle card has a low clock and raises it only after a while under
/// load: an H200, at 345 of its 1,980 MHz, took five times as long for the first measurements.
const WARM_UP: f64 = 0.3;

impl Gpu {
    /// Measures the fastest workgroup shapes on this device, applies them and returns them for a later
    /// [`Gpu::set_tuning`]. Takes some seconds.
    ///
    /// # Errors
    /// [`Error::Engine`] if the device fails.
    pub fn tune(&mut self) -> Result<Tuning> {
        let software = self.adapter().is_software();
        let (rows, mut widths, ranks) = if software { SOFTWARE_PROBLEMS } else { PROBLEMS };
        // On a slow device, one dispatch is long enough to time, and a wide panel only takes more dispatches.
        for columns in &mut widths {
            *columns = (*columns).min(self.columns_at_once(*columns, 4 * rows * RANKS[RANKS.len() - 1])?);
        }
        let mut tuning = Tuning::all(Tiling::SMALLEST);
        let rule = Rule::of(Divergence::ItakuraSaito);
        for (width, columns) in widths.into_iter().enumerate() {
            let v = self.panel(fill(rows, columns).view())?;
            for (class, components) in ranks.into_iter().enumerate() {
                let mut w = self.matrix(fill(rows, components).view())?;
                let mut h = self.panel(fill(components, columns).view())?;
                log::debug!("gpu: updates of gains, then of bases, {rows} x {columns} x {components}, by tiling:");
                tuning.gains[class][width] =
                    self.fastest(&Tiling::OF_GAINS, |gpu| gpu.update_gains(&v, &w, &mut h, &rule))?;
                // The sums for the bases have about as many parts at any width, so the wider problem decides.
                tuning.bases[class] = self.fastest(&Tiling::OF_BASES, |gpu| gpu.update_bases(&v, &mut w, &h, &rule))?;
            }
        }
        log::debug!("gpu: {tuning:?}");
        self.tuning = tuning.clone();
        Ok(tuning)
    }

    fn fastest(&mut self, tilings: &[Tiling], mut update: impl FnMut(&Self) -> Result<()>) -> Result<Tiling> {
        // Make all pipelines first: the card idles while one is compiled.
        let mut known = Vec::with_capacity(tilings.len());
        for &tiling in tilings {
            self.tuning = Tuning::all(tiling);
            match self.measure(1, &mut update).and_then(|_| self.measure(1, &mut update)) {
                Ok(seconds) => known.push((tiling, (PERIOD / seconds).clamp(1.0, REPEATS) as usize, f64::INFINITY)),
                // A driver that cannot compile one tiling may compile another.
                Err(Error::Engine(EngineError::Refused(cause))) => log::debug!("gpu: {tiling:?}: {cause}"),
                Err(cause) => return Err(cause),
            }
        }
        let warm_up = if self.adapter().is_software() { 0.0 } else { WARM_UP };
        let (started, mut counted) = (Instant::now(), 0);
        while counted < ROUNDS {
            counted += usize::from(started.elapsed().as_secs_f64() >= warm_up);
            for (tiling, repeats, best) in &mut known {
                self.tuning = Tuning::all(*tiling);
                let seconds = self.measure(*repeats, &mut update)?;
                if counted > 0 {
                    *best = best.min(seconds);
                }
            }
        }
        let mut fastest = (f64::INFINITY, Tiling::SMALLEST);
        for (tiling, _, seconds) in known {
            log::debug!("gpu: {tiling:?}: {:.4} ms", 1e3 * seconds);
            if seconds < fastest.0 {
                fastest = (seconds, tiling);
            }
        }
        Ok(fastest.1)
    }

    /// Seconds per update, over `repeats` consecutive updates.
    fn measure(&self, repeats: usize, mut update: impl FnMut(&Self) -> Result<()>) -> Result<f64> {
        let started = Instant::now();
        (0..repeats).try_for_each(|_| update(self))?;
        self.settle()?;
        Ok(started.elapsed().as_secs_f64() / repeats as f64)
    }
}

/// Numbers between 0.1 and 1.1.
fn fill(rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(row, column)| 0.1 + ((7 * row + 13 * column) % 97) as f32 / 97.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::gpu::tests::gpu;

    #[test]
    fn tune_applies_the_tilings_that_it_returns() {
        let Some(mut gpu) = gpu() else { return };
        let tuning = gpu.tune().unwrap();
        assert!(tuning.is_known());
        assert_eq!(gpu.tuning, tuning);
        gpu.tuning = Tuning::all(Tiling::SMALLEST);
        gpu.set_tuning(tuning.clone()).unwrap();
        assert_eq!(gpu.tuning, tuning);
        let unknown = Tuning::all(Tiling { quads: 64, ..Tiling::SMALLEST });
        assert!(gpu.set_tuning(unknown).is_err());
        assert_eq!(gpu.tuning, tuning);
    }

    #[test]
    fn the_fastest_tiling_is_chosen() {
        let Some(mut gpu) = gpu() else { return };
        let tilings = &Tiling::OF_GAINS[..3];
        let slow = |gpu: &Gpu| {
            let pause = if gpu.tuning == Tuning::all(tilings[1]) { 0 } else { 2 };
            std::thread::sleep(std::time::Duration::from_millis(pause));
            Ok(())
        };
        assert_eq!(gpu.fastest(tilings, slow).unwrap(), tilings[1]);
        let refused = |gpu: &Gpu| {
            if gpu.tuning == Tuning::all(tilings[2]) { Ok(()) } else { Err(EngineError::Refused(String::new()).into()) }
        };
        assert_eq!(gpu.fastest(tilings, refused).unwrap(), tilings[2]);
        let lost = |_: &Gpu| Err(EngineError::Lost(String::new()).into());
        assert!(gpu.fastest(tilings, lost).is_err());
    }
}
