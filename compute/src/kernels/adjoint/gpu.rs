//! The reverse pass on the GPU. Light kernels form the fields of a window and reverse them, the products project them as stored
//! fields, and other light kernels do the rest cell by cell.

use std::collections::HashSet;

use super::{Adjoint, check_adjoints, check_knots};
use crate::Result;
use crate::cubics::COUNT;
use crate::divergence::Divergence;
use crate::engine::gpu::shader::{Access, Kernel, Uniform, source};
use crate::engine::gpu::{Gpu, GpuMatrix, GpuPanel, PerMatrix, QUAD, Run, Storage, TILE, Tiling};
use crate::kernels::Rule;
use crate::kernels::glue::check_factors;
use crate::kernels::gpu::{
    CELLS, CURVE, FLOORS, INDEX, MODEL_TILES, PARAMS, Params, Part, REDUCE, TABLE, Window, bounds,
};
use crate::kernels::products::{check_shapes, storable};
use crate::weight::Weight;

/// Workgroup size of the kernels without tiles.
const INVOCATIONS: usize = 64;
/// Workgroups that sum the knots of a panel: GROUPS of knots.wgsl.
const GROUPS: usize = 128;

/// The constants of a kernel of tiles.
const TILES: &[(&str, &[u32])] = &[("TILING", &[Tiling::SMALLEST.code()]), ("SEGMENTS", &[0])];

static FIELDS: Kernel = Kernel {
    source: source!("adjoint/fields.wgsl", MODEL_TILES, CURVE),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write, Access::Read, Access::Read],
    constants: TILES,
    uniform: Params::MEMBERS,
};
static PRODUCT: Kernel = Kernel {
    source: source!("adjoint/product.wgsl", MODEL_TILES),
    storages: &[Access::Read, Access::Read, Access::Write, Access::Read],
    constants: &[("TILING", &[Tiling::SMALLEST.code()]), ("SEGMENTS", &[0]), ("SECOND", &[0, 1])],
    uniform: Params::MEMBERS,
};
static REVERSE: Kernel = Kernel {
    source: source!("adjoint/reverse.wgsl", MODEL_TILES, CURVE),
    storages: &[
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Write,
        Access::Write,
        Access::Write,
        Access::Read,
        Access::Read,
    ],
    constants: &[("TILING", &[Tiling::SMALLEST.code()]), ("SEGMENTS", &[0]), ("KEEP", &[0, 1])],
    uniform: Params::MEMBERS,
};
static MASK: Kernel = Kernel {
    source: source!("adjoint/mask.wgsl", MODEL_TILES, FLOORS),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write, Access::Read],
    constants: TILES,
    uniform: Params::MEMBERS,
};
static MODEL: Kernel = Kernel {
    source: source!("adjoint/model.wgsl", MODEL_TILES, FLOORS),
    storages: &[Access::Read, Access::Read, Access::Write, Access::Read],
    constants: &[("TILING", &[Tiling::SMALLEST.code()]), ("SEGMENTS", &[0, 1])],
    uniform: Params::MEMBERS,
};
static RATIO: Kernel = Kernel {
    source: source!("adjoint/ratio.wgsl", PARAMS, INDEX, CELLS, FLOORS),
    storages: &[Access::Read, Access::Write, Access::Write, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};
static ADD: Kernel = Kernel {
    source: source!("adjoint/add.wgsl", PARAMS, INDEX, CELLS),
    storages: &[Access::Read, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};
static KNOTS: Kernel = Kernel {
    source: source!("adjoint/knots.wgsl", PARAMS, INDEX, FLOORS, TABLE),
    storages: &[Access::Read, Access::Write],
    constants: &[("FIRST", &[0, 1])],
    uniform: Params::MEMBERS,
};
static ADD_KNOTS: Kernel = Kernel {
    source: source!("adjoint/add_knots.wgsl", PARAMS, INDEX, CELLS),
    storages: &[Access::Read, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};
static GAIN_PRODUCTS: Kernel = Kernel {
    source: source!("adjoint/gain_products.wgsl", PARAMS, INDEX, REDUCE),
    storages: &[Access::Read, Access::Read, Access::Write, Access::Write],
    constants: &[("FIRST", &[0, 1]), ("LAST", &[0, 1])],
    uniform: Params::MEMBERS,
};
static NORMS: Kernel = Kernel {
    source: source!("adjoint/norms.wgsl", PARAMS, INDEX, FLOORS, REDUCE),
    storages: &[Access::Read, Access::Read, Access::Write, Access::Write],
    constants: &[("COMPENSATED", &[0, 1])],
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
        matrices: w.count as u32,
        ..Params::default()
    }
}

/// The rule under which the products form N and D of stored fields.
fn both() -> Rule {
    Rule::of(Divergence::ItakuraSaito)
}

/// The rule under which they form N alone: Q is 1.
fn one() -> Rule {
    Rule::of(Divergence::KullbackLeibler)
}

/// Whether a window comes for the first time. Sums of large bases take several passes over all windows.
#[derive(Default)]
struct Seen(HashSet<(usize, usize)>);

impl Seen {
    fn is_new(&mut self, window: &Window) -> bool {
        self.0.insert((window.index, window.first_tile))
    }
}

/// What is reversed: an update's operands on the device.
struct Update<'a> {
    v: &'a GpuPanel,
    w: &'a GpuMatrix,
    h: &'a GpuPanel,
    /// The tables of the weight, see curve.wgsl.
    curve: Storage,
}

/// The reversed fields of a window.
struct Reversed {
    /// g(WH), gΦ and r.
    stored: Storage,
    a: Storage,
    b: Storage,
}

impl<'a> Update<'a> {
    fn new(gpu: &Gpu, v: &'a GpuPanel, w: &'a GpuMatrix, h: &'a GpuPanel, weight: &Weight) -> Result<Self> {
        let (share, slope) = (weight.share(), weight.slope());
        let curve = [share.cells(), slope.cells(), &bounds(share), &bounds(slope)].concat();
        Ok(Self { v, w, h, curve: gpu.table(&curve)? })
    }

    /// A and B of a window.
    fn fields(&self, gpu: &Gpu, window: Window) -> Result<Storage> {
        let stored = gpu.storage(2 * field_quads(window, self.w))?;
        let (w, [v, h]) = (self.w.of(window.segment), self.chunks(window));
        gpu.run_tiles(&FIELDS, &[], window, &w, &[v, &w.storage, h, &stored, &w.storage, &self.curve])?;
        Ok(stored)
    }

    /// Reverses the fields of a window. `of_a` and `of_b`: the factors whose products are gA and gB. `keep`: whether A and B are
    /// also returned.
    fn reverse(
        &self,
        gpu: &Gpu,
        window: Window,
        of_a: (&GpuMatrix, &GpuPanel),
        of_b: (&GpuMatrix, &GpuPanel),
        keep: bool,
    ) -> Result<Reversed> {
        let quads = field_quads(window, self.w);
        let stored = gpu.storage(3 * quads)?;
        for (second, (w, h)) in [(0, of_a), (1, of_b)] {
            let (w, h) = (w.of(window.segment), &h.chunks[window.index].storage);
            gpu.run_tiles(&PRODUCT, &[second], window, &w, &[&w.storage, h, &stored, &w.storage])?;
        }
        let field = || gpu.storage(if keep { quads } else { 1 });
        let (a, b) = (field()?, field()?);
        let (w, [v, h]) = (self.w.of(window.segment), self.chunks(window));
        let storages = [v, &w.storage, h, &stored, &a, &b, &w.storage, &self.curve];
        gpu.run_tiles(&REVERSE, &[u32::from(keep)], window, &w, &storages)?;
        Ok(Reversed { stored, a, b })
    }

    fn chunks(&self, window: Window) -> [&Storage; 2] {
        [self.v, self.h].map(|panel| &panel.chunks[window.index].storage)
    }
}

/// vec4s of a stored field of a window.
fn field_quads(window: Window, w: &GpuMatrix) -> usize {
    w.rows * window.tiles * TILE / QUAD
}

/// Partial sums of knots.
struct Knots {
    partials: Storage,
    first: bool,
}

impl Knots {
    fn new(gpu: &Gpu) -> Result<Self> {
        Ok(Self { partials: gpu.storage(GROUPS * COUNT)?, first: true })
    }

    /// Adds those of a window. Windows come in the order of the panel.
    fn add(&mut self, gpu: &Gpu, window: Window, rows: usize, stored: &Storage) -> Result<()> {
        let first = std::mem::replace(&mut self.first, false);
        let tile = window.chunk.first_tile + window.first_tile;
        gpu.run(Run {
            kernel: &KNOTS,
            filling: None,
            constants: &[u32::from(first)],
            uniform: window.params(Params { rows: rows as u32, first_tile: tile as u32, ..Params::default() }),
            storages: &[stored, &self.partials],
            workgroups: GROUPS,
            // An invocation compares every datum of its workgroup with its cells.
            work: rows * window.tiles * TILE * INVOCATIONS,
        })
    }

    fn add_to(self, gpu: &Gpu, knots: &mut GpuMatrix) -> Result<()> {
        knots.changes();
        let uniform = Params { chunk_quads: COUNT as u32, end_split: GROUPS as u32, ..Params::default() };
        gpu.run_flat(&ADD_KNOTS, uniform, &[&self.partials, &knots.storage], (COUNT, GROUPS * QUAD))
    }
}

impl Gpu {
    /// Runs a kernel over the tiles of a window, which has the matrix `w`.
    fn run_tiles(
        &self,
        kernel: &'static Kernel,
        constants: &[u32],
        window: Window,
        w: &GpuMatrix,
        storages: &[&Storage],
    ) -> Result<()> {
        self.run(Run {
            kernel,
            filling: None,
            constants: &[&[Tiling::SMALLEST.code(), 0], constants].concat(),
            uniform: window.params(of_bases(w)),
            storages,
            workgroups: w.rows.div_ceil(TILE) * window.tiles,
            work: w.rows * window.columns * w.columns,
        })
    }

    /// Runs a kernel over so many cells, of so many multiply-adds each.
    fn run_flat(
        &self,
        kernel: &'static Kernel,
        uniform: Params,
        storages: &[&Storage],
        (cells, work): (usize, usize),
    ) -> Result<()> {
        let workgroups = cells.div_ceil(INVOCATIONS);
        self.run(Run { kernel, filling: None, constants: &[], uniform, storages, workgroups, work: cells * work })
    }

    /// Runs a kernel over all vec4s of panels of one shape.
    fn run_panels(&self, kernel: &'static Kernel, panels: &[&GpuPanel]) -> Result<()> {
        let Some(first) = panels.first() else { return Ok(()) };
        for (index, chunk) in first.chunks.iter().enumerate() {
            let storages: Vec<&Storage> = panels.iter().map(|panel| &panel.chunks[index].storage).collect();
            let uniform = Params { rows: first.rows as u32, chunk_quads: chunk.quads() as u32, ..Params::default() };
            self.run_flat(kernel, uniform, &storages, (first.rows * chunk.quads(), QUAD))?;
        }
        Ok(())
    }

    /// Runs a kernel over all vec4s of stacks of one shape.
    fn run_stacks(&self, kernel: &'static Kernel, stacks: &[&GpuMatrix]) -> Result<()> {
        let Some(all) = stacks.first() else { return Ok(()) };
        for (first, part) in all.parts(1, self.binding_quads) {
            let parts: Vec<GpuMatrix> = stacks.iter().map(|stack| stack.part(first, part.count)).collect();
            let storages: Vec<&Storage> = parts.iter().map(|part| &part.storage).collect();
            let quads = part.quads(part.count);
            let uniform = Params { rows: 1, chunk_quads: quads as u32, ..Params::default() };
            self.run_flat(kernel, uniform, &storages, (quads, QUAD))?;
        }
        Ok(())
    }

    /// gF ← Wᵀ F, the part of a window of the adjoint `to` that comes from its field F.
    fn project(&self, window: Window, w: &GpuMatrix, field: &Storage, to: &GpuPanel, unused: &GpuPanel) -> Result<()> {
        let [to, unused] = [to, unused].map(|panel| &panel.chunks[window.index].storage);
        // The gains are not read.
        self.gain_sums_of(window, w, field, (field, to, unused), &one())
    }
}

/// Checks factors, their adjoints, and a panel F x N.
fn check(data: &GpuPanel, (w, of_w): (&GpuMatrix, &GpuMatrix), (h, of_h): (&GpuPanel, &GpuPanel)) -> Result<()> {
    check_shapes(data.extent(), w.extent(), h.extent())?;
    check_adjoints((w.extent(), of_w.extent()), (h.extent(), of_h.extent()))
}

impl Adjoint for Gpu {
    fn adjoint_of_gains(
        &self,
        v: &GpuPanel,
        w: &GpuMatrix,
        h: &GpuPanel,
        weight: &Weight,
        of_w: &mut GpuMatrix,
        of_h: &mut GpuPanel,
        knots: &mut GpuMatrix,
    ) -> Result<()> {
        check(v, (w, of_w), (h, of_h))?;
        check_knots(knots.extent())?;
        let update = Update::new(self, v, w, h, weight)?;
        let panel = || self.new_panel(h.rows, h.segments.clone());
        let (n, d) = (panel()?, panel()?);
        for window in Window::in_time(self, v, 4 * w.rows * w.columns)? {
            let [gains, n, d] = [h, &n, &d].map(|panel| &panel.chunks[window.index].storage);
            for window in storable(self, window, w.rows) {
                self.gain_sums_of(window, w, &update.fields(self, window)?, (gains, n, d), &both())?;
            }
        }
        self.run_panels(&RATIO, &[h, &n, &d, of_h])?;
        let (of_n, of_d) = (n, d);
        let (from_a, from_b) =
            self.base_sums_of(v, w, (&of_n, &of_d), &both(), |window| update.fields(self, window))?;
        let (through, unused, mut sums, mut seen) = (panel()?, panel()?, Knots::new(self)?, Seen::default());
        let (from_product, _) = self.base_sums_of(v, w, (h, h), &one(), |window| {
            let Reversed { stored, .. } = update.reverse(self, window, (w, &of_n), (w, &of_d), false)?;
            if seen.is_new(&window) {
                self.project(window, w, &stored, &through, &unused)?;
                sums.add(self, window, w.rows, &stored)?;
            }
            Ok(stored)
        })?;
        of_w.changes();
        [from_a, from_b, from_product].iter().try_for_each(|part| self.run_stacks(&ADD, &[part, of_w]))?;
        self.run_panels(&ADD, &[&through, of_h])?;
        sums.add_to(self, knots)
    }

    fn adjoint_of_bases(
        &self,
        v: &GpuPanel,
        w: &GpuMatrix,
        h: &GpuPanel,
        weight: &Weight,
        of_w: &mut GpuMatrix,
        of_h: &mut GpuPanel,
        knots: &mut GpuMatrix,
    ) -> Result<()> {
        check(v, (w, of_w), (h, of_h))?;
        check_knots(knots.extent())?;
        let update = Update::new(self, v, w, h, weight)?;
        let (of_n, of_d) = self.base_sums_of(v, w, (h, h), &both(), |window| update.fields(self, window))?;
        of_w.changes();
        self.run_stacks(&RATIO, &[w, &of_n, &of_d, of_w])?;
        let panel = || self.new_panel(h.rows, h.segments.clone());
        let (parts, unused) = ([panel()?, panel()?, panel()?], panel()?);
        let (mut sums, mut seen) = (Knots::new(self)?, Seen::default());
        let (from_product, _) = self.base_sums_of(v, w, (h, h), &one(), |window| {
            let Reversed { stored, a, b } = update.reverse(self, window, (&of_n, h), (&of_d, h), true)?;
            if seen.is_new(&window) {
                for ((factor, field), to) in [(w, &stored), (&of_n, &a), (&of_d, &b)].into_iter().zip(&parts) {
                    self.project(window, factor, field, to, &unused)?;
                }
                sums.add(self, window, w.rows, &stored)?;
            }
            Ok(stored)
        })?;
        self.run_stacks(&ADD, &[&from_product, of_w])?;
        parts.iter().try_for_each(|part| self.run_panels(&ADD, &[part, of_h]))?;
        sums.add_to(self, knots)
    }

    fn adjoint_of_norm(
        &self,
        w: &GpuMatrix,
        h: &GpuPanel,
        of_w: &mut GpuMatrix,
        of_h: &mut GpuPanel,
        compensated: bool,
    ) -> Result<()> {
        check_factors(w.extent(), (h.rows, h.segments.len()))?;
        check_adjoints((w.extent(), of_w.extent()), (h.extent(), of_h.extent()))?;
        let per_matrix = || self.per_matrix(w.count, w.pitch());
        let (sizes, of_norms): (PerMatrix, PerMatrix) = (per_matrix()?, per_matrix()?);
        if compensated {
            let mut windows = Window::all(h);
            if w.count == 1 {
                windows.iter_mut().for_each(Window::join);
            }
            let partials = self.storage(QUAD * w.pitch() * INVOCATIONS)?;
            for windows in windows.chunk_by(|a, b| w.count == 1 || a.segment == b.segment) {
                let totals = of_norms.part(windows[0].segment % w.count, 1).storage;
                for (index, window) in windows.iter().enumerate() {
                    let [h, of_h] = [h, &*of_h].map(|panel| &panel.chunks[window.index].storage);
                    self.run(Run {
                        kernel: &GAIN_PRODUCTS,
                        filling: None,
                        constants: &[u32::from(index == 0), u32::from(index + 1 == windows.len())],
                        uniform: window.params(Params { first_tile: window.before as u32, ..of_bases(w) }),
                        storages: &[h, of_h, &partials, &totals],
                        workgroups: QUAD * w.pitch(),
                        work: w.columns * window.columns,
                    })?;
                }
            }
        }
        of_w.changes();
        let sums_stride = sizes.stride as u32;
        for (first, part) in w.parts(1, self.binding_quads) {
            let [of_norms, sizes] = [&of_norms, &sizes].map(|all| all.part(first, part.count).storage);
            self.run(Run {
                kernel: &NORMS,
                filling: None,
                constants: &[u32::from(compensated)],
                uniform: Params { sums_stride, ..of_bases(&part) },
                storages: &[&part.storage, &of_norms, &of_w.part(first, part.count).storage, &sizes],
                workgroups: part.count * w.pitch(),
                work: 4 * part.count * w.rows * w.columns,
            })?;
        }
        if compensated { self.scale_gains(of_h, &sizes, w.columns, w.count) } else { Ok(()) }
    }

    fn floored_model(&self, w: &GpuMatrix, h: &GpuPanel) -> Result<GpuPanel> {
        check_factors(w.extent(), (h.rows, h.segments.len()))?;
        let model = self.new_panel(w.rows, h.segments.clone())?;
        for Part { window, w, places } in &Part::in_time(self, h, w, w.rows * w.columns)? {
            self.run(Run {
                kernel: &MODEL,
                filling: None,
                constants: &[Tiling::SMALLEST.code(), u32::from(places.is_some())],
                uniform: window.params(of_bases(w)),
                storages: &[
                    &w.storage,
                    &window.chunk.storage,
                    &model.chunks[window.index].storage,
                    places.as_ref().unwrap_or(&w.storage),
                ],
                workgroups: w.rows.div_ceil(TILE) * window.tiles,
                work: w.rows * window.columns * w.columns,
            })?;
        }
        Ok(model)
    }

    fn adjoint_of_model(
        &self,
        w: &GpuMatrix,
        h: &GpuPanel,
        of_model: &GpuPanel,
        of_w: &mut GpuMatrix,
        of_h: &mut GpuPanel,
    ) -> Result<()> {
        check(of_model, (w, of_w), (h, of_h))?;
        let panel = || self.new_panel(h.rows, h.segments.clone());
        let (through, unused, mut seen) = (panel()?, panel()?, Seen::default());
        let (from_product, _) = self.base_sums_of(of_model, w, (h, h), &one(), |window| {
            let stored = self.storage(field_quads(window, w))?;
            let (matrix, [data, gains]) =
                (w.of(window.segment), [of_model, h].map(|panel| &panel.chunks[window.index].storage));
            let storages = [data, &matrix.storage, gains, &stored, &matrix.storage];
            self.run_tiles(&MASK, &[], window, &matrix, &storages)?;
            if seen.is_new(&window) {
                self.project(window, w, &stored, &through, &unused)?;
            }
            Ok(stored)
        })?;
        of_w.changes();
        self.run_stacks(&ADD, &[&from_product, of_w])?;
        self.run_panels(&ADD, &[&through, of_h])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weight::SHARE_SCALE;

    #[test]
    fn shaders_match_the_host_declarations() {
        let tiles = [&FIELDS, &PRODUCT, &REVERSE, &MASK, &MODEL];
        let others = [&RATIO, &ADD, &KNOTS, &ADD_KNOTS, &GAIN_PRODUCTS, &NORMS];
        crate::engine::gpu::shader_check::check_family("adjoint", &[], &[], &[tiles.as_slice(), &others].concat());
    }

    #[test]
    fn shader_constants_equal_the_hosts() {
        let last = (1u64 << 40) as f32;
        let all = [
            (CURVE.text, format!("const SHARE_SCALE = {SHARE_SCALE};")),
            (TABLE.text, format!("const LAST_CELL = {}u;", COUNT - 1)),
            (KNOTS.source.text, format!("const GROUPS = {GROUPS}u;")),
            (KNOTS.source.text, format!("const LAST_NUMBER = {:?};", f64::from(last.next_down()))),
        ];
        all.iter().for_each(|(file, line)| assert!(file.contains(line), "{line}"));
    }
}
