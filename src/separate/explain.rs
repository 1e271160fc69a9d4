//! What a separation found in a recording: the factors that its masks were formed of, and the masks.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};

use super::panels::{Panel, Panels};
use super::plan::Plan;
use super::whole::{Progress, watching};
use crate::audio::Recording;
use crate::kernels::Mask;
use crate::methods::separator::{Factors, Separator};
use crate::spectrogram::View;
use crate::{Error, Result};

/// How much is told of a separation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Factors and costs.
    Factors,
    /// Also what has a number for every cell of a spectrogram: data and masks.
    Cells,
}

/// What a separation found in a recording. N counts the frames of a channel.
#[derive(Debug, Clone)]
pub struct Explained {
    /// The names of all sources, J of them, wanted or not.
    pub sources: Vec<String>,
    /// The sample rate in Hz at which the recording was separated.
    pub sample_rate: u32,
    /// Samples from one frame to the next.
    pub hop: usize,
    /// The time in seconds of the middle of the first frame. It may lie before the first sample.
    pub start: f64,
    /// The middle in Hz of every row of the data and bases, F of them: of bins or bands.
    pub rows: Vec<f64>,
    /// The frequency in Hz of every bin of the spectrum.
    pub bins: Vec<f64>,
    /// How the models of the sources share a cell. None where they do not: denoising keeps √(Λ/V) of the magnitude.
    pub mask: Option<Mask>,
    /// What the masks were formed of, one for each set of bases. A committee has one for each member, and an average over orders
    /// one for each order. The segments are the channels of the recording. The model is of the data.
    ///
    /// A member that finds gains on bands has its bases in bins here, and discriminative training the bases of its masks. Of
    /// posteriors these are the harmonic means, which form the masks. Bases that span several frames reach back at most to where
    /// their stretch of the recording begins: a stretch is separated by itself, and what began before it is not among its gains.
    pub factors: Vec<Factors>,
    /// How badly the model explains each frame (C, N): the divergence of the data from it after the last update; by an average over
    /// orders, the negative log likelihood at the level at which they were factorized.
    pub costs: Array2<f64>,
    /// V (F, N) of each channel. Empty without [`Detail::Cells`].
    pub data: Vec<Array2<f32>>,
    /// The mask (bins, N) of each channel of each source, as it applies to the spectrum. Empty without [`Detail::Cells`].
    pub masks: Vec<Vec<Array2<f32>>>,
}

/// Separates a recording as [`whole`](super::whole) does, to the bit, and tells what was found instead of the stems. The memory is
/// that of all frames at once.
///
/// # Errors
/// As there.
pub fn explain(
    plan: &Plan,
    separator: &dyn Separator,
    recording: &Recording,
    detail: Detail,
    progress: &mut Progress,
) -> Result<Explained> {
    recording.check("recording")?;
    if recording.frames() == 0 {
        return Err(Error::audio("recording", "holds no audio: 0 samples"));
    }
    let (channels, count) = (recording.channels.len(), plan.scheme.sources.len());
    let mut panels = Panels::new(plan, separator, (channels, recording.sample_rate), false)?;
    panels.signal.push(&recording.channels)?;
    panels.signal.end()?;
    let view = Arc::clone(&panels.view);
    let mut costs = vec![Vec::new(); channels];
    let mut factors: Vec<Factors> = Vec::new();
    let mut gains: Vec<Vec<Parts>> = Vec::new();
    let (mut data, mut masks) = (vec![Parts::new(); channels], vec![vec![Parts::new(); channels]; count]);
    let take = |Panel { spectra, data: shown, found }: Panel| {
        let levels = spectra.levels(&view);
        let frames = spectra.channels.first().map_or(0, Array2::nrows);
        // Silence has no level.
        let of_stretch = |level: f32| if level > 0.0 { f64::from(level).powf(plan.cost_exponent()) } else { 1.0 };
        let stretches = spectra.segments().zip(levels.iter().cycle());
        let of_frames = stretches.flat_map(|(count, &level)| std::iter::repeat_n(of_stretch(level), count));
        for (frame, (cost, level)) in found.costs.iter().zip(of_frames).enumerate() {
            costs[frame / frames].push(cost * level);
        }
        if factors.is_empty() {
            gains = vec![vec![Parts::new(); channels]; found.factors.len()];
            factors = found.factors.iter().map(without_gains).collect();
        }
        for (gains, of_panel) in gains.iter_mut().zip(found.factors) {
            // A panel has all segments of a channel before those of the next.
            let each = of_panel.gains.len().div_ceil(channels).max(1);
            for (segment, part) in of_panel.gains.into_iter().enumerate() {
                gains[segment / each].push(part * levels[segment % each]);
            }
        }
        if detail == Detail::Factors {
            return Ok(true);
        }
        for (channel, of_data) in spectra.of_data().iter().enumerate() {
            let columns = channel * frames..(channel + 1) * frames;
            let mut own = shown.slice(s![columns.clone(), ..]).to_owned();
            let mut rest = own.view_mut();
            for (count, level) in spectra.segments().zip(&levels) {
                let (mut stretch, later) = rest.split_at(Axis(0), count);
                stretch *= *level;
                rest = later;
            }
            data[channel].push(own.reversed_axes());
            let levels = view.levels(of_data.view())?;
            for (parts, mask) in masks.iter_mut().zip(&found.masks) {
                let levels = levels.as_ref().map(|levels| levels.view());
                parts[channel].push(in_bins(&view, mask.slice(s![.., columns.clone()]), levels, 1.0 / count as f32)?);
            }
        }
        Ok(true)
    };
    let of = panels.frames(recording.frames())?.max(1) as f64;
    let mut watch = watching(progress, of);
    panels.advance(true, &mut watch, take)?;
    let params = view.stft.params();
    let middle = params.window as f64 / 2.0 - (params.window - params.hop) as f64;
    let of_bin = f64::from(view.sample_rate) / params.fft as f64;
    for (factors, gains) in factors.iter_mut().zip(gains) {
        factors.gains = joined(gains)?;
    }
    if detail == Detail::Factors {
        (data, masks) = (Vec::new(), Vec::new());
    }
    let frames = costs.first().map_or(0, Vec::len);
    Ok(Explained {
        sources: plan.scheme.sources.clone(),
        sample_rate: view.sample_rate,
        hop: params.hop,
        start: middle / f64::from(view.sample_rate),
        rows: view.frequencies(),
        bins: (0..view.stft.bins()).map(|bin| bin as f64 * of_bin).collect(),
        mask: plan.mask(),
        factors,
        costs: Array2::from_shape_fn((channels, frames), |(channel, frame)| costs[channel][frame]),
        data: joined(data)?,
        masks: masks.into_iter().map(joined).collect::<Result<_>>()?,
    })
}

/// The matrices of consecutive frames.
type Parts = Vec<Array2<f32>>;

/// The frames of every channel.
fn joined(channels: Vec<Parts>) -> Result<Vec<Array2<f32>>> {
    let join = |parts: Parts| {
        let parts: Vec<ArrayView2<f32>> = parts.iter().map(|part| part.view()).collect();
        concatenate(Axis(1), &parts).map_err(|cause| Error::input(format!("the parts of a recording: {cause}")))
    };
    channels.into_iter().map(join).collect()
}

fn without_gains(factors: &Factors) -> Factors {
    let &Factors { ref bases, ref components, context, stride, pitches, .. } = factors;
    Factors { bases: bases.clone(), gains: Vec::new(), components: components.clone(), context, stride, pitches }
}

/// A mask (F, N) of the data in all bins (bins, N). Those that no row stands for are shared equally.
fn in_bins(view: &View, mask: ArrayView2<f32>, levels: Option<ArrayView2<f32>>, share: f32) -> Result<Array2<f32>> {
    let spread = view.spread(mask.reversed_axes(), levels, share)?;
    let mut bins = Array2::from_elem((view.stft.bins(), spread.nrows()), share);
    bins.slice_mut(s![..spread.ncols(), ..]).assign(&spread.t());
    Ok(bins)
}
