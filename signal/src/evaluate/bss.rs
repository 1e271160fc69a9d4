//! BSS Eval, version 3.

use std::{iter::zip, ops::Range};

use super::{
    order::best_order,
    projection::{Fourier, Projection, Spectrum},
    ratio::{decibels, energy},
};
use crate::{Error, Result};

/// The usual length of the distortion filters.
pub const TAPS: usize = 512;

/// The scores of one source's estimate in dB (Vincent, Gribonval and Févotte, 2006).
///
/// The estimate is projected on its reference and on all references, each delayed by 0 to `taps - 1` samples. The first
/// projection is the target. The second projection minus the target is interference. The remainder of the estimate is
/// artifacts.
///
/// A score is +inf if its denominator is zero, such as the SIR of a single source, and NaN if the reference or the
/// estimate is silent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bss {
    /// Signal-to-distortion ratio: target over interference and artifacts.
    pub sdr: f64,
    /// Signal-to-interference ratio: target over interference.
    pub sir: f64,
    /// Signal-to-artifacts ratio: target and interference over artifacts.
    pub sar: f64,
}

/// Scores estimate j against reference j, for J signals of N samples each. `taps` is the length of the distortion
/// filters, usually [`TAPS`]. Silent references are left out of the projections of the others.
///
/// # Errors
/// [`Error::Input`] if there are no signals, a signal is empty or holds a non-finite sample, lengths differ, the number
/// of estimates is not that of the references, or `taps` is 0.
pub fn bss_eval(references: &[Vec<f64>], estimates: &[Vec<f64>], taps: usize) -> Result<Vec<Bss>> {
    check(references, estimates)?;
    check_taps(taps)?;
    Ok(Scene::new(&[references.to_vec()], taps).score_in_order(&[estimates.to_vec()]))
}

/// Scores like [`bss_eval`], in the order of the estimates with the highest mean SIR. Returns the index of the estimate
/// for each reference, and the scores.
///
/// A NaN counts as 0. If the mean SIRs are equal, the mean SDR decides. This happens, for example, if only one
/// reference is not silent, so that every SIR is infinite.
///
/// # Errors
/// See [`bss_eval`].
pub fn bss_eval_permuted(
    references: &[Vec<f64>],
    estimates: &[Vec<f64>],
    taps: usize,
) -> Result<(Vec<usize>, Vec<Bss>)> {
    check(references, estimates)?;
    check_taps(taps)?;
    Ok(Scene::new(&[references.to_vec()], taps).score_in_best_order(&[estimates.to_vec()]))
}

/// Checks the signals of [`bss_eval`] and returns their length.
pub(super) fn check(references: &[Vec<f64>], estimates: &[Vec<f64>]) -> Result<usize> {
    if references.len() != estimates.len() {
        return Err(Error::input(format!(
            "{} references and {} estimates do not match; give one estimate for each reference",
            references.len(),
            estimates.len()
        )));
    }
    let samples = match references.first() {
        None => return Err(Error::input("there are no references; give one for each source")),
        Some(first) if first.is_empty() => {
            return Err(Error::input("reference 1 is empty; give recordings with samples"));
        }
        Some(first) => first.len(),
    };
    for (kind, signals) in [("reference", references), ("estimate", estimates)] {
        for (signal, index) in zip(signals, 1..) {
            check_signal(&format!("{kind} {index}"), signal, samples)?;
        }
    }
    Ok(samples)
}

/// Checks that a signal has `samples` samples, all finite.
pub(super) fn check_signal(name: &str, signal: &[f64], samples: usize) -> Result<()> {
    if signal.len() != samples {
        return Err(Error::input(format!(
            "{name} has {} samples, but reference 1 has {samples}; cut or pad them to one length",
            signal.len()
        )));
    }
    match signal.iter().position(|x| !x.is_finite()) {
        Some(place) => Err(Error::input(format!("{name} is not finite at sample {place}; repair the recording"))),
        None => Ok(()),
    }
}

fn check_taps(taps: usize) -> Result<()> {
    if taps == 0 {
        return Err(Error::input("distortion filters of 0 taps cannot scale a source; use at least 1, usually 512"));
    }
    Ok(())
}

/// The subspaces that the delayed references span, prepared once for all estimates.
struct Subspaces {
    fourier: Fourier,
    /// Samples of a filtered reference.
    length: usize,
    /// The projection on each reference alone. None if it is silent.
    each: Vec<Option<Projection>>,
    /// The projection on all references that are not silent.
    all: Projection,
}

impl Subspaces {
    fn new(references: &[Vec<f64>], taps: usize) -> Self {
        let length = references.first().map_or(0, Vec::len) + taps - 1;
        let fourier = Fourier::new(length);
        let spectra: Vec<Option<Spectrum>> =
            references.iter().map(|reference| unit(vec![reference]).map(|unit| fourier.spectrum(&unit[0]))).collect();
        let on = |references| Projection::new(&fourier, references, taps);
        Self {
            each: spectra.iter().map(|spectrum| spectrum.clone().map(|one| on(vec![one]))).collect(),
            all: on(spectra.into_iter().flatten().collect()),
            length,
            fourier,
        }
    }

    /// The energies of an estimate, scored as each of the `sources`. The estimate must have unit energy.
    fn energies(&self, estimate: &[f64], sources: Range<usize>) -> Vec<Energies> {
        let spectrum = self.fourier.spectrum(estimate);
        let all = self.all.of(&spectrum);
        let explained = energy(&all[..self.length]);
        let artifacts = distance(estimate, &all);
        let of = |target: Vec<f64>| Energies {
            target: energy(&target[..self.length]),
            distortion: distance(estimate, &target),
            interference: distance(&target[..self.length], &all),
            explained,
            artifacts,
        };
        let none = || vec![0.0; all.len()];
        self.each[sources].iter().map(|one| of(one.as_ref().map_or_else(none, |one| one.of(&spectrum)))).collect()
    }
}

/// The energies of an estimate's parts.
#[derive(Debug, Clone, Copy, Default)]
struct Energies {
    target: f64,
    /// Interference and artifacts.
    distortion: f64,
    interference: f64,
    /// Target and interference.
    explained: f64,
    artifacts: f64,
}

impl Energies {
    fn add(&mut self, other: &Self) {
        self.target += other.target;
        self.distortion += other.distortion;
        self.interference += other.interference;
        self.explained += other.explained;
        self.artifacts += other.artifacts;
    }

    fn ratios(&self) -> Bss {
        Bss {
            sdr: decibels(self.target, self.distortion),
            sir: decibels(self.target, self.interference),
            sar: decibels(self.explained, self.artifacts),
        }
    }
}

/// References of one or more channels. Each channel is decomposed by itself, with its own filters, and the energies are
/// summed over the channels.
pub(super) struct Scene {
    channels: Vec<Subspaces>,
    /// Whether a reference is not silent, in any channel.
    sounds: Vec<bool>,
}

impl Scene {
    /// `channels` holds all references of every channel, (C, J, N). The caller has run [`check`] on them, and `taps` is
    /// not 0.
    pub(super) fn new(channels: &[Vec<Vec<f64>>], taps: usize) -> Self {
        let channels: Vec<_> = channels.iter().map(|references| Subspaces::new(references, taps)).collect();
        let sources = channels.first().map_or(0, |channel| channel.each.len());
        let sounds = (0..sources).map(|j| channels.iter().any(|channel| channel.each[j].is_some())).collect();
        Self { channels, sounds }
    }

    /// Scores one estimate (C, N) as each of the `sources`.
    pub(super) fn score<'a>(&self, estimate: impl Iterator<Item = &'a [f64]>, sources: Range<usize>) -> Vec<Bss> {
        let Some(estimate) = unit(estimate.collect()) else {
            return vec![Bss::UNDEFINED; sources.len()];
        };
        let mut energies = vec![Energies::default(); sources.len()];
        for (channel, mut estimate) in zip(&self.channels, estimate) {
            estimate.resize(channel.length, 0.0);
            let of_channel = channel.energies(&estimate, sources.clone());
            zip(&mut energies, &of_channel).for_each(|(sum, one)| sum.add(one));
        }
        let sounds = self.sounds[sources].iter();
        zip(energies, sounds)
            .map(|(energies, &sounds)| if sounds { energies.ratios() } else { Bss::UNDEFINED })
            .collect()
    }

    /// Scores estimate j of `estimates` (C, J, N) against source j.
    pub(super) fn score_in_order(&self, estimates: &[Vec<Vec<f64>>]) -> Vec<Bss> {
        (0..self.sounds.len()).flat_map(|j| self.score(channels(estimates, j), j..j + 1)).collect()
    }

    /// Scores the estimates (C, J, N) in the best order; see [`bss_eval_permuted`].
    pub(super) fn score_in_best_order(&self, estimates: &[Vec<Vec<f64>>]) -> (Vec<usize>, Vec<Bss>) {
        let sources = self.sounds.len();
        let table: Vec<_> = (0..sources).map(|j| self.score(channels(estimates, j), 0..sources)).collect();
        let order = best_order(sources, |estimate, source| (table[estimate][source].sir, table[estimate][source].sdr));
        let scores = order.iter().enumerate().map(|(source, &estimate)| table[estimate][source]).collect();
        (order, scores)
    }
}

/// The channels of signal j.
fn channels(signals: &[Vec<Vec<f64>>], j: usize) -> impl Iterator<Item = &[f64]> {
    signals.iter().map(move |channel| channel[j].as_slice())
}

impl Bss {
    const UNDEFINED: Self = Self { sdr: f64::NAN, sir: f64::NAN, sar: f64::NAN };
}

/// A signal's channels, scaled to a total energy of 1. None if it is silent. No measure depends on the level. Dividing
/// by the peak first keeps the energy in range for the faintest and the loudest signals.
fn unit(channels: Vec<&[f64]>) -> Option<Vec<Vec<f64>>> {
    let peak = channels.iter().copied().flatten().fold(0.0, |peak: f64, x| peak.max(x.abs()));
    if peak == 0.0 {
        return None;
    }
    let mut unit: Vec<Vec<f64>> = channels.iter().map(|signal| signal.iter().map(|x| x / peak).collect()).collect();
    let norm = unit.iter().map(|signal| energy(signal)).sum::<f64>().sqrt();
    unit.iter_mut().flatten().for_each(|x| *x /= norm);
    Some(unit)
}

/// The energy of a - b. `b` may be longer than `a`.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    zip(a, b).map(|(a, b)| (a - b).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    fn noise(seed: u64, samples: usize) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as f64 / 2f64.powi(30) - 1.0
        };
        (0..samples).map(|_| next()).collect()
    }

    fn sum(a: &[f64], b: &[f64], weight: f64) -> Vec<f64> {
        zip(a, b).map(|(a, b)| a + weight * b).collect()
    }

    fn ratio(signal: f64, noise: f64) -> f64 {
        10.0 * (signal / noise).log10()
    }

    #[track_caller]
    fn assert_close(got: Bss, want: [f64; 3], tolerance: f64) {
        let got = [got.sdr, got.sir, got.sar];
        let same = |(got, want): (f64, f64)| got == want || (got - want).abs() < tolerance;
        assert!(zip(got, want).all(same), "{got:?}, expected {want:?}");
    }

    #[test]
    fn scores_equal_hand_computed_ratios() {
        let references = [vec![2.0, 0.0, 0.0], vec![0.0, 0.5, 0.0]];
        let estimates = [vec![3.0, 1.0, 2.0], vec![1.0, 4.0, 1.0]];
        let scores = bss_eval(&references, &estimates, 1).unwrap();
        assert_close(scores[0], [ratio(9.0, 5.0), ratio(9.0, 1.0), ratio(10.0, 4.0)], 1e-12);
        assert_close(scores[1], [ratio(16.0, 2.0), ratio(16.0, 1.0), ratio(17.0, 1.0)], 1e-12);
        // A second tap lets the target reach sample 1 as well.
        let alone = bss_eval(&references[..1], &estimates[..1], 2).unwrap();
        assert_close(alone[0], [ratio(10.0, 4.0), f64::INFINITY, ratio(10.0, 4.0)], 1e-12);
    }

    #[test]
    fn a_filtered_source_does_not_count_as_distortion() {
        let source = noise(1, 400);
        let mut echo = source.clone();
        (3..400).for_each(|n| echo[n] -= 0.5 * source[n - 3]);
        // The echo's last three samples are cut off. No filter explains them.
        let last: f64 = source[397..].iter().map(|x| 0.25 * x * x).sum();
        let scores = bss_eval(&[source], &[echo.clone()], 4).unwrap();
        assert!(scores[0].sdr > ratio(energy(&echo), 2.0 * last), "{:?}", scores[0]);
    }

    #[test]
    fn perfect_estimates_have_huge_defined_scores() {
        let references = [noise(1, 1000), noise(2, 1000)];
        for score in bss_eval(&references, &references, 16).unwrap() {
            assert!(score.sdr > 200.0 && score.sir > 200.0 && score.sar > 200.0, "{score:?}");
        }
    }

    #[test]
    fn scores_do_not_depend_on_the_level() {
        let references = [noise(1, 500), noise(2, 500)];
        let estimates = [sum(&references[0], &noise(3, 500), 0.1), sum(&references[1], &noise(4, 500), 0.3)];
        let faint = |signal: &Vec<f64>, gain: f64| signal.iter().map(|x| gain * x).collect::<Vec<_>>();
        let scores = bss_eval(&references, &estimates, 8).unwrap();
        let scaled = bss_eval(
            &[faint(&references[0], 1e-200), faint(&references[1], 1e200)],
            &[faint(&estimates[0], 1e-9), faint(&estimates[1], 1e-300)],
            8,
        );
        for (scaled, score) in zip(scaled.unwrap(), scores) {
            assert_close(scaled, [score.sdr, score.sir, score.sar], 1e-9);
        }
    }

    #[test]
    fn a_silent_source_scores_nan_and_does_not_affect_others() {
        let (a, b, silence) = (noise(1, 300), noise(2, 300), vec![0.0; 300]);
        let estimate = sum(&a, &b, 0.1);
        let scores = bss_eval(&[a.clone(), silence.clone()], &[estimate.clone(), b.clone()], 4).unwrap();
        assert_eq!(scores[0], bss_eval(from_ref(&a), from_ref(&estimate), 4).unwrap()[0]);
        assert_eq!(scores[0].sir, f64::INFINITY);
        assert!(scores[1].sdr.is_nan() && scores[1].sir.is_nan() && scores[1].sar.is_nan());
        let scores = bss_eval(&[a.clone(), b.clone()], &[estimate.clone(), silence.clone()], 4).unwrap();
        assert!(scores[0].sdr > 10.0 && scores[1].sdr.is_nan());
        let scores = bss_eval(&[silence], &[estimate], 4).unwrap();
        assert!(scores[0].sdr.is_nan());
    }

    #[test]
    fn references_that_are_copies_are_scored_like_one() {
        let (a, b) = (noise(1, 300), noise(2, 300));
        let estimate = sum(&a, &b, 0.1);
        let alone = bss_eval(from_ref(&a), from_ref(&estimate), 32).unwrap()[0];
        for score in bss_eval(&[a.clone(), a], &[estimate.clone(), estimate], 32).unwrap() {
            assert!((score.sdr - alone.sdr).abs() < 1e-9 && (score.sar - alone.sar).abs() < 1e-9, "{score:?}");
            assert!(score.sir > 150.0, "{score:?}");
        }
    }

    #[test]
    fn swapped_estimates_are_put_in_order() {
        let references = [noise(1, 300), noise(2, 300), noise(3, 300)];
        let estimates = [2, 0, 1].map(|source: usize| sum(&references[source], &noise(9, 300), 0.2));
        let (order, scores) = bss_eval_permuted(&references, &estimates, 2).unwrap();
        assert_eq!(order, [1, 2, 0]);
        let sorted: Vec<Vec<f64>> = order.iter().map(|&estimate| estimates[estimate].clone()).collect();
        assert_eq!(scores, bss_eval(&references, &sorted, 2).unwrap());
    }

    #[test]
    fn sdr_decides_the_order_if_only_one_reference_sounds() {
        let (a, b) = (noise(1, 300), noise(2, 300));
        let references = [a.clone(), vec![0.0; 300]];
        let (order, scores) = bss_eval_permuted(&references, &[sum(&b, &a, 0.1), sum(&a, &b, 0.1)], 4).unwrap();
        assert_eq!(order, [1, 0]);
        assert!(scores[0].sdr > 15.0 && scores[0].sir == f64::INFINITY);
    }

    #[test]
    fn channels_are_decomposed_separately_and_energies_summed() {
        // One tap and references that do not overlap, so that the energies can be computed by hand.
        let references =
            [vec![vec![2.0, 0.0, 0.0], vec![0.0, 1.0, 0.0]], vec![vec![0.0, 0.0, 4.0], vec![0.0, 5.0, 0.0]]];
        let estimates = [vec![vec![3.0, 1.0, 2.0], vec![0.0; 3]], vec![vec![1.0, 0.0, 5.0], vec![0.0; 3]]];
        let scores = Scene::new(&references, 1).score_in_order(&estimates);
        // Target 9 + 25, interference 1 + 0, artifacts 4 + 1.
        assert_close(scores[0], [ratio(34.0, 6.0), ratio(34.0, 1.0), ratio(35.0, 5.0)], 1e-12);
        assert!(scores[1].sdr.is_nan(), "a silent estimate");
        // A reference that is silent in a channel explains nothing there.
        let references = [vec![vec![1.0, 0.0, 0.0]], vec![vec![0.0; 3]]];
        let scores = Scene::new(&references, 1).score_in_order(&[vec![vec![3.0, 0.0, 0.0]], vec![vec![1.0, 0.0, 1.0]]]);
        assert_close(scores[0], [ratio(9.0, 2.0), f64::INFINITY, ratio(9.0, 2.0)], 1e-12);
    }

    #[test]
    fn unusable_signals_are_named() {
        let signal = || vec![1.0, 2.0];
        for (references, estimates, text) in [
            (vec![], vec![], "there are no references; give one for each source"),
            (vec![vec![]], vec![vec![]], "reference 1 is empty; give recordings with samples"),
            (vec![signal()], vec![], "1 references and 0 estimates do not match; give one estimate for each reference"),
            (
                vec![signal(), signal()],
                vec![signal(), vec![1.0]],
                "estimate 2 has 1 samples, but reference 1 has 2; cut or pad them to one length",
            ),
            (
                vec![signal(), vec![0.0, f64::NAN]],
                vec![signal(), signal()],
                "reference 2 is not finite at sample 1; repair the recording",
            ),
        ] {
            assert_eq!(bss_eval(&references, &estimates, 2).unwrap_err().to_string(), text);
        }
        assert!(bss_eval(&[signal()], &[signal()], 0).unwrap_err().to_string().contains("0 taps"));
    }
}
