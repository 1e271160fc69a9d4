//! Extrapolation on the GPU: elementwise, with one judgement per column.

use std::iter::zip;

use super::{Momentum, Track, check_keep, check_path, check_track};
use crate::Result;
use crate::engine::gpu::shader::{Access, Kernel, Uniform, source};
use crate::engine::gpu::{Gpu, GpuMatrix, GpuPanel, QUAD, Run, Storage};
use crate::kernels::gpu::{CELLS, INDEX, LEAD, PARAMS, Params};

/// Workgroup size of every kernel here.
const INVOCATIONS: usize = 64;

static LEAD_ON: Kernel = Kernel {
    source: source!("momentum/lead.wgsl", PARAMS, INDEX, CELLS, LEAD),
    storages: &[Access::Read, Access::Read, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};
static JUDGE: Kernel = Kernel {
    source: source!("momentum/judge.wgsl", PARAMS, INDEX),
    storages: &[Access::Read, Access::Write, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};
static KEEP: Kernel = Kernel {
    source: source!("momentum/keep.wgsl", PARAMS, INDEX, CELLS),
    storages: &[Access::Read, Access::Read, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};
static ADVANCE: Kernel = Kernel {
    source: source!("momentum/advance.wgsl", PARAMS, INDEX, CELLS, LEAD),
    storages: &[Access::Read, Access::Read, Access::Write, Access::Write, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};

impl Gpu {
    /// Runs one of the kernels over `rows` rows of `quads` vec4s.
    fn step(
        &self,
        kernel: &'static Kernel,
        rows: usize,
        quads: usize,
        share: f64,
        storages: &[&Storage],
    ) -> Result<()> {
        self.run(Run {
            kernel,
            filling: None,
            constants: &[],
            uniform: Params {
                rows: rows as u32,
                chunk_quads: quads as u32,
                exponent: share as f32,
                ..Params::default()
            },
            storages,
            workgroups: (rows * quads).div_ceil(INVOCATIONS),
            work: rows * quads * QUAD,
        })
    }
}

impl Momentum for Gpu {
    fn lead_gains(&self, to: &GpuPanel, from: &GpuPanel, share: f64) -> Result<GpuPanel> {
        check_path(to.extent(), from.extent(), share)?;
        let (rows, led) = (to.rows, self.new_panel(to.rows, to.segments.clone())?);
        for ((to, from), led) in zip(zip(&to.chunks, &from.chunks), &led.chunks) {
            let storages = [&to.storage, &from.storage, &led.storage];
            self.step(&LEAD_ON, rows, to.quads(), share, &storages)?;
        }
        Ok(led)
    }

    fn lead_bases(&self, to: &GpuMatrix, from: &GpuMatrix, share: f64) -> Result<GpuMatrix> {
        check_path(to.extent(), from.extent(), share)?;
        let all = self.new_stack(to.count, to.rows, to.columns)?;
        for (first, to) in to.parts(1, self.binding_quads) {
            let [from, led] = [from, &all].map(|stack| stack.part(first, to.count));
            let storages = [&to.storage, &from.storage, &led.storage];
            self.step(&LEAD_ON, 1, to.quads(to.count), share, &storages)?;
        }
        Ok(all)
    }

    fn advance(&self, track: &mut Track<GpuPanel>, majorizing: f64) -> Result<()> {
        check_track(self, track, majorizing)?;
        let Track { trial, next, costs, previous, safe, state } = track;
        let (rows, back) = (next.rows, majorizing - 1.0);
        let panels = zip(zip(&trial.chunks, &next.chunks), zip(&previous.chunks, &safe.chunks));
        for (((trial, next), (previous, safe)), (costs, state)) in zip(panels, zip(&costs.chunks, &state.chunks)) {
            let shares = self.storage(trial.quads())?;
            self.step(&JUDGE, 1, trial.quads(), back, &[&costs.storage, &state.storage, &shares])?;
            let storages = [&shares, &next.storage, &trial.storage, &previous.storage, &safe.storage];
            self.step(&ADVANCE, rows, trial.quads(), 0.0, &storages)?;
        }
        Ok(())
    }

    fn keep(&self, gains: &GpuPanel, chosen: &GpuPanel, kept: &mut GpuPanel) -> Result<()> {
        check_keep(gains.extent(), chosen.extent(), kept.extent())?;
        let rows = gains.rows;
        for ((gains, chosen), kept) in zip(zip(&gains.chunks, &chosen.chunks), &kept.chunks) {
            let storages = [&chosen.storage, &gains.storage, &kept.storage];
            self.step(&KEEP, rows, gains.quads(), 0.0, &storages)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DELAY, LEAST, LONGEST, REACH, SLACK};
    use super::*;

    #[test]
    fn shaders_match_the_host_declarations() {
        crate::engine::gpu::shader_check::check_family("momentum", &[], &[], &[&LEAD_ON, &JUDGE, &ADVANCE, &KEEP]);
    }

    #[test]
    fn shader_constants_equal_the_hosts() {
        for (source, name, value) in [
            (&LEAD, "LEAST", format!("{LEAST:e}")),
            (&LEAD, "REACH", format!("{REACH:?}")),
            (&JUDGE.source, "LONGEST", LONGEST.to_string()),
            (&JUDGE.source, "DELAY", format!("{DELAY:?}")),
            (&JUDGE.source, "SLACK", format!("{SLACK:e}")),
        ] {
            assert!(source.text.contains(&format!("const {name} = {value};")), "{name} = {value}");
        }
    }
}
