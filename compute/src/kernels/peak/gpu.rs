//! Peak measurements of the GPU engine.

use std::time::Duration;

use super::{Peak, Peaks};
use crate::Result;
use crate::engine::gpu::shader::{Access, Kernel, Uniform, source, uniform};
use crate::engine::gpu::{Gpu, QUAD, Run, Storage};
use crate::engine::{Engine, Timing};
use crate::kernels::gpu::INDEX;

/// Workgroup size of the multiply-add kernel.
const INVOCATIONS: usize = 64;
/// Workgroups of the multiply-add kernel: several times what any device runs at once.
const WORKGROUPS: usize = 1 << 14;
/// Multiply-adds per invocation and round: 32 steps of 12 chains.
const ROUND: usize = 32 * 12;
/// vec4s that a workgroup copies.
const COPIED: usize = 1024;
/// Bytes of a vec4.
const QUAD_BYTES: usize = QUAD * size_of::<f32>();
/// Bytes of a copied buffer, if the device allows them: several times the caches of any device.
const BUFFER_BYTES: u64 = 256 << 20;
/// The least duration of a run that counts: many times the cost of submitting it.
const LONG_ENOUGH: Duration = Duration::from_millis(20);

uniform! {
    /// `Rounds` of shaders/peak/multiply_add.wgsl.
    Rounds {
        rounds: u32,
        a: f32,
        b: f32,
    }
}
uniform! {
    /// `Copy` of shaders/peak/copy.wgsl.
    Copied {
        quads: u32,
    }
}

static MULTIPLY_ADD: Kernel = Kernel {
    source: source!("peak/multiply_add.wgsl", INDEX),
    storages: &[Access::Write],
    constants: &[],
    uniform: Rounds::MEMBERS,
};
static COPY: Kernel = Kernel {
    source: source!("peak/copy.wgsl", INDEX),
    storages: &[Access::Read, Access::Write],
    constants: &[],
    uniform: Copied::MEMBERS,
};

impl Peak for Gpu {
    fn peaks(&self, least: Duration) -> Result<Option<Peaks>> {
        let counts = self.storage(WORKGROUPS * INVOCATIONS)?;
        let round = Timing::shortest(least, LONG_ENOUGH, |rounds| {
            self.timed(|| multiply_add(self, WORKGROUPS, rounds, &counts))
        })?;
        let adapter = self.adapter();
        let bytes = BUFFER_BYTES.min(adapter.max_binding_bytes).min(adapter.max_buffer_bytes);
        let quads = bytes as usize / QUAD_BYTES;
        let (from, to) = (self.storage(quads)?, self.storage(quads)?);
        let copied = Timing::shortest(least, LONG_ENOUGH, |times| {
            self.timed(|| (0..times).try_for_each(|_| copy(self, quads, &from, &to)))
        })?;
        let flop = 2 * ROUND * WORKGROUPS * INVOCATIONS;
        let (flops, bytes) = (flop as f64 / round.computing(), (2 * quads * QUAD_BYTES) as f64 / copied.computing());
        Ok(Some(Peaks { flops, bytes }))
    }
}

/// The longest dispatch, in seconds, on a device at its peak. The products reach at least a fifth of the peak, and a
/// driver treats a dispatch of two seconds as a hang.
const DISPATCH_SECONDS: f64 = 0.05;
/// Multiply-adds that any device does in time: 10 ms at 50 Gflop/s.
const ANY_DISPATCH: usize = 1 << 28;
/// Workgroups, and the most rounds, of the dispatches that measure the limit.
const TRIAL_WORKGROUPS: usize = 256;
const TRIAL_ROUNDS: u32 = 1 << 9;
/// The least duration of such a dispatch, in seconds, for it to count: many times the cost of submitting it.
const TRIAL_SECONDS: f64 = 1e-3;

impl Gpu {
    /// The number of columns per dispatch, out of `columns` with `work` multiply-adds each. It is what any device does
    /// in time, or what this device was measured to do.
    pub(crate) fn columns_at_once(&self, columns: usize, work: usize) -> Result<usize> {
        let bound = match self.dispatch_work.get() {
            Some(&known) => known,
            None if columns.saturating_mul(work) <= ANY_DISPATCH => return Ok(columns),
            None => {
                let measured = self.measure_dispatch_work()?;
                *self.dispatch_work.get_or_init(|| measured)
            }
        };
        Ok((bound / work).max(1))
    }

    /// Starts with the amount that the slowest device does in time.
    fn measure_dispatch_work(&self) -> Result<usize> {
        let counts = self.storage(TRIAL_WORKGROUPS * INVOCATIONS)?;
        // The first run compiles the pipeline.
        let run = |rounds| {
            Timing::of(|| {
                multiply_add(self, TRIAL_WORKGROUPS, rounds, &counts)?;
                self.settle()
            })
        };
        run(1)?;
        let mut rounds = 1;
        loop {
            let seconds = run(rounds)?.wall;
            if seconds >= TRIAL_SECONDS || rounds == TRIAL_ROUNDS {
                let work = TRIAL_WORKGROUPS * INVOCATIONS * ROUND * rounds as usize;
                let bound = (work as f64 / seconds * DISPATCH_SECONDS) as usize;
                log::debug!("gpu: a dispatch may have {:.3} G multiply-adds", bound as f64 / 1e9);
                return Ok(bound.max(ANY_DISPATCH));
            }
            rounds *= 8;
        }
    }
}

fn multiply_add(gpu: &Gpu, workgroups: usize, rounds: u32, counts: &Storage) -> Result<()> {
    gpu.run(Run {
        kernel: &MULTIPLY_ADD,
        filling: None,
        constants: &[],
        uniform: Rounds { rounds, a: 1.0, b: 1.0 },
        storages: &[counts],
        workgroups,
        work: workgroups * INVOCATIONS * ROUND * rounds as usize,
    })
}

fn copy(gpu: &Gpu, quads: usize, from: &Storage, to: &Storage) -> Result<()> {
    gpu.run(Run {
        kernel: &COPY,
        filling: None,
        constants: &[],
        uniform: Copied { quads: quads as u32 },
        storages: &[from, to],
        workgroups: quads.div_ceil(COPIED),
        work: quads * QUAD,
    })
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::engine::gpu::tests::{gpu, numbers};

    #[test]
    fn shaders_match_the_host_declarations() {
        crate::engine::gpu::shader_check::check_family("peak", &[], &[], &[&MULTIPLY_ADD, &COPY]);
    }

    #[test]
    fn the_count_equals_the_number_of_multiply_adds() {
        let Some(gpu) = gpu() else { return };
        let workgroups = 3;
        for rounds in [0, 1, 5] {
            let counts = gpu.matrix(Array2::<f32>::zeros((workgroups * INVOCATIONS, QUAD)).view()).unwrap();
            multiply_add(&gpu, workgroups, rounds, &counts.storage).unwrap();
            for ((invocation, quad), &counted) in gpu.read_matrix::<f32>(&counts).unwrap().indexed_iter() {
                // Three chains that started at lane, 4 + lane and 8 + lane.
                let began = 3 * (invocation % INVOCATIONS + quad) + 12;
                assert_eq!(counted, (began + ROUND / QUAD * rounds as usize) as f32, "{invocation} after {rounds}");
            }
        }
    }

    #[test]
    fn copy_writes_every_number_and_nothing_else() {
        let Some(gpu) = gpu() else { return };
        let (rows, quads) = (1500, 1490);
        let from = gpu.matrix(numbers(1, rows, QUAD).view()).unwrap();
        let to = gpu.matrix(numbers(2, rows, QUAD).view()).unwrap();
        copy(&gpu, quads, &from.storage, &to.storage).unwrap();
        let (from, copied) = (gpu.read_matrix::<f32>(&from).unwrap(), gpu.read_matrix::<f32>(&to).unwrap());
        for row in 0..rows {
            let same = from.row(row) == copied.row(row);
            assert_eq!(same, row < quads, "vec4 {row}");
        }
    }
}
