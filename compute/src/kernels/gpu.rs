//! Shared by all kernel families on the GPU: library shader files, divergences and the uniform.

mod tune;

use std::ops::Range;

use crate::Result;
use crate::cubics::{Cubics, Law, TERMS};
use crate::divergence::Divergence;
use crate::engine::gpu::shader::{Source, source, uniform};
use crate::engine::gpu::{
    Chunk, Gpu, GpuMatrix, GpuPanel, MATRIX_SLACK, Piece, QUAD, Storage, TILE as TILE_COLUMNS, Tiling,
};
use crate::weight::{Origin, Weight};

pub(crate) static PARAMS: Source = source!("lib/params.wgsl");
pub(crate) static FLOORS: Source = source!("lib/floors.wgsl");
pub(crate) static INDEX: Source = source!("lib/index.wgsl");
pub(crate) static POWER: Source = source!("lib/power.wgsl");
pub(crate) static REDUCE: Source = source!("lib/reduce.wgsl");
pub(crate) static CELLS: Source = source!("lib/cells.wgsl");
pub(crate) static LANES: Source = source!("lib/lanes.wgsl", PARAMS, INDEX);
pub(crate) static RAISED: Source = source!("lib/raised.wgsl", PARAMS);
pub(crate) static RULE: Source = source!("lib/rule.wgsl", PARAMS, FLOORS, POWER);
pub(crate) static BASIS_RULE: Source = source!("lib/basis_rule.wgsl", RULE);
pub(crate) static BLOCKS: Source = source!("lib/blocks.wgsl");
static TILE: Source = source!("lib/tile.wgsl", PARAMS, INDEX, BLOCKS);
pub(crate) static PASSING: Source = source!("lib/passing.wgsl", TILE);
/// An entry point: a kernel defines what it keeps of a row.
pub(crate) static MODEL_TILES: Source = source!("lib/model_tiles.wgsl", PASSING);
pub(crate) static HELD: Source = source!("lib/held.wgsl", TILE);
pub(crate) static FIELDS: Source = source!("lib/fields.wgsl", FLOORS, TILE);
pub(crate) static STORED_FIELDS: Source = source!("lib/stored_fields.wgsl", TILE);
pub(crate) static COLUMN_SUMS: Source = source!("lib/column_sums.wgsl", TILE);
pub(crate) static SHIFTS: Source = source!("lib/shifts.wgsl", PARAMS, INDEX, BLOCKS);
pub(crate) static SHIFTED_GAINS: Source = source!("lib/shifted_gains.wgsl", SHIFTS);
pub(crate) static SHIFTED_MODEL: Source = source!("lib/shifted_model.wgsl", SHIFTED_GAINS);
pub(crate) static SHIFTED_TILES: Source = source!("lib/shifted_tiles.wgsl", SHIFTED_MODEL);
pub(crate) static STORED_MIXTURE: Source = source!("lib/stored_mixture.wgsl", PARAMS, INDEX);
pub(crate) static FORMED_MIXTURE: Source = source!("lib/formed_mixture.wgsl", PARAMS, INDEX);
pub(crate) static TABLE: Source = source!("lib/table.wgsl");
pub(crate) static CURVE: Source = source!("lib/curve.wgsl", FLOORS, TABLE);
pub(crate) static VARIANCES: Source = source!("lib/variances.wgsl");
pub(crate) static POSTERIOR: Source = source!("lib/posterior.wgsl", VARIANCES, TABLE);
pub(crate) static LEAD: Source = source!("lib/lead.wgsl");
static NEAR: Source = source!("lib/near.wgsl");

static EUCLIDEAN: Source = source!("divergence/euclidean.wgsl");
pub(crate) static KULLBACK_LEIBLER: Source = source!("divergence/kullback_leibler.wgsl", NEAR);
static ITAKURA_SAITO: Source = source!("divergence/itakura_saito.wgsl", FLOORS, NEAR);
static BETA: Source = source!("divergence/beta.wgsl", PARAMS, FLOORS, NEAR);
static STUDENT: Source = source!("divergence/student.wgsl", PARAMS, FLOORS, NEAR);
static GENERALIZED_GAUSSIAN: Source = source!("divergence/generalized_gaussian.wgsl", PARAMS, FLOORS, NEAR);
/// The file of a learned weight. It binds a table, so kernels that form P, Q or costs exist once more with it, and
/// [`learned`] says when they are needed.
pub(crate) static LEARNED: Source = source!("divergence/learned.wgsl", FLOORS, TABLE);

/// The shader file with a divergence's P, Q and cost. A learned weight has [`LEARNED`] instead; a kernel that reads stored
/// fields only asks whether Q is 1, which all densities answer as Itakura-Saito.
pub(crate) fn filling(divergence: &Divergence) -> &'static Source {
    match divergence {
        Divergence::Euclidean => &EUCLIDEAN,
        Divergence::KullbackLeibler => &KULLBACK_LEIBLER,
        Divergence::ItakuraSaito => &ITAKURA_SAITO,
        Divergence::Beta(_) => &BETA,
        Divergence::Density(weight) => match weight.origin() {
            Origin::Student(_) => &STUDENT,
            Origin::GeneralizedGaussian(_) => &GENERALIZED_GAUSSIAN,
            Origin::Learned => &ITAKURA_SAITO,
        },
    }
}

/// The table of a learned weight, as [`LEARNED`] reads it. None for other divergences.
pub(crate) fn learned(gpu: &Gpu, divergence: &Divergence) -> Result<Option<Storage>> {
    match divergence {
        Divergence::Density(weight) if is_learned(divergence) => gpu.kept_table(weight, weight_table).map(Some),
        _ => Ok(None),
    }
}

pub(crate) fn is_learned(divergence: &Divergence) -> bool {
    matches!(divergence, Divergence::Density(weight) if weight.origin() == Origin::Learned)
}

/// The laws of a table, as a kernel reads them: value, power and slope of each.
pub(crate) fn bounds(cubics: &Cubics) -> [[f32; QUAD]; 2] {
    cubics.laws().map(|Law { value, power, slope }| [value, power, slope, 0.0])
}

fn weight_table(weight: &Weight) -> Vec<[f32; TERMS]> {
    let tables = [weight.share(), weight.cost()];
    let cubics = tables.into_iter().flat_map(|table| table.cells().iter().copied());
    cubics.chain(tables.into_iter().flat_map(bounds)).collect()
}

/// Whether Q is 1 everywhere, so that D sums the other factor alone.
pub(crate) fn unit_denominator(divergence: &Divergence) -> bool {
    *divergence == Divergence::KullbackLeibler
}

uniform! {
    /// `Params` of shaders/lib/params.wgsl, which documents the members. A dispatch sets the members that its kernel
    /// reads.
    Params {
        rows: u32,
        columns: u32,
        components: u32,
        bases_pitch: u32,
        chunk_quads: u32,
        panel_rows: u32,
        first_quad: u32,
        window_quads: u32,
        first_component: u32,
        end_component: u32,
        first_row: u32,
        pass_rows: u32,
        first_tile: u32,
        split_tiles: u32,
        first_split: u32,
        end_split: u32,
        beta: f32,
        exponent: f32,
        sparsity: f32,
        floor: f32,
        weights_row: u32,
        weights_rows: u32,
        time_lags: u32,
        pitch_lags: u32,
        bases_stride: u32,
        segment_quad: u32,
        matrices: u32,
        sums_stride: u32,
    }
}

/// A window: consecutive columns of a segment that one dispatch processes. It consists of whole tiles of one chunk.
#[derive(Clone, Copy)]
pub(crate) struct Window<'a> {
    pub(crate) segment: usize,
    /// The chunk, and its index in the panel.
    pub(crate) chunk: &'a Chunk,
    pub(crate) index: usize,
    /// Index of its first tile in the chunk.
    pub(crate) first_tile: usize,
    pub(crate) tiles: usize,
    /// Number of columns, without padding.
    pub(crate) columns: usize,
    /// Number of its segment's tiles before it.
    pub(crate) before: usize,
}

impl<'a> Window<'a> {
    /// The widest windows of a panel.
    pub(crate) fn all(panel: &'a GpuPanel) -> Vec<Self> {
        let window = |piece: Piece| Self {
            segment: piece.segment,
            chunk: &panel.chunks[piece.chunk],
            index: piece.chunk,
            first_tile: piece.tile,
            tiles: piece.columns.div_ceil(TILE_COLUMNS),
            columns: piece.columns,
            before: piece.first / TILE_COLUMNS,
        };
        panel.pieces().into_iter().map(window).collect()
    }

    /// Windows of a panel that fit the time limit of a dispatch, for `work` multiply-adds per column.
    pub(crate) fn in_time(gpu: &Gpu, panel: &'a GpuPanel, work: usize) -> Result<Vec<Self>> {
        let mut windows = Vec::new();
        for window in Self::all(panel) {
            let columns = gpu.columns_at_once(window.columns, work)?;
            windows.extend(window.cut(columns.div_ceil(TILE_COLUMNS)));
        }
        Ok(windows)
    }

    /// Cuts it into windows of at most `tiles` tiles.
    pub(crate) fn cut(self, tiles: usize) -> impl Iterator<Item = Self> {
        (0..self.tiles).step_by(tiles).map(move |first| Self {
            first_tile: self.first_tile + first,
            tiles: tiles.min(self.tiles - first),
            columns: (self.columns - first * TILE_COLUMNS).min(tiles * TILE_COLUMNS),
            before: self.before + first,
            ..self
        })
    }

    /// Counts `before` from the start of the panel instead, for sums over all segments.
    pub(crate) fn join(&mut self) {
        self.before = self.chunk.first_tile + self.first_tile;
    }

    /// The number of workgroups that cover the columns once.
    pub(crate) fn workgroups(&self, tiling: Tiling) -> usize {
        (self.tiles * TILE_COLUMNS).div_ceil(tiling.columns())
    }

    /// Sets the members of `params` that describe the window.
    pub(crate) fn params(&self, params: Params) -> Params {
        let first = self.first_tile * TILE_COLUMNS;
        Params {
            columns: (first + self.columns) as u32,
            chunk_quads: self.chunk.quads() as u32,
            first_quad: (first / QUAD) as u32,
            window_quads: (self.tiles * TILE_COLUMNS / QUAD) as u32,
            ..params
        }
    }
}

/// What one dispatch processes: a window, or neighbouring windows of many segments, which may have bases of their own.
pub(crate) struct Part<'a> {
    pub(crate) window: Window<'a>,
    /// The matrix of the window, the matrices of many windows, or one for all.
    pub(crate) w: GpuMatrix,
    /// If there are many windows, the matrix in `w` of every tile, and the end of its segment's columns.
    pub(crate) places: Option<Storage>,
}

impl<'a> Part<'a> {
    pub(crate) fn of(gpu: &Gpu, windows: &[Window<'a>], w: &GpuMatrix) -> Result<Self> {
        let matrix = |window: &Window| if w.count == 1 { 0 } else { window.segment };
        let first = matrix(&windows[0]);
        let count = matrix(&windows[windows.len() - 1]) - first + 1;
        let (window, places) = join(gpu, windows, matrix)?;
        Ok(Self { window, w: w.part(first, count), places })
    }

    /// The parts of a panel that fit the time limit of a dispatch, for `work` multiply-adds per column.
    pub(crate) fn in_time(gpu: &Gpu, panel: &'a GpuPanel, w: &GpuMatrix, work: usize) -> Result<Vec<Self>> {
        let windows = Window::in_time(gpu, panel, work)?;
        let most = most_tiles(gpu, &windows, work)?;
        runs(&windows, |run| fit(gpu, run, w, most)).map(|run| Self::of(gpu, run, w)).collect()
    }

    /// The value of the shaders' constant SEGMENTS: whether there are many windows.
    pub(crate) fn segments(&self) -> u32 {
        u32::from(self.places.is_some())
    }

    /// The tiling for its tiles.
    pub(crate) fn tiling(&self, tiling: Tiling) -> Tiling {
        if self.places.is_some() { tiling.narrow() } else { tiling }
    }
}

/// Joins windows of one chunk to one that has the first one's segment, and counts padding as columns. If there are many,
/// also returns a table with the `matrix` of every tile, counted from the first, and the end of its segment's columns.
pub(crate) fn join<'a>(
    gpu: &Gpu,
    windows: &[Window<'a>],
    matrix: impl Fn(&Window) -> usize,
) -> Result<(Window<'a>, Option<Storage>)> {
    let (first, last) = (windows[0], windows[windows.len() - 1]);
    if windows.len() == 1 {
        return Ok((first, None));
    }
    let place = |window: &Window| {
        let end = window.first_tile * TILE_COLUMNS + window.columns;
        std::iter::repeat_n([(matrix(window) - matrix(&first)) as u32, end as u32], window.tiles)
    };
    let places: Vec<[u32; 2]> = windows.iter().flat_map(place).collect();
    let tiles = last.first_tile + last.tiles - first.first_tile;
    Ok((Window { tiles, columns: tiles * TILE_COLUMNS, ..first }, Some(gpu.table(&places)?)))
}

/// The most tiles that a dispatch over some of the windows can process in time.
pub(crate) fn most_tiles(gpu: &Gpu, windows: &[Window], work: usize) -> Result<usize> {
    let all = windows.iter().map(|window| window.tiles * TILE_COLUMNS).sum();
    Ok(gpu.columns_at_once(all, work)? / TILE_COLUMNS)
}

/// Whether one dispatch can process windows of one chunk: at most `tiles` tiles, and matrices that a kernel can bind.
pub(crate) fn fit(gpu: &Gpu, run: &[Window], w: &GpuMatrix, tiles: usize) -> bool {
    let (first, last) = (run[0], run[run.len() - 1]);
    let matrices = if w.count == 1 { 1 } else { last.segment - first.segment + 1 };
    last.first_tile + last.tiles - first.first_tile <= tiles && w.quads(matrices) + MATRIX_SLACK <= gpu.binding_quads
}

/// Divides windows into the longest runs of one chunk that `fit`. A window that does not fit is a run of its own.
pub(crate) fn runs<'w, 'a>(
    windows: &'w [Window<'a>],
    fit: impl Fn(&[Window<'a>]) -> bool,
) -> impl Iterator<Item = &'w [Window<'a>]> {
    let mut rest = windows;
    std::iter::from_fn(move || {
        let first = rest.first()?;
        let joins = |&length: &usize| rest[length - 1].index == first.index && fit(&rest[..length]);
        let length = (2..=rest.len()).take_while(joins).last().unwrap_or(1);
        let (run, others) = rest.split_at(length);
        rest = others;
        Some(run)
    })
}

/// The most splits in which the columns of a problem are summed. The number depends on the problem alone, so the order
/// of the sum does too. Together with the other dimensions of the sums, it gives enough workgroups for any device.
const SPLITS: usize = 64;
/// The least tiles per split. Each split takes memory and must be reduced.
const SPLIT_TILES: usize = 4;

/// The division of a sum over a problem's columns.
#[derive(Clone, Copy)]
pub(crate) struct Splits {
    /// Tiles per split.
    pub(crate) tiles: usize,
    pub(crate) count: usize,
}

impl Splits {
    /// Divides the columns of some windows.
    pub(crate) fn of(windows: &[Window]) -> Self {
        let tiles: usize = windows.iter().map(|window| window.tiles).sum();
        let each = tiles.div_ceil(SPLITS).max(SPLIT_TILES);
        Self { tiles: each, count: tiles.div_ceil(each) }
    }

    /// Divides the same columns into at most `most` splits.
    pub(crate) fn at_most(self, most: usize) -> Self {
        let together = self.count.div_ceil(most);
        Self { tiles: together * self.tiles, count: self.count.div_ceil(together) }
    }

    /// A bound on the number of splits of `problems` problems with `tiles` tiles in all.
    pub(crate) fn most(tiles: usize, problems: usize) -> usize {
        (tiles / SPLIT_TILES + problems).min(problems * SPLITS)
    }

    /// The splits that overlap a window.
    pub(crate) fn of_window(self, window: &Window) -> Range<usize> {
        window.before / self.tiles..(window.before + window.tiles).div_ceil(self.tiles)
    }
}

#[cfg(test)]
mod on_device;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::divergence::{DENOMINATOR_FLOOR, MODEL_FLOOR};
    use crate::engine::gpu::shader_check::files;
    use crate::weight::{RATIO_FLOOR, SHARE_SCALE};

    /// All files that [`filling`] can return.
    pub(crate) const DIVERGENCES: [&Source; 6] =
        [&EUCLIDEAN, &KULLBACK_LEIBLER, &ITAKURA_SAITO, &BETA, &STUDENT, &GENERALIZED_GAUSSIAN];

    #[test]
    fn every_shared_file_is_listed_as_a_source() {
        let paths = |sources: &[&Source]| sources.iter().map(|source| source.path.to_string()).collect();
        let tiles = [&BLOCKS, &TILE, &PASSING, &MODEL_TILES, &HELD, &FIELDS, &STORED_FIELDS, &COLUMN_SUMS];
        let shifts = [&SHIFTS, &SHIFTED_GAINS, &SHIFTED_MODEL, &SHIFTED_TILES];
        let others =
            [&PARAMS, &FLOORS, &INDEX, &POWER, &REDUCE, &CELLS, &LANES, &RAISED, &RULE, &BASIS_RULE, &LEAD, &NEAR];
        let mixtures = [&STORED_MIXTURE, &FORMED_MIXTURE];
        let posteriors = [&TABLE, &CURVE, &VARIANCES, &POSTERIOR];
        let lib = [tiles.as_slice(), &shifts, &mixtures, &posteriors, &others].concat();
        assert_eq!(files("lib"), paths(&lib));
        assert_eq!(files("divergence"), paths(&[DIVERGENCES.as_slice(), &[&LEARNED]].concat()));
    }

    #[test]
    fn the_host_knows_which_denominators_are_one() {
        for divergence in crate::divergence::all() {
            let text = format!("const UNIT_DENOMINATOR = {};", unit_denominator(&divergence));
            assert!(filling(&divergence).text.contains(&text), "{divergence}");
        }
        assert!(LEARNED.text.contains("const UNIT_DENOMINATOR = false;"));
    }

    #[test]
    fn at_most_merges_splits() {
        let splits = Splits { tiles: 4, count: 7 };
        for (most, tiles, count) in [(9, 4, 7), (7, 4, 7), (6, 8, 4), (3, 12, 3), (1, 28, 1)] {
            let few = splits.at_most(most);
            assert_eq!((few.tiles, few.count), (tiles, count), "{most}");
        }
    }

    #[test]
    fn shader_floors_equal_the_hosts() {
        let floors = [
            ("MODEL_FLOOR", MODEL_FLOOR),
            ("DENOMINATOR_FLOOR", DENOMINATOR_FLOOR),
            ("RATIO_FLOOR", crate::weight::RATIO_FLOOR),
        ];
        for (name, value) in floors {
            assert!(FLOORS.text.contains(&format!("const {name} = {value:e};")), "{name}");
        }
        assert_eq!(RATIO_FLOOR, MODEL_FLOOR);
        assert!(LEARNED.text.contains(&format!("const SHARE_SCALE = {SHARE_SCALE};")), "{SHARE_SCALE}");
    }
}
