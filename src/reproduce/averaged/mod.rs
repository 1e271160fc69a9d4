//! Averages over the number of components: Jaureguiberry, Vincent & Richard (2014), section 4.

mod learning;
mod options;
mod recorded;
mod scene;
mod tables;

use std::path::PathBuf;

pub use learning::Progress;
pub use options::AveragedOptions;

use learning::{BACKGROUND, averaged_training, learn, noise_training};
use ndarray::s;
use scene::{Case, Drawn};

use super::{Corpus, Findings};
use crate::engines::AnyEngine;
use crate::methods::averaged::separate::{Averaging, Settings};
use crate::methods::averaged::{self, Learned};
use crate::methods::separator::Held;
use crate::model::Model;
use crate::recordings::{Material, Recordings};
use crate::{Error, Result, with_engine};

const PAPER: &str = "X. Jaureguiberry, E. Vincent, G. Richard: Variational Bayesian model averaging for audio source separation. \
                     SSP 2014, section 4";
/// Learns two models of a speaker at every order, each from half of the recordings, and one of every noise. Draws mixtures
/// from one model of the speaker and those of the noises, and separates them by the other: by each order alone, by all at
/// once, and by what can be made of those. Then separates mixtures of recordings, beside plain NMF.
///
/// # Errors
/// [`Error::Input`] for options out of range, and for missing or silent recordings; also the errors of training and
/// separation.
pub fn averaged(
    engine: &AnyEngine,
    speech: &Corpus,
    noise: &Corpus,
    options: &AveragedOptions,
    watch: &mut (dyn FnMut(Progress) + Send),
) -> Result<Findings> {
    let counts = [options.draws, options.frames, options.iterations, options.clips];
    if counts.contains(&0) || options.levels.is_empty() || !options.levels.iter().all(|level| level.abs() <= 100.0) {
        return Err(Error::input(
            "the experiment needs at least one draw, frame, iteration and clip, and levels from -100 to 100 dB",
        ));
    }
    let halves = halves(&speech.train)?;
    let of_half = |half: &Vec<PathBuf>, watch: &mut (dyn FnMut(Progress) + Send)| {
        let recordings = Recordings::Files(half.clone());
        learn(engine, vec![Material { name: speech.name.clone(), recordings }], averaged_training(options), watch)
    };
    let (drawing, separating) = (of_half(&halves[0], watch)?, of_half(&halves[1], watch)?);
    let noises = learn(engine, each(&noise.train), noise_training(options), watch)?;
    let cases = drawn(engine, [&drawing, &separating, &noises], options, watch)?;
    let (recorded, examples) = recorded::separate(engine, speech, noise, options, watch)?;
    let rate = separating.sample_rate;
    let stft = &separating.stft;
    Ok(Findings {
        title: "Speech in noise, averaged over the number of components".into(),
        paper: PAPER.into(),
        setting: [
            (
                "speech",
                format!("{}: {} and {} recordings for the two models", speech.name, halves[0].len(), halves[1].len()),
            ),
            (
                "noise",
                format!("{}: {} recordings, a model of {BACKGROUND} components each", noise.name, noise.train.len()),
            ),
            (
                "drawn mixtures",
                format!("{} of each order and level, of {} frames; prior Γ(0.2, 0.2)", options.draws, options.frames),
            ),
            ("transform", format!("{} {} / {} / {} at {rate} Hz", stft.shape, stft.window, stft.hop, stft.fft)),
            ("separation", format!("{} iterations, a background of {BACKGROUND} components", options.iterations)),
            ("seed, engine", format!("{}, {}", options.seed, engine.describe())),
        ]
        .map(|(name, value)| (name.to_string(), value))
        .to_vec(),
        tables: tables::all(&cases, &recorded, options),
        figures: tables::figures(&cases, options)?,
        examples,
    })
}

/// The recordings in turns, so that both halves have the speaker's whole range.
fn halves(recordings: &[PathBuf]) -> Result<[Vec<PathBuf>; 2]> {
    if recordings.len() < 2 {
        return Err(Error::input("the experiment needs two or more training recordings of the speech"));
    }
    Ok([0, 1].map(|first| recordings.iter().skip(first).step_by(2).cloned().collect()))
}

/// Every recording as a source.
fn each(recordings: &[PathBuf]) -> Vec<Material<'static>> {
    let material = |(index, path): (usize, &PathBuf)| Material {
        name: format!("noise {}", index + 1),
        recordings: Recordings::Files(vec![path.clone()]),
    };
    recordings.iter().enumerate().map(material).collect()
}

/// Draws mixtures and separates them.
fn drawn(
    engine: &AnyEngine,
    [drawing, separating, noises]: [&Model; 3],
    options: &AveragedOptions,
    watch: &mut (dyn FnMut(Progress) + Send),
) -> Result<Vec<Case>> {
    let learned = Learned { orders: options.orders.clone() };
    let own = averaged::Separation { background_rank: Some(BACKGROUND), ..averaged::Separation::default() };
    let settings = Settings::new(&own, options.iterations, &learned, (1, separating.sources[0].bases.nrows()))?;
    let (mut cases, mut drawn) = (Vec::new(), 0);
    let of = options.draws * options.levels.len() * options.orders.len();
    for draw in 0..options.draws {
        for level in 0..options.levels.len() {
            for (order, &components) in options.orders.iter().enumerate() {
                let noise = &noises.sources[drawn % noises.sources.len()].bases;
                let speech = drawing.sources[0].bases.slice(s![.., learned.columns_of(components)]);
                let seed = options.seed + drawn as u64;
                let mixture = Drawn::new(speech.view(), noise.view(), options.frames, options.levels[level], seed);
                // The free energies of one mixture are drawn: of the middle order and level, in the first draw.
                let middle = (options.orders.len() / 2, options.levels.len() / 2) == (order, level) && draw == 0;
                let trace_every = if middle { 1 } else { options.iterations };
                let score = with_engine!(engine, |engine| {
                    let averaging = Averaging::new(Held::Borrowed(engine), separating.bases(), &learned, &settings);
                    mixture.score(&averaging, &options.orders, trace_every)
                })?;
                cases.push(Case { order, level, score });
                drawn += 1;
                watch(Progress::Separated(drawn, of));
            }
        }
    }
    Ok(cases)
}
