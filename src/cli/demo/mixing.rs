//! Makes the demo's mixtures, whose sources are known.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use partwise::audio::{self, Format, Recording};
use partwise::{Error, schedule};

/// The peak of a mixture.
const PEAK: f32 = 0.5;

/// A mixture: `mixtures/NAME.wav`, the sum of `references/NAME.SOURCE.wav`.
pub(super) struct Clip {
    pub(super) name: String,
}

/// Mixes every test recording of the first source with a stretch of a recording of the second source. The second
/// source's recordings take turns, and no stretch is reused before all are used. Only the first channels are used.
/// Writes the mixtures and their sources below `folder`.
pub(super) fn write(names: [&str; 2], recordings: &Path, folder: &Path) -> anyhow::Result<Vec<Clip>> {
    let [mixtures, references] = ["mixtures", "references"].map(|below| folder.join(below));
    for folder in [&mixtures, &references] {
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
    }
    let [foregrounds, backgrounds] = names.map(|name| read(&recordings.join(name).join("test")));
    let backgrounds = backgrounds?;
    let mut used = vec![0; backgrounds.len()];
    let mut clips = Vec::new();
    for (index, (stem, foreground)) in foregrounds?.into_iter().enumerate() {
        let turn = index % backgrounds.len();
        let (background_stem, background) = &backgrounds[turn];
        let rate = foreground.sample_rate;
        ensure!(background.sample_rate == rate, "{background_stem}: is not at {rate} Hz like {stem}; resample it");
        let start = if used[turn] + foreground.frames() > background.frames() { 0 } else { used[turn] };
        let (sources, mixture) = mix(&foreground.channels[0], &background.channels[0][start..]);
        used[turn] = start + mixture.len();
        let name = format!("{stem}+{background_stem}");
        let save = |path: PathBuf, samples: Vec<f32>| {
            let recording = Recording { channels: vec![samples], sample_rate: rate, warnings: Vec::new() };
            audio::write(&path, &recording, Format::WavF32)
        };
        save(mixtures.join(format!("{name}.wav")), mixture)?;
        for (source, samples) in names.iter().zip(sources) {
            save(references.join(format!("{name}.{source}.wav")), samples)?;
        }
        clips.push(Clip { name });
    }
    Ok(clips)
}

/// The recordings of a folder and the stems of their names, in order.
fn read(folder: &Path) -> anyhow::Result<Vec<(String, Recording)>> {
    let text = folder.to_str().with_context(|| format!("{}: is not UTF-8", folder.display()))?;
    let read = schedule::list(&[text.to_string()], None)?.inputs.into_iter().map(|input| {
        let recording = audio::read(&input.path)?;
        ensure!(recording.frames() > 0, "{}: holds no audio", input.path.display());
        Ok((input.path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), recording))
    });
    read.collect()
}

/// Mixes two signals at 0 dB, which means equal RMS over the length of the shorter. Returns the scaled signals and
/// their sum, whose peak is [`PEAK`].
fn mix(one: &[f32], other: &[f32]) -> ([Vec<f32>; 2], Vec<f32>) {
    let length = one.len().min(other.len());
    let level = |signal: &[f32]| -> Vec<f32> {
        let power = signal.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / signal.len() as f64;
        let gain = if power > 0.0 { power.sqrt().recip() as f32 } else { 0.0 };
        signal.iter().map(|&x| x * gain).collect()
    };
    let mut sources = [level(&one[..length]), level(&other[..length])];
    let sum = |[one, other]: &[Vec<f32>; 2]| -> Vec<f32> { one.iter().zip(other).map(|(a, b)| a + b).collect() };
    let peak = sum(&sources).iter().fold(0.0, |peak: f32, x| peak.max(x.abs()));
    if peak > 0.0 {
        sources.iter_mut().flatten().for_each(|x| *x *= PEAK / peak);
    }
    let mixture = sum(&sources);
    (sources, mixture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixture_equals_the_hand_computed_one() {
        // RMS 0.1 and 0.5 over three samples. At RMS 1 they are [1, -1, 1] and [1, 1, 1], and their sum has the peak 2.
        let ([one, other], mixture) = mix(&[0.1, -0.1, 0.1, 9.0], &[0.5, 0.5, 0.5]);
        for (found, wanted) in [(one, [0.25, -0.25, 0.25]), (other, [0.25; 3]), (mixture, [0.5, 0.0, 0.5])] {
            assert_eq!(found.len(), 3);
            assert!(found.iter().zip(wanted).all(|(x, y)| (x - y).abs() < 1e-7), "{found:?}");
        }
    }

    #[test]
    fn silent_signals_stay_silent() {
        let ([one, other], mixture) = mix(&[0.0, 0.0], &[1.0, -1.0]);
        assert_eq!((one, other, mixture), (vec![0.0, 0.0], vec![0.5, -0.5], vec![0.5, -0.5]));
        assert_eq!(mix(&[], &[1.0]).1, Vec::<f32>::new());
    }

    #[test]
    fn stretches_are_consecutive_and_restart_when_used_up() {
        let folder = tempfile::tempdir().unwrap();
        let save = |path: PathBuf, samples: Vec<f32>| {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let recording = Recording { channels: vec![samples], sample_rate: 8000, warnings: Vec::new() };
            audio::write(&path, &recording, Format::WavF32).unwrap();
        };
        for name in ["a", "b", "c"] {
            save(folder.path().join(format!("recordings/x/test/{name}.wav")), vec![0.5, -0.5]);
        }
        save(folder.path().join("recordings/y/test/music.wav"), vec![0.1, 0.3, 0.2, 0.4, 0.9]);
        let clips = write(["x", "y"], &folder.path().join("recordings"), folder.path()).unwrap();
        let names: Vec<&str> = clips.iter().map(|clip| clip.name.as_str()).collect();
        assert_eq!(names, ["a+music", "b+music", "c+music"]);
        for (clip, ratio) in clips.iter().zip([3.0, 2.0, 3.0]) {
            let samples = |file: String| audio::read(&folder.path().join(file)).unwrap().channels.remove(0);
            let [x, y] = ["x", "y"].map(|source| samples(format!("references/{}.{source}.wav", clip.name)));
            assert!((y[1] / y[0] - ratio).abs() < 1e-5, "{}: {y:?}", clip.name);
            assert_eq!(samples(format!("mixtures/{}.wav", clip.name)), [x[0] + y[0], x[1] + y[1]]);
        }
    }
}
