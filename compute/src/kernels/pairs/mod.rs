//! Mixtures of utterances in pairs: what bases that are learned from all of them at once are updated from.
//!
//! There are N sources. Source a has M_a utterances and U = Σ_a M_a in all. Utterance i of source a has data S_ai
//! (F x T_ai) and a model Λ_ai = W_a H_ai. It is mixed with every utterance of every other source. The data of a mixture
//! are S_ab, and its model is Λ_ai + Λ_bj (Wang & Sha, "Discriminative non-negative matrix factorization for
//! single-channel speech separation", 2014). The objective of all utterances and all mixtures, each counted once, is
//!
//! J = Σ_ai M_a d(S_ai | Λ_ai) + Σ_{a<b} Σ_ij d(S_ab | Λ_ai + Λ_bj) + λ U Σ H, with d of Kullback and Leibler: (8), α = U.
//!
//! **Shares.** The gradient of J uses one field of source a, the mean of the ratios of data and model over the U terms
//! that contain Λ_ai: V̄ = (1/U) Σ S/Λ. The kernel returns X_ai = Λ_ai ∘ V̄, the part of all these data that falls to
//! source a, because under this divergence P = X/Λ_ai is V̄. So the updates (9) are those of sparse factorization with
//! X in place of the data. They need no kernels of their own.
//!
//! **Length.** The shorter utterance of a pair is continued by silence: after its end the mixture is the longer one
//! alone, and so is the model. Every frame of every Λ_ai then occurs U times, and (9) is exact for any lengths. With
//! c_t = M_a + the number of utterances of other sources that have ended before frame t,
//!
//! X = (Λ/U) (c_t S/Λ + Σ_{b≠a, j: t < T_bj} S_ab / (Λ + Λ_bj)). All models are floored at 1e-12.
//!
//! **Memory.** The mixtures are streamed. Their data are [`Mixtures::Stored`], or formed again in every pass, tile by
//! tile, from the spectra of the utterances ([`Mixtures::Formed`]). U²/2 mixtures of T frames then take the memory of U
//! utterances. Both give the same bits, because [`Pairs::mix`] forms what is stored.

mod cpu;
mod gpu;
mod reference;

use ndarray::{Array2, ArrayView2};

use crate::engine::Engine;
use crate::{Error, Result};

/// The datum of a bin: |X| or |X|².
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modulus {
    /// |X|
    Magnitude,
    /// |X|²
    Power,
}

/// The complex spectra of all utterances, and the map from their bins to data: S = M |X|^p.
pub struct Spectra<E: Engine> {
    /// For every source: the real parts above the imaginary parts (2B x T_a), an utterance a segment.
    sources: Vec<E::Panel>,
    /// The rows of M: the first bin, the number of bins, and as many weights.
    bands: E::Matrix,
    /// F and B.
    shape: (usize, usize),
    modulus: Modulus,
}

impl<E: Engine> Spectra<E> {
    /// Spectra of every source, real parts above imaginary parts (2B x T_a), and the map M (F x B) to bands. The nonzero
    /// weights of a band must be in consecutive bins. Without a map, the data are the bins.
    ///
    /// # Errors
    /// [`Error::Input`] if the shapes do not fit, or if a band has gaps; also the errors of [`Engine::matrix`].
    pub fn new(engine: &E, sources: Vec<E::Panel>, bands: Option<ArrayView2<f32>>, modulus: Modulus) -> Result<Self> {
        let rows = sources.first().map_or(0, |panel| engine.shape(panel).0);
        let bins = rows / 2;
        if rows == 0 || rows % 2 != 0 || sources.iter().any(|panel| engine.shape(panel).0 != rows) {
            return Err(Error::input("spectra need the real and the imaginary parts of the same bins for all sources"));
        }
        let packed = match bands {
            Some(bands) if bands.ncols() != bins || bands.nrows() == 0 => {
                let (bands, of) = bands.dim();
                return Err(Error::input(format!("{bands} bands of {of} bins do not fit spectra of {bins}")));
            }
            Some(bands) => pack_bands(bands)?,
            None => Array2::from_shape_fn((bins, 3), |(row, column)| if column == 0 { row as f32 } else { 1.0 }),
        };
        Ok(Self { sources, shape: (packed.nrows(), bins), bands: engine.matrix(packed.view())?, modulus })
    }

    /// F, the rows of the data.
    pub fn rows(&self) -> usize {
        self.shape.0
    }
}

/// The rows of a map: the first bin, the number of bins, and the weights.
fn pack_bands(bands: ArrayView2<f32>) -> Result<Array2<f32>> {
    let ranges = bands.rows().into_iter().map(|row| {
        let of_weight = |&w: &f32| w != 0.0;
        let first = row.iter().position(of_weight).unwrap_or(0);
        let end = row.iter().rposition(of_weight).map_or(first, |last| last + 1);
        if row.iter().skip(first).take(end - first).all(of_weight) { Some(first..end) } else { None }
    });
    let ranges: Option<Vec<_>> = ranges.collect();
    let ranges = ranges.ok_or_else(|| Error::input("a band has bins without a weight between its first and last"))?;
    let longest = ranges.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
    let mut packed = Array2::zeros((bands.nrows(), 2 + longest));
    for ((mut packed, row), range) in packed.rows_mut().into_iter().zip(bands.rows()).zip(ranges) {
        (packed[0], packed[1]) = (range.start as f32, range.len() as f32);
        range.clone().for_each(|bin| packed[2 + bin - range.start] = row[bin]);
    }
    Ok(packed)
}

/// Where the data of mixtures come from.
pub enum Mixtures<E: Engine> {
    /// They are in memory: [`Pairs::mix`] of [`all_pairs`]. There is one panel for every pair of sources a < b, in the
    /// order of [`pair_index`].
    Stored(Vec<E::Panel>),
    /// They are formed from the spectra of the utterances whenever they are needed.
    Formed(Spectra<E>),
}

/// The place of sources a < b among all pairs of sources: (0, 1), (0, 2), (1, 2), (0, 3), …
pub fn pair_index(first: usize, second: usize) -> usize {
    second * (second - 1) / 2 + first
}

/// All pairs (i, j) of so many utterances of two sources. j runs fastest.
pub fn all_pairs(first: usize, second: usize) -> Vec<(usize, usize)> {
    (0..first).flat_map(|i| (0..second).map(move |j| (i, j))).collect()
}

/// The utterances of all sources, and the data of their mixtures.
pub struct Pairing<E: Engine> {
    data: Vec<E::Panel>,
    mixtures: Mixtures<E>,
    /// T_ai of every source.
    lengths: Vec<Vec<usize>>,
    /// c (1 x T_a) of every source.
    alone: Vec<E::Panel>,
}

impl<E: Engine> Pairing<E> {
    /// Pairs the utterances of at least two sources. `data`: S_a (F x T_a) of every source, an utterance a segment.
    ///
    /// # Errors
    /// [`Error::Input`] if there are fewer than two sources, or if the mixtures do not fit the data; also the errors of
    /// [`Engine::panel_like`].
    pub fn new(engine: &E, data: Vec<E::Panel>, mixtures: Mixtures<E>) -> Result<Self> {
        let (rows, lengths): (Vec<usize>, Vec<Vec<usize>>) = data.iter().map(|panel| engine.segments(panel)).collect();
        if data.len() < 2 || rows.iter().any(|&other| other != rows[0]) {
            return Err(Error::input("pairs need the utterances of at least two sources, with data of the same rows"));
        }
        check_mixtures(engine, &mixtures, rows[0], &lengths)?;
        let weights = |source: usize| engine.panel_like(&data[source], alone(&lengths, source).view());
        let alone = (0..data.len()).map(weights).collect::<Result<_>>()?;
        Ok(Self { data, mixtures, lengths, alone })
    }

    /// N, the number of sources.
    pub fn sources(&self) -> usize {
        self.data.len()
    }

    /// U, the number of utterances.
    pub fn utterances(&self) -> usize {
        self.lengths.iter().map(Vec::len).sum()
    }

    /// S_a of every source.
    pub fn data(&self) -> &[E::Panel] {
        &self.data
    }

    /// Checks the models of all sources.
    fn check(&self, engine: &E, models: &[E::Panel], source: usize) -> Result<()> {
        let fits = |(model, data): (&E::Panel, &E::Panel)| engine.segments(model) == engine.segments(data);
        if source < self.data.len() && models.len() == self.data.len() && models.iter().zip(&self.data).all(fits) {
            return Ok(());
        }
        Err(Error::input(format!(
            "{} models do not fit the {} sources, of which source {source} is wanted; use F x T_a with the same segments",
            models.len(),
            self.data.len()
        )))
    }
}

/// The kernels of mixtures in pairs. `models` are Λ_a (F x T_a) of all sources, with the segments of the data.
///
/// All functions return [`Error::Input`] if the shapes do not fit, and [`Error::Engine`] if the device fails.
pub trait Pairs: Engine + Sized {
    /// Computes Λ = W H (F x N), unfloored. W is one matrix for all segments, or one per segment.
    fn model(&self, w: &Self::Matrix, h: &Self::Panel) -> Result<Self::Panel>;

    /// Computes X (F x T_a) of one source. A column depends on the same frame of all utterances and on the order of the
    /// sources and utterances, which is the order of the sum.
    fn shares(&self, pairing: &Pairing<Self>, models: &[Self::Panel], source: usize) -> Result<Self::Panel>;

    /// Computes the part of the objective that is counted with each column of one source: c_t d(S | Λ), and d(S_ab | Λ +
    /// Λ_bj) of the sources b > a. The sum over all columns of all sources is J without its penalty.
    fn pair_costs(&self, pairing: &Pairing<Self>, models: &[Self::Panel], source: usize) -> Result<Vec<f64>>;

    /// Forms S_ab = M |X_ai + X_bj|^p of pairs (i, j) of the utterances of two sources a and b, up to the end of the
    /// shorter utterance: (F, Σ min(T_ai, T_bj)), a pair a segment.
    fn mix(&self, spectra: &Spectra<Self>, sources: (usize, usize), pairs: &[(usize, usize)]) -> Result<Self::Panel>;
}

/// c_t (1 x T_a) of one source: how often a frame occurs without another source.
fn alone(lengths: &[Vec<usize>], source: usize) -> Array2<f32> {
    let mut ends: Vec<usize> = Vec::new();
    for (_, of_other) in lengths.iter().enumerate().filter(|(other, _)| *other != source) {
        ends.extend(of_other);
    }
    ends.sort_unstable();
    let own = &lengths[source];
    let weight = |frame: usize| (own.len() + ends.partition_point(|&end| end <= frame)) as f32;
    let weights: Vec<f32> = own.iter().flat_map(|&length| (0..length).map(weight)).collect();
    Array2::from_shape_vec((1, weights.len()), weights).unwrap_or_default()
}

/// The frames that both utterances of each pair have.
fn pair_lengths(first: &[usize], second: &[usize], pairs: &[(usize, usize)]) -> Vec<usize> {
    pairs.iter().map(|&(i, j)| first[i].min(second[j])).collect()
}

/// Checks that mixtures fit data of `rows` rows and utterances of these lengths.
fn check_mixtures<E: Engine>(engine: &E, mixtures: &Mixtures<E>, rows: usize, lengths: &[Vec<usize>]) -> Result<()> {
    let fits = match mixtures {
        Mixtures::Stored(panels) => {
            let pairs = (1..lengths.len()).flat_map(|second| (0..second).map(move |first| (first, second)));
            let of_pair = |(first, second): (usize, usize)| {
                let (first, second) = (&lengths[first], &lengths[second]);
                (rows, pair_lengths(first, second, &all_pairs(first.len(), second.len())))
            };
            panels.iter().map(|panel| engine.segments(panel)).eq(pairs.map(of_pair))
        }
        Mixtures::Formed(spectra) => {
            spectra.rows() == rows
                && spectra.sources.iter().map(|panel| engine.segments(panel).1).eq(lengths.iter().cloned())
        }
    };
    if fits {
        return Ok(());
    }
    Err(Error::input(format!(
        "mixtures do not fit data of {} sources with {rows} rows; use a panel for every pair of sources, with a segment for \
         every pair of their utterances, or the spectra of all utterances",
        lengths.len()
    )))
}

/// Checks that spectra have two sources of these numbers, with these pairs of utterances. Returns the frames of each pair.
fn check_mix<E: Engine>(
    engine: &E,
    spectra: &Spectra<E>,
    (first, second): (usize, usize),
    pairs: &[(usize, usize)],
) -> Result<Vec<usize>> {
    let lengths = |source: usize| spectra.sources.get(source).map(|panel| engine.segments(panel).1);
    if let (Some(one), Some(other)) = (lengths(first), lengths(second))
        && !pairs.is_empty()
        && pairs.iter().all(|&(i, j)| i < one.len() && j < other.len())
    {
        return Ok(pair_lengths(&one, &other, pairs));
    }
    let (count, sources) = (pairs.len(), spectra.sources.len());
    Err(Error::input(format!(
        "{count} pairs of sources {first} and {second} are not all among the utterances of {sources} sources"
    )))
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::engine::gpu::tests::{gpu, numbers};
    use crate::engine::{Cpu, Gpu};

    /// Utterances of three sources: below, at and beyond the widths of strips, tiles and chunks.
    const LENGTHS: [&[usize]; 3] = [&[1, 130], &[48, 49, 33], &[97, 300, 2, 32, 7]];
    const BANDS: usize = 9;
    const BINS: usize = 21;

    /// Numbers for every utterance of a source, side by side.
    fn panel<E: Engine>(engine: &E, seed: u32, rows: usize, source: usize) -> E::Panel {
        let parts: Vec<Array2<f32>> = (0..)
            .zip(LENGTHS[source])
            .map(|(i, &frames)| numbers(seed + 10 * source as u32 + i, rows, frames))
            .collect();
        engine.packed(&parts.iter().map(|part| part.view()).collect::<Vec<_>>()).unwrap()
    }

    fn panels<E: Engine>(engine: &E, seed: u32, rows: usize) -> Vec<E::Panel> {
        (0..LENGTHS.len()).map(|source| panel(engine, seed, rows, source)).collect()
    }

    fn spectra<E: Engine>(engine: &E, modulus: Modulus) -> Spectra<E> {
        // Triangles over five bins, two apart.
        let weight = |(band, bin): (usize, usize)| 1.0 - 0.3 * (2.0 + 2.0 * band as f32 - bin as f32).abs();
        let bands = Array2::from_shape_fn((BANDS, BINS), |at| weight(at).max(0.0));
        // Both signs, so that sums cancel.
        let signed = |source: usize| {
            let parts: Vec<Array2<f32>> = (0..)
                .zip(LENGTHS[source])
                .map(|(i, &frames)| numbers(500 + 10 * source as u32 + i, 2 * BINS, frames).mapv(|x| x - 0.55))
                .collect();
            engine.packed(&parts.iter().map(|part| part.view()).collect::<Vec<_>>()).unwrap()
        };
        let sources = (0..LENGTHS.len()).map(signed).collect();
        Spectra::new(engine, sources, Some(bands.view()), modulus).unwrap()
    }

    /// The shares and the costs of all sources.
    fn everything<E: Pairs>(engine: &E, modulus: Modulus, store: bool) -> Vec<Array2<f64>> {
        let spectra = spectra(engine, modulus);
        let mixtures = if store {
            let mix = |(first, second): (usize, usize)| {
                let pairs = all_pairs(LENGTHS[first].len(), LENGTHS[second].len());
                engine.mix(&spectra, (first, second), &pairs).unwrap()
            };
            Mixtures::Stored([(0, 1), (0, 2), (1, 2)].map(mix).into())
        } else {
            Mixtures::Formed(spectra)
        };
        let pairing = Pairing::new(engine, panels(engine, 1, BANDS), mixtures).unwrap();
        let w = engine.matrix(numbers(900, BANDS, 4).view()).unwrap();
        let gains = panels(engine, 200, 4);
        let models: Vec<E::Panel> = gains.iter().map(|h| engine.model(&w, h).unwrap()).collect();
        let mut all = Vec::new();
        for source in 0..LENGTHS.len() {
            all.push(engine.read_panel(&engine.shares(&pairing, &models, source).unwrap()).unwrap());
            let costs = engine.pair_costs(&pairing, &models, source).unwrap();
            all.push(Array2::from_shape_vec((1, costs.len()), costs).unwrap());
        }
        all
    }

    fn assert_stored_is_formed<E: Pairs>(engine: &E) {
        for modulus in [Modulus::Magnitude, Modulus::Power] {
            assert!(everything(engine, modulus, true) == everything(engine, modulus, false), "{modulus:?}");
        }
    }

    #[test]
    fn stored_mixtures_give_the_bits_of_formed_ones() {
        assert_stored_is_formed(&crate::engine::Reference);
        assert_stored_is_formed(&Cpu::new(Some(2)).unwrap());
        if let Some(gpu) = gpu() {
            assert_stored_is_formed(&gpu);
        }
    }

    #[test]
    fn threads_and_chunks_change_no_bit() {
        let on_cpu = |threads| everything(&Cpu::new(Some(threads)).unwrap(), Modulus::Magnitude, false);
        assert!(on_cpu(1) == on_cpu(3));
        let Some(mut gpu) = gpu() else { return };
        for store in [false, true] {
            let of = |gpu: &Gpu| everything(gpu, Modulus::Power, store);
            gpu = gpu.with_chunk_columns(1 << 16);
            let whole = of(&gpu);
            for columns in [32, 96] {
                gpu = gpu.with_chunk_columns(columns);
                assert!(of(&gpu) == whole, "stored: {store}, chunks of {columns}");
            }
        }
    }

    #[test]
    fn few_tiles_at_a_time_give_the_bits_of_all() {
        let Some(gpu) = gpu() else { return };
        let whole = everything(&gpu, Modulus::Power, false);
        gpu.dispatch_work.set(1).unwrap();
        assert!(everything(&gpu, Modulus::Power, false) == whole);
    }

    #[test]
    fn memory_that_was_used_before_changes_no_bit() {
        let Some(gpu) = gpu() else { return };
        let clean = everything(&gpu, Modulus::Power, true);
        let junk: Vec<_> = [1, 4, BANDS, 2 * BINS]
            .iter()
            .flat_map(|&rows| {
                [60, 140, 200, 450].map(|columns| gpu.panel(Array2::from_elem((rows, columns), f32::NAN).view()))
            })
            .collect();
        drop(junk);
        assert!(everything(&gpu, Modulus::Power, true) == clean, "dirty memory");
        gpu.check_indices();
        assert!(everything(&gpu, Modulus::Power, true) == clean, "checked indices");
    }

    #[test]
    fn engines_are_near_the_reference() {
        let expected = everything(&crate::engine::Reference, Modulus::Magnitude, false);
        let assert_near = |got: Vec<Array2<f64>>| {
            for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
                let largest = expected.iter().copied().fold(0.0, f64::max);
                let worst = (got - expected).iter().fold(0.0, |worst: f64, error| worst.max(error.abs())) / largest;
                assert!(worst <= 5e-6, "result {index} is off by {worst:.1e}");
            }
        };
        assert_near(everything(&Cpu::new(Some(2)).unwrap(), Modulus::Magnitude, false));
        if let Some(gpu) = gpu() {
            assert_near(everything(&gpu, Modulus::Magnitude, false));
        }
    }
}
