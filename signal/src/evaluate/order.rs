//! Finds the best order of the estimates.

use std::cmp::Ordering;
use std::ops::{Add, Sub};

/// The score of an order, compared by its first value, then by its second. Sums of scores compare the same way, so the
/// assignment algorithm can use them.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
struct Score(f64, f64);

impl Score {
    const LEAST: Self = Self(f64::NEG_INFINITY, f64::NEG_INFINITY);
    const NONE: Self = Self(0.0, 0.0);

    /// Clamps infinite ratios, so that sums stay comparable and opposite infinities do not give NaN. An undefined ratio
    /// counts as 0.
    fn of((sir, sdr): (f64, f64)) -> Self {
        let bounded = |ratio: f64| if ratio.is_nan() { 0.0 } else { ratio.clamp(-1e4, 1e4) };
        Self(bounded(sir), bounded(sdr))
    }

    fn exceeds(self, other: Self) -> bool {
        self.partial_cmp(&other) == Some(Ordering::Greater)
    }
}

impl Add for Score {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0, self.1 + other.1)
    }
}

impl Sub for Score {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0, self.1 - other.1)
    }
}

/// Finds the order (an estimate for each source) with the highest sum of SIR. Among equal sums the highest sum of SDR
/// wins; this happens if only one source is not silent and every SIR is infinite. `ratios(estimate, source)` returns
/// SIR and SDR.
///
/// This is the Hungarian method: it adds one source after another, each by the cheapest chain of exchanges. A pair of a
/// source and an estimate is worth at most the sum of their prices, and exactly that sum if they are assigned.
pub(super) fn best_order(sources: usize, ratios: impl Fn(usize, usize) -> (f64, f64)) -> Vec<usize> {
    let mut source_prices = vec![Score::NONE; sources];
    let mut prices = vec![Score::NONE; sources];
    // The source of each estimate.
    let mut owners: Vec<Option<usize>> = vec![None; sources];
    for new in 0..sources {
        // For each estimate not yet reached: the gain of the best chain to it, and the estimate before it in that
        // chain.
        let mut gains = vec![Score::LEAST; sources];
        let mut before: Vec<Option<usize>> = vec![None; sources];
        let mut reached = vec![false; sources];
        let (mut source, mut from) = (new, None);
        let mut end = loop {
            for estimate in (0..sources).filter(|&estimate| !reached[estimate]) {
                let gain = Score::of(ratios(estimate, source)) - source_prices[source] - prices[estimate];
                if gain.exceeds(gains[estimate]) {
                    (gains[estimate], before[estimate]) = (gain, from);
                }
            }
            let open = (0..sources).filter(|&estimate| !reached[estimate]);
            let best = open.fold(None, |best: Option<usize>, estimate| match best {
                Some(best) if !gains[estimate].exceeds(gains[best]) => Some(best),
                _ => Some(estimate),
            });
            let Some(next) = best else { break from };
            let gain = gains[next];
            // Adjust the prices so that the step to it gains nothing.
            source_prices[new] = source_prices[new] + gain;
            for estimate in 0..sources {
                if !reached[estimate] {
                    gains[estimate] = gains[estimate] - gain;
                } else if let Some(owner) = owners[estimate] {
                    source_prices[owner] = source_prices[owner] + gain;
                    prices[estimate] = prices[estimate] - gain;
                }
            }
            reached[next] = true;
            from = Some(next);
            match owners[next] {
                Some(owner) => source = owner,
                None => break from,
            }
        };
        while let Some(estimate) = end {
            owners[estimate] = match before[estimate] {
                Some(earlier) => owners[earlier],
                None => Some(new),
            };
            end = before[estimate];
        }
    }
    let mut order = vec![0; sources];
    for (estimate, owner) in owners.into_iter().enumerate() {
        if let Some(source) = owner {
            order[source] = estimate;
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_sir(table: &[impl AsRef<[f64]>]) -> Vec<usize> {
        best_order(table.len(), |estimate, source| (table[estimate].as_ref()[source], 0.0))
    }

    #[test]
    fn the_best_order_maximizes_the_mean() {
        // A greedy choice takes the 9 and is left with -5. The other order has the larger sum.
        assert_eq!(by_sir(&[[9.0, 8.0], [7.0, -5.0]]), [1, 0]);
        assert_eq!(by_sir(&[[1.0; 3]; 3]), [0, 1, 2], "equal scores keep their order");
        assert_eq!(by_sir(&[[f64::NAN, f64::NAN], [2.0, 3.0]]), [0, 1], "a silent source takes the remaining estimate");
        assert_eq!(by_sir(&[[f64::NEG_INFINITY, f64::INFINITY], [5.0, f64::NEG_INFINITY]]), [1, 0]);
    }

    #[test]
    fn sdr_decides_if_sir_is_equal() {
        // Only source 0 is not silent.
        let sdr = [[-8.0, f64::NAN, f64::NAN], [13.0, f64::NAN, f64::NAN], [2.0, f64::NAN, f64::NAN]];
        let sir = |source| if source == 0 { f64::INFINITY } else { f64::NAN };
        assert_eq!(best_order(3, |estimate, source| (sir(source), sdr[estimate][source])), [1, 0, 2]);
        // SDR decides nothing else.
        assert_eq!(
            best_order(2, |estimate, source| (
                [[2.0, 1.0], [1.0, 2.0]][estimate][source],
                [[0.0, 9.0], [9.0, 0.0]][estimate][source]
            )),
            [0, 1]
        );
    }

    #[test]
    fn no_order_is_better_than_the_best() {
        let mut state = 1u64;
        let mut next = move || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 59) as f64
        };
        for trial in 0..400 {
            let sources = 1 + trial % 6;
            // Integers, so that ties occur.
            let table: Vec<Vec<(f64, f64)>> =
                (0..sources).map(|_| (0..sources).map(|_| (next(), next())).collect()).collect();
            let total = |order: &[usize]| {
                let scores = order.iter().enumerate().map(|(source, &estimate)| Score::of(table[estimate][source]));
                scores.fold(Score::NONE, Score::add)
            };
            let found = best_order(sources, |estimate, source| table[estimate][source]);
            let mut sorted = found.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..sources).collect::<Vec<_>>());
            let mut orders = vec![vec![]];
            for _ in 0..sources {
                let longer = |order: &Vec<usize>| {
                    let free = (0..sources).filter(|estimate| !order.contains(estimate));
                    free.map(|estimate| [order.as_slice(), &[estimate]].concat()).collect::<Vec<_>>()
                };
                orders = orders.iter().flat_map(longer).collect();
            }
            assert!(orders.iter().all(|order| !total(order).exceeds(total(&found))), "{table:?}: {found:?}");
        }
    }
}
