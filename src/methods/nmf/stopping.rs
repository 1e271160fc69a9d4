//! Early stopping of updates under fixed bases: each segment stops by its own objective.
//!
//! A segment is a range of a panel's columns, such as a stretch of a file. Its result is the one that it has alone, to the bit:
//! its objective is the sum of its own columns' costs, it is checked after the same updates, and its gains are copied out when it
//! stops. Its columns stay in the panel without effect, until enough of them have stopped to make the panel narrower.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};

use crate::engine::Engine;
use crate::kernels::Momentum;
use crate::{Error, Result};

/// Updates between two checks of the objectives. A check waits for the engine and sums the cost of every column, so checks should
/// be rare. A segment that could stop goes on until the next check, so they should not be too rare. Extrapolated updates progress
/// unevenly: right after a refused one, a segment that still improves would look finished.
pub const LOOK: usize = 5;

/// The panel becomes narrower once one column in this many has stopped, if the engine can do that cheaply. Moving the remaining
/// data takes a quarter of an update at K = 128, and a whole one at K = 16.
const NARROW: usize = 4;

/// How long gains are updated.
#[derive(Debug, Clone, Copy)]
pub struct Until<'a> {
    /// The most updates.
    pub iterations: usize,
    /// A segment stops when its objective fell by no more than this share of its first value within [`LOOK`] updates, or is not
    /// finite. 0: never.
    pub tolerance: f64,
    /// The number of columns of each segment, N in total.
    pub segments: &'a [usize],
}

/// Gains (K x N) that are being updated, by some kind of update.
pub(super) trait Path<E: Engine>: Sized {
    /// One more update.
    fn update(&mut self, engine: &E, v: &E::Panel, w: &E::Matrix) -> Result<()>;

    /// The same update. Returns the cost of every column at its best point so far.
    fn weighed_update(&mut self, engine: &E, v: &E::Panel, w: &E::Matrix) -> Result<Vec<f64>>;

    /// The gains, if no update follows.
    fn gains(&self, engine: &E) -> Result<E::Panel>;

    /// The same path, of some of the columns.
    fn select(&self, engine: &E, columns: &[Range<usize>]) -> Result<Self>;
}

/// A segment that has not stopped.
struct Going {
    /// Its index.
    segment: usize,
    /// Its columns in the current panel.
    columns: Range<usize>,
    /// Its objective at the first and at the last check.
    seen: Option<(f64, f64)>,
}

impl Going {
    /// Checks the segment, and returns whether it goes on. Silence does not, since its objective is 0 from the start, and neither
    /// does NaN, since no comparison with it is true.
    fn goes_on(&mut self, costs: &[f64], tolerance: f64) -> bool {
        let objective: f64 = costs[self.columns.clone()].iter().sum();
        let (first, before) = self.seen.unwrap_or((objective, f64::INFINITY));
        self.seen = Some((first, objective));
        before - objective > tolerance * first
    }

    /// The index of the segment, and its gains.
    fn gains(&self, all: &Array2<f64>) -> (usize, Array2<f64>) {
        (self.segment, all.slice(s![.., self.columns.clone()]).to_owned())
    }
}

/// Assigns columns to the segments, side by side.
fn place(going: &mut [Going]) {
    let mut first = 0;
    for one in going {
        one.columns = first..first + one.columns.len();
        first = one.columns.end;
    }
}

/// Follows a path until all segments have stopped. Returns the gains, and the number of updates of each segment.
///
/// # Errors
/// [`Error::Input`] where the segments are not of the panel's columns, and those of the engine.
pub(super) fn follow<E: Momentum, P: Path<E>>(
    engine: &E,
    v: &E::Panel,
    w: &E::Matrix,
    mut path: P,
    until: &Until,
) -> Result<(E::Panel, Vec<usize>)> {
    let &Until { iterations, tolerance, segments } = until;
    let packed = engine.segments(v).1;
    let columns: usize = packed.iter().sum();
    if segments.iter().sum::<usize>() != columns {
        return Err(Error::input(format!("segments {segments:?} of a panel of {columns} columns")));
    }
    if tolerance > 0.0 && packed.len() > 1 {
        return Err(Error::input("gains of a packed panel stop together; use a tolerance of 0"));
    }
    let mut updates = vec![iterations; segments.len()];
    let start = |(segment, &columns)| Going { segment, columns: 0..columns, seen: None };
    let mut going: Vec<Going> = segments.iter().enumerate().map(start).collect();
    place(&mut going);
    // The data of the segments that go on, once the panel is narrower. The gains of those that have stopped: on the host if the
    // panel becomes narrower, otherwise on the engine, where they need no way to the host and back.
    let narrows = engine.selects_cheaply();
    let (mut narrow, mut read, mut kept) = (None, Vec::new(), None);
    let mut done = 0;
    while done < iterations && !going.is_empty() {
        let data = narrow.as_ref().unwrap_or(v);
        let looks = tolerance > 0.0 && done.is_multiple_of(LOOK);
        done += 1;
        if !looks {
            path.update(engine, data, w)?;
            continue;
        }
        let costs = path.weighed_update(engine, data, w)?;
        let stopped: Vec<Going> = going.extract_if(.., |one| !one.goes_on(&costs, tolerance)).collect();
        if stopped.is_empty() {
            continue;
        }
        stopped.iter().for_each(|one| updates[one.segment] = done);
        let gains = path.gains(engine)?;
        if !narrows {
            kept = Some(keep(engine, gains, &stopped, kept.take())?);
            continue;
        }
        let gains = engine.read_panel(&gains)?;
        read.extend(stopped.iter().map(|one| one.gains(&gains)));
        let left: usize = going.iter().map(|one| one.columns.len()).sum();
        if left > 0 && done < iterations && NARROW * (costs.len() - left) >= costs.len() {
            let columns: Vec<_> = going.iter().map(|one| one.columns.clone()).collect();
            narrow = Some(engine.select(data, &columns)?);
            path = path.select(engine, &columns)?;
            place(&mut going);
        }
    }
    match kept {
        Some(kept) if going.is_empty() => return Ok((kept, updates)),
        Some(kept) => return Ok((keep(engine, path.gains(engine)?, &going, Some(kept))?, updates)),
        None if read.is_empty() => return Ok((path.gains(engine)?, updates)),
        None => {}
    }
    let gains = engine.read_panel(&path.gains(engine)?)?;
    read.extend(going.iter().map(|one| one.gains(&gains)));
    read.sort_unstable_by_key(|(segment, _)| *segment);
    let parts: Vec<ArrayView2<f64>> = read.iter().map(|(_, gains)| gains.view()).collect();
    let gains = concatenate(Axis(1), &parts).map_err(|cause| Error::input(format!("gains of segments: {cause}")))?;
    Ok((engine.panel(gains.view())?, updates))
}

/// Adds the gains of some segments to those that the engine keeps. The first panel is kept as it is: the columns of the segments
/// that go on are replaced later.
fn keep<E: Momentum>(engine: &E, gains: E::Panel, segments: &[Going], kept: Option<E::Panel>) -> Result<E::Panel> {
    let Some(mut kept) = kept else { return Ok(gains) };
    let mut chosen = Array2::<f32>::zeros((1, engine.shape(&gains).1));
    segments.iter().for_each(|one| chosen.slice_mut(s![.., one.columns.clone()]).fill(1.0));
    engine.keep(&gains, &engine.panel_like(&gains, chosen.view())?, &mut kept)?;
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::engine::Reference;

    type Stack = Vec<Array2<f64>>;

    /// Gains of two rows: how many more checks see a column's cost fall, and its updates.
    struct Falling<'a> {
        h: Stack,
        widths: &'a RefCell<Vec<usize>>,
    }

    impl Path<Reference> for Falling<'_> {
        fn update(&mut self, _: &Reference, v: &Stack, _: &Stack) -> Result<()> {
            assert_eq!(v[0].row(0), self.h[0].row(0), "data and gains are not of the same columns");
            self.widths.borrow_mut().push(v[0].ncols());
            self.h[0].row_mut(1).mapv_inplace(|updates| updates + 1.0);
            Ok(())
        }

        fn weighed_update(&mut self, engine: &Reference, v: &Stack, w: &Stack) -> Result<Vec<f64>> {
            let looks = self.h[0][(1, 0)] / LOOK as f64;
            self.update(engine, v, w)?;
            Ok(self.h[0].row(0).iter().map(|falls| 100.0 - looks.min(*falls)).collect())
        }

        fn gains(&self, _: &Reference) -> Result<Stack> {
            Ok(self.h.clone())
        }

        fn select(&self, engine: &Reference, columns: &[Range<usize>]) -> Result<Self> {
            Ok(Self { h: engine.select(&self.h, columns)?, widths: self.widths })
        }
    }

    #[test]
    fn the_panel_is_narrower_once_a_quarter_has_stopped() {
        let falls = [(3, 2.0), (1, 0.0), (4, 9.0), (2, 1.0), (0, 0.0)];
        let row: Vec<f64> = falls.iter().flat_map(|&(columns, falls)| vec![falls; columns]).collect();
        let v = vec![Array2::from_shape_fn((1, 10), |(_, n)| row[n])];
        let h = vec![Array2::from_shape_fn((2, 10), |(k, n)| if k == 0 { row[n] } else { 0.0 })];
        let widths = RefCell::new(Vec::new());
        let until = Until { iterations: 18, tolerance: 1e-3, segments: &falls.map(|(columns, _)| columns) };
        let path = Falling { h, widths: &widths };
        let (gains, updates) = follow(&Reference, &v, &vec![Array2::zeros((1, 2))], path, &until).unwrap();
        // One column of ten stops at the second check, two more at the third, three at the fourth.
        assert_eq!(updates, [16, 6, 18, 11, 6]);
        assert_eq!(widths.into_inner(), [vec![10; 11], vec![7; 5], vec![4; 2]].concat());
        assert_eq!(gains[0].row(0).to_vec(), row);
        assert_eq!(gains[0].row(1).to_vec(), [16., 16., 16., 6., 18., 18., 18., 18., 11., 11.]);
    }

    #[test]
    fn what_is_not_finite_stops_and_so_does_nothing() {
        let going = |costs: &[f64]| {
            let mut one = Going { segment: 0, columns: 0..1, seen: None };
            costs.iter().position(|&cost| !one.goes_on(&[cost], 1e-9))
        };
        assert_eq!(going(&[f64::NAN]), Some(0));
        assert_eq!(going(&[3.0, 2.0, f64::INFINITY]), Some(2));
        assert_eq!(going(&[0.0, 0.0]), Some(1));
        assert_eq!(going(&[3.0, 2.0, 2.5]), Some(2));
        assert_eq!(going(&[3.0, 2.0, 1.0]), None);
    }
}
