//! Separates pairs of speakers by bases of mel spectra: Wang & Sha (2014), section 4.

mod arms;
mod options;
mod scene;
mod tables;

use std::path::PathBuf;

pub use options::DiscriminativeOptions;

use super::heard::HEARD;
use super::mixtures::pairs;
use super::{Corpus, Example, Findings};
use crate::engines::AnyEngine;
use crate::job::Training;
use crate::model::Model;
use crate::recordings::{Event, Material, Recordings};
use crate::train::train;
use crate::{Error, Result, with_engine};
use arms::arms;
use scene::{Estimate, Pair};
use tables::Cells;

const PAPER: &str = "Z. Wang, F. Sha: Discriminative non-negative matrix factorization for single-channel speech separation. \
                     ICASSP 2014, section 4";

/// One speaker.
#[derive(Debug, Clone)]
pub struct Speaker {
    /// The name, and the recordings for training and for mixing.
    pub corpus: Corpus,
    /// F or M, or any other word: mixtures of two speakers are told apart by whether it is the same.
    pub sex: String,
}

/// Progress events.
pub enum Progress<'a> {
    /// A training event.
    Training(Event<'a>),
    /// The number of models learned and scored, and their total.
    Scored(usize, usize),
}

/// Learns bases of every speaker by each method, at every rank and penalty and from several starts, and separates mixtures of
/// the test recordings of every pair of speakers. `watch` hears how it goes.
///
/// Beside them, the usual model of this program separates the same mixtures: KL on bins of 128 ms, at the same ranks.
///
/// # Errors
/// [`Error::Input`] for options out of range, fewer than two speakers, and missing or silent recordings; also the errors of
/// training and separation.
pub fn discriminative(
    engine: &AnyEngine,
    speakers: &[Speaker],
    options: &DiscriminativeOptions,
    watch: &mut (dyn FnMut(Progress) + Send),
) -> Result<Findings> {
    let counts = [options.starts, options.mixtures, options.iterations];
    if options.ranks.is_empty() || options.sparsities.is_empty() || counts.contains(&0) {
        return Err(Error::input("the experiment needs at least one rank, penalty, start, mixture and iteration"));
    }
    if speakers.len() < 2 {
        return Err(Error::input("the experiment needs at least two speakers"));
    }
    let material: Vec<Material> = speakers
        .iter()
        .map(|Speaker { corpus, .. }| Material {
            name: corpus.name.clone(),
            recordings: Recordings::Files(corpus.train.clone()),
        })
        .collect();
    let mut pairs_of: Option<(u32, Vec<Pair>)> = None;
    let mut examples = Vec::new();
    let arms = arms(options)?;
    let of = arms.len() * options.starts;
    let mut cells = Cells::default();
    for (done, (arm, start)) in
        arms.iter().flat_map(|arm| (0..options.starts).map(move |start| (arm, start))).enumerate()
    {
        let training = Training { seed: options.seed + start as u64, ..arm.training.clone() };
        let mut hear = |event: Event| {
            watch(Progress::Training(event));
            Ok(())
        };
        let model: Model = train(engine, &material, &training, &mut hear)?;
        // The mixtures need the models' sample rate, which all models have.
        let (_, pairs) = match &pairs_of {
            Some(known) => known,
            None => {
                let pairs = mixtures(speakers, model.sample_rate, options)?;
                examples = pairs.iter().take(HEARD).map(|pair| heard(pair, speakers, model.sample_rate)).collect();
                pairs_of.insert((model.sample_rate, pairs))
            }
        };
        let mut scores = Vec::with_capacity(pairs.len());
        for (index, pair) in pairs.iter().enumerate() {
            let separated = with_engine!(engine, |engine| pair.separate(engine, &model, arm))?;
            scores.push((pair.same_sex, separated.scores));
            if let Some(example) = examples.get_mut(index)
                && arm.is_heard
                && start == 0
            {
                let noted = |one: Estimate| (one.samples, format!("SI-SDR {:.1} dB", one.si_sdr));
                example.add(&arm.name, separated.first.into_iter().map(noted));
            }
        }
        cells.add(arm, scores);
        watch(Progress::Scored(done + 1, of));
    }
    let (sample_rate, pairs) = pairs_of.unwrap_or_default();
    Ok(Findings {
        title: "Speakers told apart by mel spectra".into(),
        paper: PAPER.into(),
        setting: setting(speakers, options, sample_rate, &pairs, &engine.describe())?,
        tables: tables::all(&cells, options),
        figures: tables::figures(&cells, options)?,
        examples,
    })
}

/// The first mixture of a pair, to listen to. A pair has one or more.
fn heard(pair: &Pair, speakers: &[Speaker], sample_rate: u32) -> Example {
    let names = pair.speakers.map(|speaker| speakers[speaker].corpus.name.as_str());
    pair.clips[0].example(0.0, sample_rate, names)
}

/// The mixtures of every pair of speakers.
fn mixtures(speakers: &[Speaker], sample_rate: u32, options: &DiscriminativeOptions) -> Result<Vec<Pair>> {
    let mut all = Vec::new();
    for (second, other) in speakers.iter().enumerate() {
        for (first, one) in speakers[..second].iter().enumerate() {
            let seed = options.seed;
            let clips = pairs(&one.corpus.test, &other.corpus.test, options.mixtures, sample_rate, seed)?;
            all.push(Pair { speakers: [first, second], same_sex: one.sex == other.sex, clips });
        }
    }
    Ok(all)
}

fn setting(
    speakers: &[Speaker],
    options: &DiscriminativeOptions,
    sample_rate: u32,
    pairs: &[Pair],
    engine: &str,
) -> Result<Vec<(String, String)>> {
    let files =
        |of: fn(&Corpus) -> &Vec<PathBuf>| speakers.iter().map(|speaker| of(&speaker.corpus).len()).sum::<usize>();
    let names: Vec<String> =
        speakers.iter().map(|Speaker { corpus, sex }| format!("{} ({sex})", corpus.name)).collect();
    let clips = pairs.iter().map(|pair| pair.clips.len()).sum::<usize>();
    let same = pairs.iter().filter(|pair| pair.same_sex).count();
    let stft = options.transform.at(sample_rate)?;
    let rows = [
        ("speakers", names.join(", ")),
        ("recordings", format!("{} for training, {} for mixing", files(|of| &of.train), files(|of| &of.test))),
        (
            "mixtures",
            format!(
                "{clips} of two sentences at 0 dB; {} pairs of speakers, {same} of one sex; only the bases of the two are used",
                pairs.len()
            ),
        ),
        ("transform", format!("{} {} / {} / {} at {sample_rate} Hz", stft.shape, stft.window, stft.hop, stft.fft)),
        ("data", format!("{}, {}, pre-emphasis {}", options.spectrum, options.bands, options.pre_emphasis)),
        ("iterations", format!("{} of training and of separation", options.iterations)),
        ("starts, first seed, engine", format!("{}, {}, {engine}", options.starts, options.seed)),
    ];
    Ok(rows.map(|(name, value)| (name.to_string(), value)).to_vec())
}
