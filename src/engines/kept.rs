//! Measurements of this machine's engines, kept between runs in the user's cache folder. All of it can be measured
//! again.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::engine::{Adapter, Compiled, Cpu, Engine, Gpu, Tuning};

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
    /// What is kept in a folder; nothing where there is no folder or no file, or it is not of this version.
    pub(super) fn read(cache: Option<&Path>) -> Self {
        let file = cache.map(|folder| folder.join("tuning.json"));
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
            let text = serde_json::to_vec_pretty(&self.engines).unwrap_or_default();
            keep(file, "what was measured of the engines", &text);
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
pub(super) fn keep_pipelines(gpu: &Gpu, cache: Option<&Path>) {
    let adapter = gpu.adapter();
    let (vendor, device) = adapter.vendor_and_device;
    let file = cache.map(|folder| folder.join(format!("pipelines-{}-{vendor:x}-{device:x}.bin", adapter.backend)));
    let kept = file.as_deref().and_then(|file| std::fs::read(file).ok()).unwrap_or_default();
    let (engine, before) = (gpu.describe(), kept.len());
    gpu.keep_pipelines(&kept, move |Compiled { pipelines, seconds, cache }| {
        log::info!(
            "{engine}: start-up: waited {seconds:.2} s for {pipelines} pipelines, {before} bytes of them kept before"
        );
        if let (Some(cache), Some(file)) = (cache, file)
            && cache.outdoes(&std::fs::read(&file).unwrap_or_default())
        {
            keep(&file, "the gpu's pipelines", cache.bytes());
        }
    });
}

/// Writes a file of the cache folder, whole or not at all. Where that fails there is a warning, and the work goes on without.
fn keep(file: &Path, what: &str, bytes: &[u8]) {
    let folder = file.parent().unwrap_or(file);
    let write = || {
        std::fs::create_dir_all(folder)?;
        let mut partial = tempfile::NamedTempFile::new_in(folder)?;
        partial.write_all(bytes)?;
        partial.persist(file).map(drop).map_err(|kept| kept.error)
    };
    if let Err(cause) = write() {
        log::warn!("{what} cannot be kept for the next run: {}: {cause}", file.display());
    }
}
