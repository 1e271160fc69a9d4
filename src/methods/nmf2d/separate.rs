//! Data → masks without a model: the patterns are found in the recording, or given.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, s};

use super::factorize::Options;
use super::search::{Found, Start, search};
use crate::Result;
use crate::engine::cut;
use crate::kernels::{Lags, Mask, Shifts};
use crate::methods::separator::{Factors, Held, Request, Separated, Separator};

/// How a recording is separated into patterns that move.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The updates of the factors.
    pub(crate) options: Options,
    /// Where the patterns come from.
    pub(crate) patterns: Patterns,
    /// How a cell is shared among the sources.
    pub(crate) mask: Mask,
}

/// Where the patterns of the sources come from.
#[derive(Debug, Clone)]
pub(crate) enum Patterns {
    /// One pattern per source is found in the recording, from several random starts, of which the one with the least objective is
    /// kept. The source that explains the most of the recording is the first.
    Found {
        /// J.
        sources: usize,
        /// The number of starts.
        starts: usize,
        /// The seed of the first start.
        seed: u64,
    },
    /// The patterns are given.
    Given {
        /// W^τ (F x D), T of them.
        bases: Vec<Array2<f64>>,
        /// Which components are whose.
        sources: Vec<Range<usize>>,
    },
}

impl Patterns {
    /// The number of patterns.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Found { sources, .. } => *sources,
            Self::Given { sources, .. } => sources.last().map_or(0, |last| last.end),
        }
    }
}

/// An engine that separates recordings by patterns. A panel is one recording. Its segments are the channels, which share the
/// patterns.
pub(crate) struct Blind<'a, E> {
    engine: Held<'a, E>,
    settings: &'a Settings,
}

impl<'a, E: Shifts> Blind<'a, E> {
    /// A separator on this engine.
    pub(crate) fn new(engine: Held<'a, E>, settings: &'a Settings) -> Self {
        Self { engine, settings }
    }
}

impl<E: Shifts> Separator for Blind<'_, E> {
    fn describe(&self) -> String {
        self.engine.describe()
    }

    fn separate_as(&self, data: ArrayView2<f32>, segments: &[usize], request: &mut Request) -> Result<Separated> {
        let Settings { options, patterns, mask } = self.settings;
        let channels = cut(data.reversed_axes(), segments);
        let of = options.iterations.max(1) as f64;
        let tick = |iteration| request.done(iteration as f64 / of);
        let (found, sources) = match patterns {
            Patterns::Found { sources, starts, seed } => {
                let start = Start::Random { components: *sources, starts: *starts, seed: *seed };
                let mut found = search(&*self.engine, &channels, start, options, tick)?;
                loudest_first(&mut found);
                (found, (0..*sources).map(|source| source..source + 1).collect())
            }
            Patterns::Given { bases, sources } => {
                // A recording of a lower sample rate has nothing above its own Nyquist frequency.
                let rows = |basis: &Array2<f64>| basis.slice(s![..data.ncols().min(basis.nrows()), ..]).to_owned();
                let bases: Vec<_> = bases.iter().map(rows).collect();
                let start = Start::Given { bases: &bases, gains: None };
                (search(&*self.engine, &channels, start, options, tick)?, sources.clone())
            }
        };
        let (engine, lags) = (&*self.engine, options.rule.lags);
        let w = engine.stack(&found.bases.iter().map(|w| w.view()).collect::<Vec<_>>())?;
        let h = engine.packed(&found.gains.iter().map(|h| h.view()).collect::<Vec<_>>())?;
        let costs = engine.shifted_costs(&engine.packed(&channels)?, &w, &h, lags, &options.rule.rule.divergence)?;
        let masks = engine.shifted_masks(&w, &h, &sources, lags, *mask)?;
        let masks = masks.iter().map(|mask| engine.read_panel(mask)).collect::<Result<_>>()?;
        let factors = request.factors.then(|| factors(&found, sources, lags));
        let iterations = vec![options.iterations; segments.len()];
        Ok(Separated { masks, costs, iterations, factors: factors.into_iter().collect() })
    }

    fn by_segment(&self) -> bool {
        false
    }
}

/// What was found, as a job tells it.
fn factors(found: &Found, components: Vec<Range<usize>>, Lags { time, pitch }: Lags) -> Factors {
    let (rows, count) = found.bases.first().map_or((0, 0), Array2::dim);
    let mut bases = Array2::zeros((time * rows, count));
    for (mut lag, w) in bases.axis_chunks_iter_mut(Axis(0), rows.max(1)).zip(&found.bases) {
        lag.assign(&w.mapv(|w| w as f32));
    }
    let gains = found.gains.iter().map(|h| h.mapv(|h| h as f32)).collect();
    Factors { bases: vec![bases], gains, components, context: time, stride: 1, pitches: pitch }
}

/// Orders components by how much they explain, ΣW ΣH, so that the order of the sources does not depend on the start.
fn loudest_first(found: &mut Found) {
    let components = found.bases.first().map_or(0, Array2::ncols);
    let explained = |d: usize| -> f64 {
        let w: f64 = found.bases.iter().map(|w| w.column(d).sum()).sum();
        let h: f64 = found
            .gains
            .iter()
            .map(|h| h.rows().into_iter().skip(d).step_by(components).map(|h| h.sum()).sum::<f64>())
            .sum();
        w * h
    };
    let explained: Vec<f64> = (0..components).map(explained).collect();
    let mut order: Vec<usize> = (0..components).collect();
    order.sort_by(|&a, &b| explained[b].total_cmp(&explained[a]));
    for w in &mut found.bases {
        *w = w.select(Axis(1), &order);
    }
    for h in &mut found.gains {
        let rows: Vec<usize> =
            (0..h.nrows()).map(|row| row / components * components + order[row % components]).collect();
        *h = h.select(Axis(0), &rows);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::divergence::Divergence;
    use crate::engine::{Cpu, Reference};
    use crate::methods::nmf::Learn;
    use crate::random::Stream;

    const LAGS: Lags = Lags { time: 2, pitch: 3 };

    fn numbers(name: &str, rows: usize, columns: usize) -> Array2<f64> {
        let stream = Stream::new(3, name);
        Array2::from_shape_fn((rows, columns), |(row, column)| stream.uniform((row * columns + column) as u64))
    }

    /// Frames (N, F) of two patterns that move, their part of it each, and the columns of two channels.
    fn recording() -> (Array2<f32>, [Array2<f64>; 2], [usize; 2]) {
        let bases: Vec<_> =
            (0..LAGS.time).map(|time| numbers(&format!("w{time}"), 12, 2).mapv(|w| w.powi(6))).collect();
        let h = numbers("h", 6, 40).mapv(|h| h.powi(8));
        let segments = [18, 22];
        let h: Vec<_> = [h.slice(s![.., ..18]), h.slice(s![.., 18..])].map(|h| h.to_owned()).into();
        let models = Reference.shifted_models(&bases, &h, &[0..1, 1..2], LAGS).unwrap();
        let joined = |model: &Vec<Array2<f64>>| ndarray::concatenate![Axis(1), model[0], model[1]];
        let models = [joined(&models[0]), &joined(&models[1]) * 0.1];
        let data = (&models[0] + &models[1]).t().mapv(|v| v as f32);
        (data, models, segments)
    }

    fn settings(patterns: Patterns, iterations: usize) -> Settings {
        let options = Options { trace_every: 0, ..Options::of(Divergence::KullbackLeibler, LAGS, iterations) };
        Settings { options, patterns, mask: Mask::Ratio(1.0) }
    }

    #[test]
    fn masks_are_those_of_the_kept_start_the_loudest_source_first() {
        let (data, models, segments) = recording();
        let settings = settings(Patterns::Found { sources: 2, starts: 4, seed: 1 }, 400);
        let blind = Blind::new(Held::Owned(Reference), &settings);
        let Separated { masks, costs, iterations, .. } = blind.separate(data.view(), &segments).unwrap();
        assert_eq!((iterations, costs.len()), (vec![400, 400], 40));
        let sum = &masks[0] + &masks[1];
        assert!(sum.iter().all(|sum| (sum - 1.0).abs() < 1e-6));
        // Patterns of noise are not separated completely, but the loud part belongs to the right source.
        let power = |mask: &Array2<f32>, model: &Array2<f64>| -> f64 {
            mask.iter().zip(model).map(|(&mask, &model)| f64::from(mask) * model).sum::<f64>() / model.sum()
        };
        assert!(power(&masks[0], &models[0]) > 0.8, "{}", power(&masks[0], &models[0]));
        assert!(power(&masks[0], &models[0]) > power(&masks[0], &models[1]) + 0.1);

        // The start with the least objective over both channels is kept.
        let alone = |seed| {
            let settings = Settings { patterns: Patterns::Found { sources: 2, starts: 1, seed }, ..settings.clone() };
            Blind::new(Held::Owned(Reference), &settings).separate(data.view(), &segments).unwrap()
        };
        let all: Vec<_> = (1..5).map(alone).collect();
        let objective = |one: &Separated| one.costs.iter().sum::<f64>();
        let best = all.iter().min_by(|a, b| objective(a).total_cmp(&objective(b))).unwrap();
        assert_eq!((&best.masks, &best.costs), (&masks, &costs));
        assert!(all.iter().any(|one| one.masks != masks) && !blind.by_segment());
    }

    #[test]
    fn patterns_that_are_given_stay_and_a_source_has_all_of_its_own() {
        let (data, ..) = recording();
        let bases: Vec<_> = (0..LAGS.time).map(|time| numbers(&format!("b{time}"), 14, 3)).collect();
        let mut settings = settings(Patterns::Given { bases: bases.clone(), sources: vec![0..2, 2..3] }, 15);
        settings.options.learn = Learn::Gains;
        let separated = Blind::new(Held::Owned(Reference), &settings).separate(data.view(), &[40]).unwrap();
        // The same by hand, with the 12 rows that the recording has.
        let bases: Vec<_> = bases.iter().map(|w| w.slice(s![..12, ..]).to_owned()).collect();
        let start = Start::Given { bases: &bases, gains: None };
        let found = search(&Reference, &[data.t()], start, &settings.options, |_| Ok(())).unwrap();
        assert_eq!(found.bases, bases);
        let models = Reference.shifted_models(&bases, &found.gains, &[0..1, 1..2, 2..3], LAGS).unwrap();
        let (first, second) = (&models[0][0] + &models[1][0], &models[2][0]);
        let share = (&first / (&first + second)).mapv(|share| share as f32);
        assert!((&separated.masks[0] - &share).iter().all(|error| error.abs() < 1e-6));

        settings.options.learn = Learn::Both;
        let adapted = Blind::new(Held::Owned(Reference), &settings).separate(data.view(), &[40]).unwrap();
        assert!(adapted.costs.iter().sum::<f64>() < 0.9 * separated.costs.iter().sum::<f64>());
        let close =
            Blind::new(Held::Owned(Cpu::new(Some(2)).unwrap()), &settings).separate(data.view(), &[40]).unwrap();
        assert!((&close.masks[0] - &adapted.masks[0]).iter().all(|error| error.abs() < 1e-3));
    }

    #[test]
    fn components_change_places_in_both_factors() {
        let mut found = Found {
            bases: vec![array![[1.0, 2.0, 3.0]], array![[0.0, 0.0, 1.0]]],
            gains: vec![
                array![[1.0], [2.0], [3.0], [4.0], [5.0], [6.0]],
                array![[0.0], [9.0], [0.0], [0.0], [0.0], [0.0]],
            ],
            fit: super::super::factorize::Fit { objective: array![[1.0]] },
            start: 0,
            seconds: 0.0,
        };
        // 1·5, 2·16, 4·9.
        loudest_first(&mut found);
        assert_eq!(found.bases, [array![[3.0, 2.0, 1.0]], array![[1.0, 0.0, 0.0]]]);
        assert_eq!(found.gains[0], array![[3.0], [2.0], [1.0], [6.0], [5.0], [4.0]]);
        assert_eq!(found.gains[1], array![[0.0], [9.0], [0.0], [0.0], [0.0], [0.0]]);
    }
}
