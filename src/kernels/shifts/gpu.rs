//! Shifted factors on the gpu. A segment is brought together from its chunks first: shifts cross from one to the next.

use super::{Edges, Lags, ShiftRule, Shifts, check_edges, check_factors, check_mask, check_shapes};
use crate::Result;
use crate::divergence::{Divergence, MODEL_FLOOR};
use crate::engine::gpu::shader::{Access, Kernel, Source, Uniform, source};
use crate::engine::gpu::{Gpu, GpuMatrix, GpuPanel, QUAD, Run, Storage, TILE};
use crate::kernels::glue::{Mask, Norm};
use crate::kernels::gpu::{FLOORS, INDEX, PARAMS, Params, RULE, SHIFTED_MODEL, Window, filling};
use crate::kernels::products::{Rule, params};

/// Invocations in a workgroup of every kernel here.
const INVOCATIONS: usize = 64;

static COPY: Kernel = Kernel {
    source: source!("shifts/copy.wgsl", PARAMS, INDEX),
    storages: &[Access::Read, Access::Write],
    constants: &[("BACK", &[0, 1])],
    uniform: Params::MEMBERS,
};
static FIELDS: Kernel = Kernel {
    source: source!("shifts/fields.wgsl", FLOORS, SHIFTED_MODEL),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};
static COSTS: Kernel = Kernel {
    source: source!("shifts/costs.wgsl", FLOORS, SHIFTED_MODEL),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};
static MODEL: Kernel = Kernel {
    source: source!("shifts/model.wgsl", SHIFTED_MODEL),
    storages: &[Access::Read, Access::Read, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};
static GAINS: Kernel = Kernel {
    source: source!("shifts/gains.wgsl", INDEX, RULE),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write],
    constants: &[("PRINTED", &[0, 1])],
    uniform: Params::MEMBERS,
};
static BASES: Kernel = Kernel {
    source: source!("shifts/bases.wgsl", INDEX, RULE),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write, Access::Write, Access::Write],
    constants: &[("PRINTED", &[0, 1]), ("FIRST", &[0, 1]), ("LAST", &[0, 1])],
    uniform: Params::MEMBERS,
};
static PEAK: Kernel = Kernel {
    source: source!("shifts/peak.wgsl", PARAMS, INDEX),
    storages: &[Access::Write, Access::Write],
    constants: &[("FIRST", &[0, 1])],
    uniform: Params::MEMBERS,
};

/// A segment: its windows in the panels' chunks, and what kernels are told of it.
struct Segment<'a> {
    windows: &'a [Window<'a>],
    /// vec4s from one of its rows to the next.
    pitch: usize,
    columns: usize,
    uniform: Params,
    /// The T bases that it meets.
    bases: Storage,
}

impl<'a> Segment<'a> {
    fn all(windows: &'a [Window<'a>], w: &GpuMatrix, lags: Lags, rule: &Rule) -> Vec<Self> {
        let shared = shared(windows, w, lags);
        let of = |windows: &'a [Window<'a>]| {
            let columns = windows.iter().map(|window| window.columns).sum();
            let pitch = windows.iter().map(|window| window.tiles * TILE / QUAD).sum();
            let uniform = Params {
                columns: columns as u32,
                segment_pitch: pitch as u32,
                time_lags: lags.time as u32,
                pitch_lags: lags.pitch as u32,
                bases_stride: w.stride() as u32,
                ..params(w, rule)
            };
            Self { windows, pitch, columns, uniform, bases: w.run_of(windows[0].segment / shared, lags.time) }
        };
        windows.chunk_by(|a, b| a.segment == b.segment).map(of).collect()
    }

    /// Multiply-adds of a product.
    fn work(&self) -> usize {
        let Params { rows, components, time_lags, pitch_lags, .. } = self.uniform;
        [rows, components, time_lags, pitch_lags].iter().fold(self.columns, |work, &count| work * count as usize)
    }
}

/// How many segments share a stack of bases.
fn shared(windows: &[Window], w: &GpuMatrix, lags: Lags) -> usize {
    let segments = windows.last().map_or(0, |last| last.segment + 1);
    (segments * lags.time).div_ceil(w.count).max(1)
}

impl Gpu {
    /// Copies between a panel and the rows of one of its segments.
    fn copy(&self, segment: &Segment, panel: &GpuPanel, rows: &Storage, back: bool) -> Result<()> {
        let mut before = 0;
        for window in segment.windows {
            let chunk = &panel.chunks[window.index].storage;
            let quads = window.tiles * TILE / QUAD;
            self.run(Run {
                kernel: &COPY,
                filling: None,
                constants: &[u32::from(back)],
                uniform: window.params(Params {
                    rows: panel.rows as u32,
                    segment_pitch: segment.pitch as u32,
                    segment_quad: before,
                    ..Params::default()
                }),
                storages: &if back { [rows, chunk] } else { [chunk, rows] },
                workgroups: (panel.rows * quads).div_ceil(INVOCATIONS),
                work: panel.rows * window.columns,
            })?;
            before += quads as u32;
        }
        Ok(())
    }

    /// The rows of a panel's segment.
    fn rows_of(&self, segment: &Segment, panel: &GpuPanel) -> Result<Storage> {
        let rows = self.rows(panel.rows, segment.pitch)?;
        self.copy(segment, panel, &rows, false)?;
        Ok(rows)
    }

    /// A kernel over so many cells of a segment.
    fn over(
        &self,
        segment: &Segment,
        (kernel, filling): (&'static Kernel, Option<&'static Source>),
        constants: &[u32],
        storages: &[&Storage],
        cells: usize,
    ) -> Result<()> {
        let (workgroups, work) = (cells.div_ceil(INVOCATIONS), segment.work());
        self.run(Run { kernel, filling, constants, uniform: segment.uniform, storages, workgroups, work })
    }

    /// P and Q of a segment, and the rows of its gains.
    fn shifted_fields(
        &self,
        segment: &Segment,
        v: &GpuPanel,
        h: &GpuPanel,
        divergence: Divergence,
    ) -> Result<[Storage; 3]> {
        let (data, gains) = (self.rows_of(segment, v)?, self.rows_of(segment, h)?);
        let (p, q) = (self.rows(v.rows, segment.pitch)?, self.rows(v.rows, segment.pitch)?);
        let storages = [&segment.bases, &gains, &data, &p, &q];
        self.over(segment, (&FIELDS, Some(filling(divergence))), &[], &storages, v.rows * segment.pitch)?;
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
            let [p, q, gains] = self.shifted_fields(segment, v, h, rule.rule.divergence)?;
            let storages = [&segment.bases, &p, &q, &gains];
            self.over(segment, (&GAINS, None), &[printed], &storages, h.rows * segment.pitch)?;
            self.copy(segment, h, &gains, true)?;
        }
        Ok(())
    }

    fn update_shifted_bases(&self, v: &GpuPanel, w: &mut GpuMatrix, h: &GpuPanel, rule: &ShiftRule) -> Result<()> {
        check(v, w, h, rule)?;
        let printed = u32::from(rule.edges == Edges::Printed);
        let cells = rule.lags.time * w.rows * w.pitch();
        let (n, d) = (self.storage(cells)?, self.storage(cells)?);
        let windows = Window::all(v);
        let segments = Segment::all(&windows, w, rule.lags, &rule.rule);
        let shared = shared(&windows, w, rule.lags);
        for (index, segment) in segments.iter().enumerate() {
            let [p, q, gains] = self.shifted_fields(segment, v, h, rule.rule.divergence)?;
            let (first, last) = (index % shared == 0, (index + 1) % shared == 0);
            let constants = [printed, u32::from(first), u32::from(last)];
            self.over(segment, (&BASES, None), &constants, &[&gains, &p, &q, &n, &d, &segment.bases], cells)?;
        }
        Ok(())
    }

    fn shifted_costs(
        &self,
        v: &GpuPanel,
        w: &GpuMatrix,
        h: &GpuPanel,
        lags: Lags,
        divergence: Divergence,
    ) -> Result<Vec<f64>> {
        check_shapes(v.extent(), w.extent(), h.extent(), lags)?;
        let all = self.new_panel(1, v.segments.clone())?;
        for segment in &Segment::all(&Window::all(v), w, lags, &Rule::of(divergence)) {
            let (data, gains) = (self.rows_of(segment, v)?, self.rows_of(segment, h)?);
            let costs = self.rows(1, segment.pitch)?;
            let storages = [&segment.bases, &gains, &data, &costs];
            self.over(segment, (&COSTS, Some(filling(divergence))), &[], &storages, INVOCATIONS * segment.pitch)?;
            self.copy(segment, &all, &costs, true)?;
        }
        Ok(crate::engine::Engine::read_panel::<f64>(self, &all)?.into_raw_vec_and_offset().0)
    }

    fn normalize_patterns(&self, w: &mut GpuMatrix, h: &mut GpuPanel, lags: Lags, norm: Norm) -> Result<()> {
        check_factors(w.extent(), h.extent(), lags)?;
        self.normalize_stacks(w, lags.time, Some(h), norm)
    }

    fn shifted_models(&self, w: &GpuMatrix, h: &GpuPanel, lags: Lags) -> Result<Vec<GpuPanel>> {
        check_factors(w.extent(), h.extent(), lags)?;
        let new = |_| self.new_panel(w.rows, h.segments.clone());
        let models = (0..w.columns).map(new).collect::<Result<Vec<GpuPanel>>>()?;
        let windows = Window::all(h);
        for mut segment in Segment::all(&windows, w, lags, &Rule::of(Divergence::Euclidean)) {
            let gains = self.rows_of(&segment, h)?;
            let rows = self.rows(w.rows, segment.pitch)?;
            for (component, model) in (0..).zip(&models) {
                segment.uniform.first_component = component;
                segment.uniform.end_component = component + 1;
                let storages = [&segment.bases, &gains, &rows];
                self.over(&segment, (&MODEL, None), &[], &storages, w.rows * segment.pitch)?;
                self.copy(&segment, model, &rows, true)?;
            }
        }
        Ok(models)
    }

    fn shifted_masks(&self, w: &GpuMatrix, h: &GpuPanel, lags: Lags, mask: Mask) -> Result<Vec<GpuPanel>> {
        check_mask(mask)?;
        let masks = self.shifted_models(w, h, lags)?;
        let floor = (MODEL_FLOOR / masks.len() as f64) as f32;
        for (index, chunk) in h.chunks.iter().enumerate() {
            let cells = w.rows * chunk.pitch();
            let peak = self.storage(cells)?;
            for (component, model) in masks.iter().enumerate() {
                self.run(Run {
                    kernel: &PEAK,
                    filling: None,
                    constants: &[u32::from(component == 0)],
                    uniform: Params {
                        rows: w.rows as u32,
                        panel_pitch: chunk.pitch() as u32,
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
    fn shaders_are_what_the_host_says() {
        let closed = [&COPY, &MODEL, &GAINS, &BASES, &PEAK];
        crate::engine::gpu::shader_check::check_family("shifts", &[&FIELDS, &COSTS], &DIVERGENCES, &closed);
    }
}
