//! An average over orders in which each order has an estimate of its own.
//!
//! The paper's posterior q(S) q(K) has one estimate of the sources for all orders. Here it is q(S | K) q(K): order m has its
//! own variances C_m and its own filter against the background, and the estimates are averaged. All sources have the same
//! order. With t_m = σ² + Σ_j C_jm + c, c the variance of the background,
//!
//! - P_jm = |x|² (C_jm/t_m)² + C_jm (t_m − C_jm)/t_m, from which H_jm is updated by (17);
//! - the background is updated from Σ_m q_m P_m, its mean power under all orders;
//! - the mask of a source is Σ_m q_m C_jm/(t_m − σ²).
//!
//! q is of a frame, and from the fit alone: q_mn ∝ exp(e_mn / β) with e_mn = Σ_f (−|x|²/t_m − log t_m), the log likelihood of
//! the frame. log q̃ of (12) also has the terms of the gains, which grow with K N: in a trial on recordings it mostly took
//! orders of 2 to 8, where the best were of 16 to 128. With a single order this is the paper's inference.
//!
//! q is a score and not an update of the free energy, so there is no bound here that never falls.

use ndarray::{Array1, Array2, Axis};

use super::{check_temperature, softened};
use crate::kernels::variational::{Gig, Order, Variational};
use crate::{Error, Result};

/// The first iterations, which all compute q anew. Later it changes slowly.
const FIRST: usize = 4;
/// After these, q is computed in one iteration of so many: the logarithms of all bins cost as much as an update.
const EVERY: usize = 4;

/// How the posteriors are found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// σ², the variance of the noise.
    pub noise: f64,
    /// β.
    pub temperature: f64,
    /// Iterations over all factors.
    pub iterations: usize,
}

/// The factors of a recording.
pub struct Factors<E: Variational> {
    /// Those of every order: one factorization of each source.
    pub orders: Vec<Vec<Order<E>>>,
    /// The background, with bases that are learned.
    pub background: Option<Order<E>>,
}

/// What was found.
pub struct Fused {
    /// A mask (F, N) for every source, that of the background last. They sum to 1.
    pub masks: Vec<Array2<f32>>,
    /// q (M, N), the weight of every order in every frame.
    pub posterior: Array2<f64>,
    /// Σ_m q_mn e_mn (N), the log likelihood of every frame.
    pub likelihood: Array1<f64>,
}

/// The factors on an engine, with what all orders share.
struct Fusion<'a, E: Variational> {
    engine: &'a E,
    /// |X|² (F x N).
    x: &'a E::Panel,
    factors: &'a mut Factors<E>,
    options: &'a Options,
    /// The weight of the only order (1 x N).
    one: E::Panel,
    prior: &'a Gig<E>,
    /// c (F x N) of the sources at one order, then of the background.
    variances: Vec<E::Panel>,
    /// e (M, N).
    likelihoods: Array2<f64>,
    /// q (M x N).
    weights: E::Panel,
}

impl<'a, E: Variational> Fusion<'a, E> {
    fn new(
        engine: &'a E,
        x: &'a E::Panel,
        factors: &'a mut Factors<E>,
        prior: &'a Gig<E>,
        options: &'a Options,
    ) -> Result<Self> {
        let columns = engine.shape(x).1;
        let one = engine.panel_like(x, Array2::<f32>::ones((1, columns)).view())?;
        let orders = factors.orders.len();
        let weights = Array2::from_elem((orders, columns), 1.0 / orders.max(1) as f64);
        let weights = engine.panel_like(x, weights.view())?;
        let likelihoods = Array2::zeros((orders, columns));
        let first = factors.orders.iter().take(1).flatten().chain(&factors.background);
        let variances = first.map(|order| variance(engine, order, &one)).collect::<Result<_>>()?;
        Ok(Self { engine, x, factors, options, one, prior, variances, likelihoods, weights })
    }

    /// Takes the variances of an order.
    fn take(&mut self, m: usize) -> Result<()> {
        for (variances, order) in self.variances.iter_mut().zip(&self.factors.orders[m]) {
            *variances = variance(self.engine, order, &self.one)?;
        }
        Ok(())
    }

    /// Computes the likelihood of every frame under the variances that were taken of an order.
    fn judge(&mut self, m: usize) -> Result<()> {
        let of_order = self.engine.likelihood(self.x, &self.variances, self.options.noise)?;
        self.likelihoods.row_mut(m).assign(&Array1::from(of_order));
        Ok(())
    }

    /// Takes the variance of the background.
    fn take_background(&mut self) -> Result<()> {
        if let (Some(order), Some(c)) = (&self.factors.background, self.variances.last_mut()) {
            *c = variance(self.engine, order, &self.one)?;
        }
        Ok(())
    }

    /// Turns the likelihoods into q.
    fn weigh(&mut self, iteration: usize) -> Result<Array2<f64>> {
        if self.likelihoods.iter().any(|likelihood| !likelihood.is_finite()) {
            return Err(Error::Diverged { what: "the likelihood of a frame".into(), iteration });
        }
        let mut q = self.likelihoods.clone();
        for mut of_frame in q.columns_mut() {
            let logs = of_frame.to_vec();
            of_frame.assign(&Array1::from(softened(&logs, self.options.temperature)));
        }
        self.weights = self.engine.panel_like(self.x, q.view())?;
        Ok(q)
    }

    /// Updates all factors. q is that of the variances before the updates, or of an iteration before (see [`EVERY`]).
    fn update(&mut self, iteration: usize) -> Result<()> {
        let is_weighed = iteration < FIRST || iteration.is_multiple_of(EVERY);
        self.take_background()?;
        let mut of_background = None;
        for m in 0..self.factors.orders.len() {
            self.take(m)?;
            if is_weighed {
                self.judge(m)?;
            }
            let Self { engine, x, factors, options, prior, variances, weights, .. } = self;
            if factors.background.is_some() {
                let background = (variances.len() - 1, options.noise);
                of_background = Some(engine.weigh_power(of_background, x, variances, background, (weights, m))?);
            }
            for (source, order) in factors.orders[m].iter_mut().enumerate() {
                let power = engine.power(x, variances, source, options.noise)?;
                engine.update_gain_posteriors(&power, std::slice::from_mut(order), prior)?;
            }
        }
        if let (Some(background), Some(power)) = (&mut self.factors.background, &of_background) {
            self.engine.update_basis_posteriors(power, background, self.prior)?;
            self.engine.update_gain_posteriors(power, std::slice::from_mut(background), self.prior)?;
        }
        if is_weighed { self.weigh(iteration).map(drop) } else { Ok(()) }
    }

    /// The masks under the factors as they are.
    fn finish(mut self) -> Result<Fused> {
        self.take_background()?;
        let orders = self.factors.orders.len();
        for m in 0..orders {
            self.take(m)?;
            self.judge(m)?;
        }
        let posterior = self.weigh(self.options.iterations)?;
        let mut masks: Vec<Option<E::Panel>> = self.variances.iter().map(|_| None).collect();
        for m in 0..orders {
            // With one order, its variances are still there.
            if orders > 1 {
                self.take(m)?;
            }
            for (source, mask) in masks.iter_mut().enumerate() {
                let own = self.engine.fraction(&self.variances, source)?;
                *mask = Some(self.engine.weigh(mask.take(), &own, &self.weights, m)?);
            }
        }
        let masks = masks.iter().flatten().map(|mask| self.engine.read_panel(mask)).collect::<Result<_>>()?;
        let likelihood = (&posterior * &self.likelihoods).sum_axis(Axis(0));
        Ok(Fused { masks, posterior, likelihood })
    }
}

/// C (F x N) of an order.
fn variance<E: Variational>(engine: &E, order: &Order<E>, one: &E::Panel) -> Result<E::Panel> {
    engine.variance(std::slice::from_ref(order), one)
}

/// Finds the posteriors of all factors from |X|² (F x N), the given moments and the prior of all, and the masks that they
/// give. `watch` gets
/// the number of each finished iteration. If it returns an error, the inference ends with it.
///
/// # Errors
/// [`Error::Input`] if shapes or options do not fit, or there are no orders, or orders of different numbers of sources;
/// [`Error::Diverged`] if a likelihood is not finite; [`Error::Engine`].
pub fn fuse<E: Variational>(
    engine: &E,
    x: &E::Panel,
    factors: &mut Factors<E>,
    prior: &Gig<E>,
    options: &Options,
    mut watch: impl FnMut(usize) -> Result<()> + Send,
) -> Result<Fused> {
    check_temperature(options.temperature)?;
    let sources = factors.orders.first().map_or(0, Vec::len);
    if sources == 0 || factors.orders.iter().any(|order| order.len() != sources) {
        return Err(Error::input("fusion needs at least one order, and the same sources in each"));
    }
    engine.within(|| {
        let mut fusion = Fusion::new(engine, x, factors, prior, options)?;
        for iteration in 0..options.iterations {
            fusion.update(iteration)?;
            watch(iteration + 1)?;
        }
        fusion.finish()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Cpu, Real, Reference};
    use crate::kernels::Bases;
    use crate::methods::averaged::{self, Source, infer, variances};
    use crate::random::Stream;

    fn numbers(name: &str, rows: usize, columns: usize) -> Array2<f64> {
        let stream = Stream::new(4, name);
        let number = |(row, column)| 0.05 + stream.uniform((row * columns + column) as u64).powi(4);
        Array2::from_shape_fn((rows, columns), number)
    }

    fn order<E: Variational>(engine: &E, name: &str, components: usize, learned: bool) -> Order<E> {
        let w = || engine.matrix(numbers(name, 11, components).view()).unwrap();
        let bases = if learned { Bases::Learned { mean: w(), harmonic: w() } } else { Bases::Fixed(w()) };
        let ones = || engine.panel(Array2::<f64>::ones((components, 14)).view()).unwrap();
        Order { bases, mean: ones(), harmonic: ones() }
    }

    /// Two sources at some orders, and a background.
    fn factors<E: Variational>(engine: &E, orders: &[usize]) -> Factors<E> {
        let of = |order_of: &usize| ["one", "two"].map(|name| order(engine, name, *order_of, false)).into();
        Factors { orders: orders.iter().map(of).collect(), background: Some(order(engine, "background", 2, true)) }
    }

    const OPTIONS: Options = Options { noise: 1e-4, temperature: 2.0, iterations: 8 };

    fn fused<E: Variational>(engine: &E, orders: &[usize], options: &Options) -> Fused {
        let x = engine.panel(numbers("data", 11, 14).view()).unwrap();
        let prior = Gig::new(engine, 0.2).unwrap();
        fuse(engine, &x, &mut factors(engine, orders), &prior, options, |_| Ok(())).unwrap()
    }

    #[test]
    fn with_one_order_it_is_the_papers_inference() {
        let (x, prior) = (vec![numbers("data", 11, 14)], Gig::new(&Reference, 0.2).unwrap());
        let Factors { orders, background } = factors(&Reference, &[3]);
        let mut sources: Vec<_> =
            orders.into_iter().flatten().chain(background).map(|order| Source::new(vec![order])).collect();
        let options = averaged::Options { noise: 1e-4, temperature: 1.0, iterations: 8, trace_every: 0 };
        infer(&Reference, &x, &mut sources, [&prior; 2], &options, |_| Ok(())).unwrap();
        let variances = variances(&Reference, &x, &sources).unwrap();
        let Fused { masks, posterior, .. } = fused(&Reference, &[3], &OPTIONS);
        assert!(posterior.iter().all(|&q| q == 1.0));
        for (source, mask) in masks.iter().enumerate() {
            let expected = Reference.fraction(&variances, source).unwrap();
            let near = |(mask, expected): (&f32, &f64)| (f64::from(*mask) - expected).abs() < 1e-6;
            assert!(mask.iter().zip(&expected[0]).all(near), "source {source}");
        }
    }

    #[test]
    fn masks_are_averages_of_those_of_the_orders_by_their_weights() {
        let Fused { masks, posterior, likelihood } = fused(&Reference, &[1, 2, 5], &OPTIONS);
        assert_eq!((masks.len(), posterior.dim(), likelihood.len()), (3, (3, 14), 14));
        assert!(posterior.columns().into_iter().all(|q| (q.sum() - 1.0).abs() < 1e-12));
        assert!(posterior.iter().all(|&q| q > 0.0 && q < 1.0));
        let sum = masks.iter().fold(Array2::<f32>::zeros((11, 14)), |sum, mask| sum + mask);
        assert!(sum.iter().all(|sum| (sum - 1.0).abs() < 1e-6));
        // A cold posterior has the best order of every frame alone, and its likelihood.
        let cold = fused(&Reference, &[1, 2, 5], &Options { temperature: 1e-9, ..OPTIONS });
        assert!(cold.posterior.iter().all(|&q| q == 0.0 || q == 1.0));
        let warm = fused(&Reference, &[1, 2, 5], &Options { temperature: 1e9, ..OPTIONS });
        assert!(warm.posterior.iter().all(|&q| (q - 1.0 / 3.0).abs() < 1e-6));
    }

    #[test]
    fn engines_agree_and_bad_input_is_refused() {
        let expected = fused(&Reference, &[1, 2, 5], &OPTIONS);
        let got = fused(&Cpu::new(Some(2)).unwrap(), &[1, 2, 5], &OPTIONS);
        for (got, expected) in got.masks.iter().zip(&expected.masks) {
            assert!(got.iter().zip(expected).all(|(a, b)| (a.to_f64() - b.to_f64()).abs() < 1e-4));
        }
        let (x, prior) = (vec![numbers("data", 11, 14)], Gig::new(&Reference, 0.2).unwrap());
        let mut none = Factors { orders: Vec::new(), background: None };
        assert!(fuse(&Reference, &x, &mut none, &prior, &OPTIONS, |_| Ok(())).is_err());
        let mut uneven = factors(&Reference, &[1, 2]);
        uneven.orders[1].pop();
        assert!(fuse(&Reference, &x, &mut uneven, &prior, &OPTIONS, |_| Ok(())).is_err());
        let cold = Options { temperature: 0.0, ..OPTIONS };
        assert!(fuse(&Reference, &x, &mut factors(&Reference, &[1]), &prior, &cold, |_| Ok(())).is_err());
    }
}
