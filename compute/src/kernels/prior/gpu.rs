//! Gain priors on the GPU. The products leave N and D in memory, then a few light kernels add the priors and apply the
//! rule. These kernels take little time compared with the products. Fused into the products, they would need the gains
//! of a whole column in one workgroup.

use std::ops::Range;

use ndarray::{Array1, Array2};

use super::{Density, GainPrior, Gradient, Moments, Prior, check_density, check_priors, check_rows, check_sums};
use crate::Result;
use crate::engine::Engine;
use crate::engine::gpu::shader::{Access, Kernel, Uniform, source};
use crate::engine::gpu::{Gpu, GpuMatrix, GpuPanel, QUAD, Run, TILE};
use crate::kernels::gpu::{BLOCKS, CELLS, INDEX, LANES, PARAMS, Params, RAISED, RULE, Splits, Window};
use crate::kernels::products::{Rule, params};

/// Workgroup size of every kernel here.
const INVOCATIONS: usize = 64;

static LOG_NORMALIZE: Kernel = Kernel {
    source: source!("prior/log_normalize.wgsl", RAISED, LANES),
    storages: &[Access::Read, Access::Write, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};
static RESPONSIBILITIES: Kernel = Kernel {
    source: source!("prior/responsibilities.wgsl", LANES),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Read, Access::Write, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};
static ADD: Kernel = Kernel {
    source: source!("prior/add.wgsl", BLOCKS, RAISED, LANES),
    storages: &[
        Access::Write,
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Write,
        Access::Write,
    ],
    constants: &[("EXACT", &[0, 1])],
    uniform: Params::MEMBERS,
};
static APPLY: Kernel = Kernel {
    source: source!("prior/apply.wgsl", INDEX, CELLS, RULE),
    storages: &[Access::Write, Access::Read, Access::Read],
    constants: &[],
    uniform: Params::MEMBERS,
};
static MOMENTS: Kernel = Kernel {
    source: source!("prior/moments.wgsl", PARAMS, INDEX),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};

/// The uniform's members that describe a mixture.
fn of_mixture(density: &Density<GpuMatrix>) -> Params {
    Params {
        rows: density.dimensions as u32,
        components: density.components as u32,
        bases_pitch: density.means.pitch() as u32,
        ..Params::default()
    }
}

impl Gpu {
    /// Computes x and the norms n (1, N) of some rows of the gains.
    fn log_norms(&self, h: &GpuPanel, rows: Range<usize>, floor: f64) -> Result<(GpuPanel, GpuPanel)> {
        let panel = |rows| self.new_panel(rows, h.segments.clone());
        let (x, norms) = (panel(rows.len())?, panel(1)?);
        for window in Window::all(h) {
            self.run(Run {
                kernel: &LOG_NORMALIZE,
                filling: None,
                constants: &[],
                uniform: window.params(Params {
                    rows: rows.len() as u32,
                    first_row: rows.start as u32,
                    panel_rows: h.rows as u32,
                    floor: floor as f32,
                    ..Params::default()
                }),
                storages: &[
                    &window.chunk.storage,
                    &x.chunks[window.index].storage,
                    &norms.chunks[window.index].storage,
                ],
                workgroups: window.tiles,
                work: 16 * rows.len() * window.columns,
            })?;
        }
        Ok((x, norms))
    }
}

impl GainPrior for Gpu {
    fn log_normalized(&self, h: &GpuPanel, rows: Range<usize>, floor: f64) -> Result<GpuPanel> {
        check_rows(&rows, floor, h.rows)?;
        Ok(self.log_norms(h, rows, floor)?.0)
    }

    fn responsibilities(&self, x: &GpuPanel, density: &Density<GpuMatrix>) -> Result<(GpuPanel, GpuPanel)> {
        check_density(x.rows, density)?;
        let panel = |rows| self.new_panel(rows, x.segments.clone());
        let (r, likelihoods) = (panel(density.components)?, panel(1)?);
        for window in Window::all(x) {
            let [r, likelihoods] = [&r, &likelihoods].map(|panel| &panel.chunks[window.index].storage);
            let Density { means, precisions, levels, .. } = density;
            self.run(Run {
                kernel: &RESPONSIBILITIES,
                filling: None,
                constants: &[],
                uniform: window.params(of_mixture(density)),
                storages: &[
                    &window.chunk.storage,
                    &means.storage,
                    &precisions.storage,
                    &levels.storage,
                    r,
                    likelihoods,
                ],
                workgroups: window.tiles,
                work: 2 * x.rows * window.columns * density.components,
            })?;
        }
        Ok((r, likelihoods))
    }

    fn moments(&self, x: &GpuPanel, density: &Density<GpuMatrix>) -> Result<Moments> {
        let (r, likelihoods) = self.responsibilities(x, density)?;
        let mut windows = Window::all(x);
        windows.iter_mut().for_each(Window::join);
        let splits = Splits::of(&windows);
        let (rows, pitch) = (density.dimensions + 1, density.means.pitch());
        let cells = rows * pitch;
        let sums = self.new_stack(1, 2 * splits.count * rows, density.components)?;
        for window in windows {
            let of_window = splits.of_window(&window);
            self.run(Run {
                kernel: &MOMENTS,
                filling: None,
                constants: &[],
                uniform: window.params(Params {
                    first_tile: window.before as u32,
                    split_tiles: splits.tiles as u32,
                    first_split: of_window.start as u32,
                    end_split: of_window.end as u32,
                    ..of_mixture(density)
                }),
                storages: &[
                    &window.chunk.storage,
                    &r.chunks[window.index].storage,
                    &density.means.storage,
                    &sums.storage,
                ],
                workgroups: (of_window.len() * cells).div_ceil(INVOCATIONS),
                work: 3 * x.rows * window.columns * density.components,
            })?;
        }
        let shape = (density.components, density.dimensions);
        let mut counts = Array1::zeros(density.components);
        let (mut firsts, mut seconds) = (Array2::zeros(shape), Array2::zeros(shape));
        for (row, values) in self.read_matrix::<f64>(&sums)?.outer_iter().enumerate() {
            match (row % rows == density.dimensions, row / rows % 2) {
                (true, 0) => counts += &values,
                (true, _) => {}
                (false, power) => {
                    let mut sums = [&mut firsts, &mut seconds][power].column_mut(row % rows);
                    sums += &values;
                }
            }
        }
        let log_likelihood = self.read_panel::<f64>(&likelihoods)?.sum();
        Ok(Moments::around(density, log_likelihood, counts, &firsts, &seconds))
    }

    fn add_priors(
        &self,
        h: &mut GpuPanel,
        priors: &[Prior<GpuMatrix>],
        weights: &GpuPanel,
        n: &mut GpuPanel,
        d: &mut GpuPanel,
    ) -> Result<()> {
        check_priors(priors, h.extent(), weights.extent())?;
        check_sums(h.extent(), n.extent(), d.extent())?;
        let weights_rows = weights.rows as u32;
        for (index, Prior { rows, density, gradient, floor }) in priors.iter().enumerate() {
            let (x, norms) = self.log_norms(h, rows.clone(), *floor)?;
            let (r, _) = self.responsibilities(&x, density)?;
            for window in Window::all(h) {
                let [weights, norms, r, n, d] =
                    [weights, &norms, &r, &*n, &*d].map(|panel| &panel.chunks[window.index].storage);
                let Density { precisions, pulls, .. } = density;
                self.run(Run {
                    kernel: &ADD,
                    filling: None,
                    constants: &[u32::from(*gradient == Gradient::Exact)],
                    uniform: window.params(Params {
                        first_row: rows.start as u32,
                        panel_rows: h.rows as u32,
                        floor: *floor as f32,
                        weights_row: index as u32,
                        weights_rows,
                        ..of_mixture(density)
                    }),
                    storages: &[&window.chunk.storage, weights, norms, r, &precisions.storage, &pulls.storage, n, d],
                    workgroups: window.tiles,
                    work: 4 * rows.len() * window.columns * density.components,
                })?;
            }
        }
        Ok(())
    }

    fn update_gains_under(
        &self,
        v: &GpuPanel,
        w: &GpuMatrix,
        h: &mut GpuPanel,
        rule: &Rule,
        priors: &[Prior<GpuMatrix>],
        weights: &GpuPanel,
    ) -> Result<()> {
        let (mut n, mut d) = self.gain_sums(v, w, h, rule)?;
        self.add_priors(h, priors, weights, &mut n, &mut d)?;
        for window in Window::all(h) {
            self.run(Run {
                kernel: &APPLY,
                filling: None,
                constants: &[],
                uniform: window.params(params(w, rule)),
                storages: &[&window.chunk.storage, &n.chunks[window.index].storage, &d.chunks[window.index].storage],
                workgroups: (h.rows * window.tiles * TILE / QUAD).div_ceil(INVOCATIONS),
                work: h.rows * window.columns,
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::GAIN_FLOOR;
    use super::*;

    #[test]
    fn shaders_match_the_host_declarations() {
        let kernels = [&LOG_NORMALIZE, &RESPONSIBILITIES, &ADD, &APPLY, &MOMENTS];
        crate::engine::gpu::shader_check::check_family("prior", &[], &[], &kernels);
    }

    #[test]
    fn the_shader_floor_equals_the_hosts() {
        assert!(RAISED.text.contains(&format!("const GAIN_FLOOR = {GAIN_FLOOR:e};")));
    }
}
