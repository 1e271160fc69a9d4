//! How wide a panel may be.

use crate::model::Model;
use crate::{Error, Result};

/// Panels that are about at once beside those on the engines: being packed, packed and waiting, waiting for the inverse
/// transform, and in it.
const IN_TRANSIT: u64 = 4;
/// Fewer columns than this leave any engine idle for most of the time.
const NARROWEST: u64 = 512;

/// How many columns a panel may have so that all panels take `bytes` of memory at most, on the host and on each device, with so
/// many of them on engines at once. Of every column in flight there are its spectrum, its data twice, its masks, and on the
/// engine the gains of some points of their path.
///
/// # Errors
/// [`Error::Input`] where not even a narrow panel fits.
pub fn panel_columns(bytes: u64, model: &Model, on_engines: usize) -> Result<usize> {
    let (_, sources) = model.bases();
    let components = sources.last().map_or(0, |last| last.end as u64);
    let (bins, sources) = (model.bins() as u64, sources.len() as u64);
    let column = 4 * (2 * bins + 2 * bins + sources * bins + 6 * components);
    let panels = IN_TRANSIT + on_engines as u64;
    let columns = bytes / (panels * column);
    if columns < NARROWEST {
        let least = (panels * column * NARROWEST).div_ceil(1 << 20);
        return Err(Error::input(format!("memory of {} MiB: this model needs at least {least} MiB", bytes >> 20)));
    }
    Ok(usize::try_from(columns).unwrap_or(usize::MAX))
}
