//! Bases for masks, learned so that the masks of mixtures are right.
//!
//! Wang & Sha tie the gains of a mixture to those of its utterances alone, which nobody has when a recording is separated.
//! Here the gains of training mixtures are found as in separation: under the bases W that were learned from the sources
//! alone. Then a second set of bases Ŵ is learned for the same gains. With Λ_a = Ŵ_a H_a and Λ = Σ_a Λ_a, the mask of
//! source a is Λ_a/Λ. The objective compares it with the share S_a/S of the utterance's own data in their sum S = Σ_a S_a:
//!
//! J = Σ S Σ_a (S_a/S) log((S_a/S) / (Λ_a/Λ)) = Σ_a d(S_a | Λ_a) − d(S | Λ), with d of Kullback and Leibler.
//!
//! It is not negative, and 0 if all masks are right. (Weninger et al., "Discriminative NMF and its application to
//! single-channel source separation", 2014, have bases of their own for masks too, under other objectives.)
//!
//! All Ŵ are updated at once: Ŵ_a ← Ŵ_a ∘ ((S_a/Λ_a) H_aᵀ) / ((S/Λ) H_aᵀ). This cannot raise J. Proof: up to terms without
//! Ŵ, J is Σ (−Σ_a S_a log Λ_a + S log Λ). With Ŵ' and Λ' before the update, Jensen bounds −log Σ_k ŵ_k h_k by
//! −Σ_k (ŵ'_k h_k / Λ'_a) log ŵ_k and a term without Ŵ. The tangent bounds log Λ by Λ/Λ' and such a term. Both bounds are
//! exact at Ŵ'. Their sum is, for each entry ŵ, −ŵ' ((S_a/Λ'_a) h) log ŵ + ((S/Λ') h) ŵ with sums over frames, which has
//! its minimum at the update.
//!
//! J does not change with the scale of all Ŵ together, so they need no norm.

use ndarray::{Array2, Axis, Zip, concatenate, s};

use crate::Result;
use crate::divergence::{DENOMINATOR_FLOOR, Divergence};
use crate::kernels::{Glue, Momentum, Products, Rule};
use crate::methods::nmf::{self, Until, Updates, flat_gains};

const KL: Divergence = Divergence::KullbackLeibler;

/// Updates of the gains of a mixture, as in separation.
const GAIN_UPDATES: usize = 40;

/// The training mixtures of two sources, and their gains.
pub(super) struct Mixed<E: Products> {
    /// The sources.
    sources: [usize; 2],
    /// S_a and S_b (F, N), and their sum.
    targets: [E::Panel; 2],
    sum: E::Panel,
    /// H_a and H_b, and both, one below the other.
    gains: [E::Panel; 2],
    all_gains: E::Panel,
}

/// The bytes of [`Mixed`] per frame, and of what it is made from, for data of `rows` rows and two sources with `rank`
/// components in all.
pub(super) fn bytes_per_frame(rows: usize, rank: usize) -> usize {
    size_of::<f32>() * (4 * rows + 8 * rank)
}

impl<E: Products + Momentum> Mixed<E> {
    /// Finds the gains of mixtures `v` (F, N) under the bases of both sources. `targets`: S_a and S_b.
    pub(super) fn new(
        engine: &E,
        v: &E::Panel,
        sources: [usize; 2],
        bases: [&Array2<f32>; 2],
        targets: [Array2<f32>; 2],
        sparsity: f64,
    ) -> Result<Self> {
        let joined = side_by_side(bases);
        let data = engine.read_panel::<f32>(v)?;
        let start = engine.panel_like(v, flat_gains(data.view(), joined.view()).view())?;
        let rule = Rule { sparsity, ..Rule::of(KL) };
        let until = Until { iterations: GAIN_UPDATES, tolerance: 0.0, segments: &[data.ncols()] };
        let w = engine.matrix(joined.view())?;
        let (gains, _) = nmf::update_gains(engine, v, &w, start, &rule, Updates::Extrapolated, &until)?;
        let on_host = engine.read_panel::<f32>(&gains)?;
        let (first, second) = on_host.view().split_at(Axis(0), bases[0].ncols());
        Ok(Self {
            sources,
            sum: engine.panel_like(v, (&targets[0] + &targets[1]).view())?,
            targets: [engine.panel_like(v, targets[0].view())?, engine.panel_like(v, targets[1].view())?],
            gains: [engine.panel_like(v, first)?, engine.panel_like(v, second)?],
            // The same numbers as in both parts, also on an engine of f64.
            all_gains: engine.panel_like(v, on_host.view())?,
        })
    }
}

fn side_by_side(bases: [&Array2<f32>; 2]) -> Array2<f32> {
    concatenate(Axis(1), &bases.map(|bases| bases.view())).unwrap_or_else(|_| bases[0].clone())
}

/// Learns Ŵ (F, K_a) of every source from the bases W, which they start as. `watch` gets the number of each pass that is
/// done. Also returns J: before the first pass, after every `trace_every` passes, and after the last. It takes about as long
/// as a pass.
///
/// # Errors
/// Those of the engine and of `watch`.
pub(super) fn learn<E: Products + Glue>(
    engine: &E,
    mixed: &[Mixed<E>],
    bases: &[Array2<f32>],
    (passes, trace_every): (usize, usize),
    mut watch: impl FnMut(usize) -> Result<()>,
) -> Result<(Vec<Array2<f32>>, Vec<f64>)> {
    let mut learned = bases.to_vec();
    let mut trace = Vec::new();
    for pass in 0..passes {
        if pass.is_multiple_of(trace_every) {
            trace.push(objective(engine, mixed, &learned)?);
        }
        let sums = || learned.iter().map(|w| Array2::<f64>::zeros(w.dim())).collect::<Vec<_>>();
        let (mut n, mut d) = (sums(), sums());
        for Mixed { sources, targets, sum, gains, all_gains } in mixed {
            let all = engine.matrix(side_by_side(sources.map(|source| &learned[source])).view())?;
            let (of_sum, _) = engine.base_sums(sum, &all, all_gains, &KL)?;
            let of_sum = engine.read_matrix::<f64>(&of_sum)?;
            let mut first = 0;
            for (place, &source) in sources.iter().enumerate() {
                let (target, h) = (&targets[place], &gains[place]);
                let w = engine.matrix(learned[source].view())?;
                n[source] += &engine.read_matrix::<f64>(&engine.base_sums(target, &w, h, &KL)?.0)?;
                let end = first + learned[source].ncols();
                d[source] += &of_sum.slice(s![.., first..end]);
                first = end;
            }
        }
        for ((w, n), d) in learned.iter_mut().zip(&n).zip(&d) {
            let update = |w: &mut f32, n: &f64, d: &f64| *w = (f64::from(*w) * n / d.max(DENOMINATOR_FLOOR)) as f32;
            Zip::from(w).and(n).and(d).for_each(update);
        }
        watch(pass + 1)?;
    }
    trace.push(objective(engine, mixed, &learned)?);
    Ok((learned, trace))
}

/// J of all mixtures.
fn objective<E: Products>(engine: &E, mixed: &[Mixed<E>], learned: &[Array2<f32>]) -> Result<f64> {
    let mut objective = 0.0;
    for Mixed { sources, targets, sum, gains, all_gains } in mixed {
        let all = engine.matrix(side_by_side(sources.map(|source| &learned[source])).view())?;
        objective -= engine.costs(sum, &all, all_gains, &KL)?.iter().sum::<f64>();
        for ((&source, target), h) in sources.iter().zip(targets).zip(gains) {
            let w = engine.matrix(learned[source].view())?;
            objective += engine.costs(target, &w, h, &KL)?.iter().sum::<f64>();
        }
    }
    Ok(objective)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::divergence::MODEL_FLOOR;
    use crate::engine::{Engine, Reference};
    use crate::random::Stream;

    fn numbers(name: &str, rows: usize, columns: usize) -> Array2<f32> {
        let stream = Stream::new(9, name);
        let at = |(row, column)| stream.uniform((row * columns + column) as u64).powi(3) as f32 + 0.01;
        Array2::from_shape_fn((rows, columns), at)
    }

    /// Mixtures of three sources in pairs.
    fn mixed(bases: &[Array2<f32>]) -> Vec<Mixed<Reference>> {
        let of_pair = |[a, b]: [usize; 2]| {
            let targets = [a, b].map(|source| numbers(&format!("{source} of {a}{b}"), 8, 20));
            let v = Reference.panel((&targets[0] + &targets[1]).view()).unwrap();
            Mixed::new(&Reference, &v, [a, b], [&bases[a], &bases[b]], targets, 0.01).unwrap()
        };
        [[0, 1], [0, 2], [1, 2]].map(of_pair).into()
    }

    fn bases() -> Vec<Array2<f32>> {
        [("a", 3), ("b", 4), ("c", 2)].map(|(name, rank)| numbers(name, 8, rank)).into()
    }

    #[test]
    fn the_masks_never_become_worse() {
        let (bases, mut passes) = (bases(), 0);
        let mixed = mixed(&bases);
        let (learned, trace) = learn(&Reference, &mixed, &bases, (40, 1), |pass| {
            passes = pass;
            Ok(())
        })
        .unwrap();
        assert_eq!((passes, trace.len(), learned.len()), (40, 41, 3));
        for pair in trace.windows(2) {
            // Between passes, bases are rounded to f32.
            assert!(pair[1] <= pair[0] * (1.0 + 1e-6), "{pair:?}");
        }
        assert!(trace[40] < 0.9 * trace[0] && trace[40] > 0.0, "{trace:?}");
    }

    #[test]
    fn the_objective_is_that_of_the_masks() {
        let bases = bases();
        let mixed = mixed(&bases);
        let (_, trace) = learn(&Reference, &mixed, &bases, (0, 0), |_| Ok(())).unwrap();
        let mut expected = 0.0;
        for Mixed { sources, targets, sum, gains, .. } in &mixed {
            let model = |place: usize| bases[sources[place]].mapv(f64::from).dot(&gains[place][0]);
            let models = [0, 1].map(|place| model(place).mapv_into(|lambda| lambda.max(MODEL_FLOOR)));
            for (place, model) in models.iter().enumerate() {
                let mask = model / &(&models[0] + &models[1]);
                for ((target, sum), mask) in targets[place][0].iter().zip(&sum[0]).zip(&mask) {
                    expected += target * ((target / sum) / mask).ln();
                }
            }
        }
        assert!((trace[0] - expected).abs() < 1e-9 * expected, "{} for {expected}", trace[0]);
    }

    #[test]
    fn a_mixture_s_gains_are_those_of_separation() {
        let bases = bases();
        let mixed = mixed(&bases);
        let (h, parts) = (&mixed[1].all_gains[0], &mixed[1].gains);
        assert_eq!((h.dim(), parts[0][0].dim(), parts[1][0].dim()), ((5, 20), (3, 20), (2, 20)));
        assert_eq!(h.slice(s![..3, ..]), parts[0][0]);
        assert_eq!(h.slice(s![3.., ..]), parts[1][0]);
        let cost = |h: &Array2<f64>| -> f64 {
            let w = vec![side_by_side([&bases[0], &bases[2]]).mapv(f64::from)];
            let data = Reference.costs(&mixed[1].sum, &w, &vec![h.clone()], &KL).unwrap();
            data.iter().sum::<f64>() + 0.01 * h.sum()
        };
        let flat = flat_gains(mixed[1].sum[0].mapv(|v| v as f32).view(), side_by_side([&bases[0], &bases[2]]).view());
        assert!(cost(h) < 0.9 * cost(&flat.mapv(f64::from)));
    }
}
