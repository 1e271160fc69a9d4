//! Converts spectra to the data that are factorized, and masks of the data to masks of the spectrum.

use std::borrow::Cow;
use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, CowArray, Ix2, s};
use realfft::num_complex::Complex;

use super::{BandMap, Bands, PreEmphasis, Spectrum, Spreading, Stft, Transform};
use crate::{Error, Result};

/// The conversion of recordings to data, for any sample rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Front {
    /// The transform.
    pub transform: Transform,
    /// The kind of data: power or magnitude.
    pub spectrum: Spectrum,
    /// The map from bins to rows. Default: bands, 24 per octave, from 50 Hz to 8 kHz or half the sample rate, whichever
    /// is lower.
    pub bands: Option<BandMap>,
    /// c of the [`PreEmphasis`] of the data; 0 for none. Masks apply to the spectrum of the samples as they are.
    pub pre_emphasis: f64,
}

impl Front {
    /// The view of recordings of `recording_rate` Hz that are resampled to `sample_rate` Hz.
    ///
    /// # Errors
    /// See [`Stft::new`], [`Bands::log`], [`Bands::mel`] and [`Bands::below`].
    pub fn view(&self, sample_rate: u32, recording_rate: u32) -> Result<View> {
        let stft = Stft::new(self.transform.at(sample_rate)?)?;
        let nyquist = f64::from(sample_rate) / 2.0;
        let usual = || BandMap::Log { per_octave: 24, range_hz: 50.0..nyquist.min(8000.0) };
        let bands = self.bands.clone().unwrap_or_else(usual).bands(sample_rate, stft.params().fft)?;
        // Above its own Nyquist frequency a recording is empty. If these bins were kept, IS would weight each like a
        // full one and pull all gains down.
        let share = f64::from(recording_rate) / f64::from(sample_rate);
        let usable = (share * stft.params().fft as f64 / 2.0).floor() as usize + 1;
        let bins = usable.min(stft.bins());
        let bands = bands.map(|bands| bands.below(bins)).transpose()?;
        Ok(View { sample_rate, spectrum: self.spectrum, bins, bands, pre_emphasis: self.pre_emphasis, stft })
    }
}

/// The conversion of recordings to data, for one sample rate.
pub struct View {
    /// The sample rate in Hz after resampling.
    pub sample_rate: u32,
    /// The transform.
    pub stft: Stft<f32>,
    spectrum: Spectrum,
    /// The number of lowest bins that are not empty.
    bins: usize,
    bands: Option<Bands>,
    pre_emphasis: f64,
}

impl View {
    /// F, the number of rows of the data: bands, or bins that are not empty.
    pub fn rows(&self) -> usize {
        self.bands.as_ref().map_or(self.bins, Bands::bands)
    }

    /// The middle of every row of the data, in Hz.
    pub fn frequencies(&self) -> Vec<f64> {
        let of_bin = f64::from(self.sample_rate) / self.stft.params().fft as f64;
        let of_bins = || (0..self.bins).map(|bin| bin as f64 * of_bin).collect();
        self.bands.as_ref().map_or_else(of_bins, Bands::middles)
    }

    /// The exponent that converts data to powers.
    pub fn power_exponent(&self) -> f64 {
        self.spectrum.power_exponent()
    }

    /// The filter through which samples pass before the spectra of the data are formed, if there is one. It works on
    /// samples, because its response on spectra would be exact only for windows without ends.
    pub fn pre_emphasis(&self) -> Option<PreEmphasis<f32>> {
        (self.pre_emphasis != 0.0).then(|| PreEmphasis::new(self.pre_emphasis))
    }

    /// The data of the bins: power or magnitude.
    pub fn spectrum(&self) -> Spectrum {
        self.spectrum
    }

    /// M (F, bins), the map from bins to bands. None if the data are the bins.
    pub fn map(&self) -> Option<Array2<f64>> {
        self.bands.as_ref().map(Bands::matrix)
    }

    /// The spectra (N, bins) of a whole signal at the view's sample rate, after [`View::pre_emphasis`].
    pub fn spectra(&self, signal: &[f32]) -> Array2<Complex<f32>> {
        let signal = self.pre_emphasis().map_or(Cow::Borrowed(signal), |mut filter| {
            let mut filtered = Vec::with_capacity(signal.len());
            filter.push(signal, &mut filtered);
            Cow::Owned(filtered)
        });
        self.stft.forward(&signal, 0, 0..self.stft.frames(signal.len()))
    }

    /// The spectra (N, bins) of some frames: [`Stft::forward`], which is generic, compiled where its loops are inlined.
    pub fn forward(&self, signal: &[f32], start: usize, frames: Range<usize>) -> Array2<Complex<f32>> {
        self.stft.forward(signal, start, frames)
    }

    /// The data (N, F) of a whole signal at the view's sample rate, times `scale`.
    ///
    /// # Errors
    /// See [`View::show`].
    pub fn data(&self, signal: &[f32], scale: f32) -> Result<Array2<f32>> {
        let spectra = self.spectra(signal);
        let mut data = Array2::zeros((spectra.nrows(), self.rows()));
        self.show(spectra.view(), scale, data.view_mut())?;
        Ok(data)
    }

    /// Fills `data` (N, F) from the spectra (N, bins) of samples after [`View::pre_emphasis`], times `scale`.
    ///
    /// # Errors
    /// [`Error::Input`] if the shapes do not fit.
    pub fn show(&self, spectra: ArrayView2<Complex<f32>>, scale: f32, mut data: ArrayViewMut2<f32>) -> Result<()> {
        if (spectra.nrows(), self.rows()) != data.dim() || spectra.ncols() != self.stft.bins() {
            return Err(Error::input(format!(
                "spectra of shape {:?} do not fit data of shape {:?}",
                spectra.dim(),
                data.dim()
            )));
        }
        match &self.bands {
            None => data.zip_mut_with(&spectra.slice(s![.., ..self.bins]), |datum, &bin| {
                *datum = self.spectrum.of(bin * scale);
            }),
            Some(bands) => {
                let bins: Array2<f32> = spectra.mapv(|bin| self.spectrum.of(bin * scale));
                data.assign(&bands.group(bins.view())?);
            }
        }
        Ok(())
    }

    /// The levels (N, F) by which masks are spread, from the spectra of the data: the data themselves, which the sum of the
    /// models approximates. None if masks are spread without.
    ///
    /// # Errors
    /// See [`View::show`].
    pub fn levels(&self, spectra: ArrayView2<Complex<f32>>) -> Result<Option<Array2<f32>>> {
        let Some(bands) = self.bands.as_ref().filter(|bands| bands.spreading() == Spreading::Models) else {
            return Ok(None);
        };
        let mut levels = Array2::zeros((spectra.nrows(), bands.bands()));
        self.show(spectra, 1.0, levels.view_mut())?;
        Ok(Some(levels))
    }

    /// Spreads masks of the data (N, F) to masks of the bins (N, bins). Empty bins may be missing from the result. With
    /// `levels` (N, F), the masked models are spread instead, and a bin that no band has gets `share`, 1/J of J sources:
    /// see [`Bands::spread_models`].
    ///
    /// # Errors
    /// [`Error::Input`] if the shapes do not fit.
    pub fn spread<'a>(
        &self,
        masks: ArrayView2<'a, f32>,
        levels: Option<ArrayView2<f32>>,
        share: f32,
    ) -> Result<CowArray<'a, f32, Ix2>> {
        match (&self.bands, levels) {
            (None, _) => Ok(masks.into()),
            (Some(bands), None) => Ok(bands.spread(masks)?.into()),
            (Some(bands), Some(levels)) => Ok(bands.spread_models(masks, levels, f64::from(share))?.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;
    use crate::spectrogram::{Length, Shape};

    fn front(spectrum: Spectrum, bands: Option<BandMap>) -> Front {
        let transform = Transform { window: Some(Length::Samples(16)), hop: None, fft: None, shape: Shape::Hann };
        Front { transform, spectrum, bands, pre_emphasis: 0.0 }
    }

    fn shown(view: &View, spectra: &Array2<Complex<f32>>, scale: f32) -> Array2<f32> {
        let mut data = Array2::from_elem((spectra.nrows(), view.rows()), 9.0);
        view.show(spectra.view(), scale, data.view_mut()).unwrap();
        data
    }

    #[test]
    fn bins_above_the_recordings_nyquist_are_left_out() {
        let linear = front(Spectrum::Power, Some(BandMap::Linear));
        let spectra = Array2::from_shape_fn((2, 9), |(n, k)| Complex::new(k as f32, n as f32));
        let whole = linear.view(8000, 8000).unwrap();
        assert_eq!((whole.rows(), whole.stft.bins(), whole.sample_rate, whole.power_exponent()), (9, 9, 8000, 1.0));
        let powers = Array2::from_shape_fn((2, 9), |(n, k)| 0.25 * (k * k + n * n) as f32);
        assert_eq!(shown(&whole, &spectra, 0.5), powers);
        let part = linear.view(8000, 5000).unwrap();
        assert_eq!((part.rows(), part.sample_rate), (6, 8000));
        assert_eq!(shown(&part, &spectra, 0.5), powers.slice(s![.., ..6]));
        let masks = array![[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]];
        assert_eq!(
            part.spread(masks.view(), part.levels(spectra.view()).unwrap().as_ref().map(|levels| levels.view()), 0.5)
                .unwrap(),
            masks
        );
        // A recording with a higher rate has all bins.
        assert_eq!(linear.view(8000, 44_100).unwrap().rows(), 9);
    }

    #[test]
    fn bands_sum_magnitudes_and_spread_masks_to_all_bins() {
        let octaves = Some(BandMap::Log { per_octave: 1, range_hz: 500.0..4000.0 });
        let view = front(Spectrum::Magnitude, octaves).view(8000, 8000).unwrap();
        let spectra = Array2::from_shape_fn((1, 9), |(_, k)| Complex::new(0.0, -(k as f32)));
        // Half of bins 1 and 2; half of bin 2, bin 3, half of bin 4; half of bin 4, bins 5 to 7, half of bin 8.
        assert_eq!(shown(&view, &spectra, 2.0), array![[3.0, 12.0, 48.0]]);
        let masks = array![[0.2, 0.6, 1.0]];
        assert!(view.levels(spectra.view()).unwrap().is_none());
        let masks = view.spread(masks.view(), None, 0.5).unwrap();
        assert_eq!(masks.dim(), (1, 9));
        assert!((masks[(0, 2)] - 0.4).abs() < 1e-6 && masks[(0, 8)] == 1.0);
    }

    #[test]
    fn mel_masks_are_weighed_by_the_data_and_bins_without_a_band_are_shared() {
        let map = Some("mel:3:0-2000:slaney".parse().unwrap());
        // Bins of 500 Hz; below 1 kHz the scale is linear.
        let view = front(Spectrum::Power, map.clone()).view(8000, 8000).unwrap();
        let spectra = Array2::from_shape_fn((1, 9), |(_, k)| Complex::new(0.0, k as f32));
        let data = shown(&view, &spectra, 1.0);
        let masks = array![[0.25, 0.5, 1.0]];
        let levels = view.levels(spectra.view()).unwrap().unwrap();
        assert_eq!(levels, data);
        let spread = view.spread(masks.view(), Some(levels.view()), 0.5).unwrap();
        let matrix = map.clone().unwrap().bands(8000, 16).unwrap().unwrap().matrix().mapv(|weight| weight as f32);
        let expected = (&masks * &data).dot(&matrix) / data.dot(&matrix);
        for (k, (&got, &expected)) in spread.iter().zip(&expected).enumerate() {
            let expected = if (1..4).contains(&k) { expected } else { 0.5 };
            assert!((got - expected).abs() < 1e-6, "bin {k}: {got}, expected {expected}");
        }
        // A recording of 2 kHz ends at bin 2. Two bands lie below.
        assert_eq!(front(Spectrum::Power, map).view(8000, 2000).unwrap().rows(), 2);
    }

    #[test]
    fn data_are_those_of_the_filtered_samples() {
        let linear = || front(Spectrum::Magnitude, Some(BandMap::Linear));
        let signal: Vec<f32> = (0..40).map(|n| (n as f32 * 0.7).sin()).collect();
        let filtered: Vec<f32> = (0..40).map(|n| signal[n] - if n > 0 { 0.5 * signal[n - 1] } else { 0.0 }).collect();
        let with = Front { pre_emphasis: 0.5, ..linear() }.view(8000, 8000).unwrap();
        let without = linear().view(8000, 8000).unwrap();
        assert_eq!(with.data(&signal, 2.0).unwrap(), without.data(&filtered, 2.0).unwrap());
        assert!(
            without.pre_emphasis().is_none() && with.data(&signal, 2.0).unwrap() != without.data(&signal, 2.0).unwrap()
        );
    }

    #[test]
    fn the_default_bands_end_at_half_the_sample_rate() {
        let of = |rate: u32| {
            let window = Some(Length::Milliseconds(128.0));
            let transform = Transform { window, hop: None, fft: None, shape: Shape::Hann };
            let front = Front { transform, spectrum: Spectrum::Magnitude, bands: None, pre_emphasis: 0.0 };
            front.view(rate, rate).unwrap().rows()
        };
        assert_eq!([of(16_000), of(44_100), of(8000)], [175, 175, 151]);
        let beyond = Some(BandMap::Log { per_octave: 24, range_hz: 50.0..8000.0 });
        assert!(front(Spectrum::Magnitude, beyond).view(8000, 8000).is_err());
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let view = front(Spectrum::Power, Some(BandMap::Linear)).view(8000, 8000).unwrap();
        let spectra = Array2::<Complex<f32>>::zeros((2, 9));
        for shape in [(1, 9), (2, 8)] {
            assert!(view.show(spectra.view(), 1.0, Array2::zeros(shape).view_mut()).is_err());
        }
        assert!(view.show(spectra.slice(s![.., ..8]), 1.0, Array2::zeros((2, 9)).view_mut()).is_err());
    }
}
