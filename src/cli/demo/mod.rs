//! `partwise demo`

mod mixing;
mod page;
mod results;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use clap::Args;
use include_dir::{Dir, include_dir};
use partwise::Error;

use super::common::heading::{FILES, MODEL};
use super::common::{Nothing, Seed, With};
use super::evaluate::Evaluate;
use super::output::typed;
use super::separate::Separate;
use super::train::Train;
use super::{Common, Ending, examples};
use mixing::Clip;
use results::{ClipScores, Results, SOURCES, SourceScores};

/// The repository's recordings, embedded so that the demo runs from the binary alone.
static RECORDINGS: Dir = include_dir!("$CARGO_MANIFEST_DIR/examples/audio");
/// The promised mean SDR gain in dB. A lower gain means that something is broken.
const LEAST_GAIN: f64 = 5.0;

/// Train on the bundled recordings, separate speech from piano in unseen mixtures, and report the gain
#[derive(Args)]
#[command(after_long_help = examples::DEMO)]
pub(super) struct Demo {
    /// The folder for all output
    #[arg(short, long, value_name = "DIR", default_value = "partwise-demo", help_heading = FILES)]
    output: PathBuf,
    #[command(flatten, next_help_heading = MODEL)]
    seed: Seed,
}

impl Demo {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Ending> {
        let folder = self.output.as_path();
        let name = folder.to_str().with_context(|| format!("{}: is not UTF-8", folder.display()))?;
        let words = Words { folder: name, seed: self.seed.seed };
        let recordings = folder.join("recordings");
        std::fs::create_dir_all(&recordings).map_err(Error::io(&recordings, "create"))?;
        RECORDINGS.extract(&recordings).map_err(Error::io(&recordings, "write"))?;
        let clips = mixing::write(SOURCES, &recordings, folder)?;

        let started = Instant::now();
        let (model, skipped) = parse::<Train>(&words.train())?.learn(common)?;
        let training_seconds = started.elapsed().as_secs_f64();
        ensure!(skipped == 0, "{skipped} recordings in {} cannot be used", recordings.display());
        let (separation, _) = parse::<Separate>(&words.separate())?.separate(common)?;
        ensure!(separation.failed == 0, "{} of the mixtures cannot be separated", separation.failed);
        let score = |clip: &Clip| -> anyhow::Result<ClipScores> {
            ClipScores::new(&clip.name, parse::<Evaluate>(&words.evaluate(clip))?.evaluate(common)?)
        };
        let scores = clips.iter().map(score).collect::<anyhow::Result<Vec<_>>>()?;
        let commands = [words.train(), words.separate()].into_iter().chain(clips.first().map(|c| words.evaluate(c)));
        let results = Results {
            mean: results::mean(&scores),
            clips: scores,
            training: model.training,
            training_seconds,
            separation_seconds: separation.wall_seconds,
            real_time_factor: separation.real_time_factor,
            engine: separation.engine,
            report: folder.join("report.html"),
            commands: commands.map(|words| typed(&words)).collect(),
        };
        page::write(folder, &clips, &results)?;
        common.conclude(&results, || results.text())?;
        promised(&results.mean)
    }
}

/// The commands as words. The demo runs them and shows them to be typed.
struct Words<'a> {
    folder: &'a str,
    seed: u64,
}

impl Words<'_> {
    fn train(&self) -> Vec<String> {
        let folder = self.folder;
        let mut words = vec!["train".to_string()];
        for source in SOURCES {
            words.extend(["--source".into(), format!("{source}={folder}/recordings/{source}/train")]);
        }
        words.push("-o".into());
        words.push(format!("{folder}/model.safetensors"));
        if self.seed != 0 {
            words.extend(["--seed".into(), self.seed.to_string()]);
        }
        words
    }

    fn separate(&self) -> Vec<String> {
        let folder = self.folder;
        let model = format!("{folder}/model.safetensors");
        vec![
            "separate".into(),
            format!("{folder}/mixtures"),
            "--model".into(),
            model,
            "-o".into(),
            format!("{folder}/separated"),
        ]
    }

    fn evaluate(&self, clip: &Clip) -> Vec<String> {
        let (folder, name) = (self.folder, &clip.name);
        let mut words = vec!["evaluate".to_string()];
        for (option, below) in [("--reference", "references"), ("--estimate", "separated")] {
            words.push(option.into());
            words.extend(SOURCES.map(|source| format!("{folder}/{below}/{name}.{source}.wav")));
        }
        words.extend(["--mixture".into(), format!("{folder}/mixtures/{name}.wav")]);
        words
    }
}

/// Parses a command from its words, of which the first is its name. The shared options are left out.
fn parse<A: Args>(words: &[String]) -> anyhow::Result<A> {
    // The shared options were parsed with the demo's own options, and are passed on.
    let parser = With::<Nothing, A>::augment_args(clap::Command::new("partwise").disable_help_flag(true));
    Ok(A::from_arg_matches(&parser.try_get_matches_from(words)?)?)
}

/// Checks that the mean gain reaches the promise. A demo that only reports the result would hide faults.
fn promised(mean: &[SourceScores]) -> anyhow::Result<Ending> {
    match mean.first().map(|first| first.sdr.gain) {
        Some(gain) if gain >= LEAST_GAIN => Ok(Ending::Done),
        gain => bail!(
            "the mean gain of {} is {:.1} dB, below the expected {LEAST_GAIN} dB; please report it",
            SOURCES[0],
            gain.unwrap_or(f64::NAN)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::results::Change;
    use super::*;

    #[test]
    fn a_gain_below_the_promise_is_an_error() {
        let mean = |gain| {
            let change = Change { mixture: 0.0, estimate: gain, gain };
            [SourceScores { source: "speech", sdr: change, si_sdr: change }]
        };
        assert!(promised(&mean(5.0)).is_ok());
        for gain in [4.9, -1.0, f64::NAN] {
            let error = promised(&mean(gain)).err().unwrap().to_string();
            assert!(error.starts_with("the mean gain of speech is"), "{error}");
        }
        assert!(promised(&[]).is_err());
    }

    #[test]
    fn the_binary_contains_the_recordings_and_their_licences() {
        for source in SOURCES {
            for part in ["train", "test"] {
                let folder = RECORDINGS.get_dir(format!("{source}/{part}")).unwrap();
                assert!(folder.files().count() >= 2, "{source}/{part}");
            }
        }
        assert!(RECORDINGS.get_file("README.md").is_some());
        let names = |part: &str| -> Vec<_> {
            let folder = RECORDINGS.get_dir(format!("speech/{part}")).unwrap();
            folder.files().map(|file| file.path().file_name().unwrap()).collect()
        };
        assert!(names("test").iter().all(|name| !names("train").contains(name)));
    }
}
