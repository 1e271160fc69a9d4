//! Normalization and masks on the GPU.

use std::iter::zip;
use std::ops::Range;

use super::{Glue, Mask, Norm, check_factors, check_masks, check_sums};
use crate::Result;
use crate::divergence::MODEL_FLOOR;
use crate::engine::gpu::shader::{Access, Kernel, Uniform, source};
use crate::engine::gpu::{Gpu, GpuMatrix, GpuPanel, PerMatrix, QUAD, Run, Storage, TILE, Tiling};
use crate::kernels::Rule;
use crate::kernels::gpu::{CELLS, FLOORS, INDEX, MODEL_TILES, PARAMS, POWER, Params, Part, REDUCE, Window, join, runs};

/// Workgroup size of every kernel here.
const INVOCATIONS: usize = 64;

static NORMALIZE_BASES: Kernel = Kernel {
    source: source!("glue/normalize_bases.wgsl", PARAMS, FLOORS, INDEX, REDUCE),
    storages: &[Access::Write, Access::Write],
    constants: &[("NORM", &[1, 2])],
    uniform: Params::MEMBERS,
};
static TURN_BASES: Kernel = Kernel {
    source: source!("glue/turn_bases.wgsl", PARAMS, FLOORS, INDEX, REDUCE),
    storages: &[Access::Read, Access::Read, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};
static SCALE_GAINS: Kernel = Kernel {
    source: source!("glue/scale_gains.wgsl", PARAMS, INDEX),
    storages: &[Access::Read, Access::Write, Access::Read],
    constants: &[("SEGMENTS", &[0, 1])],
    uniform: Params::MEMBERS,
};
static GAIN_TOTALS: Kernel = Kernel {
    source: source!("glue/gain_totals.wgsl", PARAMS, INDEX, REDUCE),
    storages: &[Access::Read, Access::Write, Access::Write],
    constants: &[("FIRST", &[0, 1]), ("LAST", &[0, 1])],
    uniform: Params::MEMBERS,
};
static SOURCE_MODEL: Kernel = Kernel {
    source: source!("glue/model.wgsl", MODEL_TILES),
    storages: &[Access::Read, Access::Read, Access::Write, Access::Write, Access::Read],
    constants: &[("TILING", &[Tiling::SMALLEST.code()]), ("FIRST", &[0, 1]), ("SEGMENTS", &[0, 1])],
    uniform: Params::MEMBERS,
};
static WEIGH: Kernel = Kernel {
    source: source!("glue/weigh.wgsl", PARAMS, INDEX, CELLS, POWER),
    storages: &[Access::Read, Access::Write, Access::Write],
    constants: &[("FIRST", &[0, 1]), ("HARD", &[0, 1])],
    uniform: Params::MEMBERS,
};
static DIVIDE: Kernel = Kernel {
    source: source!("glue/divide.wgsl", PARAMS, INDEX, CELLS),
    storages: &[Access::Read, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};

/// The shaders' code for a norm.
fn code(norm: Norm) -> u32 {
    match norm {
        Norm::L1 => 1,
        Norm::L2 => 2,
    }
}

impl Gpu {
    /// Turns floored models into masks, in place, for one of their chunks. `peak` holds the largest model of every
    /// cell.
    pub(crate) fn share(&self, masks: &[GpuPanel], chunk: usize, peak: &Storage, mask: Mask) -> Result<()> {
        let (hard, exponent) = match mask {
            Mask::Ratio(p) => (0, p as f32),
            Mask::Hard => (1, 1.0),
        };
        let chunks = || masks.iter().map(|mask| (mask.rows, &mask.chunks[chunk])).enumerate();
        let Some((_, (rows, first))) = chunks().next() else { return Ok(()) };
        let cells = rows * first.quads();
        let total = self.storage(cells)?;
        let uniform = Params { rows: rows as u32, chunk_quads: first.quads() as u32, exponent, ..Params::default() };
        let (workgroups, work) = (cells.div_ceil(INVOCATIONS), cells * QUAD);
        for (j, (_, mask)) in chunks() {
            self.run(Run {
                kernel: &WEIGH,
                filling: None,
                constants: &[u32::from(j == 0), hard],
                uniform,
                storages: &[peak, &mask.storage, &total],
                workgroups,
                work,
            })?;
        }
        for (_, (_, mask)) in chunks() {
            self.run(Run {
                kernel: &DIVIDE,
                filling: None,
                constants: &[],
                uniform,
                storages: &[&total, &mask.storage],
                workgroups,
                work,
            })?;
        }
        Ok(())
    }

    /// Computes the sums of the gains that an update of bases under a penalty needs: the norm's code, and Σ_n H of every
    /// problem for every component of a basis of `pitch` vec4s. A problem is given by its windows. Returns 0 and an
    /// empty result if the rule needs no sums.
    pub(crate) fn gain_totals<'w, 'a: 'w>(
        &self,
        problems: impl ExactSizeIterator<Item = &'w [Window<'a>]>,
        h: &GpuPanel,
        (components, pitch): (usize, usize),
        rule: &Rule,
    ) -> Result<(u32, PerMatrix)> {
        let Some(norm) = rule.basis_norm() else { return Ok((0, self.per_matrix(1, 1)?)) };
        let (partials, totals) = (self.storage(QUAD * pitch * INVOCATIONS)?, self.per_matrix(problems.len(), pitch)?);
        for (problem, windows) in problems.enumerate() {
            for (index, window) in windows.iter().enumerate() {
                self.run(Run {
                    kernel: &GAIN_TOTALS,
                    filling: None,
                    constants: &[u32::from(index == 0), u32::from(index + 1 == windows.len())],
                    uniform: window.params(Params {
                        rows: h.rows as u32,
                        components: components as u32,
                        bases_pitch: pitch as u32,
                        first_tile: window.before as u32,
                        ..Params::default()
                    }),
                    storages: &[&h.chunks[window.index].storage, &partials, &totals.part(problem, 1).storage],
                    workgroups: QUAD * pitch,
                    work: h.rows * window.columns,
                })?;
            }
        }
        Ok((code(norm), totals))
    }

    /// Normalizes the stacks of T bases in W. Each stack serves an equal group of the segments. The norm of a component
    /// is over its column in all T bases, and all its rows of the gains are scaled by it.
    pub(crate) fn normalize_stacks(
        &self,
        w: &GpuMatrix,
        time: usize,
        h: Option<&mut GpuPanel>,
        norm: Norm,
    ) -> Result<()> {
        let stacks = w.count / time;
        let sizes = self.per_matrix(stacks, w.pitch())?;
        for (first, part) in w.parts(time, self.binding_quads) {
            let (first, stacks) = (first / time, part.count / time);
            self.run(Run {
                kernel: &NORMALIZE_BASES,
                filling: None,
                constants: &[code(norm)],
                uniform: Params {
                    rows: w.rows as u32,
                    bases_pitch: w.pitch() as u32,
                    time_lags: time as u32,
                    bases_stride: w.stride() as u32,
                    matrices: part.count as u32,
                    sums_stride: sizes.stride as u32,
                    ..Params::default()
                },
                storages: &[&part.storage, &sizes.part(first, stacks).storage],
                workgroups: stacks * w.pitch(),
                work: 3 * part.count * w.rows * w.columns,
            })?;
        }
        h.map_or(Ok(()), |h| self.scale_gains(h, &sizes, w.columns, stacks))
    }

    /// Multiplies the gains of every component by the number of it in the `sizes` of each of the stacks of bases. Each stack
    /// serves an equal group of the segments.
    pub(crate) fn scale_gains(&self, h: &GpuPanel, sizes: &PerMatrix, components: usize, stacks: usize) -> Result<()> {
        let shared = h.segments.len() / stacks;
        let stack = |window: &Window| window.segment / shared;
        for run in runs(&Window::all(h), |_| true) {
            let (window, places) = join(self, run, stack)?;
            let sizes = sizes.part(stack(&run[0]), stack(&run[run.len() - 1]) - stack(&run[0]) + 1);
            self.run(Run {
                kernel: &SCALE_GAINS,
                filling: None,
                constants: &[u32::from(places.is_some())],
                uniform: window.params(Params {
                    rows: h.rows as u32,
                    components: components as u32,
                    sums_stride: sizes.stride as u32,
                    ..Params::default()
                }),
                storages: &[&sizes.storage, &window.chunk.storage, places.as_ref().unwrap_or(&sizes.storage)],
                workgroups: (h.rows * window.tiles * TILE / QUAD).div_ceil(INVOCATIONS),
                work: h.rows * window.columns,
            })?;
        }
        Ok(())
    }
}

impl Glue for Gpu {
    fn normalize(&self, w: &mut GpuMatrix, h: Option<&mut GpuPanel>, norm: Norm) -> Result<()> {
        if let Some(h) = &h {
            check_factors(w.extent(), (h.rows, h.segments.len()))?;
        }
        w.changes();
        self.normalize_stacks(w, 1, h, norm)
    }

    fn turn_bases(&self, w: &mut GpuMatrix, n: &GpuMatrix, d: &GpuMatrix) -> Result<()> {
        check_sums(w.extent(), n.extent(), d.extent())?;
        w.changes();
        for matrix in 0..w.count {
            let [w, n, d] = [&*w, n, d].map(|stack| stack.of(matrix));
            self.run(Run {
                kernel: &TURN_BASES,
                filling: None,
                constants: &[],
                uniform: Params { rows: w.rows as u32, bases_pitch: w.pitch() as u32, ..Params::default() },
                storages: &[&n.storage, &d.storage, &w.storage],
                workgroups: w.pitch(),
                work: 6 * w.rows * w.columns,
            })?;
        }
        Ok(())
    }

    fn masks(&self, w: &GpuMatrix, h: &GpuPanel, sources: &[Range<usize>], mask: Mask) -> Result<Vec<GpuPanel>> {
        check_factors(w.extent(), (h.rows, h.segments.len()))?;
        check_masks(w.columns, sources, mask)?;
        let masks: Result<Vec<GpuPanel>> = sources.iter().map(|_| self.new_panel(w.rows, h.segments.clone())).collect();
        let masks = masks?;
        let parts = Part::in_time(self, h, w, w.rows * w.columns)?;
        for parts in parts.chunk_by(|a, b| a.window.index == b.window.index) {
            let (chunk, index) = (parts[0].window.chunk, parts[0].window.index);
            let cells = w.rows * chunk.quads();
            let peak = self.storage(cells)?;
            let params = Params {
                rows: w.rows as u32,
                components: w.columns as u32,
                bases_pitch: w.pitch() as u32,
                bases_stride: w.stride() as u32,
                chunk_quads: chunk.quads() as u32,
                floor: (MODEL_FLOOR / sources.len() as f64) as f32,
                ..Params::default()
            };
            for (j, (mask, source)) in zip(&masks, sources).enumerate() {
                let mask = &mask.chunks[index].storage;
                for Part { window, w, places } in parts {
                    self.run(Run {
                        kernel: &SOURCE_MODEL,
                        filling: None,
                        constants: &[Tiling::SMALLEST.code(), u32::from(j == 0), u32::from(places.is_some())],
                        uniform: window.params(Params {
                            first_component: source.start as u32,
                            end_component: source.end as u32,
                            ..params
                        }),
                        storages: &[&w.storage, &chunk.storage, mask, &peak, places.as_ref().unwrap_or(&w.storage)],
                        workgroups: w.rows.div_ceil(TILE) * window.tiles,
                        work: w.rows * window.columns * source.len(),
                    })?;
                }
            }
            self.share(&masks, index, &peak, mask)?;
        }
        Ok(masks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shaders_match_the_host_declarations() {
        let kernels = [&NORMALIZE_BASES, &TURN_BASES, &SCALE_GAINS, &GAIN_TOTALS, &SOURCE_MODEL, &WEIGH, &DIVIDE];
        crate::engine::gpu::shader_check::check_family("glue", &[], &[], &kernels);
    }
}
