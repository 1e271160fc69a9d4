//! Compute pipelines, compiled at first use and kept.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use super::answer::{Answer, guarded};
use super::pipeline_cache::Keeping;
use super::shader::{Access, Kernel, Source, Text};
use crate::EngineError;

/// The distance between dispatches' uniforms in their buffer, in bytes: the largest alignment that a device may
/// require.
pub(super) const UNIFORM_SLOT: u64 = 256;

/// A pipeline and the layout of its only bind group.
pub(super) struct Pipeline {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) bindings: wgpu::BindGroupLayout,
}

/// The parts that determine a shader's text: the kernel's address, the filling file and the constants' values.
type Key = (usize, Option<&'static str>, Vec<u32>);

/// A pipeline or the reason for its failure, computed once.
type Made = Arc<OnceLock<Answer<Arc<Pipeline>>>>;

/// The pipelines of a device. A driver takes up to a second to compile one. So they are compiled in parallel, each from
/// the moment a run first needs it, and a run waits for its pipeline only when it is recorded.
#[derive(Clone)]
pub(super) struct Pipelines(Arc<Shared>);

struct Shared {
    device: wgpu::Device,
    made: Mutex<HashMap<Key, Made>>,
    /// Seconds that runs have waited for pipelines.
    waited: Mutex<f64>,
    keeping: OnceLock<Keeping>,
    /// Whether shaders check indices and bound loops. This doubles the time of some shaders. Only tests use it.
    checked: AtomicBool,
}

impl Pipelines {
    pub(super) fn new(device: wgpu::Device) -> Self {
        Self(Arc::new(Shared {
            device,
            made: Mutex::default(),
            waited: Mutex::default(),
            keeping: OnceLock::new(),
            checked: AtomicBool::new(false),
        }))
    }

    /// Starts to compile a kernel's pipeline at its first use.
    pub(super) fn begin(&self, kernel: &'static Kernel, filling: Option<&'static Source>, constants: &[u32]) {
        let (made, first) = self.place(kernel, filling, constants);
        if !first {
            return;
        }
        let (shared, constants) = (Arc::downgrade(&self.0), constants.to_vec());
        rayon::spawn(move || {
            let Some(shared) = shared.upgrade() else { return };
            // If this panics, it panics again where the run is recorded, and the end of that thread is reported.
            let make = AssertUnwindSafe(|| made.get_or_init(|| shared.make(kernel, filling, &constants)).is_ok());
            let _ = std::panic::catch_unwind(make);
        });
    }

    /// Returns a kernel's pipeline, waiting for it if necessary.
    pub(super) fn get(
        &self,
        kernel: &'static Kernel,
        filling: Option<&'static Source>,
        constants: &[u32],
    ) -> Answer<Arc<Pipeline>> {
        let (made, _) = self.place(kernel, filling, constants);
        if let Some(made) = made.get() {
            return made.clone();
        }
        let started = Instant::now();
        let pipeline = made.get_or_init(|| self.0.make(kernel, filling, constants)).clone();
        *lock(&self.0.waited) += started.elapsed().as_secs_f64();
        pipeline
    }

    /// Uses the kept cache if it is intact and of this device, and calls the listener when the device is closed. Works
    /// once.
    pub(super) fn keep(&self, keeping: Keeping) {
        // A second call is ignored.
        let _ = self.0.keeping.set(keeping);
    }

    /// The slot of a pipeline, and whether this is its first use.
    fn place(&self, kernel: &'static Kernel, filling: Option<&'static Source>, constants: &[u32]) -> (Made, bool) {
        let key = (std::ptr::from_ref(kernel).addr(), filling.map(|filling| filling.path), constants.to_vec());
        match lock(&self.0.made).entry(key) {
            Entry::Occupied(made) => (Arc::clone(made.get()), false),
            Entry::Vacant(place) => (Arc::clone(place.insert(Made::default())), true),
        }
    }
}

impl Shared {
    fn make(
        &self,
        kernel: &'static Kernel,
        filling: Option<&'static Source>,
        constants: &[u32],
    ) -> Answer<Arc<Pipeline>> {
        if !kernel.has(constants) {
            let path = kernel.source.path;
            return Err(EngineError::Refused(format!("{path}: no shader is declared for {constants:?}")));
        }
        let text = Text::compose(kernel, filling, constants);
        let cache = self.keeping.get().and_then(|keeping| keeping.cache(&self.device));
        make(&self.device, kernel, &text, self.checked.load(Ordering::Relaxed), cache).map(Arc::new)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(keeping) = self.keeping.take() {
            keeping.tell(lock(&self.made).len(), *lock(&self.waited));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
impl Pipelines {
    /// Recompiles all pipelines with checks.
    pub(super) fn check(&self) {
        lock(&self.0.made).clear();
        self.0.checked.store(true, Ordering::Relaxed);
    }
}

fn make(
    device: &wgpu::Device,
    kernel: &'static Kernel,
    text: &Text,
    checked: bool,
    cache: Option<&wgpu::PipelineCache>,
) -> Answer<Pipeline> {
    let label = Some(kernel.source.path);
    let (module, refused) = guarded(device, || {
        let source = wgpu::ShaderSource::Wgsl(text.wgsl.as_str().into());
        let descriptor = wgpu::ShaderModuleDescriptor { label, source };
        let checks =
            if checked { wgpu::ShaderRuntimeChecks::checked() } else { wgpu::ShaderRuntimeChecks::unchecked() };
        // SAFETY: all shaders are part of this program. Their loop counts come from uniforms, which the host computes
        // from the storages it binds, and their indices stay within those storages and the workgroup arrays.
        // `runtime_checks_do_not_change_the_bits` in kernels/gpu/on_device.rs runs them with and without checks.
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
            cache,
        });
        Pipeline { pipeline, bindings }
    });
    refused.map_or(Ok(pipeline), Err)
}

/// The first compile error, with its file and line.
fn compile_error(module: &wgpu::ShaderModule, text: &Text) -> Option<String> {
    let messages = pollster::block_on(module.get_compilation_info()).messages;
    let error = messages.into_iter().find(|message| message.message_type == wgpu::CompilationMessageType::Error)?;
    let place = error.location.map(|location| text.place(location.line_number as usize)).unwrap_or_default();
    Some(format!("{place}: {}", summary(&error.message)))
}

/// The line of a message that names the cause. A drawing of the place follows it.
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
