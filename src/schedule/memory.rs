//! How wide a panel may be.

use crate::separate::Scheme;
use crate::spectrogram::View;
use crate::{Error, Result};

/// Panels that are about at once beside those on the engines: being packed, packed and waiting, waiting for the inverse
/// transform, and in it.
const IN_TRANSIT: u64 = 4;
/// Fewer columns than this leave any engine idle for most of the time.
const NARROWEST: usize = 512;

/// How many panels are about at once, with so many of them on engines. Where a recording is one, no more than there are files.
pub(super) fn at_once(scheme: &Scheme, on_engines: usize, files: usize) -> u64 {
    let all = IN_TRANSIT + on_engines as u64;
    if scheme.whole { all.min(files.max(1) as u64) } else { all }
}

/// How many columns a panel may have so that so many panels take `memory` bytes at most, on the host and on each device; at least
/// one.
pub(super) fn panel_columns(memory: u64, scheme: &Scheme, view: &View, panels: u64) -> usize {
    usize::try_from(memory / (panels * scheme.column_bytes(view))).unwrap_or(usize::MAX).max(1)
}

/// What so many columns in each of so many panels need.
pub(super) fn bytes_for(columns: usize, scheme: &Scheme, view: &View, panels: u64) -> u64 {
    panels.saturating_mul(scheme.column_bytes(view)).saturating_mul(columns as u64)
}

/// Checks that memory of so many bytes, with so many panels on engines at once, keeps them busy. Where recordings are separated
/// as a whole, that depends on each.
///
/// # Errors
/// [`Error::Input`] where not even a narrow panel fits, and those of [`Scheme::view`].
pub fn check_memory(memory: u64, scheme: &Scheme, on_engines: usize) -> Result<()> {
    let Some(sample_rate) = scheme.sample_rate.filter(|_| !scheme.whole) else { return Ok(()) };
    let least = bytes_for(NARROWEST, scheme, &scheme.view(sample_rate)?, IN_TRANSIT + on_engines as u64);
    if memory >= least {
        return Ok(());
    }
    let (least, given) = (least.div_ceil(1 << 20), memory as f64 / f64::from(1 << 20));
    Err(Error::input(format!("--memory of {given:.3} MiB: this model needs at least {least} MiB")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectrogram::{BandMap, Front, Length, Shape, Spectrum, Transform};

    #[test]
    fn memory_is_shared_by_the_panels_that_are_about() {
        let transform = Transform { window: Some(Length::Samples(16)), hop: None, fft: None, shape: Shape::Hann };
        let cut = Scheme {
            sources: vec!["a".into(), "b".into()],
            sample_rate: Some(8000),
            front: Front { transform, spectrum: Spectrum::Power, bands: Some(BandMap::Linear) },
            whole: false,
            held: (3, 11),
        };
        let whole = Scheme { whole: true, ..cut.clone() };
        assert_eq!([1, 3, 100].map(|files| at_once(&cut, 2, files)), [6, 6, 6]);
        assert_eq!([0, 1, 3, 100].map(|files| at_once(&whole, 2, files)), [1, 1, 3, 6]);
        // Nine bins: a spectrum, the data twice, two masks, three more of what has rows, and eleven numbers.
        let view = cut.view(8000).unwrap();
        assert_eq!(cut.column_bytes(&view), 4 * (18 + 18 + 18 + 27 + 11));
        let memory = bytes_for(100, &cut, &view, 6);
        assert_eq!([memory, memory - 1, 0].map(|memory| panel_columns(memory, &cut, &view, 6)), [100, 99, 1]);
        assert!(check_memory(bytes_for(512, &cut, &view, 6), &cut, 2).is_ok() && check_memory(1, &whole, 2).is_ok());
        assert!(check_memory(bytes_for(512, &cut, &view, 6) - 1, &cut, 2).is_err());
    }
}
