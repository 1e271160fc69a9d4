//! Which engine a command runs on.

use partwise::engine::{self, Adapter, Cpu, Gpu, GpuChoice, Reference};
use partwise::{Engine, Error};

pub(super) use super::choice::Choice;
use super::kept::Measured;
use super::{Common, kept, tuning};

/// `--gpu` for every GPU of the machine.
pub(super) const ALL: &str = "all";

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

/// What `auto` takes, and why.
pub(super) struct Verdict {
    pub(super) engine: AnyEngine,
    pub(super) why: String,
    /// Seconds that the same panel takes the GPU and the cpu engine, where they were compared.
    pub(super) panel_seconds: Option<(f64, f64)>,
}

/// Chooses between the cpu engine and the first adapter that is a device of its own, not the processor in disguise: whichever
/// a panel takes less.
pub(super) fn automatic(common: &Common, adapters: &[Adapter]) -> partwise::Result<Verdict> {
    let (cpu, mut measured) = (cpu(common)?, Measured::read());
    let Some(adapter) = adapters.iter().find(|adapter| !adapter.is_software()) else {
        let why = if adapters.is_empty() {
            "no gpu was found"
        } else {
            "a software gpu computes on the same processor, slower"
        };
        return Ok(Verdict { engine: AnyEngine::Cpu(cpu), why: why.into(), panel_seconds: None });
    };
    // A GPU that has lost before need not be opened again.
    if !common.retune
        && let Some(seconds) = tuning::compared(adapter, &cpu, &measured)
        && !gpu_wins(seconds)
    {
        return Ok(verdict(None, cpu, adapter, seconds));
    }
    let raced = open_gpu(common, &adapter.choice()).and_then(|gpu| {
        let seconds = tuning::compare(&gpu, &cpu, common.retune, &mut measured)?;
        Ok((gpu, seconds))
    });
    match raced {
        Ok((gpu, seconds)) => Ok(verdict(Some(gpu), cpu, adapter, seconds)),
        Err(cause) => {
            let why = format!("{adapter} cannot be used: {cause}");
            Ok(Verdict { engine: cpu_instead(common, cause)?, why, panel_seconds: None })
        }
    }
}

fn verdict(gpu: Option<Gpu>, cpu: Cpu, adapter: &Adapter, seconds: (f64, f64)) -> Verdict {
    let [of_gpu, of_cpu] = [seconds.0, seconds.1].map(|seconds| 1e3 * seconds);
    let why = format!("a panel takes the gpu {adapter} {of_gpu:.1} ms, and the {} {of_cpu:.1} ms", cpu.describe());
    let engine = match gpu {
        Some(gpu) if gpu_wins(seconds) => AnyEngine::Gpu(gpu),
        _ => AnyEngine::Cpu(cpu),
    };
    Verdict { engine, why, panel_seconds: Some(seconds) }
}

fn gpu_wins((gpu, cpu): (f64, f64)) -> bool {
    gpu < cpu
}

/// Opens the engine that the options ask for. Naming a GPU asks for it.
pub(super) fn open(common: &Common) -> partwise::Result<AnyEngine> {
    let gpu = |choice: GpuChoice| Ok(AnyEngine::Gpu(open_gpu(common, &choice)?));
    if common.gpu.as_deref() == Some(ALL) && common.engine != Choice::Cpu && common.engine != Choice::Reference {
        return Err(Error::Input("--gpu all is for separate; name one of `partwise devices`".into()));
    }
    match (common.engine, &common.gpu) {
        (Choice::Reference, _) => Ok(AnyEngine::Reference(Reference)),
        (Choice::Cpu, _) => Ok(AnyEngine::Cpu(cpu(common)?)),
        (Choice::Gpu | Choice::Auto, Some(name)) => gpu(GpuChoice::Named(name.clone())),
        (Choice::Gpu, None) => gpu(GpuChoice::Best),
        (Choice::Auto, None) => {
            let Verdict { engine, why, .. } = automatic(common, &engine::adapters())?;
            log::info!("auto takes the {}: {why}", with_engine!(&engine, |engine| engine.describe()));
            Ok(engine)
        }
    }
}

/// The native engine, with the threads that are asked for.
pub(super) fn cpu(common: &Common) -> partwise::Result<Cpu> {
    Cpu::new(Some(common.thread_count()))
}

/// The cpu engine in the place of a GPU that cannot be opened, where `auto` may choose.
pub(super) fn cpu_instead(common: &Common, cause: Error) -> partwise::Result<AnyEngine> {
    if common.engine != Choice::Auto {
        return Err(cause);
    }
    log::warn!("{cause}; the cpu engine takes over");
    Ok(AnyEngine::Cpu(cpu(common)?))
}

/// Opens a GPU with what is known of its kernels, or measures that.
pub(super) fn open_gpu(common: &Common, choice: &GpuChoice) -> partwise::Result<Gpu> {
    open_tuned(choice, common.retune)
}

/// Opens a GPU that was open before, with what was found then.
pub(super) fn reopen_gpu(choice: &GpuChoice) -> partwise::Result<Gpu> {
    open_tuned(choice, false)
}

fn open_tuned(choice: &GpuChoice, anew: bool) -> partwise::Result<Gpu> {
    let mut gpu = Gpu::open(choice)?;
    kept::keep_pipelines(&gpu);
    tuning::tune(&mut gpu, anew)?;
    Ok(gpu)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::cli::kept::{key_of_cpu, key_of_gpu};

    #[test]
    fn the_faster_engine_is_taken() {
        let gpu = match Gpu::open(&GpuChoice::Best) {
            Ok(gpu) => gpu,
            Err(cause) => {
                let required = std::env::var("PARTWISE_REQUIRE_GPU").is_ok_and(|value| value == "1");
                assert!(!required, "PARTWISE_REQUIRE_GPU is 1, and {cause}");
                // Not by eprintln!, which the test harness keeps to itself when a test passes.
                let _ = writeln!(std::io::stderr(), "SKIPPED: the_faster_engine_is_taken: {cause}");
                return;
            }
        };
        let cpu = Cpu::new(Some(1)).unwrap();
        let adapter = gpu.adapter().clone();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tuning.json");
        let mut measured = Measured::at(Some(file.clone()));
        assert_eq!(tuning::compared(&adapter, &cpu, &measured), None);
        // What is kept is not measured again.
        measured.note(&key_of_gpu(&adapter), |figures| figures.panel_seconds = Some(1e-3));
        measured.note(&key_of_cpu(&cpu), |figures| figures.panel_seconds = Some(2e-3));
        let mut measured = Measured::at(Some(file.clone()));
        let seconds = tuning::compare(&gpu, &cpu, false, &mut measured).unwrap();
        assert_eq!((seconds, tuning::compared(&adapter, &cpu, &measured)), ((1e-3, 2e-3), Some((1e-3, 2e-3))));
        let Verdict { engine, why, .. } = verdict(Some(gpu), cpu, &adapter, seconds);
        assert!(matches!(engine, AnyEngine::Gpu(_)) && why.contains(" 1.0 ms, ") && why.contains(" 2.0 ms"), "{why}");
        let AnyEngine::Gpu(gpu) = engine else { return };
        let cpu = Cpu::new(Some(1)).unwrap();
        let Verdict { engine, .. } = verdict(Some(gpu), cpu, &adapter, (2e-3, 1e-3));
        assert!(matches!(engine, AnyEngine::Cpu(_)));
    }
}
