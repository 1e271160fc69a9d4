//! How wide a panel may be.

use crate::separate::Scheme;
use crate::spectrogram::View;
use crate::{Error, Result};

/// Panels that are about at once beside those on the engines: being packed, packed and waiting, waiting for the inverse
/// transform, and in it.
const IN_TRANSIT: u64 = 4;
/// Fewer columns than this leave any engine idle for most of the time.
const NARROWEST: usize = 512;

/// How many columns a panel may have so that all panels take `memory` bytes at most, on the host and on each device, with so many
/// of them on engines at once; at least one.
pub(super) fn panel_columns(memory: u64, scheme: &Scheme, view: &View, on_engines: usize) -> usize {
    let panels = IN_TRANSIT + on_engines as u64;
    usize::try_from(memory / (panels * scheme.column_bytes(view))).unwrap_or(usize::MAX).max(1)
}

/// What so many columns in a panel need.
pub(super) fn bytes_for(columns: usize, scheme: &Scheme, view: &View, on_engines: usize) -> u64 {
    (IN_TRANSIT + on_engines as u64).saturating_mul(scheme.column_bytes(view)).saturating_mul(columns as u64)
}

/// Checks that memory of so many bytes, with so many panels on engines at once, keeps them busy. Where recordings are separated
/// as a whole, that depends on each.
///
/// # Errors
/// [`Error::Input`] where not even a narrow panel fits, and those of [`Scheme::view`].
pub fn check_memory(memory: u64, scheme: &Scheme, on_engines: usize) -> Result<()> {
    let Some(sample_rate) = scheme.sample_rate.filter(|_| !scheme.whole) else { return Ok(()) };
    let least = bytes_for(NARROWEST, scheme, &scheme.view(sample_rate)?, on_engines);
    if memory >= least {
        return Ok(());
    }
    let least = least.div_ceil(1 << 20);
    Err(Error::input(format!("memory of {} MiB: this model needs at least {least} MiB", memory >> 20)))
}
