//! Tests of the kernels that need a device. The bits must not depend on chunks, places, memory contents or threads, and
//! shapes must work that take several dispatches. tests/kernels.rs compares the values with the reference.

use std::iter::zip;
use std::time::Duration;

use ndarray::{Array1, Array2, ArrayView2, Axis, Zip, concatenate, s};

use crate::divergence::Divergence;
use crate::engine::gpu::Tiling;
use crate::engine::gpu::tests::{gpu, numbers};
use crate::engine::{Engine, Gpu, GpuPanel, Reference, Timing, Tuning};
use crate::kernels::momentum::START;
use crate::kernels::{
    Density, Edges, GainPrior, Glue, Gradient, Lags, Mask, Mixture, Momentum, Norm, Prior, Products, Rule, ShiftRule,
    Shifts, Track,
};

/// Runs every kernel once on a case: gains, bases, both, norms, priors, trials, costs and masks. Returns all results
/// concatenated.
fn everything(gpu: &Gpu, v: ArrayView2<f32>, w: ArrayView2<f32>, h: ArrayView2<f32>) -> Vec<f32> {
    let rule = Rule { floor: 0.05, sparsity: 0.01, norm: Some(Norm::L2), ..Rule::of(Divergence::ItakuraSaito) };
    let components = w.ncols();
    let v = gpu.panel(v).unwrap();
    let (mut w, mut h) = (gpu.matrix(w).unwrap(), gpu.panel(h).unwrap());
    gpu.update_gains(&v, &w, &mut h, &rule).unwrap();
    gpu.update_bases(&v, &mut w, &h, &rule).unwrap();
    gpu.update_bases(&v, &mut w, &h, &Rule::of(Divergence::KullbackLeibler)).unwrap();
    gpu.update_both(&v, &mut w, &mut h, &rule).unwrap();
    gpu.normalize(&mut w, Some(&mut h), Norm::L2).unwrap();
    let (n, d) = gpu.base_sums(&v, &w, &h, &Divergence::ItakuraSaito).unwrap();
    gpu.turn_bases(&mut w, &n, &d).unwrap();
    let of_priors = under_prior(gpu, &v, &w, &mut h, &rule);
    let track = tried(gpu, &v, &w, h, &rule);
    h = track.trial;
    let sources = [0..1, 1..components];
    let mut all = of_priors;
    all.extend(gpu.costs(&v, &w, &h, &rule.divergence).unwrap().into_iter().map(|cost| cost as f32));
    for mask in gpu.masks(&w, &h, &sources, Mask::Ratio(2.0)).unwrap() {
        all.extend(gpu.read_panel::<f32>(&mask).unwrap());
    }
    for panel in [&track.next, &track.costs, &track.previous, &track.safe, &track.state] {
        all.extend(gpu.read_panel::<f32>(panel).unwrap());
    }
    all.extend(gpu.read_matrix::<f32>(&w).unwrap());
    all.extend(gpu.read_panel::<f32>(&h).unwrap());
    all
}

/// Updates gains under a prior on all rows but the first. Appends the moments before the update.
fn under_prior(gpu: &Gpu, v: &GpuPanel, w: &<Gpu as Engine>::Matrix, h: &mut GpuPanel, rule: &Rule) -> Vec<f32> {
    let rows = 1..gpu.shape(h).0;
    let means = numbers(4, 5, rows.len()).mapv(|mean| -3.0 * f64::from(mean));
    let variances = Array2::from_elem(means.dim(), rows.len() as f64);
    let mixture = Mixture { weights: Array1::from_elem(5, 0.2), means, variances };
    let density = Density::new(gpu, &mixture).unwrap();
    let x = gpu.log_normalized(h, rows.clone(), 1e-3).unwrap();
    let (r, likelihoods) = gpu.responsibilities(&x, &density).unwrap();
    let moments = gpu.moments(&x, &density).unwrap();
    let prior = Prior { rows, density, gradient: Gradient::Exact, floor: 1e-3 };
    let weights = gpu.panel_like(h, Array2::from_elem((1, gpu.shape(h).1), 0.1f32).view()).unwrap();
    gpu.update_gains_under(v, w, h, rule, &[prior], &weights).unwrap();
    let of_columns = [&x, &r, &likelihoods].map(|panel| gpu.read_panel::<f32>(panel).unwrap());
    let variances = moments.variances.iter().flatten().flatten();
    let of_all = moments.counts.iter().chain(&moments.means).chain(variances).map(|&value| value as f32);
    of_columns.into_iter().flatten().chain(of_all).collect()
}

/// Two extrapolated updates from `h`.
fn tried(gpu: &Gpu, v: &GpuPanel, w: &<Gpu as Engine>::Matrix, h: GpuPanel, rule: &Rule) -> Track<GpuPanel> {
    let columns = gpu.shape(&h).1;
    let still = || gpu.lead_gains(&h, &h, 0.0).unwrap();
    let rows = |values: &[f64]| {
        gpu.panel_like(&h, Array2::from_shape_fn((values.len(), columns), |(row, _)| values[row]).view()).unwrap()
    };
    let mut track = Track {
        trial: still(),
        next: still(),
        costs: rows(&[0.0]),
        previous: still(),
        safe: still(),
        state: rows(&[START, 0.0]),
    };
    for _ in 0..2 {
        gpu.try_gains(v, w, &track.trial, &mut track.next, &mut track.costs, rule).unwrap();
        gpu.advance(&mut track, 0.5).unwrap();
    }
    track
}

#[test]
fn the_number_of_chunks_does_not_change_the_bits() {
    let Some(mut gpu) = gpu() else { return };
    // The last shape has more tiles than a panel has splits, so splits cross chunks of three tiles.
    for (rows, columns, components) in [(40, 300, 33), (5, 97, 2), (3, 9001, 2)] {
        let (v, w, h) = (numbers(1, rows, columns), numbers(2, rows, components), numbers(3, components, columns));
        gpu = gpu.with_chunk_columns(1 << 16);
        let whole = everything(&gpu, v.view(), w.view(), h.view());
        for chunk_columns in [32, 96] {
            gpu = gpu.with_chunk_columns(chunk_columns);
            assert!(everything(&gpu, v.view(), w.view(), h.view()) == whole, "{rows} x {columns}, {chunk_columns}");
        }
    }
}

#[test]
fn narrow_windows_give_the_bits_of_one_wide_window() {
    let Some(mut gpu) = gpu() else { return };
    let (rows, columns, components) = (40, 230, 70);
    let (v, w, h) = (numbers(1, rows, columns), numbers(2, rows, components), numbers(3, components, columns));
    let whole = products(&gpu, v.view(), w.view(), h.view());
    // Three of the eight column tiles at a time: once because fields are stored, once because of the dispatch time
    // limit.
    gpu.field_quads = 3 * rows * 32 / 4;
    assert!(products(&gpu, v.view(), w.view(), h.view()) == whole, "stored fields");
    gpu.dispatch_work.set(4 * 3 * 32 * rows * components).unwrap();
    assert_eq!(gpu.columns_at_once(columns, 4 * rows * components).unwrap(), 96);
    assert!(products(&gpu, v.view(), w.view(), h.view()) == whole, "short dispatches");
}

#[test]
fn results_do_not_depend_on_uninitialized_memory() {
    let Some(gpu) = gpu() else { return };
    let (v, w, h) = (numbers(1, 37, 70), numbers(2, 37, 5), numbers(3, 5, 70));
    let clean = everything(&gpu, v.view(), w.view(), h.view());
    for _ in 0..2 {
        let junk: Vec<GpuPanel> = [1, 5, 37, 64, 150]
            .iter()
            .map(|&rows| gpu.panel(Array2::from_elem((rows, 96), f32::NAN).view()).unwrap())
            .collect();
        drop(junk);
        assert_eq!(everything(&gpu, v.view(), w.view(), h.view()), clean);
    }
}

#[test]
fn memory_is_reused_only_after_its_last_use() {
    let Some(gpu) = gpu() else { return };
    let (v, w, h) = (numbers(1, 9, 33), numbers(2, 9, 4), numbers(3, 4, 33));
    let (bases, gains) = (gpu.matrix(w.view()).unwrap(), || gpu.panel(h.view()).unwrap());
    let rule = Rule::of(Divergence::ItakuraSaito);
    let (kept, mut expected) = (gpu.panel(v.view()).unwrap(), gains());
    gpu.update_gains(&kept, &bases, &mut expected, &rule).unwrap();
    let expected = gpu.read_panel::<f32>(&expected).unwrap();
    // The update is only recorded when its data are dropped and other data are uploaded in their place.
    let (dropped, mut updated) = (gpu.panel(v.view()).unwrap(), gains());
    gpu.update_gains(&dropped, &bases, &mut updated, &rule).unwrap();
    drop(dropped);
    let others: Vec<GpuPanel> = (0..3).map(|seed| gpu.panel(numbers(seed, 9, 33).view()).unwrap()).collect();
    assert_eq!(gpu.read_panel::<f32>(&updated).unwrap(), expected);
    drop(others);
}

#[test]
fn the_bits_of_a_column_do_not_depend_on_its_place() {
    let Some(gpu) = gpu() else { return };
    let (v, w, h) = (numbers(1, 45, 83), numbers(2, 45, 130), numbers(3, 130, 83));
    let updated = |v: ArrayView2<f32>, h: ArrayView2<f32>| {
        let (v, w, mut h) = (gpu.panel(v).unwrap(), gpu.matrix(w.view()).unwrap(), gpu.panel(h).unwrap());
        gpu.update_gains(&v, &w, &mut h, &Rule::of(Divergence::Beta(0.5))).unwrap();
        let costs = gpu.costs(&v, &w, &h, &Divergence::KullbackLeibler).unwrap();
        (gpu.read_panel::<f32>(&h).unwrap(), costs)
    };
    let (gains, costs) = updated(v.view(), h.view());
    let moved = |x: &Array2<f32>| concatenate(Axis(1), &[x.slice(s![.., 50..51]), x.slice(s![.., ..50])]).unwrap();
    let (moved_gains, moved_costs) = updated(moved(&v).view(), moved(&h).view());
    assert_eq!(moved_gains.column(0), gains.column(50));
    assert_eq!(moved_gains.slice(s![.., 1..]), gains.slice(s![.., ..50]));
    assert_eq!((moved_costs[0], &moved_costs[1..]), (costs[50], &costs[..50]));
}

/// Runs the products alone: gains (plain, as trials and as sums) and bases (alternating and joint).
fn products(gpu: &Gpu, v: ArrayView2<f32>, w: ArrayView2<f32>, h: ArrayView2<f32>) -> Vec<f32> {
    let rule = Rule { floor: 0.05, sparsity: 0.01, ..Rule::of(Divergence::ItakuraSaito) };
    let v = gpu.panel(v).unwrap();
    let (mut w, mut h) = (gpu.matrix(w).unwrap(), gpu.panel(h).unwrap());
    gpu.update_gains(&v, &w, &mut h, &rule).unwrap();
    gpu.update_bases(&v, &mut w, &h, &Rule::of(Divergence::KullbackLeibler)).unwrap();
    let (n, d) = gpu.gain_sums(&v, &w, &h, &Rule::of(Divergence::KullbackLeibler)).unwrap();
    let track = tried(gpu, &v, &w, h, &rule);
    h = track.trial;
    gpu.update_bases(&v, &mut w, &h, &rule).unwrap();
    gpu.update_both(&v, &mut w, &mut h, &rule).unwrap();
    let (of_p, of_q) = gpu.base_sums(&v, &w, &h, &Divergence::KullbackLeibler).unwrap();
    let sums = [of_p, of_q].map(|sums| gpu.read_matrix::<f32>(&sums).unwrap());
    let panels = [&n, &d, &track.costs, &track.next, &h].map(|panel| gpu.read_panel::<f32>(panel).unwrap());
    panels.into_iter().chain(sums).flatten().chain(gpu.read_matrix::<f32>(&w).unwrap()).collect()
}

#[test]
fn the_tiling_does_not_change_the_bits() {
    let Some(mut gpu) = gpu() else { return };
    // Covers one to four blocks of components; factors that fit workgroup memory and factors that do not; one to nine
    // workgroups that share the components, fused and stored; three splits of the rows, of two sizes.
    let shapes = [(37, 130, 120), (35, 130, 300), (260, 70, 40)];
    for (rows, columns, components) in shapes {
        // Stored fields in windows of three tiles. Tiles of 64 columns cross them.
        gpu.field_quads = 3 * rows * 32 / 4;
        let (v, w, h) = (numbers(1, rows, columns), numbers(2, rows, components), numbers(3, components, columns));
        gpu.tuning = Tuning::all(Tiling::SMALLEST);
        let expected = products(&gpu, v.view(), w.view(), h.view());
        for (gains, bases) in zip(Tiling::OF_GAINS, Tiling::OF_BASES.into_iter().cycle()) {
            gpu.set_tuning(Tuning { bases: [bases; 4], ..Tuning::all(gains) }).unwrap();
            let results = products(&gpu, v.view(), w.view(), h.view());
            assert!(results == expected, "{rows} x {columns} x {components}, {gains:?}, {bases:?}");
        }
    }
}

#[test]
fn sums_of_the_bases_follow_every_change_of_the_bases() {
    let Some(gpu) = gpu() else { return };
    let (v, w, h) = (numbers(1, 70, 40), numbers(2, 70, 5), numbers(3, 5, 40));
    let v = gpu.panel(v.view()).unwrap();
    let (kl, lags) = (Rule::of(Divergence::KullbackLeibler), Lags { time: 1, pitch: 1 });
    let shifted = ShiftRule { rule: kl.clone(), lags, edges: Edges::Exact };
    type Change<'a> = &'a dyn Fn(&mut <Gpu as Engine>::Matrix, &mut GpuPanel) -> crate::Result<()>;
    let changes: [(&str, Change); 5] = [
        ("bases", &|w, h| gpu.update_bases(&v, w, h, &kl)),
        ("both", &|w, h| gpu.update_both(&v, w, h, &kl)),
        ("norms", &|w, h| gpu.normalize(w, Some(h), Norm::L2)),
        ("shifted bases", &|w, h| gpu.update_shifted_bases(&v, w, h, &shifted)),
        ("norms of patterns", &|w, h| gpu.normalize_patterns(w, h, lags, Norm::L1)),
    ];
    for (name, change) in changes {
        let (mut w, mut h) = (gpu.matrix(w.view()).unwrap(), gpu.panel(h.view()).unwrap());
        gpu.update_gains(&v, &w, &mut h, &kl).unwrap();
        change(&mut w, &mut h).unwrap();
        let updated = |w: &<Gpu as Engine>::Matrix| {
            let mut h = gpu.panel(gpu.read_panel::<f32>(&h).unwrap().view()).unwrap();
            gpu.update_gains(&v, w, &mut h, &kl).unwrap();
            gpu.read_panel::<f32>(&h).unwrap()
        };
        let fresh = gpu.matrix(gpu.read_matrix::<f32>(&w).unwrap().view()).unwrap();
        assert!(updated(&w) == updated(&fresh), "{name}");
    }
}

#[test]
fn runtime_checks_do_not_change_the_bits() {
    let Some(mut gpu) = gpu() else { return };
    // An index beyond a storage buffer is clamped with checks. Without checks it reads 0 on a software driver.
    let mut run = || {
        let mut all = Vec::new();
        for (gains, bases) in [(0, 0), (5, 2)] {
            gpu.tuning = Tuning { bases: [Tiling::OF_BASES[bases]; 4], ..Tuning::all(Tiling::OF_GAINS[gains]) };
            for (rows, columns, components) in [(1, 2, 2), (37, 70, 90), (35, 67, 300)] {
                let (v, w, h) =
                    (numbers(1, rows, columns), numbers(2, rows, components), numbers(3, components, columns));
                all.push(everything(&gpu, v.view(), w.view(), h.view()));
            }
        }
        gpu.check_indices();
        all
    };
    assert!(run() == run());
}

#[test]
fn stored_fields_give_the_bits_of_fused_updates() {
    let Some(mut gpu) = gpu() else { return };
    let (v, w, h) = (numbers(1, 50, 90), numbers(2, 50, 257), numbers(3, 257, 90));
    let (many, few) = (
        Tiling { quads: 8, lanes: 16, blocks: 4, held: false, split: false },
        Tiling { blocks: 4, ..Tiling::SMALLEST },
    );
    assert!(many.divide(257).1 == 2 && few.divide(257).1 == 3);
    let mut updated = |tiling: Tiling, divergence| {
        gpu.tuning = Tuning::all(tiling);
        let rule = Rule { sparsity: 0.1, norm: Some(Norm::L1), ..Rule::of(divergence) };
        let (v, mut w, h) = (gpu.panel(v.view()).unwrap(), gpu.matrix(w.view()).unwrap(), gpu.panel(h.view()).unwrap());
        let track = tried(&gpu, &v, &w, h, &rule);
        gpu.update_bases(&v, &mut w, &track.trial, &rule).unwrap();
        let read = |panel: &GpuPanel| gpu.read_panel::<f32>(panel).unwrap();
        (read(&track.next), read(&track.costs), gpu.read_matrix::<f32>(&w).unwrap())
    };
    for divergence in [Divergence::ItakuraSaito, Divergence::KullbackLeibler, Divergence::Beta(0.5)] {
        assert!(updated(many, divergence.clone()) == updated(few, divergence.clone()), "{divergence}");
    }
}

#[test]
fn a_nan_cost_is_refused() {
    let Some(gpu) = gpu() else { return };
    let row = |values: [f32; 4]| gpu.panel(Array2::from_shape_fn((1, 4), |(_, n)| values[n]).view()).unwrap();
    let mut track = Track {
        trial: row([5.0; 4]),
        next: row([6.0; 4]),
        costs: row([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1.0]),
        previous: row([4.0; 4]),
        safe: row([1.0; 4]),
        state: gpu.panel(ndarray::arr2(&[[START; 4], [2.0; 4]]).view()).unwrap(),
    };
    gpu.advance(&mut track, 0.5).unwrap();
    let read = |panel: &GpuPanel| gpu.read_panel::<f32>(panel).unwrap();
    assert_eq!(
        read(&track.state),
        ndarray::arr2(&[[START as f32, START as f32, START as f32, 1.0], [0.0, 0.0, 0.0, 3.0]])
    );
    assert_eq!(read(&track.previous), ndarray::arr2(&[[4.0, 4.0, 4.0, 6.0]]));
    assert_eq!(read(&track.safe), ndarray::arr2(&[[1.0, 1.0, 1.0, 5.0]]));
    let trial = read(&track.trial);
    assert!(trial.iter().zip([2.0, 2.0, 2.0, 6.0 * 1.5f32.sqrt()]).all(|(a, b)| (a - b).abs() < 1e-5), "{trial}");
}

#[test]
fn tracks_that_do_not_fit_are_refused() {
    let Some(gpu) = gpu() else { return };
    let (v, w, h) = (numbers(1, 5, 9), numbers(2, 5, 3), numbers(3, 3, 9));
    let (v, w) = (gpu.panel(v.view()).unwrap(), gpu.matrix(w.view()).unwrap());
    let rule = Rule::of(Divergence::KullbackLeibler);
    let panel = |rows, columns| gpu.panel(numbers(4, rows, columns).view()).unwrap();
    let trial = gpu.panel(h.view()).unwrap();
    assert!(gpu.try_gains(&v, &w, &trial, &mut panel(3, 9), &mut panel(2, 9), &rule).is_err());
    assert!(gpu.try_gains(&v, &w, &trial, &mut panel(3, 8), &mut panel(1, 9), &rule).is_err());
    for changed in 0..6 {
        let size = |place, (rows, columns)| panel(rows, columns + usize::from(place == changed));
        let mut track = Track {
            trial: size(0, (3, 9)),
            next: size(1, (3, 9)),
            costs: size(2, (1, 9)),
            previous: size(3, (3, 9)),
            safe: size(4, (3, 9)),
            state: size(5, (2, 9)),
        };
        assert!(gpu.advance(&mut track, 0.5).is_err(), "{changed}");
    }
}

#[test]
fn every_member_of_the_rule_reaches_the_device() {
    let Some(gpu) = gpu() else { return };
    let (v, w, mut h) = (numbers(1, 19, 45), numbers(2, 19, 6), numbers(3, 6, 45));
    h.row_mut(2).fill(0.0);
    // Under IS, the padding columns of a tile have data above 0. Only the masks of the fields keep their gains out of
    // the sums.
    let (kl, is) = (Divergence::KullbackLeibler, Divergence::ItakuraSaito);
    for (divergence, exponent, sparsity, floor) in
        [(kl.clone(), 0.5, 0.0, 0.0), (kl.clone(), 0.7, 0.3, 1e-3), (kl, 1.0, 2.0, 0.2), (is, 1.0, 0.1, 0.2)]
    {
        let rule = Rule { divergence, exponent, sparsity, norm: Some(Norm::L2), floor };
        let wide = |values: &Array2<f32>| vec![values.mapv(f64::from)];
        let (wide_v, mut wide_w, mut wide_h) = (wide(&v), wide(&w), wide(&h));
        Reference.update_gains(&wide_v, &wide_w, &mut wide_h, &rule).unwrap();
        Reference.update_bases(&wide_v, &mut wide_w, &wide_h, &rule).unwrap();
        let (v, mut w, mut h) =
            (gpu.panel(v.view()).unwrap(), gpu.matrix(w.view()).unwrap(), gpu.panel(h.view()).unwrap());
        gpu.update_gains(&v, &w, &mut h, &rule).unwrap();
        gpu.update_bases(&v, &mut w, &h, &rule).unwrap();
        let near = |a: Array2<f64>, b: &Array2<f64>| {
            let largest = b.iter().copied().fold(0.0, f64::max);
            assert!((a - b).iter().all(|error| error.abs() <= 2e-5 * largest), "γ {exponent}, λ {sparsity}, {floor}");
        };
        near(gpu.read_panel(&h).unwrap(), &wide_h[0]);
        near(gpu.read_matrix(&w).unwrap(), &wide_w[0]);
    }
}

#[test]
fn large_bases_are_updated_in_several_passes() {
    let Some(gpu) = gpu() else { return };
    let (rows, components) = (2080, 4093);
    let (v, w, h) = (numbers(1, rows, 1), numbers(2, rows, components), numbers(3, components, 1));
    let (panel, gains) = (gpu.panel(v.view()).unwrap(), gpu.panel(h.view()).unwrap());
    let mut bases = gpu.matrix(w.view()).unwrap();
    let rule = Rule::of(Divergence::Euclidean);
    let (mut both_w, mut both_h) = (gpu.matrix(w.view()).unwrap(), gpu.panel(h.view()).unwrap());
    gpu.update_both(&panel, &mut both_w, &mut both_h, &rule).unwrap();
    let (mut expected_w, mut expected_h) = (vec![w.mapv(f64::from)], vec![h.mapv(f64::from)]);
    Reference.update_both(&vec![v.mapv(f64::from)], &mut expected_w, &mut expected_h, &rule).unwrap();
    let near = |got: Array2<f64>, expected: &Array2<f64>| {
        assert!(Zip::from(&got).and(expected).all(|got, expected| (got - expected).abs() <= 2e-5 * expected));
    };
    near(gpu.read_matrix(&both_w).unwrap(), &expected_w[0]);
    near(gpu.read_panel(&both_h).unwrap(), &expected_h[0]);
    gpu.update_bases(&panel, &mut bases, &gains, &rule).unwrap();
    let updated = gpu.read_matrix::<f64>(&bases).unwrap();
    // With one column, N / D is v / λ for all components.
    for row in 0..rows {
        let lambda: f64 = w.row(row).iter().zip(&h).map(|(&w, &h)| f64::from(w) * f64::from(h)).sum();
        let ratio = f64::from(v[(row, 0)]) / lambda;
        for (component, &w) in w.row(row).iter().enumerate() {
            let expected = f64::from(w) * ratio;
            assert!(
                (updated[(row, component)] - expected).abs() <= 2e-5 * expected,
                "row {row}, component {component}"
            );
        }
    }
}

#[test]
fn a_grid_longer_than_a_dimension_reaches_every_cell() {
    let Some(gpu) = gpu() else { return };
    let (w, h) = (numbers(2, 1, 4096), numbers(3, 4096, 4096));
    let (mut bases, mut gains) = (gpu.matrix(w.view()).unwrap(), gpu.panel(h.view()).unwrap());
    gpu.normalize(&mut bases, Some(&mut gains), Norm::L1).unwrap();
    let scaled = gpu.read_panel::<f32>(&gains).unwrap();
    for ((scaled, h), w) in scaled.rows().into_iter().zip(h.rows()).zip(&w) {
        assert!(scaled.iter().zip(h).all(|(scaled, h)| (scaled - h * w).abs() <= 1e-6 * h * w));
    }
}

#[test]
fn each_dispatch_of_a_recording_keeps_its_own_uniform() {
    let Some(gpu) = gpu() else { return };
    let (v, w, h) = (numbers(1, 4, 6), numbers(2, 4, 2), numbers(3, 2, 6));
    let (v, w) = (gpu.panel(v.view()).unwrap(), gpu.matrix(w.view()).unwrap());
    let gains = |read_between: bool| {
        let mut h = gpu.panel(h.view()).unwrap();
        for iteration in 0..600 {
            let rule = Rule { sparsity: f64::from(iteration % 7) * 0.01, ..Rule::of(Divergence::Euclidean) };
            gpu.update_gains(&v, &w, &mut h, &rule).unwrap();
            if read_between && iteration % 50 == 0 {
                gpu.read_panel::<f32>(&h).unwrap();
            }
        }
        gpu.read_panel::<f32>(&h).unwrap()
    };
    assert_eq!(gains(false), gains(true));
}

#[test]
fn several_threads_may_use_one_gpu() {
    let Some(gpu) = gpu() else { return };
    let case = |seed: u32| {
        let (v, w, h) = (numbers(seed, 20, 40), numbers(seed + 3, 20, 3), numbers(seed + 6, 3, 40));
        everything(&gpu, v.view(), w.view(), h.view())
    };
    let alone: Vec<Vec<f32>> = (0..3).map(case).collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|seed| scope.spawn(move || (0..5).map(|_| case(seed)).collect())).collect();
        for (thread, alone) in threads.into_iter().zip(&alone) {
            let results: Vec<Vec<f32>> = thread.join().unwrap();
            assert!(results.iter().all(|result| result == alone));
        }
    });
}

#[test]
fn the_device_clock_counts_every_pass_but_no_waiting() {
    let Some(gpu) = gpu() else { return };
    let (v, w, h) = (numbers(1, 64, 640), numbers(2, 64, 32), numbers(3, 32, 640));
    let (v, w, mut h) = (gpu.panel(v.view()).unwrap(), gpu.matrix(w.view()).unwrap(), gpu.panel(h.view()).unwrap());
    // Reading back ends a pass.
    let mut passes = |count: usize| {
        gpu.timed(|| {
            (0..count).try_for_each(|_| {
                gpu.update_gains(&v, &w, &mut h, &Rule::of(Divergence::ItakuraSaito))?;
                gpu.read_matrix::<f32>(&w).map(drop)
            })
        })
    };
    let mut shortest = |count| Timing::shortest(Duration::ZERO, Duration::ZERO, |_| passes(count)).unwrap();
    // Many more passes, because one can take twice as long as another on a busy machine.
    let (none, one, many) = (shortest(0), shortest(1), shortest(16));
    assert_eq!(none.device, None);
    let (Some(one_on_device), Some(many_on_device)) = (one.device, many.device) else {
        assert_eq!(one.device, many.device, "either all runs have a device time or none");
        return;
    };
    assert!(one_on_device > 0.0 && one_on_device <= one.wall && many_on_device <= many.wall, "{one:?}, {many:?}");
    assert!(many_on_device > 2.0 * one_on_device, "{one:?}, {many:?}");
    // The clock has stopped: the next timing does not include this work.
    gpu.update_gains(&v, &w, &mut gpu.panel(numbers(3, 32, 640).view()).unwrap(), &Rule::of(Divergence::Euclidean))
        .unwrap();
    assert_eq!(shortest(0).device, None);
}
