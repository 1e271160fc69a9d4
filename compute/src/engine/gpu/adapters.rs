//! Finds the adapters of this machine and chooses among them.
//!
//! An adapter is a device behind a driver. For example, a card that both Vulkan and DX12 reach is two adapters but one
//! device.

use std::fmt;

use serde::Serialize;

use crate::{EngineError, Result};

/// The type of the hardware behind an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterKind {
    /// A card with its own memory.
    Discrete,
    /// A part of the processor that uses the processor's memory.
    Integrated,
    /// A share of a card in a virtual machine.
    Virtual,
    /// The driver does not say.
    Other,
    /// A driver that computes on the processor.
    Software,
}

/// A device that the GPU engine can use, as its driver describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Adapter {
    /// The index for [`GpuChoice::Named`]: it counts from 0 through [`adapters`], then through their `others`.
    pub index: usize,
    /// The device's name.
    pub name: String,
    /// The type of hardware.
    pub kind: AdapterKind,
    /// The graphics interface: "vulkan", "metal" or "dx12".
    pub backend: String,
    /// The driver and its version.
    pub driver: String,
    /// The PCI bus id, such as "0000:01:00.0", or empty.
    pub pci_bus_id: String,
    /// The largest buffer in bytes.
    pub max_buffer_bytes: u64,
    /// The largest part of a buffer that a shader can bind, in bytes.
    pub max_binding_bytes: u64,
    /// The workgroup memory in bytes.
    pub max_workgroup_bytes: u32,
    /// The smallest and the largest subgroup.
    pub subgroup_sizes: (u32, u32),
    /// The vendor and device numbers of the backend. They are the same for equal cards.
    pub vendor_and_device: (u32, u32),
    /// The same device behind other drivers.
    pub others: Vec<Adapter>,
    /// The index of the adapter that represents the device.
    #[serde(skip)]
    stands_for: usize,
    /// The number of earlier adapters with the same description.
    #[serde(skip)]
    twin: usize,
}

/// The choice of an adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GpuChoice {
    /// The first of [`adapters`].
    Best,
    /// By index, PCI bus id, or a part of the name that only one device has. "dx12:NAME" selects that backend.
    Named(String),
    /// The same adapter as before, found by its full description even if other adapters came or went.
    Same(Box<Adapter>),
}

impl Adapter {
    /// Whether it computes on the processor. Such an adapter suits tests but is slower than the CPU engine.
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
            vendor_and_device: (info.vendor, info.device),
            others: Vec::new(),
            stands_for: 0,
            twin: 0,
        }
    }

    /// The choice that finds this adapter again.
    pub fn choice(&self) -> GpuChoice {
        GpuChoice::Same(Box::new(Self { others: Vec::new(), ..self.clone() }))
    }

    /// The model and its driver, a key for cached data. Equal cards have the same key.
    pub fn key(&self) -> String {
        let (vendor, device) = self.vendor_and_device;
        format!("{} ({vendor:x}:{device:x}), {} {}", self.name, self.backend, self.driver)
    }

    /// Whether `name`, or `name` after "backend:", is a part of its name.
    fn answers_to(&self, name: &str) -> bool {
        let name = match name.split_once(':') {
            Some((backend, name)) if BACKENDS.contains(&backend) => {
                if backend != self.backend {
                    return false;
                }
                name
            }
            _ => name,
        };
        self.name.to_lowercase().contains(&name.to_lowercase())
    }

    /// The full description. It distinguishes adapters, except equal cards whose driver does not report their bus ids.
    fn identity(&self) -> impl PartialEq + '_ {
        (&self.backend, &self.driver, &self.name, &self.pci_bus_id, self.vendor_and_device)
    }

    /// Its bus id, if reliable. wgpu looks up the bus id of a DX12 adapter by vendor and device, so two equal cards get
    /// the same one.
    fn place(&self) -> Option<&str> {
        Some(self.pci_bus_id.as_str()).filter(|id| !id.is_empty() && self.backend != "dx12")
    }

    /// Whether it is the same device as these adapters, behind another driver or listed twice.
    fn is_one_with(&self, adapters: &[&Self]) -> bool {
        let alike = |other: &&&Self| {
            self.vendor_and_device == other.vendor_and_device
                && (self.vendor_and_device != (0, 0) || self.name == other.name)
        };
        if !adapters.iter().all(|other| alike(&other)) {
            return false;
        }
        if let (Some(place), Some(other)) = (self.place(), adapters.iter().find_map(|other| other.place())) {
            return place == other;
        }
        // There is one processor, so its integrated and software devices exist once. A driver lists each card once, so
        // the first card of one driver is the first of another.
        let once = matches!(self.kind, AdapterKind::Integrated | AdapterKind::Software);
        once || adapters.iter().all(|other| (&self.backend, &self.driver) != (&other.backend, &other.driver))
    }
}

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = format!("{:?}", self.kind).to_lowercase();
        write!(f, "{}: {} ({kind}, {})", self.index, self.name, self.backend)
    }
}

/// The backends, best first. OpenGL is missing: some of its drivers lack features that the kernels need, and every
/// system with a GPU has one of these backends.
const BACKENDS: [&str; 3] = ["vulkan", "metal", "dx12"];

/// The devices of this machine: cards first, then integrated and virtual devices, software last. Each appears once,
/// behind its best backend.
pub fn adapters() -> Vec<Adapter> {
    let found: Vec<Adapter> = found().into_iter().map(|(_, adapter)| adapter).collect();
    let (mut devices, others): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|adapter| adapter.stands_for == adapter.index);
    for other in others {
        devices[other.stands_for].others.push(other);
    }
    devices
}

/// Opens the adapter that `choice` selects.
pub(super) fn choose(choice: &GpuChoice) -> Result<(wgpu::Adapter, Adapter)> {
    let mut found = found();
    let descriptions: Vec<Adapter> = found.iter().map(|(_, adapter)| adapter.clone()).collect();
    let index = select(&descriptions, choice)?;
    Ok(found.swap_remove(index))
}

fn found() -> Vec<(wgpu::Adapter, Adapter)> {
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        flags: wgpu::InstanceFlags::empty(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let described = |adapter: wgpu::Adapter| {
        let description = Adapter::new(&adapter);
        (adapter, description)
    };
    arranged(pollster::block_on(instance.enumerate_adapters(backends)).into_iter().map(described).collect())
}

/// Sorts the drivers' adapters: first one per device, then the other adapters of the same devices.
fn arranged<W>(mut listed: Vec<(W, Adapter)>) -> Vec<(W, Adapter)> {
    listed.sort_by_key(|(_, adapter)| BACKENDS.iter().position(|&backend| backend == adapter.backend));
    let mut devices: Vec<Vec<(W, Adapter)>> = Vec::new();
    for (handle, mut adapter) in listed {
        adapter.twin = devices.iter().flatten().filter(|(_, before)| before.identity() == adapter.identity()).count();
        let is_one = |device: &&mut Vec<(W, Adapter)>| {
            adapter.is_one_with(&device.iter().map(|(_, adapter)| adapter).collect::<Vec<_>>())
        };
        match devices.iter_mut().find(is_one) {
            Some(device) => device.push((handle, adapter)),
            None => devices.push(vec![(handle, adapter)]),
        }
    }
    devices.sort_by_key(|device| device.first().map(|(_, adapter)| adapter.kind));
    let (mut firsts, mut others) = (Vec::with_capacity(devices.len()), Vec::new());
    for (stands_for, device) in devices.into_iter().enumerate() {
        for (place, (handle, adapter)) in device.into_iter().enumerate() {
            let adapters = if place == 0 { &mut firsts } else { &mut others };
            adapters.push((handle, Adapter { stands_for, ..adapter }));
        }
    }
    firsts.append(&mut others);
    firsts.iter_mut().enumerate().for_each(|(index, (_, adapter))| adapter.index = index);
    firsts
}

/// The index that `choice` selects among [`arranged`] adapters.
fn select(adapters: &[Adapter], choice: &GpuChoice) -> Result<usize> {
    let refusal = |cause: String| Err(EngineError::NoAdapter(cause).into());
    if adapters.is_empty() {
        return refusal("no vulkan, metal or dx12 driver has an adapter".into());
    }
    let name = match choice {
        GpuChoice::Best => return Ok(0),
        GpuChoice::Same(same) => {
            let found =
                adapters.iter().find(|adapter| adapter.identity() == same.identity() && adapter.twin == same.twin);
            return found.map_or_else(|| refusal(format!("{same} is no longer there")), |adapter| Ok(adapter.index));
        }
        GpuChoice::Named(name) => name,
    };
    let exact =
        |adapter: &&Adapter| adapter.index.to_string() == *name || adapter.pci_bus_id.eq_ignore_ascii_case(name);
    let mut matches: Vec<&Adapter> = adapters.iter().filter(exact).collect();
    if matches.is_empty() {
        matches = adapters.iter().filter(|adapter| adapter.answers_to(name)).collect();
    }
    // Each matching device counts by its first adapter.
    let mut devices: Vec<&Adapter> = Vec::new();
    for adapter in matches {
        if devices.iter().all(|device| device.stands_for != adapter.stands_for) {
            devices.push(adapter);
        }
    }
    let list =
        |adapters: &mut dyn Iterator<Item = &Adapter>| adapters.map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match devices.as_slice() {
        [] => refusal(format!("no adapter is called '{name}'; the adapters are {}", list(&mut adapters.iter()))),
        [adapter] => Ok(adapter.index),
        _ => refusal(format!("'{name}' matches more than one device: {}", list(&mut devices.into_iter()))),
    }
}

#[cfg(test)]
mod tests {
    use super::AdapterKind::{Discrete, Integrated, Software};
    use super::*;

    fn adapter(name: &str, backend: &str, driver: &str, pci_bus_id: &str) -> Adapter {
        Adapter {
            index: 0,
            name: name.into(),
            kind: Discrete,
            backend: backend.into(),
            driver: driver.into(),
            pci_bus_id: pci_bus_id.into(),
            max_buffer_bytes: 0,
            max_binding_bytes: 0,
            max_workgroup_bytes: 0,
            subgroup_sizes: (32, 32),
            vendor_and_device: (7, name.chars().map(u32::from).sum()),
            others: Vec::new(),
            stands_for: 0,
            twin: 0,
        }
    }

    fn arrange(listed: Vec<Adapter>) -> Vec<Adapter> {
        let listed = listed.into_iter().enumerate().collect();
        arranged(listed).into_iter().map(|(_, adapter)| adapter).collect()
    }

    /// The driver indices of every device.
    fn devices(listed: Vec<Adapter>) -> Vec<Vec<usize>> {
        let adapters = arrange(listed);
        let mut devices = vec![Vec::new(); adapters.iter().map(|adapter| adapter.stands_for + 1).max().unwrap_or(0)];
        adapters.iter().for_each(|adapter| devices[adapter.stands_for].push(adapter.index));
        devices
    }

    fn named(adapters: &[Adapter], name: &str) -> std::result::Result<usize, String> {
        select(adapters, &GpuChoice::Named(name.into())).map_err(|error| error.to_string())
    }

    #[test]
    fn adapters_are_chosen_by_index_bus_id_or_a_part_of_the_name() {
        let adapters = arrange(vec![
            adapter("Fast 9000", "vulkan", "a", "0000:0A:00.0"),
            adapter("Fast 100", "vulkan", "a", "0000:0b:00.0"),
            adapter("Slow", "vulkan", "b", ""),
        ]);
        let named = |name: &str| named(&adapters, name);
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

    #[test]
    fn a_card_behind_two_backends_is_one_device() {
        // A typical Windows machine: a card and an integrated device behind both backends, and DX12's own software
        // device.
        let small = |backend, place| Adapter { kind: Integrated, ..adapter("Small", backend, backend, place) };
        let software = Adapter { kind: Software, ..adapter("Basic", "dx12", "dx12", "") };
        let adapters = arrange(vec![
            small("dx12", "0000:00:02.0"),
            adapter("Fast", "dx12", "dx12", "0000:01:00.0"),
            software,
            small("vulkan", "0000:00:02.0"),
            adapter("Fast", "vulkan", "vulkan", "0000:01:00.0"),
        ]);
        let seen = |adapter: &Adapter| (adapter.name.clone(), adapter.backend.clone(), adapter.stands_for);
        let expected = [
            ("Fast", "vulkan", 0),
            ("Small", "vulkan", 1),
            ("Basic", "dx12", 2),
            ("Fast", "dx12", 0),
            ("Small", "dx12", 1),
        ];
        let expected = expected.map(|(name, backend, device)| (name.to_string(), backend.to_string(), device));
        assert_eq!(adapters.iter().map(seen).collect::<Vec<_>>(), expected);
        // The bus id and the name select the device behind its best backend; a backend prefix selects the other
        // adapter.
        assert_eq!(named(&adapters, "0000:01:00.0"), Ok(0));
        assert_eq!(named(&adapters, "fast"), Ok(0));
        assert_eq!(named(&adapters, "3"), Ok(3));
        assert_eq!(named(&adapters, "dx12:fast"), Ok(3));
        assert_eq!(named(&adapters, "vulkan:small"), Ok(1));
        assert!(named(&adapters, "metal:fast").is_err());
        assert!(named(&adapters, "dx12:").unwrap_err().contains("more than one"));
    }

    #[test]
    fn a_card_behind_two_drivers_of_a_backend_is_one_device() {
        let named_otherwise = Adapter { name: "RADV Fast".into(), ..adapter("Fast", "vulkan", "radv", "0000:03:00.0") };
        let listed = vec![adapter("Fast", "vulkan", "amdvlk", "0000:03:00.0"), named_otherwise];
        assert_eq!(devices(listed.clone()), [[0, 1]]);
        assert_eq!(named(&arrange(listed), "radv"), Ok(1));
        // A driver that is loaded twice, with bus ids or with a part of the processor.
        let twice = |adapter: Adapter| devices(vec![adapter.clone(), adapter]);
        assert_eq!(twice(adapter("Fast", "vulkan", "a", "0000:03:00.0")), [[0, 1]]);
        assert_eq!(twice(Adapter { kind: Software, ..adapter("llvmpipe", "vulkan", "a", "") }), [[0, 1]]);
        assert_eq!(twice(Adapter { kind: Integrated, ..adapter("Small", "vulkan", "a", "") }), [[0, 1]]);
        // Two software drivers are two devices.
        let software = |name| Adapter { kind: Software, ..adapter(name, "vulkan", name, "") };
        assert_eq!(devices(vec![software("llvmpipe"), software("SwiftShader")]), [[0], [1]]);
    }

    #[test]
    fn equal_cards_are_separate_devices() {
        let card = |backend: &str, place: &str| adapter("Fast", backend, backend, place);
        assert_eq!(devices(vec![card("vulkan", "0000:01:00.0"), card("vulkan", "0000:02:00.0")]), [[0], [1]]);
        // No bus ids.
        assert_eq!(devices(vec![card("vulkan", ""), card("vulkan", "")]), [[0], [1]]);
        // DX12 reports the first card's bus id for both.
        let dx12 = || card("dx12", "0000:01:00.0");
        assert_eq!(devices(vec![dx12(), dx12()]), [[0], [1]]);
        let both = vec![card("vulkan", "0000:01:00.0"), card("vulkan", "0000:02:00.0"), dx12(), dx12()];
        assert_eq!(devices(both), [[0, 2], [1, 3]]);
        // Metal reports neither vendor nor device.
        let metal = |name| Adapter { vendor_and_device: (0, 0), ..adapter(name, "metal", "", "") };
        assert_eq!(devices(vec![metal("Apple M1"), metal("Radeon")]), [[0], [1]]);
    }

    #[test]
    fn an_adapter_is_found_again_among_equal_ones() {
        let card = |backend: &str| adapter("Fast", backend, backend, "0000:01:00.0");
        let equal = || adapter("Equal", "vulkan", "vulkan", "");
        let adapters = arrange(vec![card("dx12"), equal(), card("vulkan"), equal(), card("vulkan")]);
        for adapter in &adapters {
            assert_eq!(select(&adapters, &adapter.choice()).unwrap(), adapter.index, "{adapter}");
        }
        // After another adapter, they have other indices.
        let more = arrange(vec![adapter("Other", "vulkan", "vulkan", ""), equal(), equal(), card("vulkan")]);
        assert_eq!(select(&more, &adapters[0].choice()).unwrap(), 1);
        assert_eq!(select(&more, &adapters[1].choice()).unwrap(), 3);
        assert_eq!(select(&more, &adapters[2].choice()).unwrap(), 2);
        let gone = select(&more, &card("dx12").choice()).unwrap_err().to_string();
        assert!(gone.contains("Fast (discrete, dx12) is no longer there"), "{gone}");
    }
}
