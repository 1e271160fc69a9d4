//! `partwise models`

use anyhow::bail;
use clap::Args;
use partwise::Model;
use partwise::model::SHIPPED;
use serde::Serialize;

use super::{Common, Ending, examples, print, table};

/// List the models that come with partwise, or print the card of one
#[derive(Args)]
#[command(after_long_help = examples::SHIPPED)]
pub(super) struct Models {
    /// The model whose card is printed: what it was learned from, under which licences, and how well it separates
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

#[derive(Serialize)]
struct Entry {
    name: &'static str,
    sources: Vec<String>,
    sample_rate: u32,
    bytes: usize,
    card: &'static str,
}

impl Models {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Ending> {
        let wanted = |name: &str| self.name.as_ref().is_none_or(|wanted| wanted == name);
        let mut entries = Vec::new();
        for shipped in SHIPPED.iter().filter(|shipped| wanted(shipped.name)) {
            let model = Model::from_bytes(shipped.name.as_ref(), shipped.bytes)?;
            entries.push(Entry {
                name: shipped.name,
                sources: model.names().into_iter().map(String::from).collect(),
                sample_rate: model.sample_rate,
                bytes: shipped.bytes.len(),
                card: shipped.card,
            });
        }
        if let (Some(name), true) = (&self.name, entries.is_empty()) {
            bail!("{name}: no model of this name comes with partwise; `partwise models` lists them");
        }
        print(common.json, &entries, || match (&self.name, &entries[..]) {
            (Some(_), [entry]) => entry.card.to_string(),
            _ => list(&entries),
        })?;
        Ok(Ending::Done)
    }
}

fn list(entries: &[Entry]) -> String {
    let heading = ["model", "sources", "Hz", "KB"].map(String::from).to_vec();
    let row = |entry: &Entry| {
        let size = entry.bytes.div_ceil(1000).to_string();
        vec![entry.name.into(), entry.sources.join(", "), entry.sample_rate.to_string(), size]
    };
    let rows: Vec<Vec<String>> = std::iter::once(heading).chain(entries.iter().map(row)).collect();
    format!(
        "{}partwise separate talk.wav --model speech+noise -o stems/ uses one, and partwise models NAME prints its card\n",
        table(&rows)
    )
}
