//! Writes the pages of a run and their index.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use partwise::report::html::{self, escape};
use partwise::{Error, Result};
use serde::Serialize;

use super::super::pictures::Explainer;
use super::super::{Common, escaped, progress, shown, write_whole};
use super::entry::Entry;
use super::page;
use super::places::{self, INDEX};

/// What became of the pages of a run.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Written {
    /// The page that lists all others.
    pub(in crate::cli) index: PathBuf,
    pub(in crate::cli) pages: usize,
    /// Recordings that were separated, and whose page could not be made.
    pub(in crate::cli) failed: usize,
    /// Recordings whose page was not begun.
    pub(in crate::cli) left: usize,
    /// Why the report ended early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) error: Option<String>,
}

impl Written {
    pub(in crate::cli) fn is_whole(&self) -> bool {
        self.failed + self.left == 0 && self.error.is_none()
    }

    pub(in crate::cli) fn text(&self) -> String {
        if self.error.is_some() {
            return format!("the report {} is not complete\n", shown(&self.index));
        }
        let count = |count: usize, what: &str| if count > 0 { format!(", {count} {what}") } else { String::new() };
        let (failed, left) = (count(self.failed, "failed"), count(self.left, "left"));
        let pages = if self.pages == 1 { "1 page".into() } else { format!("{} pages", self.pages) };
        format!("wrote {pages} and {}{failed}{left}\n", shown(&self.index))
    }
}

/// What there is to say of a recording beside its name and length.
enum Told {
    Page(PathBuf),
    /// Without a page, because of this.
    Without(String),
}

/// Writes the pages of a run into a folder, one after the other, and then the index. A page that cannot be made is a warning, and
/// told in the index; a full disk ends it. `stop` ends it early.
///
/// # Errors
/// [`Error::Io`] if the folder or the index cannot be written, or there is no room.
pub(in crate::cli) fn write(
    folder: &Path,
    mut entries: Vec<Entry>,
    explainer: Option<&Explainer>,
    stop: &AtomicBool,
    common: &Common,
) -> Result<Written> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
    entries.sort_by(|a, b| (&a.place, &a.input).cmp(&(&b.place, &b.input)));
    let places = places::pages(entries.iter().map(|entry| (entry.input.as_path(), entry.place.as_path())));
    let bar = progress::bar(common, entries.len() as u64, "report");
    let (mut pages, mut failed, mut left) = (0, 0, 0);
    let mut told = Vec::new();
    for (entry, place) in entries.iter().zip(places) {
        bar.set_message(escaped(&place.to_string_lossy()).into_owned());
        told.push(if let Some(failure) = &entry.failure {
            Told::Without(failure.clone())
        } else if stop.load(Ordering::Relaxed) {
            left += 1;
            Told::Without("has no page: interrupted".into())
        } else {
            match one(folder, &place, entry, explainer) {
                Ok(()) => {
                    pages += 1;
                    Told::Page(place)
                }
                Err(error) if error.is_full() => return Err(error),
                Err(Error::Cancelled) => {
                    left += 1;
                    Told::Without("has no page: interrupted".into())
                }
                Err(error) => {
                    failed += 1;
                    let input = escaped(&entry.input.to_string_lossy()).into_owned();
                    bar.suspend(|| log::warn!("{input}: has no page in the report: {error}"));
                    Told::Without(format!("has no page: {error}"))
                }
            }
        });
        bar.inc(1);
    }
    bar.finish_and_clear();
    let index = folder.join(INDEX);
    let page = html::page("Separated recordings", &list(&entries, &told));
    write_whole(&index, |path| std::fs::write(path, page))?;
    Ok(Written { index, pages, failed, left, error: None })
}

fn one(folder: &Path, place: &Path, entry: &Entry, explainer: Option<&Explainer>) -> Result<()> {
    let path = folder.join(place);
    let parent = path.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent).map_err(Error::io(parent, "create"))?;
    let depth = place.components().count().saturating_sub(1);
    let page = page::written(entry, parent, depth, explainer)?;
    write_whole(&path, |path| std::fs::write(path, page))
}

/// The body of the index: a table with a row for each recording.
fn list(entries: &[Entry], told: &[Told]) -> String {
    let pages = told.iter().filter(|told| matches!(told, Told::Page(_))).count();
    let without = if pages < entries.len() { " The table says why the others have none." } else { "" };
    let mut html = format!(
        "<p>{} recordings. {pages} have a page to listen to and to look at.{without}</p>\n\
         <div class=\"scroll words\" role=\"group\" aria-label=\"recordings\" tabindex=\"0\"><table>\n\
         <tr><th scope=\"col\">recording</th><th scope=\"col\">seconds</th><th scope=\"col\">status</th></tr>\n",
        entries.len()
    );
    for (entry, told) in entries.iter().zip(told) {
        let name = entry.input.to_string_lossy();
        let (name, status) = match told {
            Told::Page(place) => (page::link(place, &name), "done".into()),
            Told::Without(reason) => {
                (escape(&name), escape(reason.strip_prefix(&format!("{name}: ")).unwrap_or(reason)))
            }
        };
        let seconds = if entry.seconds > 0.0 { format!("{:.1}", entry.seconds) } else { String::new() };
        html += &format!("<tr><th scope=\"row\">{name}</th><td>{seconds}</td><td>{status}</td></tr>\n");
    }
    html + "</table></div>\n"
}
