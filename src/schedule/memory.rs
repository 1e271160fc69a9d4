//! Computes the width of panels from the memory limit.

use super::relay::Station;
use crate::separate::Scheme;
use crate::spectrogram::View;
use crate::{Error, Result};

/// Panels in memory beside those on the engines: one being packed, one packed and waiting, one waiting for the inverse
/// transform, one in it.
const IN_TRANSIT: u64 = 4;
/// With fewer columns, any engine idles most of the time.
const NARROWEST: usize = 512;

/// The number of panels in memory at once, with `on_engines` of them on engines. If each recording is one panel, at
/// most the number of files.
pub(super) fn at_once(scheme: &Scheme, on_engines: usize, files: usize) -> u64 {
    let all = IN_TRANSIT + on_engines as u64;
    if scheme.stretch.is_none() { all.min(files.max(1) as u64) } else { all }
}

/// The most columns per panel, at least 1, so that `panels` panels take at most `memory` bytes on the host and on each
/// device.
pub(super) fn panel_columns(memory: u64, scheme: &Scheme, view: &View, panels: u64) -> usize {
    usize::try_from(memory / (panels * scheme.column_bytes(view))).unwrap_or(usize::MAX).max(1)
}

/// The bytes that `panels` panels of `columns` columns need.
pub(super) fn bytes_for(columns: usize, scheme: &Scheme, view: &View, panels: u64) -> u64 {
    panels.saturating_mul(scheme.column_bytes(view)).saturating_mul(columns as u64)
}

/// Checks that `memory` bytes keep the engines busy, with `on_engines` panels on engines at once. For recordings
/// separated as a whole this depends on each recording, so nothing is checked.
///
/// # Errors
/// [`Error::Input`] if not even a narrow panel fits; also the errors of [`Scheme::view`].
pub fn check_memory(memory: u64, scheme: &Scheme, on_engines: usize) -> Result<()> {
    let (Some(sample_rate), Some(stretch)) = (scheme.sample_rate, scheme.stretch) else { return Ok(()) };
    let least = bytes_for(NARROWEST.max(stretch), scheme, &scheme.view(sample_rate)?, IN_TRANSIT + on_engines as u64);
    if memory >= least {
        return Ok(());
    }
    let (least, given) = (least.div_ceil(1 << 20), memory as f64 / f64::from(1 << 20));
    Err(Error::input(format!("--memory of {given:.3} MiB: this model needs at least {least} MiB")))
}

/// The usual memory of a job's panels: at most a quarter of the machine's and, for panels that may be narrower, no more than is
/// useful. A few thousand columns keep a processor busy; a card needs tens of thousands, or most of it idles.
pub fn usual_memory(stations: &[Station], whole: bool) -> u64 {
    let gpu = stations.iter().any(|station| station.describe().starts_with("gpu"));
    let pays = if whole {
        u64::MAX
    } else if gpu {
        3 << 30
    } else {
        512 << 20
    };
    (memory_of_machine() / 4).min(pays)
}

/// Bytes of memory of this machine or its container.
pub fn memory_of_machine() -> u64 {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let limit = system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory);
    system.total_memory().min(limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectrogram::{BandMap, Front, Length, Shape, Spectrum, Transform};

    #[test]
    fn all_panels_in_flight_share_the_memory() {
        let transform = Transform { window: Some(Length::Samples(16)), hop: None, fft: None, shape: Shape::Hann };
        let cut = Scheme {
            sources: vec!["a".into(), "b".into()],
            sample_rate: Some(8000),
            front: Front { transform, spectrum: Spectrum::Power, bands: Some(BandMap::Linear), pre_emphasis: 0.0 },
            stretch: Some(128),
            held: (3, 11),
        };
        let whole = Scheme { stretch: None, ..cut.clone() };
        assert_eq!([1, 3, 100].map(|files| at_once(&cut, 2, files)), [6, 6, 6]);
        assert_eq!([0, 1, 3, 100].map(|files| at_once(&whole, 2, files)), [1, 1, 3, 6]);
        // Nine bins: a spectrum, the data twice, two masks, three more panels with as many rows, and eleven numbers.
        let view = cut.view(8000).unwrap();
        assert_eq!(cut.column_bytes(&view), 4 * (18 + 18 + 18 + 27 + 11));
        let memory = bytes_for(100, &cut, &view, 6);
        assert_eq!([memory, memory - 1, 0].map(|memory| panel_columns(memory, &cut, &view, 6)), [100, 99, 1]);
        assert!(check_memory(bytes_for(512, &cut, &view, 6), &cut, 2).is_ok() && check_memory(1, &whole, 2).is_ok());
        assert!(check_memory(bytes_for(512, &cut, &view, 6) - 1, &cut, 2).is_err());
    }
}
