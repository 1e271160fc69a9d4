//! Mixtures of an experiment that one can listen to.

use std::path::{Path, PathBuf};

use crate::audio::{self, Format, Recording};
use crate::report::Comparison;
use crate::report::html::{self, Audio, Track};
use crate::{Error, Result};

/// Mixtures that an experiment keeps to listen to, at most.
pub(super) const HEARD: usize = 2;
/// The folder of the sound, beside the page.
const FOLDER: &str = "audio";

/// A mixture of an experiment, beside its sources: of each the estimates and the truth.
#[derive(Debug, Clone)]
pub struct Example {
    /// What it is, for example the name of its file.
    pub title: String,
    /// In Hz.
    pub sample_rate: u32,
    /// The mixture alone, then the signals of each source, the true one last. All are equally long.
    pub columns: Vec<Vec<Sound>>,
}

/// A signal of an example.
#[derive(Debug, Clone)]
pub struct Sound {
    /// Its source, and whether it is true or by which method it was found.
    pub label: String,
    /// Its score; it may be empty.
    pub note: String,
    /// Its samples, which may exceed full scale.
    pub samples: Vec<f32>,
}

impl Example {
    /// A mixture and its true sources.
    pub(super) fn new(
        title: String,
        sample_rate: u32,
        mixture: Vec<f32>,
        sources: impl IntoIterator<Item = (String, Vec<f32>)>,
    ) -> Self {
        let sound = |label, samples| vec![Sound { label, note: String::new(), samples }];
        let truths = sources.into_iter().map(|(name, samples)| sound(format!("{name}, true"), samples));
        Self { title, sample_rate, columns: std::iter::once(sound("mixture".into(), mixture)).chain(truths).collect() }
    }

    /// Adds what a method makes of the first sources, or of all, above the truth: samples and a score.
    pub(super) fn add(&mut self, method: &str, estimates: impl IntoIterator<Item = (Vec<f32>, String)>) {
        for (column, (samples, note)) in self.columns.iter_mut().skip(1).zip(estimates) {
            let source = column.last().and_then(|truth| truth.label.strip_suffix(", true")).unwrap_or_default();
            let sound = Sound { label: format!("{source}, {method}"), note, samples };
            column.insert(column.len() - 1, sound);
        }
    }

    /// Writes every signal into a folder below `folder`. `number` tells the examples of a page apart.
    ///
    /// # Errors
    /// Those of writing.
    pub(super) fn write(&self, folder: &Path, number: usize) -> Result<()> {
        let below = folder.join(FOLDER);
        std::fs::create_dir_all(&below).map_err(Error::io(&below, "create"))?;
        for ((sound, gain), file) in self.sounds().zip(self.files(number)) {
            let samples = sound.samples.iter().map(|sample| gain * sample).collect();
            let recording = Recording { channels: vec![samples], sample_rate: self.sample_rate, warnings: Vec::new() };
            audio::write(&folder.join(file), &recording, Format::WavPcm16)?;
        }
        Ok(())
    }

    /// The section of the page.
    ///
    /// # Errors
    /// [`Error::Input`] if there are no samples, or the sample rate is too low for a picture.
    pub(super) fn section(&self, number: usize) -> Result<String> {
        let signals: Vec<(&str, &[f32])> = self.sounds().map(|(sound, _)| ("", sound.samples.as_slice())).collect();
        let pictures = Comparison::new(&signals, self.sample_rate)?.each()?;
        let tracks = self.sounds().zip(self.files(number)).zip(pictures).map(|(((sound, gain), file), picture)| {
            let level = (gain < 1.0).then(|| format!("played at {gain:.2} of its level"));
            let notes: Vec<String> =
                [sound.note.clone()].into_iter().filter(|note| !note.is_empty()).chain(level).collect();
            Track {
                label: sound.label.clone(),
                note: notes.join(", "),
                audio: Audio::Beside(file),
                picture: Some(picture),
            }
        });
        let mut tracks = tracks.collect::<Vec<_>>().into_iter();
        let columns: Vec<Vec<Track>> =
            self.columns.iter().map(|column| tracks.by_ref().take(column.len()).collect()).collect();
        Ok(html::listening(&self.title, &columns))
    }

    /// All signals, and what each is multiplied by where it is heard, so that none exceeds full scale. The mixture may be much
    /// louder than its sources. Those have one factor, so that their levels can be compared.
    fn sounds(&self) -> impl Iterator<Item = (&Sound, f32)> {
        let gain = |columns: &[Vec<Sound>]| {
            let samples = columns.iter().flatten().flat_map(|sound| &sound.samples);
            samples.fold(1.0, |peak: f32, sample| peak.max(sample.abs())).recip()
        };
        let (mixture, sources) = self.columns.split_at(self.columns.len().min(1));
        let (of_mixture, of_sources) = (gain(mixture), gain(sources));
        let mixture = mixture.iter().flatten().map(move |sound| (sound, of_mixture));
        mixture.chain(sources.iter().flatten().map(move |sound| (sound, of_sources)))
    }

    /// The files of all signals, relative to the page.
    fn files(&self, number: usize) -> impl Iterator<Item = PathBuf> {
        let plain = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
        self.columns.iter().flatten().enumerate().map(move |(index, sound)| {
            let words: String = sound.label.chars().map(plain).collect();
            let words: Vec<&str> = words.split('-').filter(|word| !word.is_empty()).collect();
            Path::new(FOLDER).join(format!("{number}-{}-{}.wav", index + 1, words.join("-")))
        })
    }
}

/// The level that is next to 0 dB: there both sources are heard.
pub(super) fn next_to_zero(levels: &[f64]) -> f64 {
    levels.iter().copied().min_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(peak: f32) -> Example {
        let tone = |level: f32| (0..900).map(|n| level * (n as f32 * 0.3).sin()).collect::<Vec<f32>>();
        let sources = [("speech <b>".to_string(), tone(0.2)), ("music".into(), tone(0.1))];
        let mut example = Example::new("a".into(), 8000, tone(peak), sources);
        example.add("no prior", [(tone(0.1), "SNR 3.0 dB".to_string())]);
        example
    }

    #[test]
    fn estimates_join_their_sources() {
        let labels: Vec<Vec<String>> = example(0.5)
            .columns
            .iter()
            .map(|column| column.iter().map(|sound| sound.label.clone()).collect())
            .collect();
        let expected: [&[&str]; 3] = [&["mixture"], &["speech <b>, no prior", "speech <b>, true"], &["music, true"]];
        assert_eq!(labels, expected);
    }

    #[test]
    fn the_section_names_the_files_that_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let example = example(0.5);
        example.write(folder.path(), 3).unwrap();
        let html = example.section(3).unwrap();
        let sources: Vec<&str> = html.split("src=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        let expected = ["3-1-mixture", "3-2-speech-b-no-prior", "3-3-speech-b-true", "3-4-music-true"]
            .map(|name| format!("audio/{name}.wav"));
        assert_eq!(sources, expected);
        for file in sources {
            let recording = audio::read(&folder.path().join(file)).unwrap();
            assert_eq!((recording.frames(), recording.sample_rate), (900, 8000));
        }
        assert!(!html.contains("of its level"), "{html}");
    }

    #[test]
    fn only_what_would_be_clipped_is_made_quieter_and_the_page_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let loud = example(4.0);
        loud.write(folder.path(), 1).unwrap();
        let peak = |file: &str| audio::read(&folder.path().join("audio").join(file)).unwrap().peak();
        assert!((peak("1-1-mixture.wav") - 1.0).abs() < 1e-3, "{}", peak("1-1-mixture.wav"));
        assert!((peak("1-4-music-true.wav") - 0.1).abs() < 1e-3, "{}", peak("1-4-music-true.wav"));
        let notes = |html: &str| html.matches("of its level").count();
        let html = loud.section(1).unwrap();
        assert!(html.contains("played at 0.25 of its level") && notes(&html) == 1, "{html}");
        // The sources share one factor.
        let mut loud = example(0.5);
        loud.columns[2][0].samples[7] = 2.0;
        let html = loud.section(1).unwrap();
        assert!(html.contains("SNR 3.0 dB, played at 0.50 of its level") && notes(&html) == 3, "{html}");
    }

    #[test]
    fn the_level_next_to_zero_is_heard() {
        assert_eq!((next_to_zero(&[-6.0, 3.0, 9.0]), next_to_zero(&[])), (3.0, 0.0));
    }
}
