//! Extrapolation on the CPU engine: elementwise, in vectors.

use ndarray::Array2;
use pulp::Simd;
use rayon::prelude::*;

use super::{DELAY, LEAST, LONGEST, Momentum, REACH, SLACK, Track, check_keep, check_path, check_track};
use crate::Result;
use crate::engine::tile::{self, StripJob, rows, rows_mut};
use crate::engine::{Cpu, CpuMatrix, CpuPanel, STRIP, math};

/// lead(x, x', b), with one b for all entries or one each.
#[inline(always)]
fn lead<S: Simd>(simd: S, x: S::f32s, from: S::f32s, share: S::f32s) -> S::f32s {
    let splat = |value: f64| simd.splat_f32s(value as f32);
    let (zero, least) = (splat(0.0), splat(LEAST));
    // `max` would turn NaN into a number.
    let at_least = |x| simd.select_f32s(simd.less_than_f32s(x, least), least, x);
    let (to, from) = (at_least(x), at_least(from));
    let onward = simd.greater_than_f32s(share, zero);
    // A step back is clipped only to the range of f32.
    let lowest = simd.select_f32s(onward, splat(1.0 / REACH), least);
    let highest = simd.select_f32s(onward, splat(REACH), splat(1.0 / LEAST));
    let ratio = simd.min_f32s(simd.max_f32s(simd.div_f32s(to, from), lowest), highest);
    let led = simd.mul_f32s(to, math::pow(simd, ratio, share));
    simd.select_f32s(simd.equal_f32s(x, zero), zero, led)
}

/// Entries that share one b.
struct LeadJob<'a> {
    to: &'a [f32],
    from: &'a [f32],
    led: &'a mut [f32],
    share: f32,
}

impl StripJob for LeadJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let share = simd.splat_f32s(self.share);
        let (to, rest) = S::as_simd_f32s(self.to);
        let (from, rest_from) = S::as_simd_f32s(self.from);
        let (led, rest_led) = S::as_mut_simd_f32s(self.led);
        for ((led, &to), &from) in led.iter_mut().zip(to).zip(from) {
            *led = lead(simd, to, from, share);
        }
        let last = lead(simd, simd.partial_load_f32s(rest), simd.partial_load_f32s(rest_from), share);
        simd.partial_store_f32s(rest_led, last);
    }
}

/// One strip of a track.
struct AdvanceJob<'a> {
    components: usize,
    majorizing: f32,
    trial: &'a mut [f32],
    next: &'a [f32],
    costs: &'a [f32],
    previous: &'a mut [f32],
    safe: &'a mut [f32],
    state: &'a mut [f32],
}

impl StripJob for AdvanceJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let (costs, state) = (&rows::<S, V>(self.costs)[0], rows_mut::<S, V>(self.state));
        let all = self.components;
        let (trial, next) = (&mut rows_mut::<S, V>(self.trial)[..all], &rows::<S, V>(self.next)[..all]);
        let (previous, safe) = (&mut rows_mut::<S, V>(self.previous)[..all], &mut rows_mut::<S, V>(self.safe)[..all]);
        let (one, zero) = (simd.splat_f32s(1.0), simd.splat_f32s(0.0));
        for i in 0..V {
            let (cost, accepted, steps) = (costs[i], state[0][i], state[1][i]);
            let bounds = [1.0 + SLACK as f32, 1.0 - SLACK as f32].map(|bound| simd.splat_f32s(bound));
            let [above, below] = [simd.mul_f32s(accepted, bounds[0]), simd.mul_f32s(accepted, bounds[1])];
            let passes = simd.less_than_or_equal_f32s(cost, simd.max_f32s(above, below));
            let steps = simd.select_f32s(passes, simd.add_f32s(steps, one), zero);
            let share = simd.div_f32s(steps, simd.add_f32s(steps, simd.splat_f32s(DELAY as f32)));
            let share = simd.min_f32s(share, simd.splat_f32s(LONGEST as f32));
            let share = simd.select_f32s(passes, share, simd.splat_f32s(self.majorizing - 1.0));
            state[0][i] = simd.select_f32s(passes, simd.min_f32s(cost, accepted), accepted);
            state[1][i] = steps;
            for k in 0..all {
                let to = simd.select_f32s(passes, next[k][i], previous[k][i]);
                let from = simd.select_f32s(passes, previous[k][i], safe[k][i]);
                safe[k][i] = simd.select_f32s(passes, trial[k][i], safe[k][i]);
                previous[k][i] = to;
                trial[k][i] = lead(simd, to, from, share);
            }
        }
    }
}

/// Entries per task.
const RUN: usize = 1 << 14;

fn lead_all(to: &[f32], from: &[f32], led: &mut [f32], share: f64) {
    let share = share as f32;
    if share == 0.0 {
        return led.copy_from_slice(to);
    }
    let runs = led.par_chunks_mut(RUN).zip(to.par_chunks(RUN).zip(from.par_chunks(RUN)));
    runs.for_each(|(led, (to, from))| tile::dispatch(LeadJob { to, from, led, share }));
}

impl Momentum for Cpu {
    fn lead_gains(&self, to: &CpuPanel, from: &CpuPanel, share: f64) -> Result<CpuPanel> {
        check_path(to.extent(), from.extent(), share)?;
        let mut led = CpuPanel::any(self.shelf(), to.rows(), to.segments().to_vec());
        self.install(|| lead_all(to.values(), from.values(), led.values_mut(), share));
        Ok(led)
    }

    fn lead_bases(&self, to: &CpuMatrix, from: &CpuMatrix, share: f64) -> Result<CpuMatrix> {
        let shapes = |stack: &CpuMatrix| stack.iter().map(Array2::dim).collect::<Vec<_>>();
        check_path(shapes(to), shapes(from), share)?;
        let lead = |(to, from): (&Array2<f32>, &Array2<f32>)| {
            let mut led = Array2::zeros(to.dim());
            let (to, from) = (to.as_standard_layout(), from.as_standard_layout());
            if let (Some(to), Some(from), Some(led)) = (to.as_slice(), from.as_slice(), led.as_slice_mut()) {
                lead_all(to, from, led, share);
            }
            led
        };
        Ok(self.install(|| to.par_iter().zip(&from[..]).map(lead).collect::<Vec<_>>()).into())
    }

    fn advance(&self, track: &mut Track<CpuPanel>, majorizing: f64) -> Result<()> {
        check_track(self, track, majorizing)?;
        let components = track.next.rows();
        let Track { trial, next, costs, previous, safe, state } = track;
        self.install(|| {
            let ahead = trial.strips_mut().zip(next.strips()).zip(costs.strips());
            let behind = previous.strips_mut().zip(safe.strips_mut()).zip(state.strips_mut());
            ahead.zip(behind).for_each(|(((trial, next), costs), ((previous, safe), state))| {
                let (costs, state) = (&costs[..STRIP], &mut state[..2 * STRIP]);
                let majorizing = majorizing as f32;
                tile::dispatch(AdvanceJob { components, majorizing, trial, next, costs, previous, safe, state });
            });
        });
        Ok(())
    }

    fn keep(&self, gains: &CpuPanel, chosen: &CpuPanel, kept: &mut CpuPanel) -> Result<()> {
        check_keep(gains.extent(), chosen.extent(), kept.extent())?;
        let keep = |((kept, gains), chosen): ((&mut [f32], &[f32]), &[f32])| {
            for (kept, gains) in kept.chunks_exact_mut(STRIP).zip(gains.chunks_exact(STRIP)) {
                for ((kept, &gain), &chosen) in kept.iter_mut().zip(gains).zip(&chosen[..STRIP]) {
                    *kept = if chosen > 0.0 { gain } else { *kept };
                }
            }
        };
        self.install(|| kept.strips_mut().zip(gains.strips()).zip(chosen.strips()).for_each(keep));
        Ok(())
    }
}
