//! `partwise devices`

use clap::Args;
use partwise::engine::{self, Adapter};
use serde::Serialize;

use super::engine::automatic;
use super::{Common, Ending, print, table};

/// List the GPUs that can be used, and which engine `auto` takes
#[derive(Args)]
pub(super) struct Devices {}

#[derive(Serialize)]
struct Listing {
    adapters: Vec<Adapter>,
    /// What `--engine auto` takes here, and why.
    auto: String,
}

impl Devices {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Ending> {
        let adapters = engine::adapters();
        let auto = match automatic(&adapters) {
            Some(adapter) => format!("auto takes the gpu {adapter}: the first that is not software"),
            None if adapters.is_empty() => "auto takes the cpu engine: no gpu was found".into(),
            None => "auto takes the cpu engine: a software gpu computes on the same processor, slower".into(),
        };
        let listing = Listing { adapters, auto };
        print(common.json, &listing, || text(&listing))?;
        Ok(Ending::Done)
    }
}

fn text(listing: &Listing) -> String {
    let heading = ["gpu", "kind", "by", "driver", "pci bus", "buffer", "binding", "workgroup", "subgroup"];
    let mut rows = vec![heading.map(String::from).to_vec()];
    for adapter in &listing.adapters {
        let (least, most) = adapter.subgroup_sizes;
        rows.push(vec![
            format!("{}: {}", adapter.index, adapter.name),
            format!("{:?}", adapter.kind).to_lowercase(),
            adapter.backend.clone(),
            adapter.driver.clone(),
            adapter.pci_bus_id.clone(),
            bytes(adapter.max_buffer_bytes),
            bytes(adapter.max_binding_bytes),
            bytes(u64::from(adapter.max_workgroup_bytes)),
            if least == most { least.to_string() } else { format!("{least} to {most}") },
        ]);
    }
    let adapters = if listing.adapters.is_empty() { String::new() } else { table(&rows) };
    format!("{adapters}{}\n", listing.auto)
}

/// A number of bytes in its binary unit.
fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = (0..units.len()).rev().find(|&unit| count >= 1 << (10 * unit)).unwrap_or(0);
    format!("{:.0} {}", count as f64 / (1u64 << (10 * unit)) as f64, units[unit])
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn bytes_have_their_unit() {
        assert_eq!(
            [0, 1023, 1 << 10, 128 << 20, (2 << 30) - 1, 1 << 50].map(bytes),
            ["0 B", "1023 B", "1 KiB", "128 MiB", "2 GiB", "1024 TiB"]
        );
    }
}
