//! Pictures of bases, gains, masks and costs.

use ndarray::{Array2, Array3, Axis as Direction, s};
use partwise::model::Model;
use partwise::report::Axis;
use partwise::report::pictures::{self, Matrix, Rows, by_centroid, mean_frames};
use partwise::separate::{Explained, Factors, Scheme};
use partwise::{Error, Result};

use super::heard::of_channel;
use super::what::{Drawn, What};

/// The bases of a model: a picture for each set that it has.
pub(in crate::cli) fn of_model(model: &Model) -> Result<Vec<Drawn>> {
    if model.sources.is_empty() {
        return Err(Error::input("has no bases: it was learned to denoise"));
    }
    let rows = Rows::at(&Scheme::of_model(model).view(model.sample_rate)?.frequencies());
    let first: Vec<&Array2<f32>> = model.sources.iter().map(|source| &source.bases).collect();
    let others = model.parts.other_sets();
    let others = others.iter().map(|(manner, bases)| (manner.context, bases.iter().collect()));
    let sets: Vec<(usize, Vec<&Array2<f32>>)> = std::iter::once((model.parts.context(), first)).chain(others).collect();
    let count = sets.len();
    let draw = |(index, (context, bases)): (usize, (usize, Vec<&Array2<f32>>))| {
        let part = |(name, bases): (&str, &Array2<f32>)| Matrix {
            title: name.into(),
            values: mean_frames(bases.view(), context),
        };
        let parts: Vec<Matrix> = model.names().into_iter().zip(bases).map(part).collect();
        let title = of_set("Bases", index, count);
        let exponent = model.spectrum.power_exponent();
        Ok(Drawn::new(What::Bases, pictures::bases(&title, &of_frames(context), &parts, &rows, exponent)?))
    };
    sets.into_iter().enumerate().map(draw).collect()
}

fn of_set(what: &str, index: usize, count: usize) -> String {
    if count > 1 { format!("{what}, set {} of {count}", index + 1) } else { what.into() }
}

fn of_frames(context: usize) -> String {
    match context {
        0 | 1 => String::new(),
        frames => format!("A basis spans {frames} frames; the mean of them is shown."),
    }
}

/// What a separation found: masks, then gains and bases of each set, and the cost of every frame. The data are powers at exponent
/// 1 and magnitudes at 2.
pub(in crate::cli) fn of_explained(found: &Explained, exponent: f64) -> Result<Vec<Drawn>> {
    let hop = found.hop as f64 / f64::from(found.sample_rate);
    // A column is a frame around its middle.
    let time = |frames: usize| {
        let begin = found.start - hop / 2.0;
        Axis::new("time in s", begin..begin + frames.max(1) as f64 * hop)
    };
    let frames = time(found.costs.ncols());
    let channels = found.costs.nrows();
    let mut drawn = Vec::new();
    let parts: Vec<Matrix> =
        found.sources.iter().zip(&found.masks).flat_map(|(source, masks)| of_channels(source, masks)).collect();
    if !parts.is_empty() {
        let note = "The share of each source in every cell of the spectrogram: what the recording's spectrum is multiplied with.";
        drawn.push(Drawn::new(What::Masks, pictures::masks("Masks", note, &parts, &Rows::at(&found.bins), &frames)?));
    }
    for (index, factors) in found.factors.iter().enumerate() {
        let title = |what: &str| of_set(what, index, found.factors.len());
        let columns = factors.gains.first().map_or(0, Array2::ncols) * factors.stride;
        drawn.push(gains(&title("Gains"), (factors, &found.sources), &time(columns), exponent)?);
        drawn.extend(bases(&title("Bases"), (factors, found), exponent)?);
    }
    let curve = |(channel, costs): (usize, ndarray::ArrayView1<f64>)| {
        let title = if channels > 1 { format!("channel {}", channel + 1) } else { String::new() };
        (title, costs.to_vec())
    };
    let curves: Vec<_> = found.costs.outer_iter().enumerate().map(curve).collect();
    let note = "How badly each frame is explained: the objective of its gains after their last update.";
    drawn.push(Drawn::new(What::Objective, pictures::costs("Costs of frames", note, &curves, &frames)?));
    Ok(drawn)
}

fn of_channels<'a>(name: &'a str, matrices: &'a [Array2<f32>]) -> impl Iterator<Item = Matrix> + 'a {
    matrices.iter().enumerate().map(move |(channel, values)| Matrix {
        title: of_channel(name, channel, matrices.len()),
        values: values.clone(),
    })
}

/// The bases (TF, K) of all components, of the first channel where each channel has its own, as the means of their frames.
fn means(factors: &Factors) -> Array2<f32> {
    factors.bases.first().map_or_else(|| Array2::zeros((0, 0)), |bases| mean_frames(bases.view(), factors.context))
}

fn gains(title: &str, (factors, names): (&Factors, &[String]), time: &Axis, exponent: f64) -> Result<Drawn> {
    let means = means(factors);
    let components = means.ncols();
    let mut parts = Vec::new();
    for (name, range) in names.iter().zip(&factors.components) {
        let order = by_centroid(means.slice(s![.., range.clone()]));
        // Row φK + k has component k, φ rows up. A component's rows stand side by side.
        let of_component = |k: usize| (0..factors.pitches).map(move |pitch| pitch * components + k);
        let rows: Vec<usize> = order.iter().flat_map(|&k| of_component(range.start + k)).collect();
        let sorted: Vec<Array2<f32>> = factors.gains.iter().map(|gains| gains.select(Direction(0), &rows)).collect();
        parts.extend(of_channels(name, &sorted));
    }
    let order = "The components of each source are in the order of its bases, from low to high.";
    let moving = match factors.pitches {
        0 | 1 => String::new(),
        pitches => format!(" Each takes {pitches} rows, one for each place to which it moves."),
    };
    Ok(Drawn::new(What::Gains, pictures::gains(title, &format!("{order}{moving}"), &parts, time, exponent)?))
}

/// The bases that the gains belong to. Those that move are shown as patterns over their frames.
fn bases(title: &str, (factors, found): (&Factors, &Explained), exponent: f64) -> Result<Vec<Drawn>> {
    let rows = Rows::at(&found.rows);
    let own = factors.bases.len();
    let mut drawn = Vec::new();
    for (channel, bases) in factors.bases.iter().enumerate() {
        let title = of_channel(title, channel, own);
        let picture = if factors.pitches > 1 {
            pictures::patterns(&title, by_lag(bases, factors.context).view(), &rows)?
        } else {
            let mean = mean_frames(bases.view(), factors.context);
            let part = |(name, range): (&String, &std::ops::Range<usize>)| Matrix {
                title: name.clone(),
                values: mean.slice(s![.., range.clone()]).to_owned(),
            };
            let parts: Vec<Matrix> = found.sources.iter().zip(&factors.components).map(part).collect();
            pictures::bases(&title, &of_frames(factors.context), &parts, &rows, exponent)?
        };
        drawn.push(Drawn::new(What::Bases, picture));
    }
    Ok(drawn)
}

/// Bases (TF, K) as (T, F, K).
fn by_lag(bases: &Array2<f32>, frames: usize) -> Array3<f32> {
    let rows = bases.nrows() / frames.max(1);
    Array3::from_shape_fn((frames, rows, bases.ncols()), |(t, f, k)| bases[(t * rows + f, k)])
}
