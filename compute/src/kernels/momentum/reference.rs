//! Extrapolation in f64, straight from the equations.

use ndarray::{Array2, Zip};

use super::{LEAST, Momentum, REACH, Track, check_keep, check_path, check_track, share, tolerated};
use crate::Result;
use crate::engine::{Engine, Reference};

type Stack = Vec<Array2<f64>>;

/// lead(x, x', b) of one entry.
fn lead(to: f64, from: f64, share: f64) -> f64 {
    if to == 0.0 {
        return 0.0;
    }
    // `max` would turn NaN into a number.
    let [to, from] = [to, from].map(|x| if x < LEAST { LEAST } else { x });
    let ratio = to / from;
    to * if share > 0.0 { ratio.clamp(1.0 / REACH, REACH) } else { ratio }.powf(share)
}

fn lead_all(to: &Stack, from: &Stack, share: f64) -> Result<Stack> {
    let shapes = |stack: &Stack| stack.iter().map(Array2::dim).collect::<Vec<_>>();
    check_path(shapes(to), shapes(from), share)?;
    let one = |(to, from): (&Array2<f64>, &Array2<f64>)| {
        Zip::from(to).and(from).map_collect(|&to, &from| lead(to, from, share))
    };
    Ok(to.iter().zip(from).map(one).collect())
}

/// Advances one segment of a track.
fn advance(track: Track<&mut Array2<f64>>, majorizing: f64) {
    let Track { trial, next, costs, previous, safe, state } = track;
    for n in 0..trial.ncols() {
        let (cost, accepted) = (costs[(0, n)], state[(0, n)]);
        let steps = &mut state[(1, n)];
        if cost <= tolerated(accepted) {
            *steps += 1.0;
            let share = share(*steps);
            state[(0, n)] = cost.min(accepted);
            for k in 0..trial.nrows() {
                let at = (k, n);
                safe[at] = trial[at];
                trial[at] = lead(next[at], previous[at], share);
                previous[at] = next[at];
            }
        } else {
            *steps = 0.0;
            for k in 0..trial.nrows() {
                let at = (k, n);
                trial[at] = lead(previous[at], safe[at], majorizing - 1.0);
            }
        }
    }
}

impl Momentum for Reference {
    fn lead_gains(&self, to: &Stack, from: &Stack, share: f64) -> Result<Stack> {
        lead_all(to, from, share)
    }

    fn lead_bases(&self, to: &Stack, from: &Stack, share: f64) -> Result<Stack> {
        lead_all(to, from, share)
    }

    fn advance(&self, track: &mut Track<Stack>, majorizing: f64) -> Result<()> {
        check_track(self, track, majorizing)?;
        let Track { trial, next, costs, previous, safe, state } = track;
        let ahead = trial.iter_mut().zip(next).zip(costs);
        let behind = previous.iter_mut().zip(safe).zip(state);
        for (((trial, next), costs), ((previous, safe), state)) in ahead.zip(behind) {
            advance(Track { trial, next, costs, previous, safe, state }, majorizing);
        }
        Ok(())
    }

    fn keep(&self, gains: &Stack, chosen: &Stack, kept: &mut Stack) -> Result<()> {
        let [of_gains, of_chosen, of_kept] = [gains, chosen, &*kept].map(|panel| self.segments(panel));
        check_keep((of_gains.0, &of_gains.1), (of_chosen.0, &of_chosen.1), (of_kept.0, &of_kept.1))?;
        for ((gains, chosen), kept) in gains.iter().zip(chosen).zip(kept) {
            for (n, mut kept) in kept.columns_mut().into_iter().enumerate().filter(|(n, _)| chosen[(0, *n)] > 0.0) {
                kept.assign(&gains.column(n));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{array, s};

    use super::super::START;
    use super::*;

    fn near(a: &Array2<f64>, b: &Array2<f64>) {
        assert!(Zip::from(a).and(b).all(|a, b| (a - b).abs() < 1e-12), "{a} is not {b}");
    }

    #[test]
    fn extrapolations_equal_hand_computed_ones() {
        let (to, from) = (vec![array![[4.0, 1.0, 0.0, 9.0]]], vec![array![[3.0, 4.0, 2.0, 1.0]]]);
        // 4 (4/3)^½, 1 (½)^½ (clipped), 0, 9 · 2^½ (clipped).
        let expected = array![[4.0 * (4.0f64 / 3.0).sqrt(), 0.5f64.sqrt(), 0.0, 9.0 * 2f64.sqrt()]];
        near(&Reference.lead_gains(&to, &from, 0.5).unwrap()[0], &expected);
        // Half the way back is the geometric mean at any distance.
        near(&Reference.lead_bases(&to, &from, -0.5).unwrap()[0], &array![[12f64.sqrt(), 2.0, 0.0, 3.0]]);
        near(&Reference.lead_gains(&to, &from, 0.0).unwrap()[0], &to[0]);
        assert!(Reference.lead_gains(&to, &vec![array![[1.0]]], 0.5).is_err());
        assert!(Reference.lead_gains(&to, &from, 1.5).is_err());
    }

    #[test]
    fn accepted_and_refused_trials_equal_hand_computed_ones() {
        // The last column is a segment of its own.
        let split =
            |values: Array2<f64>| vec![values.slice(s![.., ..2]).to_owned(), values.slice(s![.., 2..]).to_owned()];
        let row = |values: [f64; 3]| split(array![values]);
        // Three columns: a first step, a refused trial, a NaN cost.
        let mut track = Track {
            trial: row([1.0, 5.0, 5.0]),
            next: row([1.5, 6.0, 6.0]),
            costs: row([10.0, 2.0, f64::NAN]),
            previous: row([1.0, 4.0, 4.0]),
            safe: row([0.5, 1.0, 1.0]),
            state: split(array![[START, 1.0, 1.0], [0.0, 7.0, 7.0]]),
        };
        Reference.advance(&mut track, 0.5).unwrap();
        let near_all = |a: &Stack, b: Stack| a.iter().zip(&b).for_each(|(a, b)| near(a, b));
        near_all(&track.trial, row([1.5 * 1.5f64.powf(0.25), 2.0, 2.0]));
        near_all(&track.previous, row([1.5, 4.0, 4.0]));
        near_all(&track.safe, row([1.0, 1.0, 1.0]));
        assert_eq!(track.state, split(array![[10.0, 1.0, 1.0], [1.0, 0.0, 0.0]]));
        // A cost below 0 may rise by its share too.
        let below = |cost: f64| {
            track.costs = row([cost, 2.0, f64::NAN]);
            track.state = split(array![[-10.0, 1.0, 1.0], [1.0, 0.0, 0.0]]);
            Reference.advance(&mut track, 0.5).unwrap();
            track.state[0][(1, 0)]
        };
        assert_eq!([-10.1, -10.0 + 5e-6, -9.99].map(below), [2.0, 2.0, 0.0]);
        // Segments in another order do not fit, though they have as many columns.
        track.costs.reverse();
        assert!(Reference.advance(&mut track, 0.5).is_err());
    }

    #[test]
    fn chosen_columns_are_kept_and_the_others_stay() {
        let gains = vec![array![[1.0, 2.0], [3.0, 4.0]], array![[5.0], [6.0]]];
        let chosen = vec![array![[0.0, 1.0]], array![[1.0]]];
        let mut kept = vec![array![[9.0, 9.0], [8.0, 8.0]], array![[9.0], [8.0]]];
        Reference.keep(&gains, &chosen, &mut kept).unwrap();
        assert_eq!(kept, [array![[9.0, 2.0], [8.0, 4.0]], array![[5.0], [6.0]]]);
        assert!(Reference.keep(&gains, &gains, &mut kept).is_err());
        kept.reverse();
        assert!(Reference.keep(&gains, &chosen, &mut kept).is_err());
    }
}
