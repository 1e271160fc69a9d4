//! From data to masks: the mean of the members'.

use ndarray::{Array2, ArrayView2, Zip};

use super::Manner;
use crate::Result;
use crate::divergence::Divergence;
use crate::kernels::{Glue, Lags, Momentum, Products, Shifts};
use crate::methods::nmf::context::{Stacked, grouped, lags, lowest};
use crate::methods::nmf::separate::{FixedBases, Settings, read_masks};
use crate::methods::separator::{Factors, OnEngine, Separated, TrainedBases};
use crate::spectrogram::Bands;

/// What a member is brought up from.
pub(crate) struct MemberOf<'a> {
    /// How its gains are found.
    pub(crate) manner: &'a Manner,
    /// W (TF, K) of every source.
    pub(crate) bases: Vec<ArrayView2<'a, f32>>,
    /// What its gains are found under.
    pub(crate) divergence: &'a Divergence,
    /// The bands that its gains are found on, if it has any.
    pub(crate) bands: Option<Bands>,
}

/// A member on an engine.
struct OnBins<E: Products> {
    /// T, and the frames from one stack to the next.
    context: usize,
    stride: usize,
    bands: Option<Bands>,
    /// W (TB, ΣK), in the bands or bins that gains are found on.
    bases: FixedBases<E>,
    /// W^0 … W^{T−1} (F, ΣK) in the bins.
    lags: E::Matrix,
    /// The sum of each basis in the bins.
    sums: Vec<f64>,
    levelling: f64,
    settings: Settings,
}

impl<E: Products + Momentum + Glue + Shifts> OnBins<E> {
    /// Brings the lowest so many bins of a member up.
    fn new(engine: &E, member: MemberOf, bins: usize, settings: Settings) -> Result<Self> {
        let MemberOf { manner: &Manner { context, stride, levelling, .. }, bases, divergence, bands } = member;
        let bands = bands.map(|bands| bands.of_lowest(bins)).transpose()?;
        let (in_bins, sources) = lowest(&bases, context, bins);
        let mut sums = vec![0.0; in_bins.ncols()];
        for row in in_bins.rows() {
            sums.iter_mut().zip(row).for_each(|(sum, &w)| *sum += f64::from(w));
        }
        let lags = engine.stack(&lags(in_bins.view(), context / stride))?;
        let on_data = grouped(in_bins.view(), context, bands.as_ref())?.unwrap_or(in_bins);
        let trained = TrainedBases { bases: on_data, sources, divergence: divergence.clone(), power_exponent: 2.0 };
        Ok(Self { context, stride, sums, levelling, bands, bases: FixedBases::new(engine, trained)?, lags, settings })
    }
}

impl<E: Products> OnBins<E> {
    /// Gains whose sources have levels that are drawn together: those of source j are divided by (L_j / Σ_i L_i)^c in each column,
    /// L_j = Σ Λ_j. Where one source is much weaker, its model is biased towards nothing, and this mends it.
    fn levelled(&self, engine: &E, gains: &E::Panel) -> Result<E::Panel> {
        let mut on_host: Array2<f32> = engine.read_panel(gains)?;
        for mut column in on_host.columns_mut() {
            let level = |source: &std::ops::Range<usize>| {
                source.clone().map(|k| f64::from(column[k]) * self.sums[k]).sum::<f64>()
            };
            let levels: Vec<f64> = self.bases.sources.iter().map(level).collect();
            let all: f64 = levels.iter().sum();
            for (source, level) in self.bases.sources.iter().zip(levels) {
                let scale = if all > 0.0 { (level / all).max(WEAKEST).powf(-self.levelling) as f32 } else { 1.0 };
                source.clone().for_each(|k| column[k] *= scale);
            }
        }
        engine.panel(on_host.view())
    }
}

/// The share of a source in a stack below which it counts as this.
const WEAKEST: f64 = 1e-4;

impl<E: Products + Momentum + Glue + Shifts> OnEngine<E> for OnBins<E> {
    fn separate(&self, engine: &E, data: ArrayView2<f32>, segments: &[usize], factors: bool) -> Result<Separated> {
        let in_bands = self.bands.as_ref().map(|bands| bands.group(data.t())).transpose()?;
        let data = in_bands.as_ref().map_or(data, |in_bands| in_bands.t());
        let stacked = Stacked::new(data, segments, (self.context, self.stride))?;
        let (data, segments) = (stacked.view()?, stacked.stacks());
        let panel = engine.panel(data)?;
        let (gains, iterations) = self.bases.gains(engine, data, &panel, segments, &self.settings)?;
        let costs = engine.costs(&panel, &self.bases.on_engine, &gains, &self.bases.divergence)?;
        let time = Lags { time: self.context / self.stride, pitch: 1 };
        let gains = if self.levelling > 0.0 { self.levelled(engine, &gains)? } else { gains };
        let masks = engine.shifted_masks(&self.lags, &gains, &self.bases.sources, time, self.settings.mask)?;
        let masks = read_masks(engine, &masks)?.iter().map(|mask| stacked.frames_of(mask)).collect();
        // A stack has the costs of T frames, and each frame is in T/s stacks.
        let of_frame = |(_, column): (usize, usize)| (costs[column] / self.context as f64) as f32;
        let costs = Array2::from_shape_fn((self.stride, costs.len()), of_frame);
        let costs = stacked.frames_of(&costs).iter().map(|&cost| f64::from(cost)).collect();
        let read = || -> Result<Factors> {
            Ok(Factors {
                bases: vec![engine.read_matrix(&self.lags)?],
                gains: stacked.that_begin_inside(&engine.read_panel(&gains)?),
                components: self.bases.sources.clone(),
                context: self.context,
                stride: self.stride,
                pitches: 1,
            })
        };
        let factors = if factors { vec![read()?] } else { Vec::new() };
        Ok(Separated { masks, costs, iterations, factors })
    }
}

/// The members of a committee on an engine.
pub(crate) struct Committee<E: Products> {
    members: Vec<OnBins<E>>,
}

impl<E: Products + Momentum + Glue + Shifts> Committee<E> {
    /// Brings the lowest so many bins of all members up. `settings` are those of a member.
    ///
    /// # Errors
    /// Those of the engine.
    pub(crate) fn new<'a>(
        engine: &E,
        members: impl IntoIterator<Item = MemberOf<'a>>,
        bins: usize,
        settings: impl Fn(&Manner) -> Settings,
    ) -> Result<Self> {
        let bring_up = |member: MemberOf<'a>| {
            let settings = settings(member.manner);
            OnBins::new(engine, member, bins, settings)
        };
        Ok(Self { members: members.into_iter().map(bring_up).collect::<Result<_>>()? })
    }
}

impl<E: Products + Momentum + Glue + Shifts> OnEngine<E> for Committee<E> {
    fn separate(&self, engine: &E, data: ArrayView2<f32>, segments: &[usize], factors: bool) -> Result<Separated> {
        let mut mean: Option<Separated> = None;
        for member in &self.members {
            let next = member.separate(engine, data, segments, factors)?;
            mean = Some(match mean {
                None => next,
                Some(sum) => added(sum, next),
            });
        }
        let mut mean = mean.ok_or_else(|| crate::Error::input("a committee without members"))?;
        let share = 1.0 / self.members.len() as f32;
        if self.members.len() > 1 {
            mean.masks.iter_mut().for_each(|mask| mask.par_mapv_inplace(|sum| sum * share));
            mean.costs.iter_mut().for_each(|cost| *cost *= f64::from(share));
        }
        Ok(mean)
    }
}

/// The sum of two members' masks and costs, the most updates of each segment, and the factors of both.
fn added(mut sum: Separated, next: Separated) -> Separated {
    for (sum, next) in sum.masks.iter_mut().zip(&next.masks) {
        Zip::from(sum).and(next).par_for_each(|sum, next| *sum += next);
    }
    sum.costs.iter_mut().zip(&next.costs).for_each(|(sum, next)| *sum += next);
    sum.iterations.iter_mut().zip(&next.iterations).for_each(|(sum, next)| *sum = (*sum).max(*next));
    sum.factors.extend(next.factors);
    sum
}

/// What the engine holds for each column under the members, whose ranks over all sources are given: numbers for every row of the
/// data, and others. One member computes at a time; the sum of masks stays.
pub(crate) fn held<'a>(
    members: impl Iterator<Item = (&'a Manner, Option<usize>, usize)>,
    (rows, sources): (usize, usize),
) -> (usize, usize) {
    let of_member = |(manner, bands, rank): (&Manner, Option<usize>, usize)| {
        // The stacked data, and the gains of several points of an extrapolated path.
        manner.context * bands.unwrap_or(rows) + 6 * rank
    };
    (2 * sources, members.map(of_member).max().unwrap_or_default())
}

/// The frames of a stretch under bases that span several frames. At the ends of a stretch stacks hold zeros, so it must be much
/// longer than a stack.
pub(crate) const LONG_STRETCH: usize = 480;
