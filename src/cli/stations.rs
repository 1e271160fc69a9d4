//! The engines of a separation job, and who takes over from them.

use partwise::engine::{self, Adapter, Cpu, GpuChoice};
use partwise::kernels::{GainPrior, Glue, Momentum, Shifts};
use partwise::model::Model;
use partwise::schedule::{Relay, Station, Successor};
use partwise::separate::{Blind, BlindSettings, OnEngine, Separator, Settings};

use super::Common;
use super::engine::{ALL, AnyEngine, Choice, open, open_gpu, with_engine};

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
    let all = of_kind.map(|adapter| maker.station(AnyEngine::Gpu(open_gpu(common, &address(adapter))?)));
    let all = all.collect::<partwise::Result<Vec<_>>>()?;
    if all.is_empty() { Err(partwise::EngineError::NoAdapter("there is none".into()).into()) } else { Ok(all) }
}

/// How an adapter is found again: its place on the bus stays when others come and go.
fn address(adapter: &Adapter) -> GpuChoice {
    let index = || adapter.index.to_string();
    GpuChoice::Named(Some(&adapter.pci_bus_id).filter(|id| !id.is_empty()).cloned().unwrap_or_else(index))
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
        let (lanes, address) = match &engine {
            AnyEngine::Gpu(gpu) if gpu.adapter().is_software() => (1, Some(address(gpu.adapter()))),
            AnyEngine::Gpu(gpu) => (CARD_LANES, Some(address(gpu.adapter()))),
            AnyEngine::Cpu(_) | AnyEngine::Reference(_) => (1, None),
        };
        let mut relays = vec![self.relay(with_engine!(engine, |engine| self.on(engine)), address.clone())];
        while relays.len() < lanes
            && let Some(address) = &address
        {
            relays.push(self.relay(self.on(open_gpu(self.common, address)?), Some(address.clone())));
        }
        Ok(Station::new(relays))
    }

    /// A lane: a GPU is opened anew when it was lost, and where that does not help the cpu engine takes over.
    fn relay(self, first: Box<dyn Separator + 'a>, address: Option<GpuChoice>) -> Relay<'a> {
        Relay::new(first, move |successor| {
            let address = address.as_ref()?;
            Some(match successor {
                Successor::Reopened => open_gpu(self.common, address).map(|gpu| self.on(gpu)),
                Successor::Other => Cpu::new(Some(self.common.thread_count())).map(|cpu| self.on(cpu)),
            })
        })
    }
}
