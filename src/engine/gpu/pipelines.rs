//! Compute pipelines, made at first use and kept.

use std::collections::HashMap;

use super::device::{Answer, guarded};
use super::shader::{Access, Kernel, Source, Text};
use crate::EngineError;

/// Bytes from a dispatch's uniform to the next in their buffer: the largest alignment that a device may ask for.
pub(super) const UNIFORM_SLOT: u64 = 256;

/// A pipeline and the layout of its one bind group.
pub(super) struct Pipeline {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) bindings: wgpu::BindGroupLayout,
}

/// A kernel by its address, the file that fills it in and the values of its constants: what its text depends on.
type Key = (usize, Option<&'static str>, Vec<u32>);

/// The pipelines made so far.
#[derive(Default)]
pub(super) struct Pipelines {
    made: HashMap<Key, Pipeline>,
    /// Whether shaders check their indices and count their loops, which takes half of what some of them do. Only tests ask for
    /// it.
    checked: bool,
}

impl Pipelines {
    /// The pipeline of a kernel, made if this is its first use.
    pub(super) fn get(
        &mut self,
        device: &wgpu::Device,
        kernel: &'static Kernel,
        filling: Option<&'static Source>,
        constants: &[u32],
    ) -> Answer<&Pipeline> {
        let key = (std::ptr::from_ref(kernel).addr(), filling.map(|filling| filling.path), constants.to_vec());
        match self.made.entry(key) {
            std::collections::hash_map::Entry::Occupied(made) => Ok(made.into_mut()),
            std::collections::hash_map::Entry::Vacant(place) => {
                let text = Text::compose(kernel, filling, constants);
                Ok(place.insert(make(device, kernel, &text, self.checked)?))
            }
        }
    }
}

#[cfg(test)]
impl Pipelines {
    /// Makes all pipelines anew, with checks.
    pub(super) fn check(&mut self) {
        *self = Self { checked: true, ..Self::default() };
    }
}

fn make(device: &wgpu::Device, kernel: &'static Kernel, text: &Text, checked: bool) -> Answer<Pipeline> {
    let label = Some(kernel.source.path);
    let (module, refused) = guarded(device, || {
        let source = wgpu::ShaderSource::Wgsl(text.wgsl.as_str().into());
        let descriptor = wgpu::ShaderModuleDescriptor { label, source };
        let checks =
            if checked { wgpu::ShaderRuntimeChecks::checked() } else { wgpu::ShaderRuntimeChecks::unchecked() };
        // SAFETY: all shaders are this program's own. Their loops are counted by the uniform's sizes, which the host forms
        // from the storages it binds, and their indices stay within those storages and the arrays of workgroup memory;
        // `runtime_checks_change_nothing` in kernels/gpu/on_device.rs runs them with checks and without.
        unsafe { device.create_shader_module_trusted(descriptor, checks) }
    });
    if let Some(error) = refused {
        return Err(EngineError::Refused(compile_error(&module, text).unwrap_or_else(|| error.to_string())));
    }
    let (pipeline, refused) = guarded(device, || {
        let bindings =
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &layout(kernel) });
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&layout),
            module: &module,
            entry_point: Some("main"),
            // Every kernel writes the workgroup memory that it reads.
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        Pipeline { pipeline, bindings }
    });
    refused.map_or(Ok(pipeline), Err)
}

/// The first compile error, by the file and line it is in.
fn compile_error(module: &wgpu::ShaderModule, text: &Text) -> Option<String> {
    let messages = pollster::block_on(module.get_compilation_info()).messages;
    let error = messages.into_iter().find(|message| message.message_type == wgpu::CompilationMessageType::Error)?;
    let place = error.location.map(|location| text.place(location.line_number as usize)).unwrap_or_default();
    Some(format!("{place}: {}", summary(&error.message)))
}

/// The line of a message that names the cause; a drawing of the place follows it.
fn summary(message: &str) -> &str {
    message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
}

fn layout(kernel: &Kernel) -> Vec<wgpu::BindGroupLayoutEntry> {
    let entry = |binding: usize, ty, has_dynamic_offset, min_binding_size| wgpu::BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size },
        count: None,
    };
    let uniform_bytes = kernel.uniform.last().map_or(0, |(_, offset)| offset + size_of::<f32>());
    let uniform = entry(0, wgpu::BufferBindingType::Uniform, true, wgpu::BufferSize::new(uniform_bytes as u64));
    let storage = |(at, access): (usize, &Access)| {
        entry(at + 1, wgpu::BufferBindingType::Storage { read_only: *access == Access::Read }, false, None)
    };
    std::iter::once(uniform).chain(kernel.storages.iter().enumerate().map(storage)).collect()
}
