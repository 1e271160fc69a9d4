//! Which estimate is of which source of which recording, by the names of files in folders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::bail;
use partwise::schedule::{Input, Listing};
use serde::Serialize;

use super::super::sources;

/// The name of the recording of a folder that has files of sources alone.
pub(super) const HERE: &str = ".";
/// The names of the recording itself where sources have names.
const MIXTURES: [&str; 2] = ["mix", "mixture"];

/// A recording whose estimates are scored.
#[derive(Debug, Default)]
pub(super) struct Clip {
    pub(super) name: String,
    /// The names of its sources, in the order of their references.
    pub(super) sources: Vec<String>,
    pub(super) references: Vec<PathBuf>,
    pub(super) estimates: Vec<PathBuf>,
    pub(super) mixture: Option<PathBuf>,
}

/// What is scored, and what is not.
#[derive(Debug, Default)]
pub(super) struct Matched {
    pub(super) clips: Vec<Clip>,
    pub(super) left_out: Vec<LeftOut>,
}

/// A file that is not scored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct LeftOut {
    pub(super) path: PathBuf,
    pub(super) reason: String,
}

/// The files of a folder by recording and source.
type Named = BTreeMap<String, BTreeMap<String, PathBuf>>;

/// Matches the files of folders. `permuted`: estimates may have any names, as many as there are references.
pub(super) fn matched(
    references: &Path,
    estimates: &Path,
    mixtures: Option<&Path>,
    permuted: bool,
) -> anyhow::Result<Matched> {
    let mut left_out = Vec::new();
    let (mut truth, mut guesses) = (
        named(&files("references", references, &mut left_out)?, &mut left_out),
        named(&files("estimates", estimates, &mut left_out)?, &mut left_out),
    );
    // Neither true sources nor estimates.
    let (beside, _) = (taken_out(&mut truth), taken_out(&mut guesses));
    let mixtures = match mixtures {
        Some(folder) => of_recordings(&files("mixtures", folder, &mut left_out)?),
        None => beside,
    };
    let mut clips = Vec::new();
    let names: BTreeSet<String> = truth.keys().chain(guesses.keys()).cloned().collect();
    for name in names {
        let (of_truth, of_guesses) =
            (truth.remove(&name).unwrap_or_default(), guesses.remove(&name).unwrap_or_default());
        let clip = paired(name, of_truth, of_guesses, permuted, &mut left_out);
        clips.extend(clip.map(|clip| Clip { mixture: mixtures.get(&clip.name).cloned(), ..clip }));
    }
    if clips.is_empty() {
        bail!(
            "{} and {}: no reference has an estimate of its name; name them CLIP.SOURCE.wav or CLIP/SOURCE.wav, or give a --manifest",
            references.display(),
            estimates.display()
        );
    }
    if !mixtures.is_empty() {
        let without = clips.iter().filter(|clip| clip.mixture.is_none());
        left_out.extend(without.flat_map(|clip| clip.references.first()).map(|reference| LeftOut {
            path: reference.clone(),
            reason: "its recording has no mixture, and no gain over it".into(),
        }));
    }
    Ok(Matched { clips, left_out })
}

/// The audio files of a folder and of those below it.
fn files(option: &str, folder: &Path, left_out: &mut Vec<LeftOut>) -> anyhow::Result<Vec<Input>> {
    if !folder.is_dir() {
        bail!(
            "--{option} {}: is not a folder; single files are for --reference, --estimate and --mixture",
            folder.display()
        );
    }
    let name = folder.to_str().map(str::to_string);
    let Some(name) = name else { bail!("{}: is not UTF-8; rename the folder", folder.display()) };
    let Listing { inputs, left_out: others } = sources::listing(std::slice::from_ref(&name), None)?;
    if !others.is_empty() {
        log::warn!("{name}: {others}");
    }
    let (sound, odd): (Vec<Input>, Vec<Input>) = inputs.into_iter().partition(|input| input.problem.is_none());
    left_out
        .extend(odd.into_iter().map(|input| LeftOut { path: input.path, reason: input.problem.unwrap_or_default() }));
    Ok(sound)
}

/// A file's path below its folder, without the end of its name.
fn below(input: &Input) -> String {
    let stem = input.path.file_stem().unwrap_or_default();
    input.below.join(stem).to_string_lossy().replace('\\', "/")
}

/// The recording and the source of a path: CLIP.SOURCE, or otherwise CLIP/SOURCE.
fn parts(path: &str) -> (&str, &str) {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name.rsplit_once('.') {
        Some((clip, source)) if !clip.is_empty() && !source.is_empty() => {
            (&path[..path.len() - source.len() - 1], source)
        }
        _ if folder.is_empty() => (HERE, name),
        _ => (folder, name),
    }
}

fn named(files: &[Input], left_out: &mut Vec<LeftOut>) -> Named {
    let mut named = Named::new();
    for file in files {
        let path = below(file);
        let (clip, source) = parts(&path);
        let of_clip = named.entry(clip.into()).or_default();
        if let Some(first) = of_clip.get(source) {
            let reason = format!("{} has the same name and another ending", first.display());
            left_out.push(LeftOut { path: file.path.clone(), reason });
        } else {
            of_clip.insert(source.into(), file.path.clone());
        }
    }
    named
}

/// Takes mixtures out of what has the names of sources; they are returned by the recording.
fn taken_out(named: &mut Named) -> BTreeMap<String, PathBuf> {
    let mut mixtures = BTreeMap::new();
    for (clip, of_clip) in named.iter_mut() {
        for name in MIXTURES {
            if let Some(mixture) = of_clip.remove(name) {
                mixtures.insert(clip.clone(), mixture);
            }
        }
    }
    mixtures
}

/// The mixtures of a folder by their recordings: CLIP, or CLIP.mix or CLIP/mixture.
fn of_recordings(files: &[Input]) -> BTreeMap<String, PathBuf> {
    let mut mixtures = BTreeMap::new();
    for file in files {
        let path = below(file);
        let (clip, name) = parts(&path);
        if MIXTURES.contains(&name) {
            mixtures.insert(clip.to_string(), file.path.clone());
        }
        mixtures.entry(path).or_insert_with(|| file.path.clone());
    }
    mixtures
}

/// The sources of a recording that have a reference and an estimate. `permuted`: where there are both, all of them.
fn paired(
    name: String,
    references: BTreeMap<String, PathBuf>,
    estimates: BTreeMap<String, PathBuf>,
    permuted: bool,
    left_out: &mut Vec<LeftOut>,
) -> Option<Clip> {
    let all = permuted && !references.is_empty() && !estimates.is_empty();
    let known = |source: &String| all || (references.contains_key(source) && estimates.contains_key(source));
    for (files, reason) in [(&references, "has no estimate"), (&estimates, "has no reference")] {
        let alone = files.iter().filter(|(source, _)| !known(source));
        left_out.extend(alone.map(|(_, path)| LeftOut { path: path.clone(), reason: reason.into() }));
    }
    let kept = |files: &BTreeMap<String, PathBuf>| -> (Vec<String>, Vec<PathBuf>) {
        files.iter().filter(|(source, _)| known(source)).map(|(source, path)| (source.clone(), path.clone())).unzip()
    };
    let ((sources, references), (_, estimates)) = (kept(&references), kept(&estimates));
    (!references.is_empty()).then_some(Clip { name, sources, references, estimates, mixture: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_recording_and_a_source() {
        for (path, expected) in [
            ("mix.speech", ("mix", "speech")),
            ("a.b.speech", ("a.b", "speech")),
            ("in/mix.speech", ("in/mix", "speech")),
            ("A - B feat. C/vocals", ("A - B feat. C", "vocals")),
            ("in/A/vocals", ("in/A", "vocals")),
            ("speech", (".", "speech")),
            ("mix.", (".", "mix.")),
        ] {
            assert_eq!(parts(path), expected, "{path}");
        }
    }
}
