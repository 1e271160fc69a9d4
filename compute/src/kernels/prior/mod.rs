//! Gaussian mixtures as priors of gains: what gains of one source are usual together, whatever their level.
//!
//! Of the gains g (K) of a source in one frame, x = log(g/|g|) has the density Σ_c w_c N(x; μ_c, diag σ²_c), and L is its logarithm.
//! With the responsibilities r_c = w_c N_c / Σ w N, a = Σ_c r_c (−μ_c)/σ²_c and b = Σ_c r_c (−x)/σ²_c, neither of them
//! negative since x and the means are not above 0, ∇L is the difference of
//!
//! - ∇⁺_k = b_k/g_k + g_k/|g|² A
//! - ∇⁻_k = a_k/g_k + g_k/|g|² B
//!
//! with A = Σ_k a_k and B = Σ_k b_k ([`Gradient::Exact`]), or A = a_k and B = b_k ([`Gradient::Paper`]).
//!
//! Grais & Erdogan, "Gaussian mixture gain priors for regularized nonnegative matrix factorization in single-channel source
//! separation" (2012), eqs. (10), (15), (16), (24), (29), (30).

mod cpu;
mod gpu;
mod reference;

use std::f64::consts::TAU;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use ndarray::{Array1, Array2, Axis};

use super::products::{Products, Rule, check_shapes};
use crate::engine::Engine;
use crate::{Error, Result};

/// The least gain that has a logarithm. Supposes data near 1, like [`crate::divergence::MODEL_FLOOR`].
pub const GAIN_FLOOR: f64 = 1e-12;
/// The least weight of a component of a mixture: its logarithm is an ordinary number.
pub const WEIGHT_FLOOR: f64 = 1e-30;
/// A component that is responsible for no more columns than this keeps its mean and variance.
const IDLE: f64 = 1e-10;

/// A mixture of C Gaussians of K dimensions, with diagonal covariances.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    /// w (C), above 0, of sum 1.
    pub weights: Array1<f64>,
    /// μ (C, K).
    pub means: Array2<f64>,
    /// σ² (C, K), above 0.
    pub variances: Array2<f64>,
}

impl Mixture {
    /// K.
    pub fn dimensions(&self) -> usize {
        self.means.ncols()
    }

    /// In numbers of f32, as a model's file holds them.
    #[must_use]
    pub fn rounded(&self) -> Self {
        let round = |value: f64| f64::from(value as f32);
        Self { weights: self.weights.mapv(round), means: self.means.mapv(round), variances: self.variances.mapv(round) }
    }

    /// Checks shapes and ranges.
    ///
    /// # Errors
    /// [`Error::Input`] names what does not fit.
    pub fn check(&self) -> Result<()> {
        let (count, dimensions) = self.means.dim();
        if self.weights.len() != count || self.variances.dim() != self.means.dim() || count == 0 || dimensions == 0 {
            return Err(Error::input(format!(
                "a mixture of {} weights, means {:?} and variances {:?}: must be C, C x K and C x K",
                self.weights.len(),
                self.means.dim(),
                self.variances.dim()
            )));
        }
        let positive = |value: &f64| value.is_finite() && *value > 0.0;
        let sound = self.weights.iter().all(positive)
            && (self.weights.sum() - 1.0).abs() < 1e-3
            && self.means.iter().all(|mean| mean.is_finite())
            && self.variances.iter().all(positive);
        if sound {
            return Ok(());
        }
        Err(Error::input(
            "a mixture whose weights or variances are not above 0, or that has no finite means or no sum of 1",
        ))
    }
}

/// A [`Mixture`] on an engine, as its kernels read it.
pub struct Density<M> {
    dimensions: usize,
    components: usize,
    /// μ (K, C).
    means: M,
    /// The same as the engine holds them: what [`Moments`] are taken around.
    center: Array2<f64>,
    /// 1/σ² (K, C).
    precisions: M,
    /// −μ/σ² (K, C).
    pulls: M,
    /// log w − ½ Σ_k log 2πσ²_k less the largest of them, and that, as often (2, C): in f32, numbers in the hundreds leave little of
    /// what they differ by.
    levels: M,
}

impl<M> Density<M> {
    /// Brings a mixture up.
    ///
    /// # Errors
    /// Those of [`Mixture::check`] and of the engine.
    pub fn new<E: Engine<Matrix = M>>(engine: &E, mixture: &Mixture) -> Result<Self> {
        mixture.check()?;
        let (components, dimensions) = mixture.means.dim();
        let means = engine.matrix(mixture.means.t())?;
        let precisions = mixture.variances.mapv(f64::recip);
        let pulls = -(&mixture.means * &precisions);
        let spread = mixture.variances.mapv(|variance| (TAU * variance).ln()).sum_axis(Axis(1));
        let levels = mixture.weights.mapv(f64::ln) - 0.5 * spread;
        let highest = levels.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let levels = Array2::from_shape_fn((2, components), |(row, c)| [levels[c] - highest, highest][row]);
        Ok(Self {
            dimensions,
            components,
            center: engine.read_matrix(&means)?,
            means,
            precisions: engine.matrix(precisions.t())?,
            pulls: engine.matrix(pulls.t())?,
            levels: engine.matrix(levels.view())?,
        })
    }
}

/// Which parts of ∇L an update takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Gradient {
    /// The gradient of L.
    #[default]
    Exact,
    /// Eqs. (29), (30) as printed: without what a gain does to the norm that the others are divided by.
    Paper,
}

impl fmt::Display for Gradient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "exact",
            Self::Paper => "paper",
        })
    }
}

impl FromStr for Gradient {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "exact" => Ok(Self::Exact),
            "paper" => Ok(Self::Paper),
            _ => Err(Error::input(format!("gradient '{text}' is not known; use exact or paper"))),
        }
    }
}

/// A prior of some rows of the gains. How much it counts for, its α, may differ from column to column: an update is given a panel
/// of weights beside its priors.
pub struct Prior<M> {
    /// The rows of H that are the source's.
    pub rows: Range<usize>,
    /// What its gains are usually like.
    pub density: Density<M>,
    /// Which gradient.
    pub gradient: Gradient,
    /// Gains below this share of |g| count as that: 0 ≤ ρ < 1; see [`GainPrior::log_normalized`].
    pub floor: f64,
}

/// What one step of expectation-maximization needs of N columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Σ_n L(x_n).
    pub log_likelihood: f64,
    /// Σ_n r (C).
    pub counts: Array1<f64>,
    /// Σ_n r x / Σ_n r (C, K); the mixture's own mean where a component is responsible for nothing.
    pub means: Array2<f64>,
    /// Σ_n r x² / Σ_n r − mean² (C, K), not negative.
    /// `None` for a component of which `counts` is too small: it keeps its variances.
    pub variances: Vec<Option<Array1<f64>>>,
}

impl Moments {
    /// From sums around a mixture's own means, which no large terms cancel in: Σ r (C), Σ r (x − μ) and Σ r (x − μ)² (C, K).
    fn around<M>(
        density: &Density<M>,
        log_likelihood: f64,
        counts: Array1<f64>,
        firsts: &Array2<f64>,
        seconds: &Array2<f64>,
    ) -> Self {
        let mut means = density.center.t().to_owned();
        let mut variances = Vec::with_capacity(counts.len());
        for (component, &count) in counts.iter().enumerate() {
            variances.push((count > IDLE).then(|| {
                let shift = &firsts.row(component) / count;
                let mut mean = means.row_mut(component);
                mean += &shift;
                let spread = &seconds.row(component) / count - &shift * &shift;
                spread.mapv_into(|variance| variance.max(0.0))
            }));
        }
        Self { log_likelihood, counts, means, variances }
    }
}

/// The kernels of gain priors. H: gains K' x N, of which a source has the rows that a prior names; X: log-normalised gains of
/// one source, K x N. A column's result depends on that column alone, to the bit; panels may be of several segments.
///
/// All functions fail with [`Error::Input`] where shapes do not fit, and with [`Error::Engine`] where the device does.
pub trait GainPrior: Products {
    /// X of some rows of H: log(g'/n) with g₁ = max(g, 1e-12), n = |g₁| and g' = max(g₁, ρ n), the floor ρ in [0, 1).
    fn log_normalized(&self, h: &Self::Panel, rows: Range<usize>, floor: f64) -> Result<Self::Panel>;

    /// The responsibilities r (C x N) of a mixture's components for every column of X, and L of every column (1 x N).
    fn responsibilities(&self, x: &Self::Panel, density: &Density<Self::Matrix>) -> Result<(Self::Panel, Self::Panel)>;

    /// The sums behind a step of expectation-maximization, over all columns of X, in an order that depends on N alone.
    fn moments(&self, x: &Self::Panel, density: &Density<Self::Matrix>) -> Result<Moments>;

    /// Adds priors to what an update of gains is a ratio of: N ← N + α ∇⁺L, D ← D + α ∇⁻L (both K' x N) in the priors' rows, with
    /// α of every prior and column from `weights` (priors x N), finite and not negative. Where α is above 0, gains are raised to
    /// the g' of [`GainPrior::log_normalized`]: where they are multiplied from, so that a gain that reached 0 can be moved.
    fn add_priors(
        &self,
        h: &mut Self::Panel,
        priors: &[Prior<Self::Matrix>],
        weights: &Self::Panel,
        n: &mut Self::Panel,
        d: &mut Self::Panel,
    ) -> Result<()>;

    /// [`Products::update_gains`] under priors: H ← H ∘ ((N + α ∇⁺L) / (D + λ + α ∇⁻L))^γ, all from the same H, raised as by
    /// [`GainPrior::add_priors`]. Rows of no prior, and columns where its weight is 0, have the bits of the plain update.
    fn update_gains_under(
        &self,
        v: &Self::Panel,
        w: &Self::Matrix,
        h: &mut Self::Panel,
        rule: &Rule,
        priors: &[Prior<Self::Matrix>],
        weights: &Self::Panel,
    ) -> Result<()>;
}

fn check_rows(rows: &Range<usize>, floor: f64, all: usize) -> Result<()> {
    if rows.is_empty() || rows.end > all {
        return Err(Error::input(format!("rows {rows:?} of {all} rows of gains")));
    }
    if !(0.0..1.0).contains(&floor) {
        return Err(Error::input(format!("gain floor {floor}: must be at least 0 and below 1")));
    }
    Ok(())
}

/// Checks that priors fit gains, no two of them the same row, and weights both.
fn check_priors<M>(priors: &[Prior<M>], h: (usize, &[usize]), weights: (usize, &[usize])) -> Result<()> {
    if weights != (priors.len(), h.1) {
        return Err(Error::input(format!(
            "weights of {} priors for {}, in the gains' segments",
            weights.0,
            priors.len()
        )));
    }
    for (index, prior) in priors.iter().enumerate() {
        check_rows(&prior.rows, prior.floor, h.0)?;
        check_density(prior.rows.len(), &prior.density)?;
        let meets = |other: &&Prior<M>| prior.rows.start < other.rows.end && other.rows.start < prior.rows.end;
        if let Some(other) = priors[..index].iter().find(meets) {
            return Err(Error::input(format!(
                "two priors of the same gains: rows {:?} and {:?}",
                other.rows, prior.rows
            )));
        }
    }
    Ok(())
}

fn check_density<M>(rows: usize, density: &Density<M>) -> Result<()> {
    if rows == density.dimensions {
        return Ok(());
    }
    Err(Error::input(format!("a mixture of {} dimensions for {rows} rows of gains", density.dimensions)))
}

/// Checks that N and D are of the gains' shape.
fn check_sums(h: (usize, &[usize]), n: (usize, &[usize]), d: (usize, &[usize])) -> Result<()> {
    if n == h && d == h {
        return Ok(());
    }
    Err(Error::input(format!("gains of {} rows beside N of {} and D of {}, in the same segments", h.0, n.0, d.0)))
}
