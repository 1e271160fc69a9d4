//! Recordings that were not learned from, to listen to.

use super::arms::Scored;
use super::options::DeepOptions;
use super::scene::Scene;
use crate::Result;
use crate::evaluate::{Mean, si_sdr};
use crate::methods::deep::pairs::Voice;
use crate::reproduce::Example;
use crate::reproduce::heard::HEARD;

/// Recordings in noise and what every cost leaves of them.
pub(super) fn noisy(scene: &Scene, denoised: &[Scored], options: &DeepOptions) -> Result<Vec<Example>> {
    let mut examples = Vec::new();
    for (index, noisy) in scene.noisy(1, options)?.iter().step_by(options.noises).take(HEARD).enumerate() {
        let title = format!("recording {} in noise, {} dB", index + 1, options.snr);
        let clean = [("recording".to_string(), noisy.clean.clone())];
        examples.push(example(title, noisy.mixture(&scene.stft)?, clean.to_vec(), index, denoised, options));
    }
    Ok(examples)
}

/// Mixtures of two speakers and what every cost makes of them.
pub(super) fn mixed(scene: &Scene, separated: &[Scored], options: &DeepOptions) -> Result<Vec<Example>> {
    let mut examples = Vec::new();
    for (index, mixed) in scene.mixed(1, options)?.iter().step_by(options.starts).take(HEARD).enumerate() {
        let speaker = |(of, voice): (usize, &Voice)| (format!("speaker {}", of + 1), voice.clean.clone());
        let truths = mixed.voices.iter().enumerate().map(speaker).collect();
        let title = format!("mixture {} of two speakers", index + 1);
        examples.push(example(title, mixed.mixture(&scene.stft)?, truths, index, separated, options));
    }
    Ok(examples)
}

fn example(
    title: String,
    mixture: Vec<f64>,
    truths: Vec<(String, Vec<f64>)>,
    index: usize,
    scored: &[Scored],
    options: &DeepOptions,
) -> Example {
    let single = |samples: &[f64]| samples.iter().map(|&sample| sample as f32).collect::<Vec<f32>>();
    let sources = truths.iter().map(|(name, samples)| (name.clone(), single(samples)));
    let mut example = Example::new(title, options.sample_rate, single(&mixture), sources);
    for Scored { arm, heard, .. } in scored {
        let Some(estimates) = heard.get(index) else { continue };
        let of_source = |((_, truth), estimate): (&(String, Vec<f64>), &Vec<f64>)| {
            (single(estimate), format!("SI-SDR {:.1} dB", si_sdr(truth, estimate, Mean::Kept)))
        };
        example.add(arm.name, truths.iter().zip(estimates).map(of_source).collect::<Vec<_>>());
    }
    example
}
