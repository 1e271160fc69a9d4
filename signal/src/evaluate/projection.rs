//! Least-squares projection of a signal on delayed copies of other signals.

use std::{iter::zip, sync::Arc};

use ndarray::{Array1, Array2, s};
use rayon::prelude::*;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex, num_complex::Complex};

use super::cholesky::Cholesky;

/// Iterative refinement steps for singular normal equations. Each divides the error that the regularization left in a
/// direction of eigenvalue σ by 1 + σ/λ.
const REFINEMENTS: usize = 3;

/// Fourier transforms that are long enough for correlations and filters of a given length not to wrap around.
#[derive(Clone)]
pub(super) struct Fourier {
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
}

/// The transform of a zero-padded signal, shared by its users.
pub(super) type Spectrum = Arc<[Complex<f64>]>;

/// The projection on the span of the references, each delayed by 0 to `taps - 1` samples. Equivalently, the sum of
/// FIR-filtered references that is closest to the signal.
pub(super) struct Projection {
    fourier: Fourier,
    references: Vec<Spectrum>,
    taps: usize,
    equations: NormalEquations,
}

impl Fourier {
    /// Creates transforms for results of `length` samples.
    pub(super) fn new(length: usize) -> Self {
        let mut planner = RealFftPlanner::new();
        let length = length.next_power_of_two();
        Self { forward: planner.plan_fft_forward(length), inverse: planner.plan_fft_inverse(length) }
    }

    /// Transforms a signal, zero-padded.
    pub(super) fn spectrum(&self, signal: &[f64]) -> Spectrum {
        let mut padded = self.forward.make_input_vec();
        zip(&mut padded, signal).for_each(|(to, &from)| *to = from);
        let mut spectrum = self.forward.make_output_vec();
        self.forward.process(&mut padded, &mut spectrum).expect("buffers are of the plan's lengths");
        spectrum.into()
    }

    /// Inverts a transform.
    fn signal(&self, mut spectrum: Vec<Complex<f64>>) -> Vec<f64> {
        let mut signal = self.inverse.make_output_vec();
        self.inverse.process(&mut spectrum, &mut signal).expect("products of real signals' transforms");
        let scale = 1.0 / signal.len() as f64;
        signal.iter_mut().for_each(|x| *x *= scale);
        signal
    }

    /// Computes `Σ a[t+m] b[t]` for the lags m from `1 - lags` to `lags - 1`.
    fn correlate(&self, a: &Spectrum, b: &Spectrum, lags: usize) -> Vec<f64> {
        let c = self.signal(zip(&**a, &**b).map(|(a, b)| a * b.conj()).collect());
        [&c[c.len() + 1 - lags..], &c[..lags]].concat()
    }
}

impl Projection {
    /// Prepares the projection. The references must have unit energy, because the regularization is relative to the
    /// total energy: a quiet reference beside a loud one would be lost.
    pub(super) fn new(fourier: &Fourier, references: Vec<Spectrum>, taps: usize) -> Self {
        let sources = references.len();
        let pairs: Vec<_> = (0..sources).flat_map(|i| (0..=i).map(move |j| (i, j))).collect();
        let correlate = |&(i, j): &(usize, usize)| fourier.correlate(&references[i], &references[j], taps);
        let correlations: Vec<_> = pairs.par_iter().map(correlate).collect();
        // Σ a[t-p] b[t-q], for reference i delayed by p and reference j delayed by q, depends only on q - p. So each
        // row of the block of two references is a slice of their correlation. The lower blocks suffice.
        let gram = || {
            let mut gram = Array2::zeros((sources * taps, sources * taps));
            gram.as_slice_mut().unwrap_or_default().par_chunks_mut((sources * taps).max(1)).enumerate().for_each(
                |(row, to)| {
                    let (i, p) = (row / taps, row % taps);
                    for (j, to) in to.chunks_exact_mut(taps).take(i + 1).enumerate() {
                        to.copy_from_slice(&correlations[i * (i + 1) / 2 + j][taps - 1 - p..2 * taps - 1 - p]);
                    }
                },
            );
            gram
        };
        let equations = NormalEquations::new(gram);
        Self { fourier: fourier.clone(), references, taps, equations }
    }

    /// The signal's projection, as long as the transforms.
    pub(super) fn of(&self, signal: &Spectrum) -> Vec<f64> {
        let correlate = |reference| self.fourier.correlate(signal, reference, self.taps);
        let correlations: Vec<_> = self.references.par_iter().map(correlate).collect();
        let ahead = correlations.iter().flat_map(|correlation| &correlation[self.taps - 1..]).copied();
        let filters = self.equations.solve(ahead.collect()).to_vec();
        let filters: Vec<_> = filters.par_chunks_exact(self.taps).map(|filter| self.fourier.spectrum(filter)).collect();
        let mut sum = self.fourier.forward.make_output_vec();
        for (reference, filter) in zip(&self.references, &filters) {
            zip(&mut sum, zip(&**reference, &**filter)).for_each(|(sum, (r, f))| *sum += r * f);
        }
        self.fourier.signal(sum)
    }
}

/// Solves G h = d with one factorization.
struct NormalEquations {
    factor: Cholesky,
    /// The lower triangle of G itself, if G is singular and `factor` is that of G + λI.
    singular: Option<Array2<f64>>,
}

impl NormalEquations {
    fn new(gram: impl Fn() -> Array2<f64>) -> Self {
        if let Some(factor) = Cholesky::new(gram()) {
            return Self { factor, singular: None };
        }
        // If references are copies of each other or have empty bands, G is 0 up to rounding in some directions. A λ of
        // the size of that rounding makes the system solvable. All solutions of the normal equations give one
        // projection, and refinement removes the effect of λ. A pseudoinverse would do the same, but its decomposition
        // costs tens of times as much.
        let singular = gram();
        let mut lambda = f64::EPSILON * singular.diag().sum();
        loop {
            let mut regularized = singular.clone();
            regularized.diag_mut().mapv_inplace(|x| x + lambda);
            if let Some(factor) = Cholesky::new(regularized) {
                return Self { factor, singular: Some(singular) };
            }
            lambda *= 10.0;
        }
    }

    fn solve(&self, d: Array1<f64>) -> Array1<f64> {
        let Some(gram) = &self.singular else { return self.factor.solve(d) };
        let mut h = self.factor.solve(d.clone());
        for _ in 0..REFINEMENTS {
            h += &self.factor.solve(&d - &product(gram, &h));
        }
        h
    }
}

/// Computes G h from G's lower triangle.
fn product(gram: &Array2<f64>, h: &Array1<f64>) -> Array1<f64> {
    let mut product = Array1::zeros(h.len());
    for (i, row) in gram.rows().into_iter().enumerate() {
        product[i] += row.slice(s![..=i]).dot(&h.slice(s![..=i]));
        product.slice_mut(s![..i]).scaled_add(h[i], &row.slice(s![..i]));
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The projection of `signal` on `references`. It is `taps - 1` samples longer than they are.
    fn project(references: &[&[f64]], signal: &[f64], taps: usize) -> Vec<f64> {
        let length = signal.len() + taps - 1;
        let fourier = Fourier::new(length);
        let spectra = references.iter().map(|reference| fourier.spectrum(reference)).collect();
        let mut projection = Projection::new(&fourier, spectra, taps).of(&fourier.spectrum(signal));
        projection.truncate(length);
        projection
    }

    fn assert_close(got: &[f64], want: &[f64]) {
        assert_eq!(got.len(), want.len());
        assert!(zip(got, want).all(|(got, want)| (got - want).abs() < 1e-12), "{got:?}, expected {want:?}");
    }

    #[test]
    fn projections_equal_hand_computed_ones() {
        // On (1, 1): the mean.
        assert_close(&project(&[&[1.0, 1.0]], &[3.0, 5.0], 1), &[4.0, 4.0]);
        // On (1, 1, 0) and (0, 1, 1): d = (8, 5) and G = (2 1; 1 2) give h = (11, 2)/3.
        assert_close(&project(&[&[1.0, 1.0]], &[3.0, 5.0], 2), &[11.0 / 3.0, 13.0 / 3.0, 2.0 / 3.0]);
        // Delays are causal: an impulse cannot be moved forwards in time.
        assert_close(&project(&[&[0.0, 1.0, 0.0]], &[7.0, 8.0, 9.0], 2), &[0.0, 8.0, 9.0, 0.0]);
        // On two impulses delayed by at most 1: all but the last sample.
        let (a, b) = ([1.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0]);
        assert_close(&project(&[&a, &b], &[1.0, 2.0, 3.0, 4.0, 5.0], 2), &[1.0, 2.0, 3.0, 4.0, 0.0, 0.0]);
    }

    #[test]
    fn the_residual_is_orthogonal_to_every_delayed_reference() {
        let (taps, samples) = (5, 97);
        let references: Vec<Vec<f64>> =
            [0.3, 0.031].map(|c| (0..samples).map(|n| (c * (n * n) as f64).sin()).collect()).into();
        let mut signal: Vec<f64> = (0..samples).map(|n| (0.7 * n as f64).cos()).collect();
        let projection = project(&[&references[0], &references[1]], &signal, taps);
        signal.resize(samples + taps - 1, 0.0);
        for (reference, delay) in references.iter().flat_map(|r| (0..taps).map(move |d| (r, d))) {
            let product: f64 = (0..samples).map(|n| reference[n] * (signal[n + delay] - projection[n + delay])).sum();
            assert!(product.abs() < 1e-12, "delay {delay}: {product}");
        }
    }

    #[test]
    fn a_singular_set_projects_on_its_span() {
        let (a, signal) = ([0.6, 0.0, 0.8, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_close(&project(&[&a, &a, &a], &signal, 2), &project(&[&a], &signal, 2));
        // With more delays than dimensions, the span is the whole space.
        let b = [0.0, 0.6, 0.0, 0.0, 0.8];
        let whole = project(&[&a, &b], &signal, 20);
        assert!(zip(&whole, signal).all(|(got, want)| (got - want).abs() < 1e-6), "{whole:?}");
    }
}
