//! The products on the gpu: a pass over each chunk of the panel, and for the bases a reduction.

use std::iter::zip;

use super::{Products, Rule, check_shapes};
use crate::Result;
use crate::divergence::Divergence;
use crate::engine::Engine;
use crate::engine::gpu::shader::{Access, Kernel, Uniform, source};
use crate::engine::gpu::{Chunk, Gpu, GpuMatrix, GpuPanel, QUAD, Run, TILE};
use crate::kernels::gpu::{FIELDS, FLOORS, INDEX, Params, RULE, TILE as MODEL, filling};

/// A panel's columns are summed for the bases in at most so many splits, so that the order of the sum is the panel's
/// alone: with the tiles of rows, enough workgroups for any device.
const SPLITS: usize = 64;
/// Tiles in a split, at least: a split costs 2FK numbers of memory and of reduction.
const SPLIT_TILES: usize = 4;
/// vec4s that the sums of a pass may take; bases of more are updated in several passes.
const SUMS_QUADS: usize = 64 << 20 >> 4;
/// Invocations in a workgroup.
const INVOCATIONS: usize = 64;

static GAINS: Kernel = Kernel {
    source: source!("products/gains.wgsl", FIELDS, RULE),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write],
    constants: &[("BLOCKS", 1..=4)],
    uniform: Params::MEMBERS,
};
static BASES: Kernel = Kernel {
    source: source!("products/bases.wgsl", FIELDS),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write],
    constants: &[("BLOCKS", 1..=4)],
    uniform: Params::MEMBERS,
};
static BASES_REDUCE: Kernel = Kernel {
    source: source!("products/bases_reduce.wgsl", INDEX, RULE),
    storages: &[Access::Read, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};
static COSTS: Kernel = Kernel {
    source: source!("products/costs.wgsl", FLOORS, MODEL),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};

/// Blocks of 32 components that a workgroup takes, and how many workgroups share the K components: as few as
/// there can be, since each of them forms the whole model again.
fn divide(components: usize) -> (usize, usize) {
    let blocks = components.div_ceil(TILE);
    let workgroups = blocks.div_ceil(4);
    (blocks.div_ceil(workgroups), workgroups)
}

/// What all kernels are told of the bases and the rule.
fn params(w: &GpuMatrix, rule: &Rule) -> Params {
    Params {
        rows: w.rows as u32,
        components: w.columns as u32,
        bases_pitch: w.pitch() as u32,
        end_component: w.columns as u32,
        beta: rule.divergence.exponent_beta() as f32,
        exponent: rule.exponent as f32,
        sparsity: rule.sparsity as f32,
        floor: rule.floor as f32,
        ..Params::default()
    }
}

/// The same, with a chunk of the panels.
fn on_chunk(params: Params, chunk: &Chunk) -> Params {
    Params { columns: chunk.columns as u32, panel_pitch: chunk.pitch() as u32, ..params }
}

impl Products for Gpu {
    fn update_gains(&self, v: &GpuPanel, w: &GpuMatrix, h: &mut GpuPanel, rule: &Rule) -> Result<()> {
        check_shapes((v.rows, v.columns), (w.rows, w.columns), (h.rows, h.columns))?;
        let (blocks, shares) = divide(w.columns);
        for (v, h) in zip(&v.chunks, &mut h.chunks) {
            // Workgroups that share the components of a column all read its gains, so the new ones go elsewhere.
            let new_gains = self.storage(h.pitch() * w.columns)?;
            self.run(Run {
                kernel: &GAINS,
                filling: Some(filling(rule.divergence)),
                constants: &[blocks as u32],
                uniform: on_chunk(params(w, rule), v),
                storages: &[&v.storage, &w.storage, &h.storage, &new_gains],
                workgroups: v.tiles() * shares,
                work: (shares + 2) * w.rows * v.columns * w.columns,
            })?;
            h.storage = new_gains;
        }
        Ok(())
    }

    fn update_bases(&self, v: &GpuPanel, w: &mut GpuMatrix, h: &GpuPanel, rule: &Rule) -> Result<()> {
        check_shapes((v.rows, v.columns), (w.rows, w.columns), (h.rows, h.columns))?;
        let (blocks, shares) = divide(w.columns);
        let tiles = v.columns.div_ceil(TILE);
        let split_tiles = tiles.div_ceil(SPLITS).max(SPLIT_TILES);
        let splits = tiles.div_ceil(split_tiles);
        let row_quads = 2 * splits * w.pitch();
        let pass_rows = (SUMS_QUADS / row_quads / TILE * TILE).clamp(TILE, w.rows.next_multiple_of(TILE));
        let sums = self.storage(pass_rows * row_quads)?;
        for first_row in (0..w.rows).step_by(pass_rows) {
            let pass = Params {
                first_row: first_row as u32,
                pass_rows: pass_rows as u32,
                split_tiles: split_tiles as u32,
                end_split: splits as u32,
                ..params(w, rule)
            };
            for (v, h) in zip(&v.chunks, &h.chunks) {
                let first_tile = v.first / TILE;
                let in_chunk = first_tile / split_tiles..(first_tile + v.tiles()).div_ceil(split_tiles);
                let uniform = Params {
                    first_tile: first_tile as u32,
                    first_split: in_chunk.start as u32,
                    end_split: in_chunk.end as u32,
                    ..on_chunk(pass, v)
                };
                self.run(Run {
                    kernel: &BASES,
                    filling: Some(filling(rule.divergence)),
                    constants: &[blocks as u32],
                    uniform,
                    storages: &[&v.storage, &w.storage, &h.storage, &sums],
                    workgroups: pass_rows / TILE * shares * in_chunk.len(),
                    work: (shares + 2) * pass_rows * v.columns * w.columns,
                })?;
            }
            self.run(Run {
                kernel: &BASES_REDUCE,
                filling: None,
                constants: &[],
                uniform: pass,
                storages: &[&sums, &w.storage],
                workgroups: (pass_rows * w.pitch()).div_ceil(INVOCATIONS),
                work: pass_rows * row_quads * QUAD,
            })?;
        }
        Ok(())
    }

    fn try_gains(
        &self,
        _v: &GpuPanel,
        _w: &GpuMatrix,
        _trial: &GpuPanel,
        _next: &mut GpuPanel,
        _costs: &mut GpuPanel,
        _rule: &Rule,
    ) -> Result<()> {
        Err(crate::Error::input("not there yet"))
    }

    fn update_both(&self, _v: &GpuPanel, _w: &mut GpuMatrix, _h: &mut GpuPanel, _rule: &Rule) -> Result<()> {
        Err(crate::Error::input("not there yet"))
    }

    fn costs(&self, v: &GpuPanel, w: &GpuMatrix, h: &GpuPanel, divergence: Divergence) -> Result<Vec<f64>> {
        check_shapes((v.rows, v.columns), (w.rows, w.columns), (h.rows, h.columns))?;
        let costs = self.new_panel(1, v.columns)?;
        for ((v, h), costs) in zip(zip(&v.chunks, &h.chunks), &costs.chunks) {
            self.run(Run {
                kernel: &COSTS,
                filling: Some(filling(divergence)),
                constants: &[],
                uniform: on_chunk(params(w, &Rule::of(divergence)), v),
                storages: &[&v.storage, &w.storage, &h.storage, &costs.storage],
                workgroups: v.tiles(),
                work: w.rows * v.columns * w.columns,
            })?;
        }
        Ok(self.read_panel::<f64>(&costs)?.into_raw_vec_and_offset().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gpu::tests::DIVERGENCES;

    #[test]
    fn shaders_are_what_the_host_says() {
        crate::engine::gpu::shader_check::check_family(
            "products",
            &[&GAINS, &BASES, &COSTS],
            &DIVERGENCES,
            &[&BASES_REDUCE],
        );
    }

    #[test]
    fn components_are_divided_among_as_few_workgroups_as_there_can_be() {
        for (components, expected) in
            [(1, (1, 1)), (32, (1, 1)), (33, (2, 1)), (88, (3, 1)), (128, (4, 1)), (129, (3, 2)), (300, (4, 3))]
        {
            assert_eq!(divide(components), expected, "{components}");
        }
    }
}
