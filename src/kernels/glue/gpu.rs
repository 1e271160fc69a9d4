//! Normalisation and masks on the gpu.

use std::iter::zip;
use std::ops::Range;

use super::{Glue, Mask, Norm, check_masks};
use crate::divergence::MODEL_FLOOR;
use crate::engine::gpu::shader::{Access, Kernel, Uniform, source};
use crate::engine::gpu::{Gpu, GpuMatrix, GpuPanel, QUAD, Run, TILE, Tiling};
use crate::kernels::gpu::{FLOORS, INDEX, PARAMS, POWER, Params, REDUCE, TILE as MODEL};
use crate::{Error, Result};

/// Invocations in a workgroup of every kernel here.
const INVOCATIONS: usize = 64;

static NORMALIZE_BASES: Kernel = Kernel {
    source: source!("glue/normalize_bases.wgsl", PARAMS, FLOORS, INDEX, REDUCE),
    storages: &[Access::Write, Access::Write],
    constants: &[("NORM", &[1, 2])],
    uniform: Params::MEMBERS,
};
static SCALE_GAINS: Kernel = Kernel {
    source: source!("glue/scale_gains.wgsl", PARAMS, INDEX),
    storages: &[Access::Read, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};
static SOURCE_MODEL: Kernel = Kernel {
    source: source!("glue/model.wgsl", MODEL),
    storages: &[Access::Read, Access::Read, Access::Write, Access::Write],
    constants: &[("TILING", &[Tiling::SMALLEST.code()]), ("FIRST", &[0, 1])],
    uniform: Params::MEMBERS,
};
static WEIGH: Kernel = Kernel {
    source: source!("glue/weigh.wgsl", PARAMS, INDEX, POWER),
    storages: &[Access::Read, Access::Write, Access::Write],
    constants: &[("FIRST", &[0, 1]), ("HARD", &[0, 1])],
    uniform: Params::MEMBERS,
};
static DIVIDE: Kernel = Kernel {
    source: source!("glue/divide.wgsl", PARAMS, INDEX),
    storages: &[Access::Read, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};

impl Glue for Gpu {
    fn normalize(&self, w: &mut GpuMatrix, h: Option<&mut GpuPanel>, norm: Norm) -> Result<()> {
        if let Some(h) = h.as_ref().filter(|h| h.rows != w.columns) {
            return Err(Error::input(format!("{} bases and {} rows of gains do not fit", w.columns, h.rows)));
        }
        let sizes = self.storage(w.pitch())?;
        let constant = match norm {
            Norm::L1 => 1,
            Norm::L2 => 2,
        };
        self.run(Run {
            kernel: &NORMALIZE_BASES,
            filling: None,
            constants: &[constant],
            uniform: Params { rows: w.rows as u32, bases_pitch: w.pitch() as u32, ..Params::default() },
            storages: &[&w.storage, &sizes],
            workgroups: w.pitch(),
            work: 3 * w.rows * w.columns,
        })?;
        for chunk in h.into_iter().flat_map(|h| &h.chunks) {
            let uniform =
                Params { components: w.columns as u32, panel_pitch: chunk.pitch() as u32, ..Params::default() };
            self.run(Run {
                kernel: &SCALE_GAINS,
                filling: None,
                constants: &[],
                uniform,
                storages: &[&sizes, &chunk.storage],
                workgroups: (w.columns * chunk.pitch()).div_ceil(INVOCATIONS),
                work: w.columns * chunk.columns,
            })?;
        }
        Ok(())
    }

    fn masks(&self, w: &GpuMatrix, h: &GpuPanel, sources: &[Range<usize>], mask: Mask) -> Result<Vec<GpuPanel>> {
        check_masks((w.rows, w.columns), (h.rows, h.columns), sources, mask)?;
        let masks: Result<Vec<GpuPanel>> = sources.iter().map(|_| self.new_panel(w.rows, h.columns)).collect();
        let masks = masks?;
        let (hard, exponent) = match mask {
            Mask::Ratio(p) => (0, p as f32),
            Mask::Hard => (1, 1.0),
        };
        for (at, h) in h.chunks.iter().enumerate() {
            let cells = w.rows * h.pitch();
            let (peak, total) = (self.storage(cells)?, self.storage(cells)?);
            let params = Params {
                rows: w.rows as u32,
                columns: h.columns as u32,
                components: w.columns as u32,
                bases_pitch: w.pitch() as u32,
                panel_pitch: h.pitch() as u32,
                window_quads: h.pitch() as u32,
                exponent,
                floor: (MODEL_FLOOR / sources.len() as f64) as f32,
                ..Params::default()
            };
            let chunks = || masks.iter().map(|mask| &mask.chunks[at].storage).enumerate();
            for ((j, mask), source) in zip(chunks(), sources) {
                self.run(Run {
                    kernel: &SOURCE_MODEL,
                    filling: None,
                    constants: &[Tiling::SMALLEST.code(), u32::from(j == 0)],
                    uniform: Params {
                        first_component: source.start as u32,
                        end_component: source.end as u32,
                        ..params
                    },
                    storages: &[&w.storage, &h.storage, mask, &peak],
                    workgroups: w.rows.div_ceil(TILE) * h.tiles(),
                    work: w.rows * h.columns * source.len(),
                })?;
            }
            for (j, mask) in chunks() {
                self.run(Run {
                    kernel: &WEIGH,
                    filling: None,
                    constants: &[u32::from(j == 0), hard],
                    uniform: params,
                    storages: &[&peak, mask, &total],
                    workgroups: cells.div_ceil(INVOCATIONS),
                    work: cells * QUAD,
                })?;
            }
            for (_, mask) in chunks() {
                self.run(Run {
                    kernel: &DIVIDE,
                    filling: None,
                    constants: &[],
                    uniform: params,
                    storages: &[&total, mask],
                    workgroups: cells.div_ceil(INVOCATIONS),
                    work: cells * QUAD,
                })?;
            }
        }
        Ok(masks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shaders_are_what_the_host_says() {
        let kernels = [&NORMALIZE_BASES, &SCALE_GAINS, &SOURCE_MODEL, &WEIGH, &DIVIDE];
        crate::engine::gpu::shader_check::check_family("glue", &[], &[], &kernels);
    }
}
