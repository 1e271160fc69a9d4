//! BSS Eval, version 3.

use std::{iter::zip, ops::Range};

use super::{
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

/// The order, an estimate for each source, with the highest sum of `sir(estimate, source)`; the first of equals.
fn best_order(sources: usize, sir: impl Fn(usize, usize) -> f64) -> Vec<usize> {
    // An infinite SIR must not make the sums equal, nor NaN when it meets its opposite.
    let bounded = |sir: f64| if sir.is_nan() { 0.0 } else { sir.clamp(-1e4, 1e4) };
    let mut order: Vec<usize> = (0..sources).collect();
    let mut best = (f64::NEG_INFINITY, order.clone());
    loop {
        let total = order.iter().enumerate().map(|(source, &estimate)| bounded(sir(estimate, source))).sum();
        if total > best.0 {
            best = (total, order.clone());
        }
        if !advance(&mut order) {
            return best.1;
        }
    }
}

/// The lexicographically next order; false after the last.
fn advance(order: &mut [usize]) -> bool {
    let Some(last_rise) = order.windows(2).rposition(|pair| pair[0] < pair[1]) else {
        return false;
    };
    let pivot = order[last_rise];
    if let Some(larger) = order.iter().rposition(|&index| index > pivot) {
        order.swap(last_rise, larger);
    }
    order[last_rise + 1..].reverse();
    true
}
