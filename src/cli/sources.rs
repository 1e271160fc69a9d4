//! Parses sources and their recordings as a user names them.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use partwise::Error;
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

/// The inputs of path arguments, see [`schedule::list`]. `@-` is a list on standard input.
pub(super) fn listing(arguments: &[String], except: Option<&Path>) -> partwise::Result<Listing> {
    schedule::list_with(arguments, except, &mut standard_input)
}

/// The list on standard input. It can be read once.
fn standard_input() -> partwise::Result<Vec<u8>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Err(Error::input("@-: standard input holds one list, and is named twice; use files for the others"));
    }
    let mut list = Vec::new();
    std::io::stdin().lock().read_to_end(&mut list).map_err(Error::io("standard input", "read"))?;
    Ok(list)
}

/// The files of path arguments. Warns about files left out of folders. Unreadable folders are reported when they are
/// read.
pub(super) fn files(arguments: &[String]) -> anyhow::Result<Vec<PathBuf>> {
    let Listing { inputs, left_out } = listing(arguments, None)?;
    if !left_out.is_empty() {
        log::warn!("{}: {left_out}", arguments.join(", "));
    }
    Ok(inputs.into_iter().map(|input| input.path).collect())
}
