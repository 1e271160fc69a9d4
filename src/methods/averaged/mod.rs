//! Variational Bayes factorization of a mixture, averaged over the number of components.
//!
//! Jaureguiberry, Vincent & Richard, "Variational Bayesian model averaging for audio source separation" (2014). The
//! spectrum of a mixture is x = Σ_j s_j + e with e ~ N(0, σ²) and s_j ~ N(0, v_j), both circular and complex. Source j has
//! factorizations of several orders m, v_j = W_jm H_jm if its order is m, with priors w ~ Γ(a, a), h ~ Γ(b, b) and P(m) =
//! π_jm. The posterior is approximated by q(S) q(W | m) q(H | m) q(m), and every factor is found in turn:
//!
//! - q(S) is normal, with a variance 1/c_j = Σ_m q_jm / C_jm of each source: (15), (16);
//! - q(W | m), q(H | m) are generalized inverse Gaussian: (17), with E[1/W]^−2 where the print has E[1/W]^2;
//! - q(m) ∝ exp(log q̃(m) / β), with log q̃ the bound on the log evidence of order m: (12), (18).
//!
//! The temperature β weighs the entropy of q(m) in the free energy, which no update can lower. With β = 1 it is a lower
//! bound of log P(X), or of log P(X | W) if W is fixed; β = 10⁴ keeps several orders in play. Any number of sources is
//! allowed; the paper has two.

mod file;
mod options;
pub(crate) mod separate;
pub(crate) mod train;

pub use file::Learned;
pub(crate) use options::check;
pub use options::{Choice, Orders, Separation, Training};

use ndarray::{Array1, Array2, Axis};

use crate::kernels::variational::{Bases, Gig, Order, Variational};
use crate::{Error, Result};

/// The name of the stem of a background.
pub(crate) const BACKGROUND: &str = "background";

/// Iterations of a separation: the paper's.
pub(crate) const ITERATIONS: usize = 50;

/// How the posterior is found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// a, the shape of the prior of the bases.
    pub bases_shape: f64,
    /// b, the shape of the prior of the gains.
    pub gains_shape: f64,
    /// σ², the variance of the noise.
    pub noise: f64,
    /// β of the first and of the last iteration. Those between follow geometrically.
    pub temperature: (f64, f64),
    /// Whether every frame has an order of its own, in place of one for all: q(m) is of a frame then.
    pub by_frame: bool,
    /// Iterations over all factors.
    pub iterations: usize,
    /// Compute the free energy after every iteration. It needs the evidence of sources with a single order too.
    pub trace: bool,
}

impl Options {
    /// β of an iteration, counted from 0.
    fn temperature_of(&self, iteration: usize) -> f64 {
        let (first, last) = self.temperature;
        let share = iteration as f64 / self.iterations.saturating_sub(1).max(1) as f64;
        first * (last / first).powf(share)
    }
}

/// A source: its factorizations of several orders.
pub struct Source<E: Variational> {
    /// The factorizations.
    pub orders: Vec<Order<E>>,
    /// log π (M) of the orders.
    pub log_prior: Vec<f64>,
    /// q, the posterior of the orders (M x 1), or of the orders in each of N frames (M x N).
    pub posterior: Array2<f64>,
    /// log q̃, of the same shape, after the last iteration that computed it. Empty before.
    pub log_evidence: Array2<f64>,
}

impl<E: Variational> Source<E> {
    /// A source whose orders are equally probable.
    pub fn new(orders: Vec<Order<E>>) -> Self {
        let equal = 1.0 / orders.len() as f64;
        let posterior = Array2::from_elem((orders.len(), 1), equal);
        Self { log_prior: vec![equal.ln(); orders.len()], orders, posterior, log_evidence: Array2::zeros((0, 0)) }
    }

    /// Turns log q̃ into q at temperature β: (18).
    fn choose(&mut self, temperature: f64) {
        self.posterior = self.log_evidence.clone();
        for mut orders in self.posterior.columns_mut() {
            let largest = orders.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            orders.mapv_inplace(|log| ((log - largest) / temperature).exp());
            orders /= orders.sum();
        }
    }

    /// q (M x N).
    fn weights(&self, columns: usize) -> Array2<f64> {
        let of_recording = self.posterior.ncols() == 1;
        Array2::from_shape_fn((self.orders.len(), columns), |(m, n)| {
            self.posterior[(m, if of_recording { 0 } else { n })]
        })
    }

    /// Σ_m q_m (log q̃_m − β log q_m): its part of the free energy.
    fn energy(&self, temperature: f64) -> f64 {
        let terms = self.posterior.iter().zip(&self.log_evidence).filter(|(q, _)| **q > 0.0);
        terms.map(|(q, log)| q * (log - temperature * q.ln())).sum()
    }
}

/// The sources of a recording, on an engine.
struct Inference<'a, E: Variational> {
    engine: &'a E,
    /// |X|² (F x N).
    x: &'a E::Panel,
    sources: &'a mut [Source<E>],
    noise: f64,
    by_frame: bool,
    /// Posteriors of bases and of gains.
    of_bases: Gig<E>,
    of_gains: Gig<E>,
}

impl<E: Variational> Inference<'_, E> {
    /// c (F x N) of every source.
    fn variances(&self) -> Result<Vec<E::Panel>> {
        self.sources.iter().map(|source| variance(self.engine, self.x, source)).collect()
    }

    /// Updates the factors of a source from E|s|², and log q̃ if it is `wanted`.
    fn update(&mut self, index: usize, variances: &[E::Panel], wanted: bool) -> Result<()> {
        let Self { engine, x, sources, noise, by_frame, of_bases, of_gains } = self;
        let source = &mut sources[index];
        let power = engine.power(x, variances, index, *noise)?;
        let mut of_bases_terms = Array1::<f64>::zeros(source.orders.len());
        for (term, order) in of_bases_terms.iter_mut().zip(&mut source.orders) {
            if let Bases::Learned { .. } = order.bases {
                *term = engine.update_basis_posteriors(&power, order, of_bases)?.iter().sum::<f64>();
            }
        }
        let mut terms: Array2<f64> = engine.update_gain_posteriors(&power, &mut source.orders, of_gains)?;
        if wanted {
            terms += &engine.evidence(&power, &source.orders)?;
            // A frame has a share of the term of the bases, which are of all frames.
            let shares = if *by_frame { terms.ncols() as f64 } else { 1.0 };
            if !*by_frame {
                terms = terms.sum_axis(Axis(1)).insert_axis(Axis(1));
            }
            let once = Array1::from(source.log_prior.clone()) + of_bases_terms / shares;
            source.log_evidence = terms + once.insert_axis(Axis(1));
        }
        Ok(())
    }
}

/// c (F x N) of a source.
fn variance<E: Variational>(engine: &E, like: &E::Panel, source: &Source<E>) -> Result<E::Panel> {
    let (_, columns) = engine.shape(like);
    engine.variance(&source.orders, &engine.panel_like(like, source.weights(columns).view())?)
}

/// The variances c_j (F x N) of all sources under the posterior. The estimate of source j is x c_j / (σ² + Σ c): (15).
///
/// # Errors
/// [`Error::Input`] if shapes do not fit, and those of the engine.
pub fn variances<E: Variational>(engine: &E, x: &E::Panel, sources: &[Source<E>]) -> Result<Vec<E::Panel>> {
    sources.iter().map(|source| variance(engine, x, source)).collect()
}

/// Finds the posterior of the factors of all sources from |X|² (F x N), from the given moments. Bases that are fixed stay.
/// `watch` gets the number of each finished iteration. If it returns an error, the inference ends with it.
///
/// Returns the free energy after every iteration, if it is traced.
///
/// # Errors
/// [`Error::Input`] if shapes or options do not fit, [`Error::Diverged`] if the evidence is not finite,
/// [`Error::Engine`].
pub fn infer<E: Variational>(
    engine: &E,
    x: &E::Panel,
    sources: &mut [Source<E>],
    options: &Options,
    mut watch: impl FnMut(usize) -> Result<()> + Send,
) -> Result<Vec<f64>> {
    let given = [options.temperature.0, options.temperature.1];
    if given.iter().any(|&beta| !(beta.is_finite() && beta > 0.0))
        || !(options.noise.is_finite() && options.noise >= 0.0)
    {
        return Err(Error::input("a temperature must be above 0 and a noise variance not below"));
    }
    let (of_bases, of_gains) = (Gig::new(engine, options.bases_shape)?, Gig::new(engine, options.gains_shape)?);
    let (noise, by_frame) = (options.noise, options.by_frame);
    let mut inference = Inference { engine, x, sources, noise, by_frame, of_bases, of_gains };
    engine.within(|| {
        let mut trace = Vec::new();
        for iteration in 0..options.iterations {
            let temperature = options.temperature_of(iteration);
            let variances = inference.variances()?;
            for index in 0..inference.sources.len() {
                let averaged = inference.sources[index].orders.len() > 1;
                inference.update(index, &variances, averaged || options.trace)?;
                let source = &mut inference.sources[index];
                if source.log_evidence.iter().any(|log| !log.is_finite()) {
                    return Err(Error::Diverged { what: "the evidence of an order".into(), iteration });
                }
                if averaged {
                    source.choose(temperature);
                }
            }
            if options.trace {
                let of_data: f64 = engine.energy(x, &variances, options.noise)?.iter().sum();
                let of_sources = inference.sources.iter().map(|source| source.energy(temperature));
                trace.push(of_data + of_sources.sum::<f64>());
            }
            watch(iteration + 1)?;
        }
        Ok(trace)
    })
}
