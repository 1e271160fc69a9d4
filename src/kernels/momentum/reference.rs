//! Extrapolation as the equations have it.

use ndarray::{Array2, Zip};

use super::{Momentum, REACH, SLACK, Track, check_path, share};
use crate::Result;
use crate::engine::Reference;

/// lead(x, x', b) of one entry.
fn lead(to: f64, from: f64, share: f64) -> f64 {
    if to == 0.0 {
        return 0.0;
    }
    let ratio = to / from;
    to * if share > 0.0 { ratio.clamp(1.0 / REACH, REACH) } else { ratio }.powf(share)
}

fn lead_all(to: &Array2<f64>, from: &Array2<f64>, share: f64) -> Result<Array2<f64>> {
    check_path(to.dim(), from.dim(), share)?;
    Ok(Zip::from(to).and(from).map_collect(|&to, &from| lead(to, from, share)))
}

impl Momentum for Reference {
    fn lead_gains(&self, to: &Array2<f64>, from: &Array2<f64>, share: f64) -> Result<Array2<f64>> {
        lead_all(to, from, share)
    }

    fn lead_bases(&self, to: &Array2<f64>, from: &Array2<f64>, share: f64) -> Result<Array2<f64>> {
        lead_all(to, from, share)
    }

    fn advance(&self, track: &mut Track<Array2<f64>>, majorizing: f64) -> Result<()> {
        check_path(track.next.dim(), track.previous.dim(), majorizing - 1.0)?;
        for n in 0..track.trial.ncols() {
            let (cost, accepted) = (track.costs[(0, n)], track.state[(0, n)]);
            let steps = &mut track.state[(1, n)];
            if cost <= accepted * (1.0 + SLACK) {
                *steps += 1.0;
                let share = share(*steps);
                track.state[(0, n)] = cost.min(accepted);
                for k in 0..track.trial.nrows() {
                    let at = (k, n);
                    track.safe[at] = track.trial[at];
                    track.trial[at] = lead(track.next[at], track.previous[at], share);
                    track.previous[at] = track.next[at];
                }
            } else {
                *steps = 0.0;
                for k in 0..track.trial.nrows() {
                    let at = (k, n);
                    track.trial[at] = lead(track.previous[at], track.safe[at], majorizing - 1.0);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::super::START;
    use super::*;

    fn near(a: &Array2<f64>, b: &Array2<f64>) {
        assert!(Zip::from(a).and(b).all(|a, b| (a - b).abs() < 1e-12), "{a} is not {b}");
    }

    #[test]
    fn leads_by_hand() {
        let (to, from) = (array![[4.0, 1.0, 0.0, 9.0]], array![[3.0, 4.0, 2.0, 1.0]]);
        // 4 (4/3)^½, 1 (½)^½ (clipped), 0, 9 · 2^½ (clipped).
        let expected = array![[4.0 * (4.0f64 / 3.0).sqrt(), 0.5f64.sqrt(), 0.0, 9.0 * 2f64.sqrt()]];
        near(&Reference.lead_gains(&to, &from, 0.5).unwrap(), &expected);
        // Half the way back is the geometric mean, however far apart.
        near(&Reference.lead_bases(&to, &from, -0.5).unwrap(), &array![[12f64.sqrt(), 2.0, 0.0, 3.0]]);
        near(&Reference.lead_gains(&to, &from, 0.0).unwrap(), &to);
        assert!(Reference.lead_gains(&to, &array![[1.0]], 0.5).is_err());
        assert!(Reference.lead_gains(&to, &from, 1.5).is_err());
    }

    #[test]
    fn advances_by_hand() {
        let row = |values: [f64; 3]| Array2::from_shape_vec((1, 3), values.to_vec()).unwrap();
        // One column's first step, one that is refused, one whose cost is no number.
        let mut track = Track {
            trial: row([1.0, 5.0, 5.0]),
            next: row([1.5, 6.0, 6.0]),
            costs: row([10.0, 2.0, f64::NAN]),
            previous: row([1.0, 4.0, 4.0]),
            safe: row([0.5, 1.0, 1.0]),
            state: array![[START, 1.0, 1.0], [0.0, 7.0, 7.0]],
        };
        Reference.advance(&mut track, 0.5).unwrap();
        near(&track.trial, &row([1.5 * 1.5f64.powf(0.25), 2.0, 2.0]));
        near(&track.previous, &row([1.5, 4.0, 4.0]));
        near(&track.safe, &row([1.0, 1.0, 1.0]));
        assert_eq!(track.state, array![[10.0, 1.0, 1.0], [1.0, 0.0, 0.0]]);
    }
}
