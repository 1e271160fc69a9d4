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
//!
//! [`infer`] is the paper's. [`fusion`] has another posterior, which separates recordings better; it is what `separate` uses.

mod file;
pub mod fusion;
mod options;
pub(crate) mod separate;
mod start;
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
    /// σ², the variance of the noise.
    pub noise: f64,
    /// β.
    pub temperature: f64,
    /// Iterations over all factors.
    pub iterations: usize,
    /// Compute the free energy after every so many iterations, and after the last; 0: not at all. It needs the evidence of
    /// sources with a single order too.
    pub trace_every: usize,
}

/// A source: its factorizations of several orders.
pub struct Source<E: Variational> {
    /// The factorizations.
    pub orders: Vec<Order<E>>,
    /// log π (M) of the orders.
    pub log_prior: Vec<f64>,
    /// q (M), the posterior of the orders.
    pub posterior: Vec<f64>,
    /// log q̃ (M) after the last iteration that computed it. Empty before.
    pub log_evidence: Vec<f64>,
}

impl<E: Variational> Source<E> {
    /// A source whose orders are equally probable.
    pub fn new(orders: Vec<Order<E>>) -> Self {
        let equal = 1.0 / orders.len() as f64;
        let (log_prior, posterior) = (vec![equal.ln(); orders.len()], vec![equal; orders.len()]);
        Self { orders, log_prior, posterior, log_evidence: Vec::new() }
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
    /// The priors of bases and of gains.
    of_bases: &'a Gig<E>,
    of_gains: &'a Gig<E>,
}

impl<E: Variational> Inference<'_, E> {
    /// Updates the factors of a source from E|s|², and log q̃ if it is `wanted`.
    fn update(&mut self, index: usize, variances: &[E::Panel], wanted: bool) -> Result<()> {
        let Self { engine, x, sources, noise, of_bases, of_gains } = self;
        let source = &mut sources[index];
        let power = engine.power(x, variances, index, *noise)?;
        let mut terms = Array1::from(source.log_prior.clone());
        for (term, order) in terms.iter_mut().zip(&mut source.orders) {
            if let Bases::Learned { .. } = order.bases {
                *term += engine.update_basis_posteriors(&power, order, of_bases)?.iter().sum::<f64>();
            }
        }
        terms += &engine.update_gain_posteriors(&power, &mut source.orders, of_gains)?.sum_axis(Axis(1));
        if wanted {
            terms += &engine.evidence(&power, &source.orders)?.sum_axis(Axis(1));
            source.log_evidence = terms.to_vec();
        }
        Ok(())
    }
}

/// The variances c_j (F x N) of all sources under the posterior. The estimate of source j is x c_j / (σ² + Σ c): (15).
///
/// # Errors
/// [`Error::Input`] if shapes do not fit, and those of the engine.
pub fn variances<E: Variational>(engine: &E, x: &E::Panel, sources: &[Source<E>]) -> Result<Vec<E::Panel>> {
    let (_, columns) = engine.shape(x);
    let of_source = |source: &Source<E>| {
        let weights = Array2::from_shape_fn((source.orders.len(), columns), |(m, _)| source.posterior[m]);
        engine.variance(&source.orders, &engine.panel_like(x, weights.view())?)
    };
    sources.iter().map(of_source).collect()
}

/// Finds the posterior of the factors of all sources from |X|² (F x N), from the given moments, under the priors of bases,
/// Γ(a, a), and of gains, Γ(b, b). Bases that are fixed stay.
/// `watch` gets the number of each finished iteration. If it returns an error, the inference ends with it.
///
/// Returns the free energies that are traced.
///
/// # Errors
/// [`Error::Input`] if shapes or options do not fit, [`Error::Diverged`] if the evidence is not finite,
/// [`Error::Engine`].
pub fn infer<E: Variational>(
    engine: &E,
    x: &E::Panel,
    sources: &mut [Source<E>],
    [of_bases, of_gains]: [&Gig<E>; 2],
    options: &Options,
    mut watch: impl FnMut(usize) -> Result<()> + Send,
) -> Result<Vec<f64>> {
    let &Options { noise, temperature, iterations, trace_every } = options;
    check_temperature(temperature)?;
    let mut inference = Inference { engine, x, sources, noise, of_bases, of_gains };
    engine.within(|| {
        let mut trace = Vec::new();
        for done in 1..=iterations {
            let traced = trace_every > 0 && (done == iterations || done.is_multiple_of(trace_every));
            let variances = variances(engine, x, inference.sources)?;
            for index in 0..inference.sources.len() {
                let averaged = inference.sources[index].orders.len() > 1;
                inference.update(index, &variances, averaged || traced)?;
                let source = &mut inference.sources[index];
                if source.log_evidence.iter().any(|log| !log.is_finite()) {
                    return Err(Error::Diverged { what: "the evidence of an order".into(), iteration: done });
                }
                if averaged {
                    source.posterior = softened(&source.log_evidence, temperature);
                }
            }
            if traced {
                let of_data: f64 = engine.energy(x, &variances, noise)?.iter().sum();
                let of_sources = inference.sources.iter().map(|source| source.energy(temperature));
                trace.push(of_data + of_sources.sum::<f64>());
            }
            watch(done)?;
        }
        Ok(trace)
    })
}

/// q ∝ exp(log / β): (18).
fn softened(logs: &[f64], temperature: f64) -> Vec<f64> {
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logs.iter().map(|log| ((log - largest) / temperature).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// Checks β.
fn check_temperature(temperature: f64) -> Result<()> {
    if temperature.is_finite() && temperature > 0.0 {
        return Ok(());
    }
    Err(Error::input(format!("a temperature of {temperature}: must be above 0")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Reference;
    use crate::random::Stream;

    fn numbers(name: &str, rows: usize, columns: usize) -> Vec<Array2<f64>> {
        let stream = Stream::new(2, name);
        let number = |(row, column)| 0.1 + stream.uniform((row * columns + column) as u64).powi(3);
        vec![Array2::from_shape_fn((rows, columns), number)]
    }

    /// An order with bases that are fixed or learned, as it starts.
    fn order(name: &str, components: usize, learned: bool) -> Order<Reference> {
        let w = || numbers(&format!("bases of {name}"), 9, components);
        let bases = if learned { Bases::Learned { mean: w(), harmonic: w() } } else { Bases::Fixed(w()) };
        let ones = || vec![Array2::ones((components, 12))];
        Order { bases, mean: ones(), harmonic: ones() }
    }

    /// A source of several fixed orders, and one with learned bases.
    fn sources() -> Vec<Source<Reference>> {
        let orders = [1, 2, 4].map(|order_of| order(&format!("order {order_of}"), order_of, false));
        vec![Source::new(orders.into()), Source::new(vec![order("background", 2, true), order("other", 3, true)])]
    }

    #[test]
    fn the_free_energy_never_falls() {
        let x = numbers("data", 9, 12);
        for (temperature, shape, noise) in [(1.0, 0.2, 1e-6), (1.0, 1.5, 0.0), (50.0, 0.2, 1e-3)] {
            let prior = Gig::new(&Reference, shape).unwrap();
            let (mut sources, options) = (sources(), Options { noise, temperature, iterations: 40, trace_every: 1 });
            let trace = infer(&Reference, &x, &mut sources, [&prior; 2], &options, |_| Ok(())).unwrap();
            assert_eq!(trace.len(), 40);
            for pair in trace.windows(2) {
                assert!(pair[1] >= pair[0] - 1e-9 * pair[0].abs(), "β {temperature}, shape {shape}: {pair:?}");
            }
            assert!(trace[39] > trace[0] + 1.0, "{trace:?}");
            for source in &sources {
                assert!((source.posterior.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn free_energies_are_traced_as_asked_and_a_watcher_ends_the_work() {
        let (x, prior) = (numbers("data", 9, 12), Gig::new(&Reference, 0.2).unwrap());
        let run = |trace_every, mut watch: Box<dyn FnMut(usize) -> Result<()> + Send>| {
            let options = Options { noise: 1e-6, temperature: 1e4, iterations: 5, trace_every };
            infer(&Reference, &x, &mut sources(), [&prior; 2], &options, &mut watch)
        };
        let all = run(1, Box::new(|_| Ok(()))).unwrap();
        assert_eq!(run(2, Box::new(|_| Ok(()))).unwrap(), [all[1], all[3], all[4]]);
        assert!(run(0, Box::new(|_| Ok(()))).unwrap().is_empty());
        let ended = run(1, Box::new(|done| if done == 3 { Err(Error::Cancelled) } else { Ok(()) }));
        assert!(matches!(ended, Err(Error::Cancelled)));
        for temperature in [0.0, -1.0, f64::NAN] {
            let options = Options { noise: 0.0, temperature, iterations: 1, trace_every: 0 };
            assert!(infer(&Reference, &x, &mut sources(), [&prior; 2], &options, |_| Ok(())).is_err());
        }
    }
}
