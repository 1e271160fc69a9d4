//! Checks the mixtures in pairs.

use ndarray::{Array2, Axis, concatenate, s};

use super::cases::{Case, cut, error, segments};
use crate::Result;
use crate::engine::{Engine, Reference};
use crate::kernels::{Mixtures, Modulus, Pairing, Pairs, Spectra, all_pairs};

/// The utterances of three sources, by their places in a batch of three.
const SOURCES: [&[usize]; 3] = [&[0, 2], &[1], &[1, 0]];

/// Where mixtures come from.
#[derive(Clone, Copy)]
pub(super) enum From {
    /// Sums of data, in memory.
    Stored,
    /// Spectra.
    Formed(Modulus),
}

/// A panel of the utterances of a source.
fn panel<E: Engine>(engine: &E, source: &[usize], of: impl Fn(usize) -> Array2<f32>) -> Result<E::Panel> {
    let all: Vec<Array2<f32>> = source.iter().map(|&case| of(case)).collect();
    engine.packed(&all.iter().map(|segment| segment.view()).collect::<Vec<_>>())
}

/// The map from bins to half as many bands: triangles over three bins.
fn bands(bins: usize) -> Array2<f32> {
    let weight = |(band, bin): (usize, usize)| [0.5, 1.0, 0.5].get(bin.wrapping_sub(2 * band)).copied().unwrap_or(0.0);
    Array2::from_shape_fn((bins.div_ceil(2), bins), weight)
}

/// Spectra with the data as magnitudes, and phases without a pattern.
fn spectra<E: Engine>(engine: &E, cases: &[Case], modulus: Modulus) -> Result<Spectra<E>> {
    let parts = |case: usize| {
        let v = &cases[case].v;
        let phase = |(f, n): (usize, usize)| ((f * 31 + n * 17 + case * 7) as f32 * 12.9898).sin() * 3.0;
        let re = Array2::from_shape_fn(v.dim(), |at| v[at] * phase(at).cos());
        let im = Array2::from_shape_fn(v.dim(), |at| v[at] * phase(at).sin());
        concatenate(Axis(0), &[re.view(), im.view()]).unwrap_or_default()
    };
    let sources = SOURCES.iter().map(|source| panel(engine, source, parts)).collect::<Result<_>>()?;
    Spectra::new(engine, sources, Some(bands(cases[0].v.nrows()).view()), modulus)
}

/// The utterances and their models.
fn pairing<E: Pairs>(engine: &E, cases: &[Case], from: From) -> Result<(Pairing<E>, Vec<E::Panel>)> {
    let bins = cases[0].v.nrows();
    let (rows, mixtures) = match from {
        From::Formed(modulus) => (bins.div_ceil(2), Mixtures::Formed(spectra(engine, cases, modulus)?)),
        From::Stored => {
            let mut panels = Vec::new();
            for (first, second) in [(0, 1), (0, 2), (1, 2)] {
                let mut sums = Vec::new();
                for (&i, &j) in SOURCES[first].iter().flat_map(|i| SOURCES[second].iter().map(move |j| (i, j))) {
                    let frames = cases[i].v.ncols().min(cases[j].v.ncols());
                    sums.push(&cases[i].v.slice(s![.., ..frames]) + &cases[j].v.slice(s![.., ..frames]));
                }
                panels.push(engine.packed(&sums.iter().map(|sum| sum.view()).collect::<Vec<_>>())?);
            }
            (bins, Mixtures::Stored(panels))
        }
    };
    let data = |source: &&[usize]| panel(engine, source, |case| cases[case].v.slice(s![..rows, ..]).to_owned());
    let model = |source: &&[usize]| {
        let w = engine.matrix(cases[source[0]].w.slice(s![..rows, ..]))?;
        engine.model(&w, &panel(engine, source, |case| cases[case].h.clone())?)
    };
    let pairing = Pairing::new(engine, SOURCES.iter().map(data).collect::<Result<_>>()?, mixtures)?;
    Ok((pairing, SOURCES.iter().map(model).collect::<Result<_>>()?))
}

/// The largest error of an engine's results against those of the reference.
fn worst(got: Result<Vec<Array2<f64>>>, expected: Result<Vec<Array2<f64>>>) -> Result<f64> {
    let (got, expected) = (got?, expected?);
    let errors = got.iter().zip(&expected).map(|(got, expected)| error(got.view(), expected.view()));
    Ok(if got.len() == expected.len() { errors.fold(0.0, f64::max) } else { f64::INFINITY })
}

pub(super) fn model<E: Pairs>(engine: &E, cases: &[Case]) -> Result<f64> {
    worst(models_on(engine, cases), models_on(&Reference, cases))
}

fn models_on<E: Pairs>(engine: &E, cases: &[Case]) -> Result<Vec<Array2<f64>>> {
    let w: Vec<_> = cases.iter().map(|case| case.w.view()).collect();
    let h: Vec<_> = cases.iter().map(|case| case.h.view()).collect();
    segments(engine, &engine.model(&engine.stack(&w)?, &engine.packed(&h)?)?)
}

pub(super) fn shares<E: Pairs>(engine: &E, cases: &[Case], from: From) -> Result<f64> {
    worst(shares_on(engine, cases, from), shares_on(&Reference, cases, from))
}

fn shares_on<E: Pairs>(engine: &E, cases: &[Case], from: From) -> Result<Vec<Array2<f64>>> {
    let (pairing, models) = pairing(engine, cases, from)?;
    let shares = |source| segments(engine, &engine.shares(&pairing, &models, source)?);
    Ok((0..SOURCES.len()).map(shares).collect::<Result<Vec<_>>>()?.concat())
}

pub(super) fn pair_costs<E: Pairs>(engine: &E, cases: &[Case], from: From) -> Result<f64> {
    worst(costs_on(engine, cases, from), costs_on(&Reference, cases, from))
}

fn costs_on<E: Pairs>(engine: &E, cases: &[Case], from: From) -> Result<Vec<Array2<f64>>> {
    let (pairing, models) = pairing(engine, cases, from)?;
    let costs = |source: usize| {
        let costs = engine.pair_costs(&pairing, &models, source)?;
        let lengths = engine.segments(&pairing.data()[source]).1;
        let columns = lengths.iter().sum();
        let costs = Array2::from_shape_fn((1, columns), |(_, n)| costs.get(n).copied().unwrap_or(f64::NAN));
        Ok(cut(costs.view(), &lengths))
    };
    Ok((0..SOURCES.len()).map(costs).collect::<Result<Vec<_>>>()?.concat())
}

pub(super) fn mix<E: Pairs>(engine: &E, cases: &[Case], modulus: Modulus) -> Result<f64> {
    worst(mixed_on(engine, cases, modulus), mixed_on(&Reference, cases, modulus))
}

fn mixed_on<E: Pairs>(engine: &E, cases: &[Case], modulus: Modulus) -> Result<Vec<Array2<f64>>> {
    let spectra = spectra(engine, cases, modulus)?;
    // Some pairs twice, and in no order.
    let some = |(first, second): (usize, usize)| {
        let pairs = all_pairs(SOURCES[first].len(), SOURCES[second].len());
        [pairs.as_slice(), &pairs].concat().into_iter().rev().collect::<Vec<_>>()
    };
    let mixed =
        [(0, 1), (2, 0), (1, 2)].map(|sources| segments(engine, &engine.mix(&spectra, sources, &some(sources))?));
    Ok(mixed.into_iter().collect::<Result<Vec<_>>>()?.concat())
}
