//! Recordings of single instruments, their sum, and the estimates that models give.

use std::ops::Range;
use std::path::PathBuf;

use ndarray::{Array2, Zip};
use realfft::num_complex::Complex;

use crate::audio;
use crate::evaluate::{TAPS, bss_eval_permuted};
use crate::kernels::Mask;
use crate::kernels::glue::share;
use crate::spectrogram::{Bands, Spectrum, Stft, Transform, level_scale};
use crate::{Error, Result};

/// Bands per octave: two per semitone.
pub(super) const PER_OCTAVE: usize = 24;
/// The range of the bands in Hz. It ends at half the sample rate if that is lower.
const RANGE: Range<f64> = 50.0..8000.0;

/// J sources, their mixture and its transform.
pub(super) struct Scene {
    /// The names of the sources, taken from their files.
    pub(super) names: Vec<String>,
    /// Oddities of the files, one line each.
    pub(super) warnings: Vec<String>,
    pub(super) sample_rate: u32,
    /// The samples of each source, at the level at which the mixture's peak is 1.
    pub(super) sources: Vec<Vec<f32>>,
    pub(super) mixture: Vec<f32>,
    pub(super) stft: Stft<f32>,
    pub(super) bands: Bands,
    /// The mixture's spectrum (N, F).
    spectrum: Array2<Complex<f32>>,
    /// V (bands, N): the mixture's magnitudes, grouped into bands.
    pub(super) data: Array2<f32>,
}

impl Scene {
    /// Reads the first channels of the recordings, cuts them to the shortest, and sums them.
    ///
    /// # Errors
    /// [`Error::Input`] or [`Error::Audio`] if there are fewer than two recordings, two have the same name or different
    /// sample rates, one is empty or silent, or all cancel out; also the errors of reading and of the transform.
    pub(super) fn new(files: &[PathBuf], transform: &Transform) -> Result<Self> {
        if files.len() < 2 {
            return Err(Error::input(
                "one recording is no mixture; give --sources two or more recordings, each of one instrument",
            ));
        }
        let (mut names, mut warnings, mut sources) = (Vec::new(), Vec::new(), Vec::new());
        let mut sample_rate = 0;
        for file in files {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if names.contains(&name) {
                return Err(Error::audio(file, format!("two sources are called {name}; rename one of the files")));
            }
            let recording = audio::read(file)?;
            if recording.sample_rate != sample_rate && sample_rate > 0 {
                let rates = format!("is at {} Hz, others at {sample_rate} Hz", recording.sample_rate);
                return Err(Error::audio(file, format!("{rates}; resample all sources to one rate")));
            }
            if recording.frames() == 0 {
                return Err(Error::audio(file, "holds no samples; give recordings of single instruments"));
            }
            sample_rate = recording.sample_rate;
            warnings.extend(recording.warnings.iter().map(|warning| format!("{name}: {warning}")));
            names.push(name);
            sources.push(recording.channels.into_iter().next().unwrap_or_default());
        }
        let samples = sources.iter().map(Vec::len).min().unwrap_or(0);
        sources.iter_mut().for_each(|source| source.truncate(samples));
        if let Some(silent) = sources.iter().position(|source| source.iter().all(|&sample| sample == 0.0)) {
            return Err(Error::audio(
                &files[silent],
                format!("is silent in the first {samples} samples, the length of the shortest recording"),
            ));
        }
        let sum = |sources: &[Vec<f32>]| -> Vec<f32> {
            (0..samples).map(|n| sources.iter().map(|source| source[n]).sum()).collect()
        };
        let scale = level_scale(sum(&sources).iter().fold(0.0, |peak: f32, sample| peak.max(sample.abs())));
        if scale == 0.0 {
            return Err(Error::input("the sources cancel out, so there is nothing to separate; give other recordings"));
        }
        sources.iter_mut().flatten().for_each(|sample| *sample *= scale);
        let stft = Stft::new(transform.at(sample_rate)?)?;
        let highest = RANGE.end.min(f64::from(sample_rate) / 2.0);
        let bands = Bands::log(sample_rate, stft.params().fft, PER_OCTAVE, RANGE.start..highest)?;
        let mixture = sum(&sources);
        let spectrum = stft.forward(&mixture, 0, 0..stft.frames(samples));
        let data = grouped(&bands, &spectrum)?;
        Ok(Self { names, warnings, sample_rate, sources, mixture, stft, bands, spectrum, data })
    }

    pub(super) fn seconds(&self) -> f64 {
        self.mixture.len() as f64 / f64::from(self.sample_rate)
    }

    /// The magnitudes (bands, N) of a signal as long as the mixture.
    pub(super) fn magnitudes(&self, signal: &[f32]) -> Result<Array2<f32>> {
        grouped(&self.bands, &self.stft.forward(signal, 0, 0..self.stft.frames(signal.len())))
    }

    /// The magnitudes of the sources themselves: the best possible models in these bands.
    pub(super) fn truth(&self) -> Result<Vec<Array2<f64>>> {
        self.sources.iter().map(|source| Ok(self.magnitudes(source)?.mapv(f64::from))).collect()
    }

    /// Turns models (bands, N) of several parts into estimates: a mask shares each cell of the mixture, and the phase
    /// is kept.
    pub(super) fn estimates(&self, models: Vec<Array2<f64>>, mask: Mask) -> Result<Vec<Vec<f32>>> {
        let estimate = |mask: Array2<f64>| {
            let mask = self.bands.spread(mask.t().mapv(|share| share as f32).view())?;
            let masked = Zip::from(&self.spectrum).and(&mask).map_collect(|&bin, &share| bin * share);
            let mut signal = Vec::with_capacity(self.mixture.len());
            let mut inverse = self.stft.overlap_add(self.mixture.len());
            inverse.push(masked.view(), &mut signal)?;
            inverse.finish(&mut signal)?;
            Ok(signal)
        };
        share(models, f64::MIN_POSITIVE, mask).into_iter().map(estimate).collect()
    }

    /// The estimate of each source, by the best mean SIR, and its SDR in dB.
    pub(super) fn sdr(&self, estimates: &[Vec<f32>]) -> Result<(Vec<usize>, Vec<f64>)> {
        let (order, scores) = bss_eval_permuted(&double(&self.sources), &double(estimates), TAPS)?;
        Ok((order, scores.into_iter().map(|score| score.sdr).collect()))
    }

    /// For each of several parts: the source whose recording correlates best with the part's estimate; of equal ones,
    /// the first.
    pub(super) fn owners(&self, models: &[Array2<f64>], mask: Mask) -> Result<Vec<usize>> {
        let estimates = self.estimates(models.to_vec(), mask)?;
        let correlation = |estimate: &[f32], source: &[f32]| {
            let product =
                |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
            product(estimate, source) / product(source, source).sqrt()
        };
        let owner = |estimate: &Vec<f32>| {
            let all = self.sources.iter().map(|source| correlation(estimate, source)).enumerate();
            all.fold((0, f64::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best }).0
        };
        Ok(estimates.iter().map(owner).collect())
    }
}

fn grouped(bands: &Bands, spectrum: &Array2<Complex<f32>>) -> Result<Array2<f32>> {
    Ok(bands.group(spectrum.mapv(|bin| Spectrum::Magnitude.of(bin)).view())?.reversed_axes())
}

fn double(signals: &[Vec<f32>]) -> Vec<Vec<f64>> {
    signals.iter().map(|signal| signal.iter().map(|&sample| f64::from(sample)).collect()).collect()
}

/// The models of the sources, each the sum of the parts that it owns.
pub(super) fn together(models: &[Array2<f64>], owners: &[usize], sources: usize) -> Vec<Array2<f64>> {
    let shape = models.first().map_or((0, 0), Array2::dim);
    let mut sums = vec![Array2::zeros(shape); sources];
    models.iter().zip(owners).for_each(|(model, &owner)| sums[owner] += model);
    sums
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;
    use crate::audio::{Format, Recording};
    use crate::spectrogram::{Length, Shape};

    pub(crate) const SMALL: Transform = Transform {
        window: Some(Length::Samples(256)),
        hop: Some(Length::Samples(128)),
        fft: None,
        shape: Shape::Hann,
    };

    pub(crate) fn save(folder: &Path, name: &str, samples: Vec<f32>) -> PathBuf {
        let path = folder.join(name);
        let recording = Recording { channels: vec![samples], sample_rate: 8000, warnings: Vec::new() };
        audio::write(&path, &recording, Format::WavF32).unwrap();
        path
    }

    pub(crate) fn tone(hz: f32, samples: usize) -> Vec<f32> {
        (0..samples).map(|n| 0.3 * (n as f32 * hz * std::f32::consts::TAU / 8000.0).sin()).collect()
    }

    fn scene() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let files =
            [save(folder.path(), "low.wav", tone(300.0, 3000)), save(folder.path(), "high.wav", tone(2000.0, 2500))];
        Scene::new(&files, &SMALL).unwrap()
    }

    #[test]
    fn sources_are_cut_to_the_shortest_and_sum_to_the_mixture() {
        let scene = scene();
        assert_eq!(scene.names, ["low", "high"]);
        assert_eq!((scene.mixture.len(), scene.data.dim()), (2500, (151, 21)));
        assert!((scene.mixture.iter().fold(0.0, |peak: f32, x| peak.max(x.abs())) - 1.0).abs() < 1e-6);
        for (n, sample) in scene.mixture.iter().enumerate() {
            assert!((scene.sources[0][n] + scene.sources[1][n] - sample).abs() < 1e-6);
        }
        // 300 Hz is 24 log2(6) = 62.04 bands above 50 Hz, 2000 Hz is 127.7.
        let truth = scene.truth().unwrap();
        let loudest = |j: usize| (0..151).max_by(|&a, &b| truth[j][(a, 10)].total_cmp(&truth[j][(b, 10)])).unwrap();
        assert!(loudest(0).abs_diff(62) <= 2 && loudest(1).abs_diff(127) <= 1, "{} {}", loudest(0), loudest(1));
    }

    #[test]
    fn the_true_magnitudes_separate_and_masks_sum_to_the_mixture() {
        let scene = scene();
        for mask in [Mask::Ratio(2.0), Mask::Hard] {
            let estimates = scene.estimates(scene.truth().unwrap(), mask).unwrap();
            for (n, sample) in scene.mixture.iter().enumerate() {
                assert!((estimates[0][n] + estimates[1][n] - sample).abs() < 1e-5);
            }
            let (order, sdr) = scene.sdr(&estimates).unwrap();
            assert_eq!(order, [0, 1]);
            assert!(sdr.iter().all(|&sdr| sdr > 15.0), "{mask}: {sdr:?}");
            let turned = [estimates[1].clone(), estimates[0].clone()];
            assert_eq!(scene.sdr(&turned).unwrap(), (vec![1, 0], sdr));
        }
    }

    #[test]
    fn parts_are_assigned_to_the_source_that_they_resemble() {
        let scene = scene();
        // Three parts: the high source before the middle, the low source, and the high source after the middle.
        let truth = scene.truth().unwrap();
        let half = |late: bool| {
            let mut part = truth[1].clone();
            part.indexed_iter_mut().filter(|((_, n), _)| (*n >= 10) != late).for_each(|(_, x)| *x = 0.0);
            part
        };
        let parts = [half(false), truth[0].clone(), half(true)];
        let owners = scene.owners(&parts, Mask::Ratio(2.0)).unwrap();
        assert_eq!(owners, [1, 0, 1]);
        let sources = together(&parts, &owners, 2);
        assert!(sources[0] == truth[0] && sources[1] == truth[1]);
        assert_eq!(together(&parts, &[0, 0, 0], 2)[1].sum(), 0.0, "a source that owns nothing");
    }

    #[test]
    fn recordings_that_cannot_be_mixed_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, samples| save(folder.path(), name, samples);
        let good = file("a.wav", tone(300.0, 900));
        let inverse = file("b.wav", tone(300.0, 900).into_iter().map(|x| -x).collect());
        let mut late = vec![0.0; 900];
        late.push(1.0);
        std::fs::create_dir(folder.path().join("c")).unwrap();
        for (other, part) in [
            (file("silent.wav", vec![0.0; 900]), "is silent in the first 900 samples"),
            (file("late.wav", late), "is silent in the first 900 samples"),
            (file("empty.wav", vec![]), "holds no samples"),
            (inverse, "cancel out"),
            (file("c/a.wav", tone(400.0, 900)), "two sources are called a"),
        ] {
            let error = Scene::new(&[good.clone(), other], &SMALL).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(Scene::new(&[good], &SMALL).err().unwrap().to_string().contains("one recording is no mixture"));
    }
}
