//! The recordings of the experiment, and the examples that costs are scored by.

use super::options::DeepOptions;
use super::progress::Progress;
use crate::methods::deep::denoising::Noisy;
use crate::methods::deep::noise::impulsive;
use crate::methods::deep::pairs::Mixed;
use crate::methods::deep::train::{BASES_SECONDS, MIXTURE_SECONDS, Voices, mixture, noisy};
use crate::recordings::{self, Material, Recordings};
use crate::reproduce::Corpus;
use crate::spectrogram::Stft;
use crate::train::voices;
use crate::{Error, Result};

/// A pair of speakers: the training and the test recordings of each.
pub(super) struct Speakers {
    pub(super) voices: [Voices; 2],
    test: [Voices; 2],
}

/// All recordings, at one sample rate.
pub(super) struct Scene {
    pub(super) stft: Stft<f64>,
    /// The clean recordings that costs are learned from, and others.
    pub(super) clean: [Voices; 2],
    /// The pairs of speakers that costs are learned from, and others.
    pub(super) pairs: [Vec<Speakers>; 2],
}

impl Scene {
    pub(super) fn new(
        clean: &Corpus,
        pairs: &[[Corpus; 2]],
        options: &DeepOptions,
        watch: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Self> {
        let counts = [options.steps, options.batch, options.components, options.stacks, options.noises, options.starts];
        let rises = options.after.windows(2).all(|two| two[0] < two[1]);
        if counts.contains(&0) || options.mixtures == 0 || options.after.is_empty() || !rises {
            return Err(Error::input(
                "the experiment needs at least one step, example, component, stack, noise, start and mixture, and numbers of \
                 updates that rise",
            ));
        }
        let stft = Stft::new(options.transform.at(options.sample_rate)?)?;
        let mut read = |name: &str, files: &[std::path::PathBuf]| -> Result<Voices> {
            let material = Material { name: name.into(), recordings: Recordings::Files(files.to_vec()) };
            let read = recordings::read(&material, &mut |event| {
                watch(Progress::Reading(event));
                Ok(())
            })?;
            voices(name, &read, options.sample_rate)
        };
        let mut of_pairs = [Vec::new(), Vec::new()];
        for (index, [first, second]) in pairs.iter().enumerate() {
            let train = [read(&first.name, &first.train)?, read(&second.name, &second.train)?];
            let test = [read(&first.name, &first.test)?, read(&second.name, &second.test)?];
            of_pairs[index % 2].push(Speakers { voices: train, test });
        }
        let clean = [read(&clean.name, &clean.train)?, read(&clean.name, &clean.test)?];
        Ok(Self { stft, clean, pairs: of_pairs })
    }

    /// Every recording of a set in some noises that no training has.
    pub(super) fn noisy(&self, set: usize, options: &DeepOptions) -> Result<Vec<Noisy>> {
        let recordings = self.clean[set].recordings.iter().enumerate();
        let all = recordings.flat_map(|(index, clean)| (0..options.noises).map(move |noise| (index, noise, clean)));
        let example = |(index, noise, clean): (usize, usize, &Vec<f64>)| {
            let name = format!("score, set {set}, recording {index}");
            let seed = options.seed.wrapping_add(noise as u64);
            let noise = impulsive(&self.stft, clean.len(), seed, &name)?;
            let start = seed.wrapping_mul(1009).wrapping_add(index as u64);
            Ok(noisy(&self.stft, clean, &noise, options.snr, (options.components, start)))
        };
        all.map(example).collect()
    }

    /// Mixtures of the test recordings of the pairs of a set.
    pub(super) fn mixed(&self, set: usize, options: &DeepOptions) -> Result<Vec<Mixed>> {
        let samples = |seconds: f64| (seconds * f64::from(options.sample_rate)) as usize;
        let mut all = Vec::new();
        for Speakers { voices, test } in &self.pairs[set] {
            let training = voices.each_ref().map(|voice| first(&voice.recordings, samples(BASES_SECONDS)));
            let count = test.iter().map(|voice| voice.recordings.len()).min().unwrap_or(0).min(options.mixtures);
            for index in 0..count {
                for start in 0..options.starts {
                    let clean = test.each_ref().map(|voice| {
                        let recording = &voice.recordings[index];
                        recording[..recording.len().min(samples(MIXTURE_SECONDS))].to_vec()
                    });
                    let seed = options.seed.wrapping_add((7919 * (start + 1)) as u64);
                    all.push(mixture(&self.stft, clean.to_vec(), &training, options.components, seed)?);
                }
            }
        }
        Ok(all)
    }
}

/// The first recordings, up to so many samples.
fn first(recordings: &[Vec<f64>], count: usize) -> Vec<Vec<f64>> {
    let mut left = count;
    let mut taken = Vec::new();
    for recording in recordings {
        let part = recording.len().min(left);
        if part > 0 {
            taken.push(recording[..part].to_vec());
        }
        left -= part;
    }
    taken
}
