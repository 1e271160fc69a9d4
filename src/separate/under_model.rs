//! An engine with a model's bases on it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::ArrayView2;

use crate::Result;
use crate::engine::Engine;
use crate::methods::separator::{Held, OnEngine, Request, Separated, Separator};

/// Bases on an engine, of whatever method.
type Shared<E> = Arc<dyn OnEngine<E>>;

/// Brings up the lowest so many bins of the bases of a model.
type BringUp<'a, E> = dyn Fn(&E, usize) -> Result<Box<dyn OnEngine<E>>> + Send + Sync + 'a;

/// An engine with a model's bases on it, one set for every number of bins that was asked for.
pub(super) struct UnderModel<'a, E> {
    engine: Held<'a, E>,
    bring_up: Box<BringUp<'a, E>>,
    known: Mutex<HashMap<usize, Shared<E>>>,
}

impl<'a, E: Engine> UnderModel<'a, E> {
    /// `bring_up` brings the lowest so many bins of the bases up: when they are first needed, and they are kept.
    pub(super) fn new(
        engine: Held<'a, E>,
        bring_up: impl Fn(&E, usize) -> Result<Box<dyn OnEngine<E>>> + Send + Sync + 'a,
    ) -> Self {
        Self { engine, bring_up: Box::new(bring_up), known: Mutex::default() }
    }

    fn bases(&self, bins: usize) -> Result<Shared<E>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match known.entry(bins) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            Entry::Vacant(new) => Arc::clone(new.insert(Arc::from((self.bring_up)(&self.engine, bins)?))),
        })
    }
}

impl<E: Engine> Separator for UnderModel<'_, E> {
    fn describe(&self) -> String {
        self.engine.describe()
    }

    fn separate_as(&self, data: ArrayView2<f32>, segments: &[usize], request: &mut Request) -> Result<Separated> {
        let found = self.bases(data.ncols())?.separate(&self.engine, data.t(), segments, request.factors)?;
        request.done(1.0).map(|()| found)
    }

    fn by_segment(&self) -> bool {
        true
    }
}
