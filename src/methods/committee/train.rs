//! Members learned from the recordings of sources.

use ndarray::Array2;
use rayon::prelude::*;

use super::windows::Windows;
use super::{Learned, Manner, Member};
use crate::kernels::{Glue, Momentum, Products};
use crate::methods::exemplars::select;
use crate::methods::nmf::context::grouped;
use crate::methods::nmf::train::{Factors, LearnedSource};
use crate::methods::nmf::{self, Fit};
use crate::random::Stream;
use crate::spectrogram::{BandMap, Bands};
use crate::{Error, Result};

/// A source that is learned from.
pub(crate) struct Sounds {
    /// Its name.
    pub(crate) name: String,
    /// The frames (N, F) of every channel of every recording, at one scale.
    pub(crate) channels: Vec<Array2<f32>>,
}

/// How the bases of a member come about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// Learned, K of each source.
    Learned(Vec<usize>),
    /// Taken from the recordings, so many of each source.
    Exemplars(usize),
}

/// A member that is to be learned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spec {
    /// How its bases come about.
    pub(crate) kind: Kind,
    /// How its gains are found. Its λ is a share of the mean sum of a basis, if it is not `given`.
    pub(crate) manner: Manner,
    /// Whether λ is meant as it is.
    pub(crate) given: bool,
}

impl Spec {
    /// The same with less effort.
    pub(crate) fn for_trial(&self) -> Self {
        let kind = match &self.kind {
            Kind::Learned(ranks) => Kind::Learned(ranks.clone()),
            Kind::Exemplars(count) => Kind::Exemplars(count.div_ceil(2)),
        };
        let manner = Manner { iterations: self.manner.iterations.min(12), ..self.manner.clone() };
        Self { kind, manner, given: self.given }
    }

    /// Whether its bases are learned by iterations.
    pub(crate) fn is_learned(&self) -> bool {
        matches!(self.kind, Kind::Learned(_))
    }
}

/// What all members have in common.
pub(crate) struct Job<'a> {
    /// The sources.
    pub(crate) sounds: &'a [Sounds],
    /// How bases are learned.
    pub(crate) options: &'a nmf::Options,
    /// The seed of random starts and draws.
    pub(crate) seed: u64,
    /// The sample rate in Hz and the points of the transform.
    pub(crate) transform: (u32, usize),
    /// Stacks that bases are learned from at most.
    pub(crate) learned_from: usize,
    /// Whether the rows of the data are bins.
    pub(crate) is_linear: bool,
}

/// The pitches of copies, in semitones.
const PITCHES: [f64; 8] = [-4.0, -3.0, -2.0, -1.0, 1.0, 2.0, 3.0, 4.0];

impl Sounds {
    /// The frames of a source, and copies of them at other pitches: a short recording has few, and the copies stand in for those
    /// that the source has elsewhere. The rows must be bins.
    pub(crate) fn at_more_pitches(name: &str, mut channels: Vec<Array2<f32>>) -> Self {
        let copies: Vec<Array2<f32>> = PITCHES
            .par_iter()
            .flat_map_iter(|&pitch| channels.iter().map(move |frames| shifted(frames, pitch)))
            .collect();
        channels.extend(copies);
        Self { name: name.to_string(), channels }
    }
}

/// Frames (N, F) of bins with all frequencies moved by so many semitones.
fn shifted(frames: &Array2<f32>, semitones: f64) -> Array2<f32> {
    let ratio = (semitones / 12.0).exp2();
    let last = frames.ncols().saturating_sub(1) as f64;
    let places: Vec<(usize, f32)> = (0..frames.ncols())
        .map(|f| f as f64 / ratio)
        .take_while(|&from| from < last)
        .map(|from| (from as usize, from.fract() as f32))
        .collect();
    let mut moved = Array2::zeros(frames.dim());
    for (mut moved, frame) in moved.rows_mut().into_iter().zip(frames.rows()) {
        for (moved, &(below, share)) in moved.iter_mut().zip(&places) {
            *moved = frame[below] * (1.0 - share) + frame[below + 1] * share;
        }
    }
    moved
}

/// Stacks that exemplars are chosen from at most, or twice as many as exemplars.
const CHOSEN_FROM: usize = 2000;
/// The bands by which exemplars are compared: stacks that are alike in these are alike in more.
const COMPARED: usize = 24;

/// A member that was learned: how its gains are found, and the bases of every source.
pub(crate) type Trained = (Manner, Vec<LearnedSource>);

/// A committee of members that were learned.
///
/// # Errors
/// [`Error::Input`] where there are none.
pub(crate) fn assembled(members: Vec<Trained>) -> Result<(Vec<LearnedSource>, Learned)> {
    let mut members = members.into_iter();
    let (first, learned) = members.next().ok_or_else(|| Error::input("a committee without members"))?;
    let bases = |learned: Vec<LearnedSource>| learned.into_iter().map(|source| source.bases).collect();
    let others = members.map(|(manner, learned)| Member { manner, bases: bases(learned) }).collect();
    Ok((learned, Learned { first, others }))
}

/// Learns a member. `index` tells members apart that have the same description. `watch` hears of a source by its name, and of
/// each iteration.
///
/// # Errors
/// Those of the bands and of [`nmf::factorize`]; [`Error::Input`] for a source without a stack of frames.
pub(crate) fn train<E: Products + Momentum + Glue>(
    engine: &E,
    (index, spec): (usize, &Spec),
    job: &Job,
    watch: &mut (dyn FnMut(&str) -> Result<()> + Send),
) -> Result<Trained> {
    let mut manner = spec.manner.clone();
    let bands = manner.bands.bands(job.transform.0, job.transform.1)?;
    let mut learned = Vec::with_capacity(job.sounds.len());
    for (source, sounds) in job.sounds.iter().enumerate() {
        let windows = Windows::new(&sounds.channels, manner.context);
        if windows.count() == 0 {
            return Err(Error::input(format!(
                "source '{}': none of its recordings has {} frames that are not silence; use a smaller --context or \
                 longer recordings",
                sounds.name, manner.context
            )));
        }
        let stream = Stream::new(job.seed, &format!("member {index}, {}", sounds.name));
        learned.push(match &spec.kind {
            Kind::Learned(ranks) => {
                let stacks = windows.gather(&windows.draw(job.learned_from, stream));
                let seed = job.seed.wrapping_add(index as u64);
                let Factors { w, fit, .. } =
                    Factors::learn(engine, stacks.t(), ranks[source], (job.options, seed), |_| watch(&sounds.name))?;
                LearnedSource { bases: engine.read_matrix(&w)?, fit }
            }
            Kind::Exemplars(count) => {
                let bases = exemplars(&windows, (*count, stream), bands.as_ref(), job)?;
                LearnedSource { bases, fit: Fit { objective: Vec::new(), iterations: 0, converged: false } }
            }
        });
    }
    let sums = learned.iter_mut().map(|source| scaled(&mut source.bases, manner.context, bands.as_ref()));
    let sums = sums.collect::<Result<Vec<_>>>()?.concat();
    if !spec.given {
        manner.sparsity *= sums.iter().sum::<f64>() / sums.len().max(1) as f64;
    }
    Ok((manner, learned))
}

/// Exemplars (TF, K) that cover the stacks of a source: the mean of each group of similar ones, at one level in the bands that
/// gains are found on.
fn exemplars(
    windows: &Windows,
    (count, stream): (usize, Stream),
    bands: Option<&Bands>,
    job: &Job,
) -> Result<Array2<f32>> {
    let drawn = windows.draw(CHOSEN_FROM.max(2 * count), stream);
    let (sample_rate, fft) = job.transform;
    // A short transform has too few bins for so many bands. Then stacks are compared as they are.
    let coarse = if job.is_linear {
        BandMap::mel(COMPARED, sample_rate).bands(sample_rate, fft).unwrap_or_default()
    } else {
        None
    };
    let groups = select::groups(windows.gather_in(coarse.as_ref(), &drawn)?.view(), count, stream);
    let norms = windows.norms_in(bands, &drawn)?;
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); count.min(drawn.len())];
    for (index, &group) in groups.iter().enumerate().filter(|(index, _)| norms[*index] > 0.0) {
        members[group].push(index);
    }
    members.retain(|members| !members.is_empty());
    let mean = |members: &Vec<usize>| {
        let mut sum = Array2::<f32>::zeros(windows.shape());
        for &index in members {
            sum.scaled_add((norms[index] * members.len() as f64).recip() as f32, &windows.stack(drawn[index]));
        }
        sum
    };
    let means: Vec<Array2<f32>> = members.par_iter().map(mean).collect();
    let (frames, rows) = windows.shape();
    let mut bases = Array2::zeros((frames * rows, means.len()));
    for (mut basis, mean) in bases.columns_mut().into_iter().zip(&means) {
        basis.iter_mut().zip(mean).for_each(|(to, &from)| *to = from);
    }
    Ok(bases)
}

/// Scales bases (TF, K) to norm 1 (L2) in the rows that gains are found on. Returns the sums of their rows there.
fn scaled(bases: &mut Array2<f32>, context: usize, bands: Option<&Bands>) -> Result<Vec<f64>> {
    let on_data = grouped(bases.view(), context, bands)?;
    let (mut squares, mut sums) = (vec![0.0; bases.ncols()], vec![0.0; bases.ncols()]);
    for row in on_data.as_ref().unwrap_or(bases).rows() {
        for ((&w, square), sum) in row.iter().zip(&mut squares).zip(&mut sums) {
            let w = f64::from(w);
            *square += w * w;
            *sum += w;
        }
    }
    let scales: Vec<f64> =
        squares.iter().map(|square: &f64| if *square > 0.0 { square.sqrt().recip() } else { 1.0 }).collect();
    for mut row in bases.rows_mut() {
        row.iter_mut().zip(&scales).for_each(|(w, scale)| *w = (f64::from(*w) * scale) as f32);
    }
    Ok(sums.iter().zip(&scales).map(|(sum, scale)| sum * scale).filter(|sum| *sum > 0.0).collect())
}
