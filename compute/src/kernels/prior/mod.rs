//! Gaussian mixtures as gain priors: they model which gains of a source are likely together, at any level.
//!
//! Let g (K) be a source's gains in one frame. x = log(g/|g|) has the density Σ_c w_c N(x; μ_c, diag σ²_c), and L is
//! its logarithm. With the responsibilities r_c = w_c N_c / Σ w N, define a = Σ_c r_c (−μ_c)/σ²_c and b = Σ_c r_c
//! (−x)/σ²_c. Both are nonnegative, since x and the means are at most 0. The gradient ∇L is then the difference of
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

/// The least gain whose logarithm is taken. It supposes data near 1, like [`crate::divergence::MODEL_FLOOR`].
pub const GAIN_FLOOR: f64 = 1e-12;
/// The least weight of a mixture component. It keeps the logarithm moderate.
pub const WEIGHT_FLOOR: f64 = 1e-30;
/// A component responsible for at most this many columns keeps its mean and variance.
const IDLE: f64 = 1e-10;

/// A mixture of C Gaussians of K dimensions with diagonal covariances.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    /// Weights w (C), positive, with sum 1.
    pub weights: Array1<f64>,
    /// Means μ (C, K).
    pub means: Array2<f64>,
    /// Variances σ² (C, K), positive.
    pub variances: Array2<f64>,
}

impl Mixture {
    /// The number of dimensions, K.
    pub fn dimensions(&self) -> usize {
        self.means.ncols()
    }

    /// Rounds all numbers to f32, as a model file stores them.
    #[must_use]
    pub fn rounded(&self) -> Self {
        let round = |value: f64| f64::from(value as f32);
        Self { weights: self.weights.mapv(round), means: self.means.mapv(round), variances: self.variances.mapv(round) }
    }

    /// Checks shapes and ranges.
    ///
    /// # Errors
    /// [`Error::Input`] names the member that does not fit.
    pub fn check(&self) -> Result<()> {
        let (count, dimensions) = self.means.dim();
        if self.weights.len() != count || self.variances.dim() != self.means.dim() || count == 0 || dimensions == 0 {
            return Err(Error::input(format!(
                "a mixture has {} weights, means {:?} and variances {:?}; the shapes must be C, C x K and C x K",
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
            "a mixture has weights or variances that are not above 0, no finite means, or no sum of 1 of its weights",
        ))
    }
}

/// A [`Mixture`] on an engine, in its kernels' layout.
pub struct Density<M> {
    dimensions: usize,
    components: usize,
    /// μ (K, C).
    means: M,
    /// The means as the engine holds them. [`Moments`] are taken around these.
    center: Array2<f64>,
    /// 1/σ² (K, C).
    precisions: M,
    /// −μ/σ² (K, C).
    pulls: M,
    /// log w − ½ Σ_k log 2πσ²_k minus its maximum in row 0, and the maximum itself in row 1, repeated (2, C).
    /// Differences are stored because in f32, numbers in the hundreds would leave few digits of them.
    levels: M,
}

impl<M> Density<M> {
    /// Uploads a mixture.
    ///
    /// # Errors
    /// See [`Mixture::check`]; also the engine's errors.
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

/// The form of ∇L that an update uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Gradient {
    /// The exact gradient of L.
    #[default]
    Exact,
    /// Eqs. (29), (30) as printed. They ignore a gain's effect, through the norm, on the other gains' x.
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
            _ => Err(Error::input(format!("gradient '{text}' is unknown; use exact or paper"))),
        }
    }
}

/// A prior on some rows of the gains. Its weight α may differ per column: an update takes a panel of weights beside its
/// priors.
pub struct Prior<M> {
    /// The source's rows of H.
    pub rows: Range<usize>,
    /// The density of its normalized log gains.
    pub density: Density<M>,
    /// The form of the gradient.
    pub gradient: Gradient,
    /// The floor ρ: gains below ρ |g| count as ρ |g|, 0 ≤ ρ < 1. See [`GainPrior::log_normalized`].
    pub floor: f64,
}

/// The statistics of N columns for one step of expectation-maximization.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Σ_n L(x_n).
    pub log_likelihood: f64,
    /// Σ_n r (C).
    pub counts: Array1<f64>,
    /// Σ_n r x / Σ_n r (C, K). The mixture's own mean for a component without responsibility.
    pub means: Array2<f64>,
    /// Σ_n r x² / Σ_n r − mean² (C, K), nonnegative. `None` for a component whose `counts` entry is too small; it keeps
    /// its variances.
    pub variances: Vec<Option<Array1<f64>>>,
}

impl Moments {
    /// Computes the moments from sums around the mixture's own means, Σ r (C), Σ r (x − μ) and Σ r (x − μ)² (C, K).
    /// This avoids the cancellation of large terms.
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

/// The kernels of gain priors. H: gains K' x N; a prior names its source's rows. X: log-normalized gains of one source,
/// K x N. A column's result depends on that column alone, to the bit. Panels may have several segments.
///
/// All functions return [`Error::Input`] if shapes do not fit, and [`Error::Engine`] if the device fails.
pub trait GainPrior: Products {
    /// Computes X from some rows of H: log(g'/n) with g₁ = max(g, 1e-12), n = |g₁| and g' = max(g₁, ρ n). The floor ρ
    /// is in [0, 1).
    fn log_normalized(&self, h: &Self::Panel, rows: Range<usize>, floor: f64) -> Result<Self::Panel>;

    /// Computes the responsibilities r (C x N) of a mixture's components for every column of X, and L of every column
    /// (1 x N).
    fn responsibilities(&self, x: &Self::Panel, density: &Density<Self::Matrix>) -> Result<(Self::Panel, Self::Panel)>;

    /// Computes the sums of one step of expectation-maximization over all columns of X. The order of summation depends
    /// on N alone.
    fn moments(&self, x: &Self::Panel, density: &Density<Self::Matrix>) -> Result<Moments>;

    /// Adds priors to the numerator and denominator of an update of gains: N ← N + α ∇⁺L, D ← D + α ∇⁻L (both K' x N)
    /// in the priors' rows. `weights` (priors x N) gives α for every prior and column, finite and nonnegative.
    ///
    /// Where α is above 0, gains are first raised to the g' of [`GainPrior::log_normalized`], so that the update can
    /// move a gain that reached 0.
    fn add_priors(
        &self,
        h: &mut Self::Panel,
        priors: &[Prior<Self::Matrix>],
        weights: &Self::Panel,
        n: &mut Self::Panel,
        d: &mut Self::Panel,
    ) -> Result<()>;

    /// [`Products::update_gains`] under priors: H ← H ∘ ((N + α ∇⁺L) / (D + λ + α ∇⁻L))^γ, with all terms from the same
    /// H, raised as in [`GainPrior::add_priors`]. Rows without a prior, and columns with weight 0, have the bits of the
    /// plain update.
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
        return Err(Error::input(format!("rows {rows:?} are not rows of gains with {all} rows")));
    }
    if !(0.0..1.0).contains(&floor) {
        return Err(Error::input(format!("gain floor {floor}: must be at least 0 and below 1")));
    }
    Ok(())
}

/// Checks that priors fit the gains, that no two share a row, and that the weights fit both.
fn check_priors<M>(priors: &[Prior<M>], h: (usize, &[usize]), weights: (usize, &[usize])) -> Result<()> {
    if weights != (priors.len(), h.1) {
        return Err(Error::input(format!(
            "weights of {} priors do not fit {} priors in the gains' segments",
            weights.0,
            priors.len()
        )));
    }
    for (index, prior) in priors.iter().enumerate() {
        check_rows(&prior.rows, prior.floor, h.0)?;
        check_density(prior.rows.len(), &prior.density)?;
        let meets = |other: &&Prior<M>| prior.rows.start < other.rows.end && other.rows.start < prior.rows.end;
        if let Some(other) = priors[..index].iter().find(meets) {
            return Err(Error::input(format!("two priors overlap: rows {:?} and {:?}", other.rows, prior.rows)));
        }
    }
    Ok(())
}

fn check_density<M>(rows: usize, density: &Density<M>) -> Result<()> {
    if rows == density.dimensions {
        return Ok(());
    }
    Err(Error::input(format!("a mixture of {} dimensions does not fit {rows} rows of gains", density.dimensions)))
}

/// Checks that N and D have the gains' shape.
fn check_sums(h: (usize, &[usize]), n: (usize, &[usize]), d: (usize, &[usize])) -> Result<()> {
    if n == h && d == h {
        return Ok(());
    }
    Err(Error::input(format!(
        "gains with {} rows do not fit N with {} and D with {} rows, or the segments differ",
        h.0, n.0, d.0
    )))
}
