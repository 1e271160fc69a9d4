//! The streaming inverse short-time Fourier transform.

use std::iter::zip;

use ndarray::{ArrayView2, ArrayViewMut1, Axis, Zip};
use rayon::prelude::*;
use realfft::num_complex::Complex;

use super::{Sample, Stft, stft::LEAST_WEIGHT};
use crate::{Error, Result};

/// Frames that are inverted at a time: enough for all threads of a large machine, and few enough that they stay in cache until they
/// are added up.
const BLOCK: usize = 32;

/// The streaming inverse of an [`Stft`]. Push frames in order, in blocks of any size; it returns finished samples.
///
/// This is the least-squares inverse (Griffin and Lim, 1984). Frames are windowed again and overlap-added, then divided
/// by the overlap-added squared window. Samples where that sum is at most 1e-10 become 0. The bits depend neither on
/// the block sizes nor on the thread count. Memory between calls is one window.
pub struct OverlapAdd<T: Sample> {
    stft: Stft<T>,
    /// The samples of the signal, once they are known.
    samples: Option<usize>,
    /// Frames pushed so far.
    taken: usize,
    /// Padding zeros before the signal that remain to be dropped.
    lead: usize,
    /// Signal samples written so far.
    written: usize,
    /// The overlap-added frames, one window long, from the first sample that the next frame covers.
    sum: Vec<T>,
    /// The overlap-added squared windows at the samples of the next hop; 0 where a sample becomes 0.
    weight: Vec<T>,
}

impl<T: Sample> Stft<T> {
    /// The streaming inverse for a signal of `samples` samples.
    pub fn overlap_add(&self, samples: usize) -> OverlapAdd<T> {
        OverlapAdd::new(self.clone(), Some(samples))
    }

    /// The streaming inverse for a signal whose length [`OverlapAdd::end`] tells later.
    pub fn overlap_add_open(&self) -> OverlapAdd<T> {
        OverlapAdd::new(self.clone(), None)
    }
}

impl<T: Sample> OverlapAdd<T> {
    fn new(stft: Stft<T>, samples: Option<usize>) -> Self {
        Self {
            samples,
            taken: 0,
            lead: stft.lead(),
            written: 0,
            sum: vec![T::zero(); stft.params().window],
            weight: Vec::new(),
            stft,
        }
    }

    /// Pushes the next frames (N, F) and appends the samples that they finish to `out`. The imaginary parts at 0 Hz and
    /// at half the sample rate are ignored.
    ///
    /// # Errors
    /// [`Error::Input`] if F is not the transform's number of bins, or if there are more frames than the signal has. On
    /// error no frame is pushed.
    pub fn push(&mut self, frames: ArrayView2<Complex<T>>, out: &mut Vec<T>) -> Result<()> {
        self.check(frames.dim())?;
        self.push_each(frames.nrows(), |row, bins| zip(bins, frames.row(row)).for_each(|(to, &from)| *to = from), out);
        Ok(())
    }

    /// Says how long the signal is. A frame that reaches beyond the signal is pushed after this.
    ///
    /// # Errors
    /// [`Error::Input`] if there was an end before, or if more frames were pushed than the signal has.
    pub fn end(&mut self, samples: usize) -> Result<()> {
        let (pushed, frames) = (self.taken, self.stft.frames(samples));
        if self.samples.is_some() || self.written > samples || pushed > frames {
            return Err(Error::input(format!("{samples} samples end before the {pushed} frames that were pushed")));
        }
        self.samples = Some(samples);
        Ok(())
    }

    /// Appends the last samples to `out`. The total output then has the signal's length.
    ///
    /// # Errors
    /// [`Error::Input`] if the end or frames are missing.
    pub fn finish(mut self, out: &mut Vec<T>) -> Result<()> {
        let samples = self.samples.ok_or_else(|| Error::input("the signal has no end yet"))?;
        let frames = self.stft.frames(samples);
        if self.taken < frames {
            let taken = self.taken;
            return Err(Error::input(format!("{taken} frames are too few for {samples} samples, which have {frames}")));
        }
        let (window, hop) = (self.sum.len(), self.stft.params().hop);
        for (hops, start) in (0..window).step_by(hop).enumerate() {
            self.weigh(1 + hops);
            self.write(hop.min(window - start), out);
        }
        out.resize(out.len() + samples - self.written, T::zero());
        Ok(())
    }

    /// Refuses frames (N, F) of another number of bins, or more than are left.
    fn check(&self, (count, bins): (usize, usize)) -> Result<()> {
        if bins != self.stft.bins() {
            return Err(Error::input(format!("frames of {bins} bins do not fit a transform of {}", self.stft.bins())));
        }
        let Some(samples) = self.samples else { return Ok(()) };
        let (frames, of) = (self.taken + count, self.stft.frames(samples));
        if frames > of {
            return Err(Error::input(format!("{frames} frames are too many for {samples} samples, which have {of}")));
        }
        Ok(())
    }

    /// Pushes the next `count` frames. `fill` writes the bins (F) of one of them.
    fn push_each(&mut self, count: usize, fill: impl Fn(usize, &mut [Complex<T>]) + Sync, out: &mut Vec<T>) {
        let (window, hop) = (self.stft.params().window, self.stft.params().hop);
        out.reserve(count * hop);
        let mut time = vec![T::zero(); count.min(BLOCK) * window];
        for first in (0..count).step_by(BLOCK) {
            let time = &mut time[..(count - first).min(BLOCK) * window];
            self.to_time(|row, bins| fill(first + row, bins), time);
            for frame in time.chunks_exact(window) {
                zip(&mut self.sum, frame).for_each(|(sum, &sample)| *sum = *sum + sample);
                self.taken += 1;
                // From then on, as many frames cover a sample as can.
                if self.taken <= window.div_ceil(hop) {
                    self.weigh(0);
                }
                self.write(hop, out);
            }
        }
    }

    /// Inverts frames and windows them again. The results are concatenated in `time`.
    fn to_time(&self, fill: impl Fn(usize, &mut [Complex<T>]) + Sync, time: &mut [T]) {
        let (plan, window) = (self.stft.inverse(), self.stft.window());
        let scale = T::rounded(1.0 / plan.len() as f64);
        time.par_chunks_exact_mut(window.len()).enumerate().for_each_init(
            || (plan.make_input_vec(), plan.make_output_vec(), plan.make_scratch_vec()),
            |(spectrum, samples, scratch), (row, out)| {
                fill(row, spectrum);
                spectrum[0].im = T::zero();
                if plan.len() % 2 == 0 {
                    spectrum[plan.len() / 2].im = T::zero();
                }
                plan.process_with_scratch(spectrum, samples, scratch).expect("buffers are of the plan's lengths");
                for ((out, &sample), &weight) in zip(zip(out, &*samples), window) {
                    *out = sample * scale * weight;
                }
            },
        );
    }

    /// Sets the weights to those of the hop that begins `hops` hops after the last frame.
    fn weigh(&mut self, hops: usize) {
        let (square, hop) = (self.stft.square(), self.stft.params().hop);
        let mut sums = vec![0.0; hop];
        // The first frame comes first: so the sums round as if every frame were added when it comes.
        for place in (hops..hops + self.taken).rev() {
            let covering = square.get(place * hop..).unwrap_or_default();
            zip(&mut sums, covering).for_each(|(sum, square)| *sum += square);
        }
        let weight = |sum: f64| if sum > LEAST_WEIGHT { T::rounded(sum) } else { T::zero() };
        self.weight.clear();
        self.weight.extend(sums.into_iter().map(weight));
    }

    /// Writes the first `count` samples, at most a hop, which no later frame covers, and advances.
    fn write(&mut self, count: usize, out: &mut Vec<T>) {
        let from = self.lead.min(count);
        let to = self.samples.map_or(count, |samples| count.min(from + samples - self.written));
        let of = |(&sum, &weight): (&T, &T)| if weight > T::zero() { sum / weight } else { T::zero() };
        out.extend(zip(&self.sum[from..to], &self.weight[from..to]).map(of));
        self.lead -= from;
        self.written += to - from;
        let kept = self.sum.len() - count;
        self.sum.copy_within(count.., 0);
        self.sum[kept..].fill(T::zero());
    }
}

/// For the samples of the engines alone, and so compiled here with all that it calls. What is generic is compiled in the caller's
/// package, in many units, and there the masks alone took longer than the transforms.
impl OverlapAdd<f32> {
    /// Pushes the next frames (N, F) times masks (N, F'), as [`push`](Self::push) would push the products, which are never
    /// stored. The masks may have fewer bins: those that they have not got are multiplied by `share`.
    ///
    /// # Errors
    /// Those of [`push`](Self::push); [`Error::Input`] if the masks have another number of frames, or more bins.
    pub fn push_masked(
        &mut self,
        frames: ArrayView2<Complex<f32>>,
        masks: ArrayView2<f32>,
        share: f32,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        self.check(frames.dim())?;
        let masked = masks.ncols();
        if masks.nrows() != frames.nrows() || masked > frames.ncols() {
            return Err(Error::input(format!(
                "masks of shape {:?} do not fit frames of shape {:?}",
                masks.dim(),
                frames.dim()
            )));
        }
        let mask = |row: usize, bins: &mut [Complex<f32>]| {
            let (below, above) = bins.split_at_mut(masked);
            let (from_below, from_above) = frames.row(row).split_at(Axis(0), masked);
            let below = Zip::from(ArrayViewMut1::from(below)).and(from_below);
            below.and(masks.row(row)).for_each(|to, &from, &mask| *to = from * mask);
            zip(above, from_above).for_each(|(to, &from)| *to = from * share);
        };
        self.push_each(frames.nrows(), mask, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::spectrogram::{Pad, Shape, StftParams};

    fn stft<T: Sample>(window: usize, hop: usize, fft: usize, shape: Shape, pad: Pad) -> Stft<T> {
        Stft::new(StftParams { window, hop, fft, shape, pad }).unwrap()
    }

    /// Transforms and inverts, pushing the frames in blocks of `block`.
    fn round_trip<T: Sample>(stft: &Stft<T>, signal: &[T], block: usize) -> Vec<T> {
        let mut inverse = stft.overlap_add(signal.len());
        let mut out = vec![];
        let frames = stft.frames(signal.len());
        for from in (0..frames).step_by(block) {
            inverse.push(stft.forward(signal, 0, from..frames.min(from + block)).view(), &mut out).unwrap();
        }
        inverse.finish(&mut out).unwrap();
        out
    }

    /// A signal without periodicity, so that a shifted or reversed copy fails the test.
    fn chirp(samples: usize) -> Vec<f64> {
        (0..samples).map(|n| (0.003 * (n * n) as f64 + 0.5).sin()).collect()
    }

    #[test]
    fn reconstruction_is_perfect() {
        for shape in Shape::ALL {
            for (window, hop, fft) in [(16, 8, 16), (16, 4, 32), (30, 7, 45), (13, 5, 13), (137, 68, 139), (2, 1, 2)] {
                let stft = stft::<f64>(window, hop, fft, shape, Pad::Full);
                for samples in [0, 1, 2, 137, 251, 1009] {
                    let signal = chirp(samples);
                    let back = round_trip(&stft, &signal, 3);
                    assert_eq!(back.len(), samples, "{:?}", stft.params());
                    let worst = zip(&back, &signal).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                    assert!(worst < 1e-14, "{:?}, {samples} samples: {worst}", stft.params());
                }
            }
        }
    }

    #[test]
    fn f32_reconstruction_is_exact_up_to_rounding() {
        let stft = stft::<f32>(480, 192, 512, Shape::Hamming, Pad::Full);
        let signal: Vec<f32> = chirp(5003).into_iter().map(f32::rounded).collect();
        let worst = zip(round_trip(&stft, &signal, 7), &signal).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-6, "{worst}");
    }

    #[test]
    fn block_sizes_do_not_change_the_bits() {
        let stft = stft::<f32>(30, 7, 45, Shape::Hann, Pad::Full);
        let signal: Vec<f32> = chirp(997).into_iter().map(f32::rounded).collect();
        let whole = round_trip(&stft, &signal, usize::MAX);
        for block in [1, 2, 5, 64] {
            assert_eq!(round_trip(&stft, &signal, block), whole, "blocks of {block}");
        }
    }

    #[test]
    fn an_end_that_comes_late_changes_no_bit() {
        for (window, hop) in [(30, 7), (8, 5)] {
            let stft = stft::<f32>(window, hop, 45, Shape::Hamming, Pad::Full);
            for samples in [1, 20, 96, 100] {
                let signal: Vec<f32> = chirp(samples).into_iter().map(f32::rounded).collect();
                let (mut inverse, mut out) = (stft.overlap_add_open(), vec![]);
                let frames = stft.frames(samples);
                // As long as a frame ends within the signal, nobody needs to know where the signal ends.
                let inside = (0..frames).take_while(|&frame| stft.reach(frame..frame + 1).end <= samples).count();
                inverse.push(stft.forward(&signal, 0, 0..inside).view(), &mut out).unwrap();
                assert!(out.len() <= samples);
                inverse.end(samples).unwrap();
                assert!(inverse.end(samples).is_err(), "a second end");
                inverse.push(stft.forward(&signal, 0, inside..frames).view(), &mut out).unwrap();
                inverse.finish(&mut out).unwrap();
                assert_eq!(out, round_trip(&stft, &signal, usize::MAX), "{window} {hop} {samples}");
            }
            let mut inverse = stft.overlap_add_open();
            assert!(stft.overlap_add_open().finish(&mut vec![]).is_err(), "no end");
            inverse.push(stft.forward(&[1.0; 99], 0, 0..9).view(), &mut vec![]).unwrap();
            assert!(inverse.end(9).is_err(), "an end in the past");
        }
    }

    #[test]
    fn the_thread_count_does_not_change_the_bits() {
        let stft = stft::<f32>(30, 7, 45, Shape::Hann, Pad::Full);
        let signal: Vec<f32> = chirp(997).into_iter().map(f32::rounded).collect();
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let three = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        assert_eq!(one.install(|| round_trip(&stft, &signal, 50)), three.install(|| round_trip(&stft, &signal, 50)));
    }

    /// Window (0, 1/2, 1, 1/2) at samples 0 and 2 without padding. Samples 0 and 6 have no weight.
    #[test]
    fn samples_that_no_frame_covers_are_zero() {
        let stft = stft::<f64>(4, 2, 4, Shape::Hann, Pad::None);
        let expected = [0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0];
        for (n, (got, want)) in zip(round_trip(&stft, &[1.0; 7], 1), expected).enumerate() {
            assert!((got - want).abs() < 1e-15, "sample {n}: {got}, expected {want}");
        }
        assert_eq!(round_trip(&stft, &[1.0; 3], 1), [0.0; 3], "shorter than a window");
    }

    /// A single frame at the first of two samples. sum x w^2 / sum w^2 differs from x because the second frame is
    /// missing.
    #[test]
    fn frames_are_weighted_by_the_window() {
        let stft = stft::<f64>(2, 1, 2, Shape::Hamming, Pad::Full);
        let mut spectra = stft.forward(&[3.0, 5.0], 0, 0..3);
        spectra.row_mut(1).fill(Complex::new(0.0, 0.0));
        let (mut inverse, mut out) = (stft.overlap_add(2), vec![]);
        inverse.push(spectra.view(), &mut out).unwrap();
        inverse.finish(&mut out).unwrap();
        let (first, second) = (0.08f64 * 0.08, 1.0);
        let expected = [3.0 * second / (first + second), 5.0 * first / (first + second)];
        assert!(zip(&out, expected).all(|(got, want)| (got - want).abs() < 1e-14), "{out:?}, expected {expected:?}");
    }

    #[test]
    fn masks_apply_and_missing_bins_are_shared() {
        let stft = stft::<f32>(30, 7, 45, Shape::Hann, Pad::Full);
        let signal: Vec<f32> = chirp(997).into_iter().map(f32::rounded).collect();
        let frames = stft.forward(&signal, 0, 0..stft.frames(signal.len()));
        let of_bin = |bin: usize| if bin < 20 { 0.1 * bin as f32 } else { 0.25 };
        let products = Array2::from_shape_fn(frames.dim(), |(row, bin)| frames[(row, bin)] * of_bin(bin));
        // Frame by frame, as masks come from an engine, and bin by bin.
        let masks = Array2::from_shape_fn((frames.nrows(), 20), |(_, bin)| of_bin(bin));
        for masks in [masks.clone(), masks.reversed_axes().as_standard_layout().to_owned().reversed_axes()] {
            let (mut inverse, mut out) = (stft.overlap_add(signal.len()), vec![]);
            inverse.push_masked(frames.view(), masks.view(), 0.25, &mut out).unwrap();
            inverse.finish(&mut out).unwrap();
            let (mut inverse, mut expected) = (stft.overlap_add(signal.len()), vec![]);
            inverse.push(products.view(), &mut expected).unwrap();
            inverse.finish(&mut expected).unwrap();
            assert_eq!(out, expected);
        }
        let mut inverse = stft.overlap_add(signal.len());
        for shape in [(frames.nrows() - 1, 20), (frames.nrows(), 24)] {
            let error = inverse.push_masked(frames.view(), Array2::zeros(shape).view(), 0.5, &mut vec![]).unwrap_err();
            assert!(error.to_string().contains("do not fit frames of shape"), "{error}");
        }
    }

    /// Every sample is divided by the squared windows of all frames that cover it, and of no others: at the ends there are fewer.
    #[test]
    fn weights_are_those_of_the_frames_that_cover_a_sample() {
        for (window, hop) in [(4, 2), (5, 3), (7, 2), (9, 5)] {
            for (frames, pad) in [(1, Pad::None), (2, Pad::None), (6, Pad::None), (6, Pad::Full)] {
                let stft = stft::<f64>(window, hop, window, Shape::Hamming, pad);
                let samples = if pad == Pad::None { (frames - 1) * hop + window + 1 } else { 3 * hop };
                let mut spectra = stft.forward(&vec![1.0; samples], 0, 0..stft.frames(samples));
                // All ones before the window, instead of what the signal has there.
                let ones = stft.forward(&vec![1.0; 3 * window], 0, 0..1 + window / hop).row(window / hop).to_owned();
                spectra.rows_mut().into_iter().for_each(|mut row| row.assign(&ones));
                let (mut inverse, mut out) = (stft.overlap_add(samples), vec![]);
                inverse.push(spectra.view(), &mut out).unwrap();
                inverse.finish(&mut out).unwrap();
                // Then the sum of squares is divided by itself.
                let end = if pad == Pad::None { samples - 1 } else { samples };
                assert!(
                    out[..end].iter().all(|sample| (sample - 1.0).abs() < 1e-13),
                    "{window} {hop} {pad:?}: {out:?}"
                );
                assert!(out[end..].iter().all(|&sample| sample == 0.0));
            }
        }
    }

    #[test]
    fn frames_of_the_wrong_shape_or_number_are_refused() {
        let stft = stft::<f64>(4, 2, 4, Shape::Hann, Pad::Full);
        let mut out = vec![];
        let mut inverse = stft.overlap_add(3);
        let error = inverse.push(Array2::zeros((1, 4)).view(), &mut out).unwrap_err();
        assert_eq!(error.to_string(), "frames of 4 bins do not fit a transform of 3");
        let error = inverse.push(Array2::zeros((4, 3)).view(), &mut out).unwrap_err();
        assert_eq!(error.to_string(), "4 frames are too many for 3 samples, which have 3");
        assert!(out.is_empty());
        inverse.push(Array2::zeros((2, 3)).view(), &mut out).unwrap();
        let error = inverse.finish(&mut out).unwrap_err();
        assert_eq!(error.to_string(), "2 frames are too few for 3 samples, which have 3");
    }
}
