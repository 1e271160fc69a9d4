//! Benchmarks of the host's transforms, between files and kernels.

use std::time::Duration;

use partwise::engine::{Median, Timing};
use partwise::random::Stream;
use partwise::spectrogram::Stft;
use serde::Serialize;

use super::jobs::{SAMPLE_RATE, STFT};

/// Seconds of the signal.
const SECONDS: usize = 60;
/// The least duration of a run that counts.
const LONG_ENOUGH: Duration = Duration::from_millis(5);

#[derive(Serialize)]
pub(super) struct TransformTime {
    pub(super) transform: &'static str,
    pub(super) frames: usize,
    pub(super) milliseconds: f64,
    pub(super) frames_per_second: f64,
    pub(super) real_time_factor: f64,
}

/// Times the short-time Fourier transform of the whole jobs and its inverse, on all threads.
pub(super) fn times(least: Duration) -> partwise::Result<Vec<TransformTime>> {
    let noise = Stream::new(0, "noise");
    let signal: Vec<f32> =
        (0..SECONDS * SAMPLE_RATE as usize).map(|n| (noise.uniform(n as u64) - 0.5) as f32).collect();
    let stft = Stft::<f32>::new(STFT)?;
    let frames = stft.frames(signal.len());
    let mut spectra = stft.forward(&signal, 0, 0..frames);
    let forward = Timing::median(least, LONG_ENOUGH, |times| {
        Timing::of(|| {
            (0..times).for_each(|_| spectra = stft.forward(&signal, 0, 0..frames));
            Ok(())
        })
    })?;
    let mut back = Vec::with_capacity(signal.len());
    let inverse = Timing::median(least, LONG_ENOUGH, |times| {
        Timing::of(|| {
            (0..times).try_for_each(|_| {
                back.clear();
                let mut inverse = stft.overlap_add(signal.len());
                inverse.push(spectra.view(), &mut back)?;
                inverse.finish(&mut back)
            })
        })
    })?;
    let time = |transform, Median { timing: Timing { wall, .. }, .. }: Median| TransformTime {
        transform,
        frames,
        milliseconds: wall * 1e3,
        frames_per_second: frames as f64 / wall,
        real_time_factor: SECONDS as f64 / wall,
    };
    Ok(vec![time("stft", forward), time("inverse stft", inverse)])
}
