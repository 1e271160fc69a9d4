//! Peak measurements of the CPU engine, on all threads at once.

use std::hint::black_box;
use std::time::Duration;

use pulp::Simd;
use rayon::prelude::*;

use super::{Peak, Peaks};
use crate::Result;
use crate::engine::tile::{self, StripJob};
use crate::engine::{Cpu, Engine, Timing};

/// Numbers per copied buffer: 128 MiB, several times the private caches of the threads.
const COPIED: usize = 32 << 20;
/// The least duration of a run that counts. It is many times the cost of waking the threads, and short enough to fit
/// between interruptions by other processes.
const LONG_ENOUGH: Duration = Duration::from_millis(2);
/// Steps of the shortest run, a tenth of a long enough one. On a busy machine, a run of a few steps can wait long enough
/// for its threads to count, and its time says nothing of the arithmetic.
const UNIT: u32 = 1 << 14;
/// Accumulators per row of a tile. With the rows, they form enough chains to hide the latency of a multiply-add.
const VECTORS: usize = 3;

impl Peak for Cpu {
    fn peaks(&self, least: Duration) -> Result<Option<Peaks>> {
        let mut multiply_adds = 0.0;
        let unit = Timing::shortest(least, LONG_ENOUGH, |units| {
            self.timed(|| {
                let counts = self.install(|| rayon::broadcast(|_| count(units.saturating_mul(UNIT))));
                multiply_adds = counts.into_iter().sum::<f64>() / f64::from(units);
                Ok(())
            })
        })?;
        let (from, mut to) = (vec![1.0f32; COPIED], vec![0.0f32; COPIED]);
        let copied = Timing::shortest(least, LONG_ENOUGH, |times| {
            self.timed(|| {
                (0..times).for_each(|_| self.install(|| copy(&from, &mut to)));
                Ok(())
            })
        })?;
        let (flops, bytes) = (2.0 * multiply_adds / unit.wall, (2 * size_of_val(&*from)) as f64 / copied.wall);
        Ok(Some(Peaks { flops, bytes }))
    }
}

/// Copies on all threads, each its own share.
fn copy(from: &[f32], to: &mut [f32]) {
    let share = from.len().div_ceil(rayon::current_num_threads());
    to.par_chunks_mut(share).zip(from.par_chunks(share)).for_each(|(to, from)| to.copy_from_slice(from));
}

/// Runs `steps` multiply-adds on every accumulator, on this thread. Returns the number of multiply-adds.
fn count(steps: u32) -> f64 {
    let mut counted = 0.0;
    tile::dispatch(Count { steps, counted: &mut counted });
    counted
}

/// Repeats x ← x a + b in about as many vectors as there are registers. With a = b = 1 every number counts its own
/// steps, so the result is the number of multiply-adds. The compiler cannot see that a and b are 1.
struct Count<'a> {
    steps: u32,
    counted: &'a mut f64,
}

impl StripJob for Count<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let (a, b) = (simd.splat_f32s(black_box(1.0)), simd.splat_f32s(black_box(1.0)));
        // Different start values, because equal ones would be computed only once.
        let start = |sum: usize| -(sum as f32);
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; MR];
        for (index, sum) in sums.as_flattened_mut().iter_mut().enumerate() {
            *sum = simd.splat_f32s(start(index));
        }
        for _ in 0..self.steps {
            // Two loops of known length. With one flattened iterator the sums stay in memory.
            for row in &mut sums {
                for sum in row {
                    *sum = tile::multiply_add(simd, *sum, a, b);
                }
            }
        }
        for (index, sum) in sums.as_flattened().iter().enumerate() {
            let lanes: &[f32] = bytemuck::cast_slice(std::slice::from_ref(sum));
            *self.counted += lanes.iter().map(|&lane| f64::from(lane) - f64::from(start(index))).sum::<f64>();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_equals_the_number_of_multiply_adds() {
        let (one, shape) = (count(1), tile::shape());
        let lanes = one / (shape.rows * VECTORS) as f64;
        assert!([1.0, 4.0, 8.0, 16.0].contains(&lanes), "{one} in tiles of {shape:?}");
        for steps in [0, 7, 1000] {
            assert_eq!(count(steps), f64::from(steps) * one);
        }
    }

    #[test]
    fn every_number_is_copied() {
        let from: Vec<f32> = (0..1003).map(|n| n as f32).collect();
        let mut to = vec![-1.0; from.len()];
        Cpu::new(Some(3)).unwrap().install(|| copy(&from, &mut to));
        assert_eq!(from, to);
    }

    #[test]
    fn peaks_are_positive_and_finite() {
        let peaks = Cpu::new(Some(1)).unwrap().peaks(Duration::ZERO).unwrap().unwrap();
        assert!(peaks.flops.is_finite() && peaks.flops > 0.0, "{peaks:?}");
        assert!(peaks.bytes.is_finite() && peaks.bytes > 0.0, "{peaks:?}");
    }
}
