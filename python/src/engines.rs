//! The engines of this process. Opening one takes up to a second, so they are kept.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use partwise::engines::Engines;
use partwise::schedule::OnWhich;
use partwise::{AnyEngine, EngineChoice, Error, GpuChoice, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// An engine, and the threads that read and transform for it. These are not rayon's global ones, because a forked process has
/// none of the threads of its parent: it opens engines and threads of its own.
pub(crate) struct Kept {
    pub(crate) engine: AnyEngine,
    pub(crate) pool: ThreadPool,
}

struct Entry {
    process: u32,
    name: String,
    kept: Arc<Kept>,
}

static ALL: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

/// Runs `work` with the engine of a name, on threads of its pool. An engine that failed is not kept. To be called without the
/// GIL, since opening an engine logs.
pub(crate) fn with<T: Send>(name: &str, work: impl FnOnce(&AnyEngine) -> Result<T> + Send) -> Result<T> {
    let kept = open(name)?;
    let result = kept.pool.install(|| work(&kept.engine));
    if let Err(Error::Engine(_)) = result {
        all().retain(|entry| !Arc::ptr_eq(&entry.kept, &kept));
    }
    result
}

fn all() -> std::sync::MutexGuard<'static, Vec<Entry>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(name: &str) -> Result<Arc<Kept>> {
    let (mut all, process) = (all(), std::process::id());
    if let Some(entry) = all.iter().find(|entry| (entry.process, entry.name.as_str()) == (process, name)) {
        return Ok(entry.kept.clone());
    }
    let (engines, choice) = named(name)?;
    let OnWhich::One(choice) = choice else {
        return Err(Error::option("engine", "gpu:all: is for separate_files; name one gpu"));
    };
    let kept = Arc::new(Kept { engine: engines.open(&choice)?, pool: pool(&engines)? });
    all.push(Entry { process, name: name.into(), kept: kept.clone() });
    Ok(kept)
}

/// Threads for what engines do not compute.
pub(crate) fn pool(engines: &Engines) -> Result<ThreadPool> {
    let pool = ThreadPoolBuilder::new().num_threads(engines.threads.unwrap_or(0));
    let pool = pool.thread_name(|index| format!("partwise-{index}")).build();
    pool.map_err(|cause| Error::input(format!("cannot start threads: {cause}")))
}

/// The engine, or the engines of a job, that a name stands for, and how to open them.
pub(crate) fn named(name: &str) -> Result<(Engines, OnWhich)> {
    let one = |choice| Ok((engines(None), OnWhich::One(choice)));
    match name.split_once(':') {
        None if name == "auto" => one(EngineChoice::Auto),
        None if name == "cpu" => one(EngineChoice::Cpu),
        None if name == "gpu" => one(EngineChoice::Gpu(GpuChoice::Best)),
        None if name == "reference" => one(EngineChoice::Reference),
        Some(("gpu", "all")) => Ok((engines(None), OnWhich::EveryCard { or_cpu: false })),
        Some(("gpu", which)) if !which.is_empty() => one(EngineChoice::Gpu(GpuChoice::Named(which.into()))),
        Some(("cpu", threads)) => match threads.parse() {
            Ok(threads) if (1..=1024).contains(&threads) => {
                Ok((engines(Some(threads)), OnWhich::One(EngineChoice::Cpu)))
            }
            _ => Err(Error::option("engine", format!("cpu:{threads}: use 1 to 1024 threads, such as cpu:4"))),
        },
        _ => {
            let known = "auto, cpu, cpu:THREADS, gpu, gpu:INDEX, gpu:NAME or reference";
            Err(Error::option("engine", format!("{name}: is no engine; use {known}")))
        }
    }
}

fn engines(threads: Option<usize>) -> Engines {
    Engines { threads, cache: cache_folder(), retune: false }
}

/// The folder in which the command keeps what it measured of engines. Both measure a GPU once.
fn cache_folder() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        variable("HOME").map(|home| home.join("Library/Caches"))
    } else {
        variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))
    };
    folder.map(|folder| folder.join("partwise"))
}
