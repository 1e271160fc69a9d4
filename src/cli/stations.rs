//! The engines of a separation job, and who takes over from them.

use std::iter;

use partwise::engine::{self, GpuChoice};
use partwise::kernels::{GainPrior, Glue, Momentum, Shifts};
use partwise::model::Model;
use partwise::schedule::{Relay, Station, Successor};
use partwise::separate::{Blind, BlindSettings, OnEngine, Separator, Settings};

use super::Common;
use super::engine::{ALL, AnyEngine, Choice, cpu, cpu_instead, open, open_gpu, reopen_gpu, with_engine};

/// Panels that a card works at in turn: while it computes one, another is brought up or its masks down.
const CARD_LANES: usize = 2;

/// What the engines of a job are to do.
#[derive(Clone, Copy)]
pub(super) enum Task<'a> {
    Model(&'a Model, &'a Settings),
    Blind(&'a BlindSettings),
}

/// What the options ask for: one engine, or one for every GPU of this machine.
pub(super) fn stations<'a>(common: &'a Common, task: Task<'a>) -> partwise::Result<Vec<Station<'a>>> {
    let maker = Maker { common, task };
    let asked = common.gpu.as_deref() == Some(ALL) && matches!(common.engine, Choice::Gpu | Choice::Auto);
    if !asked {
        return Ok(vec![maker.station(open(common)?)?]);
    }
    let adapters = engine::adapters();
    // Software devices are for tests: beside a card, one would only take the processor from it.
    let real = adapters.iter().filter(|adapter| !adapter.is_software()).count();
    let of_kind = adapters.iter().filter(|adapter| real == 0 || !adapter.is_software());
    let gpus = of_kind.map(|adapter| open_gpu(common, &adapter.choice()).map(AnyEngine::Gpu));
    let engines = those_that_open(gpus).or_else(|cause| cpu_instead(common, cause).map(|cpu| vec![cpu]))?;
    engines.into_iter().map(|engine| maker.station(engine)).collect()
}

/// Those that could be opened: the job runs with them. Where none could, why the first could not.
fn those_that_open<T>(all: impl Iterator<Item = partwise::Result<T>>) -> partwise::Result<Vec<T>> {
    let (mut opened, mut failures) = (Vec::new(), Vec::new());
    for one in all {
        match one {
            Ok(one) => opened.push(one),
            Err(cause) => failures.push(cause),
        }
    }
    if opened.is_empty() {
        let none = || partwise::EngineError::NoAdapter("there is none".into()).into();
        return Err(failures.into_iter().next().unwrap_or_else(none));
    }
    failures.iter().for_each(|cause| log::warn!("{cause}; the job runs without it"));
    Ok(opened)
}

#[derive(Clone, Copy)]
struct Maker<'a> {
    common: &'a Common,
    task: Task<'a>,
}

impl<'a> Maker<'a> {
    fn on<E: GainPrior + Momentum + Glue + Shifts + 'a>(self, engine: E) -> Box<dyn Separator + 'a> {
        match self.task {
            Task::Model(model, settings) => Box::new(OnEngine::new(engine, model, settings.clone())),
            Task::Blind(settings) => Box::new(Blind::new(engine, settings)),
        }
    }

    fn station(self, engine: AnyEngine) -> partwise::Result<Station<'a>> {
        let (lanes, adapter) = match &engine {
            AnyEngine::Gpu(gpu) if gpu.adapter().is_software() => (1, Some(gpu.adapter().choice())),
            AnyEngine::Gpu(gpu) => (CARD_LANES, Some(gpu.adapter().choice())),
            AnyEngine::Cpu(_) | AnyEngine::Reference(_) => (1, None),
        };
        let first = self.relay(with_engine!(engine, |engine| self.on(engine)), adapter.clone());
        let another = |adapter: &GpuChoice| {
            let gpu = reopen_gpu(adapter)?;
            Ok(self.relay(self.on(gpu), Some(adapter.clone())))
        };
        let others = (1..lanes).zip(&adapter).map(|(_, adapter)| another(adapter));
        Ok(Station::new(those_that_open(iter::once(Ok(first)).chain(others))?))
    }

    /// A lane: a GPU is opened anew when it was lost, and where that does not help the cpu engine takes over.
    fn relay(self, first: Box<dyn Separator + 'a>, adapter: Option<GpuChoice>) -> Relay<'a> {
        Relay::new(first, move |successor| {
            let adapter = adapter.as_ref()?;
            Some(match successor {
                Successor::Reopened => reopen_gpu(adapter).map(|gpu| self.on(gpu)),
                Successor::Other => cpu(self.common).map(|cpu| self.on(cpu)),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_runs_with_what_could_be_opened() {
        let opened = |all: &[Result<u8, &str>]| {
            let all = all.iter().map(|one| one.map_err(|cause| partwise::Error::Input(cause.into())));
            those_that_open(all).map_err(|cause| cause.to_string())
        };
        assert_eq!(opened(&[Ok(0), Err("a"), Ok(2)]), Ok(vec![0, 2]));
        assert_eq!(opened(&[Err("a"), Ok(1)]), Ok(vec![1]));
        assert_eq!(opened(&[Err("a"), Err("b")]), Err("a".into()));
        assert!(opened(&[]).unwrap_err().contains("there is none"));
    }
}
