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

/// The most sources of which every order is tried.
const MOST_ORDERED: usize = 8;

/// How good the estimate of one source is (Vincent, Gribonval and Févotte, 2006), in dB.
///
/// The estimate is projected on its reference and on all references, each delayed by 0 to `taps - 1` samples: the
/// first projection is the target, the rest of the second is interference, the rest of the estimate artifacts. +inf
/// where the denominator is zero, such as SIR for one source alone; NaN where reference or estimate are silent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bss {
    /// Signal to distortion: target over interference and artifacts.
    pub sdr: f64,
    /// Signal to interference: target over interference.
    pub sir: f64,
    /// Signal to artifacts: target and interference over artifacts.
    pub sar: f64,
}

/// Scores estimate j by reference j, for J signals of N samples each; `taps` is the length of the distortion filters
/// ([`TAPS`] is usual). Silent references explain nothing and are left out of the projections of the others.
///
/// # Errors
/// [`Error::Input`] if there are no signals, empty ones, ones whose lengths differ or that hold a sample that is not
/// finite, not as many estimates as references, or no taps.
pub fn bss_eval(references: &[Vec<f64>], estimates: &[Vec<f64>], taps: usize) -> Result<Vec<Bss>> {
    check(references, estimates)?;
    check_taps(taps)?;
    Ok(Subspaces::new(references, taps).score_in_order(estimates))
}

/// Like [`bss_eval`] in the order of the estimates whose mean SIR is the highest: the index of the estimate for each
/// reference, and their scores. A NaN counts as 0; of equal orders the lexicographically first is taken.
///
/// # Errors
/// Those of [`bss_eval`], and if there are more than 8 sources.
pub fn bss_eval_permuted(
    references: &[Vec<f64>],
    estimates: &[Vec<f64>],
    taps: usize,
) -> Result<(Vec<usize>, Vec<Bss>)> {
    check(references, estimates)?;
    check_taps(taps)?;
    Subspaces::new(references, taps).score_in_best_order(estimates)
}

/// Checks what [`bss_eval`] asks of signals; gives their length.
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

/// Checks that a signal has so many samples, all finite.
pub(super) fn check_signal(name: &str, signal: &[f64], samples: usize) -> Result<()> {
    if signal.len() != samples {
        return Err(Error::input(format!(
            "{name} has {} samples, but reference 1 has {samples}; cut or pad them to one length",
            signal.len()
        )));
    }
    match signal.iter().position(|x| !x.is_finite()) {
        Some(place) => Err(Error::input(format!("{name} is not finite at sample {place}; mend the recording"))),
        None => Ok(()),
    }
}

fn check_taps(taps: usize) -> Result<()> {
    if taps == 0 {
        return Err(Error::input("distortion filters of 0 taps cannot scale a source; use 1 or more, 512 is usual"));
    }
    Ok(())
}

/// The spans of a set of references under distortion filters, prepared once for all estimates.
pub(super) struct Subspaces {
    fourier: Fourier,
    /// Samples of a filtered reference.
    length: usize,
    /// The projection on each reference alone; none where it is silent.
    each: Vec<Option<Projection>>,
    /// The projection on all that are not silent.
    all: Projection,
}

impl Subspaces {
    /// The references must have passed [`check`], and `taps` not be 0.
    pub(super) fn new(references: &[Vec<f64>], taps: usize) -> Self {
        let length = references.first().map_or(0, Vec::len) + taps - 1;
        let fourier = Fourier::new(length);
        let spectra: Vec<Option<Spectrum>> =
            references.iter().map(|reference| unit(reference).map(|unit| fourier.spectrum(&unit))).collect();
        let on = |references| Projection::new(&fourier, references, taps);
        Self {
            each: spectra.iter().map(|spectrum| spectrum.clone().map(|one| on(vec![one]))).collect(),
            all: on(spectra.into_iter().flatten().collect()),
            length,
            fourier,
        }
    }

    /// Scores one estimate as that of each of the `sources`.
    pub(super) fn score(&self, estimate: &[f64], sources: Range<usize>) -> Vec<Bss> {
        let Some(mut estimate) = unit(estimate) else {
            return vec![Bss::UNDEFINED; sources.len()];
        };
        let spectrum = self.fourier.spectrum(&estimate);
        estimate.resize(self.length, 0.0);
        let all = self.all.of(&spectrum);
        let explained = energy(&all[..self.length]);
        let artifacts = distance(&estimate, &all);
        let score = |target: Vec<f64>| {
            let energy = energy(&target[..self.length]);
            Bss {
                sdr: decibels(energy, distance(&estimate, &target)),
                sir: decibels(energy, distance(&target[..self.length], &all)),
                sar: decibels(explained, artifacts),
            }
        };
        let each = self.each[sources].iter();
        each.map(|one| one.as_ref().map_or(Bss::UNDEFINED, |one| score(one.of(&spectrum)))).collect()
    }

    /// Scores estimate j as that of source j.
    pub(super) fn score_in_order(&self, estimates: &[Vec<f64>]) -> Vec<Bss> {
        estimates.iter().enumerate().flat_map(|(j, estimate)| self.score(estimate, j..j + 1)).collect()
    }

    /// Scores the estimates in the best order; see [`bss_eval_permuted`].
    pub(super) fn score_in_best_order(&self, estimates: &[Vec<f64>]) -> Result<(Vec<usize>, Vec<Bss>)> {
        let sources = estimates.len();
        if sources > MOST_ORDERED {
            return Err(Error::input(format!(
                "{sources} sources are too many to try every order; give the estimates in the references' order, \
                 or at most {MOST_ORDERED}"
            )));
        }
        let table: Vec<Vec<Bss>> = estimates.iter().map(|estimate| self.score(estimate, 0..sources)).collect();
        let order = best_order(sources, |estimate, source| table[estimate][source].sir);
        let scores = order.iter().enumerate().map(|(source, &estimate)| table[estimate][source]).collect();
        Ok((order, scores))
    }
}

impl Bss {
    const UNDEFINED: Self = Self { sdr: f64::NAN, sir: f64::NAN, sar: f64::NAN };
}

/// The signal at unit energy, none if it is silent. All measures are blind to level; dividing by the peak first keeps
/// the energy of the faintest and the loudest signals in range.
fn unit(signal: &[f64]) -> Option<Vec<f64>> {
    let peak = signal.iter().fold(0.0, |peak: f64, x| peak.max(x.abs()));
    if peak == 0.0 {
        return None;
    }
    let mut unit: Vec<f64> = signal.iter().map(|x| x / peak).collect();
    let norm = energy(&unit).sqrt();
    unit.iter_mut().for_each(|x| *x /= norm);
    Some(unit)
}

/// The energy of a difference; `b` may go on where `a` ends.
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
    fn scores_by_hand() {
        let references = [vec![2.0, 0.0, 0.0], vec![0.0, 0.5, 0.0]];
        let estimates = [vec![3.0, 1.0, 2.0], vec![1.0, 4.0, 1.0]];
        let scores = bss_eval(&references, &estimates, 1).unwrap();
        assert_close(scores[0], [ratio(9.0, 5.0), ratio(9.0, 1.0), ratio(10.0, 4.0)], 1e-12);
        assert_close(scores[1], [ratio(16.0, 2.0), ratio(16.0, 1.0), ratio(17.0, 1.0)], 1e-12);
        // A second tap lets the target have sample 1 as well.
        let alone = bss_eval(&references[..1], &estimates[..1], 2).unwrap();
        assert_close(alone[0], [ratio(10.0, 4.0), f64::INFINITY, ratio(10.0, 4.0)], 1e-12);
    }

    #[test]
    fn a_filtered_source_is_no_distortion() {
        let source = noise(1, 400);
        let mut echo = source.clone();
        (3..400).for_each(|n| echo[n] -= 0.5 * source[n - 3]);
        // The last three samples of the echo are cut off, which no filter explains.
        let last: f64 = source[397..].iter().map(|x| 0.25 * x * x).sum();
        let scores = bss_eval(&[source], &[echo.clone()], 4).unwrap();
        assert!(scores[0].sdr > ratio(energy(&echo), 2.0 * last), "{:?}", scores[0]);
    }

    #[test]
    fn perfect_estimates_are_huge_and_never_undefined() {
        let references = [noise(1, 1000), noise(2, 1000)];
        for score in bss_eval(&references, &references, 16).unwrap() {
            assert!(score.sdr > 200.0 && score.sir > 200.0 && score.sar > 200.0, "{score:?}");
        }
    }

    #[test]
    fn level_changes_nothing() {
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
    fn silence_is_undefined_and_harms_no_other_source() {
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
                "reference 2 is not finite at sample 1; mend the recording",
            ),
        ] {
            assert_eq!(bss_eval(&references, &estimates, 2).unwrap_err().to_string(), text);
        }
        assert!(bss_eval(&[signal()], &[signal()], 0).unwrap_err().to_string().contains("0 taps"));
        let nine = vec![signal(); 9];
        assert!(bss_eval_permuted(&nine, &nine, 1).unwrap_err().to_string().starts_with("9 sources are too many"));
    }
}
