//! Variational Bayes on the GPU. Both fields of a window are formed and stored, the products turn them into sums, and light
//! kernels do the rest, cell by cell.

use ndarray::Array2;

use super::{Bases, Gig, Order, Variational, check_order, check_sources, check_weighed, check_weights, fixed_bases};
use crate::Result;
use crate::divergence::Divergence;
use crate::engine::Engine;
use crate::engine::gpu::shader::{Access, Kernel, Uniform, source};
use crate::engine::gpu::{Chunk, Gpu, GpuMatrix, GpuPanel, QUAD, Run, Storage, TILE, Tiling};
use crate::kernels::Rule;
use crate::kernels::gpu::{
    CELLS, COLUMN_SUMS, INDEX, MODEL_TILES, PARAMS, PASSING, POSTERIOR, Params, Part, VARIANCES, Window, bounds,
};
use crate::kernels::products::storable;

/// Workgroup size of the kernels of cells.
const INVOCATIONS: usize = 64;
/// Entries of a factor whose terms are summed in f32, before the host adds them in f64: ROWS of gains.wgsl and bases.wgsl.
const ENTRIES: usize = 8;

static VARIANCE: Kernel = Kernel {
    source: source!("variational/variance.wgsl", MODEL_TILES, VARIANCES),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write, Access::Read],
    constants: &[("TILING", &[Tiling::SMALLEST.code()]), ("SEGMENTS", &[0, 1]), ("FIRST", &[0, 1]), ("LAST", &[0, 1])],
    uniform: Params::MEMBERS,
};
static FIELDS: Kernel = Kernel {
    source: source!("variational/fields.wgsl", MODEL_TILES, VARIANCES),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write, Access::Read],
    constants: &[("TILING", &[Tiling::SMALLEST.code()]), ("SEGMENTS", &[0]), ("INVERSE", &[0, 1]), ("SECOND", &[0, 1])],
    uniform: Params::MEMBERS,
};
static GAINS: Kernel = Kernel {
    source: source!("variational/gains.wgsl", PARAMS, INDEX, CELLS, POSTERIOR),
    storages: &[
        Access::Read,
        Access::Read,
        Access::Write,
        Access::Write,
        Access::Write,
        Access::Read,
        Access::Read,
        Access::Read,
    ],
    constants: &[],
    uniform: Params::MEMBERS,
};
static BASES: Kernel = Kernel {
    source: source!("variational/bases.wgsl", PARAMS, INDEX, CELLS, POSTERIOR),
    storages: GAINS.storages,
    constants: &[],
    uniform: Params::MEMBERS,
};
static EVIDENCE: Kernel = Kernel {
    source: source!("variational/evidence.wgsl", PASSING, COLUMN_SUMS, VARIANCES),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write, Access::Read],
    constants: &[("TILING", &[Tiling::SMALLEST.code()]), ("SEGMENTS", &[0, 1]), ("QUOTIENT", &[0, 1])],
    uniform: Params::MEMBERS,
};
static ADD: Kernel = Kernel {
    source: source!("variational/add.wgsl", PARAMS, INDEX, CELLS, VARIANCES),
    storages: &[Access::Read, Access::Write, Access::Write],
    constants: &[("FIRST", &[0, 1]), ("LOGS", &[0, 1])],
    uniform: Params::MEMBERS,
};
static SOURCE: Kernel = Kernel {
    source: source!("variational/source.wgsl", PARAMS, INDEX, CELLS, VARIANCES),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write],
    constants: &[("ALONE", &[0, 1]), ("MASK", &[0, 1])],
    uniform: Params::MEMBERS,
};
static ENERGY: Kernel = Kernel {
    source: source!("variational/energy.wgsl", PARAMS, INDEX, CELLS, VARIANCES),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write],
    constants: &[("FIT", &[0, 1])],
    uniform: Params::MEMBERS,
};
static WEIGH: Kernel = Kernel {
    source: source!("variational/weigh.wgsl", PARAMS, INDEX, CELLS),
    storages: &[Access::Read, Access::Read, Access::Write],
    constants: &[("FIRST", &[0, 1])],
    uniform: Params::MEMBERS,
};

/// The uniform's members that describe bases.
fn of_bases(w: &GpuMatrix) -> Params {
    Params {
        rows: w.rows as u32,
        components: w.columns as u32,
        end_component: w.columns as u32,
        bases_pitch: w.pitch() as u32,
        bases_stride: w.stride() as u32,
        ..Params::default()
    }
}

impl Order<Gpu> {
    fn check(&self, data: (usize, &[usize])) -> Result<()> {
        let shapes = self.bases.means().map(GpuMatrix::extent);
        check_order(shapes, [self.mean.extent(), self.harmonic.extent()], data)
    }

    /// The bases and the gains of ω, or of C.
    fn factors(&self, inverse: bool) -> (&GpuMatrix, &GpuPanel) {
        let [mean, harmonic] = self.bases.means();
        if inverse { (mean, &self.mean) } else { (harmonic, &self.harmonic) }
    }
}

/// One of the fields.
#[derive(Clone, Copy)]
enum Field<'a> {
    /// P/C²
    Power(&'a GpuPanel),
    /// 1/ω
    Inverse,
}

impl Gpu {
    /// Runs a kernel over `cells` cells, of `work` multiply-adds each.
    fn run_cells(
        &self,
        kernel: &'static Kernel,
        constants: &[u32],
        uniform: Params,
        storages: &[&Storage],
        (cells, work): (usize, usize),
    ) -> Result<()> {
        let workgroups = cells.div_ceil(INVOCATIONS);
        self.run(Run { kernel, filling: None, constants, uniform, storages, workgroups, work: cells * work })
    }

    /// Storages of the functions of posteriors: the cubics, and the laws with the numbers of the prior.
    fn functions(&self, gig: &Gig<Self>) -> Result<[Storage; 3]> {
        let [ratio, level] = [&gig.ratio, &gig.level].map(|table| table.cubics().storage.clone());
        let ([ratio_low, ratio_high], [level_low, level_high]) = (bounds(gig.ratio.of()), bounds(gig.level.of()));
        let p = gig.shape;
        let rises = if p >= 0.5 { 1.0 } else { 0.0 };
        let numbers = [p as f32, p.ln() as f32, (p - 1.0).max(0.0) as f32, rises];
        Ok([ratio, level, self.table(&[ratio_low, ratio_high, level_low, level_high, numbers])?])
    }

    /// Forms a field of a window in `stored`, at its begin or as the second of two.
    fn field(&self, window: Window, order: &Order<Self>, field: Field, stored: &Storage, second: bool) -> Result<()> {
        let (w, h) = order.factors(matches!(field, Field::Inverse));
        let (w, h) = (w.of(window.segment), &h.chunks[window.index].storage);
        let (inverse, data) = match field {
            Field::Power(p) => (0, &p.chunks[window.index].storage),
            // It is not read.
            Field::Inverse => (1, h),
        };
        self.run(Run {
            kernel: &FIELDS,
            filling: None,
            constants: &[Tiling::SMALLEST.code(), 0, inverse, u32::from(second)],
            uniform: window.params(of_bases(&w)),
            storages: &[data, &w.storage, h, stored, &w.storage],
            workgroups: w.rows.div_ceil(TILE) * window.tiles,
            work: w.rows * window.columns * w.columns,
        })
    }

    /// Both fields of a window, in one storage.
    fn both_fields(&self, window: Window, order: &Order<Self>, p: &GpuPanel) -> Result<Storage> {
        let stored = self.storage(2 * p.rows * window.tiles * TILE / QUAD)?;
        self.field(window, order, Field::Power(p), &stored, false)?;
        self.field(window, order, Field::Inverse, &stored, true)?;
        Ok(stored)
    }

    /// N = I_Wᵀ (P/C²) and D = E_Wᵀ (1/ω), (K, N).
    fn sums_for_gains(&self, p: &GpuPanel, order: &Order<Self>) -> Result<(GpuPanel, GpuPanel)> {
        let [means, harmonics] = order.bases.means();
        let panel = || self.new_panel(means.columns, p.segments.clone());
        let (n, d, unused) = (panel()?, panel()?, panel()?);
        for window in Window::in_time(self, p, 4 * means.rows * means.columns)? {
            let chunk = |panel: &GpuPanel| panel.chunks[window.index].storage.clone();
            let (n, d, unused, gains) = (chunk(&n), chunk(&d), chunk(&unused), chunk(&order.mean));
            for window in storable(self, window, p.rows) {
                if let Bases::Fixed(w) = &order.bases {
                    let fields = self.both_fields(window, order, p)?;
                    let both = Rule::of(Divergence::ItakuraSaito);
                    self.gain_sums_of(window, w, &fields, (&gains, &n, &d), &both)?;
                    continue;
                }
                // Each field is projected by another mean. With Q = 1, the products form N alone.
                let one = Rule::of(Divergence::KullbackLeibler);
                for (field, w, to) in [(Field::Power(p), harmonics, &n), (Field::Inverse, means, &d)] {
                    let stored = self.storage(p.rows * window.tiles * TILE / QUAD)?;
                    self.field(window, order, field, &stored, false)?;
                    self.gain_sums_of(window, w, &stored, (&gains, to, &unused), &one)?;
                }
            }
        }
        Ok((n, d))
    }

    /// Sums of the rows of a panel of partial sums, in f64.
    fn column_totals(&self, partial: &GpuPanel) -> Result<Vec<f64>> {
        let partial = self.read_panel::<f64>(partial)?;
        Ok(partial.columns().into_iter().map(|column| column.sum()).collect())
    }

    /// The totals of the partial sums of every order (orders, N).
    fn totals(&self, p: &GpuPanel, partial: &[GpuPanel]) -> Result<Array2<f64>> {
        let mut totals = Array2::zeros((partial.len(), self.shape(p).1));
        for (mut totals, partial) in totals.rows_mut().into_iter().zip(partial) {
            totals.iter_mut().zip(self.column_totals(partial)?).for_each(|(to, total)| *to = total);
        }
        Ok(totals)
    }

    /// Σ c of all sources but one, beginning with `before`, and Σ log c if `logs`. None if there is no other source.
    fn sum_variances(
        &self,
        variances: &[GpuPanel],
        but: Option<usize>,
        index: usize,
        before: f64,
        logs: bool,
    ) -> Result<Option<(Storage, Storage)>> {
        let others = variances.iter().enumerate().filter(|(source, _)| Some(*source) != but).map(|(_, c)| c);
        let (rows, chunk) = (variances[0].rows, &variances[0].chunks[index]);
        let cells = rows * chunk.quads();
        let sums = (self.storage(cells)?, self.storage(if logs { cells } else { 1 })?);
        let mut any = false;
        for c in others {
            let constants = [u32::from(!any), u32::from(logs)];
            let uniform = Params { exponent: before as f32, ..of_chunk(rows, chunk) };
            self.run_cells(
                &ADD,
                &constants,
                uniform,
                &[&c.chunks[index].storage, &sums.0, &sums.1],
                (cells, 2 * QUAD),
            )?;
            any = true;
        }
        Ok(any.then_some(sums))
    }

    /// The sums of energies of every column, or of log likelihoods if `fit`, without what does not depend on the numbers.
    fn sums_of_columns(&self, x: &GpuPanel, variances: &[GpuPanel], noise: f64, fit: bool) -> Result<Vec<f64>> {
        check(variances, 0, Some(x), noise)?;
        let blocks = x.rows.div_ceil(TILE);
        let partial = self.new_panel(blocks, x.segments.clone())?;
        for (index, chunk) in partial.chunks.iter().enumerate() {
            let Some((sum, logs)) = self.sum_variances(variances, None, index, 0.0, !fit)? else { continue };
            let storages = [&x.chunks[index].storage, &sum, &logs, &chunk.storage];
            let uniform = Params { exponent: noise as f32, ..of_chunk(x.rows, chunk) };
            let work = (blocks * chunk.quads(), 8 * TILE * QUAD);
            self.run_cells(&ENERGY, &[u32::from(fit)], uniform, &storages, work)?;
        }
        self.column_totals(&partial)
    }

    /// P of a source from x, or its mask without x.
    fn of_source(&self, x: Option<&GpuPanel>, variances: &[GpuPanel], source: usize, noise: f64) -> Result<GpuPanel> {
        let own = &variances[source];
        let result = self.new_panel(own.rows, own.segments.clone())?;
        for (index, chunk) in result.chunks.iter().enumerate() {
            let others = self.sum_variances(variances, Some(source), index, noise, false)?;
            let c = &own.chunks[index].storage;
            // What is not read may be any storage that is not written.
            let x_storage = x.map_or(c, |x| &x.chunks[index].storage);
            let o = others.as_ref().map_or(c, |(others, _)| others);
            let constants = [u32::from(others.is_none()), u32::from(x.is_none())];
            let uniform = Params { exponent: noise as f32, ..of_chunk(own.rows, chunk) };
            let cells = own.rows * chunk.quads();
            self.run_cells(&SOURCE, &constants, uniform, &[x_storage, c, o, &chunk.storage], (cells, 4 * QUAD))?;
        }
        Ok(result)
    }
}

/// The uniform's members that describe a chunk of `rows` rows.
fn of_chunk(rows: usize, chunk: &Chunk) -> Params {
    Params { rows: rows as u32, chunk_quads: chunk.quads() as u32, ..Params::default() }
}

fn check(variances: &[GpuPanel], source: usize, data: Option<&GpuPanel>, noise: f64) -> Result<()> {
    let all: Vec<_> = variances.iter().map(GpuPanel::extent).collect();
    check_sources(&all, source, data.map(GpuPanel::extent), noise)
}

impl Variational for Gpu {
    fn variance(&self, orders: &[Order<Self>], q: &GpuPanel) -> Result<GpuPanel> {
        check_weights(orders.len(), q.extent())?;
        let rows = orders[0].bases.means()[1].rows;
        orders.iter().try_for_each(|order| order.check((rows, &q.segments)))?;
        let c = self.new_panel(rows, q.segments.clone())?;
        for (m, order) in orders.iter().enumerate() {
            let (w, h) = order.factors(false);
            for Part { window, w, places } in &Part::in_time(self, h, w, rows * w.columns)? {
                let uniform = Params { weights_row: m as u32, weights_rows: q.rows as u32, ..of_bases(w) };
                let (first, last) = (u32::from(m == 0), u32::from(m + 1 == orders.len()));
                let [q, c] = [q, &c].map(|panel| &panel.chunks[window.index].storage);
                self.run(Run {
                    kernel: &VARIANCE,
                    filling: None,
                    constants: &[Tiling::SMALLEST.code(), u32::from(places.is_some()), first, last],
                    uniform: window.params(uniform),
                    storages: &[&w.storage, &window.chunk.storage, q, c, places.as_ref().unwrap_or(&w.storage)],
                    workgroups: rows.div_ceil(TILE) * window.tiles,
                    work: rows * window.columns * w.columns,
                })?;
            }
        }
        Ok(c)
    }

    fn power(&self, x: &GpuPanel, variances: &[GpuPanel], source: usize, noise: f64) -> Result<GpuPanel> {
        check(variances, source, Some(x), noise)?;
        self.of_source(Some(x), variances, source, noise)
    }

    fn fraction(&self, variances: &[GpuPanel], source: usize) -> Result<GpuPanel> {
        check(variances, source, None, 0.0)?;
        self.of_source(None, variances, source, 0.0)
    }

    fn update_gain_posteriors(&self, p: &GpuPanel, orders: &mut [Order<Self>], gig: &Gig<Self>) -> Result<Array2<f64>> {
        orders.iter().try_for_each(|order| order.check(p.extent()))?;
        let [ratio, level, prior] = self.functions(gig)?;
        let mut partial = Vec::with_capacity(orders.len());
        for order in orders.iter_mut() {
            let (n, d) = self.sums_for_gains(p, order)?;
            let blocks = n.rows.div_ceil(ENTRIES);
            let terms = self.new_panel(blocks, p.segments.clone())?;
            for (index, chunk) in terms.chunks.iter().enumerate() {
                let [n, d, mean, harmonic] =
                    [&n, &d, &order.mean, &order.harmonic].map(|panel| &panel.chunks[index].storage);
                let storages = [n, d, mean, harmonic, &chunk.storage, &ratio, &level, &prior];
                let uniform = Params { components: order.mean.rows as u32, ..of_chunk(blocks, chunk) };
                self.run_cells(&GAINS, &[], uniform, &storages, (blocks * chunk.quads(), 64 * ENTRIES * QUAD))?;
            }
            partial.push(terms);
        }
        self.totals(p, &partial)
    }

    fn update_basis_posteriors(&self, p: &GpuPanel, order: &mut Order<Self>, gig: &Gig<Self>) -> Result<Vec<f64>> {
        order.check(p.extent())?;
        let Bases::Learned { mean, .. } = &order.bases else { return Err(fixed_bases()) };
        let gains = (&order.harmonic, &order.mean);
        let (n, d) = self.base_sums_of(p, mean, gains, &Rule::of(Divergence::ItakuraSaito), |window| {
            self.both_fields(window, order, p)
        })?;
        let [ratio, level, prior] = self.functions(gig)?;
        let blocks = mean.rows.div_ceil(ENTRIES);
        let terms = self.new_stack(mean.count, blocks, mean.columns)?;
        let Bases::Learned { mean, harmonic } = &mut order.bases else { return Err(fixed_bases()) };
        mean.changes();
        harmonic.changes();
        for matrix in 0..mean.count {
            let [n, d, of_mean, harmonic, terms] =
                [&n, &d, &*mean, &*harmonic, &terms].map(|stack| stack.of(matrix).storage);
            let storages = [&n, &d, &of_mean, &harmonic, &terms, &ratio, &level, &prior];
            let cells = blocks * mean.pitch();
            self.run_cells(&BASES, &[], of_bases(mean), &storages, (cells, 64 * ENTRIES * QUAD))?;
        }
        let terms = self.read_matrix::<f64>(&terms)?;
        Ok(terms.exact_chunks((blocks, terms.ncols())).into_iter().map(|terms| terms.sum()).collect())
    }

    fn evidence(&self, p: &GpuPanel, orders: &[Order<Self>]) -> Result<Array2<f64>> {
        orders.iter().try_for_each(|order| order.check(p.extent()))?;
        let mut partial = Vec::with_capacity(orders.len());
        for order in orders {
            let sums = self.new_panel(p.rows.div_ceil(TILE), p.segments.clone())?;
            for (quotient, inverse) in [(0, true), (1, false)] {
                let (w, h) = order.factors(inverse);
                for Part { window, w, places } in &Part::in_time(self, h, w, p.rows * w.columns)? {
                    let [p, sums] = [p, &sums].map(|panel| &panel.chunks[window.index].storage);
                    self.run(Run {
                        kernel: &EVIDENCE,
                        filling: None,
                        constants: &[Tiling::SMALLEST.code(), u32::from(places.is_some()), quotient],
                        uniform: window.params(of_bases(w)),
                        storages: &[p, &w.storage, &window.chunk.storage, sums, places.as_ref().unwrap_or(&w.storage)],
                        workgroups: w.rows.div_ceil(TILE) * window.tiles,
                        work: w.rows * window.columns * w.columns,
                    })?;
                }
            }
            partial.push(sums);
        }
        let constant = p.rows as f64 * std::f64::consts::PI.ln();
        Ok(self.totals(p, &partial)? - constant)
    }

    fn energy(&self, x: &GpuPanel, variances: &[GpuPanel], noise: f64) -> Result<Vec<f64>> {
        let log_pi = std::f64::consts::PI.ln();
        let constant = x.rows as f64 * (variances.len() as f64 * (log_pi + 1.0) - log_pi);
        Ok(self.sums_of_columns(x, variances, noise, false)?.into_iter().map(|sum| sum + constant).collect())
    }

    fn likelihood(&self, x: &GpuPanel, variances: &[GpuPanel], noise: f64) -> Result<Vec<f64>> {
        let constant = x.rows as f64 * std::f64::consts::PI.ln();
        Ok(self.sums_of_columns(x, variances, noise, true)?.into_iter().map(|sum| sum - constant).collect())
    }

    fn weigh(&self, sum: Option<GpuPanel>, panel: &GpuPanel, q: &GpuPanel, order: usize) -> Result<GpuPanel> {
        check_weighed(sum.as_ref().map(GpuPanel::extent), panel.extent(), q.extent(), order)?;
        let first = u32::from(sum.is_none());
        let sum = sum.map_or_else(|| self.new_panel(panel.rows, panel.segments.clone()), Ok)?;
        for (index, chunk) in sum.chunks.iter().enumerate() {
            let [panel, q_storage] = [panel, q].map(|panel| &panel.chunks[index].storage);
            let uniform =
                Params { weights_row: order as u32, weights_rows: q.rows as u32, ..of_chunk(sum.rows, chunk) };
            let cells = sum.rows * chunk.quads();
            self.run_cells(&WEIGH, &[first], uniform, &[panel, q_storage, &chunk.storage], (cells, QUAD))?;
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FIELD_CEILING, QUOTIENT_CEILING, VARIANCE_FLOOR};
    use super::*;

    #[test]
    fn shaders_match_the_host_declarations() {
        let kernels = [&VARIANCE, &FIELDS, &GAINS, &BASES, &EVIDENCE, &ADD, &SOURCE, &ENERGY, &WEIGH];
        crate::engine::gpu::shader_check::check_family("variational", &[], &[], &kernels);
    }

    #[test]
    fn shader_floors_equal_the_hosts() {
        let all = [
            ("VARIANCE_FLOOR", VARIANCE_FLOOR),
            ("FIELD_CEILING", FIELD_CEILING),
            ("QUOTIENT_CEILING", QUOTIENT_CEILING),
        ];
        for (name, value) in all {
            assert!(VARIANCES.text.contains(&format!("const {name} = {value:e};")), "{name}");
        }
    }
}
