//! The demo's report page.

use std::path::{Path, PathBuf};

use partwise::report::Comparison;
use partwise::report::html::{self, Audio, Track, escape};
use partwise::{Error, audio};

use super::super::train;
use super::mixing::Clip;
use super::results::{ClipScores, Results, SOURCES, SourceScores};

/// Writes report.html and figure.svg, the spectrograms of the first clip.
pub(super) fn write(folder: &Path, clips: &[Clip], results: &Results) -> anyhow::Result<()> {
    let mut body = introduction(results);
    for (index, (clip, scores)) in clips.iter().zip(&results.clips).enumerate() {
        let heard = Heard::of(folder, clip)?;
        body += &heard.section(&clip.name, scores)?;
        if index == 0 {
            save(&folder.join("figure.svg"), &heard.figure()?)?;
        }
    }
    body += &training(results);
    save(&results.report, &html::page("Speech and piano, separated", &body))
}

fn save(path: &Path, text: &str) -> anyhow::Result<()> {
    Ok(std::fs::write(path, text).map_err(Error::io(path, "write"))?)
}

/// The signals of a clip.
struct Heard {
    sample_rate: u32,
    mixture: Signal,
    estimates: [Signal; 2],
    truths: [Signal; 2],
}

/// A signal, and its file relative to the demo's folder.
struct Signal {
    file: PathBuf,
    samples: Vec<f32>,
}

impl Heard {
    fn of(folder: &Path, clip: &Clip) -> anyhow::Result<Self> {
        let mut sample_rate = 0;
        let mut read = |below: &str, name: String| -> partwise::Result<Signal> {
            let file = Path::new(below).join(name);
            let recording = audio::read(&folder.join(&file))?;
            sample_rate = recording.sample_rate;
            Ok(Signal { file, samples: recording.channels.into_iter().next().unwrap_or_default() })
        };
        let name = &clip.name;
        let mixture = read("mixtures", format!("{name}.wav"))?;
        let mut of = |below: &str| -> partwise::Result<[Signal; 2]> {
            let [one, other] = SOURCES.map(|source| read(below, format!("{name}.{source}.wav")));
            Ok([one?, other?])
        };
        let (estimates, truths) = (of("separated")?, of("references")?);
        Ok(Self { sample_rate, mixture, estimates, truths })
    }

    /// The mixture beside the sources: of each the estimate above the truth.
    fn section(&self, title: &str, scores: &ClipScores) -> anyhow::Result<String> {
        let pairs = || self.estimates.iter().zip(&self.truths);
        let signals: Vec<&Signal> = std::iter::once(&self.mixture).chain(pairs().flat_map(<[_; 2]>::from)).collect();
        let named: Vec<(&str, &[f32])> = signals.iter().map(|signal| ("", signal.samples.as_slice())).collect();
        let mut pictures = Comparison::new(&named, self.sample_rate)?.each()?.into_iter();
        let mut track = |label: String, note: String, signal: &Signal| Track {
            label,
            note,
            audio: Audio::Beside(signal.file.clone()),
            picture: pictures.next(),
        };
        let mut columns = vec![vec![track(
            "mixture".into(),
            format!("{} and {}, equally loud", SOURCES[0], SOURCES[1]),
            &self.mixture,
        )]];
        for ((source, scores), (estimate, truth)) in SOURCES.iter().zip(&scores.sources).zip(pairs()) {
            columns.push(vec![
                track(format!("{source}, separated"), note(scores), estimate),
                track(format!("{source}, true"), String::new(), truth),
            ]);
        }
        Ok(html::listening(title, &columns))
    }

    /// The spectrograms of the mixture and the estimates.
    fn figure(&self) -> partwise::Result<String> {
        let estimates = SOURCES.iter().copied().zip(self.estimates.iter().map(|signal| signal.samples.as_slice()));
        let signals: Vec<_> = std::iter::once(("mixture", self.mixture.samples.as_slice())).chain(estimates).collect();
        Comparison::new(&signals, self.sample_rate)?.stacked((640.0, 150.0))
    }
}

/// The scores of an estimate in a line.
fn note(SourceScores { sdr, si_sdr, .. }: &SourceScores) -> String {
    format!("SDR {:.1} dB ({:+.1}), SI-SDR {:.1} dB ({:+.1})", sdr.estimate, sdr.gain, si_sdr.estimate, si_sdr.gain)
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
            escape(scores.source),
            scores.sdr.gain,
            scores.si_sdr.gain
        );
    }
    html += "</div>\n<h2>Listen and look</h2>\n";
    html + &format!(
        "<p>One hears the mixture at first. Solo plays another track alone, at the same place. In brackets: how much \
         better an estimate is than the mixture. {}</p>\n",
        Comparison::legend()
    )
}

fn training(results: &Results) -> String {
    format!(
        "<h2>All scores</h2>\n\
         <p>All values are in dB. SDR is from BSS Eval v3 (512 taps), SI-SDR is the scale-invariant ratio; \
         the mixture is scored as if it were the estimate.</p>\n{}\
         <h2>Training</h2>\n{}\
         <p class=\"note\">partwise {}, seed {}, on {}.</p>\n\
         <h2>The same by hand</h2>\n{}\
         <p class=\"note\">The authors and licences of the recordings: recordings/README.md.</p>\n",
        html::table("scores", &results.rows()),
        html::table("training", &train::rows(&results.training)),
        escape(&results.training.version),
        results.training.seed,
        escape(&results.training.engine),
        html::listing(&results.commands),
    )
}
