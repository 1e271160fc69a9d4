//! The page of one recording.

use std::path::Path;

use ndarray::Array2;
use partwise::report::html::{Audio, Track, escape, listening, page, url};
use partwise::report::pictures::{Matrix, Picture, Rows, masks, shares};
use partwise::report::{Axis, Comparison};
use partwise::{Error, Result};

use super::super::pictures::{Explainer, Heard};
use super::entry::Entry;
use super::places::{INDEX, relative, source};

/// The page of a recording, for the folder `folder` and `depth` folders below the index.
pub(super) fn written(entry: &Entry, folder: &Path, depth: usize, explainer: Option<&Explainer>) -> Result<String> {
    let mut stems = Vec::new();
    for output in &entry.outputs {
        stems.push((source(&entry.input, output), output.as_path(), Heard::of(output)?));
    }
    let mixture = match Heard::of(&entry.input) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => None,
        heard => Some(heard?.mean()),
    };
    let means: Vec<Array2<f32>> = stems.iter().map(|(.., heard)| heard.mean()).collect();
    let (seconds, rate) = stems.first().map_or((0.0, 0), |(.., heard)| (heard.seconds, heard.sample_rate));
    let recording = mixture.iter().map(|levels| ("mixture", entry.input.as_path(), levels));
    let named = stems.iter().zip(&means).map(|((name, path, _), levels)| (name.as_str(), *path, levels));
    let tracks: Vec<(&str, &Path, &Array2<f32>)> = recording.chain(named).collect();
    let levels: Vec<(&str, Array2<f32>)> = tracks.iter().map(|&(name, _, levels)| (name, levels.clone())).collect();
    let pictures = Comparison::of(&levels, seconds, rate)?.each()?;
    let track = |(&(label, path, _), picture): (&(&str, &Path, &Array2<f32>), String)| {
        let audio = Audio::Beside(relative(folder, path));
        vec![Track { label: label.into(), note: String::new(), audio, picture: Some(picture) }]
    };
    let columns: Vec<Vec<Track>> = tracks.iter().zip(pictures).map(track).collect();
    let name = entry.input.file_name().unwrap_or(entry.input.as_os_str()).to_string_lossy();
    let up = format!("{}{INDEX}", "../".repeat(depth));
    let mut body = format!("<p><a href=\"{up}\">All recordings</a></p>\n<h2>Listen and look</h2>\n");
    if mixture.is_none() {
        let input = escape(&entry.input.to_string_lossy());
        body += &format!("<p>The mixture is not where it was: {input}. So the page has its stems alone.</p>\n");
    }
    body += &format!("<p class=\"note\">{} Of several channels it is the mean.</p>\n", Comparison::legend());
    body += &listening("Mixture and stems", &columns);
    let pictures: Vec<Picture> = match explainer {
        Some(explainer) => explainer.factors(&entry.input)?.into_iter().map(|drawn| drawn.picture).collect(),
        None => of_stems(&stems, means, seconds, rate)?.into_iter().collect(),
    };
    if !pictures.is_empty() {
        body += "<h2>How it was separated</h2>\n";
        body += &pictures.iter().map(figure).collect::<String>();
    }
    Ok(page(&name, &body))
}

/// The share of each stem in the magnitude of all, where there are several.
fn of_stems(
    stems: &[(String, &Path, Heard)],
    levels: Vec<Array2<f32>>,
    seconds: f64,
    rate: u32,
) -> Result<Option<Picture>> {
    if stems.len() < 2 {
        return Ok(None);
    }
    let rows = Rows::bins(f64::from(rate), levels.first().map_or(0, Array2::nrows));
    let parts = stems.iter().zip(shares(&levels)).map(|((name, ..), values)| Matrix { title: name.clone(), values });
    let note = "The share of each stem in the magnitude of all stems: close to the masks, which no file keeps. A model that is \
                given with --model shows masks, gains and bases themselves.";
    masks("Shares of the stems", note, &parts.collect::<Vec<_>>(), &rows, &Axis::new("time in s", 0.0..seconds))
        .map(Some)
}

/// A picture below its heading. What is wider than the page scrolls.
fn figure(picture: &Picture) -> String {
    let (title, note) = (escape(&picture.title), escape(&picture.note));
    format!(
        "<figure>\n<h3>{title}</h3>\n<figcaption class=\"note\">{note}</figcaption>\n\
         <div class=\"scroll\" role=\"group\" aria-label=\"{title}\" tabindex=\"0\">\n{}</div>\n</figure>\n",
        picture.svg()
    )
}

/// A link to a page.
pub(super) fn link(to: &Path, label: &str) -> String {
    format!("<a href=\"{}\">{}</a>", escape(&url(to)), escape(label))
}
