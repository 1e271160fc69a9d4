//! How good an estimate of a source is, in decibels: SNR, SI-SDR, and SDR, SIR and SAR of BSS Eval v3.

mod bss;
mod order;
mod projection;
mod ratio;

use serde::{Serialize, Serializer};

pub use bss::{Bss, TAPS, bss_eval, bss_eval_permuted};
pub use ratio::{Mean, si_sdr, snr};

use crate::Result;

/// Which estimate belongs to which reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Estimate j to reference j.
    Given,
    /// The order with the best mean SIR; see [`bss_eval_permuted`].
    Best,
}

/// How good the estimate of one source is.
#[derive(Debug, Clone, Serialize)]
pub struct Scores {
    /// The index, from 0, of the estimate that was taken for the source.
    pub estimate: usize,
    /// The estimate's measures.
    #[serde(flatten)]
    pub measures: Measures,
    /// By how much they exceed those of the untouched mixture, where that was given. The improvement of SAR says
    /// little: a mixture of the references alone holds no artifacts, so its SAR is rounding noise.
    pub improvement: Option<Measures>,
}

/// Every measure of one estimate, in dB.
///
/// In files an infinite measure is the string "inf" or "-inf" and an undefined one (NaN) is null.
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

/// Scores the estimates of J sources, N samples each, by every measure; one result per reference, in their order.
///
/// A silent reference or estimate is no error: what is undefined for that source is NaN.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if there are no signals, empty ones, ones whose lengths differ or that hold a
/// sample that is not finite, not as many estimates as references, or too many for [`Order::Best`].
pub fn evaluate(
    references: &[Vec<f64>],
    estimates: &[Vec<f64>],
    mixture: Option<&[f64]>,
    order: Order,
) -> Result<Vec<Scores>> {
    let samples = bss::check(references, estimates)?;
    if let Some(mixture) = mixture {
        bss::check_signal("the mixture", mixture, samples)?;
    }
    let subspaces = bss::Subspaces::new(references, TAPS);
    let (order, scores) = match order {
        Order::Given => ((0..references.len()).collect(), subspaces.score_in_order(estimates)),
        Order::Best => subspaces.score_in_best_order(estimates)?,
    };
    let of_mixture = mixture.map(|mixture| subspaces.score(mixture, 0..references.len()));
    let sources = references.iter().zip(order).zip(scores).enumerate();
    Ok(sources
        .map(|(source, ((reference, estimate), bss))| {
            let measures = Measures::new(reference, &estimates[estimate], bss);
            let improvement = mixture
                .zip(of_mixture.as_ref())
                .map(|(mixture, bss)| measures.minus(&Measures::new(reference, mixture, bss[source])));
            Scores { estimate, measures, improvement }
        })
        .collect())
}

impl Measures {
    fn new(reference: &[f64], estimate: &[f64], Bss { sdr, sir, sar }: Bss) -> Self {
        Self { snr: snr(reference, estimate), si_sdr: si_sdr(reference, estimate, Mean::Kept), sdr, sir, sar }
    }

    fn minus(&self, other: &Self) -> Self {
        Self {
            snr: self.snr - other.snr,
            si_sdr: self.si_sdr - other.si_sdr,
            sdr: self.sdr - other.sdr,
            sir: self.sir - other.sir,
            sar: self.sar - other.sar,
        }
    }
}

/// JSON has no infinities and no NaN; an infinite ratio is a result, an undefined one is none.
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
    use super::*;

    fn tone(frequency: f64) -> Vec<f64> {
        (0..800).map(|n| (frequency * n as f64).sin() * (0.01 * n as f64).cos()).collect()
    }

    #[test]
    fn a_report_holds_every_measure_in_the_order_of_the_references() {
        let references = [tone(0.3), tone(1.1)];
        let leak = |a: usize, b: usize| (0..800).map(|n| references[a][n] + 0.1 * references[b][n]).collect::<Vec<_>>();
        let estimates = [leak(1, 0), leak(0, 1)];
        let mixture: Vec<f64> = (0..800).map(|n| references[0][n] + references[1][n]).collect();
        let report = evaluate(&references, &estimates, Some(&mixture), Order::Best).unwrap();
        assert_eq!(report.iter().map(|scores| scores.estimate).collect::<Vec<_>>(), [1, 0]);
        let (_, bss) = bss_eval_permuted(&references, &estimates, TAPS).unwrap();
        for (source, scores) in report.iter().enumerate() {
            let (reference, estimate) = (&references[source], &estimates[1 - source]);
            let Measures { snr: noise, si_sdr: scaled, sdr, sir, sar } = scores.measures;
            assert_eq!(Bss { sdr, sir, sar }, bss[source]);
            assert_eq!(noise, snr(reference, estimate));
            assert_eq!(scaled, si_sdr(reference, estimate, Mean::Kept));
            // The interference fell from 1 to 0.1: by 20 dB.
            let improvement = scores.improvement.unwrap();
            assert!((improvement.snr - 20.0).abs() < 1e-9, "{improvement:?}");
            assert_eq!(improvement.si_sdr, scaled - si_sdr(reference, &mixture, Mean::Kept));
        }
        let given = evaluate(&references, &estimates, None, Order::Given).unwrap();
        assert!(given.iter().enumerate().all(|(j, scores)| scores.estimate == j && scores.improvement.is_none()));
        assert!(given[0].measures.snr < 0.0);
    }

    #[test]
    fn json_carries_what_is_infinite_or_undefined() {
        let measures = Measures { snr: f64::INFINITY, si_sdr: f64::NEG_INFINITY, sdr: f64::NAN, sir: 1.5, sar: -2.0 };
        let scores = Scores { estimate: 0, measures, improvement: None };
        assert_eq!(
            serde_json::to_string(&scores).unwrap(),
            r#"{"estimate":0,"snr":"inf","si_sdr":"-inf","sdr":null,"sir":1.5,"sar":-2.0,"improvement":null}"#
        );
    }

    #[test]
    fn a_mixture_of_another_length_is_refused() {
        let references = [tone(0.3)];
        let error = evaluate(&references, &references, Some(&[1.0]), Order::Given).unwrap_err().to_string();
        assert_eq!(error, "the mixture has 1 samples, but reference 1 has 800; cut or pad them to one length");
    }
}
