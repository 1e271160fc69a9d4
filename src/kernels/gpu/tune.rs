//! Which shape of workgroup is the fastest for which kernel and size of problem: measured, on the device at hand.

use std::time::Instant;

use ndarray::Array2;

use crate::divergence::Divergence;
use crate::engine::gpu::{RANKS, Tiling};
use crate::engine::{Engine, Gpu, Tuning};
use crate::kernels::{Products, Rule};
use crate::{EngineError, Error, Result};

/// Rows of the problems, columns of a narrow and a wide one, and components of each class of ranks.
const PROBLEMS: (usize, [usize; 2], [usize; 4]) = (513, [5_000, 40_000], RANKS);
/// The same for a device that computes on the processor, where only the way is to be tried.
const SOFTWARE_PROBLEMS: (usize, [usize; 2], [usize; 4]) = (33, [40, 70], [8; 4]);
/// Seconds that a measurement should last at least, so that what it takes to submit and wait does not count.
const PERIOD: f64 = 4e-3;
/// Updates in a measurement, at most.
const REPEATS: f64 = 32.0;

impl Gpu {
    /// Measures which shapes of workgroup are the fastest on this device, takes them and returns them, for
    /// [`Gpu::set_tuning`] another time. Some seconds.
    ///
    /// # Errors
    /// The device fails.
    pub fn tune(&mut self) -> Result<Tuning> {
        let software = self.adapter().is_software();
        let (rows, mut widths, ranks) = if software { SOFTWARE_PROBLEMS } else { PROBLEMS };
        // What a slow device does in a dispatch is enough to time, and a wide panel is one of more.
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
                // The sums for the bases are divided in about as many parts whatever the width: the wider one counts.
                tuning.bases[class] = self.fastest(&Tiling::OF_BASES, |gpu| gpu.update_bases(&v, &mut w, &h, &rule))?;
            }
        }
        log::debug!("gpu: {tuning:?}");
        self.tuning = tuning.clone();
        Ok(tuning)
    }

    fn fastest(&mut self, tilings: &[Tiling], mut update: impl FnMut(&Self) -> Result<()>) -> Result<Tiling> {
        let mut best = (f64::INFINITY, Tiling::SMALLEST);
        for &tiling in tilings {
            self.tuning = Tuning::all(tiling);
            match self.seconds(&mut update) {
                Ok(seconds) => {
                    log::debug!("gpu: {tiling:?}: {:.4} ms", 1e3 * seconds);
                    if seconds < best.0 {
                        best = (seconds, tiling);
                    }
                }
                // A driver that cannot compile one of them may take another.
                Err(Error::Engine(EngineError::Refused(cause))) => {
                    log::debug!("gpu: {tiling:?}: {cause}");
                }
                Err(cause) => return Err(cause),
            }
        }
        Ok(best.1)
    }

    /// Seconds of an update, the shortest of three measurements.
    fn seconds(&self, mut update: impl FnMut(&Self) -> Result<()>) -> Result<f64> {
        let end = self.matrix(Array2::<f32>::ones((1, 1)).view())?;
        let mut measure = |repeats: usize| {
            let started = Instant::now();
            (0..repeats).try_for_each(|_| update(self))?;
            self.read_matrix::<f32>(&end)?;
            Ok::<_, Error>(started.elapsed().as_secs_f64() / repeats as f64)
        };
        // The first one makes the pipelines.
        measure(1)?;
        let repeats = (PERIOD / measure(1)?).clamp(1.0, REPEATS) as usize;
        Ok(measure(repeats)?.min(measure(repeats)?).min(measure(repeats)?))
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
    fn tuning_takes_what_it_measured() {
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
    fn the_fastest_is_taken() {
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
