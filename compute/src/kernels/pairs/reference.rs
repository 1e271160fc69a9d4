//! Mixtures in pairs in f64, straight from the equations.

use ndarray::{Array2, Axis, Zip, s};

use super::{Mixtures, Modulus, Pairing, Pairs, Spectra, check_mix, pair_index};
use crate::Result;
use crate::divergence::{Divergence, MODEL_FLOOR};
use crate::engine::{Engine, Reference};
use crate::kernels::glue::check_factors;

type Stack = Vec<Array2<f64>>;

fn floored(model: &Array2<f64>) -> Array2<f64> {
    model.mapv(|lambda| lambda.max(MODEL_FLOOR))
}

/// M |X_a + X_b|^p, up to the end of the shorter utterance.
fn mixed(spectra: &Spectra<Reference>, a: &Array2<f64>, b: &Array2<f64>) -> Array2<f64> {
    let (bins, frames) = (spectra.shape.1, a.ncols().min(b.ncols()));
    let sum = &a.slice(s![.., ..frames]) + &b.slice(s![.., ..frames]);
    let (re, im) = sum.view().split_at(Axis(0), bins);
    let modulus = Zip::from(re).and(im).map_collect(|re, im| match spectra.modulus {
        Modulus::Magnitude => (re * re + im * im).sqrt(),
        Modulus::Power => re * re + im * im,
    });
    let mut mixed = Array2::zeros((spectra.rows(), frames));
    for (band, mut mixed) in spectra.bands[0].rows().into_iter().zip(mixed.rows_mut()) {
        for (bin, &weight) in (band[0] as usize..).zip(band.iter().skip(2).take(band[1] as usize)) {
            mixed.scaled_add(weight, &modulus.row(bin));
        }
    }
    mixed
}

impl Pairing<Reference> {
    /// S of utterance `i` of source `a` and utterance `j` of source `b`.
    fn mixture(&self, (a, i): (usize, usize), (b, j): (usize, usize)) -> Array2<f64> {
        if a > b {
            return self.mixture((b, j), (a, i));
        }
        match &self.mixtures {
            Mixtures::Stored(panels) => panels[pair_index(a, b)][i * self.lengths[b].len() + j].clone(),
            Mixtures::Formed(spectra) => mixed(spectra, &spectra.sources[a][i], &spectra.sources[b][j]),
        }
    }
}

impl Pairs for Reference {
    fn model(&self, w: &Stack, h: &Stack) -> Result<Stack> {
        let shape = w.first().map_or((0, 0), Array2::dim);
        check_factors((w.len(), shape), (self.segments(h).0, h.len()))?;
        Ok(w.iter().cycle().zip(h).map(|(w, h)| w.dot(h)).collect())
    }

    fn shares(&self, pairing: &Pairing<Self>, models: &[Stack], a: usize) -> Result<Stack> {
        pairing.check(self, models, a)?;
        let mut all = Vec::new();
        for (i, data) in pairing.data[a].iter().enumerate() {
            let own = floored(&models[a][i]);
            let mut sum = data / &own * &pairing.alone[a][i];
            for b in (0..pairing.sources()).filter(|&b| b != a) {
                for (j, other) in models[b].iter().enumerate() {
                    let mixture = pairing.mixture((a, i), (b, j));
                    let common = s![.., ..mixture.ncols()];
                    let model = floored(&(&models[a][i].slice(common) + &other.slice(common)));
                    let mut sum = sum.slice_mut(common);
                    sum += &(mixture / model);
                }
            }
            all.push(sum * own / pairing.utterances() as f64);
        }
        Ok(all)
    }

    fn pair_costs(&self, pairing: &Pairing<Self>, models: &[Stack], a: usize) -> Result<Vec<f64>> {
        pairing.check(self, models, a)?;
        let cost = |data: &Array2<f64>, model: &Array2<f64>| {
            let kl = |&s: &f64, &lambda: &f64| Divergence::KullbackLeibler.cost(s, lambda);
            Zip::from(data).and(&floored(model)).map_collect(kl).sum_axis(Axis(0))
        };
        let mut all = Vec::new();
        for (i, data) in pairing.data[a].iter().enumerate() {
            let mut costs = cost(data, &models[a][i]) * pairing.alone[a][i].row(0);
            for b in a + 1..pairing.sources() {
                for (j, other) in models[b].iter().enumerate() {
                    let mixture = pairing.mixture((a, i), (b, j));
                    let common = s![.., ..mixture.ncols()];
                    let model = &models[a][i].slice(common) + &other.slice(common);
                    let mut costs = costs.slice_mut(s![..mixture.ncols()]);
                    costs += &cost(&mixture, &model);
                }
            }
            all.extend(costs);
        }
        Ok(all)
    }

    fn mix(&self, spectra: &Spectra<Self>, (first, second): (usize, usize), pairs: &[(usize, usize)]) -> Result<Stack> {
        check_mix(self, spectra, (first, second), pairs)?;
        let [first, second] = [first, second].map(|source| &spectra.sources[source]);
        Ok(pairs.iter().map(|&(i, j)| mixed(spectra, &first[i], &second[j])).collect())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn near(a: &Array2<f64>, b: &Array2<f64>) {
        assert!(a.dim() == b.dim() && (a - b).iter().all(|error| error.abs() < 1e-12), "{a} is not {b}");
    }

    /// Two bins that are one band with weights 1 and 2; source 0 has an utterance of two frames, source 1 one of one frame.
    fn spectra(modulus: Modulus) -> Spectra<Reference> {
        let first = vec![array![[3.0, 1.0], [0.0, 0.0], [0.0, 0.0], [1.0, 2.0]]];
        let second = vec![array![[0.0], [2.0], [4.0], [-1.0]]];
        let map = array![[1.0f32, 2.0]];
        Spectra::new(&Reference, vec![first, second], Some(map.view()), modulus).unwrap()
    }

    #[test]
    fn mixtures_equal_hand_computed_ones() {
        // Bins 3 + 4i and 2: magnitudes 5 and 2, powers 25 and 4.
        let mix = |modulus, sources, pairs: &[_]| Reference.mix(&spectra(modulus), sources, pairs);
        near(&mix(Modulus::Magnitude, (0, 1), &[(0, 0)]).unwrap()[0], &array![[9.0]]);
        near(&mix(Modulus::Power, (1, 0), &[(0, 0)]).unwrap()[0], &array![[33.0]]);
        assert!(mix(Modulus::Power, (0, 2), &[(0, 0)]).is_err() && mix(Modulus::Power, (0, 1), &[]).is_err());
        assert!(mix(Modulus::Power, (0, 1), &[(1, 0)]).is_err() && mix(Modulus::Power, (0, 1), &[(0, 1)]).is_err());
    }

    fn pairing(mixtures: Mixtures<Reference>) -> Pairing<Reference> {
        let data = vec![vec![array![[4.0, 6.0]]], vec![array![[2.0]]]];
        Pairing::new(&Reference, data, mixtures).unwrap()
    }

    #[test]
    fn shares_equal_hand_computed_ones() {
        let models = [vec![array![[2.0, 3.0]]], vec![array![[1.0]]]];
        for mixtures in [Mixtures::Stored(vec![vec![array![[9.0]]]]), Mixtures::Formed(spectra(Modulus::Magnitude))] {
            let pairing = pairing(mixtures);
            // c is 1, and 2 after the end of the other: (2/2) (4/2 + 9/3), (3/2) (2 * 6/3).
            near(&Reference.shares(&pairing, &models, 0).unwrap()[0], &array![[5.0, 6.0]]);
            // (1/2) (2/1 + 9/3)
            near(&Reference.shares(&pairing, &models, 1).unwrap()[0], &array![[2.5]]);
            let kl = |s: f64, lambda: f64| s * (s / lambda).ln() - s + lambda;
            let costs = [0, 1].map(|source| Reference.pair_costs(&pairing, &models, source).unwrap());
            let expected = [kl(4.0, 2.0) + kl(9.0, 3.0), 2.0 * kl(6.0, 3.0)];
            assert!(costs[0].iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{costs:?}");
            assert!((costs[1][0] - kl(2.0, 1.0)).abs() < 1e-12, "{costs:?}");
        }
    }

    #[test]
    fn models_are_floored_and_silence_stays_silent() {
        let pairing = pairing(Mixtures::Stored(vec![vec![array![[0.0]]]]));
        let silent = [vec![array![[0.0, 0.0]]], vec![array![[0.0]]]];
        // (1e-12 / 2) (4e12 + 0), (1e-12 / 2) (2 * 6e12)
        near(&Reference.shares(&pairing, &silent, 0).unwrap()[0], &array![[2.0, 6.0]]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let data = || vec![vec![array![[4.0, 6.0]]], vec![array![[2.0]]]];
        let refused = |data, mixtures| Pairing::new(&Reference, data, mixtures).is_err();
        assert!(!refused(data(), Mixtures::Formed(spectra(Modulus::Power))));
        assert!(refused(vec![data().remove(0)], Mixtures::Stored(Vec::new())));
        assert!(refused(data(), Mixtures::Stored(Vec::new())));
        assert!(refused(data(), Mixtures::Stored(vec![vec![array![[9.0, 9.0]]]])));
        let longer = vec![vec![array![[4.0, 6.0, 1.0]]], vec![array![[2.0]]]];
        assert!(refused(longer, Mixtures::Formed(spectra(Modulus::Power))));
        let pairing = pairing(Mixtures::Stored(vec![vec![array![[9.0]]]]));
        let models = [vec![array![[2.0, 3.0]]], vec![array![[1.0, 1.0]]]];
        assert!(Reference.shares(&pairing, &models, 0).is_err());
        assert!(Reference.pair_costs(&pairing, &models[..1], 0).is_err());
        assert!(Reference.model(&vec![Array2::ones((3, 2))], &vec![Array2::ones((3, 2))]).is_err());
        let gap = array![[1.0f32, 0.0, 1.0]];
        let spectra = |map: &Array2<f32>| {
            Spectra::new(&Reference, vec![vec![Array2::zeros((6, 1))]], Some(map.view()), Modulus::Power).is_err()
        };
        assert!(spectra(&gap) && spectra(&array![[1.0, 1.0]]) && !spectra(&array![[0.0, 1.0, 1.0]]));
        let odd = Spectra::new(&Reference, vec![vec![Array2::zeros((3, 1))]], None, Modulus::Power);
        assert!(odd.is_err());
    }

    #[test]
    fn frames_that_others_have_ended_before_count_more() {
        let lengths = vec![vec![3, 1], vec![2], vec![1, 4]];
        assert_eq!(super::super::alone(&lengths, 0), array![[2.0, 3.0, 4.0, 2.0]]);
        assert_eq!(super::super::alone(&lengths, 1), array![[1.0, 3.0]]);
        assert_eq!([(0, 1), (0, 2), (1, 2), (0, 3)].map(|(a, b)| pair_index(a, b)), [0, 1, 2, 3]);
    }
}
