//! Which engine: by name, or the faster one of this machine.

mod any;
mod kept;
mod tuning;

use std::path::PathBuf;

pub use any::AnyEngine;

use crate::engine::{self, Adapter, Cpu, Engine, Gpu, GpuChoice, Reference};
use crate::{Error, Result};
use kept::Measured;

/// Which engine to compute on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// A GPU that is a device of its own if it is faster here than the cpu engine, else that one.
    #[default]
    Auto,
    /// This GPU.
    Gpu(GpuChoice),
    /// All cores of the processor.
    Cpu,
    /// The f64 reference: slow, and right.
    Reference,
}

impl EngineChoice {
    /// Opens the engine with all threads of this machine, without a cache: see [`Engines`].
    ///
    /// # Errors
    /// [`Error::Engine`] where there is none that can be used, which with [`EngineChoice::Auto`] there always is.
    pub fn open(&self) -> Result<AnyEngine> {
        Engines::default().open(self)
    }
}

/// How engines are opened.
#[derive(Debug, Clone, Default)]
pub struct Engines {
    /// Threads of the cpu engine; all of the machine if it is missing.
    pub threads: Option<usize>,
    /// A folder for what was measured of engines and for what drivers compiled, so that the next run begins at once. If it is
    /// missing, nothing is kept.
    pub cache: Option<PathBuf>,
    /// Whether to measure anew.
    pub retune: bool,
}

/// The engine that [`EngineChoice::Auto`] takes, and why.
pub struct Verdict {
    /// The engine.
    pub engine: AnyEngine,
    /// Why it and no other.
    pub why: String,
    /// Seconds that the same panel takes the GPU and the cpu engine, where they were compared.
    pub panel_seconds: Option<(f64, f64)>,
}

impl Engines {
    /// Opens the engine of a choice.
    ///
    /// # Errors
    /// [`Error::Engine`] where it cannot be used, which [`EngineChoice::Auto`] always can.
    pub fn open(&self, choice: &EngineChoice) -> Result<AnyEngine> {
        match choice {
            EngineChoice::Reference => Ok(AnyEngine::Reference(Reference)),
            EngineChoice::Cpu => self.cpu().map(AnyEngine::Cpu),
            EngineChoice::Gpu(choice) => self.gpu(choice).map(AnyEngine::Gpu),
            EngineChoice::Auto => {
                let Verdict { engine, why, .. } = self.automatic(&engine::adapters())?;
                log::info!("auto takes the {}: {why}", engine.describe());
                Ok(engine)
            }
        }
    }

    /// Chooses between the cpu engine and the first adapter that is a device of its own, not the processor in disguise: whichever
    /// a panel takes less.
    ///
    /// # Errors
    /// Where the cpu engine cannot start its threads.
    pub fn automatic(&self, adapters: &[Adapter]) -> Result<Verdict> {
        let (cpu, mut measured) = (self.cpu()?, Measured::read(self.cache.as_deref()));
        let Some(adapter) = adapters.iter().find(|adapter| !adapter.is_software()) else {
            let why = if adapters.is_empty() {
                "no gpu was found"
            } else {
                "a software gpu computes on the same processor, slower"
            };
            return Ok(Verdict { engine: AnyEngine::Cpu(cpu), why: why.into(), panel_seconds: None });
        };
        // A GPU that has lost before need not be opened again.
        if !self.retune
            && let Some(seconds) = tuning::compared(adapter, &cpu, &measured)
            && !gpu_wins(seconds)
        {
            return Ok(verdict(None, cpu, adapter, seconds));
        }
        let raced = self.gpu(&adapter.choice()).and_then(|gpu| {
            let seconds = tuning::compare(&gpu, &cpu, self.retune, &mut measured)?;
            Ok((gpu, seconds))
        });
        match raced {
            Ok((gpu, seconds)) => Ok(verdict(Some(gpu), cpu, adapter, seconds)),
            Err(cause) => {
                let why = format!("{adapter} cannot be used: {cause}");
                Ok(Verdict { engine: self.stand_in_for(&cause)?, why, panel_seconds: None })
            }
        }
    }

    /// The native engine, with the threads that are asked for.
    ///
    /// # Errors
    /// Where it cannot start its threads.
    pub fn cpu(&self) -> Result<Cpu> {
        Cpu::new(self.threads)
    }

    /// The engine that takes over from a GPU: the native one.
    ///
    /// # Errors
    /// If it cannot start its threads.
    pub fn stand_in(&self) -> Result<AnyEngine> {
        self.cpu().map(AnyEngine::Cpu)
    }

    /// The same, with a warning that says why.
    ///
    /// # Errors
    /// If it cannot start its threads.
    pub fn stand_in_for(&self, cause: &Error) -> Result<AnyEngine> {
        log::warn!("{cause}; the cpu engine takes over");
        self.stand_in()
    }

    /// Opens a GPU with what is known of its kernels, or measures that.
    ///
    /// # Errors
    /// [`Error::Engine`] where it cannot be used.
    pub fn gpu(&self, choice: &GpuChoice) -> Result<Gpu> {
        self.tuned(choice, self.retune)
    }

    /// Opens the GPU of an adapter that was open before, with what was found then.
    ///
    /// # Errors
    /// [`Error::Engine`] where it cannot be used.
    pub fn reopen(&self, adapter: &Adapter) -> Result<AnyEngine> {
        self.tuned(&adapter.choice(), false).map(AnyEngine::Gpu)
    }

    /// Opens every GPU of this machine. Software devices are for tests: they count only where there is no other.
    pub fn every_gpu(&self) -> Vec<Result<AnyEngine>> {
        let adapters = engine::adapters();
        let real = adapters.iter().filter(|adapter| !adapter.is_software()).count();
        let of_kind = adapters.iter().filter(|adapter| real == 0 || !adapter.is_software());
        of_kind.map(|adapter| self.gpu(&adapter.choice()).map(AnyEngine::Gpu)).collect()
    }

    fn tuned(&self, choice: &GpuChoice, anew: bool) -> Result<Gpu> {
        let mut gpu = Gpu::open(choice)?;
        kept::keep_pipelines(&gpu, self.cache.as_deref());
        tuning::tune(&mut gpu, anew, self.cache.as_deref())?;
        Ok(gpu)
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::kept::{key_of_cpu, key_of_gpu};
    use super::*;

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
        let mut measured = Measured::read(Some(folder.path()));
        assert_eq!(tuning::compared(&adapter, &cpu, &measured), None);
        // What is kept is not measured again.
        measured.note(&key_of_gpu(&adapter), |figures| figures.panel_seconds = Some(1e-3));
        measured.note(&key_of_cpu(&cpu), |figures| figures.panel_seconds = Some(2e-3));
        let mut measured = Measured::read(Some(folder.path()));
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
