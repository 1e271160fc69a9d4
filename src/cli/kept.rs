//! Measurements of this machine's engines, kept between runs in the user's cache folder. All of it can be measured
//! again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use partwise::engine::{Adapter, Compiled, Gpu, Tuning};
use partwise::{Cpu, Engine, Error};
use serde::{Deserialize, Serialize};

use super::write_whole;

/// The measurements, by engine, driver and version of this program.
pub(super) struct Measured {
    file: Option<PathBuf>,
    engines: BTreeMap<String, Figures>,
}

/// The measurements of one engine.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Figures {
    /// The fastest kernel tilings. GPUs only.
    pub(super) tuning: Option<Tuning>,
    /// The seconds of a panel, see [`super::pace`].
    pub(super) panel_seconds: Option<f64>,
}

impl Measured {
    /// Reads this user's measurements. Empty if there is no file, or it is of another version.
    pub(super) fn read() -> Self {
        Self::at(cache_folder().map(|folder| folder.join("tuning.json")))
    }

    pub(super) fn at(file: Option<PathBuf>) -> Self {
        let text = file.as_deref().and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        Self { file, engines: serde_json::from_str(&text).unwrap_or_default() }
    }

    pub(super) fn get(&self, engine: &str) -> Option<&Figures> {
        self.engines.get(engine)
    }

    /// Changes the measurements of an engine. Without a cache folder they are measured again in the next run.
    pub(super) fn note(&mut self, engine: &str, change: impl FnOnce(&mut Figures)) {
        change(self.engines.entry(engine.into()).or_default());
        if let Some(file) = &self.file {
            let text = serde_json::to_vec_pretty(&self.engines).map_err(std::io::Error::from);
            keep(file, "the engine measurements", |partial| std::fs::write(partial, text?));
        }
    }
}

/// The device, its driver and this program's version. Measurements apply to no other.
pub(super) fn key_of_gpu(adapter: &Adapter) -> String {
    format!("{}, partwise {}", adapter.key(), env!("CARGO_PKG_VERSION"))
}

/// The same for the CPU engine, with its threads.
pub(super) fn key_of_cpu(cpu: &Cpu) -> String {
    format!("{}, partwise {}", cpu.describe(), env!("CARGO_PKG_VERSION"))
}

/// Lets a GPU compile its pipelines with the help of its driver's kept cache, and keeps the new cache. A file that is
/// damaged or of another driver is ignored and replaced.
pub(super) fn keep_pipelines(gpu: &Gpu) {
    let adapter = gpu.adapter();
    let (vendor, device) = adapter.vendor_and_device;
    let file =
        cache_folder().map(|folder| folder.join(format!("pipelines-{}-{vendor:x}-{device:x}.bin", adapter.backend)));
    let kept = file.as_deref().and_then(|file| std::fs::read(file).ok()).unwrap_or_default();
    let (engine, before) = (gpu.describe(), kept.len());
    gpu.keep_pipelines(&kept, move |Compiled { pipelines, seconds, cache }| {
        log::info!(
            "{engine}: start-up: waited {seconds:.2} s for {pipelines} pipelines, {before} bytes of them kept before"
        );
        if let (Some(cache), Some(file)) = (cache, file)
            && cache.outdoes(&std::fs::read(&file).unwrap_or_default())
        {
            keep(&file, "the gpu's pipelines", |partial| std::fs::write(partial, cache.bytes()));
        }
    });
}

/// Writes a file of the cache folder. A failure is only a warning.
fn keep(file: &Path, what: &str, write: impl FnOnce(&Path) -> std::io::Result<()>) {
    let folder = file.parent().unwrap_or(file);
    let made = std::fs::create_dir_all(folder).map_err(Error::io(folder, "create"));
    let written = made.and_then(|()| write_whole(file, write));
    if let Err(cause) = written {
        log::warn!("cannot keep {what} for the next run: {cause}");
    }
}

/// The folder for this user's caches.
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
