//! Least-squares projection of a signal on delayed copies of others.

use std::{iter::zip, sync::Arc};

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex, num_complex::Complex};

/// The columns that the factorization takes at a time; 64 to 256 were equally fast at 2048 unknowns.
const BLOCK: usize = 128;

/// Rounds of refinement where the normal equations are singular. Each divides what the regularization left in a
/// direction of eigenvalue σ by 1 + σ/λ.
const REFINEMENTS: usize = 3;

/// Fourier transforms long enough that the correlations and filters of some length do not wrap around.
#[derive(Clone)]
pub(super) struct Fourier {
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
}

/// The transform of a signal that was zero-padded, shared by all that use it.
pub(super) type Spectrum = Arc<[Complex<f64>]>;

/// The projection on the span of some references, each delayed by 0 to `taps - 1` samples: the references filtered
/// by FIR filters such that the sum is nearest to the signal.
pub(super) struct Projection {
    fourier: Fourier,
    references: Vec<Spectrum>,
    taps: usize,
    equations: NormalEquations,
}

impl Fourier {
    /// For results of `length` samples.
    pub(super) fn new(length: usize) -> Self {
        let mut planner = RealFftPlanner::new();
        let length = length.next_power_of_two();
        Self { forward: planner.plan_fft_forward(length), inverse: planner.plan_fft_inverse(length) }
    }

    /// The transform of a signal, zero-padded.
    pub(super) fn spectrum(&self, signal: &[f64]) -> Spectrum {
        let mut padded = self.forward.make_input_vec();
        zip(&mut padded, signal).for_each(|(to, &from)| *to = from);
        let mut spectrum = self.forward.make_output_vec();
        self.forward.process(&mut padded, &mut spectrum).expect("buffers are of the plan's lengths");
        spectrum.into()
    }

    /// The signal of a transform.
    fn signal(&self, mut spectrum: Vec<Complex<f64>>) -> Vec<f64> {
        let mut signal = self.inverse.make_output_vec();
        self.inverse.process(&mut spectrum, &mut signal).expect("products of real signals' transforms");
        let scale = 1.0 / signal.len() as f64;
        signal.iter_mut().for_each(|x| *x *= scale);
        signal
    }

    /// c[m] = Σ a[t+m] b[t]; negative m count from the end.
    fn correlate(&self, a: &Spectrum, b: &Spectrum) -> Vec<f64> {
        self.signal(zip(&**a, &**b).map(|(a, b)| a * b.conj()).collect())
    }
}

impl Projection {
    /// Prepares the projection on references that are not silent. They should be of one energy: what is negligible
    /// is judged by the loudest.
    pub(super) fn new(fourier: &Fourier, references: Vec<Spectrum>, taps: usize) -> Self {
        let mut gram = DMatrix::zeros(references.len() * taps, references.len() * taps);
        for (i, a) in references.iter().enumerate() {
            for (j, b) in references.iter().enumerate().take(i + 1) {
                // The product of a delayed by p and b delayed by q is c[q-p].
                let c = fourier.correlate(a, b);
                for (p, q) in (0..taps).flat_map(|q| (0..taps).map(move |p| (p, q))) {
                    let product = if q >= p { c[q - p] } else { c[c.len() + q - p] };
                    gram[(i * taps + p, j * taps + q)] = product;
                    gram[(j * taps + q, i * taps + p)] = product;
                }
            }
        }
        Self { fourier: fourier.clone(), references, taps, equations: NormalEquations::new(gram) }
    }

    /// The signal's projection, as long as the transforms.
    pub(super) fn of(&self, signal: &Spectrum) -> Vec<f64> {
        let correlations = self.references.iter().flat_map(|reference| {
            let mut c = self.fourier.correlate(signal, reference);
            c.truncate(self.taps);
            c
        });
        let filters = self.equations.solve(DVector::from_iterator(self.references.len() * self.taps, correlations));
        let mut sum = self.fourier.forward.make_output_vec();
        for (reference, filter) in zip(&self.references, filters.as_slice().chunks_exact(self.taps)) {
            let filter = self.fourier.spectrum(filter);
            zip(&mut sum, zip(&**reference, &*filter)).for_each(|(sum, (r, f))| *sum += r * f);
        }
        self.fourier.signal(sum)
    }
}

/// G h = d, factored once.
struct NormalEquations {
    factor: Cholesky<f64, Dyn>,
    /// G itself where it is singular and `factor` is that of G + λI.
    singular: Option<DMatrix<f64>>,
}

impl NormalEquations {
    fn new(gram: DMatrix<f64>) -> Self {
        if let Some(factor) = factor(gram.clone()) {
            return Self { factor, singular: None };
        }
        // References that are copies of each other, or have empty bands, leave directions in which G is 0 up to
        // rounding. A λ of the size of that rounding makes them harmless: all solutions of the normal equations give
        // one projection, and refinement takes λ's own effect away. A pseudoinverse would do the same, in minutes.
        let mut lambda = f64::EPSILON * gram.nrows() as f64 * gram.diagonal().max();
        loop {
            if let Some(factor) = factor(&gram + DMatrix::from_diagonal_element(gram.nrows(), gram.nrows(), lambda)) {
                return Self { factor, singular: Some(gram) };
            }
            lambda *= 10.0;
        }
    }

    fn solve(&self, d: DVector<f64>) -> DVector<f64> {
        let mut h = self.factor.solve(&d);
        if let Some(gram) = &self.singular {
            for _ in 0..REFINEMENTS {
                h += self.factor.solve(&(&d - gram * &h));
            }
        }
        h
    }
}

/// The Cholesky factor of a symmetric matrix, none if it is not positive definite. nalgebra's own works on one column
/// at a time and takes X s for 2048 of them; in blocks nearly all work is matrix products: Y s.
fn factor(mut matrix: DMatrix<f64>) -> Option<Cholesky<f64, Dyn>> {
    let n = matrix.nrows();
    for from in (0..n).step_by(BLOCK) {
        let to = n.min(from + BLOCK);
        let (width, rest) = (to - from, n - to);
        let corner = Cholesky::new(matrix.view((from, from), (width, width)).into_owned())?.unpack();
        let across = corner.solve_lower_triangular(&matrix.view((to, from), (rest, width)).transpose())?;
        let below = across.transpose();
        matrix.view_mut((to, to), (rest, rest)).gemm(-1.0, &below, &across, 1.0);
        matrix.view_mut((from, from), (width, width)).copy_from(&corner);
        matrix.view_mut((to, from), (rest, width)).copy_from(&below);
    }
    Some(Cholesky::pack_dirty(matrix))
}
