//! Tests of segments on every engine. A segment has the bits that it has alone. Segments that share bases form one
//! problem.

use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate};

use crate::divergence::Divergence;
use crate::engine::gpu::Tiling;
use crate::engine::gpu::tests::{gpu, numbers};
use crate::engine::{Cpu, Engine, Gpu, Reference, Tuning};
use crate::kernels::momentum::START;
use crate::kernels::{
    Density, Edges, GainPrior, Glue, Gradient, Lags, Mask, Mixture, Momentum, Norm, Prior, Products, Rule, ShiftRule,
    Shifts, Track,
};

/// V, W and H of a recording.
#[derive(Clone)]
struct Recording {
    v: Array2<f32>,
    w: Array2<f32>,
    h: Array2<f32>,
}

/// One recording per width, all with these rows and components.
fn recordings(rows: usize, components: usize, widths: &[usize]) -> Vec<Recording> {
    let recording = |(seed, &columns): (u32, &usize)| Recording {
        v: numbers(3 * seed, rows, columns),
        w: numbers(3 * seed + 1, rows, components),
        h: numbers(3 * seed + 2, components, columns),
    };
    (1..).zip(widths).map(recording).collect()
}

fn views(recordings: &[Recording], part: fn(&Recording) -> &Array2<f32>) -> Vec<ArrayView2<'_, f32>> {
    recordings.iter().map(|recording| part(recording).view()).collect()
}

fn mixture(components: usize, dimensions: usize) -> Mixture {
    let values = |seed| numbers(seed, components, dimensions).mapv(f64::from);
    let weights = Array1::from_elem(components, 1.0 / components as f64);
    Mixture { weights, means: -values(50), variances: values(51) }
}

/// Runs every kernel at least once over a batch. Returns the results of each recording, concatenated.
fn everything<E: GainPrior + Momentum + Glue>(engine: &E, batch: &[Recording]) -> Vec<Vec<f32>> {
    // With a floor, padding columns get gains unless a kernel prevents it.
    let rule = Rule { floor: 0.05, sparsity: 0.01, norm: Some(Norm::L2), ..Rule::of(Divergence::ItakuraSaito) };
    let (rows, components) = batch[0].w.dim();
    let v = engine.packed(&views(batch, |recording| &recording.v)).unwrap();
    let mut w = engine.stack(&views(batch, |recording| &recording.w)).unwrap();
    let mut h = engine.packed(&views(batch, |recording| &recording.h)).unwrap();
    let widths = engine.segments(&v).1;
    assert_eq!(widths, batch.iter().map(|recording| recording.v.ncols()).collect::<Vec<_>>());
    let kl = Rule::of(Divergence::KullbackLeibler);
    engine.update_gains(&v, &w, &mut h, &rule).unwrap();
    engine.update_bases(&v, &mut w, &h, &rule).unwrap();
    engine.update_gains(&v, &w, &mut h, &kl).unwrap();
    engine.update_bases(&v, &mut w, &h, &kl).unwrap();
    engine.update_both(&v, &mut w, &mut h, &rule).unwrap();
    engine.update_both(&v, &mut w, &mut h, &kl).unwrap();
    let (rows_of_prior, mixture) = (components / 2..components, mixture(6, components.div_ceil(2)));
    let density = Density::new(engine, &mixture).unwrap();
    let x = engine.log_normalized(&h, rows_of_prior.clone(), 1e-6).unwrap();
    let (shares, likelihoods) = engine.responsibilities(&x, &density).unwrap();
    let prior = Prior { rows: rows_of_prior, density, gradient: Gradient::Exact, floor: 1e-6 };
    let priors = [prior];
    let alpha = Array2::from_elem((1, widths.iter().sum()), 0.3);
    let alpha = engine.panel_like(&h, alpha.view()).unwrap();
    engine.update_gains_under(&v, &w, &mut h, &rule, &priors, &alpha).unwrap();
    engine.update_gains_under(&v, &w, &mut h, &kl, &priors, &alpha).unwrap();
    engine.update_bases(&v, &mut w, &h, &rule).unwrap();
    engine.normalize(&mut w, Some(&mut h), Norm::L2).unwrap();
    let (n, d) = engine.base_sums(&v, &w, &h, &kl.divergence).unwrap();
    engine.turn_bases(&mut w, &n, &d).unwrap();
    let first = engine.stack(&views(batch, |recording| &recording.w)).unwrap();
    let led = engine.lead_bases(&w, &first, 0.5).unwrap();
    let still = || engine.lead_gains(&h, &h, 0.0).unwrap();
    let row = |value: f64| Array2::from_elem((1, widths.iter().sum()), value);
    let state = concatenate(Axis(0), &[row(START).view(), row(0.0).view()]).unwrap();
    let mut track = Track {
        trial: still(),
        next: still(),
        costs: engine.panel_like(&h, row(0.0).view()).unwrap(),
        previous: still(),
        safe: still(),
        state: engine.panel_like(&h, state.view()).unwrap(),
    };
    for _ in 0..2 {
        engine.try_gains(&v, &led, &track.trial, &mut track.next, &mut track.costs, &rule).unwrap();
        engine.advance(&mut track, 0.5).unwrap();
    }
    let costs = engine.costs(&v, &led, &track.trial, &rule.divergence).unwrap();
    let costs = Array2::from_shape_fn((1, costs.len()), |(_, n)| costs[n] as f32);
    let masks = engine.masks(&led, &track.trial, &[0..1, 1..components], Mask::Ratio(2.0)).unwrap();
    let mut wide: Vec<Array2<f32>> = masks.iter().map(|mask| engine.read_panel(mask).unwrap()).collect();
    for panel in [
        &x,
        &shares,
        &likelihoods,
        &h,
        &track.trial,
        &track.next,
        &track.costs,
        &track.previous,
        &track.safe,
        &track.state,
    ] {
        wide.push(engine.read_panel(panel).unwrap());
    }
    wide.push(costs);
    let stacks = [engine.read_matrix::<f32>(&w).unwrap(), engine.read_matrix(&led).unwrap()];
    let mut first = 0;
    let of_segment = |(segment, columns): (usize, usize)| {
        let place = first..first + columns;
        first += columns;
        let parts = wide.iter().map(|panel| panel.slice_axis(Axis(1), place.clone().into()));
        let bases = segment * rows..(segment + 1) * rows;
        let matrices = stacks.iter().map(|stack| stack.slice_axis(Axis(0), bases.clone().into()));
        parts.chain(matrices).flat_map(|part| part.iter().copied().collect::<Vec<_>>()).collect()
    };
    widths.into_iter().enumerate().map(of_segment).collect()
}

/// Asserts that every recording of a batch has the bits that it has alone, also in reversed order.
fn assert_alone<E: GainPrior + Momentum + Glue>(engine: &E, batch: &[Recording]) {
    let alone: Vec<Vec<f32>> = batch.chunks(1).flat_map(|recording| everything(engine, recording)).collect();
    assert!(alone.iter().flatten().all(|x| x.is_finite()));
    assert!(everything(engine, batch) == alone);
    let reversed: Vec<Recording> = batch.iter().rev().cloned().collect();
    let mut together = everything(engine, &reversed);
    together.reverse();
    assert!(together == alone);
}

/// Runs the shifted kernels. Each group of `shared` recordings shares T bases, made from the group's first recording.
/// Returns the results of each group.
fn shifted<E: Shifts>(engine: &E, batch: &[Recording], shared: usize) -> Vec<Vec<f32>> {
    shifted_by(engine, batch, shared, Lags { time: 3, pitch: 2 })
}

fn shifted_by<E: Shifts>(engine: &E, batch: &[Recording], shared: usize, lags: Lags) -> Vec<Vec<f32>> {
    let (rows, components) = batch[0].w.dim();
    let lag = |one: &Recording, time: usize| &one.w * (1.0 + time as f32);
    let firsts = batch.iter().step_by(shared);
    let bases: Vec<_> = firsts.flat_map(|one| (0..lags.time).map(move |time| lag(one, time))).collect();
    let of_gains = |one: &Recording| {
        let at_pitch: Vec<_> = (0..lags.pitch).map(|pitch| &one.h * 0.5f32.powi(pitch as i32)).collect();
        concatenate(Axis(0), &at_pitch.iter().map(|h| h.view()).collect::<Vec<_>>()).unwrap()
    };
    let gains: Vec<Array2<f32>> = batch.iter().map(of_gains).collect();
    let v = engine.packed(&views(batch, |recording| &recording.v)).unwrap();
    let mut w = engine.stack(&bases.iter().map(|basis| basis.view()).collect::<Vec<_>>()).unwrap();
    let mut h = engine.packed(&gains.iter().map(|gains| gains.view()).collect::<Vec<_>>()).unwrap();
    let (kl, is) = (Divergence::KullbackLeibler, Divergence::ItakuraSaito);
    for (divergence, edges) in [(kl.clone(), Edges::Exact), (kl, Edges::Printed), (is, Edges::Exact)] {
        let mut rule = ShiftRule { edges, ..ShiftRule::of(divergence, lags) };
        engine.update_shifted_bases(&v, &mut w, &h, &rule).unwrap();
        rule.rule.floor = 0.05;
        engine.update_shifted_gains(&v, &w, &mut h, &rule).unwrap();
    }
    engine.normalize_patterns(&mut w, &mut h, lags, Norm::L2).unwrap();
    let costs = engine.shifted_costs(&v, &w, &h, lags, &Divergence::ItakuraSaito).unwrap();
    let mut wide = vec![Array2::from_shape_fn((1, costs.len()), |(_, n)| costs[n] as f32)];
    for panel in
        engine.shifted_masks(&w, &h, &[0..1, 1..components], lags, Mask::Ratio(2.0)).unwrap().iter().chain([&h])
    {
        wide.push(engine.read_panel(panel).unwrap());
    }
    let (stack, mut first) = (engine.read_matrix::<f32>(&w).unwrap(), 0);
    let of_group = |(group, recordings): (usize, &[Recording])| {
        let place = first..first + recordings.iter().map(|one| one.v.ncols()).sum::<usize>();
        first = place.end;
        let bases = group * lags.time * rows..(group + 1) * lags.time * rows;
        let parts = wide.iter().map(|panel| panel.slice_axis(Axis(1), place.clone().into()));
        let parts = parts.chain([stack.slice_axis(Axis(0), bases.into())]);
        parts.flat_map(|part| part.iter().copied().collect::<Vec<_>>()).collect()
    };
    assert_eq!(stack.dim(), (batch.len() / shared * lags.time * rows, components));
    batch.chunks(shared).enumerate().map(of_group).collect()
}

/// Asserts that each group of `shared` recordings with common bases has the bits that it has without the others.
fn assert_shifted_alone<E: Shifts>(engine: &E, batch: &[Recording], shared: usize) {
    let alone: Vec<Vec<f32>> = batch.chunks(shared).flat_map(|group| shifted(engine, group, shared)).collect();
    assert!(alone.iter().flatten().all(|x| x.is_finite()));
    assert!(shifted(engine, batch, shared) == alone);
}

#[test]
fn a_shifted_segment_has_the_same_bits_alone_and_in_a_batch() {
    assert_shifted_alone(&Reference, &recordings(5, 3, &[4, 1, 7]), 1);
    assert_shifted_alone(&Cpu::new(Some(2)).unwrap(), &recordings(37, 3, &[1, 48, 49, 130]), 1);
    let Some(gpu) = gpu() else { return };
    let batch = recordings(9, 3, &[1, 32, 33, 130]);
    assert_shifted_alone(&gpu, &batch, 1);
    let whole = shifted(&gpu, &batch, 1);
    assert!(shifted(&gpu.with_chunk_columns(96), &batch, 1) == whole);
}

#[test]
fn a_group_that_shares_shifted_bases_has_the_same_bits_alone_and_in_a_batch() {
    assert_shifted_alone(&Reference, &recordings(5, 3, &[4, 1, 7, 2]), 2);
    assert_shifted_alone(&Cpu::new(Some(2)).unwrap(), &recordings(37, 3, &[1, 48, 49, 130]), 2);
    let Some(mut gpu) = gpu() else { return };
    // The second and the fourth recording cross chunks of two tiles.
    let batch = recordings(9, 3, &[1, 60, 33, 130]);
    let whole = shifted(&gpu, &batch, 2);
    for chunk_columns in [1 << 16, 64] {
        gpu = gpu.with_chunk_columns(chunk_columns);
        assert_shifted_alone(&gpu, &batch, 2);
        assert!(shifted(&gpu, &batch, 2) == whole, "{chunk_columns}");
    }
}

/// Asserts that an engine is near the reference after all steps of [`shifted`], with bases for every `shared`
/// recordings.
fn assert_shifted_near<E: Shifts>(engine: &E, batch: &[Recording], shared: usize, lags: Lags) {
    let (got, expected) = (shifted_by(engine, batch, shared, lags), shifted_by(&Reference, batch, shared, lags));
    for (got, expected) in got.iter().flatten().zip(expected.iter().flatten()) {
        assert!((got - expected).abs() <= 1e-3 * expected.abs() + 1e-5, "{got} for {expected}, {lags:?}, {shared}");
    }
}

#[test]
fn shifted_segments_are_near_the_reference() {
    let (few, many) = (Lags { time: 3, pitch: 2 }, Lags { time: 10, pitch: 9 });
    let (small, large) = (recordings(9, 3, &[1, 60, 33, 130]), recordings(37, 5, &[70, 150]));
    let cpu = Cpu::new(Some(2)).unwrap();
    assert_shifted_near(&cpu, &small, 2, few);
    assert_shifted_near(&cpu, &large, 1, many);
    let Some(gpu) = gpu() else { return };
    assert_shifted_near(&gpu, &large, 1, many);
    // Every W^τ ends where the next begins.
    assert_shifted_near(&gpu, &recordings(16, 4, &[40]), 1, many);
    assert_shifted_near(&gpu.with_chunk_columns(64), &small, 2, few);
}

#[test]
fn shifted_kernels_read_no_uninitialized_memory() {
    let Some(gpu) = gpu() else { return };
    // Two tiles of rows, and two blocks each of components, lags and pitches, and two splits of the columns.
    let (batch, lags) = (recordings(37, 5, &[70, 150]), Lags { time: 10, pitch: 9 });
    let clean = shifted_by(&gpu, &batch, 1, lags);
    let junk: Vec<_> = [1, 5, 37, 45, 64, 100, 150]
        .iter()
        .flat_map(|&rows| {
            [96, 160].map(|columns| gpu.panel(Array2::from_elem((rows, columns), f32::NAN).view()).unwrap())
        })
        .collect();
    drop(junk);
    assert!(shifted_by(&gpu, &batch, 1, lags) == clean, "dirty memory");
    gpu.check_indices();
    assert!(shifted_by(&gpu, &batch, 1, lags) == clean, "checked indices");
}

#[test]
fn a_reference_segment_has_the_same_bits_alone_and_in_a_batch() {
    assert_alone(&Reference, &recordings(5, 3, &[4, 1, 7]));
}

#[test]
fn a_cpu_segment_has_the_same_bits_alone_and_in_a_batch() {
    let cpu = Cpu::new(Some(2)).unwrap();
    // Widths below one strip, of one strip, and with more strips than the least number of parts; rows in several
    // ranges.
    for (rows, components, widths) in
        [(37, 5, [1, 48, 49, 300].as_slice()), (150, 33, &[70, 500, 3]), (9, 2, &[4000, 10])]
    {
        assert_alone(&cpu, &recordings(rows, components, widths));
    }
}

#[test]
fn a_gpu_segment_has_the_same_bits_alone_and_in_a_batch() {
    let Some(mut gpu) = gpu() else { return };
    // Widths below one tile, of one tile, and with more tiles than a split; stored fields; more tiles than there are
    // splits.
    for (rows, components, widths) in
        [(37, 5, [1, 32, 33, 300].as_slice()), (35, 300, &[67, 10]), (3, 2, &[9001, 40, 150])]
    {
        let batch = recordings(rows, components, widths);
        gpu = gpu.with_chunk_columns(1 << 16);
        assert_alone(&gpu, &batch);
        let whole = everything(&gpu, &batch);
        gpu = gpu.with_chunk_columns(96);
        assert!(everything(&gpu, &batch) == whole, "{rows} x {widths:?}");
    }
}

#[test]
fn many_gpu_segments_have_the_same_bits_alone_and_in_one_dispatch() {
    let Some(mut gpu) = gpu() else { return };
    let batch = recordings(35, 40, &[33, 7, 64, 1]);
    let alone: Vec<Vec<f32>> = batch.chunks(1).flat_map(|one| everything(&gpu, one)).collect();
    // Tiles of 16, 32 and 64 columns; factors that are held, and splits with workgroups of their own.
    for (gains, bases) in [(5, 3), (9, 4), (12, 5)] {
        let (gains, bases) = (Tiling::OF_GAINS[gains], Tiling::OF_BASES[bases]);
        gpu.set_tuning(Tuning { bases: [bases; 4], ..Tuning::all(gains) }).unwrap();
        assert!(everything(&gpu, &batch) == alone, "{gains:?}, {bases:?}");
    }
    // Two matrices per dispatch.
    gpu.binding_quads = 2 * 36 * 10 + 128;
    assert!(everything(&gpu, &batch) == alone);
}

#[test]
fn moments_depend_on_the_columns_alone() {
    let (x, mixture) = (numbers(1, 11, 5000).mapv(|x| -5.0 * x), mixture(7, 11));
    let on_cpu = |threads| {
        let cpu = Cpu::new(Some(threads)).unwrap();
        let density = Density::new(&cpu, &mixture).unwrap();
        cpu.moments(&cpu.panel(x.view()).unwrap(), &density).unwrap()
    };
    assert_eq!(on_cpu(1), on_cpu(2));
    let Some(gpu) = gpu() else { return };
    let on_gpu = |gpu: &Gpu| {
        let density = Density::new(gpu, &mixture).unwrap();
        gpu.moments(&gpu.panel(x.view()).unwrap(), &density).unwrap()
    };
    let whole = on_gpu(&gpu);
    assert_eq!(whole, on_gpu(&gpu.with_chunk_columns(96)));
}

/// Updates gains and one shared matrix from several segments.
fn shared<E: Products + Glue>(engine: &E, batch: &[Recording], rule: &Rule) -> (Array2<f64>, Array2<f64>) {
    let v = engine.packed(&views(batch, |recording| &recording.v)).unwrap();
    let mut w = engine.matrix(batch[0].w.view()).unwrap();
    let mut h = engine.packed(&views(batch, |recording| &recording.h)).unwrap();
    engine.update_gains(&v, &w, &mut h, rule).unwrap();
    engine.update_bases(&v, &mut w, &h, rule).unwrap();
    engine.update_both(&v, &mut w, &mut h, rule).unwrap();
    engine.normalize(&mut w, Some(&mut h), Norm::L1).unwrap();
    (engine.read_matrix(&w).unwrap(), engine.read_panel(&h).unwrap())
}

fn assert_shared<E: Products + Glue>(engine: &E, rows: usize, components: usize, widths: &[usize]) {
    let batch = recordings(rows, components, widths);
    // With the floor, and IS data above 0 in padding columns, padding would change the sums.
    let rule = Rule { floor: 0.2, sparsity: 0.1, norm: Some(Norm::L2), ..Rule::of(Divergence::ItakuraSaito) };
    let ((w, h), (expected_w, expected_h)) = (shared(engine, &batch, &rule), shared(&Reference, &batch, &rule));
    for (got, expected) in [(w, expected_w), (h, expected_h)] {
        let largest = expected.iter().copied().fold(0.0, f64::max);
        assert!((got - expected).iter().all(|error| error.abs() <= 2e-5 * largest), "{rows} x {widths:?}");
    }
}

#[test]
fn segments_that_share_their_bases_are_one_problem() {
    let batch = recordings(6, 3, &[4, 1, 7]);
    let joined = |part: fn(&Recording) -> &Array2<f32>| concatenate(Axis(1), &views(&batch, part)).unwrap();
    let one = Recording { v: joined(|one| &one.v), w: batch[0].w.clone(), h: joined(|one| &one.h) };
    let rule = Rule::of(Divergence::ItakuraSaito);
    let ((w, h), (expected_w, expected_h)) = (shared(&Reference, &batch, &rule), shared(&Reference, &[one], &rule));
    assert!((w - expected_w).iter().chain(&(h - expected_h)).all(|error| error.abs() < 1e-12));
    let cpu = Cpu::new(Some(2)).unwrap();
    assert_shared(&cpu, 37, 5, &[1, 49, 300]);
    assert_shared(&cpu, 20, 3, &[1000, 2, 2]);
    if let Some(gpu) = gpu() {
        assert_shared(&gpu, 37, 5, &[1, 33, 300]);
        assert_shared(&gpu.with_chunk_columns(64), 20, 3, &[1000, 2, 2]);
    }
}

fn assert_refused<E: GainPrior + Momentum + Glue>(engine: &E) {
    let batch = recordings(6, 3, &[4, 5, 4]);
    let rule = Rule::of(Divergence::Euclidean);
    let panel = |which: &[usize], part: fn(&Recording) -> &Array2<f32>| {
        engine.packed(&which.iter().map(|&at| part(&batch[at]).view()).collect::<Vec<_>>()).unwrap()
    };
    let stack = |count: usize| engine.stack(&views(&batch[..count], |one| &one.w)).unwrap();
    let v = panel(&[0, 1], |one| &one.v);
    // Gains in other segments with as many columns; then three matrices for two segments.
    for (w, h) in [(stack(2), [1, 0].as_slice()), (stack(3), &[0, 1]), (stack(1), &[0, 1, 2])] {
        let (mut w, mut h) = (w, panel(h, |one| &one.h));
        assert!(engine.update_gains(&v, &w, &mut h, &rule).is_err());
        assert!(engine.update_bases(&v, &mut w, &h, &rule).is_err());
        assert!(engine.update_both(&v, &mut w, &mut h, &rule).is_err());
        assert!(engine.costs(&v, &w, &h, &rule.divergence).is_err());
    }
    let (mut w, mut h) = (stack(3), panel(&[0, 1], |one| &one.h));
    assert!(engine.normalize(&mut w, Some(&mut h), Norm::L1).is_err());
    assert!(engine.masks(&w, &h, &[0..1, 1..3], Mask::Hard).is_err());
    assert!(engine.lead_bases(&w, &stack(2), 0.5).is_err());
    assert!(engine.lead_gains(&h, &panel(&[1, 0], |one| &one.h), 0.5).is_err());
    assert!(engine.panel_like(&h, batch[0].h.view()).is_err());
    let none = Array2::<f32>::zeros((6, 0));
    assert!(engine.packed(&[batch[0].v.view(), none.view()]).is_err() && engine.packed::<f32>(&[]).is_err());
    assert!(engine.packed(&[batch[0].v.view(), batch[0].h.view()]).is_err());
    assert!(engine.stack(&[batch[0].v.view(), batch[1].v.view()]).is_err() && engine.stack::<f32>(&[]).is_err());
}

#[test]
fn segments_that_do_not_fit_are_refused() {
    assert_refused(&Reference);
    assert_refused(&Cpu::new(Some(1)).unwrap());
    if let Some(gpu) = gpu() {
        assert_refused(&gpu);
    }
}
