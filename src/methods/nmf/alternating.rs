//! Plain updates: one factor after the other, or both from one pass.

use std::ops::Range;

use ndarray::Array2;

use super::options::{Learn, Normalization, Options, Order, Updates};
use super::stopping;
use super::trace::{Fit, Trace, objective};
use crate::kernels::{Glue, Momentum, Products, Rule};
use crate::{Error, Result};

/// Factorizes by plain updates, as [`super::factorize`] does.
pub(super) fn factorize<E: Products + Glue>(
    engine: &E,
    v: &E::Panel,
    w: &mut E::Matrix,
    h: &mut E::Panel,
    options: &Options,
    watch: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<Fit> {
    let steps = match (options.updates, options.learn, options.order) {
        (Updates::Joint, Learn::Both, _) => vec![Factor::Both],
        (Updates::Joint, ..) => return Err(Error::input("joint updates are of both factors; one of them is kept")),
        (_, Learn::Gains, _) => vec![Factor::Gains],
        (_, Learn::Bases, _) => vec![Factor::Bases],
        (_, Learn::Both, Order::GainsFirst) => vec![Factor::Gains, Factor::Bases],
        (_, Learn::Both, Order::BasesFirst) => vec![Factor::Bases, Factor::Gains],
    };
    let joint_rule = Rule { exponent: options.rule.divergence.majorizing_exponent(), ..options.rule.clone() };
    let mut trace = Trace::new(options);
    let mut done = 0;
    if trace.due(0) {
        trace.push(0, objective(engine, v, w, h, &options.rule)?)?;
    }
    while done < options.iterations && !trace.converged {
        for step in &steps {
            match step {
                Factor::Gains => engine.update_gains(v, w, h, &options.rule)?,
                Factor::Bases => engine.update_bases(v, w, h, &options.rule)?,
                Factor::Both => engine.update_both(v, w, h, &joint_rule)?,
            }
            if let (Factor::Bases | Factor::Both, Some(Normalization { norm, compensate })) =
                (step, options.normalization)
            {
                engine.normalize(w, compensate.then_some(&mut *h), norm)?;
            }
        }
        done += 1;
        watch(done)?;
        if trace.due(done) {
            trace.push(done, objective(engine, v, w, h, &options.rule)?)?;
        }
    }
    if !trace.due(done) {
        trace.push(done, objective(engine, v, w, h, &options.rule)?)?;
    }
    Ok(trace.fit(done))
}

enum Factor {
    Gains,
    Bases,
    Both,
}

/// Plain updates of gains under fixed bases.
pub(super) struct Alternating<'a, P> {
    pub(super) h: P,
    pub(super) rule: &'a Rule,
}

impl<E: Products + Momentum> stopping::Path<E> for Alternating<'_, E::Panel> {
    fn update(&mut self, engine: &E, v: &E::Panel, w: &E::Matrix) -> Result<()> {
        engine.update_gains(v, w, &mut self.h, self.rule)
    }

    fn weighed_update(&mut self, engine: &E, v: &E::Panel, w: &E::Matrix) -> Result<Vec<f64>> {
        let mut next = self.gains(engine)?;
        let columns = engine.shape(&next).1;
        let mut costs = engine.panel_like(&next, Array2::<f32>::zeros((1, columns)).view())?;
        engine.try_gains(v, w, &self.h, &mut next, &mut costs, self.rule)?;
        self.h = next;
        Ok(engine.read_panel(&costs)?.row(0).to_vec())
    }

    fn gains(&self, engine: &E) -> Result<E::Panel> {
        engine.lead_gains(&self.h, &self.h, 0.0)
    }

    fn select(&self, engine: &E, columns: &[Range<usize>]) -> Result<Self> {
        Ok(Self { h: engine.select(&self.h, columns)?, rule: self.rule })
    }
}
