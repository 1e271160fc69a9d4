//! `partwise client models`

use clap::Args;
use serde::Deserialize;

use super::super::{Common, Ending, escaped, examples, print, table};
use super::address::Address;

/// List the models of the service
#[derive(Args)]
#[command(after_long_help = examples::MODELS)]
pub(super) struct Models {}

/// A model, as far as this client reads of it.
#[derive(Deserialize)]
struct Model {
    name: String,
    #[serde(default)]
    sources: Vec<String>,
    method: Option<String>,
    sample_rate: Option<u32>,
    error: Option<String>,
}

#[derive(Default, Deserialize)]
struct Answer {
    models: Vec<Model>,
}

impl Models {
    pub(super) fn run(self, common: &Common, address: &Address) -> anyhow::Result<Ending> {
        let answer = address.service()?.get("/v1/models")?;
        print(common.json, &answer, || text(&Answer::deserialize(&answer).unwrap_or_default().models))?;
        Ok(Ending::Done)
    }
}

fn text(models: &[Model]) -> String {
    let (whole, broken): (Vec<_>, Vec<_>) = models.iter().partition(|model| model.error.is_none());
    let mut rows = vec![["model", "sources", "method", "Hz"].map(String::from).to_vec()];
    rows.extend(whole.iter().map(|model| {
        let rate = model.sample_rate.map_or("-".into(), |rate| rate.to_string());
        vec![model.name.clone(), model.sources.join(", "), model.method.clone().unwrap_or("-".into()), rate]
    }));
    let broken = broken.iter().filter_map(|model| Some((&model.name, model.error.as_ref()?)));
    let broken: String =
        broken.map(|(name, error)| format!("cannot be used: {}  {}\n", escaped(name), escaped(error))).collect();
    table(&rows) + &broken
}
