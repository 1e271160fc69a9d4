//! Plain nonnegative factorization by multiplicative updates: V ≈ WH under any [`Divergence`].
//!
//! Févotte & Idier, "Algorithms for nonnegative matrix factorization with the β-divergence" (2011); with W fixed it is
//! supervised separation as in Grais & Erdogan, eqs. (7), (8).

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use ndarray::{Array1, Array2, ArrayView2, Axis};

pub use super::stopping::Until;
use super::{extrapolation, stopping};
use crate::divergence::Divergence;
use crate::engine::Real;
use crate::kernels::{Glue, Momentum, Norm, Products, Rule};
use crate::random::Stream;
use crate::{Error, Result};

/// How the factors are brought towards the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Updates {
    /// One after the other, each from the newest other.
    Alternating,
    /// Both from one pass over the data (Marmin, Goulart & Févotte 2023), with the majorising exponent: the objective cannot rise.
    Joint,
    /// Alternating, each from a point further along the last step: see [`super::extrapolation`].
    Extrapolated,
}

impl fmt::Display for Updates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alternating => "alternating",
            Self::Joint => "joint",
            Self::Extrapolated => "extrapolated",
        })
    }
}

impl FromStr for Updates {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = [Self::Alternating, Self::Joint, Self::Extrapolated];
        let found = all.into_iter().find(|updates| updates.to_string() == text);
        found.ok_or_else(|| {
            Error::input(format!("updates '{text}' are not known; use alternating, joint or extrapolated"))
        })
    }
}

/// Which factors are updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learn {
    /// Bases and gains.
    Both,
    /// Gains alone: separation, or the transform of new data.
    Gains,
    /// Bases alone.
    Bases,
}

/// Which factor an iteration updates first; the second sees the first one's new value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// H, then W.
    GainsFirst,
    /// W, then H.
    BasesFirst,
}

/// How W's columns are normalised directly after their update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Normalization {
    /// To unit norm in this sense.
    pub norm: Norm,
    /// Whether H takes up the scale, so that WH does not change. Without it the objective may rise, and a sparsity is refused.
    pub compensate: bool,
}

/// What to do, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Divergence, exponent and floor of the updates, and the penalty on the gains. Of `rule.norm` nothing is asked: the norm that
    /// bases keep is that of `normalization`.
    pub rule: Rule,
    /// How the factors are updated.
    pub updates: Updates,
    /// How many iterations at most.
    pub iterations: usize,
    /// Stop when the objective fell by less than this share since it was last looked at; 0: never. Not a share of its first value,
    /// which may be anything: a start of the wrong scale makes it huge.
    pub tolerance: f64,
    /// The objective is looked at before the first iteration, after every so many, and after the last; 0: after the last alone.
    pub trace_every: usize,
    /// Which factors are updated.
    pub learn: Learn,
    /// Which of them first.
    pub order: Order,
    /// Normalisation of the bases, where they are updated. Without it a sparsity says nothing: W grows as H shrinks.
    pub normalization: Option<Normalization>,
}

impl Options {
    /// Both factors, gains first, no normalisation, `iterations` of a divergence's plain alternating update.
    pub fn of(divergence: Divergence, iterations: usize) -> Self {
        Self {
            rule: Rule::of(divergence),
            updates: Updates::Alternating,
            iterations,
            tolerance: 0.0,
            trace_every: 1,
            learn: Learn::Both,
            order: Order::GainsFirst,
            normalization: None,
        }
    }
}

/// What a factorization did.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// The objective Σ d(v|λ) + λ Σ h wherever it was looked at, the last entry after the last iteration.
    pub objective: Vec<f64>,
    /// Iterations done.
    pub iterations: usize,
    /// Whether the tolerance ended it.
    pub converged: bool,
}

/// The objective wherever it was looked at, and whether that is enough.
pub(super) struct Trace<'a> {
    options: &'a Options,
    objective: Vec<f64>,
    pub(super) converged: bool,
}

impl<'a> Trace<'a> {
    pub(super) fn new(options: &'a Options) -> Self {
        Self { options, objective: Vec::new(), converged: false }
    }

    /// Whether the objective is to be looked at after so many iterations.
    pub(super) fn due(&self, iteration: usize) -> bool {
        self.options.trace_every > 0 && iteration.is_multiple_of(self.options.trace_every)
    }

    pub(super) fn push(&mut self, iteration: usize, objective: f64) -> Result<()> {
        if !objective.is_finite() {
            return Err(Error::Diverged {
                what: format!("factorization ({})", self.options.rule.divergence),
                iteration,
            });
        }
        self.objective.push(objective);
        if let [.., before, now] = self.objective[..] {
            let tolerance = self.options.tolerance;
            self.converged |= tolerance > 0.0 && before - now < tolerance * before;
        }
        Ok(())
    }

    pub(super) fn fit(self, iterations: usize) -> Fit {
        Fit { objective: self.objective, iterations, converged: self.converged }
    }
}

/// Factorizes V (F x N) from the given W (F x K) and H (K x N), in place. `watch` is told the number of each iteration done.
///
/// A panel of several segments is factorized as a whole from one W. From a stack with a W for each segment, all are factorized
/// at once, each as if it were alone: to the bit, except by [`Updates::Extrapolated`], which takes steps of one length for all
/// of them. The objective and what it decides (the tolerance, whether a job has failed) are of all segments together.
///
/// # Errors
/// [`Error::Input`] where shapes or options do not fit, [`Error::Diverged`] where the objective is not finite,
/// [`Error::Engine`].
pub fn factorize<E: Products + Momentum + Glue>(
    engine: &E,
    v: &E::Panel,
    w: &mut E::Matrix,
    h: &mut E::Panel,
    options: &Options,
    watch: impl FnMut(usize) + Send,
) -> Result<Fit> {
    let norm = kept_norm(options)?;
    let options = &Options { rule: Rule { norm, ..options.rule }, ..options.clone() };
    engine.within(|| {
        if let Some(norm) = options.rule.basis_norm() {
            engine.normalize(w, Some(h), norm)?;
        }
        match options.updates {
            Updates::Extrapolated => extrapolation::factorize(engine, v, w, h, options, watch),
            Updates::Alternating | Updates::Joint => in_turn(engine, v, w, h, options, watch),
        }
    })
}

/// The norm that bases have when they are updated, if they have one.
///
/// # Errors
/// [`Error::Input`] where a sparsity does not go with the normalisation.
pub(crate) fn kept_norm(options: &Options) -> Result<Option<Norm>> {
    let Some(Normalization { norm, compensate }) = options.normalization.filter(|_| options.learn != Learn::Gains)
    else {
        return Ok(None);
    };
    if options.rule.sparsity > 0.0 && !compensate {
        return Err(Error::input("a sparsity does not go with bases that are normalised without their gains"));
    }
    check_norm(&options.rule, norm)?;
    Ok(Some(norm))
}

/// Refuses the pair of norm and divergence under which a sparsity can make nothing sparser: gains of bases of L1 norm 1 have one
/// sum under KL, that of the data, however they are distributed.
pub(super) fn check_norm(rule: &Rule, norm: Norm) -> Result<()> {
    if rule.sparsity > 0.0 && norm == Norm::L1 && rule.divergence == Divergence::KullbackLeibler {
        return Err(Error::input(
            "a sparsity under kl with bases of norm l1: there the sum of the gains is that of the data, so the penalty would \
             scale them and make none sparser; normalise by l2",
        ));
    }
    Ok(())
}

/// Iterations of plain updates.
fn in_turn<E: Products + Glue>(
    engine: &E,
    v: &E::Panel,
    w: &mut E::Matrix,
    h: &mut E::Panel,
    options: &Options,
    mut watch: impl FnMut(usize),
) -> Result<Fit> {
    let steps = match (options.updates, options.learn, options.order) {
        (Updates::Joint, Learn::Both, _) => vec![Factor::Both],
        (Updates::Joint, ..) => return Err(Error::input("joint updates are of both factors; one of them is kept")),
        (_, Learn::Gains, _) => vec![Factor::Gains],
        (_, Learn::Bases, _) => vec![Factor::Bases],
        (_, Learn::Both, Order::GainsFirst) => vec![Factor::Gains, Factor::Bases],
        (_, Learn::Both, Order::BasesFirst) => vec![Factor::Bases, Factor::Gains],
    };
    let joint_rule = Rule { exponent: options.rule.divergence.majorizing_exponent(), ..options.rule };
    let mut trace = Trace::new(options);
    let mut done = 0;
    if trace.due(0) {
        trace.push(0, objective(engine, v, w, h, &options.rule)?)?;
    }
    while done < options.iterations && !trace.converged {
        for step in &steps {
            match step {
                Factor::Gains => engine.update_gains(v, w, h, &options.rule)?,
                Factor::Bases => engine.update_bases(v, w, h, &options.rule)?,
                Factor::Both => engine.update_both(v, w, h, &joint_rule)?,
            }
            if let (Factor::Bases | Factor::Both, Some(Normalization { norm, compensate })) =
                (step, options.normalization)
            {
                engine.normalize(w, compensate.then_some(&mut *h), norm)?;
            }
        }
        done += 1;
        watch(done);
        if trace.due(done) {
            trace.push(done, objective(engine, v, w, h, &options.rule)?)?;
        }
    }
    if !trace.due(done) {
        trace.push(done, objective(engine, v, w, h, &options.rule)?)?;
    }
    Ok(trace.fit(done))
}

enum Factor {
    Gains,
    Bases,
    Both,
}

/// Finds gains under fixed bases from those given: updates of H, nothing else. Columns are independent of each other, and so are
/// segments: a segment's gains and the updates that it took, which are returned with them, are those that it has alone.
///
/// # Errors
/// [`Error::Input`] for joint updates, for segments that are not of N columns and for a tolerance with a packed panel; and those
/// of the engine.
pub fn update_gains<E: Products + Momentum>(
    engine: &E,
    v: &E::Panel,
    w: &E::Matrix,
    h: E::Panel,
    rule: &Rule,
    updates: Updates,
    until: &Until,
) -> Result<(E::Panel, Vec<usize>)> {
    engine.within(|| match updates {
        Updates::Alternating => stopping::follow(engine, v, w, Alternating { h, rule }, until),
        Updates::Joint => Err(Error::input("joint updates are of both factors; the bases are fixed here")),
        Updates::Extrapolated => stopping::follow(engine, v, w, extrapolation::Path::from(engine, &h, rule)?, until),
    })
}

/// Plain updates of gains.
struct Alternating<'a, P> {
    h: P,
    rule: &'a Rule,
}

impl<E: Products + Momentum> stopping::Path<E> for Alternating<'_, E::Panel> {
    fn update(&mut self, engine: &E, v: &E::Panel, w: &E::Matrix) -> Result<()> {
        engine.update_gains(v, w, &mut self.h, self.rule)
    }

    fn weighed_update(&mut self, engine: &E, v: &E::Panel, w: &E::Matrix) -> Result<Vec<f64>> {
        let mut next = self.gains(engine)?;
        let columns = engine.shape(&next).1;
        let mut costs = engine.panel_like(&next, Array2::<f32>::zeros((1, columns)).view())?;
        engine.try_gains(v, w, &self.h, &mut next, &mut costs, self.rule)?;
        self.h = next;
        Ok(engine.read_panel(&costs)?.row(0).to_vec())
    }

    fn gains(&self, engine: &E) -> Result<E::Panel> {
        engine.lead_gains(&self.h, &self.h, 0.0)
    }

    fn select(&self, engine: &E, columns: &[Range<usize>]) -> Result<Self> {
        Ok(Self { h: engine.select(&self.h, columns)?, rule: self.rule })
    }
}

/// Σ d(v|λ) + λ Σ h.
pub(super) fn objective<E: Products>(
    engine: &E,
    v: &E::Panel,
    w: &E::Matrix,
    h: &E::Panel,
    rule: &Rule,
) -> Result<f64> {
    let cost: f64 = engine.costs(v, w, h, rule.divergence)?.iter().sum();
    if rule.sparsity == 0.0 {
        return Ok(cost);
    }
    Ok(cost + rule.sparsity * engine.read_panel::<f64>(h)?.sum())
}

/// Checks what a user gives: at most 10⁶ iterations, a tolerance and a sparsity that are finite and not negative.
///
/// # Errors
/// [`Error::Input`] names what does not fit.
pub fn check_options(iterations: usize, tolerance: f64, sparsity: f64) -> Result<()> {
    if !(1..=1_000_000).contains(&iterations) {
        return Err(Error::input(format!("{iterations} iterations: must be between 1 and 1000000")));
    }
    for (name, value) in [("tolerance", tolerance), ("sparsity", sparsity)] {
        if !(value.is_finite() && value >= 0.0) {
            return Err(Error::input(format!("{name} {value}: must be finite and not negative")));
        }
    }
    Ok(())
}

/// Random bases (F x K) and gains (K x N) for data V (F x N), the same for every engine: uniform in (0.1, 1.1), scaled so
/// that WH has the mean of V.
pub fn random_start<T: Real>(v: ArrayView2<T>, rank: usize, seed: u64) -> (Array2<f32>, Array2<f32>) {
    let mean = v.fold(0.0, |sum, &v| sum + v.to_f64()) / v.len().max(1) as f64;
    let scale = (mean / (rank as f64 * 0.36)).sqrt();
    let fill = |name: &str, rows: usize, columns: usize| {
        let stream = Stream::new(seed, name);
        Array2::from_shape_fn((rows, columns), |(row, column)| {
            ((0.1 + stream.uniform((row * columns + column) as u64)) * scale) as f32
        })
    };
    (fill("bases", v.nrows(), rank), fill("gains", rank, v.ncols()))
}

/// Flat gains (K x N) for fixed bases W (F x K): every component of a column alike, so that the column of WH has the sum of
/// the column of V. A column's start depends on its own data alone.
pub fn flat_gains(v: ArrayView2<f32>, w: ArrayView2<f32>) -> Array2<f32> {
    let bases: f64 = w.iter().map(|&w| f64::from(w)).sum();
    let level = |column: ndarray::ArrayView1<f32>| column.iter().map(|&v| f64::from(v)).sum::<f64>() / bases.max(1e-30);
    let levels: Array1<f32> = v.axis_iter(Axis(1)).map(|column| level(column) as f32).collect();
    Array2::from_shape_fn((w.ncols(), v.ncols()), |(_, n)| levels[n])
}

#[cfg(test)]
mod tests {
    use ndarray::s;

    use super::*;
    use crate::divergence::ALL;
    use crate::engine::{Engine, Reference};
    use crate::kernels::momentum::SLACK;

    fn data() -> Array2<f32> {
        let stream = Stream::new(7, "data");
        Array2::from_shape_fn((9, 14), |(f, n)| (stream.uniform((f * 14 + n) as u64) + 0.05) as f32)
    }

    fn run(options: &Options) -> Fit {
        let (w, h) = random_start(data().view(), 3, 0);
        let (v, mut w, mut h) =
            (Reference.panel(data().view()).unwrap(), vec![w.mapv(f64::from)], vec![h.mapv(f64::from)]);
        factorize(&Reference, &v, &mut w, &mut h, options, |_| ()).unwrap()
    }

    #[test]
    fn the_objective_never_rises() {
        let plain = |learn| (Updates::Alternating, learn);
        let mut ways = [Learn::Both, Learn::Gains, Learn::Bases].map(plain).to_vec();
        ways.extend([Updates::Joint, Updates::Extrapolated].map(|updates| (updates, Learn::Both)));
        ways.push((Updates::Extrapolated, Learn::Gains));
        for divergence in ALL {
            for &(updates, learn) in &ways {
                for normalization in [None, Some(Normalization { norm: Norm::L1, compensate: true })] {
                    let fit = run(&Options { updates, learn, normalization, ..Options::of(divergence, 30) });
                    assert_eq!(fit.objective.len(), 31);
                    for pair in fit.objective.windows(2) {
                        assert!(pair[1] <= pair[0] * (1.0 + 1e-12), "{divergence}, {updates}, {learn:?}: {pair:?}");
                    }
                    assert!(fit.objective[30] < fit.objective[0]);
                }
            }
        }
    }

    #[test]
    fn recordings_in_one_batch_are_factorized_as_if_alone() {
        let recordings = [data().slice(s![.., ..5]).mapv(f64::from), data().slice(s![.., 5..]).mapv(f64::from)];
        let starts = recordings.each_ref().map(|v| random_start(v.view(), 3, 1));
        let normalization = Some(Normalization { norm: Norm::L2, compensate: true });
        for updates in [Updates::Alternating, Updates::Joint] {
            let options = Options { updates, normalization, ..Options::of(Divergence::ItakuraSaito, 10) };
            let run = |which: Range<usize>| {
                let v = recordings[which.clone()].to_vec();
                let mut w: Vec<_> = starts[which.clone()].iter().map(|start| start.0.mapv(f64::from)).collect();
                let mut h: Vec<_> = starts[which].iter().map(|start| start.1.mapv(f64::from)).collect();
                let fit = factorize(&Reference, &v, &mut w, &mut h, &options, |_| ()).unwrap();
                (w, h, fit.objective)
            };
            let (both, first, second) = (run(0..2), run(0..1), run(1..2));
            assert_eq!(both.0, [first.0, second.0].concat(), "{updates}");
            assert_eq!(both.1, [first.1, second.1].concat(), "{updates}");
            for (both, (first, second)) in both.2.iter().zip(first.2.iter().zip(&second.2)) {
                assert!((both - first - second).abs() <= 1e-12 * both, "{updates}");
            }
        }
    }

    #[test]
    fn extrapolated_updates_take_a_batch_too() {
        let recordings = vec![data().slice(s![.., ..5]).mapv(f64::from), data().slice(s![.., 5..]).mapv(f64::from)];
        let starts: Vec<_> = recordings.iter().map(|v| random_start(v.view(), 3, 1)).collect();
        for learn in [Learn::Both, Learn::Gains] {
            let options =
                Options { updates: Updates::Extrapolated, learn, ..Options::of(Divergence::KullbackLeibler, 30) };
            let mut w: Vec<_> = starts.iter().map(|start| start.0.mapv(f64::from)).collect();
            let mut h: Vec<_> = starts.iter().map(|start| start.1.mapv(f64::from)).collect();
            let fit = factorize(&Reference, &recordings, &mut w, &mut h, &options, |_| ()).unwrap();
            assert!(fit.objective.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-6)), "{learn:?}");
            let alone = |at: usize| {
                let (mut w, mut h) = (vec![starts[at].0.mapv(f64::from)], vec![starts[at].1.mapv(f64::from)]);
                factorize(&Reference, &recordings[at..=at].to_vec(), &mut w, &mut h, &options, |_| ()).unwrap();
                h.remove(0)
            };
            // With fixed bases a column has its own steps; otherwise there is one for all.
            assert_eq!(h == [alone(0), alone(1)], learn == Learn::Gains);
        }
    }

    /// Σ_f w^p of every column, the root taken.
    fn norms(w: &Array2<f64>, norm: Norm) -> Vec<f64> {
        w.columns().into_iter().map(|column| norm.of(column.iter().copied())).collect()
    }

    fn check_sparse<E: Products + Momentum + Glue>(
        engine: &E,
        slack: f64,
        seeds: Range<u64>,
        divergences: &[Divergence],
        sparsities: &[f64],
    ) {
        for (seed, &divergence, &sparsity) in
            seeds.flat_map(|seed| divergences.iter().flat_map(move |d| sparsities.iter().map(move |s| (seed, d, s))))
        {
            // Not all alike, and with exact zeros.
            let stream = Stream::new(seed, "data");
            let at = |(f, n)| (stream.uniform((f * 14 + n) as u64).powi(4) * 8.0 - 0.01).max(0.0) as f32;
            let data = Array2::from_shape_fn((9, 14), at);
            let (w, h) = random_start(data.view(), 3, seed);
            for norm in [Norm::L1, Norm::L2] {
                for updates in [Updates::Alternating, Updates::Joint, Updates::Extrapolated] {
                    let normalization = Some(Normalization { norm, compensate: true });
                    let mut options = Options { updates, normalization, ..Options::of(divergence, 40) };
                    options.rule.sparsity = sparsity;
                    let (v, mut w, mut h) = (
                        engine.panel(data.view()).unwrap(),
                        engine.matrix(w.view()).unwrap(),
                        engine.panel(h.view()).unwrap(),
                    );
                    let fit = factorize(engine, &v, &mut w, &mut h, &options, |_| ());
                    let case = format!("{divergence}, {norm}, {updates}, λ {sparsity}, seed {seed}");
                    if (divergence, norm) == (Divergence::KullbackLeibler, Norm::L1) {
                        let refused = fit.unwrap_err().to_string();
                        assert!(refused.contains("kl") && refused.contains("l2"), "{refused}");
                        continue;
                    }
                    let trace = fit.unwrap().objective;
                    // What extrapolation takes for rounding it takes for that in f64 too.
                    let slack = if updates == Updates::Extrapolated { slack.max(SLACK) } else { slack };
                    for (at, pair) in trace.windows(2).enumerate() {
                        assert!(pair[1] <= pair[0] + slack * pair[0], "{case}: {pair:?} at {at}");
                    }
                    // What is reported is what the factors cost, under bases of norm 1.
                    let (w, h): (Array2<f64>, Array2<f64>) =
                        (engine.read_matrix(&w).unwrap(), engine.read_panel(&h).unwrap());
                    // Components that the penalty takes away are no longer normalised.
                    assert!(norms(&w, norm).iter().all(|norm| *norm < 1e-20 || (norm - 1.0).abs() < 1e-5), "{case}");
                    let lambda = w.dot(&h).mapv(|lambda| lambda.max(crate::divergence::MODEL_FLOOR));
                    let costs = data.iter().zip(&lambda).map(|(&v, &lambda)| divergence.cost(f64::from(v), lambda));
                    let cost = costs.sum::<f64>() + sparsity * h.sum();
                    assert!((cost - trace[40]).abs() <= 1e-4 * cost.abs().max(1.0), "{case}: {cost} for {}", trace[40]);
                    assert!(trace[40] < trace[0], "{case}: {trace:?}");
                }
            }
        }
    }

    #[test]
    fn a_sparse_objective_never_rises() {
        check_sparse(&Reference, 1e-12, 0..20, &ALL, &[0.03, 1.0, 30.0]);
        let some = [0.5, 1.0, 1.5, 2.0, 0.0].map(|beta| Divergence::beta(beta).unwrap());
        check_sparse(&crate::engine::Cpu::new(Some(1)).unwrap(), 1e-5, 0..6, &ALL, &[0.03, 1.0, 30.0]);
        if let Some(gpu) = crate::engine::testing::gpu() {
            check_sparse(&gpu, 1e-5, 0..1, &some, &[1.0]);
        }
    }

    /// Le Roux, Weninger & Hershey's own update of bases, which is not proven to fall.
    fn half_baked_or_well_done(v: &Array2<f64>, w: &mut Array2<f64>, h: &mut Array2<f64>, sparsity: f64) -> f64 {
        let normalize = |w: &mut Array2<f64>| {
            let norms = Array1::from(norms(w, Norm::L2));
            *w /= &norms;
            norms.insert_axis(Axis(1))
        };
        *h *= &normalize(w);
        let ratio = |w: &Array2<f64>, h: &Array2<f64>| v / &w.dot(h);
        for _ in 0..3000 {
            let n = w.t().dot(&ratio(w, h));
            *h *= &(n / (w.sum_axis(Axis(0)) + sparsity).insert_axis(Axis(1)));
            let (n, d) = (ratio(w, h).dot(&h.t()), Array2::<f64>::ones(v.dim()).dot(&h.t()));
            let of = |field: &Array2<f64>| (&*w * field).sum_axis(Axis(0));
            *w = &*w * (&n + &*w * of(&d)) / (&d + &*w * of(&n));
            normalize(w);
        }
        let lambda = w.dot(h);
        let costs = v.iter().zip(&lambda).map(|(&v, &lambda)| Divergence::KullbackLeibler.cost(v, lambda));
        costs.sum::<f64>() + sparsity * h.sum()
    }

    #[test]
    fn a_sparsity_reaches_what_the_paper_s_update_reaches_and_makes_gains_sparser() {
        let idle = |h: &Array2<f64>| h.iter().filter(|&&h| h < 1e-3).count();
        let data = data().mapv(f64::from);
        let (w0, h0) = random_start(data.view(), 3, 0);
        let (w0, h0) = (w0.mapv(f64::from), h0.mapv(f64::from));
        let mut shares = Vec::new();
        for sparsity in [0.0, 0.1, 0.5] {
            let (v, mut w, mut h) = (vec![data.clone()], vec![w0.clone()], vec![h0.clone()]);
            let mut options = Options::of(Divergence::KullbackLeibler, 3000);
            options.normalization = Some(Normalization { norm: Norm::L2, compensate: true });
            options.rule.sparsity = sparsity;
            let fit = factorize(&Reference, &v, &mut w, &mut h, &options, |_| ()).unwrap();
            let best = half_baked_or_well_done(&data, &mut w0.clone(), &mut h0.clone(), sparsity);
            assert!(fit.objective[3000] < 1.01 * best, "λ {sparsity}: {} above {best}", fit.objective[3000]);
            shares.push(idle(&h[0]));
        }
        assert!(shares[0] < shares[1] && shares[1] < shares[2], "{shares:?}");
    }

    #[test]
    fn a_sparsity_is_refused_where_a_normalisation_changes_the_model() {
        let mut options = Options::of(Divergence::Euclidean, 3);
        options.normalization = Some(Normalization { norm: Norm::L2, compensate: false });
        options.rule.sparsity = 0.1;
        let (v, mut w, mut h) = (vec![Array2::ones((2, 2))], vec![Array2::ones((2, 1))], vec![Array2::ones((1, 2))]);
        assert!(matches!(factorize(&Reference, &v, &mut w, &mut h, &options, |_| ()), Err(Error::Input(_))));
        options.learn = Learn::Gains;
        factorize(&Reference, &v, &mut w, &mut h, &options, |_| ()).unwrap();
    }

    #[test]
    fn sparsity_is_part_of_the_objective_and_shrinks_the_gains() {
        let mut options = Options { learn: Learn::Gains, ..Options::of(Divergence::KullbackLeibler, 40) };
        let plain = run(&options);
        options.rule.sparsity = 0.5;
        let sparse = run(&options);
        assert!(sparse.objective[0] > plain.objective[0]);
        assert!(sparse.objective.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-12)));
    }

    #[test]
    fn the_tolerance_stops_and_the_trace_is_as_asked() {
        let mut options = Options { tolerance: 1e-3, trace_every: 5, ..Options::of(Divergence::KullbackLeibler, 1000) };
        let fit = run(&options);
        assert!(fit.converged && fit.iterations < 1000 && fit.iterations.is_multiple_of(5));
        assert_eq!(fit.objective.len(), fit.iterations / 5 + 1);
        options.trace_every = 0;
        options.iterations = 7;
        let fit = run(&options);
        assert_eq!((fit.objective.len(), fit.iterations, fit.converged), (1, 7, false));
        options.trace_every = 5;
        options.tolerance = 0.0;
        assert_eq!(run(&options).objective.len(), 3);
    }

    #[test]
    fn the_tolerance_does_not_depend_on_the_scale_of_the_start() {
        for updates in [Updates::Alternating, Updates::Joint, Updates::Extrapolated] {
            for divergence in ALL {
                let ends = |scale: f64, tolerance: f64| {
                    let (w, h) = random_start(data().view(), 3, 0);
                    let options = Options { updates, tolerance, ..Options::of(divergence, 3000) };
                    let (v, mut w, mut h) = (
                        Reference.panel(data().view()).unwrap(),
                        vec![w.mapv(|w| f64::from(w) * scale)],
                        vec![h.mapv(f64::from)],
                    );
                    let fit = factorize(&Reference, &v, &mut w, &mut h, &options, |_| ()).unwrap();
                    assert!(fit.converged == (tolerance > 0.0), "{divergence}, {updates}, {scale}");
                    fit.objective.last().copied().unwrap()
                };
                let best = ends(1.0, 0.0);
                for scale in [1e-3, 1.0, 10.0, 1e3] {
                    let end = ends(scale, 1e-4);
                    assert!(end < 1.3 * best, "{divergence}, {updates}, {scale}: ends at {end}, not {best}");
                }
            }
        }
    }

    #[test]
    fn numbers_that_explode_are_an_error() {
        let v = vec![Array2::from_elem((2, 2), f64::MAX)];
        let (mut w, mut h) = (vec![Array2::ones((2, 1))], vec![Array2::ones((1, 2))]);
        let options = Options::of(Divergence::Euclidean, 3);
        let error = factorize(&Reference, &v, &mut w, &mut h, &options, |_| ()).unwrap_err();
        assert!(matches!(error, Error::Diverged { iteration: 0, .. }), "{error}");
    }

    #[test]
    fn flat_gains_have_each_column_s_level() {
        let v = ndarray::array![[1.0f32, 0.0], [3.0, 0.0]];
        let w = ndarray::array![[0.5f32, 0.5, 0.0], [0.5, 0.0, 0.5]];
        let h = flat_gains(v.view(), w.view());
        assert_eq!(h, ndarray::array![[2.0, 0.0], [2.0, 0.0], [2.0, 0.0]]);
    }
}
