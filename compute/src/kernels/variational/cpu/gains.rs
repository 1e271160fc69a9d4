//! The posteriors of gains: the fields of a block of rows stay in L1, the sums of a strip in L2.

use ndarray::Array2;
use pulp::Simd;
use rayon::prelude::*;

use super::super::{Bases, FIELD_CEILING, Gig, Order};
use super::moments::Moments;
use super::strips::{ROWS, add_to, floor};
use crate::engine::tile::{self, ModelSink, StripJob, rows, rows_mut};
use crate::engine::{Cpu, CpuPanel, STRIP, Scratch, padded};
use crate::kernels::products::shape_of;

/// Rows of the fields that are kept at once, see `products/cpu/gains.rs`.
const BLOCK: usize = 64;

/// One mean of the bases, packed.
pub(super) struct Factor {
    /// F with padding.
    bins: usize,
    pub(super) components: usize,
    /// See [`tile::pack_rows`].
    pub(super) by_rows: Scratch,
    /// See [`tile::pack_components`]. Empty if it is not needed.
    by_components: Scratch,
}

impl Factor {
    fn new(engine: &Cpu, w: &Array2<f32>, projects: bool) -> Self {
        let (shape, (bins, components)) = (tile::shape(), (padded(w.nrows()), w.ncols()));
        let mut by_rows = engine.shelf().take(bins * components);
        tile::pack_rows(w.view(), shape.rows, &mut by_rows);
        let mut by_components = engine.shelf().take(if projects { bins * padded(components) } else { 0 });
        if projects {
            tile::pack_components(w.view(), bins, shape.components, &mut by_components);
        }
        Self { bins, components, by_rows, by_components }
    }

    /// The matrices of a stack, for models.
    pub(super) fn of_rows(engine: &Cpu, w: &[Array2<f32>]) -> Vec<Self> {
        w.par_iter().map(|w| Self::new(engine, w, false)).collect()
    }

    /// The matrices of a stack, for models and projections.
    fn of_both(engine: &Cpu, w: &[Array2<f32>]) -> Vec<Self> {
        w.par_iter().map(|w| Self::new(engine, w, true)).collect()
    }
}

/// E_W and I_W of the matrices of an order. If they are the same, there is only the first.
struct Factors {
    mean: Vec<Factor>,
    harmonic: Option<Vec<Factor>>,
}

/// Turns C of a block of rows into P/C².
pub(super) struct PowerSink<'a, S: Simd, const V: usize> {
    pub(super) p: &'a [[S::f32s; V]],
    pub(super) to: &'a mut [[S::f32s; V]],
}

impl<S: Simd, const V: usize> ModelSink<S> for PowerSink<'_, S, V> {
    #[inline(always)]
    fn take(&mut self, simd: S, row: usize, vector: usize, lambda: S::f32s) {
        let r = simd.div_f32s(simd.splat_f32s(1.0), simd.max_f32s(lambda, floor(simd)));
        let field = simd.mul_f32s(simd.mul_f32s(self.p[row][vector], r), r);
        self.to[row][vector] = simd.min_f32s(field, simd.splat_f32s(FIELD_CEILING as f32));
    }
}

/// Turns ω of a block of rows into 1/ω.
pub(super) struct InverseSink<'a, S: Simd, const V: usize>(pub(super) &'a mut [[S::f32s; V]]);

impl<S: Simd, const V: usize> ModelSink<S> for InverseSink<'_, S, V> {
    #[inline(always)]
    fn take(&mut self, simd: S, row: usize, vector: usize, lambda: S::f32s) {
        self.0[row][vector] = simd.div_f32s(simd.splat_f32s(1.0), simd.max_f32s(lambda, floor(simd)));
    }
}

/// A thread's scratch space: the fields (BLOCK, STRIP), and N and D (padded K, STRIP).
struct Space {
    fields: [Scratch; 2],
    sums: [Scratch; 2],
}

/// Updates a strip of gains in place.
struct GainsJob<'a> {
    gig: &'a Gig<Cpu>,
    mean_w: &'a Factor,
    /// I_W, if it is not E_W.
    harmonic_w: Option<&'a Factor>,
    p: &'a [f32],
    mean: &'a mut [f32],
    harmonic: &'a mut [f32],
    space: &'a mut Space,
    terms: &'a mut [f64; STRIP],
}

impl StripJob for GainsJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let Factor { bins, components, .. } = *self.mean_w;
        let harmonic_w = self.harmonic_w.unwrap_or(self.mean_w);
        let Space { fields: [p_field, q_field], sums: [n, d] } = self.space;
        let (p_field, q_field) = (rows_mut::<S, V>(p_field), rows_mut::<S, V>(q_field));
        let len = padded(components) * STRIP;
        let (n, d) = (&mut n[..len], &mut d[..len]);
        n.fill(0.0);
        d.fill(0.0);
        let (n, d) = (rows_mut::<S, V>(n), rows_mut::<S, V>(d));
        let mean = &mut rows_mut::<S, V>(self.mean)[..components];
        let harmonic = &mut rows_mut::<S, V>(self.harmonic)[..components];
        for start in (0..bins).step_by(BLOCK) {
            let block = start..bins.min(start + BLOCK);
            let of_rows = block.start * components..block.end * components;
            let (p, q) = (&mut p_field[..block.len()], &mut q_field[..block.len()]);
            let mut sink = PowerSink::<S, V> { p: &rows::<S, V>(self.p)[block.clone()], to: p };
            tile::model::<S, V, MR>(simd, &harmonic_w.by_rows[of_rows.clone()], harmonic, &mut sink);
            tile::model::<S, V, MR>(simd, &self.mean_w.by_rows[of_rows], mean, &mut InverseSink::<S, V>(q));
            if self.harmonic_w.is_none() {
                tile::project::<S, V, MB, NB, true>(simd, &self.mean_w.by_components, bins, block, p, q, n, d);
            } else {
                let bases = &harmonic_w.by_components;
                tile::project::<S, V, MB, NB, false>(simd, bases, bins, block.clone(), p, p, n, &mut []);
                let bases = &self.mean_w.by_components;
                tile::project::<S, V, MB, NB, false>(simd, bases, bins, block, q, q, d, &mut []);
            }
        }
        let moments = Moments::new(simd, self.gig);
        for first in (0..components).step_by(ROWS) {
            let mut terms = [simd.splat_f32s(0.0); V];
            for k in first..components.min(first + ROWS) {
                for v in 0..V {
                    let (of_mean, of_harmonic, term) = moments.of(simd, n[k][v], d[k][v], harmonic[k][v]);
                    (mean[k][v], harmonic[k][v]) = (of_mean, of_harmonic);
                    terms[v] = simd.add_f32s(terms[v], term);
                }
            }
            add_to::<S, V>(self.terms, &terms);
        }
    }
}

/// Updates the posteriors of the gains of all orders. Returns their terms by column (orders, N).
pub(super) fn update(engine: &Cpu, p: &CpuPanel, orders: &mut [Order<Cpu>], gig: &Gig<Cpu>) -> Array2<f64> {
    let (shelf, places, columns) = (engine.shelf(), p.places(), p.segments().iter().sum());
    let mut terms = Array2::zeros((orders.len(), columns));
    engine.install(|| {
        let pack = |order: &Order<Cpu>| match &order.bases {
            Bases::Fixed(w) => Factors { mean: Factor::of_both(engine, w), harmonic: None },
            Bases::Learned { mean, harmonic } => {
                Factors { mean: Factor::of_both(engine, mean), harmonic: Some(Factor::of_both(engine, harmonic)) }
            }
        };
        let most = orders.iter().map(|order| shape_of(order.bases.means()[0]).1).max().unwrap_or(0);
        let packed: Vec<Factors> = orders.par_iter().map(pack).collect();
        let mut tasks = Vec::with_capacity(orders.len() * places.len());
        for (order, packed) in orders.iter_mut().zip(&packed) {
            let len = order.mean.strip_len();
            let (mean, harmonic) = (order.mean.values_mut(), order.harmonic.values_mut());
            let strips = mean.chunks_exact_mut(len).zip(harmonic.chunks_exact_mut(len)).enumerate();
            tasks.extend(strips.zip(&places).map(|((index, strips), place)| (packed, index, strips, place)));
        }
        let space = || {
            let (block, sums) = (BLOCK * STRIP, padded(most) * STRIP);
            Space { fields: [shelf.take(block), shelf.take(block)], sums: [shelf.take(sums), shelf.take(sums)] }
        };
        let sums: Vec<[f64; STRIP]> = tasks
            .into_par_iter()
            .map_init(space, |space, (packed, index, (mean, harmonic), place)| {
                let mean_w = &packed.mean[place.segment % packed.mean.len()];
                let harmonic_w = packed.harmonic.as_ref().map(|all| &all[place.segment % all.len()]);
                let (p, mut terms) = (p.strip(index), [0.0; STRIP]);
                let (to_mean, to_harmonic) = (&mut *mean, &mut *harmonic);
                tile::dispatch(GainsJob {
                    gig,
                    mean_w,
                    harmonic_w,
                    p,
                    mean: to_mean,
                    harmonic: to_harmonic,
                    space,
                    terms: &mut terms,
                });
                tile::clear_after(place.columns, mean);
                tile::clear_after(place.columns, harmonic);
                terms
            })
            .collect();
        for (mut terms, sums) in terms.rows_mut().into_iter().zip(sums.chunks(places.len())) {
            let all = sums.iter().zip(&places).flat_map(|(sums, place)| &sums[..place.columns]);
            terms.iter_mut().zip(all).for_each(|(to, &sum)| *to = sum);
        }
    });
    terms
}
