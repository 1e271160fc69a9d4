//! `partwise devices`

use clap::Args;
use partwise::engine::{self, Adapter};
use partwise::engines::Verdict;
use serde::Serialize;

use super::engine::engines;
use super::{Common, Ending, examples, print, table};

/// List the GPUs that can be used, and the engine that `auto` takes (measured once, then kept)
#[derive(Args)]
#[command(after_long_help = examples::DEVICES)]
pub(super) struct Devices {}

#[derive(Serialize)]
struct Listing {
    adapters: Vec<Adapter>,
    /// The engine that `--engine auto` selects here, and why.
    auto: String,
    /// The measurements behind it, if there is a GPU.
    panel_seconds: Option<PanelSeconds>,
}

/// The times of one panel on both engines.
#[derive(Serialize)]
struct PanelSeconds {
    gpu: f64,
    cpu: f64,
}

impl Devices {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Ending> {
        let adapters = engine::adapters();
        let Verdict { engine, why, panel_seconds } = engines(common).automatic(&adapters)?;
        let auto = format!("auto takes the {}: {why}", engine.describe());
        let panel_seconds = panel_seconds.map(|(gpu, cpu)| PanelSeconds { gpu, cpu });
        let listing = Listing { adapters, auto, panel_seconds };
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
    let mut text = if listing.adapters.is_empty() { String::new() } else { table(&rows) };
    for adapter in listing.adapters.iter().filter(|adapter| !adapter.others.is_empty()) {
        let others = adapter.others.iter().map(|other| format!("{other} by {}", other.driver));
        text.push_str(&format!("{} is also {}\n", adapter.index, others.collect::<Vec<_>>().join(", ")));
    }
    text + &listing.auto + "\n"
}

/// A number of bytes with a binary unit.
fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = (0..units.len()).rev().find(|&unit| count >= 1 << (10 * unit)).unwrap_or(0);
    format!("{:.0} {}", count as f64 / (1u64 << (10 * unit)) as f64, units[unit])
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn bytes_are_shown_with_a_binary_unit() {
        assert_eq!(
            [0, 1023, 1 << 10, 128 << 20, (2 << 30) - 1, 1 << 50].map(bytes),
            ["0 B", "1023 B", "1 KiB", "128 MiB", "2 GiB", "1024 TiB"]
        );
    }
}
