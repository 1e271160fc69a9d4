//! The demo's report page.

use std::path::{Path, PathBuf};

use partwise::report::{Axis, Panel, figure, heatmap, html, spectrogram};
use partwise::{Error, audio};

use super::super::train;
use super::mixing::Clip;
use super::results::{Results, SOURCES};

/// The number of clips shown; all are scored.
const SHOWN: usize = 3;
/// The range of the pictures in dB below the loudest cell of the mixture.
const RANGE: f32 = 80.0;

/// Writes report.html and figure.svg, the spectrograms of the first clip.
pub(super) fn write(folder: &Path, clips: &[Clip], results: &Results) -> anyhow::Result<()> {
    let mut body = introduction(results);
    for (index, clip) in clips.iter().take(SHOWN).enumerate() {
        let files = recordings(clip);
        let pictures = Pictures::of(folder, &files)?;
        body += &format!("<h3>{}</h3>\n<div class=\"trio\">\n", html::escape(&clip.name));
        for (panel, (title, file)) in pictures.panels.iter().zip(&files) {
            let svg = figure(std::slice::from_ref(panel), &pictures.time, None, (340.0, 200.0))?;
            body += &format!("<figure>\n{svg}{}</figure>\n", html::player(title, file));
        }
        body += "</div>\n";
        if index == 0 {
            let svg = figure(&pictures.panels, &pictures.time, Some(&pictures.scale), (640.0, 150.0))?;
            save(&folder.join("figure.svg"), &svg)?;
        }
    }
    body += &training(results);
    save(&results.report, &html::page("Speech and piano, separated", &body))
}

fn save(path: &Path, text: &str) -> anyhow::Result<()> {
    Ok(std::fs::write(path, text).map_err(Error::io(path, "write"))?)
}

/// A clip's mixture and estimates: titles, and paths relative to the demo's folder.
fn recordings(clip: &Clip) -> Vec<(&'static str, PathBuf)> {
    let mixture = ("mixture", Path::new("mixtures").join(format!("{}.wav", clip.name)));
    let estimate = |source| (source, Path::new("separated").join(format!("{}.{source}.wav", clip.name)));
    std::iter::once(mixture).chain(SOURCES.map(estimate)).collect()
}

/// The spectrograms of a clip, with common axes and colours.
struct Pictures {
    panels: Vec<Panel>,
    time: Axis,
    scale: Axis,
}

impl Pictures {
    fn of(folder: &Path, files: &[(&str, PathBuf)]) -> anyhow::Result<Self> {
        let mut spectrograms = Vec::new();
        let (mut seconds, mut rate) = (0.0, 0);
        for (_, file) in files {
            let recording = audio::read(&folder.join(file))?;
            (seconds, rate) = (recording.seconds(), recording.sample_rate);
            spectrograms.push(spectrogram(&recording.channels[0], rate)?);
        }
        let loudest = spectrograms.first().into_iter().flatten().copied().fold(f32::NEG_INFINITY, f32::max);
        let frequency = Axis::new("frequency in kHz", 0.0..f64::from(rate) / 2000.0);
        let panel = |((title, _), values): (&(&str, PathBuf), &ndarray::Array2<f32>)| {
            let png = heatmap(values.view(), loudest - RANGE..loudest)?;
            Ok(Panel { title: (*title).into(), png, y: frequency.clone() })
        };
        Ok(Self {
            panels: files.iter().zip(&spectrograms).map(panel).collect::<partwise::Result<_>>()?,
            time: Axis::new("time in s", 0.0..seconds),
            scale: Axis::new("dB re the loudest", f64::from(-RANGE)..0.0),
        })
    }
}

fn introduction(results: &Results) -> String {
    let seconds = |source: usize| results.training.sources.get(source).map_or(0.0, |source| source.seconds);
    let mut html = format!(
        "<p>The model was trained on {:.0} s of speech and {:.0} s of piano, each alone. Then it separated {} mixtures of the same speaker \
         and the same piano, with words and music that the model has not heard, both equally loud. \
         The results improve on the mixtures by:</p>\n<div class=\"gains\">\n",
        seconds(0),
        seconds(1),
        results.clips.len()
    );
    for scores in &results.mean {
        html += &format!(
            "<div>{}<b>{:+.1} dB</b>SDR, and {:+.1} dB SI-SDR</div>\n",
            html::escape(scores.source),
            scores.sdr.gain,
            scores.si_sdr.gain
        );
    }
    html += "</div>\n<h2>Listen and look</h2>\n";
    html + &format!(
        "<p>The first clips. Each picture shows the {RANGE} dB below the loudest point of the mixture. Bright is loud.</p>\n"
    )
}

fn training(results: &Results) -> String {
    format!(
        "<h2>All clips</h2>\n\
         <p>All values are in dB. SDR is from BSS Eval v3 (512 taps), SI-SDR is the scale-invariant ratio; \
         the mixture is scored as if it were the estimate.</p>\n{}\
         <h2>Training</h2>\n{}\
         <p class=\"note\">partwise {}, seed {}, on {}.</p>\n\
         <h2>The same by hand</h2>\n{}\
         <p class=\"note\">The authors and licences of the recordings: recordings/README.md.</p>\n",
        html::table(&results.rows()),
        html::table(&train::rows(&results.training)),
        html::escape(&results.training.version),
        results.training.seed,
        html::escape(&results.training.engine),
        html::listing(&results.commands),
    )
}
