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
use crate::reproduce::heard::{HEARD, next_to_zero};
use crate::reproduce::mixtures::{Clip, clips};
use crate::reproduce::{Corpus, Example};
use crate::separate::{Plan, whole};
use crate::{Error, Result};

/// The ways that one can listen to: the paper's, what `separate` does, and plain NMF.
const HEARD_WAYS: [&str; 3] = ["averaged, joint, background", "averaged, fusion, background", "nmf, kl, K = 64"];

/// The SI-SDR of the speech in dB by one way.
pub(super) struct Way {
    /// Its name in tables.
    pub(super) name: String,
    /// Whether it is a plain NMF of one order, of which the best is looked for.
    pub(super) is_order: bool,
    /// The means over the clips, one for every level.
    pub(super) of_level: Vec<f64>,
}

/// Separates mixtures of test recordings in every way. Also returns the first of them, to listen to.
///
/// # Errors
/// Those of training and of separation.
pub(super) fn separate(
    engine: &AnyEngine,
    speech: &Corpus,
    noise: &Corpus,
    options: &AveragedOptions,
    watch: &mut (dyn FnMut(Progress) + Send),
) -> Result<(Vec<Way>, Vec<Example>)> {
    let material =
        |corpus: &Corpus| Material { name: corpus.name.clone(), recordings: Recordings::Files(corpus.train.clone()) };
    let both = || vec![material(speech), material(noise)];
    let alone = learn(engine, vec![material(speech)], averaged_training(options), watch)?;
    let clips = clips(&speech.test, &noise.test, options.clips, alone.sample_rate, options.seed)?;
    let level = next_to_zero(&options.levels);
    let names = [speech.name.as_str(), noise.name.as_str()];
    let examples = clips.iter().take(HEARD).map(|clip| clip.example(level, alone.sample_rate, names));
    let mut examples: Vec<Example> = examples.collect();
    let of = |own: averaged::Separation| Separation {
        method: Some(SeparationMethod::Averaged(own)),
        iterations: Some(options.iterations),
        ..Separation::default()
    };
    let mut score = |name: String, is_order: bool, model: &Model, separation: &Separation| {
        let plan = Plan::new(Some(model), separation, &mut |_| Ok(()))?;
        let mut of_level = Vec::with_capacity(options.levels.len());
        for &at in &options.levels {
            let separated = clips.iter().map(|clip| Separated::new(engine, &plan, model.sample_rate, clip, at));
            let separated = separated.collect::<Result<Vec<_>>>()?;
            of_level.push(separated.iter().map(|one| one.si_sdr).sum::<f64>() / clips.len() as f64);
            if at == level && HEARD_WAYS.contains(&name.as_str()) {
                for (example, one) in examples.iter_mut().zip(separated) {
                    example.add(&name, [(one.speech, format!("SI-SDR {:.1} dB", one.si_sdr))]);
                }
            }
        }
        Ok::<_, Error>(Way { name, is_order, of_level })
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
    Ok((ways, examples))
}

/// The speech of a mixture and its SI-SDR in dB.
struct Separated {
    speech: Vec<f32>,
    si_sdr: f64,
}

impl Separated {
    fn new(engine: &AnyEngine, plan: &Plan, sample_rate: u32, clip: &Clip, level: f64) -> Result<Self> {
        let recording = Recording { channels: vec![clip.mixture(level)], sample_rate, warnings: Vec::new() };
        let separator = plan.on_borrowed(engine);
        let stems = whole(plan, &*separator, &recording, &mut |_| std::ops::ControlFlow::Continue(()))?;
        let double = |signal: &[f32]| signal.iter().map(|&sample| f64::from(sample)).collect::<Vec<f64>>();
        let speech = stems.into_iter().next().and_then(|stem| stem.recording.channels.into_iter().next());
        let speech = speech.ok_or_else(|| Error::input("the separation gave no stem"))?;
        let si_sdr = si_sdr(&double(&clip.target), &double(&speech), Mean::Kept);
        Ok(Self { speech, si_sdr })
    }
}
