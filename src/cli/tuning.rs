//! What was measured of a GPU, kept from one run to the next.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use partwise::Gpu;
use partwise::engine::Tuning;

use super::write_whole;

/// Has the GPU take the tuning that is kept for it, or measures one and keeps it. A software driver, for which it hardly
/// matters, is only measured where that is asked for.
pub(super) fn tune(gpu: &mut Gpu, anew: bool) -> partwise::Result<()> {
    if gpu.adapter().is_software() && !anew {
        return Ok(());
    }
    let (file, key) = (cache_folder().map(|folder| folder.join("tuning.json")), key(gpu));
    let mut kept = file.as_deref().map(read).unwrap_or_default();
    if let Some(tuning) = kept.get(&key).filter(|_| !anew)
        && gpu.set_tuning(tuning.clone()).is_ok()
    {
        return Ok(());
    }
    log::info!("measuring which kernels are the fastest on {}", gpu.adapter().name);
    kept.insert(key, gpu.tune()?);
    // Without a place to keep it, it is measured again the next time.
    if let Some(file) = &file
        && let Err(cause) = write(file, &kept)
    {
        log::warn!("what was measured of the gpu is not kept: {cause}");
    }
    Ok(())
}

/// The device, its driver and this program: a tuning is measured again where one of them is another.
fn key(gpu: &Gpu) -> String {
    let adapter = gpu.adapter();
    format!("{}, {} {}, partwise {}", adapter.name, adapter.backend, adapter.driver, env!("CARGO_PKG_VERSION"))
}

/// What is kept; nothing where the file is not there or is no tuning of this version.
fn read(file: &Path) -> BTreeMap<String, Tuning> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn write(file: &Path, kept: &BTreeMap<String, Tuning>) -> partwise::Result<()> {
    write_whole(file, |partial| {
        std::fs::create_dir_all(file.parent().unwrap_or(file))?;
        std::fs::write(partial, serde_json::to_string_pretty(kept)?)
    })
}

/// Where this user's programs keep what they can make again.
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
