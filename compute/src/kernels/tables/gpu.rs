//! Tables on the GPU: a vec4 has the cubic of a cell.

use super::{Table, Tables};
use crate::Result;
use crate::engine::gpu::shader::{Access, Kernel, Uniform, source};
use crate::engine::gpu::{Gpu, GpuMatrix, GpuPanel, QUAD, Run};
use crate::kernels::gpu::{CELLS, INDEX, PARAMS, Params, TABLE, bounds};

/// Workgroup size of the kernel.
const INVOCATIONS: usize = 64;

static APPLY: Kernel = Kernel {
    source: source!("tables/apply.wgsl", PARAMS, INDEX, CELLS, TABLE),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};

impl Tables for Gpu {
    fn apply(&self, table: &Table<GpuMatrix>, numbers: &GpuPanel) -> Result<GpuPanel> {
        let values = self.new_panel(numbers.rows, numbers.segments.clone())?;
        let laws = self.table(&bounds(table.of()))?;
        for (numbers, chunk) in numbers.chunks.iter().zip(&values.chunks) {
            let cells = values.rows * chunk.quads();
            self.run(Run {
                kernel: &APPLY,
                filling: None,
                constants: &[],
                uniform: Params { rows: values.rows as u32, chunk_quads: chunk.quads() as u32, ..Params::default() },
                storages: &[&table.cubics.storage, &laws, &numbers.storage, &chunk.storage],
                workgroups: cells.div_ceil(INVOCATIONS),
                work: 8 * cells * QUAD,
            })?;
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shaders_match_the_host_declarations() {
        crate::engine::gpu::shader_check::check_family("tables", &[], &[], &[&APPLY]);
    }
}
