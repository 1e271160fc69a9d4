//! Extrapolated updates: each update starts from a point further along the last step, in log space.
//!
//! After Hien, Leplat & Gillis, "Block majorization-minimization with extrapolation and application to β-NMF" (2024). They prove
//! convergence for β in [1, 2]. For other divergences, above all IS, it is a heuristic. A safeguard holds everywhere: a point is
//! accepted only if its cost is not above the cost of the last accepted point. The update computes that cost in its own pass over
//! the data. After a refused point, the next one is a point that cannot cost more.
//!
//! With fixed bases every column takes steps of its own, so its result depends on its own data alone. If both factors are
//! learned, one step length serves all columns, bases and segments of a packed panel. A refused step then holds all segments
//! back, and a recording's result differs from the one that it has alone.

use std::ops::Range;

use ndarray::Array2;

use super::options::{Learn, Normalization, Options};
use super::stopping::{self, Path as _};
use super::trace::{Fit, Trace, objective};
use crate::kernels::momentum::{START, share, tolerated};
use crate::kernels::{Glue, Momentum, Products, Rule, Track};
use crate::{Error, Result};

/// The factor on the exponent of the updates: over-relaxation, which makes steps longer. Of 1, 1.25 and 1.5, this one takes the
/// fewest iterations on speech and on piano, under IS and KL.
const RELAXATION: f64 = 1.25;
/// Plain iterations before both factors are extrapolated. At first the direction of the steps changes with every iteration, and
/// an extrapolated point would be slow to come back.
const PLAIN: f64 = 3.0;

/// Factorizes as [`super::factorize`] does. The trace holds the costs of accepted points. Only its last entry, the cost of the
/// result, takes a pass of its own.
pub(super) fn factorize<E: Products + Momentum + Glue>(
    engine: &E,
    v: &E::Panel,
    w: &mut E::Matrix,
    h: &mut E::Panel,
    options: &Options,
    watch: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<Fit> {
    let refused =
        |what: &str| Err(Error::input(format!("extrapolated updates do not go with {what}; use alternating ones")));
    match (options.learn, options.normalization) {
        (Learn::Bases, _) => return refused("gains that are kept"),
        (_, Some(Normalization { compensate: false, .. })) => return refused("a normalisation that changes the model"),
        _ => {}
    }
    let mut trace = Trace::new(options);
    let done = match options.learn {
        Learn::Gains => update_gains(engine, v, w, h, &options.rule, options.iterations, |done, track| {
            if trace.due(done) {
                trace.push(done, engine.read_panel::<f64>(&track.state)?.row(0).sum())?;
            }
            watch(done + 1)?;
            Ok(!trace.converged)
        })?,
        _ => update_both(engine, v, w, h, options, &mut trace, watch)?.0,
    };
    if let (Learn::Both, Some(Normalization { norm, .. })) = (options.learn, options.normalization) {
        engine.normalize(w, Some(h), norm)?;
    }
    trace.push(done, objective(engine, v, w, h, &options.rule)?)?;
    Ok(trace.fit(done))
}

/// Finds gains under fixed bases in at most `iterations` updates. Every column takes steps of its own. After each update,
/// `judged` gets the number of the update whose point was judged last, and the track, and returns whether to go on. Returns the
/// number of updates.
///
/// # Errors
/// Those of the engine and of `judged`.
fn update_gains<E: Products + Momentum>(
    engine: &E,
    v: &E::Panel,
    w: &E::Matrix,
    h: &mut E::Panel,
    rule: &Rule,
    iterations: usize,
    mut judged: impl FnMut(usize, &Track<E::Panel>) -> Result<bool>,
) -> Result<usize> {
    let mut path = Path::from(engine, h, rule)?;
    let mut go_on = true;
    while path.done < iterations && go_on {
        path.update(engine, v, w)?;
        go_on = judged(path.done - 1, &path.track)?;
    }
    *h = path.gains(engine)?;
    Ok(path.done)
}

/// Extrapolated updates of gains under fixed bases, each column by steps of its own.
pub(super) struct Path<P> {
    track: Track<P>,
    rule: Rule,
    /// See [`Momentum::advance`].
    majorizing: f64,
    done: usize,
}

impl<P> Path<P> {
    /// Starts from these gains.
    pub(super) fn from<E: Momentum<Panel = P>>(engine: &E, h: &P, rule: &Rule) -> Result<Self> {
        let columns = engine.shape(h).1;
        let copy = || engine.lead_gains(h, h, 0.0);
        let track = Track {
            trial: copy()?,
            next: copy()?,
            previous: copy()?,
            safe: copy()?,
            costs: engine.panel_like(h, Array2::<f32>::zeros((1, columns)).view())?,
            state: engine.panel_like(h, Array2::from_shape_fn((2, columns), |(row, _)| [START, 0.0][row]).view())?,
        };
        let rule = relaxed(rule);
        let majorizing = (rule.divergence.majorizing_exponent() / rule.exponent).min(1.0);
        Ok(Self { track, rule, majorizing, done: 0 })
    }
}

impl<E: Products + Momentum> stopping::Path<E> for Path<E::Panel> {
    fn update(&mut self, engine: &E, v: &E::Panel, w: &E::Matrix) -> Result<()> {
        let Track { trial, next, costs, .. } = &mut self.track;
        engine.try_gains(v, w, trial, next, costs, &self.rule)?;
        engine.advance(&mut self.track, self.majorizing)?;
        self.done += 1;
        Ok(())
    }

    fn weighed_update(&mut self, engine: &E, v: &E::Panel, w: &E::Matrix) -> Result<Vec<f64>> {
        self.update(engine, v, w)?;
        Ok(engine.read_panel(&self.track.state)?.row(0).to_vec())
    }

    fn gains(&self, engine: &E) -> Result<E::Panel> {
        // The last update was not judged. Go back to the step length that cannot raise the cost.
        let back = if self.done > 0 { self.majorizing - 1.0 } else { 0.0 };
        engine.lead_gains(&self.track.previous, &self.track.safe, back)
    }

    fn select(&self, engine: &E, columns: &[Range<usize>]) -> Result<Self> {
        let select = |panel: &E::Panel| engine.select(panel, columns);
        let Track { trial, next, costs, previous, safe, state } = &self.track;
        let track = Track {
            trial: select(trial)?,
            next: select(next)?,
            costs: select(costs)?,
            previous: select(previous)?,
            safe: select(safe)?,
            state: select(state)?,
        };
        Ok(Self { track, rule: self.rule.clone(), ..*self })
    }
}

fn relaxed(rule: &Rule) -> Rule {
    Rule { exponent: RELAXATION * rule.exponent, ..rule.clone() }
}

/// Learns both factors, with one step length for all columns and bases. Returns the number of iterations, and how many of them
/// refused a point.
fn update_both<E: Products + Momentum + Glue>(
    engine: &E,
    v: &E::Panel,
    w: &mut E::Matrix,
    h: &mut E::Panel,
    options: &Options,
    trace: &mut Trace,
    watch: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<(usize, usize)> {
    let long = relaxed(&options.rule);
    let sure = Rule { exponent: long.divergence.majorizing_exponent(), ..long.clone() };
    let copy = |(w, h): (&E::Matrix, &E::Panel)| -> Result<(E::Matrix, E::Panel)> {
        Ok((engine.lead_bases(w, w, 0.0)?, engine.lead_gains(h, h, 0.0)?))
    };
    // The cost of a penalty is the sum of the gains only if the bases have norm 1.
    let keep_norm = |w: &mut E::Matrix, h: &mut E::Panel| match options.rule.basis_norm() {
        Some(norm) => engine.normalize(w, Some(h), norm),
        None => Ok(()),
    };
    let start = (&*w, &*h);
    // The point to try, the last accepted point, and its update.
    let (mut trial, mut safe, mut previous) = (copy(start)?, copy(start)?, copy(start)?);
    let mut next_h = copy(start)?.1;
    let mut costs = engine.panel_like(h, Array2::<f32>::zeros((1, engine.shape(h).1)).view())?;
    let (mut lowest, mut steps, mut rule) = (f64::INFINITY, -PLAIN, long.clone());
    let (mut done, mut refused, mut accepted) = (0, 0, true);
    while done < options.iterations && !trace.converged {
        engine.try_gains(v, &trial.0, &trial.1, &mut next_h, &mut costs, &rule)?;
        let cost = engine.read_panel::<f64>(&costs)?.sum();
        let moved = std::mem::replace(&mut accepted, cost <= tolerated(lowest));
        if accepted {
            lowest = lowest.min(cost);
            steps += 1.0;
            let mut next_w = engine.lead_bases(&trial.0, &trial.0, 0.0)?;
            engine.update_bases(v, &mut next_w, &next_h, &rule)?;
            keep_norm(&mut next_w, &mut next_h)?;
            let share = share(steps.max(0.0));
            let mut lead_w = engine.lead_bases(&next_w, &previous.0, share)?;
            let mut lead_h = engine.lead_gains(&next_h, &previous.1, share)?;
            keep_norm(&mut lead_w, &mut lead_h)?;
            let spare = std::mem::replace(&mut safe, std::mem::replace(&mut trial, (lead_w, lead_h)));
            previous = (next_w, std::mem::replace(&mut next_h, spare.1));
            rule = long.clone();
        } else {
            // Updates with the majorising exponent cannot cost more than the point that they start from.
            refused += 1;
            steps = 0.0;
            trial = copy((&safe.0, &safe.1))?;
            rule = sure.clone();
        }
        if trace.due(done) {
            trace.push(done, if done == 0 { cost } else { lowest })?;
            // After a refused point, the objective stands still twice: now, and at the next point, which is the safe one again.
            // That does not mean convergence.
            trace.converged &= accepted && moved;
        }
        done += 1;
        watch(done)?;
    }
    // The last update was not judged yet.
    let rises = done > 0 && objective(engine, v, &previous.0, &previous.1, &options.rule)? > tolerated(lowest);
    (*w, *h) = if rises { safe } else { previous };
    Ok((done, refused))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::divergence::Divergence;
    use crate::engine::Reference;
    use crate::random::Stream;

    /// A panel or a matrix of the reference: a segment or one of a stack.
    fn numbers(name: &str, rows: usize, columns: usize) -> Vec<Array2<f64>> {
        let stream = Stream::new(3, name);
        let at = |(row, column)| 0.01 + stream.uniform((row * columns + column) as u64);
        vec![Array2::from_shape_fn((rows, columns), at)]
    }

    #[test]
    fn points_are_refused_and_the_accepted_ones_never_rise() {
        for divergence in [Divergence::ItakuraSaito, Divergence::KullbackLeibler] {
            let (v, w, mut h) = (numbers("v", 12, 30), numbers("w", 12, 5), numbers("h", 5, 30));
            let (mut refusals, mut last) = (0, Array2::from_elem((1, 30), f64::INFINITY));
            let rule = Rule::of(divergence.clone());
            let done = update_gains(&Reference, &v, &w, &mut h, &rule, 60, |_, track| {
                refusals += track.state[0].row(1).iter().filter(|&&steps| steps == 0.0).count();
                let accepted = track.state[0].row(0).insert_axis(ndarray::Axis(0)).to_owned();
                assert!(ndarray::Zip::from(&accepted).and(&last).all(|now, before| now <= before));
                last = accepted;
                Ok(true)
            });
            assert_eq!(done.unwrap(), 60);
            assert!(refusals > 0, "{divergence}: nothing was refused, so nothing was seen");
            let costs = Reference.costs(&v, &w, &h, &divergence).unwrap();
            for (cost, accepted) in costs.iter().zip(last.row(0)) {
                assert!(*cost <= tolerated(*accepted), "{divergence}: ends at {cost}, above {accepted}");
            }
        }
    }

    #[test]
    fn learning_takes_back_what_costs_more() {
        // The data have a perfect fit, so steps can go too far.
        let v = vec![numbers("true w", 12, 3)[0].dot(&numbers("true h", 3, 30)[0])];
        for divergence in [Divergence::ItakuraSaito, Divergence::KullbackLeibler] {
            let (mut w, mut h) = (numbers("w", 12, 3), numbers("h", 3, 30));
            let options = Options::of(divergence.clone(), 400);
            let mut trace = Trace::new(&options);
            let (done, refused) =
                update_both(&Reference, &v, &mut w, &mut h, &options, &mut trace, &mut |_| Ok(())).unwrap();
            assert!(done == 400 && refused > 0, "{divergence}: nothing was refused, so nothing was seen");
            let accepted = trace.fit(done).objective;
            assert!(accepted.windows(2).all(|pair| pair[1] <= pair[0]));
            let ends = objective(&Reference, &v, &w, &h, &options.rule).unwrap();
            assert!(ends <= tolerated(accepted[399]), "{divergence}: ends at {ends}, above {}", accepted[399]);
        }
    }

    #[test]
    fn a_column_does_not_depend_on_its_neighbours() {
        let (v, w, h) = (numbers("v", 12, 30), numbers("w", 12, 5), numbers("h", 5, 30));
        let run = |columns: std::ops::Range<usize>| {
            let of = |x: &[Array2<f64>]| vec![x[0].slice(ndarray::s![.., columns.clone()]).to_owned()];
            let mut h = of(&h);
            let rule = Rule::of(Divergence::ItakuraSaito);
            update_gains(&Reference, &of(&v), &w, &mut h, &rule, 25, |_, _| Ok(true)).unwrap();
            h.remove(0)
        };
        assert_eq!(run(0..30).slice(ndarray::s![.., 7..9]), run(7..9));
    }

    #[test]
    fn it_stops_when_told_and_zero_iterations_change_nothing() {
        let (v, w, start) = (numbers("v", 6, 4), numbers("w", 6, 2), numbers("h", 2, 4));
        let rule = Rule::of(Divergence::KullbackLeibler);
        let mut h = start.clone();
        assert_eq!(update_gains(&Reference, &v, &w, &mut h, &rule, 9, |done, _| Ok(done < 3)).unwrap(), 4);
        assert_ne!(h, start);
        let mut h = start.clone();
        assert_eq!(update_gains(&Reference, &v, &w, &mut h, &rule, 0, |_, _| Ok(true)).unwrap(), 0);
        assert_eq!(h, start);
    }
}
