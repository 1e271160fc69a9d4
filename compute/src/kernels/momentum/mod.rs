//! Extrapolation: moving a factor on along its last step, in log space, before the next update is taken from there.
//!
//! lead(x, x', b) = x ∘ c(x/x')^b with c(r) = r clipped to 0.5..2 for b > 0, where x' → x is the last step and b its share; a
//! negative b goes back along it, unclipped. An entry of x that is 0 stays 0; any others, of x or x', count for 1.2e-38 at
//! least, since below the ordinary numbers of f32 a device may take them for 0, or divide by them to infinity.
//!
//! After Hien, Leplat & Gillis, "Block majorization-minimization with extrapolation and application to β-NMF" (2024), who
//! prove convergence for β in [1, 2]. For other divergences it is a heuristic that the safeguard of [`Momentum::advance`]
//! keeps from raising the objective.

mod cpu;
mod gpu;
mod reference;

use std::fmt;

use crate::engine::Engine;
use crate::{Error, Result};

/// The most that a step is lengthened: b ≤ 0.9.
pub const LONGEST: f64 = 0.9;
/// How far a ratio of two gains may count for in an extrapolation, up or down. Further, and components of a non-convex
/// problem are led to values from which they do not come back.
pub const REACH: f64 = 2.0;
/// What entries count for at least in a step: the ordinary numbers of f32 begin a little below.
pub const LEAST: f64 = 1.2e-38;
/// The cost that a track starts from: more than any column's, and an ordinary number of f32.
pub const START: f64 = 1e30;
/// How slowly steps are lengthened: b of the k-th is k / (k + 3).
pub const DELAY: f64 = 3.0;
/// What a cost may rise by, relative, and still pass for rounding.
pub const SLACK: f64 = 1e-6;

/// b of the k-th step since the start or since the last refusal, k = 1, 2, …: k / (k + [`DELAY`]), at most [`LONGEST`].
pub fn share(steps: f64) -> f64 {
    (steps / (steps + DELAY)).min(LONGEST)
}

/// Where the extrapolated updates of N columns of gains stand. Columns are independent of each other.
pub struct Track<P> {
    /// Where the next update is taken from (K, N).
    pub trial: P,
    /// The update of `trial` (K, N), by [`crate::kernels::Products::try_gains`].
    pub next: P,
    /// Costs at `trial` (1, N), by the same.
    pub costs: P,
    /// The update of `safe` (K, N).
    pub previous: P,
    /// The last trial that was accepted (K, N).
    pub safe: P,
    /// Row 0: its costs, [`START`] before the first. Row 1: steps since the start or the last refusal. (2, N)
    pub state: P,
}

/// The kernels of extrapolation. Gains may be in several segments, and bases a stack of them.
pub trait Momentum: Engine {
    /// lead(to, from, b) of gains (K, N), |b| ≤ 1.
    ///
    /// # Errors
    /// [`Error::Input`] where the shapes do not fit, [`Error::Engine`] where the device fails.
    fn lead_gains(&self, to: &Self::Panel, from: &Self::Panel, share: f64) -> Result<Self::Panel>;

    /// lead(to, from, b) of bases (F, K), |b| ≤ 1.
    ///
    /// # Errors
    /// As above.
    fn lead_bases(&self, to: &Self::Matrix, from: &Self::Matrix, share: f64) -> Result<Self::Matrix>;

    /// Judges every column's trial by its cost c against the last accepted c̄, and says where to try next.
    ///
    /// - c ≤ c̄ (1 + 1e-6), accepted: steps k ← k + 1; trial ← lead(next, previous, b(k)); safe ← the old trial; previous ← next;
    ///   c̄ ← min(c, c̄).
    /// - else refused: k ← 0; trial ← lead(previous, safe, `majorizing` − 1), a step from the safe point that
    ///   cannot raise the cost; the rest stays.
    ///
    /// `majorizing`: the majorising exponent over the exponent that the updates take, in (0, 1]. `next` and `costs` are left
    /// as they are, or with anything in them.
    ///
    /// # Errors
    /// As above.
    fn advance(&self, track: &mut Track<Self::Panel>, majorizing: f64) -> Result<()>;
}

/// Checks that two factors may be two places of one path. They are given by their shapes, panels by rows and the columns of
/// their segments.
pub(crate) fn check_path<S: PartialEq + fmt::Debug>(to: S, from: S, share: f64) -> Result<()> {
    if to != from {
        return Err(Error::input(format!("factors {to:?} and {from:?} are not of one path")));
    }
    if !(-1.0..=1.0).contains(&share) {
        return Err(Error::input(format!("share {share} of a step: must be between -1 and 1")));
    }
    Ok(())
}

/// Checks that the panels of a track are of the same segments, K x N but for 1 x N costs and a state of 2 x N.
pub(crate) fn check_track<E: Engine>(engine: &E, track: &Track<E::Panel>, majorizing: f64) -> Result<()> {
    let (rows, segments) = engine.segments(&track.next);
    let panels =
        [(&track.trial, rows), (&track.previous, rows), (&track.safe, rows), (&track.costs, 1), (&track.state, 2)];
    panels.into_iter().try_for_each(|(panel, rows)| {
        let (of_panel, columns) = engine.segments(panel);
        check_path((rows, &segments), (of_panel, &columns), majorizing - 1.0)
    })
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, arr2};

    use super::*;
    use crate::engine::gpu::tests::gpu;
    use crate::engine::{Cpu, Reference};

    /// Steps between numbers that are hardly there: neither infinity nor NaN nor a number of another size comes of them.
    #[test]
    fn entries_below_the_ordinary_numbers_of_f32_are_led_alike() {
        fn on<E: Momentum>(engine: &E) {
            let to = arr2(&[[3e-39, 1e-40, 1e-45, 1.0, 0.0, 1e-40, 2e-38]]).mapv(|x: f64| x as f32);
            let from = arr2(&[[2e-39, 1e-45, 1e-40, 1e-40, 1e-40, 1.0, 1e-45]]).mapv(|x: f64| x as f32);
            let led = |share: f64| -> Array2<f32> {
                let (to, from) = (engine.panel(to.view()).unwrap(), engine.panel(from.view()).unwrap());
                engine.read_panel(&engine.lead_gains(&to, &from, share).unwrap()).unwrap()
            };
            let onward = 2f64.powf(0.5);
            let near = |got: Array2<f32>, expected: [f64; 7]| {
                for (place, (&got, expected)) in got.iter().zip(expected).enumerate() {
                    let right = (f64::from(got) - expected).abs() <= 2e-5 * expected;
                    // A device may take what it is led from for 0.
                    let none = got == 0.0 && to[(0, place)] < LEAST as f32;
                    assert!(right || none, "{}, entry {place}: {got:e}, not {expected:e}", engine.describe());
                }
            };
            let least = LEAST;
            let some = (2e-38 / LEAST).powf(0.5);
            near(led(0.5), [least, least, least, onward, 0.0, least / onward, 2e-38 * some]);
            // Half the way back is the geometric mean.
            near(led(-0.5), [least, least, least, least.sqrt(), 0.0, least.sqrt(), 2e-38 / some]);
            // What is no number must not become one: a file fails by it.
            let lost = engine.panel(arr2(&[[f32::NAN, 2.0]]).view()).unwrap();
            let ones = engine.panel(arr2(&[[1.0f32, 1.0]]).view()).unwrap();
            for share in [0.5, -0.5] {
                let led: Array2<f32> = engine.read_panel(&engine.lead_gains(&lost, &ones, share).unwrap()).unwrap();
                assert!(led[(0, 0)].is_nan() && led[(0, 1)] > 1.0, "{}: {led}", engine.describe());
            }
        }
        on(&Reference);
        on(&Cpu::new(Some(1)).unwrap());
        if let Some(gpu) = gpu() {
            on(&gpu);
        }
    }
}
