//! From the utterances of all sources to their bases.

use ndarray::{Array2, ArrayView2, Axis, s};
use realfft::num_complex::Complex;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::checkpoint::State;
use super::file::Learned;
use super::options::{Objective, Training};
use super::reconstruction::{self, Mixed};
use super::{Factors, Options, Step, go_on};
use crate::kernels::{Glue, Mixtures, Modulus, Momentum, Norm, Pairing, Pairs, Products, Spectra, all_pairs};
use crate::methods::keeper::Keeper;
use crate::methods::nmf::train::LearnedSource;
use crate::methods::nmf::{self, Fit, random_start};
use crate::methods::sparse;
use crate::random::Stream;
use crate::spectrogram::{Spectrum, View};
use crate::{Error, Result};

/// How often each source goes through its iterations. The paper's rounds begin at a random start; reconstruction bases
/// are learned after the bases of each source alone.
pub(crate) fn factorizations(objective: Objective) -> usize {
    match objective {
        Objective::Paper => 1,
        Objective::Separation => 2,
    }
}

/// The utterances of one source.
pub(crate) struct Utterances {
    pub(crate) name: String,
    /// X (T, B) of every utterance, frame by frame.
    pub(crate) spectra: Vec<Array2<Complex<f32>>>,
    /// K, how many components to learn.
    pub(crate) rank: usize,
}

/// How the bases are learned, and within what.
pub(crate) struct Job<'a, 'k> {
    pub(crate) own: &'a Training,
    /// The factorization of each source alone, and the seed of its start. There are as many rounds of all sources as it has
    /// iterations.
    pub(crate) alone: (&'a nmf::Options, u64),
    /// Bytes that the engine may use.
    pub(crate) memory: u64,
    /// The options in force. A state is of these, of the names of the sources, and of their spectra.
    pub(crate) described: String,
    /// Where the state is kept.
    pub(crate) keeper: Option<&'k mut dyn Keeper>,
}

/// The sources on an engine.
struct OnEngine<E: Products> {
    names: Vec<String>,
    ranks: Vec<usize>,
    /// S_a and X_a of every source.
    data: Vec<E::Panel>,
    bins: Vec<E::Panel>,
    /// T_ai of every source.
    lengths: Vec<Vec<usize>>,
    proof: Sha256,
}

impl<E: Products> OnEngine<E> {
    /// Brings up one source after another.
    fn new(engine: &E, sources: impl Iterator<Item = Result<Utterances>>, view: &View) -> Result<Self> {
        let (names, ranks, data, bins, lengths) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut all = Self { names, ranks, data, bins, lengths, proof: Sha256::new() };
        let bins = bins_of(view);
        for source in sources {
            let Utterances { name, spectra, rank } = source?;
            if spectra.len() < 2 {
                return Err(Error::input(format!(
                    "source '{name}' has one utterance; discriminative training needs two or more of each source: give more \
                     recordings, or one of more than {PIECE_SECONDS} s"
                )));
            }
            let (mut shown, mut parts) = (Vec::with_capacity(spectra.len()), Vec::with_capacity(spectra.len()));
            for spectra in &spectra {
                let mut data = Array2::zeros((spectra.nrows(), view.rows()));
                view.show(spectra.view(), 1.0, data.view_mut())?;
                shown.push(data.reversed_axes());
                parts.push(split(spectra.slice(s![.., ..bins])));
                for frame in spectra.rows() {
                    let bytes = frame.iter().flat_map(|bin| [bin.re, bin.im]).flat_map(f32::to_le_bytes);
                    all.proof.update(bytes.collect::<Vec<u8>>());
                }
            }
            all.lengths.push(spectra.iter().map(Array2::nrows).collect());
            all.data.push(engine.packed(&shown.iter().map(|data| data.view()).collect::<Vec<_>>())?);
            all.bins.push(engine.packed(&parts.iter().map(|parts| parts.view()).collect::<Vec<_>>())?);
            all.names.push(name);
            all.ranks.push(rank);
        }
        if all.names.len() < 2 {
            return Err(Error::input(
                "discriminative training needs two or more sources: it learns from their mixtures; for one source use \
                 `--method sparse`",
            ));
        }
        Ok(all)
    }
}

/// Seconds of the longest utterance: a longer recording is cut.
pub(crate) const PIECE_SECONDS: usize = 10;

/// How many bins data are formed from. Bands may end far below the highest bin.
fn bins_of(view: &View) -> usize {
    view.map().map_or(view.stft.bins(), |map| {
        map.columns()
            .into_iter()
            .rposition(|weights| weights.iter().any(|&weight| weight != 0.0))
            .map_or(0, |last| last + 1)
    })
}

/// Real parts above imaginary parts (2B, T).
fn split(spectra: ArrayView2<Complex<f32>>) -> Array2<f32> {
    let (frames, bins) = spectra.dim();
    let part = |(row, frame): (usize, usize)| match row < bins {
        true => spectra[(frame, row)].re,
        false => spectra[(frame, row - bins)].im,
    };
    Array2::from_shape_fn((2 * bins, frames), part)
}

impl<E: Products + Glue> OnEngine<E> {
    /// Random factors of every source.
    fn starts(&self, engine: &E, seed: u64) -> Result<Factors<E>> {
        let mut factors = Factors { bases: Vec::new(), gains: Vec::new() };
        for (&rank, v) in self.ranks.iter().zip(&self.data) {
            let (w, h) = random_start(engine.read_panel::<f32>(v)?.view(), rank, seed);
            factors.bases.push(engine.matrix(w.view())?);
            factors.gains.push(engine.panel_like(v, h.view())?);
        }
        Ok(factors)
    }

    /// The factors of every source alone, from random starts, and how they were learned.
    fn alone(
        &self,
        engine: &E,
        (options, seed): (&nmf::Options, u64),
        watch: &mut Watch,
    ) -> Result<(Factors<E>, Vec<Fit>)> {
        let (mut factors, mut fits) = (self.starts(engine, seed)?, Vec::new());
        let all = factors.bases.iter_mut().zip(&mut factors.gains);
        for ((name, v), (w, h)) in self.names.iter().zip(&self.data).zip(all) {
            fits.push(sparse::factorize(engine, v, w, h, options, |iteration| watch(name, iteration))?);
        }
        Ok((factors, fits))
    }

    /// The pairs of sources a < b.
    fn pairs_of_sources(&self) -> Vec<(usize, usize)> {
        (1..self.lengths.len()).flat_map(|second| (0..second).map(move |first| (first, second))).collect()
    }

    /// The bytes that are left of `memory` for mixtures beside what is always needed: data, models, gains and spectra of all
    /// sources, the shares of one source, and its model and gains once more while they are updated.
    fn memory_left(&self, engine: &E, memory: u64) -> Result<u64> {
        let (rows, bins) = (engine.shape(&self.data[0]).0, engine.shape(&self.bins[0]).0);
        let frames = || self.lengths.iter().map(|lengths| lengths.iter().sum::<usize>()).zip(&self.ranks);
        let kept: usize = frames().map(|(frames, rank)| frames * (2 * rows + bins + rank)).sum();
        let update = frames().map(|(frames, rank)| frames * (2 * rows + rank)).max().unwrap_or(0);
        let least = bytes(kept + update);
        memory.checked_sub(least).ok_or_else(|| {
            let (given, least) = (memory >> 20, least.div_ceil(1 << 20));
            Error::input(format!("--memory of {given} MiB: these recordings need at least {least} MiB"))
        })
    }
}

fn bytes(numbers: usize) -> u64 {
    (numbers * size_of::<f32>()) as u64
}

/// The spectra of all utterances, as data are formed from them.
fn spectra<E: Products>(engine: &E, bins: Vec<E::Panel>, view: &View) -> Result<Spectra<E>> {
    let modulus = match view.spectrum() {
        Spectrum::Magnitude => Modulus::Magnitude,
        Spectrum::Power => Modulus::Power,
    };
    let map = view.map().map(|map| map.slice(s![.., ..bins_of(view)]).mapv(|weight| weight as f32));
    Spectra::new(engine, bins, map.as_ref().map(|map| map.view()), modulus)
}

/// Hears of a source by its name, and the number of its iteration that is done: first those of the source alone, then
/// those of all.
type Watch<'a> = dyn FnMut(&str, usize) -> Result<()> + Send + 'a;

/// The bases of every source, what a model has beside them, and a summary.
type Trained = (Vec<LearnedSource>, Learned, Map<String, Value>);

/// Learns the bases of all sources.
///
/// # Errors
/// Those of the utterances; [`Error::Input`] for one source, or a source of one utterance, or too little memory; those of
/// the engine, of the keeper and of `watch`.
pub(crate) fn train<E: Products + Glue + Momentum + Pairs>(
    engine: &E,
    sources: impl Iterator<Item = Result<Utterances>>,
    view: &View,
    job: Job<'_, '_>,
    watch: &mut Watch,
) -> Result<Trained> {
    let on_engine = OnEngine::new(engine, sources, view)?;
    match job.own.objective {
        Objective::Separation => for_separation(engine, on_engine, view, job, watch),
        Objective::Paper => in_rounds(engine, on_engine, view, job, watch),
    }
}

/// Learns bases of each source alone, and reconstruction bases from mixtures.
fn for_separation<E: Products + Glue + Momentum + Pairs>(
    engine: &E,
    on_engine: OnEngine<E>,
    view: &View,
    job: Job<'_, '_>,
    watch: &mut Watch,
) -> Result<Trained> {
    let left = on_engine.memory_left(engine, job.memory)?;
    let (options, seed) = job.alone;
    let sparsity = options.rule.sparsity;
    let (factors, fits) = on_engine.alone(engine, job.alone, watch)?;
    let bases = factors.bases.iter().map(|w| engine.read_matrix::<f32>(w)).collect::<Result<Vec<_>>>()?;
    let pairs_of_sources = on_engine.pairs_of_sources();
    let OnEngine { names, data, bins, lengths, .. } = on_engine;
    let spectra = spectra(engine, bins, view)?;
    // Every pair of sources gets an equal share of the mixtures, and of the memory.
    let count = job.own.pairs().div_ceil(pairs_of_sources.len());
    let left = left / pairs_of_sources.len() as u64;
    let (mut mixed, mut used) = (Vec::new(), 0);
    for &(a, b) in &pairs_of_sources {
        let of_frame = reconstruction::bytes_per_frame(view.rows(), bases[a].ncols() + bases[b].ncols()) as u64;
        let most = usize::try_from(left / of_frame).unwrap_or(usize::MAX);
        let pairs = draw((&lengths[a], &lengths[b]), count, most, &Stream::new(seed, &format!("pairs of {a} and {b}")));
        used += pairs.len();
        let v = engine.mix(&spectra, (a, b), &pairs)?;
        let common: Vec<usize> = pairs.iter().map(|&(i, j)| lengths[a][i].min(lengths[b][j])).collect();
        let first = cut(engine.read_panel(&data[a])?, &lengths[a], pairs.iter().map(|pair| pair.0).zip(&common));
        let second = cut(engine.read_panel(&data[b])?, &lengths[b], pairs.iter().map(|pair| pair.1).zip(&common));
        mixed.push(Mixed::new(engine, &v, [a, b], [&bases[a], &bases[b]], [first, second], sparsity)?);
    }
    let (reconstruction, trace) =
        reconstruction::learn(engine, &mixed, &bases, (options.iterations, options.trace_every), |pass| {
            names.iter().try_for_each(|name| watch(name, pass))
        })?;
    let all: usize = pairs_of_sources.iter().map(|&(a, b)| lengths[a].len() * lengths[b].len()).sum();
    let details = json!({ "used": used, "of": all, "objective_first": trace.first(), "objective_last": trace.last() });
    let learned = bases.into_iter().zip(fits).map(|(bases, fit)| LearnedSource { bases, fit }).collect();
    let part = Learned { penalty: sparse::Learned { sparsity }, reconstruction };
    Ok((learned, part, Map::from_iter([("mixtures".to_string(), details)])))
}

/// Draws up to `count` pairs of utterances with these lengths, of `most` frames in all but at least one pair.
fn draw((first, second): (&[usize], &[usize]), count: usize, most: usize, stream: &Stream) -> Vec<(usize, usize)> {
    let mut all: Vec<(f64, (usize, usize))> =
        (0..).map(|index| stream.uniform(index)).zip(all_pairs(first.len(), second.len())).collect();
    all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut frames = 0;
    let fits = |(place, (i, j)): &(usize, (usize, usize))| {
        frames += first[*i].min(second[*j]);
        *place == 0 || frames <= most
    };
    all.into_iter().map(|(_, pair)| pair).take(count).enumerate().take_while(fits).map(|(_, pair)| pair).collect()
}

/// The first frames of utterances, side by side. `data`: (F, T_a), `chosen`: utterances and numbers of frames.
fn cut<'a>(data: Array2<f32>, lengths: &[usize], chosen: impl Iterator<Item = (usize, &'a usize)>) -> Array2<f32> {
    let starts: Vec<usize> =
        lengths.iter().scan(0, |end, length| Some(std::mem::replace(end, *end + length))).collect();
    let columns: Vec<usize> =
        chosen.flat_map(|(utterance, &frames)| starts[utterance]..starts[utterance] + frames).collect();
    data.select(Axis(1), &columns)
}

/// Learns bases in rounds over the sources, from all pairs of utterances.
fn in_rounds<E: Products + Glue + Pairs>(
    engine: &E,
    mut on_engine: OnEngine<E>,
    view: &View,
    mut job: Job<'_, '_>,
    watch: &mut Watch,
) -> Result<Trained> {
    on_engine.proof.update(format!("{} {:?}", job.described, on_engine.names));
    let proof = std::mem::take(&mut on_engine.proof).finalize();
    let proof: String = proof.iter().map(|byte| format!("{byte:02x}")).collect();
    let left = on_engine.memory_left(engine, job.memory)?;
    let alone = job.alone.0;
    let options = Options {
        sparsity: alone.rule.sparsity,
        rounds: alone.iterations,
        updates: job.own.round_updates(),
        tolerance: alone.tolerance,
        trace_every: alone.trace_every,
    };
    let (mut factors, fit) = match kept(&mut job.keeper, &proof, on_engine.names.len())? {
        Some(state) => {
            for name in &on_engine.names {
                (1..=state.round).try_for_each(|done| watch(name, done))?;
            }
            let factors = state.on(engine, &on_engine.data)?;
            (factors, Fit { objective: state.objective, iterations: state.round, converged: false })
        }
        None => {
            let mut factors = on_engine.starts(engine, job.alone.1)?;
            factors.bases.iter_mut().try_for_each(|w| engine.normalize(w, None, Norm::L2))?;
            (factors, Fit { objective: Vec::new(), iterations: 0, converged: false })
        }
    };
    let pairs_of_sources = on_engine.pairs_of_sources();
    let OnEngine { names, data, bins, lengths, .. } = on_engine;
    let spectra = spectra(engine, bins, view)?;
    let pairs = |(a, b): (usize, usize)| all_pairs(lengths[a].len(), lengths[b].len());
    let frames = |&(a, b): &(usize, usize)| -> usize {
        pairs((a, b)).into_iter().map(|(i, j)| lengths[a][i].min(lengths[b][j])).sum()
    };
    let stored = bytes(view.rows() * pairs_of_sources.iter().map(frames).sum::<usize>()) <= left;
    let mixtures = if stored {
        let mix = |&sources: &(usize, usize)| engine.mix(&spectra, sources, &pairs(sources));
        Mixtures::Stored(pairs_of_sources.iter().map(mix).collect::<Result<_>>()?)
    } else {
        Mixtures::Formed(spectra)
    };
    let pairing = Pairing::new(engine, data, mixtures)?;
    let mut step = |step: Step<E>| match step {
        Step::Source(source, round) => watch(&names[source], round),
        Step::Round(factors, fit) => match &mut job.keeper {
            Some(keeper) if keeper.is_due() => {
                keeper.keep(&State::of(engine, fit.iterations, fit.objective.clone(), factors)?.to_bytes(&proof)?)
            }
            _ => Ok(()),
        },
    };
    let fit = go_on(engine, &pairing, &mut factors, &options, fit, &mut step)?;
    let learned = |w: &E::Matrix| Ok(LearnedSource { bases: engine.read_matrix(w)?, fit: fit.clone() });
    let learned = factors.bases.iter().map(learned).collect::<Result<_>>()?;
    let part = Learned { penalty: sparse::Learned { sparsity: options.sparsity }, reconstruction: Vec::new() };
    let details = json!({
        "used": pairs_of_sources.iter().map(|&sources| pairs(sources).len()).sum::<usize>(),
        "in_memory": stored,
        "objective": fit.objective,
    });
    Ok((learned, part, Map::from_iter([("mixtures".to_string(), details)])))
}

/// The state of an earlier run, if there is one to go on from.
fn kept(keeper: &mut Option<&mut dyn Keeper>, proof: &str, sources: usize) -> Result<Option<State>> {
    let Some(keeper) = keeper else { return Ok(None) };
    let Some(bytes) = keeper.kept()? else { return Ok(None) };
    State::from_bytes(&bytes, proof, sources).map(Some).map_err(|reason| keeper.refuse(reason))
}
