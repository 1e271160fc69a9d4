//! `partwise check`

use anyhow::bail;
use clap::Args;
use indicatif::ProgressBar;
use partwise::AnyEngine;
use partwise::check::{self, Row};
use serde::Serialize;

use super::engine::open;
use super::{Common, Ending, examples, print, progress, table};

/// Compare every kernel of the engine with the f64 reference, on awkward shapes
#[derive(Args)]
#[command(after_long_help = examples::CHECK)]
pub(super) struct Check {}

#[derive(Serialize)]
struct Verdict {
    engine: String,
    passed: bool,
    kernels: Vec<Row>,
}

impl Check {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Ending> {
        let engine = open(common)?;
        let bound = match &engine {
            AnyEngine::Gpu(_) => 2e-5,
            AnyEngine::Cpu(_) => 5e-6,
            AnyEngine::Reference(_) => 1e-12,
        };
        let bar = progress::bar(common, check::KERNELS as u64, "comparing");
        let (name, kernels) = (engine.describe(), check::run(&engine, bound, &mut |row| advance(&bar, row))?);
        bar.finish_and_clear();
        let verdict = Verdict { engine: name, passed: kernels.iter().all(Row::passed), kernels };
        print(common.json, &verdict, || text(&verdict))?;
        match verdict.kernels.iter().filter(|row| !row.passed()).count() {
            0 => Ok(Ending::Done),
            wrong => bail!("{wrong} kernels of {} are wrong; please report it with this table", verdict.engine),
        }
    }
}

fn advance(bar: &ProgressBar, row: &Row) {
    bar.set_message(row.kernel.clone());
    bar.inc(1);
}

fn text(verdict: &Verdict) -> String {
    let mut rows =
        vec![["kernel", "cases", "worst error", "allowed", "verdict", "worst at"].map(String::from).to_vec()];
    for row in &verdict.kernels {
        rows.push(vec![
            row.kernel.clone(),
            row.cases.to_string(),
            format!("{:.1e}", row.worst),
            format!("{:.0e}", row.bound),
            if row.passed() { "ok" } else { "WRONG" }.into(),
            row.at.clone(),
        ]);
    }
    format!("{}{} kernels on {}\n", table(&rows), verdict.kernels.len(), verdict.engine)
}
