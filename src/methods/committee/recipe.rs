//! Which members a training has.

use super::train::{Kind, Spec};
use super::{Manner, Quality, Training};
use crate::methods::exemplars;
use crate::options::Rank;
use crate::spectrogram::BandMap;

/// The ranks that are tried for the first member, the usual one first.
const RANKS: [usize; 2] = [96, 32];
/// The same by the quality best, whose bases span three frames.
const BEST_RANKS: [usize; 2] = [128, 48];
/// Stacks that bases are learned from at most, by quality. Against 1,000, 2,000 gained 0.04 dB and 500 lost 0.05 to 0.1.
const LEARNED_FROM: usize = 600;
const BEST_LEARNED_FROM: usize = 1500;
/// Fewer bands than these are too coarse to find gains on.
const FEWEST_BANDS: usize = 40;
/// The updates of the gains under learned bases.
const UPDATES: usize = 12;
/// λ as a share of the mean sum of a basis, for learned bases and for exemplars.
const SPARSITY: f64 = 0.1;
const SPARSITY_OF_EXEMPLARS: f64 = 0.25;
/// How far the levels of sources are drawn together under exemplars.
const LEVELLING: f64 = 0.2;

/// The members of a training.
pub(crate) struct Recipe {
    /// Those among which the first is chosen, the usual one first.
    pub(crate) candidates: Vec<Spec>,
    /// The others.
    pub(crate) others: Vec<Spec>,
    /// Stacks that bases are learned from at most.
    pub(crate) learned_from: usize,
}

/// What a recipe is for.
pub(crate) struct Asked<'a> {
    /// The options of the method.
    pub(crate) own: &'a Training,
    /// The ranks of the sources, as far as they are given.
    pub(crate) ranks: &'a [Rank],
    /// λ, if it is given.
    pub(crate) sparsity: Option<f64>,
    /// Hz.
    pub(crate) sample_rate: u32,
    /// The points of the transform.
    pub(crate) fft: usize,
    /// Whether the data are bins, which bands can be formed of.
    pub(crate) is_linear: bool,
    /// Whether gains are found under KL.
    pub(crate) is_kl: bool,
}

impl Asked<'_> {
    fn manner(&self, context: usize, quality: Quality) -> Manner {
        // Under other divergences than KL, a penalty is not measured; there is none.
        let sparsity = self.sparsity.unwrap_or(if self.is_kl { SPARSITY } else { 0.0 });
        let context = self.own.context.unwrap_or(context);
        Manner { context, stride: 1, bands: BandMap::Linear, levelling: 0.0, sparsity, iterations: UPDATES, quality }
    }

    fn learned(&self, rank: usize, context: usize, quality: Quality) -> Spec {
        let ranks = self.ranks.iter().map(|given| given.given().unwrap_or(rank)).collect();
        Spec { kind: Kind::Learned(ranks), manner: self.manner(context, quality), given: self.sparsity.is_some() }
    }

    /// The members of the method nmf.
    pub(crate) fn committee(&self) -> Recipe {
        let quality = self.own.quality.unwrap_or_default();
        let is_given = self.ranks.iter().all(|rank| rank.given().is_some());
        let (ranks, context, learned_from) = match quality {
            Quality::Best => (&BEST_RANKS, 3, BEST_LEARNED_FROM),
            _ => (&RANKS, 1, LEARNED_FROM),
        };
        let tried = if is_given { &ranks[..1] } else { &ranks[..] };
        let candidates = tried.iter().map(|&rank| self.learned(rank, context, Quality::Fast)).collect();
        let count = self.own.members.unwrap_or(if quality == Quality::Fast { 1 } else { 2 });
        let other = |index: usize| match index % 4 {
            0 => self.exemplars(quality, None, 6),
            1 => self.learned(ranks[0], 3, quality),
            2 => self.exemplars(quality, None, 4),
            _ => self.learned(ranks[0] / 2, 5, quality),
        };
        Recipe { candidates, others: (1..count).map(|index| other(index - 1)).collect(), learned_from }
    }

    /// The one member of the method exemplars.
    pub(crate) fn of_exemplars(&self, own: &exemplars::Training) -> Recipe {
        let context = own.context.unwrap_or(exemplars::FRAMES);
        let spec = self.exemplars(Quality::Best, own.exemplars.or(Some(exemplars::EXEMPLARS)), context);
        let manner = Manner { context, quality: Quality::Fast, ..spec.manner };
        Recipe { candidates: vec![Spec { manner, ..spec }], others: Vec::new(), learned_from: LEARNED_FROM }
    }

    /// As many mel bands as a transform has bins for, up to `most`; the bins themselves where those are few.
    fn bands(&self, most: usize) -> BandMap {
        let counts =
            std::iter::successors(Some(most), |count| Some(count * 3 / 4)).take_while(|count| *count >= FEWEST_BANDS);
        let fits = |bands: &BandMap| self.is_linear && bands.bands(self.sample_rate, self.fft).is_ok();
        counts.map(|count| BandMap::mel(count, self.sample_rate)).find(fits).unwrap_or_default()
    }

    /// A member whose bases are exemplars.
    fn exemplars(&self, quality: Quality, count: Option<usize>, context: usize) -> Spec {
        let (usual, bands, iterations) = if quality == Quality::Best { (1000, 160, 30) } else { (250, 128, 16) };
        let bands = self.bands(bands);
        let sparsity = self.sparsity.unwrap_or(if self.is_kl { SPARSITY_OF_EXEMPLARS } else { 0.0 });
        let manner = self.manner(context, quality);
        let stride = [2, 3].into_iter().find(|stride| manner.context.is_multiple_of(*stride)).unwrap_or(1);
        let manner = Manner { stride, bands, sparsity, iterations, levelling: LEVELLING, ..manner };
        Spec { kind: Kind::Exemplars(count.unwrap_or(usual)), manner, given: self.sparsity.is_some() }
    }
}
