//! Costs that are learned: Tanji & Murakami (2021), section IV.

mod arms;
mod heard;
mod options;
mod progress;
mod scene;
mod tables;

pub use options::DeepOptions;
pub use progress::Progress;

use arms::{Arm, Scored, denoising_arms, separation_arms};
use scene::Scene;

use super::{Corpus, Findings};
use crate::Result;
use crate::engines::AnyEngine;

const PAPER: &str = "H. Tanji, T. Murakami: Learning the statistical model of the NMF using the deep multiplicative update \
                     algorithm with applications. 2021, section IV";

/// Learns costs from recordings in impulsive noise and scores what they take off new noise, of these recordings and of others.
/// Then learns costs from speakers, and scores the separation of their mixtures: of those speakers and of others.
///
/// `clean`: train and test recordings. `pairs`: pairs of speakers; costs are learned from every second pair.
///
/// # Errors
/// [`crate::Error::Input`] for options out of range, and for recordings that are missing or shorter than a window; also the
/// errors of training.
pub fn deep(
    engine: &AnyEngine,
    clean: &Corpus,
    pairs: &[[Corpus; 2]],
    options: &DeepOptions,
    watch: &mut (dyn FnMut(Progress) + Send),
) -> Result<Findings> {
    let scene = Scene::new(clean, pairs, options, watch)?;
    let mut done = 0;
    let of = denoising_arms().len() + if pairs.is_empty() { 0 } else { separation_arms().len() };
    let mut score = |arm: Arm, watch: &mut (dyn FnMut(Progress) + Send)| -> Result<Scored> {
        let scored = arm.score(engine, &scene, options, watch)?;
        done += 1;
        watch(Progress::Scored(done, of));
        Ok(scored)
    };
    let denoised = denoising_arms().into_iter().map(|arm| score(arm, watch)).collect::<Result<Vec<_>>>()?;
    let separated = if pairs.is_empty() {
        Vec::new()
    } else {
        separation_arms().into_iter().map(|arm| score(arm, watch)).collect::<Result<Vec<_>>>()?
    };
    let mut examples = heard::noisy(&scene, &denoised, options)?;
    if !pairs.is_empty() {
        examples.extend(heard::mixed(&scene, &separated, options)?);
    }
    let stft = scene.stft.params();
    let of_pairs = pairs.iter().map(|[first, second]| format!("{} and {}", first.name, second.name));
    let setting = [
        (
            "clean recordings",
            format!("{}: {} learned from, {} others", clean.name, clean.train.len(), clean.test.len()),
        ),
        ("noise", format!("impulsive, {} dB, {} of each recording", options.snr, options.noises)),
        ("pairs of speakers", of_pairs.collect::<Vec<_>>().join(", ")),
        (
            "transform",
            format!("{} {} / {} / {} at {} Hz", stft.shape, stft.window, stft.hop, stft.fft, options.sample_rate),
        ),
        ("factorizations", format!("{} components, {} stacks", options.components, options.stacks)),
        ("training", format!("{} steps of {} examples", options.steps, options.batch)),
        ("seed, engine", format!("{}, {}", options.seed, engine.describe())),
    ];
    Ok(Findings {
        title: "Costs that are learned".into(),
        paper: PAPER.into(),
        setting: setting.map(|(name, value)| (name.to_string(), value)).to_vec(),
        tables: tables::all(&denoised, &separated, options),
        figures: tables::figures(&denoised, &separated, options)?,
        examples,
    })
}
