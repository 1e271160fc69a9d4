//! Mixtures of recordings, separated by averaging and by plain NMF.

use super::learning::{BACKGROUND, Progress, averaged_training, front, learn};
use super::options::AveragedOptions;
use crate::audio::Recording;
use crate::divergence::Divergence;
use crate::engines::AnyEngine;
use crate::evaluate::{Mean, si_sdr};
use crate::job::{Separation, SeparationMethod, Training, TrainingMethod};
use crate::methods::averaged::{self, Choice};
use crate::model::Model;
use crate::recordings::{Material, Recordings};
use crate::reproduce::Corpus;
use crate::reproduce::mixtures::{Clip, clips};
use crate::separate::{Plan, whole};
use crate::{Error, Result, with_engine};

/// The SI-SDR of the speech in dB by one way.
pub(super) struct Way {
    /// Its name in tables.
    pub(super) name: String,
    /// Whether it is a plain NMF of one order, of which the best is looked for.
    pub(super) is_order: bool,
    /// The means over the clips, one for every level.
    pub(super) of_level: Vec<f64>,
}

/// Separates mixtures of test recordings in every way.
///
/// # Errors
/// Those of training and of separation.
pub(super) fn separate(
    engine: &AnyEngine,
    speech: &Corpus,
    noise: &Corpus,
    options: &AveragedOptions,
    watch: &mut (dyn FnMut(Progress) + Send),
) -> Result<Vec<Way>> {
    let material =
        |corpus: &Corpus| Material { name: corpus.name.clone(), recordings: Recordings::Files(corpus.train.clone()) };
    let both = || vec![material(speech), material(noise)];
    let alone = learn(engine, vec![material(speech)], averaged_training(options), watch)?;
    let clips = clips(&speech.test, &noise.test, options.clips, alone.sample_rate, options.seed)?;
    let of = |own: averaged::Separation| Separation {
        method: Some(SeparationMethod::Averaged(own)),
        iterations: Some(options.iterations),
        ..Separation::default()
    };
    let score = |name: String, is_order: bool, model: &Model, separation: &Separation| {
        let of_level = options.levels.iter().map(|&level| mean(engine, model, separation, &clips, level));
        Ok::<_, Error>(Way { name, is_order, of_level: of_level.collect::<Result<_>>()? })
    };
    let mut ways = Vec::new();
    for (name, orders_by) in
        [("fusion", Choice::Fusion), ("joint", Choice::Joint), ("selection", Choice::Selection), ("mean", Choice::Mean)]
    {
        let own =
            averaged::Separation { orders_by, background_rank: Some(BACKGROUND), ..averaged::Separation::default() };
        ways.push(score(format!("averaged, {name}, background"), false, &alone, &of(own))?);
    }
    let model = learn(engine, both(), averaged_training(options), watch)?;
    ways.push(score("averaged, fusion, noise trained".into(), false, &model, &of(averaged::Separation::default()))?);
    for &order in &options.orders {
        let divergence = Some(Divergence::ItakuraSaito);
        let training = Training { rank: order.into(), divergence, ..front(TrainingMethod::default(), options) };
        let model = learn(engine, both(), training, watch)?;
        ways.push(score(format!("nmf, is, K = {order}"), true, &model, &Separation::default())?);
    }
    let model = learn(engine, both(), Training { rank: 64.into(), seed: options.seed, ..Training::default() }, watch)?;
    ways.push(score("nmf, kl, K = 64".into(), false, &model, &Separation::default())?);
    Ok(ways)
}

/// The mean SI-SDR of the speech over the clips.
fn mean(engine: &AnyEngine, model: &Model, separation: &Separation, clips: &[Clip], level: f64) -> Result<f64> {
    let plan = Plan::new(Some(model), separation, &mut |_| Ok(()))?;
    let mut sum = 0.0;
    for clip in clips {
        let channels = vec![clip.mixture(level)];
        let recording = Recording { channels, sample_rate: model.sample_rate, warnings: Vec::new() };
        let stems = with_engine!(engine, |engine| {
            let separator = plan.on_borrowed(engine);
            whole(&plan, &*separator, &recording, &mut |_| std::ops::ControlFlow::Continue(()))
        })?;
        let double = |signal: &[f32]| signal.iter().map(|&sample| f64::from(sample)).collect::<Vec<f64>>();
        let estimate = stems.first().and_then(|stem| stem.recording.channels.first());
        let estimate = estimate.ok_or_else(|| Error::input("the separation gave no stem"))?;
        sum += si_sdr(&double(&clip.target), &double(estimate), Mean::Kept);
    }
    Ok(sum / clips.len() as f64)
}
