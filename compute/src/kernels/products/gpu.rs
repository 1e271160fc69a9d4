//! The products on the GPU: a pass over each window of the panel, and a reduction for the bases. A window is the part
//! of a segment in one chunk. It uses the bases of its segment.
//!
//! A fused update costs 2K multiply-adds per cell of V, plus K for Λ in every workgroup that shares the components,
//! because no single workgroup then holds all of them. An unfused update forms P and Q once (K) and projects them (2K),
//! but moves them through memory: 8 bytes written, and 8 read by each of these workgroups.
//!
//! Whether forming Λ again in a second workgroup is cheaper than this traffic depends on the device: K multiply-adds
//! against 24 bytes break even at K = 110 on a device with 9 flop per byte of memory, and at K = 430 with 36. A third
//! workgroup doubles the cost, and the fused update then loses on all devices.
//!
//! A learned weight has a table, and a fused kernel has no binding left for it. So its updates are always unfused.
//!
//! The joint update needs P and Q twice, before and after the update of the gains, and is always unfused.

use super::{Products, Rule, check_shapes, check_trial};
use crate::Result;
use crate::divergence::Divergence;
use crate::engine::Engine;
use crate::engine::gpu::shader::{Access, Kernel, Uniform, source};
use crate::engine::gpu::{Gpu, GpuMatrix, GpuPanel, PerMatrix, QUAD, Run, Storage, TILE, Tiling};
use crate::kernels::gpu::{
    BASIS_RULE, CELLS, COLUMN_SUMS, FIELDS, FLOORS, HELD, INDEX, LEARNED, PARAMS, PASSING, Params, Part, RULE,
    STORED_FIELDS, Splits, Window, filling, fit, is_learned, learned, most_tiles, runs, unit_denominator,
};

/// The most vec4s that the sums of a pass may take. Larger bases are updated in several passes.
const SUMS_QUADS: usize = 64 << 20 >> 4;
/// The most workgroups that share the components in a fused update.
const FUSED_SHARES: usize = 2;
/// Workgroup size of the kernels without tiles.
const INVOCATIONS: usize = 64;

/// The binding of a learned weight.
const WEIGHT_BINDING: u32 = 6;

const BLOCKS: &[u32] = &[1, 2, 3, 4];

static GAINS: Kernel = Kernel {
    source: source!("products/gains.wgsl", PASSING, FIELDS, COLUMN_SUMS, RULE),
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
    constants: &[
        ("TILING", Tiling::GAINS_CODES),
        ("COSTS", &[0, 1]),
        ("SUMS", &[0, 1]),
        ("PART", &[0, 1]),
        ("BLOCKS", BLOCKS),
        ("SEGMENTS", &[0, 1]),
    ],
    uniform: Params::MEMBERS,
};
/// [`GAINS`] with factors held in workgroup memory.
static HELD_GAINS: Kernel = Kernel {
    source: source!("products/gains.wgsl", HELD, FIELDS, COLUMN_SUMS, RULE),
    storages: GAINS.storages,
    constants: GAINS.constants,
    uniform: Params::MEMBERS,
};
static GAINS_DENOMINATOR: Kernel = Kernel {
    source: source!("products/gains_denominator.wgsl", PARAMS, INDEX, CELLS),
    storages: &[Access::Read, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};
static BASES: Kernel = Kernel {
    source: source!("products/bases.wgsl", PASSING, FIELDS),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write, Access::Read, Access::Read, Access::Read],
    constants: &[
        ("TILING", Tiling::BASES_CODES),
        ("COSTS", &[0]),
        ("WEIGHED", &[0]),
        ("BLOCKS", BLOCKS),
        ("SEGMENTS", &[0, 1]),
    ],
    uniform: Params::MEMBERS,
};
/// [`BASES`] with factors held in workgroup memory.
static HELD_BASES: Kernel = Kernel {
    source: source!("products/bases.wgsl", HELD, FIELDS),
    storages: BASES.storages,
    constants: BASES.constants,
    uniform: Params::MEMBERS,
};
static STORE_FIELDS: Kernel = Kernel {
    source: source!("products/fields.wgsl", PASSING, FIELDS),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write, Access::Read],
    constants: &[("TILING", Tiling::GAINS_CODES), ("COSTS", &[0, 1]), ("SEGMENTS", &[0])],
    uniform: Params::MEMBERS,
};
/// [`STORE_FIELDS`] of a learned weight. A fused kernel has no binding left for its table.
static STORE_LEARNED: Kernel = Kernel {
    source: source!("products/fields.wgsl", PASSING, FIELDS, LEARNED),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write, Access::Read, Access::Read],
    constants: &[
        ("TILING", Tiling::GAINS_CODES),
        ("COSTS", &[0, 1]),
        ("SEGMENTS", &[0]),
        ("WEIGHT_BINDING", &[WEIGHT_BINDING]),
    ],
    uniform: Params::MEMBERS,
};
/// [`GAINS`] from stored fields.
static STORED_GAINS: Kernel = Kernel {
    source: source!("products/gains.wgsl", PASSING, STORED_FIELDS, COLUMN_SUMS, RULE),
    storages: GAINS.storages,
    constants: GAINS.constants,
    uniform: Params::MEMBERS,
};
/// [`BASES`] from stored fields.
static STORED_BASES: Kernel = Kernel {
    source: source!("products/bases.wgsl", PASSING, STORED_FIELDS),
    storages: BASES.storages,
    constants: &[
        ("TILING", Tiling::BASES_CODES),
        ("COSTS", &[0]),
        ("WEIGHED", &[0, 1]),
        ("BLOCKS", BLOCKS),
        ("SEGMENTS", &[0]),
    ],
    uniform: Params::MEMBERS,
};
static GAINS_REDUCE: Kernel = Kernel {
    source: source!("products/gains_reduce.wgsl", INDEX, CELLS, RULE),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write, Access::Write, Access::Write],
    constants: &[("COSTS", &[0, 1]), ("SUMS", &[0, 1])],
    uniform: Params::MEMBERS,
};
static BASES_DENOMINATOR: Kernel = Kernel {
    source: source!("products/bases_denominator.wgsl", PARAMS, INDEX, CELLS),
    storages: &[Access::Read, Access::Write, Access::Read],
    constants: &[("SEGMENTS", &[0, 1])],
    uniform: Params::MEMBERS,
};
static BASES_REDUCE: Kernel = Kernel {
    source: source!("products/bases_reduce.wgsl", INDEX, BASIS_RULE),
    storages: &[Access::Read, Access::Write, Access::Read, Access::Read, Access::Read, Access::Write],
    constants: &[("NORM", &[0, 1, 2]), ("UNIT", &[0, 1]), ("SEGMENTS", &[0, 1]), ("SUMS", &[0, 1])],
    uniform: Params::MEMBERS,
};
static WEIGH_GAINS: Kernel = Kernel {
    source: source!("products/weigh_gains.wgsl", PARAMS, INDEX),
    storages: &[Access::Read, Access::Read, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};
static COSTS: Kernel = Kernel {
    source: source!("products/costs.wgsl", FLOORS, PASSING, COLUMN_SUMS),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write, Access::Read],
    constants: &[("TILING", &[Tiling::SMALLEST.code()]), ("SEGMENTS", &[0, 1])],
    uniform: Params::MEMBERS,
};
/// [`COSTS`] of a learned weight.
static LEARNED_COSTS: Kernel = Kernel {
    source: source!("products/costs.wgsl", FLOORS, PASSING, COLUMN_SUMS, LEARNED),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write, Access::Read, Access::Read],
    constants: &[("TILING", &[Tiling::SMALLEST.code()]), ("SEGMENTS", &[0, 1]), ("WEIGHT_BINDING", &[WEIGHT_BINDING])],
    uniform: Params::MEMBERS,
};

/// The uniform's members that describe the bases and the rule.
pub(crate) fn params(w: &GpuMatrix, rule: &Rule) -> Params {
    Params {
        rows: w.rows as u32,
        components: w.columns as u32,
        bases_pitch: w.pitch() as u32,
        bases_stride: w.stride() as u32,
        matrices: w.count as u32,
        end_component: w.columns as u32,
        beta: rule.divergence.parameter() as f32,
        exponent: rule.exponent as f32,
        sparsity: rule.sparsity as f32,
        floor: rule.floor as f32,
        ..Params::default()
    }
}

/// Multiply-adds of an update per column: Λ, two back-projections, and Λ once more if workgroups share the components.
fn work_of_column(w: &GpuMatrix) -> usize {
    4 * w.rows * w.columns
}

/// Cuts a window so that its fields of `rows` rows can be stored.
pub(crate) fn storable<'a>(gpu: &Gpu, window: Window<'a>, rows: usize) -> impl Iterator<Item = Window<'a>> {
    window.cut((gpu.field_quads * QUAD / TILE / rows).max(1))
}

/// Whether an update forms P and Q itself, and does not store them first.
fn can_fuse(tiling: Tiling, w: &GpuMatrix, divergence: &Divergence) -> bool {
    tiling.divide(w.columns).1 <= FUSED_SHARES && !is_learned(divergence)
}

/// Sums of the bases' size per split: N, and D if it depends on the row.
fn sums_of_split(rule: &Rule) -> usize {
    if unit_denominator(&rule.divergence) { 1 } else { 2 }
}

/// The most splits of the rows in an update of gains, and the least tiles per split.
const GAIN_SPLITS: usize = 4;
const GAIN_SPLIT_TILES: usize = 4;

/// Tiles per split of the rows, and the number of splits. Both depend on F alone, because they set the order of a sum.
fn row_splits(rows: usize) -> (usize, usize) {
    let tiles = rows.div_ceil(TILE);
    let each = tiles.div_ceil(GAIN_SPLITS).max(GAIN_SPLIT_TILES);
    (each, tiles.div_ceil(each))
}

/// The optional output of an update of gains beside the gains.
#[derive(Clone, Copy)]
enum Beside<'a> {
    Nothing,
    /// The columns' costs before the update.
    Costs(&'a Storage),
    /// D, with N in place of the gains.
    Denominators(&'a Storage),
}

/// What a pass over the data makes of the sums for the bases.
#[derive(Clone, Copy)]
enum Made<'a> {
    /// The updated bases.
    Bases,
    /// N and D themselves, for every matrix of the stack.
    Sums(&'a GpuMatrix, &'a GpuMatrix),
}

/// The columns that update one matrix. Or those of many segments, each of which updates a matrix of its own.
struct Problem<'w, 'a> {
    windows: &'w [Window<'a>],
    /// A part for every window, or one for all segments.
    parts: Vec<Part<'a>>,
    w: GpuMatrix,
    splits: Splits,
    /// If there are many segments, the tiles of every split and the splits of every matrix.
    tables: Option<(Storage, Storage)>,
}

impl<'w, 'a> Problem<'w, 'a> {
    /// One problem.
    fn one(gpu: &Gpu, windows: &'w [Window<'a>], w: &GpuMatrix) -> Result<Self> {
        let w = w.of(windows[0].segment);
        let parts: Result<Vec<Part>> = windows.iter().map(|window| Part::of(gpu, &[*window], &w)).collect();
        Ok(Self { windows, parts: parts?, w, splits: Splits::of(windows), tables: None })
    }

    /// A problem for every window.
    fn many(gpu: &Gpu, windows: &'w [Window<'a>], w: &GpuMatrix) -> Result<Self> {
        let part = Part::of(gpu, windows, w)?;
        let (mut splits, mut problems) = (Vec::new(), Vec::new());
        for window in windows {
            let (first, before) = (splits.len(), window.first_tile - windows[0].first_tile);
            let each = Splits::of(&[*window]).tiles;
            splits.extend((0..window.tiles).step_by(each).map(|begin| {
                let end = (begin + each).min(window.tiles);
                [(before + begin) as u32, (before + end) as u32]
            }));
            problems.push([first as u32, splits.len() as u32]);
        }
        let tables = Some((gpu.table(&splits)?, gpu.table(&problems)?));
        let w = part.w.part(0, part.w.count);
        Ok(Self { windows, parts: vec![part], w, splits: Splits { tiles: 0, count: splits.len() }, tables })
    }
}

/// The sums for an update of the rows `first_row..first_row + rows` of the bases.
struct Pass<'a> {
    splits: Splits,
    /// The tiles of every split, if there are many segments.
    tiles: Option<&'a Storage>,
    first_row: usize,
    rows: usize,
    /// N and D by split, or N alone if Q is 1.
    sums: &'a Storage,
    /// D by split if Q is 1. It is the same for all rows, and the first pass forms it.
    column_sums: &'a Storage,
}

impl Gpu {
    /// Runs a kernel, or for a learned weight `of_learned` with its table.
    fn run_weighed(&self, run: Run<Params>, of_learned: &'static Kernel, divergence: &Divergence) -> Result<()> {
        let Some(table) = learned(self, divergence)? else { return self.run(run) };
        let constants = [run.constants, &[WEIGHT_BINDING]].concat();
        let storages = [run.storages, &[&table]].concat();
        self.run(Run { kernel: of_learned, filling: None, constants: &constants, storages: &storages, ..run })
    }

    /// Computes and stores the fields for some rows of a window.
    fn fields(
        &self,
        window: Window,
        (first_row, rows): (usize, usize),
        w: &GpuMatrix,
        gains: &Storage,
        rule: &Rule,
        costs: bool,
    ) -> Result<Storage> {
        let tiling = self.tuning.gains(w.columns, window.columns);
        let quads = w.rows * window.tiles * TILE / QUAD;
        let fields = self.storage(if costs { 3 * quads } else { 2 * quads })?;
        let run = Run {
            kernel: &STORE_FIELDS,
            filling: Some(filling(&rule.divergence)),
            constants: &[tiling.code(), u32::from(costs), 0],
            uniform: Params { first_row: first_row as u32, pass_rows: rows as u32, ..window.params(params(w, rule)) },
            storages: &[&window.chunk.storage, &w.storage, gains, &fields, &w.storage],
            workgroups: rows.div_ceil(TILE) * window.workgroups(tiling),
            work: rows * window.columns * w.columns,
        };
        self.run_weighed(run, &STORE_LEARNED, &rule.divergence)?;
        Ok(fields)
    }

    /// Forms the sums that take the place of D in an update of gains if Q is 1. The matrices keep them until they
    /// change, so fixed bases are summed once. Returns None for other divergences.
    fn row_sums(&self, w: &GpuMatrix, divergence: &Divergence) -> Result<Option<PerMatrix>> {
        if !unit_denominator(divergence) {
            return Ok(None);
        }
        if let Some(known) = w.row_sums.get() {
            return Ok(Some(known.clone()));
        }
        let (split_tiles, splits) = row_splits(w.rows);
        let sums = self.per_matrix(w.count, splits * w.pitch())?;
        for (first, w) in w.parts(1, self.binding_quads) {
            self.run(Run {
                kernel: &GAINS_DENOMINATOR,
                filling: None,
                constants: &[],
                uniform: Params {
                    split_tiles: split_tiles as u32,
                    end_split: splits as u32,
                    sums_stride: sums.stride as u32,
                    ..params(&w, &Rule::of(divergence.clone()))
                },
                storages: &[&w.storage, &sums.part(first, w.count).storage],
                workgroups: (w.count * sums.stride).div_ceil(INVOCATIONS),
                work: w.count * w.rows * w.columns,
            })?;
        }
        Ok(Some(w.row_sums.get_or_init(|| sums).clone()))
    }

    /// What one dispatch of an update of gains processes. Stored fields are formed window by window.
    fn gain_parts<'a>(&self, v: &'a GpuPanel, w: &GpuMatrix, divergence: &Divergence) -> Result<Vec<Part<'a>>> {
        let fused = |columns| can_fuse(self.tuning.gains(w.columns, columns), w, divergence);
        if fused(0) && fused(usize::MAX) {
            return Part::in_time(self, v, w, work_of_column(w));
        }
        Window::in_time(self, v, work_of_column(w))?.iter().map(|window| Part::of(self, &[*window], w)).collect()
    }

    /// Updates the gains of a part, from stored fields or by forming them.
    fn gains(
        &self,
        part: &Part,
        fields: Option<&Storage>,
        (from, to): (&Storage, &Storage),
        beside: Beside,
        rule: &Rule,
    ) -> Result<()> {
        let Part { window, w, places } = part;
        let tiling = part.tiling(self.tuning.gains(w.columns, window.columns));
        let (blocks, shares) = tiling.divide(w.columns);
        let (split_tiles, splits) = row_splits(w.rows);
        // If every split has its own workgroups, the sums of all splits for all columns of the chunk.
        let panel_quads = w.columns * window.chunk.quads();
        let by_split = tiling.split && splits > 1 && 2 * splits * panel_quads <= SUMS_QUADS;
        let unused = self.storage(1)?;
        let row_sums = self.row_sums(w, &rule.divergence)?;
        let running = match beside {
            Beside::Denominators(_) => None,
            _ if splits == 1 || by_split => None,
            _ => Some(self.storage(panel_quads)?),
        };
        let (with_costs, sums, denominators, costs) = match beside {
            Beside::Nothing => (0, 0, running.as_ref().unwrap_or(&unused), &unused),
            Beside::Costs(costs) => (1, 0, running.as_ref().unwrap_or(&unused), costs),
            Beside::Denominators(denominators) => (0, 1, denominators, &unused),
        };
        let parts = if by_split {
            Some((self.storage(2 * splits * panel_quads)?, self.storage(splits * window.chunk.quads())?))
        } else {
            None
        };
        let (to_parts, part_costs) = parts.as_ref().map_or((to, costs), |(sums, costs)| (sums, costs));
        let held = fields.is_none() && tiling.holds(w.columns, self.workgroup_bytes);
        let (kernel, from_memory, products) = match fields {
            Some(fields) => (&STORED_GAINS, fields, 2),
            None if held => (&HELD_GAINS, &window.chunk.storage, shares + 2),
            None => (&GAINS, &window.chunk.storage, shares + 2),
        };
        let uniform = Params {
            split_tiles: split_tiles as u32,
            end_split: splits as u32,
            sums_stride: row_sums.as_ref().map_or(0, |sums| sums.stride as u32),
            ..window.params(params(w, rule))
        };
        self.run(Run {
            kernel,
            filling: Some(filling(&rule.divergence)),
            constants: &[tiling.code(), with_costs, sums, u32::from(by_split), blocks as u32, part.segments()],
            uniform,
            storages: &[
                from_memory,
                &w.storage,
                from,
                to_parts,
                denominators,
                part_costs,
                row_sums.as_ref().map_or(&w.storage, |sums| &sums.storage),
                places.as_ref().unwrap_or(&w.storage),
            ],
            workgroups: window.workgroups(tiling) * shares * if by_split { splits } else { 1 },
            work: products * w.rows * window.columns * w.columns,
        })?;
        let Some((sums_of_parts, part_costs)) = &parts else { return Ok(()) };
        let cells = w.columns * window.tiles * TILE / QUAD;
        self.run(Run {
            kernel: &GAINS_REDUCE,
            filling: None,
            constants: &[with_costs, sums],
            uniform,
            storages: &[sums_of_parts, part_costs, from, to, denominators, costs],
            workgroups: cells.div_ceil(INVOCATIONS),
            work: 2 * splits * cells * QUAD,
        })
    }

    /// Updates the gains of a part and produces the requested output beside them.
    fn update_part(&self, part: &Part, (from, to): (&Storage, &Storage), beside: Beside, rule: &Rule) -> Result<()> {
        let (window, w) = (part.window, &part.w);
        if can_fuse(part.tiling(self.tuning.gains(w.columns, window.columns)), w, &rule.divergence) {
            return self.gains(part, None, (from, to), beside, rule);
        }
        for window in storable(self, window, w.rows) {
            let costs = matches!(beside, Beside::Costs(_));
            let fields = self.fields(window, (0, w.rows), w, from, rule, costs)?;
            self.gains(&Part::of(self, &[window], w)?, Some(&fields), (from, to), beside, rule)?;
        }
        Ok(())
    }

    /// Computes N and D (K, N) of an update of gains.
    pub(crate) fn gain_sums(
        &self,
        v: &GpuPanel,
        w: &GpuMatrix,
        h: &GpuPanel,
        rule: &Rule,
    ) -> Result<(GpuPanel, GpuPanel)> {
        check_shapes(v.extent(), w.extent(), h.extent())?;
        self.row_sums(w, &rule.divergence)?;
        let panel = || self.new_panel(h.rows, h.segments.clone());
        let (n, d) = (panel()?, panel()?);
        for part in self.gain_parts(v, w, &rule.divergence)? {
            let [h, n, d] = [h, &n, &d].map(|panel| &panel.chunks[part.window.index].storage);
            self.update_part(&part, (h, n), Beside::Denominators(d), rule)?;
        }
        Ok((n, d))
    }

    /// Computes N = Wᵀ P and D = Wᵀ Q of a window from stored fields. `gains`, which are not read, `n` and `d` are of its
    /// chunk.
    pub(crate) fn gain_sums_of(
        &self,
        window: Window,
        w: &GpuMatrix,
        fields: &Storage,
        (gains, n, d): (&Storage, &Storage, &Storage),
        rule: &Rule,
    ) -> Result<()> {
        self.row_sums(w, &rule.divergence)?;
        self.gains(&Part::of(self, &[window], w)?, Some(fields), (gains, n), Beside::Denominators(d), rule)
    }

    /// Computes N = P Hᵀ and D = Q H̃ᵀ, each F x K, one matrix per matrix of W, from the `fields` of windows. `gains`: H and
    /// H̃. `v`: a panel with the columns of the fields.
    pub(crate) fn base_sums_of(
        &self,
        v: &GpuPanel,
        w: &GpuMatrix,
        gains: (&GpuPanel, &GpuPanel),
        rule: &Rule,
        mut fields: impl FnMut(Window) -> Result<Storage>,
    ) -> Result<(GpuMatrix, GpuMatrix)> {
        let sums = || self.new_stack(w.count, w.rows, w.columns);
        let (n, d) = (sums()?, sums()?);
        let windows = self.bases_windows(v, w)?;
        for problem in self.problems(&windows, v, w, rule, false)? {
            self.passes(&problem, Made::Sums(&n, &d), gains.0, rule, |pass, part| {
                let [h, weights] = [gains.0, gains.1].map(|panel| &panel.chunks[part.window.index].storage);
                storable(self, part.window, w.rows).try_for_each(|window| {
                    let (part, fields) = (Part::of(self, &[window], &problem.w)?, fields(window)?);
                    self.correlate(pass, &part, Some(&fields), (h, Some(weights)), rule)
                })
            })?;
        }
        Ok((n, d))
    }

    /// Groups the windows by the matrices that they update, and if `fused`, joins problems of one window each.
    fn problems<'w, 'a>(
        &self,
        windows: &'w [Window<'a>],
        v: &GpuPanel,
        w: &GpuMatrix,
        rule: &Rule,
        fused: bool,
    ) -> Result<Vec<Problem<'w, 'a>>> {
        if w.count == 1 {
            return Ok(vec![Problem::one(self, windows, w)?]);
        }
        let joins = |window: &Window| fused && window.columns == v.segments[window.segment];
        let most = most_tiles(self, windows, work_of_column(w))?;
        // A window has at most one split more than it has splits of the least length.
        let row_quads = |run: &[Window]| {
            let tiles: usize = run[run.len() - 1].first_tile + run[run.len() - 1].tiles - run[0].first_tile;
            sums_of_split(rule) * Splits::most(tiles, run.len()) * w.pitch()
        };
        let fit =
            |run: &[Window]| fit(self, run, w, most) && row_quads(run) * w.rows.next_multiple_of(TILE) <= SUMS_QUADS;
        let mut all = Vec::new();
        for neighbours in windows.chunk_by(|a, b| a.segment == b.segment || joins(a) && joins(b)) {
            if !joins(&neighbours[0]) {
                all.push(Problem::one(self, neighbours, w)?);
                continue;
            }
            for run in runs(neighbours, fit) {
                all.push(if run.len() == 1 { Problem::one(self, run, w)? } else { Problem::many(self, run, w)? });
            }
        }
        Ok(all)
    }

    /// The windows of an update of the bases. If segments share them, tiles count from the start of the panel.
    fn bases_windows<'a>(&self, v: &'a GpuPanel, w: &GpuMatrix) -> Result<Vec<Window<'a>>> {
        let mut windows = Window::in_time(self, v, work_of_column(w))?;
        if w.count == 1 {
            windows.iter_mut().for_each(Window::join);
        }
        Ok(windows)
    }

    /// Adds a part to the sums of a pass. P is multiplied by `gains`, and Q by `weights` if given, otherwise by `gains`
    /// too.
    fn correlate(
        &self,
        pass: &Pass,
        part: &Part,
        fields: Option<&Storage>,
        (gains, weights): (&Storage, Option<&Storage>),
        rule: &Rule,
    ) -> Result<()> {
        let Part { window, w, places } = part;
        let tiling = self.tuning.bases(w.columns);
        let (blocks, shares) = tiling.divide(w.columns);
        let splits = pass.tiles.map_or_else(|| pass.splits.of_window(window), |_| 0..pass.splits.count);
        let held = fields.is_none() && tiling.holds(w.columns, self.workgroup_bytes);
        let (kernel, from_memory, products) = match fields {
            Some(fields) => (&STORED_BASES, fields, 2),
            None if held => (&HELD_BASES, &window.chunk.storage, shares + 2),
            None => (&BASES, &window.chunk.storage, shares + 2),
        };
        let uniform = Params {
            first_row: pass.first_row as u32,
            pass_rows: pass.rows as u32,
            first_tile: window.before as u32,
            split_tiles: pass.splits.tiles as u32,
            first_split: splits.start as u32,
            end_split: splits.end as u32,
            ..window.params(params(w, rule))
        };
        // A binding that a shader does not read may be any storage that the dispatch does not write.
        let tiles = pass.tiles.unwrap_or(&w.storage);
        if unit_denominator(&rule.divergence) && pass.first_row == 0 {
            self.run(Run {
                kernel: &BASES_DENOMINATOR,
                filling: None,
                constants: &[part.segments()],
                uniform,
                storages: &[weights.unwrap_or(gains), pass.column_sums, tiles],
                workgroups: (w.columns * splits.len()).div_ceil(INVOCATIONS),
                work: window.columns * w.columns,
            })?;
        }
        self.run(Run {
            kernel,
            filling: Some(filling(&rule.divergence)),
            constants: &[tiling.code(), 0, u32::from(weights.is_some()), blocks as u32, part.segments()],
            uniform,
            storages: &[
                from_memory,
                &w.storage,
                gains,
                pass.sums,
                weights.unwrap_or(gains),
                places.as_ref().unwrap_or(&w.storage),
                tiles,
            ],
            workgroups: pass.rows / TILE * shares * splits.len(),
            work: products * pass.rows * window.columns * w.columns,
        })
    }

    /// Updates the bases, or makes their sums, pass by pass over their rows; `add` adds a part to the sums of a pass. After
    /// the first pass, `h` holds the gains of the penalty.
    fn passes(
        &self,
        problem: &Problem,
        made: Made,
        h: &GpuPanel,
        rule: &Rule,
        mut add: impl FnMut(&Pass, &Part) -> Result<()>,
    ) -> Result<()> {
        let Problem { windows, parts, w, splits, tables } = problem;
        let row_quads = sums_of_split(rule) * splits.count * w.pitch();
        let rows = (SUMS_QUADS / row_quads / TILE * TILE).clamp(TILE, w.rows.next_multiple_of(TILE));
        let sums = self.storage(rows * row_quads)?;
        let column_sums = self.storage(splits.count * w.pitch())?;
        let (tiles, of_matrices) =
            tables.as_ref().map_or((None, &column_sums), |(tiles, splits)| (Some(tiles), splits));
        let of_problem = |stack: &GpuMatrix| stack.part(windows[0].segment % stack.count, w.count).storage;
        let (sums_made, to, denominators) = match made {
            Made::Bases => (0, w.storage.clone(), self.storage(1)?),
            Made::Sums(n, d) => (1, of_problem(n), of_problem(d)),
        };
        let mut of_gains = None;
        for first_row in (0..w.rows).step_by(rows) {
            let pass = Pass { splits: *splits, tiles, first_row, rows, sums: &sums, column_sums: &column_sums };
            parts.iter().try_for_each(|part| add(&pass, part))?;
            let (norm, gains) = match of_gains.take() {
                Some(known) => known,
                None => self.gain_totals(windows.chunks(windows.len() / w.count), h, (w.columns, w.pitch()), rule)?,
            };
            self.run(Run {
                kernel: &BASES_REDUCE,
                filling: None,
                constants: &[
                    norm,
                    u32::from(unit_denominator(&rule.divergence)),
                    u32::from(tables.is_some()),
                    sums_made,
                ],
                uniform: Params {
                    first_row: first_row as u32,
                    pass_rows: rows as u32,
                    end_split: splits.count as u32,
                    sums_stride: gains.stride as u32,
                    ..params(w, rule)
                },
                storages: &[&sums, &to, &gains.storage, &column_sums, of_matrices, &denominators],
                workgroups: (w.count * rows * w.pitch()).div_ceil(INVOCATIONS),
                work: rows * row_quads * QUAD,
            })?;
            of_gains = Some((norm, gains));
        }
        Ok(())
    }

    /// Updates the bases from their gains, or makes their sums.
    fn bases(&self, v: &GpuPanel, w: &GpuMatrix, made: Made, h: &GpuPanel, rule: &Rule) -> Result<()> {
        let fused = can_fuse(self.tuning.bases(w.columns), w, &rule.divergence);
        let windows = self.bases_windows(v, w)?;
        for problem in self.problems(&windows, v, w, rule, fused)? {
            self.passes(&problem, made, h, rule, |pass, part| {
                let h = &h.chunks[part.window.index].storage;
                if fused {
                    return self.correlate(pass, part, None, (h, None), rule);
                }
                storable(self, part.window, w.rows).try_for_each(|window| {
                    let fields = self.fields(window, (pass.first_row, pass.rows), &part.w, h, rule, false)?;
                    self.correlate(pass, &Part::of(self, &[window], &part.w)?, Some(&fields), (h, None), rule)
                })
            })?;
        }
        Ok(())
    }

    /// Computes the weights of a window's gains in the sums of a joint update, for gains that changed from `before` to
    /// `after`. The result has the shape (K, N) of the chunk, and only the window's columns are set.
    fn weights(
        &self,
        window: Window,
        components: usize,
        (before, after): (&Storage, &Storage),
        exponent: f64,
    ) -> Result<Storage> {
        if exponent == 1.0 {
            return Ok(after.clone());
        }
        let weights = self.rows(components, window.chunk.quads())?;
        let cells = components * window.tiles * TILE / QUAD;
        self.run(Run {
            kernel: &WEIGH_GAINS,
            filling: None,
            constants: &[],
            uniform: window.params(Params {
                components: components as u32,
                exponent: exponent as f32,
                ..Params::default()
            }),
            storages: &[before, after, &weights],
            workgroups: cells.div_ceil(INVOCATIONS),
            work: cells * QUAD,
        })?;
        Ok(weights)
    }
}

impl Products for Gpu {
    fn update_gains(&self, v: &GpuPanel, w: &GpuMatrix, h: &mut GpuPanel, rule: &Rule) -> Result<()> {
        check_shapes(v.extent(), w.extent(), h.extent())?;
        self.row_sums(w, &rule.divergence)?;
        // Workgroups that share the components of a column all read its gains, so the new gains go to another panel.
        let new = self.new_panel(h.rows, h.segments.clone())?;
        for part in self.gain_parts(v, w, &rule.divergence)? {
            let gains = (&h.chunks[part.window.index].storage, &new.chunks[part.window.index].storage);
            self.update_part(&part, gains, Beside::Nothing, rule)?;
        }
        *h = new;
        Ok(())
    }

    fn update_bases(&self, v: &GpuPanel, w: &mut GpuMatrix, h: &GpuPanel, rule: &Rule) -> Result<()> {
        check_shapes(v.extent(), w.extent(), h.extent())?;
        w.changes();
        self.bases(v, w, Made::Bases, h, rule)
    }

    fn base_sums(
        &self,
        v: &GpuPanel,
        w: &GpuMatrix,
        h: &GpuPanel,
        divergence: &Divergence,
    ) -> Result<(GpuMatrix, GpuMatrix)> {
        check_shapes(v.extent(), w.extent(), h.extent())?;
        let sums = || self.new_stack(w.count, w.rows, w.columns);
        let (n, d) = (sums()?, sums()?);
        self.bases(v, w, Made::Sums(&n, &d), h, &Rule::of(divergence.clone()))?;
        Ok((n, d))
    }

    fn try_gains(
        &self,
        v: &GpuPanel,
        w: &GpuMatrix,
        trial: &GpuPanel,
        next: &mut GpuPanel,
        costs: &mut GpuPanel,
        rule: &Rule,
    ) -> Result<()> {
        check_shapes(v.extent(), w.extent(), trial.extent())?;
        check_trial(trial.extent(), next.extent(), costs.extent())?;
        self.row_sums(w, &rule.divergence)?;
        for part in self.gain_parts(v, w, &rule.divergence)? {
            let [trial, next, costs] = [trial, &*next, &*costs].map(|panel| &panel.chunks[part.window.index].storage);
            self.update_part(&part, (trial, next), Beside::Costs(costs), rule)?;
        }
        Ok(())
    }

    fn update_both(&self, v: &GpuPanel, w: &mut GpuMatrix, h: &mut GpuPanel, rule: &Rule) -> Result<()> {
        check_shapes(v.extent(), w.extent(), h.extent())?;
        self.row_sums(w, &rule.divergence)?;
        let (a, b) = rule.divergence.joint_exponents();
        let new = self.new_panel(h.rows, h.segments.clone())?;
        let windows = self.bases_windows(v, w)?;
        for problem in self.problems(&windows, v, w, rule, false)? {
            let w = &problem.w;
            self.passes(&problem, Made::Bases, &new, rule, |pass, part| {
                let index = part.window.index;
                let (h, new) = (&h.chunks[index].storage, &new.chunks[index].storage);
                let first = pass.first_row == 0;
                // The first pass also updates the gains, which takes all rows. The other passes form only the fields of
                // their own rows again.
                let rows = if first { (0, w.rows) } else { (pass.first_row, pass.rows) };
                storable(self, part.window, w.rows).try_for_each(|window| {
                    let part = Part::of(self, &[window], w)?;
                    let fields = self.fields(window, rows, w, h, rule, false)?;
                    if first {
                        self.gains(&part, Some(&fields), (h, new), Beside::Nothing, rule)?;
                    }
                    let weights = |exponent| self.weights(window, w.columns, (h, new), exponent);
                    let (for_p, for_q) = (weights(a)?, weights(b)?);
                    self.correlate(pass, &part, Some(&fields), (&for_p, Some(&for_q)), rule)
                })
            })?;
        }
        w.changes();
        *h = new;
        Ok(())
    }

    fn costs(&self, v: &GpuPanel, w: &GpuMatrix, h: &GpuPanel, divergence: &Divergence) -> Result<Vec<f64>> {
        check_shapes(v.extent(), w.extent(), h.extent())?;
        let costs = self.new_panel(1, v.segments.clone())?;
        for part in Part::in_time(self, v, w, w.rows * w.columns)? {
            let (window, w) = (part.window, &part.w);
            let [h, costs] = [h, &costs].map(|panel| &panel.chunks[window.index].storage);
            let run = Run {
                kernel: &COSTS,
                filling: Some(filling(divergence)),
                constants: &[Tiling::SMALLEST.code(), part.segments()],
                uniform: window.params(params(w, &Rule::of(divergence.clone()))),
                storages: &[&window.chunk.storage, &w.storage, h, costs, part.places.as_ref().unwrap_or(&w.storage)],
                workgroups: window.workgroups(Tiling::SMALLEST),
                work: w.rows * window.columns * w.columns,
            };
            self.run_weighed(run, &LEARNED_COSTS, divergence)?;
        }
        Ok(self.read_panel::<f64>(&costs)?.into_raw_vec_and_offset().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gpu::tests::DIVERGENCES;

    #[test]
    fn shaders_match_the_host_declarations() {
        crate::engine::gpu::shader_check::check_family(
            "products",
            &[&GAINS, &HELD_GAINS, &STORED_GAINS, &BASES, &HELD_BASES, &STORED_BASES, &STORE_FIELDS, &COSTS],
            &DIVERGENCES,
            &[
                &GAINS_DENOMINATOR,
                &GAINS_REDUCE,
                &BASES_DENOMINATOR,
                &BASES_REDUCE,
                &WEIGH_GAINS,
                &STORE_LEARNED,
                &LEARNED_COSTS,
            ],
        );
    }
}
