//! The engines of a separation job, and who takes over from them.

use std::iter;

use super::{Relay, Station, Successor};
use crate::engine::Adapter;
use crate::engines::{AnyEngine, EngineChoice, Engines};
use crate::separate::{Plan, Separator};
use crate::{EngineError, Result};

/// Panels that a card works at in turn: while it computes one, another is brought up or its masks down.
const CARD_LANES: usize = 2;

/// Which engines a job runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnWhich {
    /// One.
    One(EngineChoice),
    /// Every GPU of this machine. `or_cpu`: where none can be opened, the cpu engine.
    EveryCard {
        /// Whether the cpu engine is good enough.
        or_cpu: bool,
    },
}

impl OnWhich {
    /// Opens them. It needs no plan: a driver may load while a model is read.
    ///
    /// # Errors
    /// [`Error::Engine`](crate::Error::Engine) if none can be opened.
    pub fn open(&self, engines: &Engines) -> Result<Vec<AnyEngine>> {
        match self {
            Self::One(choice) => Ok(vec![engines.open(choice)?]),
            Self::EveryCard { or_cpu } => those_that_open(engines.every_gpu().into_iter())
                .or_else(|cause| if *or_cpu { engines.stand_in_for(&cause).map(|cpu| vec![cpu]) } else { Err(cause) }),
        }
    }
}

/// The stations of a job on these engines. A lost GPU is opened anew; if that does not help, the cpu engine takes over from it.
///
/// # Errors
/// [`Error::Engine`](crate::Error::Engine) if a card cannot be opened for its second lane.
pub fn stations<'a>(plan: &'a Plan, engines: &'a Engines, opened: Vec<AnyEngine>) -> Result<Vec<Station<'a>>> {
    let maker = Maker { plan, engines };
    opened.into_iter().map(|engine| maker.station(engine)).collect()
}

/// Those that could be opened: the job runs with them. Where none could, why the first could not.
fn those_that_open<T>(all: impl Iterator<Item = Result<T>>) -> Result<Vec<T>> {
    let (mut opened, mut failures) = (Vec::new(), Vec::new());
    for one in all {
        match one {
            Ok(one) => opened.push(one),
            Err(cause) => failures.push(cause),
        }
    }
    if opened.is_empty() {
        let none = || EngineError::NoAdapter("there is none".into()).into();
        return Err(failures.into_iter().next().unwrap_or_else(none));
    }
    failures.iter().for_each(|cause| log::warn!("{cause}; the job runs without it"));
    Ok(opened)
}

#[derive(Clone, Copy)]
struct Maker<'a> {
    plan: &'a Plan<'a>,
    engines: &'a Engines,
}

impl<'a> Maker<'a> {
    fn station(self, engine: AnyEngine) -> Result<Station<'a>> {
        let adapter = engine.adapter().cloned();
        let lanes = if adapter.as_ref().is_some_and(|adapter| !adapter.is_software()) { CARD_LANES } else { 1 };
        let first = self.relay(self.plan.on(engine), adapter.clone());
        let another = |adapter: &Adapter| {
            let engine = self.engines.reopen(adapter)?;
            Ok(self.relay(self.plan.on(engine), Some(adapter.clone())))
        };
        let others = (1..lanes).zip(&adapter).map(|(_, adapter)| another(adapter));
        Ok(Station::new(those_that_open(iter::once(Ok(first)).chain(others))?))
    }

    /// A lane: a GPU is opened anew when it was lost, and where that does not help the cpu engine takes over.
    fn relay(self, first: Box<dyn Separator + 'a>, adapter: Option<Adapter>) -> Relay<'a> {
        Relay::new(first, move |successor| {
            let adapter = adapter.as_ref()?;
            Some(match successor {
                Successor::Reopened => self.engines.reopen(adapter).map(|engine| self.plan.on(engine)),
                Successor::Other => self.engines.stand_in().map(|engine| self.plan.on(engine)),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn a_job_runs_with_the_engines_that_could_be_opened() {
        let opened = |all: &[std::result::Result<u8, &str>]| {
            let all = all.iter().map(|one| one.map_err(|cause| Error::Input(cause.into())));
            those_that_open(all).map_err(|cause| cause.to_string())
        };
        assert_eq!(opened(&[Ok(0), Err("a"), Ok(2)]), Ok(vec![0, 2]));
        assert_eq!(opened(&[Err("a"), Ok(1)]), Ok(vec![1]));
        assert_eq!(opened(&[Err("a"), Err("b")]), Err("a".into()));
        assert!(opened(&[]).unwrap_err().contains("there is none"));
    }
}
