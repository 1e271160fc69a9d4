//! The measures of estimates, all of them at once.

use serde::{Serialize, Serializer};

use super::bss::{self, Bss, TAPS};
use super::order;
use super::ratio::{Mean, si_sdr, snr};
use crate::{Error, Result};

/// The assignment of estimates to references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Estimate j to reference j.
    Given,
    /// The order with the best mean SIR, or the best mean SDR if the SIRs are equal; see [`bss_eval_permuted`](super::bss_eval_permuted).
    Best,
}

/// The quality of one source's estimate.
#[derive(Debug, Clone, Serialize)]
pub struct Scores {
    /// The index, from 0, of the estimate assigned to the source.
    pub estimate: usize,
    /// The estimate's measures.
    #[serde(flatten)]
    pub measures: Measures,
    /// The measures minus those of the unprocessed mixture, if a mixture was given. The improvement of SAR says little:
    /// a mixture of the references alone has no artifacts, so its SAR is rounding noise.
    pub improvement: Option<Measures>,
}

/// All measures of one estimate, in dB.
///
/// In files, an infinite measure is the string "inf" or "-inf", and an undefined measure (NaN) is null.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measures {
    /// Signal-to-noise ratio, [`snr`].
    #[serde(serialize_with = "decibels")]
    pub snr: f64,
    /// Scale-invariant signal-to-distortion ratio, [`si_sdr`] with the means kept.
    #[serde(serialize_with = "decibels")]
    pub si_sdr: f64,
    /// Signal-to-distortion ratio, [`Bss::sdr`].
    #[serde(serialize_with = "decibels")]
    pub sdr: f64,
    /// Signal-to-interference ratio, [`Bss::sir`].
    #[serde(serialize_with = "decibels")]
    pub sir: f64,
    /// Signal-to-artifacts ratio, [`Bss::sar`].
    #[serde(serialize_with = "decibels")]
    pub sar: f64,
}

/// Scores the estimates of J sources (C channels, N samples each) by every measure. Returns one result per reference,
/// in their order.
///
/// Each channel is compared with the same channel of the reference, and a ratio is one of energies summed over all
/// channels. SNR and SI-SDR treat the channels as one concatenated signal. BSS Eval projects each channel on the same
/// channel of the references, with its own filters.
///
/// A silent reference or estimate is not an error: its undefined measures are NaN.
///
/// # Errors
/// [`Error::Input`] if there are no signals, a signal is empty or holds a non-finite sample, channel counts or lengths
/// differ, or the number of estimates is not that of the references.
pub fn evaluate(
    references: &[Vec<Vec<f64>>],
    estimates: &[Vec<Vec<f64>>],
    mixture: Option<&[Vec<f64>]>,
    order: Order,
) -> Result<Vec<Scores>> {
    let channels = references.first().map_or(0, Vec::len);
    let named = |kind, signals: &[Vec<Vec<f64>>]| -> Vec<(String, usize)> {
        signals.iter().zip(1..).map(|(signal, index)| (format!("{kind} {index}"), signal.len())).collect()
    };
    let of_mixture = mixture.map(|mixture| ("the mixture".to_string(), mixture.len()));
    for (name, count) in
        named("reference", references).into_iter().chain(named("estimate", estimates)).chain(of_mixture)
    {
        if count != channels {
            let message =
                format!("{name} has {count} channel(s), but reference 1 has {channels}; use the same number for all");
            return Err(Error::input(message));
        }
    }
    let of_channels = |signals: &[Vec<Vec<f64>>]| -> Vec<Vec<Vec<f64>>> {
        (0..channels.max(1))
            .map(|c| signals.iter().map(|signal| signal.get(c).cloned().unwrap_or_default()).collect())
            .collect()
    };
    let (by_channel, estimates_by_channel) = (of_channels(references), of_channels(estimates));
    for (c, (references, estimates)) in by_channel.iter().zip(&estimates_by_channel).enumerate() {
        let samples = bss::check(references, estimates)?;
        if let Some(channel) = mixture.and_then(|mixture| mixture.get(c)) {
            bss::check_signal("the mixture", channel, samples)?;
        }
    }
    let scene = bss::Scene::new(&by_channel, TAPS);
    let (order, scores) = match order {
        Order::Given => ((0..references.len()).collect(), scene.score_in_order(&estimates_by_channel)),
        Order::Best => scene.score_in_best_order(&estimates_by_channel),
    };
    let of_mixture =
        mixture.map(|mixture| (mixture.concat(), scene.score(mixture.iter().map(Vec::as_slice), 0..references.len())));
    let sources = references.iter().zip(order).zip(scores).enumerate();
    Ok(sources
        .map(|(source, ((reference, estimate), bss))| {
            let reference = reference.concat();
            let measures = Measures::new(&reference, &estimates[estimate].concat(), bss);
            let improvement = of_mixture
                .as_ref()
                .map(|(mixture, bss)| measures.minus(&Measures::new(&reference, mixture, bss[source])));
            Scores { estimate, measures, improvement }
        })
        .collect())
}

/// By how many dB of SI-SDR, on average over the sources, another order of the estimates fits better than the given one; 0 if
/// none does. Signals are as for [`evaluate`]. Ratios beyond ±100 dB count as these, and undefined ones as 0 dB.
///
/// ```
/// use partwise_signal::evaluate::better_order;
///
/// let (one, other) = (vec![vec![1.0, 0.1, -0.5, 0.2]], vec![vec![0.3, 0.9, 0.1, -0.8]]);
/// let references = [one.clone(), other.clone()];
/// assert_eq!(better_order(&references, &references), 0.0);
/// assert!(better_order(&references, &[other, one]) > 3.0);
/// ```
pub fn better_order(references: &[Vec<Vec<f64>>], estimates: &[Vec<Vec<f64>>]) -> f64 {
    let joined = |signals: &[Vec<Vec<f64>>]| signals.iter().map(|signal| signal.concat()).collect::<Vec<_>>();
    let (references, estimates) = (joined(references), joined(estimates));
    let ratio = |estimate: &Vec<f64>, reference: &Vec<f64>| match si_sdr(reference, estimate, Mean::Kept) {
        undefined if undefined.is_nan() => 0.0,
        ratio => ratio.clamp(-100.0, 100.0),
    };
    let ratios: Vec<Vec<f64>> =
        estimates.iter().map(|one| references.iter().map(|reference| ratio(one, reference)).collect()).collect();
    let best = order::best_order(references.len(), |estimate, source| (ratios[estimate][source], 0.0));
    let gain = best.iter().enumerate().map(|(source, &estimate)| ratios[estimate][source] - ratios[source][source]);
    gain.sum::<f64>() / references.len().max(1) as f64
}

impl Measures {
    fn new(reference: &[f64], estimate: &[f64], Bss { sdr, sir, sar }: Bss) -> Self {
        Self { snr: snr(reference, estimate), si_sdr: si_sdr(reference, estimate, Mean::Kept), sdr, sir, sar }
    }

    fn minus(&self, other: &Self) -> Self {
        Self::each(|measure| measure(self) - measure(other))
    }

    /// Every measure from a function of it, which gets what takes the measure from all.
    pub fn each(of: impl Fn(fn(&Self) -> f64) -> f64) -> Self {
        Self {
            snr: of(|all| all.snr),
            si_sdr: of(|all| all.si_sdr),
            sdr: of(|all| all.sdr),
            sir: of(|all| all.sir),
            sar: of(|all| all.sar),
        }
    }
}

/// JSON has neither infinities nor NaN. An infinite ratio is a valid result, written as a string. An undefined one is
/// null.
fn decibels<S: Serializer>(value: &f64, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    match *value {
        f64::INFINITY => serializer.serialize_str("inf"),
        f64::NEG_INFINITY => serializer.serialize_str("-inf"),
        value if value.is_nan() => serializer.serialize_none(),
        value => serializer.serialize_f64(value),
    }
}

#[cfg(test)]
mod tests {
    use super::super::bss::bss_eval_permuted;
    use super::*;

    fn tone(frequency: f64) -> Vec<f64> {
        (0..800).map(|n| (frequency * n as f64).sin() * (0.01 * n as f64).cos()).collect()
    }

    #[test]
    fn a_better_order_is_measured_in_decibels() {
        let references = [tone(0.3), tone(1.1), tone(2.0)].map(|signal| vec![signal]);
        let leaking = |a: usize, b: usize| -> Vec<Vec<f64>> {
            vec![(0..800).map(|n| references[a][0][n] + 0.1 * references[b][0][n]).collect()]
        };
        let estimates = [leaking(0, 1), leaking(1, 2), leaking(2, 0)];
        assert_eq!(better_order(&references, &estimates), 0.0);
        let turned = [estimates[1].clone(), estimates[2].clone(), estimates[0].clone()];
        let right = estimates.iter().zip(&references).map(|(e, r)| si_sdr(&r[0], &e[0], Mean::Kept)).sum::<f64>();
        let wrong = turned.iter().zip(&references).map(|(e, r)| si_sdr(&r[0], &e[0], Mean::Kept)).sum::<f64>();
        assert!((better_order(&references, &turned) - (right - wrong) / 3.0).abs() < 1e-9);
        let silent = [vec![vec![0.0; 800]], references[1].clone(), references[2].clone()];
        assert_eq!(better_order(&references, &silent), 0.0);
    }

    #[test]
    fn a_report_holds_every_measure_in_the_order_of_the_references() {
        let references = [tone(0.3), tone(1.1)];
        let leak = |a: usize, b: usize| (0..800).map(|n| references[a][n] + 0.1 * references[b][n]).collect::<Vec<_>>();
        let estimates = [leak(1, 0), leak(0, 1)];
        let mixture: Vec<f64> = (0..800).map(|n| references[0][n] + references[1][n]).collect();
        let mono = |signals: &[Vec<f64>]| signals.iter().map(|signal| vec![signal.clone()]).collect::<Vec<_>>();
        let (sources, guesses, whole) = (mono(&references), mono(&estimates), [mixture.clone()]);
        let report = evaluate(&sources, &guesses, Some(&whole), Order::Best).unwrap();
        assert_eq!(report.iter().map(|scores| scores.estimate).collect::<Vec<_>>(), [1, 0]);
        let (_, bss) = bss_eval_permuted(&references, &estimates, TAPS).unwrap();
        for (source, scores) in report.iter().enumerate() {
            let (reference, estimate) = (&references[source], &estimates[1 - source]);
            let Measures { snr: noise, si_sdr: scaled, sdr, sir, sar } = scores.measures;
            assert_eq!(Bss { sdr, sir, sar }, bss[source]);
            assert_eq!(noise, snr(reference, estimate));
            assert_eq!(scaled, si_sdr(reference, estimate, Mean::Kept));
            // The interference fell from 1 to 0.1, by 20 dB.
            let improvement = scores.improvement.unwrap();
            assert!((improvement.snr - 20.0).abs() < 1e-9, "{improvement:?}");
            assert_eq!(improvement.si_sdr, scaled - si_sdr(reference, &mixture, Mean::Kept));
        }
        let given = evaluate(&sources, &guesses, None, Order::Given).unwrap();
        assert!(given.iter().enumerate().all(|(j, scores)| scores.estimate == j && scores.improvement.is_none()));
        assert!(given[0].measures.snr < 0.0);
    }

    #[test]
    fn json_represents_infinite_and_undefined_measures() {
        let measures = Measures { snr: f64::INFINITY, si_sdr: f64::NEG_INFINITY, sdr: f64::NAN, sir: 1.5, sar: -2.0 };
        let scores = Scores { estimate: 0, measures, improvement: None };
        assert_eq!(
            serde_json::to_string(&scores).unwrap(),
            r#"{"estimate":0,"snr":"inf","si_sdr":"-inf","sdr":null,"sir":1.5,"sar":-2.0,"improvement":null}"#
        );
    }

    #[test]
    fn a_mixture_of_another_length_is_refused() {
        let references = [vec![tone(0.3)]];
        let error = evaluate(&references, &references, Some(&[vec![1.0]]), Order::Given).unwrap_err().to_string();
        assert_eq!(error, "the mixture has 1 samples, but reference 1 has 800; cut or pad them to one length");
    }

    #[test]
    fn each_channel_is_compared_with_the_same_channel() {
        let (left, right) = (tone(0.3), tone(1.1));
        let (reference, swapped) = (vec![left.clone(), right.clone()], vec![right.clone(), left.clone()]);
        let score = |estimate: &[Vec<f64>]| {
            evaluate(std::slice::from_ref(&reference), &[estimate.to_vec()], None, Order::Given).unwrap()[0].measures
        };
        assert!(score(&reference).sdr > 200.0 && score(&reference).snr == f64::INFINITY);
        let exchanged = score(&swapped);
        assert!(exchanged.sdr < 30.0 && exchanged.snr < 3.0 && exchanged.si_sdr < 0.0, "{exchanged:?}");
        // Channels in opposite phase, and one silent channel.
        let turned = vec![left.clone(), left.iter().map(|x| -x).collect()];
        let of_turned = evaluate(std::slice::from_ref(&turned), std::slice::from_ref(&turned), None, Order::Given)
            .unwrap()[0]
            .measures;
        assert!(of_turned.sdr > 200.0);
        let one_side = vec![left.clone(), vec![0.0; 800]];
        let both_sides = vec![left.clone(), left.iter().map(|x| 0.1 * x).collect()];
        let of_side = evaluate(&[one_side], &[both_sides], None, Order::Given).unwrap()[0].measures;
        assert!((of_side.sdr - 20.0).abs() < 1e-6 && (of_side.snr - 20.0).abs() < 1e-6, "{of_side:?}");
        // Two equal channels score like one.
        let (noisy, plain) = (tone(0.301), [vec![left.clone()]]);
        let one = evaluate(&plain, &[vec![noisy.clone()]], None, Order::Given).unwrap()[0].measures;
        let two = evaluate(&[vec![left.clone(), left.clone()]], &[vec![noisy.clone(), noisy]], None, Order::Given);
        let two = two.unwrap()[0].measures;
        assert!(
            (one.sdr - two.sdr).abs() < 1e-9 && (one.sar - two.sar).abs() < 1e-9 && (one.snr - two.snr).abs() < 1e-9
        );
        let error = evaluate(&[reference], &[vec![left]], None, Order::Given).unwrap_err().to_string();
        assert_eq!(error, "estimate 1 has 1 channel(s), but reference 1 has 2; use the same number for all");
    }
}
