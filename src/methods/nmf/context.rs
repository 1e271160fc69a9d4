//! Stacks of consecutive frames: bases that span several frames see how a sound goes on.
//!
//! With a context of T frames, column n of the stacked data (TF, N + T − 1) holds frames n − T + 1 to n of a segment, the oldest
//! in the first F rows; frames before its first and after its last are 0. So each frame is in T columns, and plain NMF of the
//! stacked data finds gains for bases (TF, K). What a source says of frame n is the sum over its T columns:
//! Λ_n = Σ_τ W^τ H_{n+T−1−τ}, where W^τ (F, K) are rows τF.. of its bases: the product of shifted factors of
//! [`crate::kernels::Shifts`], with one pitch.
//!
//! Neighbouring stacks say almost the same, so there may be one every s frames only: s frames then count as one of sF rows, and
//! all else stays as it is. Stacks of 9 frames every 3 cost a third, and separate as well.
//!
//! The stacked data are copied to the engine as any panel is. They take T times the memory of the data, which is less than that
//! of the gains: 9 frames of 100 bands are 900 numbers a column, beside 6 · 2,000 of the gains. To read the data at lags
//! instead would save 1 % of the time under that many bases: an update multiplies each number by 4K others.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};

use crate::spectrogram::Bands;
use crate::{Error, Result};

/// Data (F, N) with zeros between its segments, so that stacks of frames are a view of it.
pub(crate) struct Stacked {
    /// Frame by frame, F numbers each: T − s zeros before each segment and after the last, and zeros behind each that make it
    /// whole groups of s frames.
    frames: Array2<f32>,
    context: usize,
    stride: usize,
    /// The frames of every segment.
    segments: Vec<usize>,
    /// The stacks of every segment.
    stacks: Vec<usize>,
}

impl Stacked {
    /// Stacks data (F, N) of these segments: T frames each, one every `stride` frames, which divides T.
    ///
    /// # Errors
    /// [`Error::Input`] where the segments are not of the data's columns, or the stride does not divide the context.
    pub(crate) fn new(data: ArrayView2<f32>, segments: &[usize], (context, stride): (usize, usize)) -> Result<Self> {
        let (rows, columns) = data.dim();
        let divides = stride > 0 && context > 0 && context.is_multiple_of(stride);
        if !divides || segments.iter().sum::<usize>() != columns {
            return Err(Error::input(format!(
                "segments {segments:?} of {columns} columns, stacks of {context} frames every {stride}"
            )));
        }
        let margin = context - stride;
        let groups: Vec<usize> = segments.iter().map(|columns| columns.div_ceil(stride)).collect();
        let count = groups.iter().map(|groups| groups * stride + margin).sum::<usize>() + margin;
        let mut frames = Array2::zeros((count, rows));
        let (mut from, mut to) = (0, margin);
        for (&columns, &groups) in segments.iter().zip(&groups) {
            frames.slice_mut(s![to..to + columns, ..]).assign(&data.slice(s![.., from..from + columns]).t());
            from += columns;
            to += groups * stride + margin;
        }
        let stacks = groups.iter().map(|groups| groups + margin / stride).collect();
        Ok(Self { frames, context, stride, segments: segments.to_vec(), stacks })
    }

    /// The stacked data (TF, N'), frame by frame in memory; columns share their numbers.
    ///
    /// # Errors
    /// [`Error::Input`] if the view cannot be formed, which no data cause.
    pub(crate) fn view(&self) -> Result<ArrayView2<'_, f32>> {
        let (rows, stacks) = (self.frames.ncols(), self.stacks.iter().sum::<usize>());
        let numbers = self.frames.as_slice().unwrap_or_default();
        let strided = ndarray::ShapeBuilder::strides((stacks, self.context * rows), (self.stride * rows, 1));
        let view = ArrayView2::from_shape(strided, numbers).map_err(|cause| Error::input(cause.to_string()))?;
        Ok(view.reversed_axes())
    }

    /// The stacks of every segment.
    pub(crate) fn stacks(&self) -> &[usize] {
        &self.stacks
    }

    /// The frames' own columns (F, N) of a panel (sF, N') that has s frames for every stack: those of the last stack that a frame
    /// is in.
    pub(crate) fn frames_of(&self, panel: &Array2<f32>) -> Array2<f32> {
        let (rows, margin) = (panel.nrows() / self.stride, self.context / self.stride - 1);
        let mut frames = Array2::zeros((self.segments.iter().sum(), rows));
        let mut into = frames.rows_mut().into_iter();
        let mut first = 0;
        for (&columns, &stacks) in self.segments.iter().zip(&self.stacks) {
            let groups = panel.slice(s![.., first + margin..first + stacks]);
            let own = groups.axis_iter(Axis(1)).flat_map(|group| (0..self.stride).map(move |frame| (group, frame)));
            for ((group, frame), mut to) in own.take(columns).zip(into.by_ref()) {
                to.assign(&group.slice(s![frame * rows..(frame + 1) * rows]));
            }
            first += stacks;
        }
        frames.reversed_axes()
    }

    /// The columns of a panel of all stacks for those stacks that begin inside a segment, by segment: one for each group of s
    /// frames. Those that begin before it, of which a segment has only the end, are left out.
    pub(crate) fn that_begin_inside(&self, panel: &Array2<f32>) -> Vec<Array2<f32>> {
        let margin = self.context / self.stride - 1;
        let segments = crate::engine::cut(panel.view(), &self.stacks);
        segments.into_iter().map(|stacks| stacks.slice(s![.., margin..]).to_owned()).collect()
    }
}

/// W^0 … W^{T−1} (F, K) of bases (TF, K).
pub(crate) fn lags(bases: ArrayView2<'_, f32>, context: usize) -> Vec<ArrayView2<'_, f32>> {
    let rows = bases.nrows() / context.max(1);
    (0..context).map(|lag| bases.slice_move(s![lag * rows..(lag + 1) * rows, ..])).collect()
}

/// The lowest `bins` rows B of each of the T frames of all sources' bases (TF, K), side by side (TB, ΣK), and which columns are
/// whose.
pub(crate) fn lowest(bases: &[ArrayView2<f32>], context: usize, bins: usize) -> (Array2<f32>, Vec<Range<usize>>) {
    let rows = bases.first().map_or(0, ArrayView2::nrows) / context.max(1);
    let (bins, components) = (bins.min(rows), bases.iter().map(ArrayView2::ncols).sum());
    let mut joined = Array2::zeros((context * bins, components));
    let mut sources: Vec<Range<usize>> = Vec::with_capacity(bases.len());
    for bases in bases {
        let first = sources.last().map_or(0, |before| before.end);
        let own = first..first + bases.ncols();
        for (lag, frame) in lags(*bases, context).into_iter().enumerate() {
            let place = s![lag * bins..(lag + 1) * bins, own.clone()];
            joined.slice_mut(place).assign(&frame.slice(s![..bins, ..]));
        }
        sources.push(own);
    }
    (joined, sources)
}

/// Bases (TB, K) in bands from those in bins (TF, K), if there are bands.
pub(crate) fn grouped(bases: ArrayView2<f32>, context: usize, bands: Option<&Bands>) -> Result<Option<Array2<f32>>> {
    let Some(bands) = bands else { return Ok(None) };
    let frames = lags(bases, context).into_iter().map(|frame| bands.group_bases(frame));
    let frames = frames.collect::<Result<Vec<_>>>()?;
    let frames: Vec<_> = frames.iter().map(|frame| frame.view()).collect();
    concatenate(Axis(0), &frames).map(Some).map_err(|cause| Error::input(cause.to_string()))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn columns_hold_consecutive_frames_of_one_segment() {
        let data = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let stacked = Stacked::new(data.view(), &[2, 1], (2, 1)).unwrap();
        assert_eq!(stacked.stacks(), [3, 2]);
        let expected = array![
            [0.0, 1.0, 2.0, 0.0, 3.0],
            [0.0, 4.0, 5.0, 0.0, 6.0],
            [1.0, 2.0, 0.0, 3.0, 0.0],
            [4.0, 5.0, 0.0, 6.0, 0.0]
        ];
        assert_eq!(stacked.view().unwrap(), expected);
        let panel = array![[9.0, 1.0, 2.0, 9.0, 3.0]];
        assert_eq!(stacked.frames_of(&panel), array![[1.0, 2.0, 3.0]]);
        for (segments, stacks) in [(&[2][..], (2, 1)), (&[3], (0, 1)), (&[3], (3, 2)), (&[3], (2, 0))] {
            assert!(Stacked::new(data.view(), segments, stacks).is_err());
        }
        let alone = Stacked::new(data.view(), &[3], (1, 1)).unwrap();
        assert_eq!((alone.view().unwrap(), alone.stacks()), (data.view(), &[3][..]));
    }

    #[test]
    fn stacks_may_begin_every_few_frames() {
        let data = array![[1.0, 2.0, 3.0]];
        let stacked = Stacked::new(data.view(), &[3], (4, 2)).unwrap();
        assert_eq!(stacked.stacks(), [3]);
        let expected = array![[0.0, 1.0, 3.0], [0.0, 2.0, 0.0], [1.0, 3.0, 0.0], [2.0, 0.0, 0.0]];
        assert_eq!(stacked.view().unwrap(), expected);
        // Two frames for each stack.
        let panel = array![[9.0, 1.0, 3.0], [9.0, 2.0, 4.0]];
        assert_eq!(stacked.frames_of(&panel), array![[1.0, 2.0, 3.0]]);
    }

    #[test]
    fn bases_come_apart_into_frames() {
        let bases: Array2<f32> = array![[1.0], [2.0], [3.0], [4.0], [5.0], [6.0]];
        assert_eq!(lags(bases.view(), 2), [array![[1.0], [2.0], [3.0]], array![[4.0], [5.0], [6.0]]]);
        let other = &bases + 6.0;
        let (low, sources) = lowest(&[bases.view(), other.view()], 2, 2);
        assert_eq!(low, array![[1.0, 7.0], [2.0, 8.0], [4.0, 10.0], [5.0, 11.0]]);
        assert_eq!(sources, [0..1, 1..2]);
        assert_eq!(lowest(&[bases.view()], 2, 9).0, bases);
    }
}
