//! From panels of data to masks: the trait behind which a job needs not know its method.

use std::ops::{Deref, Range};

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};

use crate::Result;
use crate::divergence::Divergence;
use crate::engine::cut;

/// Frames of a channel that are judged together, counted from the first frame of a recording. Early stopping and the weights of
/// priors are decided for each stretch, so that they do not depend on where panels are cut.
pub const STRETCH: usize = 128;

/// The lengths of the stretches of `frames` consecutive frames, the first of which begins a stretch; all are `stretch` frames
/// long but the last.
pub fn stretches(frames: usize, stretch: usize) -> impl Iterator<Item = usize> {
    (0..frames).step_by(stretch).map(move |start| stretch.min(frames - start))
}

/// The masks of a panel, and how well the model explains it.
pub struct Separated {
    /// A mask (F, N) for every source, stored frame by frame.
    pub masks: Vec<Array2<f32>>,
    /// The objective of every column (N) after the last update.
    pub costs: Vec<f64>,
    /// The updates that each segment took.
    pub iterations: Vec<usize>,
    /// What the masks were formed of, one for each set of bases; empty unless they were asked for.
    pub factors: Vec<Factors>,
}

/// Bases and the gains of a panel's segments, as masks are formed of them: the model of a segment is
/// Λ_n = Σ_τ Σ_φ (W^τ, φ rows down) H^φ_{n−τ}, and that of a source has its own components alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Factors {
    /// W^0 … W^{T−1} one below the other (TF, K), on the rows of the data: one matrix for all segments, or one for each.
    pub bases: Vec<Array2<f32>>,
    /// H^0 … H^{Φ−1} one below the other (ΦK, columns) of each segment. Column n belongs to bases that begin at frame n · stride.
    pub gains: Vec<Array2<f32>>,
    /// Which components are whose.
    pub components: Vec<Range<usize>>,
    /// T, the frames that a basis spans.
    pub context: usize,
    /// The frames from one column of gains to the next. It divides T.
    pub stride: usize,
    /// Φ, the rows by which a basis moves, and one.
    pub pitches: usize,
}

impl Factors {
    /// Those of bases (F, K) of one frame that do not move, with the gains (K, N) of all segments side by side.
    pub(crate) fn plain(
        bases: Array2<f32>,
        gains: &Array2<f32>,
        components: &[Range<usize>],
        segments: &[usize],
    ) -> Self {
        let gains = cut(gains.view(), segments).into_iter().map(|gains| gains.to_owned()).collect();
        Self { bases: vec![bases], gains, components: components.to_vec(), context: 1, stride: 1, pitches: 1 }
    }
}

/// What a caller hears while a panel is separated, and what it gets beside masks.
#[derive(Default)]
pub struct Request<'a> {
    /// Hears what share of the work is done, from 0 to 1. Its error ends the work.
    pub watch: Option<&'a mut Watch<'a>>,
    /// Whether [`Separated::factors`] are read back from the engine. This takes time, and changes no bit of the masks.
    pub factors: bool,
}

/// Hears what share of the work is done.
pub(crate) type Watch<'a> = dyn FnMut(f64) -> Result<()> + Send + 'a;

impl Request<'_> {
    /// Tells the caller what share of the work is done.
    ///
    /// # Errors
    /// The caller's, which end the work.
    pub fn done(&mut self, share: f64) -> Result<()> {
        self.watch.as_mut().map_or(Ok(()), |watch| watch(share))
    }
}

/// Turns panels of data into masks, on an engine of whatever kind.
pub trait Separator: Send + Sync {
    /// Which engine, as [`crate::engine::Engine::describe`].
    fn describe(&self) -> String;

    /// Separates `data` (N, F), frame by frame: its segments one after the other, `segments` the columns of each.
    ///
    /// # Errors
    /// [`crate::Error::Input`] where shapes do not fit, those of the engine, and those of the request.
    fn separate_as(&self, data: ArrayView2<f32>, segments: &[usize], request: &mut Request) -> Result<Separated>;

    /// The same, for masks alone and with nobody who listens.
    ///
    /// # Errors
    /// As there.
    fn separate(&self, data: ArrayView2<f32>, segments: &[usize]) -> Result<Separated> {
        self.separate_as(data, segments, &mut Request::default())
    }

    /// Whether a segment gives the same result alone and beside others, so that a panel may be separated in parts.
    fn by_segment(&self) -> bool;
}

/// An engine that a separator owns or borrows.
pub(crate) enum Held<'a, E> {
    /// It is the separator's own.
    Owned(E),
    /// It is somebody else's.
    Borrowed(&'a E),
}

impl<E> Deref for Held<'_, E> {
    type Target = E;

    fn deref(&self) -> &E {
        match self {
            Self::Owned(engine) => engine,
            Self::Borrowed(engine) => engine,
        }
    }
}

/// The bases of all sources of a trained model, and what they explain.
#[derive(Debug, Clone)]
pub(crate) struct TrainedBases {
    /// W (F, ΣK), the sources side by side.
    pub(crate) bases: Array2<f32>,
    /// Which components are whose.
    pub(crate) sources: Vec<Range<usize>>,
    /// What gains are found under.
    pub(crate) divergence: Divergence,
    /// The exponent that turns data into powers.
    pub(crate) power_exponent: f64,
}

impl TrainedBases {
    /// The same bases in the lowest `bins` bins. A recording whose sample rate is below the model's has no others: above its
    /// Nyquist frequency there is nothing to explain.
    #[must_use]
    pub(crate) fn lowest(self, bins: usize) -> Self {
        let bases = self.bases.slice(s![..bins.min(self.bases.nrows()), ..]).to_owned();
        Self { bases, ..self }
    }
}

/// The bases of a model on an engine, with all that its method finds gains by.
pub(crate) trait OnEngine<E>: Send + Sync {
    /// Finds the gains of every column of `data` (F, N), and the share of every source in every cell. `segments`: the columns of
    /// each segment, N in all. `factors`: whether [`Separated::factors`] are read back.
    ///
    /// A segment's result depends on that segment alone, to the bit: not on the others, nor on its place among them.
    ///
    /// # Errors
    /// [`crate::Error::Input`] where shapes do not fit, and those of the engine. A column whose numbers stopped being finite is no
    /// error here: its cost says so.
    fn separate(&self, engine: &E, data: ArrayView2<f32>, segments: &[usize], factors: bool) -> Result<Separated>;
}

/// Bases (F, K) of every source side by side (F, ΣK), and which columns are whose.
pub(crate) fn side_by_side(bases: &[ArrayView2<f32>]) -> (Array2<f32>, Vec<Range<usize>>) {
    let mut ranges: Vec<Range<usize>> = Vec::with_capacity(bases.len());
    for bases in bases {
        let start = ranges.last().map_or(0, |range| range.end);
        ranges.push(start..start + bases.ncols());
    }
    let bins = bases.first().map_or(0, ArrayView2::nrows);
    (concatenate(Axis(1), bases).unwrap_or_else(|_| Array2::zeros((bins, 0))), ranges)
}
