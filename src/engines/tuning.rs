//! Measurements that are made once per engine: the fastest kernels of a GPU, and the time of a panel.

use std::path::Path;
use std::time::Duration;

use ndarray::Array2;

use super::kept::{Measured, key_of_cpu, key_of_gpu};
use crate::Result;
use crate::divergence::Divergence;
use crate::engine::{Adapter, Cpu, Gpu, Timing};
use crate::kernels::{Glue, Mask, Products, Rule};

/// Rows, columns and components of the panel for comparing engines: about a minute at 8 kHz.
const PANEL: (usize, usize, usize) = (513, 2_000, 64);
/// Updates of its gains. With masks, this takes two cores a tenth of a second.
const UPDATES: usize = 20;
/// The least duration of the measurement.
const PERIOD: Duration = Duration::from_millis(100);

/// Applies the GPU's kept tuning, or measures and keeps one. A software driver hardly depends on the tuning and is
/// measured only on request.
pub(super) fn tune(gpu: &mut Gpu, anew: bool, cache: Option<&Path>) -> Result<()> {
    if gpu.adapter().is_software() && !anew {
        return Ok(());
    }
    let (mut measured, key) = (Measured::read(cache), key_of_gpu(gpu.adapter()));
    if !anew
        && let Some(tuning) = measured.get(&key).and_then(|figures| figures.tuning.clone())
        && gpu.set_tuning(tuning).is_ok()
    {
        return Ok(());
    }
    log::info!("measuring the fastest kernels on {}", gpu.adapter().name);
    let tuning = gpu.tune()?;
    measured.note(&key, |figures| figures.tuning = Some(tuning));
    Ok(())
}

/// The kept seconds of a panel on a GPU and on the CPU engine, if both exist.
pub(super) fn compared(gpu: &Adapter, cpu: &Cpu, measured: &Measured) -> Option<(f64, f64)> {
    let kept = |engine: &str| measured.get(engine)?.panel_seconds;
    Some((kept(&key_of_gpu(gpu))?, kept(&key_of_cpu(cpu))?))
}

/// The same, measured if one is missing or `anew` is set.
pub(super) fn compare(gpu: &Gpu, cpu: &Cpu, anew: bool, measured: &mut Measured) -> Result<(f64, f64)> {
    Ok((
        kept_or(&key_of_gpu(gpu.adapter()), anew, measured, || seconds(gpu, PANEL))?,
        kept_or(&key_of_cpu(cpu), anew, measured, || seconds(cpu, PANEL))?,
    ))
}

fn kept_or(engine: &str, anew: bool, measured: &mut Measured, measure: impl FnOnce() -> Result<f64>) -> Result<f64> {
    if let Some(seconds) = measured.get(engine).and_then(|figures| figures.panel_seconds).filter(|_| !anew) {
        return Ok(seconds);
    }
    let seconds = measure()?;
    measured.note(engine, |figures| figures.panel_seconds = Some(seconds));
    Ok(seconds)
}

/// The seconds of a panel as in a job: uploading it, updating its gains, downloading the masks of two sources.
fn seconds<E: Products + Glue>(engine: &E, panel: (usize, usize, usize)) -> Result<f64> {
    let (rows, columns, components) = panel;
    let fill = |rows, columns| {
        Array2::from_shape_fn((rows, columns), |(row, column)| 0.1 + ((7 * row + 13 * column) % 97) as f32 / 97.0)
    };
    let (v, h) = (fill(rows, columns), fill(components, columns));
    let (w, rule) = (engine.matrix(fill(rows, components).view())?, Rule::of(Divergence::ItakuraSaito));
    let panel = |_| {
        Timing::of(|| {
            let (v, mut h) = (engine.panel(v.view())?, engine.panel(h.view())?);
            (0..UPDATES).try_for_each(|_| engine.update_gains(&v, &w, &mut h, &rule))?;
            let masks = engine.masks(&w, &h, &[0..components / 2, components / 2..components], Mask::Ratio(1.0))?;
            masks.iter().try_for_each(|mask| engine.read_panel::<f32>(mask).map(drop))
        })
    };
    // The first run compiles the pipelines.
    panel(1)?;
    Ok(Timing::shortest(PERIOD, Duration::ZERO, panel)?.wall)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_measured_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let cpu = Cpu::new(Some(1)).unwrap();
        let open = || Measured::read(Some(&cache));
        let first = kept_or("cpu", false, &mut open(), || seconds(&cpu, (9, 20, 4))).unwrap();
        assert!(first > 0.0 && first < 1.0, "{first}");
        let never = || panic!("a kept value was measured again");
        assert_eq!(kept_or("cpu", false, &mut open(), never).unwrap(), first);
        assert_eq!(kept_or("cpu", true, &mut open(), || Ok(7.0)).unwrap(), 7.0);
        assert_eq!(kept_or("cpu, more threads", false, &mut open(), || Ok(3.0)).unwrap(), 3.0);
        assert_eq!(open().get("cpu").and_then(|figures| figures.panel_seconds), Some(7.0));
        // An unreadable file counts as empty and is rewritten.
        std::fs::write(cache.join("tuning.json"), "{").unwrap();
        assert_eq!(kept_or("cpu", false, &mut open(), || Ok(5.0)).unwrap(), 5.0);
        assert_eq!(kept_or("cpu", false, &mut open(), never).unwrap(), 5.0);
    }
}
