//! The adapters of this machine, and which of them to take.

use std::fmt;

use serde::Serialize;

use crate::{EngineError, Result};

/// What an adapter is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterKind {
    /// A card with memory of its own.
    Discrete,
    /// A part of the processor, on its memory.
    Integrated,
    /// A share of a card, in a virtual machine.
    Virtual,
    /// The driver does not say.
    Other,
    /// A driver that computes on the processor.
    Software,
}

/// A device that the gpu engine can run on, as its driver describes it.
#[derive(Debug, Clone, Serialize)]
pub struct Adapter {
    /// Its place in [`adapters`].
    pub index: usize,
    /// The device's name.
    pub name: String,
    /// What it is made of.
    pub kind: AdapterKind,
    /// The interface it is reached by: "vulkan", "metal" or "dx12".
    pub backend: String,
    /// The driver and its version.
    pub driver: String,
    /// Its place on the PCI bus, "0000:01:00.0", or empty.
    pub pci_bus_id: String,
    /// The largest buffer, in bytes.
    pub max_buffer_bytes: u64,
    /// The most of a buffer that a shader can see at once, in bytes.
    pub max_binding_bytes: u64,
    /// The memory that the invocations of a workgroup share, in bytes.
    pub max_workgroup_bytes: u32,
    /// The least and the most invocations that run in step.
    pub subgroup_sizes: (u32, u32),
}

/// Which adapter to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GpuChoice {
    /// The first of [`adapters`].
    Best,
    /// By index, PCI bus id, or a part of the name that only one adapter has.
    Named(String),
}

impl Adapter {
    /// Whether it computes on the processor: right for tests, slower than the cpu engine.
    pub fn is_software(&self) -> bool {
        self.kind == AdapterKind::Software
    }

    fn new(adapter: &wgpu::Adapter) -> Self {
        let (info, limits) = (adapter.get_info(), adapter.limits());
        Self {
            index: 0,
            kind: match info.device_type {
                wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
                wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
                wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
                wgpu::DeviceType::Other => AdapterKind::Other,
                wgpu::DeviceType::Cpu => AdapterKind::Software,
            },
            name: info.name,
            backend: info.backend.to_str().into(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().into(),
            pci_bus_id: info.device_pci_bus_id,
            max_buffer_bytes: limits.max_buffer_size,
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            max_workgroup_bytes: limits.max_compute_workgroup_storage_size,
            subgroup_sizes: (info.subgroup_min_size, info.subgroup_max_size),
        }
    }

    fn answers_to(&self, name: &str) -> bool {
        self.name.to_lowercase().contains(&name.to_lowercase())
    }
}

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = format!("{:?}", self.kind).to_lowercase();
        write!(f, "{}: {} ({kind}, {})", self.index, self.name, self.backend)
    }
}

/// The adapters of this machine: cards first, then integrated and virtual ones, software last.
pub fn adapters() -> Vec<Adapter> {
    found().into_iter().map(|(_, adapter)| adapter).collect()
}

/// The adapter that `choice` means.
pub(super) fn choose(choice: &GpuChoice) -> Result<(wgpu::Adapter, Adapter)> {
    let mut found = found();
    let descriptions: Vec<Adapter> = found.iter().map(|(_, adapter)| adapter.clone()).collect();
    let index = select(&descriptions, choice)?;
    Ok(found.swap_remove(index))
}

fn found() -> Vec<(wgpu::Adapter, Adapter)> {
    // OpenGL is left out: it lacks what the kernels need on some drivers, and every system with a gpu has one of these.
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        flags: wgpu::InstanceFlags::empty(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut found: Vec<(wgpu::Adapter, Adapter)> = pollster::block_on(instance.enumerate_adapters(backends))
        .into_iter()
        .map(|adapter| {
            let description = Adapter::new(&adapter);
            (adapter, description)
        })
        .collect();
    found.sort_by_key(|(_, adapter)| adapter.kind);
    found.iter_mut().enumerate().for_each(|(index, (_, adapter))| adapter.index = index);
    found
}

fn select(adapters: &[Adapter], choice: &GpuChoice) -> Result<usize> {
    let refusal = |cause: String| Err(EngineError::NoAdapter(cause).into());
    if adapters.is_empty() {
        return refusal("no vulkan, metal or dx12 driver has an adapter".into());
    }
    let GpuChoice::Named(name) = choice else { return Ok(0) };
    let exact =
        |adapter: &&Adapter| adapter.index.to_string() == *name || adapter.pci_bus_id.eq_ignore_ascii_case(name);
    let mut matches: Vec<&Adapter> = adapters.iter().filter(exact).collect();
    if matches.is_empty() {
        matches = adapters.iter().filter(|adapter| adapter.answers_to(name)).collect();
    }
    let list =
        |adapters: &mut dyn Iterator<Item = &Adapter>| adapters.map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match matches.as_slice() {
        [] => refusal(format!("none is called '{name}'; the adapters are {}", list(&mut adapters.iter()))),
        [adapter] => Ok(adapter.index),
        _ => refusal(format!("'{name}' is more than one: {}", list(&mut matches.into_iter()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(index: usize, name: &str, pci_bus_id: &str) -> Adapter {
        Adapter {
            index,
            name: name.into(),
            kind: AdapterKind::Discrete,
            backend: "vulkan".into(),
            driver: String::new(),
            pci_bus_id: pci_bus_id.into(),
            max_buffer_bytes: 0,
            max_binding_bytes: 0,
            max_workgroup_bytes: 0,
            subgroup_sizes: (32, 32),
        }
    }

    #[test]
    fn adapters_are_chosen_by_index_bus_id_or_a_part_of_the_name() {
        let adapters =
            [adapter(0, "Fast 9000", "0000:0A:00.0"), adapter(1, "Fast 100", "0000:0b:00.0"), adapter(2, "Slow", "")];
        let named = |name: &str| select(&adapters, &GpuChoice::Named(name.into())).map_err(|error| error.to_string());
        assert_eq!(select(&adapters, &GpuChoice::Best).unwrap(), 0);
        assert_eq!(named("1"), Ok(1));
        assert_eq!(named("slow"), Ok(2));
        assert_eq!(named("9000"), Ok(0));
        assert_eq!(named("0000:0a:00.0"), Ok(0));
        let ambiguous = named("fast").unwrap_err();
        assert!(ambiguous.contains("0: Fast 9000") && ambiguous.contains("1: Fast 100") && !ambiguous.contains("Slow"));
        assert!(named("missing").unwrap_err().contains("2: Slow"));
        assert!(named("3").is_err());
        assert!(select(&[], &GpuChoice::Best).is_err());
    }
}
