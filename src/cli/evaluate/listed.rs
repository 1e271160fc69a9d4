//! Which estimate is of which source of which recording, by a list.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, bail};
use partwise::Error;
use serde::Deserialize;

use super::clips::{Clip, Matched};

/// A line: a source of a recording.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    clip: String,
    source: String,
    reference: String,
    estimate: String,
    #[serde(default)]
    mixture: Option<String>,
}

/// Reads JSON lines, or comma-separated values under the names of these columns. Paths are relative to the folder of the list.
pub(super) fn read(list: &Path) -> anyhow::Result<Matched> {
    let bytes = std::fs::read(list).map_err(Error::io(list, "read"))?;
    let text = String::from_utf8(bytes).ok().with_context(|| format!("{}: is not UTF-8 text", list.display()))?;
    // Some editors begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines = if text.trim_start().starts_with('{') { json(text) } else { comma_separated(text) };
    let lines =
        lines.with_context(|| format!("{}: a line needs clip, source, reference and estimate", list.display()))?;
    let folder = list.parent().unwrap_or(Path::new(""));
    let (mut clips, mut known): (Vec<Clip>, HashMap<String, usize>) = Default::default();
    for Line { clip: name, source, reference, estimate, mixture } in lines {
        let index = *known.entry(name.clone()).or_insert(clips.len());
        if index == clips.len() {
            clips.push(Clip { name: name.clone(), ..Clip::default() });
        }
        let clip = &mut clips[index];
        if clip.sources.contains(&source) {
            bail!("{}: the source {source} of {name} is named twice", list.display());
        }
        clip.sources.push(source);
        clip.references.push(folder.join(reference));
        clip.estimates.push(folder.join(estimate));
        if let Some(mixture) = mixture.filter(|mixture| !mixture.is_empty()).map(|mixture| folder.join(mixture)) {
            let first = clip.mixture.get_or_insert_with(|| mixture.clone());
            if *first != mixture {
                bail!("{}: {name} has two mixtures, {} and {}", list.display(), first.display(), mixture.display());
            }
        }
    }
    if clips.is_empty() {
        bail!("{}: names no recordings", list.display());
    }
    Ok(Matched { clips, left_out: Vec::new() })
}

fn json(text: &str) -> anyhow::Result<Vec<Line>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parsed = lines.map(|(index, line)| serde_json::from_str(line).with_context(|| format!("line {}", index + 1)));
    parsed.collect()
}

fn comma_separated(text: &str) -> anyhow::Result<Vec<Line>> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    // The error names the line.
    Ok(reader.deserialize().collect::<Result<_, csv::Error>>()?)
}
