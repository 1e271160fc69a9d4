//! The leakage between sources, and the weights of priors that follow from it.
//!
//! The bases of one source explain a part of every other source. Of the power of source i alone, a separation without priors
//! gives the share ε_ji to source j. Training measures ε once, on recordings of each source alone. Consider a mixture in which the
//! separation assigns the powers P. Source j then holds about Σ_{i≠j} ε_ji P_i of the other sources' power, and it lost about
//! P_j Σ_{i≠j} ε_ij to them. The ratio
//!
//! o_j = Σ_{i≠j} ε_ji P_i / (P_j Σ_{i≠j} ε_ij)
//!
//! is above 1 for a source that is too weak for its bases to be trusted, and below 1 for a loud source. A prior restrains the
//! power that its source claims, so its weight grows with o: α_j = min(1, 0.05 o_j²). The levels of the sources need not be known.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Zip, s};

use crate::divergence::Divergence;
use crate::kernels::{Glue, Mask, Momentum, Products, Rule};
use crate::methods::nmf::{self, Until, Updates};
use crate::{Error, Result};

/// The weight of a prior whose source gains as much from the others as it loses to them. This value and the power were chosen on
/// four pairs of speakers and instruments; results are reported on other pairs. With 0.1, weak sources gained 0.1 dB more, and two
/// pairs lost 0.2 dB at medium levels.
const EVEN: f64 = 0.05;
/// How steeply the weight grows with o.
const POWER: f64 = 2.0;
/// The largest weight. Above it, the prior would count more than the data.
const MOST: f64 = 1.0;
/// Updates of the separation without priors that the powers are taken from.
const UPDATES: usize = 40;

/// ε (J x J): of the power of source i alone, the share that the separation gives to source j, at (j, i). Columns sum to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Leakage(Array2<f64>);

impl Leakage {
    /// From powers (J x J): at (j, i), the power of source i alone that source j was given.
    ///
    /// # Errors
    /// [`Error::Input`] where it is not square, or has a number that is negative or not finite, or a source without power.
    pub fn new(claimed: &Array2<f64>) -> Result<Self> {
        let sums = claimed.sum_axis(Axis(0));
        let sound = claimed.is_square() && claimed.iter().all(|claim| claim.is_finite() && *claim >= 0.0);
        if !sound || sums.iter().any(|&sum| sum <= 0.0) {
            return Err(Error::input(
                "shares of sources that are not square, not finite, negative or of a source without power",
            ));
        }
        Ok(Self(claimed / &sums))
    }

    /// The shares.
    pub fn shares(&self) -> &Array2<f64> {
        &self.0
    }

    /// α of every source's prior (J), if the separation assigns the powers `claims` (J).
    fn weights_of(&self, claims: ArrayView1<f64>) -> Array1<f64> {
        let others = |j: usize| (0..claims.len()).filter(move |&i| i != j);
        let weight = |j: usize| {
            let gained: f64 = others(j).map(|i| self.0[(j, i)] * claims[i]).sum();
            let lost = claims[j] * others(j).map(|i| self.0[(i, j)]).sum::<f64>();
            // Without any gain the weight is 0. A gain without any loss has the largest weight.
            if gained > 0.0 { (EVEN * (gained / lost).powf(POWER)).min(MOST) } else { 0.0 }
        };
        (0..claims.len()).map(weight).collect()
    }

    /// α of every source's prior in every column (J, N), the same for all columns of a segment. `claims` (J, N) comes from
    /// [`claims`]; `segments` has the number of columns of each segment, N in total.
    pub fn weights(&self, claims: ArrayView2<f64>, segments: &[usize]) -> Array2<f64> {
        let mut weights = Array2::zeros(claims.dim());
        let mut first = 0;
        for columns in segments {
            let segment = s![.., first..first + columns];
            let of_segment = self.weights_of(claims.slice(segment).sum_axis(Axis(1)).view());
            weights.slice_mut(segment).assign(&of_segment.insert_axis(Axis(1)));
            first += columns;
        }
        weights
    }
}

/// The power that a separation without priors gives to every source in every column (J, N). The data V (F, N) to the power of `p`
/// are powers. `sources[j]` are the columns of the bases W that belong to source j.
///
/// # Errors
/// [`Error::Input`] where shapes do not fit, [`Error::Engine`].
pub fn claims<E: Products + Momentum + Glue>(
    engine: &E,
    data: ArrayView2<f32>,
    (bases, w): (ArrayView2<f32>, &E::Matrix),
    sources: &[Range<usize>],
    divergence: &Divergence,
    p: f64,
) -> Result<Array2<f64>> {
    let (v, start) = (engine.panel(data)?, engine.panel(nmf::flat_gains(data, bases).view())?);
    let until = Until { iterations: UPDATES, tolerance: 0.0, segments: &[data.ncols()] };
    let (h, _) = nmf::update_gains(engine, &v, w, start, &Rule::of(divergence.clone()), Updates::Extrapolated, &until)?;
    // Magnitudes have p = 2, and a product is faster than `powf`.
    let powers = data.mapv(|v| if p == 2.0 { f64::from(v) * f64::from(v) } else { f64::from(v).powf(p) });
    let mut claims = Array2::zeros((sources.len(), data.ncols()));
    for (mask, mut claims) in engine.masks(w, &h, sources, Mask::Ratio(p))?.iter().zip(claims.outer_iter_mut()) {
        let mask: Array2<f32> = engine.read_panel(mask)?;
        for ((mask, powers), claim) in mask.columns().into_iter().zip(powers.columns()).zip(&mut claims) {
            *claim = Zip::from(mask).and(powers).fold(0.0, |sum, &share, power| sum + f64::from(share) * power);
        }
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::engine::Reference;

    /// 2 % of the speech goes to the music, and 20 % of the music to the speech.
    fn leakage() -> Leakage {
        Leakage::new(&array![[98.0, 0.2], [2.0, 0.8]]).unwrap()
    }

    #[test]
    fn weights_by_hand() {
        assert_eq!(leakage().shares(), &array![[0.98, 0.2], [0.02, 0.8]]);
        // Equal if speech is 10 times as loud: 0.2 · 1 gained, 0.02 · 10 lost.
        let weights = |speech, music| leakage().weights_of(array![speech, music].view());
        let near = |found: Array1<f64>, expected: [f64; 2]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found} for {expected:?}");
        };
        near(weights(10.0, 1.0), [0.05, 0.05]);
        near(weights(5.0, 1.0), [0.2, 0.0125]);
        near(weights(1.0, 1.0), [1.0, 0.0005]);
        near(weights(40.0, 1.0), [0.003125, 0.8]);
        near(weights(100.0, 1.0), [0.0005, 1.0]);
        near(weights(0.0, 1.0), [1.0, 0.0]);
        near(weights(0.0, 0.0), [0.0, 0.0]);
    }

    #[test]
    fn sources_that_others_know_nothing_of_need_no_prior() {
        let apart = Leakage::new(&array![[1.0, 0.0], [0.0, 1.0]]).unwrap();
        assert_eq!(apart.weights_of(array![1.0, 1.0].view()), array![0.0, 0.0]);
        assert_eq!(Leakage::new(&array![[2.0]]).unwrap().weights_of(array![1.0].view()), array![0.0]);
        // Three sources. The last one does not leak to the others, nor they to it.
        let three = Leakage::new(&array![[0.9, 0.1, 0.0], [0.1, 0.9, 0.0], [0.0, 0.0, 1.0]]).unwrap();
        let weights = three.weights_of(array![1.0, 1.0, 50.0].view());
        assert!((&weights - &array![0.05, 0.05, 0.0]).iter().all(|error| error.abs() < 1e-12), "{weights}");
    }

    #[test]
    fn a_segment_has_weights_of_its_own() {
        let claims = array![[10.0, 0.0, 1.0], [0.5, 0.5, 1.0]];
        let weights = leakage().weights(claims.view(), &[2, 1]);
        let expected = array![[0.05, 0.05, 1.0], [0.05, 0.05, 0.0005]];
        assert!((&weights - &expected).iter().all(|error| error.abs() < 1e-12), "{weights}");
    }

    #[test]
    fn shares_that_are_none_are_refused() {
        for claimed in
            [array![[1.0, 0.0]], array![[1.0, 0.0], [0.5, 0.0]], array![[-1.0]], array![[f64::NAN]], array![[0.0]]]
        {
            assert!(Leakage::new(&claimed).is_err(), "{claimed}");
        }
    }

    #[test]
    fn claims_are_of_the_data() {
        // Two sources in bins of their own, and one bin that both share.
        let bases = array![[1.0f32, 0.0], [0.0, 1.0], [1.0, 1.0]];
        let data = array![[4.0f32, 0.0], [0.0, 2.0], [4.0, 2.0]];
        let w = crate::engine::Engine::matrix(&Reference, bases.view()).unwrap();
        for p in [1.0, 2.0] {
            let of = |data: ArrayView2<f32>| {
                let divergence = Divergence::KullbackLeibler;
                claims(&Reference, data, (bases.view(), &w), &[0..1, 1..2], &divergence, p).unwrap()
            };
            let found = of(data.view());
            let expected = array![[2.0 * 4f64.powf(p), 0.0], [0.0, 2.0 * 2f64.powf(p)]];
            assert!((&found - &expected).iter().all(|error| error.abs() < 1e-3), "{found} for {expected}");
            assert_eq!(of(Array2::zeros((3, 1)).view()), Array2::<f64>::zeros((2, 1)));
        }
    }
}
