//! The short-time Fourier transform. Its streaming inverse is [`OverlapAdd`](super::OverlapAdd).

use std::{ops::Range, sync::Arc};

use ndarray::Array2;
use rayon::prelude::*;
use realfft::{ComplexToReal, FftNum, RealFftPlanner, RealToComplex, num_complex::Complex};
use serde::{Deserialize, Serialize};

use super::Shape;
use crate::{Error, Result};

/// If the overlap-added squared window is at most this, the inverse writes 0 instead of dividing by it.
pub(super) const LEAST_WEIGHT: f64 = 1e-10;

/// The least weight of a sample in the overlap-added squared window, relative to the largest. Masked frames are divided
/// by this weight. Below this limit, sources came out louder than the mixture: a Hann window of 512 samples with hop
/// 416 has 1.4e-2 and works, with hop 448 it has 2.9e-3 and does not.
const EVEN: f64 = 1e-2;

pub(super) const LARGEST_FFT: usize = 1 << 20;

/// A sample type: f32 on the engines, f64 in the reference.
pub trait Sample: FftNum + PartialOrd {
    /// Rounds to the nearest value of this type.
    fn rounded(value: f64) -> Self;

    /// Plans the transforms of `length` samples. They are planned for each type here, not where an [`Stft`] is made: a caller in
    /// another package would compile all of them anew.
    fn plan(length: usize) -> (Arc<dyn RealToComplex<Self>>, Arc<dyn ComplexToReal<Self>>);
}

impl Sample for f32 {
    fn rounded(value: f64) -> Self {
        value as Self
    }

    #[inline(never)]
    fn plan(length: usize) -> (Arc<dyn RealToComplex<Self>>, Arc<dyn ComplexToReal<Self>>) {
        plan(length)
    }
}

impl Sample for f64 {
    fn rounded(value: f64) -> Self {
        value
    }

    #[inline(never)]
    fn plan(length: usize) -> (Arc<dyn RealToComplex<Self>>, Arc<dyn ComplexToReal<Self>>) {
        plan(length)
    }
}

fn plan<T: FftNum>(length: usize) -> (Arc<dyn RealToComplex<T>>, Arc<dyn ComplexToReal<T>>) {
    let mut planner = RealFftPlanner::new();
    (planner.plan_fft_forward(length), planner.plan_fft_inverse(length))
}

/// The padding before and after the signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pad {
    /// `window - hop` zeros before the signal, and enough after it to complete the last frame. All frames that can
    /// cover a sample then do, so the inverse is exact.
    #[default]
    Full,
    /// No padding. Frames lie inside the signal, and samples that no frame covers come back as 0.
    None,
}

impl Pad {
    fn is_full(&self) -> bool {
        *self == Self::Full
    }
}

/// The geometry of a transform, in samples.
///
/// Frame t takes the padded samples t·hop .. t·hop + window and multiplies them by the window. It appends zeros up to
/// `fft` and is transformed without scaling. The `fft/2 + 1` bins of nonnegative frequency are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StftParams {
    /// Window length.
    pub window: usize,
    /// Step between frames, 1 to `window`. It need not divide the window.
    pub hop: usize,
    /// Transform length, `window` to 2^20. It may be odd.
    pub fft: usize,
    /// Window shape.
    pub shape: Shape,
    /// Padding. Files omit [`Pad::Full`], the default.
    #[serde(default, skip_serializing_if = "Pad::is_full")]
    pub pad: Pad,
}

impl StftParams {
    /// Checks the ranges. With [`Pad::Full`], also checks that every sample can be reconstructed from masked frames.
    ///
    /// # Errors
    /// [`Error::Input`] names the invalid parameter.
    pub fn check(&self) -> Result<()> {
        let &Self { window, hop, fft, shape, pad } = self;
        if hop < 1 || hop > window {
            return Err(Error::input(format!(
                "a hop of {hop} samples does not fit a window of {window}; use 1 to {window}"
            )));
        }
        if fft < window || fft > LARGEST_FFT {
            return Err(Error::input(format!(
                "an fft of {fft} points does not fit a window of {window} samples; use {window} to {LARGEST_FFT}"
            )));
        }
        let samples = shape.samples(window);
        let weight = |phase| samples.iter().skip(phase).step_by(hop).map(|w| w * w).sum::<f64>();
        let bounds = |(least, most): (f64, f64), weight: f64| (least.min(weight), most.max(weight));
        let (least, most) = (0..hop).map(weight).fold((f64::INFINITY, 0.0), bounds);
        if pad == Pad::Full && (least <= LEAST_WEIGHT || least < EVEN * most) {
            return Err(Error::input(format!(
                "{shape} windows of {window} samples with a hop of {hop} leave samples nearly without weight \
                 ({least:.1e}, others {most:.1e}); use a smaller hop, such as half the window"
            )));
        }
        Ok(())
    }
}

/// A planned transform. Cloning it shares the plans.
#[derive(Clone)]
pub struct Stft<T: Sample> {
    params: StftParams,
    window: Arc<[T]>,
    /// The squared window.
    square: Arc<[f64]>,
    forward: Arc<dyn RealToComplex<T>>,
    inverse: Arc<dyn ComplexToReal<T>>,
}

impl<T: Sample> Stft<T> {
    /// Plans the transform.
    ///
    /// # Errors
    /// See [`StftParams::check`].
    pub fn new(params: StftParams) -> Result<Self> {
        params.check()?;
        let (forward, inverse) = T::plan(params.fft);
        let samples = params.shape.samples(params.window);
        let square = samples.iter().map(|w| w * w).collect();
        let window = samples.into_iter().map(T::rounded).collect();
        Ok(Self { params, window, square, forward, inverse })
    }

    /// The geometry.
    pub fn params(&self) -> &StftParams {
        &self.params
    }

    /// The number of frequency bins, F.
    pub fn bins(&self) -> usize {
        self.params.fft / 2 + 1
    }

    /// The number of frames, N, of a signal of `samples` samples. An empty signal has none.
    pub fn frames(&self, samples: usize) -> usize {
        let StftParams { window, hop, pad, .. } = self.params;
        match pad {
            Pad::Full if samples == 0 => 0,
            Pad::Full => (samples + window - hop).div_ceil(hop),
            Pad::None if samples < window => 0,
            Pad::None => 1 + (samples - window) / hop,
        }
    }

    /// Transforms the frames `range` of a signal into an (N, F) array with contiguous frames.
    ///
    /// `signal` begins at sample `start`: 0 for a whole signal, or more for the excerpt of a long signal that covers
    /// these frames. Samples outside count as zeros, also for frames after the last of [`Stft::frames`]. Frames are
    /// transformed in parallel. The bits depend neither on the thread count nor on the range or the excerpt.
    pub fn forward(&self, signal: &[T], start: usize, range: Range<usize>) -> Array2<Complex<T>> {
        let shape = (range.len(), self.bins());
        let mut spectra = vec![Complex::new(T::zero(), T::zero()); shape.0 * shape.1];
        spectra.par_chunks_exact_mut(self.bins()).enumerate().for_each_init(
            || (self.forward.make_input_vec(), self.forward.make_scratch_vec()),
            |(frame, scratch), (row, spectrum)| {
                self.cut(signal, start, range.start + row, frame);
                self.forward.process_with_scratch(frame, spectrum, scratch).expect("buffers are of the plan's lengths");
            },
        );
        Array2::from_shape_vec(shape, spectra).expect("one row per frame")
    }

    /// The samples that the frames cover, without padding: from the start of the first frame to the end of the last.
    pub fn reach(&self, frames: Range<usize>) -> Range<usize> {
        let StftParams { window, hop, .. } = self.params;
        let end = if frames.is_empty() { 0 } else { (frames.end - 1) * hop + window };
        (frames.start * hop).saturating_sub(self.lead())..end.saturating_sub(self.lead())
    }

    /// How many frames end within the first so many samples of a signal.
    pub fn frames_within(&self, samples: usize) -> usize {
        let StftParams { window, hop, .. } = self.params;
        (samples + self.lead()).checked_sub(window).map_or(0, |after| after / hop + 1)
    }

    /// The number of padding zeros before the signal.
    pub(super) fn lead(&self) -> usize {
        match self.params.pad {
            Pad::Full => self.params.window - self.params.hop,
            Pad::None => 0,
        }
    }

    /// The window's samples.
    pub(super) fn window(&self) -> &[T] {
        &self.window
    }

    /// The squares of the window's samples, before they are rounded.
    pub(super) fn square(&self) -> &[f64] {
        &self.square
    }

    /// The plan of the inverse transform. It does not divide by its length.
    pub(super) fn inverse(&self) -> &dyn ComplexToReal<T> {
        &*self.inverse
    }

    /// Fills `frame` with windowed samples and then zeros. `signal` begins at its sample `start`.
    fn cut(&self, signal: &[T], start: usize, index: usize, frame: &mut [T]) {
        frame.fill(T::zero());
        // Both are positions in the padded signal.
        let (from, signal_from) = (index * self.params.hop, self.lead() + start);
        let rest = signal.get(from.saturating_sub(signal_from)..).unwrap_or_default();
        let before = signal_from.saturating_sub(from);
        for ((out, &weight), &sample) in frame.iter_mut().zip(&*self.window).skip(before).zip(rest) {
            *out = sample * weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(window: usize, hop: usize, fft: usize, shape: Shape, pad: Pad) -> StftParams {
        StftParams { window, hop, fft, shape, pad }
    }

    #[test]
    fn frame_counts_equal_hand_computed_ones() {
        let full = Stft::<f64>::new(params(4, 2, 4, Shape::Hann, Pad::Full)).unwrap();
        assert_eq!([0, 1, 2, 3, 4, 5].map(|n| full.frames(n)), [0, 2, 2, 3, 3, 4]);
        let none = Stft::<f64>::new(params(4, 3, 4, Shape::Hann, Pad::None)).unwrap();
        assert_eq!([0, 3, 4, 6, 7].map(|n| none.frames(n)), [0, 0, 1, 1, 2]);
    }

    /// Window (0, 1/2, 1, 1/2). The padded signal 0 0 | 1 2 3 | 0 0 0 is cut into 0012, 1230 and 3000.
    #[test]
    fn spectra_equal_hand_computed_ones() {
        let stft = Stft::<f64>::new(params(4, 2, 4, Shape::Hann, Pad::Full)).unwrap();
        let (c, signal) = (Complex::new, [1.0, 2.0, 3.0]);
        let expected = [
            [c(2.0, 0.0), c(-1.0, 1.0), c(0.0, 0.0)],
            [c(4.0, 0.0), c(-3.0, -1.0), c(2.0, 0.0)],
            [c(0.0, 0.0), c(0.0, 0.0), c(0.0, 0.0)],
        ];
        let spectra = stft.forward(&signal, 0, 0..3);
        for ((index, got), want) in spectra.indexed_iter().zip(expected.iter().flatten()) {
            assert!((got - want).norm() < 1e-15, "{index:?}: {got}, expected {want}");
        }
    }

    #[test]
    fn an_odd_transform_appends_zeros_at_the_end() {
        let stft = Stft::<f64>::new(params(2, 1, 3, Shape::Rect, Pad::None)).unwrap();
        let spectra = stft.forward(&[1.0, 2.0], 0, 0..1);
        assert_eq!(spectra.dim(), (1, 2));
        assert!((spectra[[0, 0]] - Complex::new(3.0, 0.0)).norm() < 1e-15);
        assert!((spectra[[0, 1]] - Complex::new(0.0, -(3f64.sqrt()))).norm() < 1e-15, "{}", spectra[[0, 1]]);
    }

    #[test]
    fn a_range_of_frames_has_the_bits_of_the_whole() {
        let stft = Stft::<f32>::new(params(30, 7, 45, Shape::Hamming, Pad::Full)).unwrap();
        let signal: Vec<f32> = (0..211).map(|n| (n as f32 * 0.7).sin()).collect();
        let frames = stft.frames(signal.len());
        let whole = stft.forward(&signal, 0, 0..frames);
        for (from, to) in [(0, 0), (0, 1), (5, 19), (frames - 1, frames)] {
            assert_eq!(stft.forward(&signal, 0, from..to), whole.slice(ndarray::s![from..to, ..]));
        }
        assert!(
            stft.forward(&signal, 0, frames..frames + 2).iter().all(|bin| bin.norm() == 0.0),
            "nothing after the end"
        );
    }

    #[test]
    fn an_excerpt_of_the_signal_gives_the_bits_of_the_whole() {
        for pad in [Pad::Full, Pad::None] {
            let stft = Stft::<f32>::new(params(30, 7, 45, Shape::Hamming, pad)).unwrap();
            let signal: Vec<f32> = (0..211).map(|n| (n as f32 * 0.7).sin()).collect();
            let frames = stft.frames(signal.len());
            let whole = stft.forward(&signal, 0, 0..frames);
            for from in (0..frames).step_by(4) {
                let to = frames.min(from + 4);
                let first = (from * 7).saturating_sub(stft.lead());
                let end = signal.len().min(((to - 1) * 7 + 30).saturating_sub(stft.lead()));
                let part = stft.forward(&signal[first..end], first, from..to);
                assert_eq!(part, whole.slice(ndarray::s![from..to, ..]), "{pad:?} {from}");
            }
        }
    }

    #[test]
    fn samples_before_an_excerpt_count_as_zeros() {
        let stft = Stft::<f64>::new(params(4, 2, 4, Shape::Rect, Pad::Full)).unwrap();
        let zeroed = stft.forward(&[0.0, 0.0, 0.0, 4.0, 5.0], 0, 0..4);
        assert_eq!(stft.forward(&[4.0, 5.0], 3, 0..4), zeroed);
        assert!(zeroed.row(1).iter().any(|bin| bin.norm() > 0.0));
    }

    #[test]
    fn invalid_geometry_is_refused() {
        for (bad, part) in [
            (params(8, 0, 8, Shape::Hann, Pad::Full), "hop of 0"),
            (params(0, 0, 8, Shape::Hann, Pad::Full), "window of 0"),
            (params(8, 9, 16, Shape::Hann, Pad::None), "hop of 9"),
            (params(8, 4, 7, Shape::Hann, Pad::Full), "fft of 7"),
            (params(8, 4, (1 << 20) + 1, Shape::Hann, Pad::Full), "fft of 1048577"),
            (params(8, 8, 8, Shape::Hann, Pad::Full), "smaller hop"),
            (params(512, 448, 512, Shape::Hann, Pad::Full), "nearly without weight (2.9e-3"),
            (params(512, 511, 512, Shape::Hann, Pad::Full), "smaller hop"),
            (params(512, 500, 512, Shape::SqrtHann, Pad::Full), "smaller hop"),
            (params(512, 512, 512, Shape::Hamming, Pad::Full), "smaller hop"),
            (params(1, 1, 1, Shape::SqrtHann, Pad::Full), "smaller hop"),
        ] {
            let error = Stft::<f64>::new(bad).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        }
        for good in [(512, 416, Shape::Hann), (8, 8, Shape::Rect), (512, 384, Shape::Hamming), (8, 4, Shape::SqrtHann)]
        {
            let (window, hop, shape) = good;
            assert!(params(window, hop, window, shape, Pad::Full).check().is_ok(), "{good:?}");
        }
    }

    #[test]
    fn files_omit_full_padding() {
        let full = params(480, 192, 512, Shape::SqrtHann, Pad::Full);
        let text = r#"{"window":480,"hop":192,"fft":512,"shape":"sqrt-hann"}"#;
        assert_eq!(serde_json::to_string(&full).unwrap(), text);
        assert_eq!(serde_json::from_str::<StftParams>(text).unwrap(), full);
        let none = StftParams { pad: Pad::None, ..full };
        let text = serde_json::to_string(&none).unwrap();
        assert_eq!(serde_json::from_str::<StftParams>(&text).unwrap(), none);
    }
}
