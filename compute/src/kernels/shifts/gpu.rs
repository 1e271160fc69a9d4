//! Shifted factors on the GPU. A shift must not end at a chunk boundary, so a segment that crosses chunks is first
//! gathered into one buffer; any other segment is used in place. Every product is a kernel over tiles. A tile's strips
//! of both factors are in workgroup memory and serve all shifts.

use std::ops::Range;

use super::{Edges, Lags, ShiftRule, Shifts, check_edges, check_factors, check_shapes, check_sources};
use crate::Result;
use crate::divergence::Divergence;
use crate::engine::gpu::shader::{Access, Kernel, Source, Uniform, source};
use crate::engine::gpu::{Gpu, GpuMatrix, GpuPanel, QUAD, Run, Storage, TILE};
use crate::kernels::glue::{Mask, Norm};
use crate::kernels::gpu::{
    BASIS_RULE, CELLS, FLOORS, INDEX, LEARNED, PARAMS, Params, RULE, SHIFTED_GAINS, SHIFTED_MODEL, SHIFTED_TILES,
    SHIFTS, Splits, Window, filling, learned,
};
use crate::kernels::products::{Rule, params};

/// Workgroup size of the kernels over cells.
const INVOCATIONS: usize = 64;
/// Pairs of a component and four lags per workgroup of [`BASES`].
const PAIRS: usize = 8;
/// The most vec4s that the sums of a segment may take.
const SUMS_QUADS: usize = 64 << 20 >> 4;

static COPY: Kernel = Kernel {
    source: source!("shifts/copy.wgsl", PARAMS, INDEX, CELLS),
    storages: &[Access::Read, Access::Write],
    constants: &[("BACK", &[0, 1])],
    uniform: Params::MEMBERS,
};
static FIELDS: Kernel = Kernel {
    source: source!("shifts/fields.wgsl", FLOORS, SHIFTED_TILES),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};
/// [`FIELDS`] of a learned weight.
static LEARNED_FIELDS: Kernel = Kernel {
    source: source!("shifts/fields.wgsl", FLOORS, SHIFTED_TILES, LEARNED),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write, Access::Write, Access::Read],
    constants: &[("WEIGHT_BINDING", &[6])],
    uniform: Params::MEMBERS,
};
static COSTS: Kernel = Kernel {
    source: source!("shifts/costs.wgsl", FLOORS, SHIFTED_MODEL),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};
/// [`COSTS`] of a learned weight.
static LEARNED_COSTS: Kernel = Kernel {
    source: source!("shifts/costs.wgsl", FLOORS, SHIFTED_MODEL, LEARNED),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write, Access::Read],
    constants: &[("WEIGHT_BINDING", &[5])],
    uniform: Params::MEMBERS,
};
static MODEL: Kernel = Kernel {
    source: source!("shifts/model.wgsl", SHIFTED_TILES),
    storages: &[Access::Read, Access::Read, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};
static GAINS: Kernel = Kernel {
    source: source!("shifts/gains.wgsl", SHIFTS, RULE),
    storages: &[Access::Read, Access::Write, Access::Read, Access::Read],
    constants: &[("PRINTED", &[0, 1])],
    uniform: Params::MEMBERS,
};
static BASES: Kernel = Kernel {
    source: source!("shifts/bases.wgsl", SHIFTED_GAINS),
    storages: &[Access::Write, Access::Read, Access::Read, Access::Read],
    constants: &[("PRINTED", &[0, 1])],
    uniform: Params::MEMBERS,
};
static BASES_REDUCE: Kernel = Kernel {
    source: source!("shifts/bases_reduce.wgsl", INDEX, CELLS, BASIS_RULE),
    storages: &[Access::Write, Access::Write, Access::Read],
    constants: &[("FIRST", &[0, 1]), ("LAST", &[0, 1]), ("NORM", &[0, 1, 2])],
    uniform: Params::MEMBERS,
};
static PEAK: Kernel = Kernel {
    source: source!("shifts/peak.wgsl", PARAMS, INDEX, CELLS),
    storages: &[Access::Write, Access::Write],
    constants: &[("FIRST", &[0, 1])],
    uniform: Params::MEMBERS,
};

/// A segment: its windows in the panels' chunks, and its members of the uniform.
struct Segment<'a> {
    windows: &'a [Window<'a>],
    /// Number of column tiles.
    tiles: usize,
    columns: usize,
    uniform: Params,
    /// Its T bases.
    bases: Storage,
}

impl<'a> Segment<'a> {
    fn all(windows: &'a [Window<'a>], w: &GpuMatrix, lags: Lags, rule: &Rule) -> Vec<Self> {
        let shared = shared(windows, w, lags);
        let of = |windows: &'a [Window<'a>]| {
            let columns = windows.iter().map(|window| window.columns).sum();
            let tiles: usize = windows.iter().map(|window| window.tiles).sum();
            let quads = (tiles * TILE / QUAD) as u32;
            let first_quad = match windows {
                [window] => (window.first_tile * TILE / QUAD) as u32,
                _ => 0,
            };
            let uniform = Params {
                columns: columns as u32,
                first_quad,
                window_quads: quads,
                time_lags: lags.time as u32,
                pitch_lags: lags.pitch as u32,
                bases_stride: w.stride() as u32,
                ..params(w, rule)
            };
            Self {
                windows,
                tiles,
                columns,
                uniform,
                bases: w.part(windows[0].segment / shared * lags.time % w.count, lags.time).storage,
            }
        };
        windows.chunk_by(|a, b| a.segment == b.segment).map(of).collect()
    }

    /// vec4s per row, if its rows are gathered.
    fn pitch(&self) -> usize {
        self.tiles * TILE / QUAD
    }

    /// Number of tiles of `rows` rows.
    fn tiles_of(&self, rows: usize) -> usize {
        rows.div_ceil(TILE) * self.tiles
    }

    /// Multiply-adds of a product.
    fn work(&self) -> usize {
        let Params { rows, components, time_lags, pitch_lags, .. } = self.uniform;
        [rows, components, time_lags, pitch_lags].iter().fold(self.columns, |work, &count| work * count as usize)
    }
}

/// The number of segments that share a stack of bases.
fn shared(windows: &[Window], w: &GpuMatrix, lags: Lags) -> usize {
    let segments = windows.last().map_or(0, |last| last.segment + 1);
    (segments * lags.time).div_ceil(w.count).max(1)
}

/// Divides the columns of a segment for sums of `cells` cells per split. Memory also has to hold the sums of the
/// segments before.
fn splits(windows: &[Window], cells: usize) -> Splits {
    let splits = Splits::of(windows);
    splits.at_most((SUMS_QUADS / (2 * cells)).saturating_sub(1).max(1))
}

impl Gpu {
    /// Copies between a panel and the gathered rows of one of its segments.
    fn copy(&self, segment: &Segment, panel: &GpuPanel, rows: &Storage, back: bool) -> Result<()> {
        let mut before = 0;
        for window in segment.windows {
            let chunk = &panel.chunks[window.index].storage;
            let quads = window.tiles * TILE / QUAD;
            self.run(Run {
                kernel: &COPY,
                filling: None,
                constants: &[u32::from(back)],
                uniform: window.params(Params { rows: panel.rows as u32, segment_quad: before, ..Params::default() }),
                storages: &if back { [rows, chunk] } else { [chunk, rows] },
                workgroups: (panel.rows * quads).div_ceil(INVOCATIONS),
                work: panel.rows * window.columns,
            })?;
            before += quads as u32;
        }
        Ok(())
    }

    /// The buffer into which a panel segment's rows are to be written, and whether it is the panel itself.
    fn place(&self, segment: &Segment, panel: &GpuPanel) -> Result<(Storage, bool)> {
        match segment.windows {
            [window] => Ok((panel.chunks[window.index].storage.clone(), true)),
            _ => Ok((self.rows(panel.rows, segment.pitch())?, false)),
        }
    }

    /// The rows of a panel's segment: the panel's own, or gathered.
    fn rows_of(&self, segment: &Segment, panel: &GpuPanel) -> Result<Storage> {
        let (rows, own) = self.place(segment, panel)?;
        if !own {
            self.copy(segment, panel, &rows, false)?;
        }
        Ok(rows)
    }

    /// Scatters gathered rows back to a panel's segment. Does nothing if they are the panel's own.
    fn bring_back(&self, segment: &Segment, panel: &GpuPanel, rows: &Storage) -> Result<()> {
        if segment.windows.len() == 1 { Ok(()) } else { self.copy(segment, panel, rows, true) }
    }

    /// Runs a kernel over a segment.
    fn over(
        &self,
        segment: &Segment,
        (kernel, filling): (&'static Kernel, Option<&'static Source>),
        constants: &[u32],
        storages: &[&Storage],
        workgroups: usize,
    ) -> Result<()> {
        let work = segment.work();
        self.run(Run { kernel, filling, constants, uniform: segment.uniform, storages, workgroups, work })
    }

    /// Runs a kernel over a segment, or for a learned weight the second one, with its table as the last storage.
    fn over_weighed(
        &self,
        segment: &Segment,
        [kernel, of_learned]: [&'static Kernel; 2],
        storages: &[&Storage],
        workgroups: usize,
        divergence: &Divergence,
    ) -> Result<()> {
        let Some(table) = learned(self, divergence)? else {
            return self.over(segment, (kernel, Some(filling(divergence))), &[], storages, workgroups);
        };
        let storages = [storages, &[&table]].concat();
        self.over(segment, (of_learned, None), &[storages.len() as u32], &storages, workgroups)
    }

    /// Computes P and Q of a segment, and returns the rows of its gains.
    fn shifted_fields(
        &self,
        segment: &Segment,
        v: &GpuPanel,
        h: &GpuPanel,
        divergence: &Divergence,
    ) -> Result<[Storage; 3]> {
        let (data, gains) = (self.rows_of(segment, v)?, self.rows_of(segment, h)?);
        let (p, q) = (self.rows(v.rows, segment.pitch())?, self.rows(v.rows, segment.pitch())?);
        let storages = [&segment.bases, &gains, &data, &p, &q];
        self.over_weighed(segment, [&FIELDS, &LEARNED_FIELDS], &storages, segment.tiles_of(v.rows), divergence)?;
        Ok([p, q, gains])
    }
}

fn check(v: &GpuPanel, w: &GpuMatrix, h: &GpuPanel, rule: &ShiftRule) -> Result<()> {
    check_shapes(v.extent(), w.extent(), h.extent(), rule.lags)?;
    check_edges(rule)
}

impl Shifts for Gpu {
    fn update_shifted_gains(&self, v: &GpuPanel, w: &GpuMatrix, h: &mut GpuPanel, rule: &ShiftRule) -> Result<()> {
        check(v, w, h, rule)?;
        let printed = u32::from(rule.edges == Edges::Printed);
        for segment in &Segment::all(&Window::all(v), w, rule.lags, &rule.rule) {
            let [p, q, gains] = self.shifted_fields(segment, v, h, &rule.rule.divergence)?;
            let storages = [&segment.bases, &gains, &p, &q];
            self.over(segment, (&GAINS, None), &[printed], &storages, segment.tiles_of(h.rows))?;
            self.bring_back(segment, h, &gains)?;
        }
        Ok(())
    }

    fn update_shifted_bases(&self, v: &GpuPanel, w: &mut GpuMatrix, h: &GpuPanel, rule: &ShiftRule) -> Result<()> {
        check(v, w, h, rule)?;
        w.changes();
        let printed = u32::from(rule.edges == Edges::Printed);
        let pairs = w.columns * rule.lags.time.div_ceil(QUAD);
        let cells = pairs * w.rows;
        let windows = Window::all(v);
        let mut segments = Segment::all(&windows, w, rule.lags, &rule.rule);
        let shared = shared(&windows, w, rule.lags);
        let most = segments.iter().map(|segment| splits(segment.windows, cells).count).max().unwrap_or(0);
        let sums = self.storage(2 * (most + 1) * cells)?;
        for (index, segment) in segments.iter_mut().enumerate() {
            let [p, q, gains] = self.shifted_fields(segment, v, h, &rule.rule.divergence)?;
            let splits = splits(segment.windows, cells);
            segment.uniform.split_tiles = splits.tiles as u32;
            segment.uniform.end_split = splits.count as u32;
            let workgroups = splits.count * w.rows.div_ceil(TILE) * pairs.div_ceil(PAIRS);
            self.over(segment, (&BASES, None), &[printed], &[&sums, &gains, &p, &q], workgroups)?;
            let (first, last) = (index % shared == 0, (index + 1) % shared == 0);
            let (norm, totals) = if last {
                // The segments of a stack are consecutive.
                let of_stack = |window: &&Window| window.segment / shared == index / shared;
                let of_stack: Vec<Window> = windows.iter().filter(of_stack).copied().collect();
                self.gain_totals(std::iter::once(of_stack.as_slice()), h, (w.columns, w.pitch()), &rule.rule)?
            } else {
                (0, self.per_matrix(1, 1)?)
            };
            let constants = [u32::from(first), u32::from(last), norm];
            let storages = [&sums, &segment.bases, &totals.storage];
            self.over(segment, (&BASES_REDUCE, None), &constants, &storages, cells.div_ceil(INVOCATIONS))?;
        }
        Ok(())
    }

    fn shifted_costs(
        &self,
        v: &GpuPanel,
        w: &GpuMatrix,
        h: &GpuPanel,
        lags: Lags,
        divergence: &Divergence,
    ) -> Result<Vec<f64>> {
        check_shapes(v.extent(), w.extent(), h.extent(), lags)?;
        let all = self.new_panel(1, v.segments.clone())?;
        for segment in &Segment::all(&Window::all(v), w, lags, &Rule::of(divergence.clone())) {
            let (data, gains) = (self.rows_of(segment, v)?, self.rows_of(segment, h)?);
            let (costs, _) = self.place(segment, &all)?;
            let storages = [&segment.bases, &gains, &data, &costs];
            self.over_weighed(segment, [&COSTS, &LEARNED_COSTS], &storages, segment.tiles, divergence)?;
            self.bring_back(segment, &all, &costs)?;
        }
        Ok(crate::engine::Engine::read_panel::<f64>(self, &all)?.into_raw_vec_and_offset().0)
    }

    fn normalize_patterns(&self, w: &mut GpuMatrix, h: &mut GpuPanel, lags: Lags, norm: Norm) -> Result<()> {
        check_factors(w.extent(), h.extent(), lags)?;
        w.changes();
        self.normalize_stacks(w, lags.time, Some(h), norm)
    }

    fn shifted_models(
        &self,
        w: &GpuMatrix,
        h: &GpuPanel,
        sources: &[Range<usize>],
        lags: Lags,
    ) -> Result<Vec<GpuPanel>> {
        check_sources(w.extent(), h.extent(), lags, sources, Mask::Hard)?;
        let new = |_| self.new_panel(w.rows, h.segments.clone());
        let models = sources.iter().map(new).collect::<Result<Vec<GpuPanel>>>()?;
        let windows = Window::all(h);
        for mut segment in Segment::all(&windows, w, lags, &Rule::of(Divergence::Euclidean)) {
            let gains = self.rows_of(&segment, h)?;
            for (source, model) in sources.iter().zip(&models) {
                let (rows, _) = self.place(&segment, model)?;
                segment.uniform.first_component = source.start as u32;
                segment.uniform.end_component = source.end as u32;
                let storages = [&segment.bases, &gains, &rows];
                self.over(&segment, (&MODEL, None), &[], &storages, segment.tiles_of(w.rows))?;
                self.bring_back(&segment, model, &rows)?;
            }
        }
        Ok(models)
    }

    fn shifted_masks(
        &self,
        w: &GpuMatrix,
        h: &GpuPanel,
        sources: &[Range<usize>],
        lags: Lags,
        mask: Mask,
    ) -> Result<Vec<GpuPanel>> {
        check_sources(w.extent(), h.extent(), lags, sources, mask)?;
        let masks = self.shifted_models(w, h, sources, lags)?;
        // The smallest normal f32: a device may flush smaller numbers to 0.
        let floor = f32::MIN_POSITIVE;
        for (index, chunk) in h.chunks.iter().enumerate() {
            let cells = w.rows * chunk.quads();
            let peak = self.storage(cells)?;
            for (source, model) in masks.iter().enumerate() {
                self.run(Run {
                    kernel: &PEAK,
                    filling: None,
                    constants: &[u32::from(source == 0)],
                    uniform: Params {
                        rows: w.rows as u32,
                        chunk_quads: chunk.quads() as u32,
                        floor,
                        ..Params::default()
                    },
                    storages: &[&model.chunks[index].storage, &peak],
                    workgroups: cells.div_ceil(INVOCATIONS),
                    work: cells * QUAD,
                })?;
            }
            self.share(&masks, index, &peak, mask)?;
        }
        Ok(masks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gpu::tests::DIVERGENCES;

    #[test]
    fn shaders_match_the_host_declarations() {
        let closed = [&LEARNED_FIELDS, &LEARNED_COSTS, &COPY, &MODEL, &GAINS, &BASES, &BASES_REDUCE, &PEAK];
        crate::engine::gpu::shader_check::check_family("shifts", &[&FIELDS, &COSTS], &DIVERGENCES, &closed);
    }
}
