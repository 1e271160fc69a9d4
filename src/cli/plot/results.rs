//! `partwise plot` of a folder of results.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use partwise::job::Separation;
use partwise::model::Model;
use partwise::schedule::{self, FileReport, MANIFEST, Recorded, read_manifest};
use partwise::separate::Plan;

use super::super::engine::open;
use super::super::interrupt::Interrupts;
use super::super::pages::{self, Entry};
use super::super::pictures::Explainer;
use super::super::{Common, Ending, manifest, shown};
use super::options::Plot;

/// Makes the pages of all recordings of the manifest.
pub(super) fn run(plot: &Plot, common: &Common) -> anyhow::Result<Ending> {
    let path = plot.path.join(MANIFEST);
    if !path.exists() {
        bail!("{}: has no {MANIFEST}, so it is no folder of results", shown(&plot.path));
    }
    if let Some(what) = plot.what.first() {
        bail!("--what {}: chooses among the pictures of one file; a report has all", what.name());
    }
    let folder = plot.output.clone().map_or_else(|| beside(&plot.path), Ok)?;
    if folder.exists() && !folder.is_dir() {
        bail!("-o {}: is a file; name a folder for the report", shown(&folder));
    }
    let lines = manifest::merge(read_manifest(&path)?);
    let entries = lines.iter().map(|line| Entry::of(line, &plot.path)).collect();
    let interrupts = Interrupts::listen()?;
    let stop = interrupts.noted();
    let written = match &plot.model {
        None => pages::write(&folder, entries, None, stop, common)?,
        Some(path) => {
            let bytes = Model::read(path)?;
            let separation = separation(&lines, &schedule::hash_bytes(&bytes), path)?;
            let model = Model::from_bytes(path, &bytes)?;
            let plan = Plan::new(Some(&model), &separation, &mut |_| Ok(()))?;
            let engine = open(common)?;
            let separator = plan.on_borrowed(&engine);
            let explainer = Explainer { plan: &plan, separator: &*separator, seconds: plot.seconds, stop };
            pages::write(&folder, entries, Some(&explainer), stop, common)?
        }
    };
    common.conclude(&written, || written.text())?;
    Ok(if written.left > 0 {
        Ending::Interrupted
    } else if written.failed > 0 {
        Ending::Partial
    } else {
        Ending::Done
    })
}

/// The name of a report that none was given for: it lies beside the results, and not among them.
fn beside(results: &Path) -> anyhow::Result<PathBuf> {
    let whole = results.canonicalize().with_context(|| format!("{}: cannot be found", shown(results)))?;
    let name =
        whole.file_name().with_context(|| format!("{}: has no name; name the report with -o", shown(results)))?;
    let mut name = name.to_os_string();
    name.push(".report");
    // As the user named the folder, where that has a name.
    let named = if results.file_name().is_some() { results } else { &whole };
    Ok(named.with_file_name(name))
}

/// How all results of a manifest were separated by the model of this hash.
fn separation(lines: &[FileReport], hash: &str, model: &Path) -> anyhow::Result<Separation> {
    let mut found: Option<Separation> = None;
    for line in lines.iter().filter(|line| !line.outputs.is_empty()) {
        let Recorded::Known(known) = &line.parameters else {
            bail!(
                "--model {}: an earlier version of partwise separated {}; leave it out",
                shown(model),
                shown(&line.input)
            );
        };
        if known.model != hash {
            bail!("--model {}: another model separated {}; give that one, or none", shown(model), shown(&line.input));
        }
        match &found {
            Some(other) if *other != known.separation => {
                bail!("--model {}: the results were separated with several options; leave it out", shown(model))
            }
            _ => found = Some(known.separation.clone()),
        }
    }
    found.with_context(|| format!("--model {}: the manifest has no recording that is done", shown(model)))
}
