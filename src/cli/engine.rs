//! Which engine a command runs on.

use std::str::FromStr;

use partwise::Error;
use partwise::engine::{self, Adapter, Cpu, Gpu, GpuChoice, Reference};

use super::{Common, tuning};

/// `--gpu` for every GPU of the machine.
pub(super) const ALL: &str = "all";

/// `--engine`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Auto,
    Gpu,
    Cpu,
    Reference,
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "gpu" => Ok(Self::Gpu),
            "cpu" => Ok(Self::Cpu),
            "reference" => Ok(Self::Reference),
            _ => Err("use auto, gpu, cpu or reference".into()),
        }
    }
}

/// An engine of any kind; [`with_engine`] opens it to code that is generic over engines.
#[expect(clippy::large_enum_variant, reason = "there is one of them in a run")]
pub(super) enum AnyEngine {
    Gpu(Gpu),
    Cpu(Cpu),
    Reference(Reference),
}

impl AnyEngine {
    /// The arguments by which another process opens the same engine.
    pub(super) fn arguments(&self, common: &Common) -> Vec<String> {
        let mut arguments = match self {
            Self::Gpu(gpu) => vec!["--engine".into(), "gpu".into(), "--gpu".into(), gpu.adapter().index.to_string()],
            Self::Cpu(_) => vec!["--engine".into(), "cpu".into()],
            Self::Reference(_) => vec!["--engine".into(), "reference".into()],
        };
        if let Some(threads) = common.threads {
            arguments.extend(["--threads".into(), threads.to_string()]);
        }
        arguments
    }
}

/// Runs `$body` with `$engine` bound to the engine inside an [`AnyEngine`], whichever it is.
macro_rules! with_engine {
    ($any:expr, |$engine:ident| $body:expr) => {
        match $any {
            $crate::cli::engine::AnyEngine::Gpu($engine) => $body,
            $crate::cli::engine::AnyEngine::Cpu($engine) => $body,
            $crate::cli::engine::AnyEngine::Reference($engine) => $body,
        }
    };
}
pub(super) use with_engine;

/// The adapter that `auto` takes: the first that is a device of its own, not the processor in disguise.
pub(super) fn automatic(adapters: &[Adapter]) -> Option<&Adapter> {
    adapters.iter().find(|adapter| !adapter.is_software())
}

/// Opens the engine that the options ask for. Naming a GPU asks for it.
pub(super) fn open(common: &Common) -> partwise::Result<AnyEngine> {
    let cpu = || Ok(AnyEngine::Cpu(Cpu::new(Some(common.thread_count()))?));
    let gpu = |choice: GpuChoice| Ok(AnyEngine::Gpu(open_gpu(common, &choice)?));
    if common.gpu.as_deref() == Some(ALL) && common.engine != Choice::Cpu && common.engine != Choice::Reference {
        return Err(Error::Input("--gpu all is for separate; name one of `partwise devices`".into()));
    }
    match (common.engine, &common.gpu) {
        (Choice::Reference, _) => Ok(AnyEngine::Reference(Reference)),
        (Choice::Cpu, _) => cpu(),
        (Choice::Gpu | Choice::Auto, Some(name)) => gpu(GpuChoice::Named(name.clone())),
        (Choice::Gpu, None) => gpu(GpuChoice::Best),
        (Choice::Auto, None) => match automatic(&engine::adapters()) {
            None => cpu(),
            Some(adapter) => gpu(GpuChoice::Named(adapter.index.to_string())).or_else(|cause| {
                log::warn!("{cause}; the cpu engine takes over");
                cpu()
            }),
        },
    }
}

/// Opens a GPU with what is known of its kernels.
pub(super) fn open_gpu(common: &Common, choice: &GpuChoice) -> partwise::Result<Gpu> {
    let mut gpu = Gpu::open(choice)?;
    tuning::tune(&mut gpu, common.retune)?;
    Ok(gpu)
}
