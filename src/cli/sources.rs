//! Parses sources and their recordings as a user names them.

use std::path::PathBuf;

use anyhow::Context;
use partwise::schedule::{self, Listing};

/// Parses NAME=PATH arguments into sources with their files, in order. Further paths may follow, and a name may appear
/// again. `option` is the option that precedes the arguments, for messages.
pub(super) fn named(option: &str, words: &[String]) -> anyhow::Result<Vec<(String, Vec<PathBuf>)>> {
    let mut sources: Vec<(String, Vec<PathBuf>)> = Vec::new();
    let mut name = None;
    for word in words {
        let path = match word.split_once('=') {
            Some((new, path)) => {
                name = Some(new);
                path
            }
            None => word,
        };
        let name = name.with_context(|| format!("{option} {word}: use NAME=PATH, such as speech=recordings/"))?;
        let files = files(&[path.to_string()]).with_context(|| format!("source '{name}'"))?;
        match sources.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => known.extend(files),
            None => sources.push((name.to_string(), files)),
        }
    }
    Ok(sources)
}

/// The files of path arguments. Warns about files left out of folders. Unreadable folders are reported when they are
/// read.
pub(super) fn files(arguments: &[String]) -> anyhow::Result<Vec<PathBuf>> {
    let Listing { inputs, left_out } = schedule::list(arguments, None)?;
    if !left_out.is_empty() {
        log::warn!("{}: {left_out}", arguments.join(", "));
    }
    Ok(inputs.into_iter().map(|input| input.path).collect())
}
