//! The loss of an estimate and its gradient: 1 over the SI-SDR (16), minimized where the SI-SDR is the highest.

/// ‖s‖² ‖e‖² / (sᵀe)² − 1 of the clean samples s and an estimate e, and its gradient with respect to e. The SI-SDR is
/// −10 log₁₀ of it.
pub(super) fn loss(clean: &[f64], estimate: &[f64]) -> (f64, Vec<f64>) {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (ss, ee, se) = (dot(clean, clean), dot(estimate, estimate), dot(clean, estimate));
    let slope = |(s, e): (&f64, &f64)| 2.0 * ss / se / se * (e - ee / se * s);
    (ss / se * (ee / se) - 1.0, clean.iter().zip(estimate).map(slope).collect())
}

/// The SI-SDR in dB of a loss.
pub fn decibels(loss: f64) -> f64 {
    -10.0 * loss.log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let (clean, estimate) = ([1.0, -2.0, 0.5, 3.0], [0.7, -1.0, 1.5, 2.0]);
        let (value, gradient) = loss(&clean, &estimate);
        // SI-SDR: the estimate's part along s is (9.45/14.25) s.
        let part: f64 = 9.45 * 9.45 / 14.25;
        assert!((decibels(value) - 10.0 * (part / (7.74 - part)).log10()).abs() < 1e-12);
        for at in 0..4 {
            let moved = |by: f64| {
                let mut estimate = estimate;
                estimate[at] += by;
                loss(&clean, &estimate).0
            };
            let expected = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((gradient[at] - expected).abs() < 1e-8, "{at}");
        }
    }
}
