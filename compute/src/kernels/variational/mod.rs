//! Variational Bayes for factorization, with an average over models of several orders.
//!
//! The bins x of a mixture are sums of J sources and noise of variance σ², all complex and normal. The variance of a source
//! is W H if its order (its number of components) is that of model m. W and H have Gamma(p, p) priors. The posterior of an
//! entry y of W or H is GIG(τ, ρ, p) ∝ y^(p−1) exp(−ρ y − τ/y); the kernels keep its mean E = E\[y\] and its harmonic mean
//! I = 1/E\[1/y\]. Jaureguiberry, Vincent & Richard, "Variational Bayesian model averaging for audio source separation"
//! (2014); the numbers of equations are theirs.
//!
//! For each source and order, ω = E_W E_H and C = I_W I_H (F x N). Then
//!
//! - c = 1 / Σ_m q_m/C_m is the variance of a source under all its orders, with the posterior q of the orders: (16)
//! - P = x (c/t)² + c (σ² + Σ of the other c)/t with t = σ² + Σ c is the mean power of the source; x = |X|²: (15)
//! - τ_H = I_H² ∘ I_Wᵀ (P/C²), ρ_H = p + E_Wᵀ (1/ω), and alike for W: (17). The print has E\[1/W\]² in place of E\[1/W\]⁻².
//! - Σ (−log π − log ω − P/C), plus the terms of W and H, is the evidence for an order: (12)
//!
//! **Bases** may be fixed: then E_W = I_W = W, and they have no term.
//!
//! **Moments.** Both means of an entry need one ratio of Bessel functions, T(z) with z = 2 √ρ √τ, and its term one more
//! function, G(z). Both are tables ([`crate::kernels::tables`]). The forms E = (p + B(z))/ρ and I = D(z)/ρ are right for
//! any τ, also where it is too small for f32 (`gig.rs` has the formulas).
//!
//! **Floors.** ω, C and c are floored at 1e-30. P/C² is at most 1e30, and P/C at most 1e36. Numbers of f32 then stay finite,
//! and an order that is dead in a frame stays dead.

mod cpu;
mod gig;
mod gpu;
mod reference;

pub use gig::{Posterior, posterior};

use ndarray::Array2;

use crate::cubics::End;
use crate::engine::Engine;
use crate::kernels::tables::Table;
use crate::{Error, Result};

/// The floor of the variances ω, C and c.
pub const VARIANCE_FLOOR: f64 = 1e-30;
/// The most that P/C² may be. 1/ω is not larger either.
pub const FIELD_CEILING: f64 = 1e30;
/// The most that P/C and the like may be.
pub const QUOTIENT_CEILING: f64 = 1e36;

/// Gamma(p, p) priors, and the functions that posteriors under them need.
pub struct Gig<E: Engine> {
    shape: f64,
    /// T(z)
    ratio: Table<E::Matrix>,
    /// G(z)
    level: Table<E::Matrix>,
}

impl<E: Engine> Gig<E> {
    /// The shapes p that a prior may have. Beyond them, f32 numbers do not have the digits of the moments.
    pub const SHAPES: std::ops::RangeInclusive<f64> = 1e-3..=1e3;

    /// Tabulates the functions for priors Gamma(p, p).
    ///
    /// # Errors
    /// [`Error::Input`] for a shape p that is not in [`Gig::SHAPES`]; also the errors of [`Engine::matrix`].
    pub fn new(engine: &E, shape: f64) -> Result<Self> {
        if !Self::SHAPES.contains(&shape) {
            let (least, most) = (Self::SHAPES.start(), Self::SHAPES.end());
            return Err(Error::input(format!("shape {shape} of a gamma prior: must be from {least} to {most}")));
        }
        let q = shape.max(1.0 - shape);
        // K_{q−1}/K_q: with q from 1/2 to 1 as z^(2q−1), above 1 as z. The others are the limits of G: 0 as z^(2p) or as
        // z², and a logarithm.
        let of_ratio = [End::Power((2.0 * q - 1.0).min(1.0)), End::Power(0.0)];
        let of_level = [End::Power((2.0 * shape).min(2.0)), End::Logarithm(shape - 0.5)];
        Ok(Self {
            shape,
            ratio: Table::new(engine, move |z| gig::ratio(shape, z), of_ratio)?,
            level: Table::new(engine, move |z| gig::level(shape, z), of_level)?,
        })
    }

    /// p
    pub fn shape(&self) -> f64 {
        self.shape
    }
}

/// The bases of an order, F x K: one matrix for all segments, or a stack with one per segment.
pub enum Bases<E: Engine> {
    /// W, known.
    Fixed(E::Matrix),
    /// A posterior.
    Learned {
        /// E_W
        mean: E::Matrix,
        /// I_W
        harmonic: E::Matrix,
    },
}

impl<E: Engine> Bases<E> {
    /// E_W and I_W.
    fn means(&self) -> [&E::Matrix; 2] {
        match self {
            Self::Fixed(w) => [w, w],
            Self::Learned { mean, harmonic } => [mean, harmonic],
        }
    }
}

/// The posteriors of the factors of an order.
pub struct Order<E: Engine> {
    /// E_W and I_W, F x K.
    pub bases: Bases<E>,
    /// E_H, K x N.
    pub mean: E::Panel,
    /// I_H, K x N.
    pub harmonic: E::Panel,
}

/// The kernels of variational Bayes. Panels have the same segments: x, P and all variances F x N. Columns of a result
/// depend on their own columns of the operands and on the bases alone, to the bit.
///
/// All functions return [`Error::Input`] if the shapes do not fit, and [`Error::Engine`] if the device fails.
pub trait Variational: Engine + Sized {
    /// Computes c (F x N) of a source, (16). `q` (M x N): the weights of its M orders in every column.
    fn variance(&self, orders: &[Order<Self>], q: &Self::Panel) -> Result<Self::Panel>;

    /// Computes P (F x N) of one source, (15). `variances`: c of all sources. `noise`: σ², at least 0.
    fn power(&self, x: &Self::Panel, variances: &[Self::Panel], source: usize, noise: f64) -> Result<Self::Panel>;

    /// Computes the mask c_j / Σ c (F x N) of one source.
    fn fraction(&self, variances: &[Self::Panel], source: usize) -> Result<Self::Panel>;

    /// Updates the posteriors of the gains of all orders of a source, (17). Returns the sum of the terms of every column
    /// (orders, N).
    fn update_gain_posteriors(
        &self,
        p: &Self::Panel,
        orders: &mut [Order<Self>],
        gig: &Gig<Self>,
    ) -> Result<Array2<f64>>;

    /// Updates the posteriors of learned bases, (17). Returns the sum of the terms of every matrix. The order of sums over
    /// columns depends only on the segments' N. [`Error::Input`] if the bases are fixed.
    fn update_basis_posteriors(&self, p: &Self::Panel, order: &mut Order<Self>, gig: &Gig<Self>) -> Result<Vec<f64>>;

    /// Computes Σ_f (−log π − log ω − P/C) of every order and column (orders, N).
    fn evidence(&self, p: &Self::Panel, orders: &[Order<Self>]) -> Result<Array2<f64>>;

    /// Computes E log p(x | sources) plus the entropy of the sources for every column:
    /// Σ_f (−log π − log t − x σ²/t² − Σ c/t + J log(π e) + Σ_j log c_j).
    fn energy(&self, x: &Self::Panel, variances: &[Self::Panel], noise: f64) -> Result<Vec<f64>>;

    /// Computes log p(x | variances) for every column: Σ_f (−log π − log t − x/t), t = σ² + Σ c.
    fn likelihood(&self, x: &Self::Panel, variances: &[Self::Panel], noise: f64) -> Result<Vec<f64>>;

    /// Adds an order's panel (F x N) to `sum`, weighed by row `order` of `q` (M x N): Σ_m q_m P_m. Without `sum`, it is the
    /// first.
    fn weigh(
        &self,
        sum: Option<Self::Panel>,
        panel: &Self::Panel,
        q: &Self::Panel,
        order: usize,
    ) -> Result<Self::Panel>;

    /// Adds P of one source to `sum`, weighed by row `order` of `q`: [`Variational::power`] and [`Variational::weigh`] in one
    /// call, which an engine may do in one pass.
    fn weigh_power(
        &self,
        sum: Option<Self::Panel>,
        x: &Self::Panel,
        variances: &[Self::Panel],
        (source, noise): (usize, f64),
        (q, order): (&Self::Panel, usize),
    ) -> Result<Self::Panel> {
        self.weigh(sum, &self.power(x, variances, source, noise)?, q, order)
    }
}

/// A panel by its rows and the columns of its segments.
type Extent<'a> = (usize, &'a [usize]);

/// Checks that an order fits data: E_W and I_W by their number and shape, E_H and I_H by their extents.
fn check_order(w: [(usize, (usize, usize)); 2], h: [Extent; 2], data: Extent) -> Result<()> {
    let (count, (rows, components)) = w[0];
    let fits = w[0] == w[1]
        && h[0] == h[1]
        && (rows, components) == (data.0, h[0].0)
        && h[0].1 == data.1
        && (count == 1 || count == data.1.len());
    if fits {
        return Ok(());
    }
    Err(Error::input(format!(
        "an order with {count} matrices of bases {rows} x {components}, with gains of {} rows in {} segments, does not fit \
         data of {} rows in {}; use F x K, K x N and F x N, and both means of a factor alike",
        h[0].0,
        h[0].1.len(),
        data.0,
        data.1.len()
    )))
}

/// Checks the weights of M orders.
fn check_weights(orders: usize, q: Extent) -> Result<()> {
    if orders > 0 && q.0 == orders {
        return Ok(());
    }
    Err(Error::input(format!("weights of {} orders do not fit {orders} orders; use at least one, and M x N", q.0)))
}

/// Checks a panel of an order that is added to a sum.
fn check_weighed(sum: Option<Extent>, panel: Extent, q: Extent, order: usize) -> Result<()> {
    if sum.is_none_or(|sum| sum == panel) && order < q.0 && q.1 == panel.1 {
        return Ok(());
    }
    Err(Error::input(format!(
        "a panel of order {order} with {} rows does not fit a sum and weights of {} orders; use F x N, F x N and M x N",
        panel.0, q.0
    )))
}

/// Checks variances, a source among them, and data if there are any.
fn check_sources<'a>(variances: &[Extent<'a>], source: usize, data: Option<Extent<'a>>, noise: f64) -> Result<()> {
    if !(noise.is_finite() && noise >= 0.0) {
        return Err(Error::input(format!("a noise variance of {noise}: must be finite and at least 0")));
    }
    let alike = variances.iter().chain(&data).all(|extent| variances.first() == Some(extent));
    if alike && source < variances.len() {
        return Ok(());
    }
    Err(Error::input(format!(
        "source {source} of {} variances: there is none, or the data and variances do not all have the same F x N",
        variances.len()
    )))
}

fn fixed_bases() -> Error {
    Error::input("fixed bases have no posterior to update")
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::*;
    use crate::engine::gpu::tests::{gpu, numbers};
    use crate::engine::{Cpu, Gpu, Reference};

    /// Segments below, at and beyond the widths of strips, tiles and chunks.
    const LENGTHS: [usize; 6] = [1, 130, 48, 49, 33, 97];
    /// More than a tile, and no multiple of one.
    const ROWS: usize = 37;
    /// Components, whether bases are learned, and whether every segment has its own.
    const ORDERS: [(usize, bool, bool); 4] = [(5, false, false), (3, true, false), (4, true, true), (1, false, true)];
    const SHAPES: [f64; 4] = [0.2, 0.5, 1.0, 3.0];

    /// How a result belongs to segments.
    #[derive(Clone, Copy)]
    enum Kind {
        /// Its columns are those of the panel.
        Columns,
        /// Its rows are those of the segments' matrices.
        Matrices,
        /// It depends on all segments.
        Shared,
    }

    /// What the numbers of a test are.
    #[derive(Clone, Copy, PartialEq)]
    enum Data {
        Ordinary,
        /// No power, no gains.
        Silent,
        /// From 1e-12 to 1e6.
        Wide,
    }

    /// Numbers of some kind.
    fn some(data: Data, seed: u32, rows: usize, columns: usize) -> Array2<f32> {
        let numbers = numbers(seed, rows, columns);
        match data {
            Data::Ordinary => numbers,
            Data::Silent => Array2::zeros((rows, columns)),
            Data::Wide => numbers.mapv(|x| 10f32.powf(18.0 * (x - 0.05).clamp(0.0, 1.0) - 12.0)),
        }
    }

    fn panel<E: Engine>(engine: &E, (which, data): (&[usize], Data), seed: u32, rows: usize) -> E::Panel {
        let of = |&segment: &usize| some(data, seed + 100 * segment as u32, rows, LENGTHS[segment]);
        let parts: Vec<Array2<f32>> = which.iter().map(of).collect();
        engine.packed(&parts.iter().map(|part| part.view()).collect::<Vec<_>>()).unwrap()
    }

    fn orders<E: Engine>(engine: &E, of: (&[usize], Data)) -> Vec<Order<E>> {
        let order = |(seed, &(components, learned, stacked)): (u32, &(usize, bool, bool))| {
            let which = if stacked { of.0 } else { &[0] };
            let stack = |seed: u32| {
                let matrix = |&segment: &usize| {
                    let mut w = numbers(seed + 100 * segment as u32, ROWS, components);
                    // A dead component.
                    w.column_mut(components / 2).fill(if components == 5 { 0.0 } else { 1.0 });
                    w
                };
                let all: Vec<Array2<f32>> = which.iter().map(matrix).collect();
                engine.stack(&all.iter().map(|w| w.view()).collect::<Vec<_>>()).unwrap()
            };
            let bases = match learned {
                true => Bases::Learned { mean: stack(seed), harmonic: stack(seed + 1) },
                false => Bases::Fixed(stack(seed)),
            };
            let (mean, harmonic) = (panel(engine, of, seed + 2, components), panel(engine, of, seed + 3, components));
            Order { bases, mean, harmonic }
        };
        (0..).step_by(10).zip(&ORDERS).map(order).collect()
    }

    /// All results of some segments. Unless `shared`, bases of all segments are not updated.
    fn everything<E: Variational>(
        engine: &E,
        which: &[usize],
        data: Data,
        shape: f64,
        shared: bool,
    ) -> Vec<(Kind, Array2<f64>)> {
        let of = (which, data);
        let mut all = Vec::new();
        let row = |values: Vec<f64>| Array2::from_shape_vec((1, values.len()), values).unwrap();
        let read = |panel: &E::Panel| (Kind::Columns, engine.read_panel(panel).unwrap());
        let (x, p) = (panel(engine, of, 51, ROWS), panel(engine, of, 52, ROWS));
        let mut orders = orders(engine, of);
        let q = panel(engine, (which, Data::Ordinary), 53, orders.len());
        let more = panel(engine, (which, Data::Ordinary), 54, 1);
        let variances = [
            engine.variance(&orders, &q).unwrap(),
            engine.variance(&orders[..1], &more).unwrap(),
            panel(engine, of, 55, ROWS),
        ];
        all.extend(variances[..2].iter().map(read));
        for (noise, count) in [(0.01, 3), (0.0, 2), (0.02, 1)] {
            let variances = &variances[..count];
            for source in 0..count {
                all.push(read(&engine.power(&x, variances, source, noise).unwrap()));
                all.push(read(&engine.fraction(variances, source).unwrap()));
            }
            all.push((Kind::Columns, row(engine.energy(&x, variances, noise).unwrap())));
            all.push((Kind::Columns, row(engine.likelihood(&x, variances, noise).unwrap())));
        }
        let sum = (0..orders.len()).fold(None, |sum, m| Some(engine.weigh(sum, &variances[m % 3], &q, m).unwrap()));
        let powers = |sum, m| engine.weigh_power(sum, &x, &variances, (m % 3, 0.01), (&q, m)).unwrap();
        let of_powers = (0..orders.len()).fold(None, |sum, m| Some(powers(sum, m)));
        all.extend(sum.iter().chain(&of_powers).map(read));
        all.push((Kind::Columns, engine.evidence(&p, &orders).unwrap()));
        let gig = Gig::new(engine, shape).unwrap();
        // Twice, so that the second update starts from posteriors.
        for _ in 0..2 {
            all.push((Kind::Columns, engine.update_gain_posteriors(&p, &mut orders, &gig).unwrap()));
            for (order, (_, learned, stacked)) in orders.iter_mut().zip(ORDERS) {
                all.extend([&order.mean, &order.harmonic].map(read));
                if !learned {
                    assert!(engine.update_basis_posteriors(&p, order, &gig).is_err());
                }
                if !learned || !stacked && !shared {
                    continue;
                }
                let terms = engine.update_basis_posteriors(&p, order, &gig).unwrap();
                let kind = if stacked { Kind::Matrices } else { Kind::Shared };
                all.push((kind, row(terms).reversed_axes()));
                all.extend(order.bases.means().map(|w| (kind, engine.read_matrix(w).unwrap())));
            }
            all.push((Kind::Columns, engine.evidence(&p, &orders).unwrap()));
        }
        all
    }

    const ALL: [usize; 6] = [0, 1, 2, 3, 4, 5];

    fn assert_same(got: &[(Kind, Array2<f64>)], expected: &[(Kind, Array2<f64>)], what: &str) {
        assert_eq!(got.len(), expected.len(), "{what}");
        for (index, ((_, got), (_, expected))) in got.iter().zip(expected).enumerate() {
            assert!(got == expected, "{what}: result {index}");
        }
    }

    #[test]
    fn threads_change_no_bit() {
        let on = |threads| everything(&Cpu::new(Some(threads)).unwrap(), &ALL, Data::Ordinary, 0.2, true);
        assert_same(&on(1), &on(3), "threads");
    }

    fn on_gpu(gpu: &Gpu) -> Vec<(Kind, Array2<f64>)> {
        everything(gpu, &ALL, Data::Ordinary, 0.2, true)
    }

    #[test]
    fn chunks_change_no_bit() {
        let Some(mut gpu) = gpu() else { return };
        gpu = gpu.with_chunk_columns(1 << 16);
        let whole = on_gpu(&gpu);
        for columns in [32, 96] {
            gpu = gpu.with_chunk_columns(columns);
            assert_same(&on_gpu(&gpu), &whole, &format!("chunks of {columns}"));
        }
    }

    #[test]
    fn few_tiles_at_a_time_give_the_bits_of_all() {
        let Some(mut gpu) = gpu() else { return };
        let whole = on_gpu(&gpu);
        gpu.dispatch_work.set(1).unwrap();
        assert_same(&on_gpu(&gpu), &whole, "small dispatches");
        gpu.field_quads = 1;
        assert_same(&on_gpu(&gpu), &whole, "small fields");
    }

    #[test]
    fn memory_that_was_used_before_changes_no_bit() {
        let cpu = Cpu::new(Some(1)).unwrap();
        let clean = everything(&cpu, &ALL, Data::Ordinary, 1.0, true);
        let junk: Vec<_> = (0..40).map(|i| cpu.panel(Array2::from_elem((1 + 3 * i, 200), f32::NAN).view())).collect();
        drop(junk);
        assert_same(&everything(&cpu, &ALL, Data::Ordinary, 1.0, true), &clean, "dirty memory");
        let Some(gpu) = gpu() else { return };
        let clean = on_gpu(&gpu);
        let shapes = [1, 2, 4, 5, ROWS, 2 * ROWS].into_iter().flat_map(|rows| [60, 140, 200, 450].map(|n| (rows, n)));
        let junk: Vec<_> = shapes.map(|shape| gpu.panel(Array2::from_elem(shape, f32::NAN).view())).collect();
        drop(junk);
        assert_same(&on_gpu(&gpu), &clean, "dirty memory of a device");
        gpu.check_indices();
        assert_same(&on_gpu(&gpu), &clean, "checked indices");
    }

    /// Columns of a segment depend on it alone, and so do bases of its own.
    fn assert_segments_are_alone<E: Variational>(engine: &E) {
        let run = |which: &[usize]| everything(engine, which, Data::Ordinary, 0.5, false);
        let together = run(&ALL);
        for segment in ALL {
            let first: usize = LENGTHS[..segment].iter().sum();
            for (index, ((kind, all), (_, alone))) in together.iter().zip(run(&[segment])).enumerate() {
                let part = match kind {
                    Kind::Columns => all.slice(s![.., first..first + LENGTHS[segment]]),
                    _ => {
                        let rows = all.nrows() / LENGTHS.len();
                        all.slice(s![segment * rows..(segment + 1) * rows, ..])
                    }
                };
                assert!(part == alone, "segment {segment}, result {index}");
            }
        }
    }

    #[test]
    fn segments_together_have_the_bits_of_segments_alone() {
        assert_segments_are_alone(&Cpu::new(Some(2)).unwrap());
        if let Some(gpu) = gpu() {
            assert_segments_are_alone(&gpu);
        }
    }

    fn assert_finite<E: Variational>(engine: &E) {
        for (data, name) in [(Data::Silent, "silent"), (Data::Wide, "wide")] {
            for shape in [0.2, 3.0] {
                for (index, (_, result)) in everything(engine, &ALL, data, shape, true).iter().enumerate() {
                    assert!(result.iter().all(|x| x.is_finite()), "{name}, shape {shape}: result {index}");
                }
            }
        }
    }

    #[test]
    fn silence_and_wide_ranges_are_finite() {
        assert_finite(&Cpu::new(Some(2)).unwrap());
        if let Some(gpu) = gpu() {
            assert_finite(&gpu);
        }
    }

    fn assert_near<E: Variational>(engine: &E) {
        for data in [Data::Ordinary, Data::Silent] {
            for shape in SHAPES {
                let expected = everything(&Reference, &ALL, data, shape, true);
                let got = everything(engine, &ALL, data, shape, true);
                assert_eq!(got.len(), expected.len());
                for (index, ((_, got), (_, expected))) in got.iter().zip(&expected).enumerate() {
                    let largest = expected.iter().fold(1e-36, |largest: f64, x| largest.max(x.abs()));
                    let worst = (got - expected).fold(0.0, |worst: f64, error| worst.max(error.abs())) / largest;
                    assert!(worst <= 5e-6, "shape {shape}: result {index} is off by {worst:.1e} of {largest:.1e}");
                }
            }
        }
    }

    #[test]
    fn engines_are_near_the_reference() {
        assert_near(&Cpu::new(Some(2)).unwrap());
        if let Some(gpu) = gpu() {
            assert_near(&gpu);
        }
    }
}
