//! Extrapolation: moves a factor further along its last step, in log space, before the next update.
//!
//! lead(x, x', b) = x ∘ c(x/x')^b, where x' → x is the last step and b its share. For b > 0, c clips the ratio to
//! 0.5..2. A negative b steps back, unclipped. A zero entry of x stays 0. All other entries of x and x' are raised to
//! at least 1.2e-38: a device may flush smaller f32 numbers to 0 or divide by them to infinity.
//!
//! After Hien, Leplat & Gillis, "Block majorization-minimization with extrapolation and application to β-NMF" (2024),
//! who prove convergence for β in [1, 2]. For other divergences it is a heuristic. The safeguard of
//! [`Momentum::advance`] keeps it from raising the objective.

mod cpu;
mod gpu;
mod reference;

use std::fmt;

use crate::engine::Engine;
use crate::{Error, Result};

/// The largest share of a step: b ≤ 0.9.
pub const LONGEST: f64 = 0.9;
/// The largest ratio of two gains, up or down, that an extrapolation uses. Beyond it, components of a non-convex
/// problem move to values from which they do not return.
pub const REACH: f64 = 2.0;
/// The least value of an entry in a step, slightly above the smallest normal f32.
pub const LEAST: f64 = 1.2e-38;
/// The initial cost of a track: above any column's cost, and a normal f32.
pub const START: f64 = 1e30;
/// Sets how slowly steps lengthen: the k-th b is k / (k + 3).
pub const DELAY: f64 = 3.0;
/// The relative increase of a cost that still counts as rounding.
pub const SLACK: f64 = 1e-6;

/// The most that a trial may cost after one of `cost`, which may be below 0.
pub fn tolerated(cost: f64) -> f64 {
    (cost * (1.0 + SLACK)).max(cost * (1.0 - SLACK))
}

/// The share b of the k-th step since the start or the last refusal, k = 1, 2, …: k / (k + [`DELAY`]), at most
/// [`LONGEST`].
pub fn share(steps: f64) -> f64 {
    (steps / (steps + DELAY)).min(LONGEST)
}

/// The state of extrapolated updates of N columns of gains. The columns are independent.
pub struct Track<P> {
    /// The gains (K, N) from which the next update starts.
    pub trial: P,
    /// The update of `trial` (K, N), by [`crate::kernels::Products::try_gains`].
    pub next: P,
    /// The costs of `trial` (1, N), by the same call.
    pub costs: P,
    /// The update of `safe` (K, N).
    pub previous: P,
    /// The last accepted trial (K, N).
    pub safe: P,
    /// State (2, N). Row 0: the cost of `safe`, or [`START`] before the first trial. Row 1: steps since the start or
    /// the last refusal.
    pub state: P,
}

/// The kernels of extrapolation. Gains may be in several segments, and bases may be a stack.
pub trait Momentum: Engine {
    /// lead(to, from, b) of gains (K, N), |b| ≤ 1.
    ///
    /// # Errors
    /// [`Error::Input`] if the shapes do not fit, [`Error::Engine`] if the device fails.
    fn lead_gains(&self, to: &Self::Panel, from: &Self::Panel, share: f64) -> Result<Self::Panel>;

    /// lead(to, from, b) of bases (F, K), |b| ≤ 1.
    ///
    /// # Errors
    /// See [`Momentum::lead_gains`].
    fn lead_bases(&self, to: &Self::Matrix, from: &Self::Matrix, share: f64) -> Result<Self::Matrix>;

    /// Compares the cost c of every column's trial with its last accepted cost c̄, and sets the next trial.
    ///
    /// - Accepted if c ≤ c̄ (1 + 1e-6): steps k ← k + 1; trial ← lead(next, previous, b(k)); safe ← the old trial;
    ///   previous ← next; c̄ ← min(c, c̄).
    /// - Refused otherwise: k ← 0; trial ← lead(previous, safe, `majorizing` − 1). This is a step from the safe point
    ///   that cannot raise the cost. The rest stays.
    ///
    /// `majorizing` is the majorizing exponent divided by the exponent of the updates, in (0, 1]. The contents of
    /// `next` and `costs` are unspecified afterwards.
    ///
    /// # Errors
    /// See [`Momentum::lead_gains`].
    fn advance(&self, track: &mut Track<Self::Panel>, majorizing: f64) -> Result<()>;

    /// Copies the columns of `gains` (K, N) whose entry of `chosen` (1, N) is above 0 into `kept` (K, N). The other columns of
    /// `kept` stay. Early stopping keeps the gains of stopped segments by it, without a way to the host.
    ///
    /// # Errors
    /// As above.
    fn keep(&self, gains: &Self::Panel, chosen: &Self::Panel, kept: &mut Self::Panel) -> Result<()>;
}

/// Checks that two factors can be points of one path, by their shapes. For panels these are the rows and the columns of
/// each segment.
pub(crate) fn check_path<S: PartialEq + fmt::Debug>(to: S, from: S, share: f64) -> Result<()> {
    if to != from {
        return Err(Error::input(format!("factors of shapes {to:?} and {from:?} do not fit each other")));
    }
    if !(-1.0..=1.0).contains(&share) {
        return Err(Error::input(format!("step share {share}: must be between -1 and 1")));
    }
    Ok(())
}

/// Checks that all panels of a track have the same segments, and K x N gains, 1 x N costs and a 2 x N state.
/// Checks that gains and the panel that keeps them are of one shape, and `chosen` one row of the same segments. Panels are given by
/// rows and the columns of their segments.
pub(crate) fn check_keep(gains: (usize, &[usize]), chosen: (usize, &[usize]), kept: (usize, &[usize])) -> Result<()> {
    if gains == kept && chosen == (1, gains.1) {
        return Ok(());
    }
    Err(Error::input(format!(
        "gains of {} rows, {} rows to keep them and {} of chosen columns do not fit: K, K and 1, in the same segments",
        gains.0, kept.0, chosen.0
    )))
}

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

    /// Steps between tiny numbers give neither infinity nor NaN nor a number of another magnitude.
    #[test]
    fn subnormal_entries_extrapolate_alike_on_all_engines() {
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
                    // A device may flush a subnormal entry to 0.
                    let none = got == 0.0 && to[(0, place)] < LEAST as f32;
                    assert!(right || none, "{}, entry {place}: {got:e}, not {expected:e}", engine.describe());
                }
            };
            let least = LEAST;
            let some = (2e-38 / LEAST).powf(0.5);
            near(led(0.5), [least, least, least, onward, 0.0, least / onward, 2e-38 * some]);
            // Half the way back is the geometric mean.
            near(led(-0.5), [least, least, least, least.sqrt(), 0.0, least.sqrt(), 2e-38 / some]);
            // NaN must stay NaN, so that the file fails.
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
