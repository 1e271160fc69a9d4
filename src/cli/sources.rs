//! Sources and their recordings, as a user names them.

use std::path::PathBuf;

use anyhow::Context;
use partwise::schedule;

/// The sources of words NAME=PATH, in order, with their files; more paths may follow one, and a name may come again. `option` is
/// what the words stand after.
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
        let name = name.with_context(|| format!("{option} {word}: expected NAME=PATH, such as speech=recordings/"))?;
        let inputs = schedule::list(&[path.to_string()], None).with_context(|| format!("source '{name}'"))?;
        let files = inputs.into_iter().map(|input| input.path);
        match sources.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => known.extend(files),
            None => sources.push((name.to_string(), files.collect())),
        }
    }
    Ok(sources)
}
