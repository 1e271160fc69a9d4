//! Tests of early stopping on every engine: a segment gets the same bits as alone, whatever else is in the panel.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeSet;
use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};
use partwise::divergence::Divergence;
use partwise::engine::{Cpu, Engine, Reference};
use partwise::kernels::momentum::START;
use partwise::kernels::{Mask, Momentum, Products, Rule, Track};
use partwise::methods::nmf::LOOK;
use partwise::methods::nmf::{self, Until, Updates};
use partwise::model::{Model, Parts, Source, Summary};
use partwise::options::MaskChoice;
use partwise::separate::{Plan, Separator};
use partwise::spectrogram::{BandMap, Pad, Shape, Spectrum, StftParams};
use partwise::{AnyEngine, Separation};

const BINS: usize = 11;
const COMPONENTS: usize = 4;
/// With this tolerance some of [`segments`] stop early, and some do not within 38 updates.
const TOLERANCE: f64 = 3e-4;
const WAYS: [Updates; 2] = [Updates::Alternating, Updates::Extrapolated];
const DIVERGENCES: [Divergence; 4] =
    [Divergence::Euclidean, Divergence::KullbackLeibler, Divergence::ItakuraSaito, Divergence::Beta(0.5)];

/// Numbers between 0.05 and 1.05 that depend on the seed.
fn numbers(seed: u32, rows: usize, columns: usize) -> Array2<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761);
    Array2::from_shape_simple_fn((rows, columns), || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        0.05 + (state >> 8) as f32 / (1 << 24) as f32
    })
}

fn bases() -> Array2<f32> {
    numbers(1, BINS, COMPONENTS).mapv(|w| w * w * w)
}

/// Segments that need few updates and many: data that the flat start already fits, noise, data that the bases fit
/// exactly, silence.
fn segments() -> Vec<Array2<f32>> {
    let flat = |columns: usize| bases().dot(&Array2::from_elem((COMPONENTS, columns), 0.3));
    let exact = |columns: usize| bases().dot(&numbers(7, COMPONENTS, columns).mapv(|h| h * h * h * h));
    let silence = Array2::zeros((BINS, 20));
    vec![
        numbers(2, BINS, 30),
        flat(25),
        exact(1),
        silence,
        numbers(4, BINS, 1),
        exact(50),
        flat(1),
        numbers(5, BINS, 7),
    ]
}

fn joined(segments: &[Array2<f32>]) -> Array2<f32> {
    concatenate(Axis(1), &segments.iter().map(|segment| segment.view()).collect::<Vec<_>>()).unwrap()
}

fn widths(segments: &[Array2<f32>]) -> Vec<usize> {
    segments.iter().map(Array2::ncols).collect()
}

/// The bits of gains, column by column.
fn bits(gains: ArrayView2<f64>) -> Vec<u64> {
    gains.t().iter().map(|gain| gain.to_bits()).collect()
}

/// Every segment's gains as bits, and its number of updates.
fn found<E: Products + Momentum>(
    engine: &E,
    segments: &[Array2<f32>],
    divergence: Divergence,
    updates: Updates,
    (iterations, tolerance): (usize, f64),
) -> Vec<(Vec<u64>, usize)> {
    let (data, widths) = (joined(segments), widths(segments));
    let (v, w) = (engine.panel(data.view()).unwrap(), engine.matrix(bases().view()).unwrap());
    let h = engine.panel(nmf::flat_gains(data.view(), bases().view()).view()).unwrap();
    let until = Until { iterations, tolerance, segments: &widths };
    let (h, counts) = nmf::update_gains(engine, &v, &w, h, &Rule::of(divergence), updates, &until).unwrap();
    let gains = engine.read_panel::<f64>(&h).unwrap();
    let mut first = 0;
    let of_segment = |(columns, count)| {
        first += columns;
        (bits(gains.slice(s![.., first - columns..first])), count)
    };
    assert_eq!(counts.len(), segments.len());
    widths.into_iter().zip(counts).map(of_segment).collect()
}

/// Gains after `count` updates, computed by the kernels alone.
fn plain<E: Products + Momentum>(engine: &E, divergence: Divergence, updates: Updates, count: usize) -> Vec<u64> {
    let data = joined(&segments());
    let (v, w) = (engine.panel(data.view()).unwrap(), engine.matrix(bases().view()).unwrap());
    let mut h = engine.panel(nmf::flat_gains(data.view(), bases().view()).view()).unwrap();
    let mut rule = Rule::of(divergence.clone());
    if updates == Updates::Alternating || count == 0 {
        (0..count).for_each(|_| engine.update_gains(&v, &w, &mut h, &rule).unwrap());
        return bits(engine.read_panel(&h).unwrap().view());
    }
    let copy = || engine.lead_gains(&h, &h, 0.0).unwrap();
    let row = |value: f64| Array2::from_elem((1, data.ncols()), value);
    let state = concatenate(Axis(0), &[row(START).view(), row(0.0).view()]).unwrap();
    let (costs, state) = (engine.panel(row(0.0).view()).unwrap(), engine.panel(state.view()).unwrap());
    let mut track = Track { trial: copy(), next: copy(), costs, previous: copy(), safe: copy(), state };
    rule.exponent *= 1.25;
    let majorizing = (divergence.majorizing_exponent() / rule.exponent).min(1.0);
    for _ in 0..count {
        engine.try_gains(&v, &w, &track.trial, &mut track.next, &mut track.costs, &rule).unwrap();
        engine.advance(&mut track, majorizing).unwrap();
    }
    let led = engine.lead_gains(&track.previous, &track.safe, majorizing - 1.0).unwrap();
    bits(engine.read_panel(&led).unwrap().view())
}

fn assert_as_without<E: Products + Momentum>(engine: &E) {
    for updates in WAYS {
        for divergence in DIVERGENCES {
            for count in [0, 1, 12] {
                let (gains, counts): (Vec<_>, Vec<_>) =
                    found(engine, &segments(), divergence.clone(), updates, (count, 0.0)).into_iter().unzip();
                assert!(counts.iter().all(|&of_segment| of_segment == count));
                assert!(
                    gains.concat() == plain(engine, divergence.clone(), updates, count),
                    "{divergence}, {updates}: {count}"
                );
            }
        }
    }
}

/// The test needs segments that stop at different times.
fn assert_differ(counts: impl Iterator<Item = usize>) {
    let different: BTreeSet<usize> = counts.collect();
    assert!(different.len() > 2, "all stopped after {different:?} updates");
}

fn assert_alone<E: Products + Momentum>(engine: &E) {
    let (batch, most) = (segments(), 38);
    for updates in WAYS {
        for divergence in DIVERGENCES {
            let run = |batch: &[Array2<f32>], most, tolerance| {
                found(engine, batch, divergence.clone(), updates, (most, tolerance))
            };
            let together = run(&batch, most, TOLERANCE);
            let alone: Vec<_> = batch.chunks(1).flat_map(|one| run(one, most, TOLERANCE)).collect();
            assert!(together == alone, "{divergence}, {updates}");
            let mut backwards = run(&batch.iter().rev().cloned().collect::<Vec<_>>(), most, TOLERANCE);
            backwards.reverse();
            assert!(backwards == alone, "{divergence}, {updates}");
            // A stopped segment has the gains of exactly so many updates.
            for (segment, (gains, count)) in batch.chunks(1).zip(&alone) {
                assert!(*count == most || count % LOOK == 1);
                assert!(run(segment, *count, 0.0)[0].0 == *gains, "{divergence}, {updates}: {count} updates");
            }
            assert_differ(alone.iter().map(|(_, count)| *count));
        }
    }
}

fn assert_promise<E: Products + Momentum>(engine: &E) {
    let divergence = Divergence::KullbackLeibler;
    let data = numbers(2, BINS, 30);
    let (v, w) = (engine.panel(data.view()).unwrap(), engine.matrix(bases().view()).unwrap());
    let cost = |count: usize| -> f64 {
        let h = engine.panel(nmf::flat_gains(data.view(), bases().view()).view()).unwrap();
        let until = Until { iterations: count, tolerance: 0.0, segments: &[30] };
        let rule = Rule::of(divergence.clone());
        let (h, _) = nmf::update_gains(engine, &v, &w, h, &rule, Updates::Alternating, &until).unwrap();
        engine.costs(&v, &w, &h, &divergence).unwrap().iter().sum()
    };
    let mut last = usize::MAX;
    for tolerance in [1e-4, 1e-3, 1e-2, 1e-1] {
        let count =
            found(engine, std::slice::from_ref(&data), divergence.clone(), Updates::Alternating, (200, tolerance))[0].1;
        assert!(count > LOOK && count < 200 && count < last, "{tolerance:e}: {count} updates, {last} before");
        last = count;
        // Rounding of f32 sums of some hundred numbers.
        let rounding = 1e-5 * cost(0);
        let fell = |looks: usize| cost(count - 1 - (looks + 1) * LOOK) - cost(count - 1 - looks * LOOK);
        assert!(fell(0) <= tolerance * cost(0) + rounding, "{tolerance:e}: stopped while it fell by {}", fell(0));
        if count > 2 * LOOK {
            assert!(fell(1) >= tolerance * cost(0) - rounding, "{tolerance:e}: went on after {}", fell(1));
        }
        for updates in WAYS {
            let counts = |tolerance| found(engine, &segments(), divergence.clone(), updates, (60, tolerance));
            let both = counts(tolerance).into_iter().zip(counts(tolerance / 10.0));
            both.for_each(|((_, larger), (_, smaller))| assert!(larger <= smaller, "{updates}"));
        }
    }
}

fn assert_silence_and_nonsense<E: Products + Momentum>(engine: &E) {
    let mut nonsense = numbers(3, BINS, 6);
    nonsense[(2, 4)] = f32::NAN;
    for updates in WAYS {
        for divergence in DIVERGENCES {
            let run = |batch: &[Array2<f32>]| found(engine, batch, divergence.clone(), updates, (100, 1e-9));
            let silence = run(&[Array2::zeros((BINS, 3))]);
            assert_eq!(silence, [(vec![0; 3 * COMPONENTS], LOOK + 1)], "{divergence}, {updates}");
            let together = run(&[numbers(2, BINS, 5), nonsense.clone(), numbers(4, BINS, 5)]);
            assert!(together[1].1 <= LOOK + 1, "{divergence}, {updates}: {} updates of nonsense", together[1].1);
            assert!(together[0] == run(&[numbers(2, BINS, 5)])[0] && together[2] == run(&[numbers(4, BINS, 5)])[0]);
            assert!(together[0].1 > LOOK + 1 && together[2].1 > LOOK + 1);
        }
    }
}

/// A model of two sources with these bases.
fn model(bases: &Array2<f32>) -> Model {
    let part = |columns| bases.slice(s![.., columns]).to_owned();
    let source = |name: &str, columns| Source { name: name.into(), bases: part(columns) };
    let (window, fft) = (2 * (BINS - 1), 2 * (BINS - 1));
    Model {
        divergence: Divergence::KullbackLeibler,
        sample_rate: 8000,
        stft: StftParams { window, hop: 5, fft, shape: Shape::SqrtHann, pad: Pad::Full },
        spectrum: Spectrum::Magnitude,
        bands: BandMap::Linear,
        pre_emphasis: 0.0,
        sources: vec![source("one", 0..2), source("other", 2..4)],
        parts: Parts::Nmf,
        normalize: None,
        options: None,
        training: Summary { seed: 0, engine: String::new(), version: String::new(), sources: Vec::new() },
    }
}

fn assert_cut<E: Engine + Into<AnyEngine>>(engine: E) {
    let (batch, model) = (segments(), model(&bases()));
    let separation = Separation {
        updates: Some(Updates::Extrapolated),
        iterations: Some(38),
        tolerance: TOLERANCE,
        mask: MaskChoice::Given(Mask::Ratio(2.0)),
        ..Separation::default()
    };
    let plan = Plan::new(Some(&model), &separation, &mut |_| Ok(())).unwrap();
    let (data, columns) = (joined(&batch), widths(&batch));
    let name = engine.describe();
    let separator: Box<dyn Separator> = plan.on(engine.into());
    assert_eq!(separator.describe(), name);
    let whole = separator.separate(data.t(), &columns).unwrap();
    assert_differ(whole.iterations.iter().copied());
    for border in 1..columns.len() {
        let middle: usize = columns[..border].iter().sum();
        let (first, second) = data.view().split_at(Axis(1), middle);
        let parts = [(first, &columns[..border]), (second, &columns[border..])]
            .map(|(data, columns)| separator.separate(data.t(), columns).unwrap());
        assert_eq!(whole.iterations, [&parts[0].iterations[..], &parts[1].iterations].concat());
        assert_eq!(whole.costs, [&parts[0].costs[..], &parts[1].costs].concat());
        for (source, mask) in whole.masks.iter().enumerate() {
            let parts = [parts[0].masks[source].view(), parts[1].masks[source].view()];
            assert!(*mask == concatenate(Axis(1), &parts).unwrap());
        }
    }
    // Fewer bins use bases of their own. Shapes that do not fit are refused.
    let low = separator.separate(data.slice(s![..BINS - 3, ..]).t(), &columns).unwrap();
    assert_eq!(low.masks[0].dim(), (BINS - 3, data.ncols()));
    assert_eq!(separator.separate(data.t(), &columns).unwrap().costs, whole.costs);
    assert!(separator.separate(data.t(), &columns[1..]).is_err());
    assert!(separator.separate(data.view(), &[BINS]).is_err());
}

fn assert_nonsense_is_told<E: Into<AnyEngine>>(engine: E) {
    let (model, mut data, engine) = (model(&bases()), numbers(2, BINS, 5), engine.into());
    data[(4, 3)] = f32::NAN;
    for updates in WAYS {
        let separation = Separation {
            updates: Some(updates),
            iterations: Some(100),
            tolerance: TOLERANCE,
            mask: MaskChoice::Given(Mask::Hard),
            ..Separation::default()
        };
        let plan = Plan::new(Some(&model), &separation, &mut |_| Ok(())).unwrap();
        let found = plan.on_borrowed(&engine).separate(data.t(), &[2, 3]).unwrap();
        let finite: Vec<bool> = found.costs.iter().map(|cost| cost.is_finite()).collect();
        assert_eq!(finite, [true, true, true, false, true], "{updates}");
    }
}

fn assert_selected<E: Engine>(engine: &E) {
    let (first, second) = (numbers(2, 5, 70), numbers(3, 5, 40));
    let panel = engine.packed(&[first.view(), second.view()]).unwrap();
    let selected = engine.select(&panel, &[109..110, 0..2, 30..90, 7..7, 1..3]).unwrap();
    assert_eq!(engine.segments(&selected), (5, vec![65]));
    let all = joined(&[first, second]);
    let expected = all.select(Axis(1), &[vec![109, 0, 1], (30..90).collect(), vec![1, 2]].concat());
    assert_eq!(engine.read_panel::<f32>(&selected).unwrap(), expected);
    let reversed = Range { start: 2, end: 1 };
    for refused in [[0..1, 109..111], [0..1, reversed], [3..3, 5..5]] {
        assert!(engine.select(&panel, &refused).is_err(), "{refused:?}");
    }
    assert!(engine.select(&panel, &[]).is_err());
}

/// Defines each test for every engine.
macro_rules! on_every_engine {
    ($($name:ident: $assert:ident $(($borrow:tt))?;)*) => {
        mod reference {
            $(#[test]
            fn $name() {
                super::$assert($($borrow)? super::Reference);
            })*
        }
        mod cpu {
            $(#[test]
            fn $name() {
                super::$assert($($borrow)? super::Cpu::new(Some(2)).unwrap());
            })*
        }
        mod gpu {
            $(#[test]
            fn $name() {
                if let Some(gpu) = super::common::gpu() {
                    super::$assert($($borrow)? gpu);
                }
            })*
        }
    };
}

on_every_engine! {
    a_zero_tolerance_changes_nothing: assert_as_without (&);
    a_segment_gets_the_same_bits_alone_and_in_a_batch: assert_alone (&);
    a_segment_stops_as_the_tolerance_says: assert_promise (&);
    silent_and_nan_segments_stop: assert_silence_and_nonsense (&);
    a_panel_may_be_cut_between_segments: assert_cut;
    nan_data_give_non_finite_costs: assert_nonsense_is_told;
    selected_columns_keep_their_bits: assert_selected (&);
}

#[test]
fn segments_that_do_not_fit_are_refused() {
    let (data, rule) = (numbers(2, BINS, 6), Rule::of(Divergence::KullbackLeibler));
    let w = Reference.matrix(bases().view()).unwrap();
    let run = |v: &Vec<Array2<f64>>, updates, tolerance, segments: &[usize]| {
        let h = Reference.panel_like(v, nmf::flat_gains(data.view(), bases().view()).view()).unwrap();
        nmf::update_gains(&Reference, v, &w, h, &rule, updates, &Until { iterations: 9, tolerance, segments })
    };
    let one = Reference.panel(data.view()).unwrap();
    let packed = Reference.packed(&[data.slice(s![.., ..2]), data.slice(s![.., 2..])]).unwrap();
    assert!(run(&one, Updates::Alternating, 1e-3, &[2, 4]).is_ok());
    assert!(run(&packed, Updates::Alternating, 0.0, &[2, 4]).is_ok());
    assert!(run(&one, Updates::Alternating, 1e-3, &[2, 3]).is_err());
    assert!(run(&packed, Updates::Alternating, 1e-3, &[2, 4]).is_err());
    assert!(run(&one, Updates::Joint, 0.0, &[2, 4]).is_err());
    let (_, counts) = run(&one, Updates::Extrapolated, 1e-3, &[2, 0, 4]).unwrap();
    assert_eq!(counts.len(), 3);
}
