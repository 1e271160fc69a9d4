//! Which engine a command runs on, and where what was measured of engines is kept.

use std::path::PathBuf;

use partwise::engine::GpuChoice;
use partwise::engines::Engines;
use partwise::schedule::OnWhich;
use partwise::{AnyEngine, EngineChoice, Error};

use super::Common;
use super::choice::Choice;

/// `--gpu` for every GPU of the machine.
const ALL: &str = "all";

/// How engines are opened, by the options.
pub(super) fn engines(common: &Common) -> Engines {
    Engines { threads: Some(common.thread_count()), cache: cache_folder(), retune: common.retune }
}

/// Opens the engine that the options ask for. Naming a GPU asks for it.
pub(super) fn open(common: &Common) -> partwise::Result<AnyEngine> {
    match choice(common) {
        OnWhich::One(choice) => {
            engines(common).open(&choice).inspect(|engine| log::info!("engine: {}", engine.describe()))
        }
        OnWhich::EveryCard { .. } => {
            Err(Error::Input("--gpu all is for separate with files; name one of `partwise devices`".into()))
        }
    }
}

/// The engine, or the engines of a job, that the options ask for.
pub(super) fn choice(common: &Common) -> OnWhich {
    let one = |choice| OnWhich::One(EngineChoice::Gpu(choice));
    match (common.engine, common.gpu.as_deref()) {
        (Choice::Reference, _) => OnWhich::One(EngineChoice::Reference),
        (Choice::Cpu, _) => OnWhich::One(EngineChoice::Cpu),
        (kind, Some(ALL)) => OnWhich::EveryCard { or_cpu: kind == Choice::Auto },
        (_, Some(name)) => one(GpuChoice::Named(name.into())),
        (Choice::Gpu, None) => one(GpuChoice::Best),
        (Choice::Auto, None) => OnWhich::One(EngineChoice::Auto),
    }
}

/// The arguments by which another process opens the same engine.
pub(super) fn arguments(engine: &AnyEngine, common: &Common) -> Vec<String> {
    let mut arguments = match engine {
        AnyEngine::Gpu(gpu) => vec!["--engine".into(), "gpu".into(), "--gpu".into(), gpu.adapter().index.to_string()],
        AnyEngine::Cpu(_) => vec!["--engine".into(), "cpu".into()],
        AnyEngine::Reference(_) => vec!["--engine".into(), "reference".into()],
    };
    if let Some(threads) = common.threads {
        arguments.extend(["--threads".into(), threads.to_string()]);
    }
    arguments
}

/// The folder where this user's programs keep files that they can make again.
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
