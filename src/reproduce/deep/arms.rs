//! The costs that are compared: each is learned, if it is, and scored.

use super::options::DeepOptions;
use super::progress::Progress;
use super::scene::Scene;
use crate::engines::AnyEngine;
use crate::methods::deep::denoising::{self, Hear, Noisy};
use crate::methods::deep::pairs::{self, Mixed};
use crate::methods::deep::stacks::BOTH;
use crate::methods::deep::train::{Job, train};
use crate::methods::deep::{Curve, Phi, Start, Task, Training, decibels};
use crate::reproduce::heard::HEARD;
use crate::{Result, with_engine};

/// Examples that are on the engine at once.
const AT_ONCE: usize = 8;

/// A cost of the comparison.
#[derive(Debug, Clone)]
pub(super) struct Arm {
    pub(super) name: &'static str,
    task: Task,
    phi: Phi,
    /// Where it starts; it stays there if it is not learned.
    start: &'static str,
    pub(super) is_learned: bool,
}

/// A cost and its scores.
pub(super) struct Scored {
    pub(super) arm: Arm,
    pub(super) curve: Curve,
    /// SI-SDR over that of the mixture in dB, of both sets, after each number of updates: the mean over all examples.
    pub(super) gains: [Vec<f64>; 2],
    /// The mean losses of the training's steps.
    pub(super) losses: Vec<f64>,
    /// Estimates to listen to, after the most updates: of the first recordings that were not learned from, every source.
    pub(super) heard: Vec<Vec<Vec<f64>>>,
}

/// The costs that one can listen to: one that is not learned, and what the paper learns.
const HEARD_ARMS: [&str; 4] = ["IS", "t, learned", "GGD, learned", "network, learned"];

/// The costs that take noise off.
pub(super) fn denoising_arms() -> Vec<Arm> {
    let arm = |name, phi, start, is_learned| Arm { name, task: Task::Denoise, phi, start, is_learned };
    vec![
        arm("IS", Phi::Ggd, "ggd:2", false),
        arm("t, ν = 4", Phi::T, "t:4", false),
        arm("t, ν = 0.73", Phi::T, "t:0.73", false),
        arm("t, learned", Phi::T, "t:4", true),
        arm("GGD, β = 1.2", Phi::Ggd, "ggd:1.2", false),
        arm("GGD, β = 0.14", Phi::Ggd, "ggd:0.14", false),
        arm("GGD, learned", Phi::Ggd, "ggd:1.2", true),
        arm("network, random", Phi::Network, "random", false),
        arm("network, learned", Phi::Network, "random", true),
        arm("network, learned from t", Phi::Network, "t:0.73", true),
    ]
}

/// The costs that separate speakers.
pub(super) fn separation_arms() -> Vec<Arm> {
    let arm = |name, phi, start, is_learned| Arm { name, task: Task::Separate, phi, start, is_learned };
    vec![
        arm("IS", Phi::Ggd, "ggd:2", false),
        arm("t, ν = 1", Phi::T, "t:1", false),
        arm("t, learned", Phi::T, "t:1", true),
        arm("GGD, β = 0.1", Phi::Ggd, "ggd:0.1", false),
        arm("GGD, learned", Phi::Ggd, "ggd:0.1", true),
        arm("network, random", Phi::Network, "random", false),
        arm("network, learned", Phi::Network, "random", true),
    ]
}

impl Arm {
    /// Learns the cost, if it is learned, and scores it.
    pub(super) fn score(
        self,
        engine: &AnyEngine,
        scene: &Scene,
        options: &DeepOptions,
        watch: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Scored> {
        let own = self.training(options)?;
        let (mut curve, mut losses) = (own.first(options.seed), Vec::new());
        if self.is_learned {
            // Speakers of all pairs would be more voices than a mixture has: each step takes one pair.
            let sources: Vec<&[_]> = match self.task {
                Task::Denoise => vec![std::slice::from_ref(&scene.clean[0])],
                Task::Separate => scene.pairs[0].iter().map(|pair| pair.voices.as_slice()).collect(),
            };
            let job = Job {
                own: &own,
                steps: options.steps,
                seed: options.seed,
                sample_rate: options.sample_rate,
                stft: &scene.stft,
                described: String::new(),
                keeper: None,
            };
            let trained = with_engine!(engine, |engine| {
                train(engine, &sources, job, |step| {
                    watch(Progress::Training(self.name, step, options.steps));
                    Ok(())
                })
            })?;
            (curve, losses) = (trained.learned.curve, trained.losses);
        }
        // Each recording is there several times, in other noises or from other starts; one of them is heard.
        let mut heard = Vec::new();
        let is_heard = HEARD_ARMS.contains(&self.name);
        let mut hear = |index: usize, times: usize, estimates: Vec<Vec<f64>>| {
            if is_heard && index.is_multiple_of(times) && index / times < HEARD {
                heard.push(estimates);
            }
        };
        let gains = match self.task {
            Task::Denoise => {
                let of_set = |set, hear: &mut Hear| {
                    self.denoised(engine, scene, &scene.noisy(set, options)?, &curve, options, hear)
                };
                [of_set(0, &mut |_, _| ())?, of_set(1, &mut |index, estimates| hear(index, options.noises, estimates))?]
            }
            Task::Separate => {
                let of_set = |set, hear: &mut Hear| {
                    self.separated(engine, scene, &scene.mixed(set, options)?, &curve, options, hear)
                };
                [of_set(0, &mut |_, _| ())?, of_set(1, &mut |index, estimates| hear(index, options.starts, estimates))?]
            }
        };
        Ok(Scored { arm: self, curve, gains, losses, heard })
    }

    fn training(&self, options: &DeepOptions) -> Result<Training> {
        let start: Start = self.start.parse()?;
        let clip = if self.phi != Phi::Network && self.task == Task::Separate { 0.01 } else { 1.0 };
        let stacks = match (self.task, self.phi, &start) {
            // Of fewer stacks there are more steps in the same time, and a random network needs many.
            (Task::Denoise, Phi::Network, Start::Random) => options.stacks.div_ceil(3),
            (Task::Denoise, ..) => options.stacks,
            (Task::Separate, ..) => options.stacks_of_bases(),
        };
        Ok(Training {
            task: self.task,
            phi: self.phi,
            start: Some(start),
            components: options.components,
            stacks: Some(stacks),
            batch: options.batch,
            snr: options.snr,
            clip,
            ..Training::default()
        })
    }

    fn denoised(
        &self,
        engine: &AnyEngine,
        scene: &Scene,
        examples: &[Noisy],
        curve: &Curve,
        options: &DeepOptions,
        hear: &mut Hear,
    ) -> Result<Vec<f64>> {
        let mut all = Vec::new();
        for (first, part) in (0..).step_by(AT_ONCE).zip(examples.chunks(AT_ONCE)) {
            let hear = &mut |index, estimates| hear(first + index, estimates);
            let losses = with_engine!(engine, |engine| {
                denoising::losses(engine, &scene.stft, part, curve, BOTH, &options.after, hear)
            })?;
            let before = part.iter().map(|example| example.loss_before(&scene.stft)).collect::<Result<Vec<_>>>()?;
            all.push((losses, before));
        }
        Ok(mean_gains(&all, options.after.len()))
    }

    fn separated(
        &self,
        engine: &AnyEngine,
        scene: &Scene,
        examples: &[Mixed],
        curve: &Curve,
        options: &DeepOptions,
        hear: &mut Hear,
    ) -> Result<Vec<f64>> {
        let mut all = Vec::new();
        for (first, part) in (0..).step_by(AT_ONCE).zip(examples.chunks(AT_ONCE)) {
            let hear = &mut |index, estimates| hear(first + index, estimates);
            let scores = with_engine!(engine, |engine| {
                pairs::losses(engine, &scene.stft, part, curve, options.stacks_of_bases(), &options.after, hear)
            })?;
            // Each speaker is a score of its own.
            let losses = scores.into_iter().map(|of_examples| of_examples.concat()).collect();
            let before = part.iter().map(|example| example.losses_before(&scene.stft)).collect::<Result<Vec<_>>>()?;
            all.push((losses, before.concat()));
        }
        Ok(mean_gains(&all, options.after.len()))
    }
}

/// The mean gains in dB after each number of updates, from losses after the updates and losses of the mixtures.
fn mean_gains(parts: &[(Vec<Vec<f64>>, Vec<f64>)], numbers: usize) -> Vec<f64> {
    let count = parts.iter().map(|(_, before)| before.len()).sum::<usize>().max(1) as f64;
    let of_number = |number: usize| {
        let gains = parts.iter().flat_map(|(after, before)| {
            after[number].iter().zip(before).map(|(after, before)| decibels(*after) - decibels(*before))
        });
        gains.sum::<f64>() / count
    };
    (0..numbers).map(of_number).collect()
}
