//! The scores of one recording's estimates, from their files.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::bail;
use partwise::audio;
use partwise::evaluate::{self, Measures, Order, Scores};
use serde::Serialize;

use super::super::memory;

/// By so many dB of mean SI-SDR, another order of the estimates is clearly better.
const CLEARLY_BETTER: f64 = 3.0;

/// How recordings are scored.
#[derive(Clone, Copy)]
pub(super) struct How {
    /// Whether the order of the estimates is found.
    pub(super) permute: bool,
    /// The length of the windows that are scored too.
    pub(super) frames: Option<Seconds>,
}

/// A length of time above 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seconds(pub(super) f64);

impl FromStr for Seconds {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(seconds) if f64::is_finite(seconds) && seconds > 0.0 => Ok(Self(seconds)),
            _ => Err("use seconds above 0, such as 1 or 0.5"),
        }
    }
}

/// The files of a recording: reference j and estimate j are of source j, unless the order is to be found.
pub(super) struct Files<'a> {
    pub(super) references: &'a [PathBuf],
    pub(super) estimates: &'a [PathBuf],
    pub(super) mixture: Option<&'a Path>,
}

/// The scores of a recording.
pub(super) struct Scored {
    /// Its channels. A ratio is one of energies over all of them.
    pub(super) channels: usize,
    /// The scores of each source, and those of its windows if they were asked for.
    pub(super) sources: Vec<(Scores, Option<Windows>)>,
    /// What the caller should be told, if another order of the estimates is clearly better.
    pub(super) doubt: Option<String>,
}

/// The scores of a source in windows of a recording.
#[derive(Serialize)]
pub(super) struct Windows {
    /// The length of a window.
    pub(super) seconds: f64,
    /// The median of each measure, over the windows in which it is defined.
    pub(super) median: Measures,
    /// The windows in which the source or its estimate is silent, so that there is no SDR.
    pub(super) silent: usize,
    pub(super) scores: Vec<Window>,
}

#[derive(Serialize)]
pub(super) struct Window {
    /// In seconds.
    pub(super) start: f64,
    #[serde(flatten)]
    pub(super) measures: Measures,
}

/// Reads and scores a recording. `warn` hears what is odd about its files.
pub(super) fn score(files: &Files, how: &How, warn: &mut dyn FnMut(String)) -> anyhow::Result<Scored> {
    announce(files.references)?;
    let mut like = None;
    let mut read = |files: &[PathBuf]| -> anyhow::Result<Vec<Vec<Vec<f64>>>> {
        files.iter().map(|file| read(file, &mut like, warn)).collect()
    };
    let (truth, guesses) = (read(files.references)?, read(files.estimates)?);
    let mixture = files.mixture.map(|mixture| read(&[mixture.into()])).transpose()?;
    let mixture = mixture.as_ref().and_then(|mixture| mixture.first()).map(Vec::as_slice);
    let order = if how.permute { Order::Best } else { Order::Given };
    let scores = evaluate::evaluate(&truth, &guesses, mixture, order)?;
    let gain = if how.permute { 0.0 } else { evaluate::better_order(&truth, &guesses) };
    let doubt = (gain > CLEARLY_BETTER).then(|| {
        format!("the estimates fit better in another order, by {gain:.1} dB of SI-SDR on average; --permute finds the best order")
    });
    for (reference, scores) in files.references.iter().zip(&scores) {
        if scores.measures.sdr.is_nan() {
            warn(format!("{}: cannot be scored, because it or its estimate is silent", reference.display()));
        }
    }
    let windows = match (how.frames, like) {
        (Some(Seconds(seconds)), Some((rate, _))) => {
            let in_order: Vec<_> = scores.iter().map(|scores| guesses[scores.estimate].clone()).collect();
            Some(in_windows(&truth, &in_order, seconds, rate)?)
        }
        _ => None,
    };
    let channels = truth.first().map_or(0, Vec::len);
    let mut windows = windows.into_iter().flatten();
    Ok(Scored { channels, sources: scores.into_iter().map(|scores| (scores, windows.next())).collect(), doubt })
}

/// The scores of each source in windows.
fn in_windows(
    truth: &[Vec<Vec<f64>>],
    estimates: &[Vec<Vec<f64>>],
    seconds: f64,
    rate: u32,
) -> anyhow::Result<Vec<Windows>> {
    let rate = f64::from(rate);
    let samples = truth.first().and_then(|channels| channels.first()).map_or(0, Vec::len);
    let length = (seconds * rate).round().clamp(1.0, usize::MAX as f64) as usize;
    let windows: Vec<Range<usize>> = evaluate::windows(samples, length, length);
    let of_windows = evaluate::evaluate_windows(truth, estimates, &windows, || Ok(()))?;
    let of_source = |source: usize| {
        let of = windows.iter().zip(&of_windows);
        let scores: Vec<Window> = of
            .map(|(window, scores)| Window { start: window.start as f64 / rate, measures: scores[source].measures })
            .collect();
        let median = evaluate::median(scores.iter().map(|window| &window.measures));
        let silent = scores.iter().filter(|window| window.measures.sdr.is_nan()).count();
        Windows { seconds, median, silent, scores }
    };
    Ok((0..truth.len()).map(of_source).collect())
}

/// Announces the memory to score these sources, all as long as the first.
fn announce(references: &[PathBuf]) -> anyhow::Result<()> {
    let Some(first) = references.first() else { return Ok(()) };
    let (mut reader, mut block, mut samples) = (audio::Reader::open(first)?, Vec::new(), 0);
    while reader.read(&mut block)? {
        samples += block.iter().map(Vec::len).sum::<usize>() as u64;
    }
    // The signals; the transforms (at most twice as long) of references, filters and work in progress; the normal
    // equations.
    let (sources, threads) = (references.len() as u64, rayon::current_num_threads() as u64);
    let signals = (2 * sources + 1) * 8 * samples;
    let transforms = (2 * sources + 2 * threads) * 16 * samples;
    let equations = 8 * (512 * sources).pow(2);
    memory::announce(signals + transforms + equations, "score shorter recordings, or fewer sources at a time")
}

/// A file's channels (C, N). All files must have the same sample rate and number of channels.
fn read(file: &Path, like: &mut Option<(u32, usize)>, warn: &mut dyn FnMut(String)) -> anyhow::Result<Vec<Vec<f64>>> {
    let recording = audio::read(file)?;
    recording.warnings.iter().for_each(|warning| warn(format!("{}: {warning}", file.display())));
    let (rate, channels) = *like.get_or_insert((recording.sample_rate, recording.channels.len()));
    if recording.sample_rate != rate {
        bail!("{}: is at {} Hz, the others at {rate} Hz; resample it", file.display(), recording.sample_rate);
    }
    if recording.channels.len() != channels {
        let count = recording.channels.len();
        bail!("{}: has {count} channel(s), the others {channels}; use the same number for all", file.display());
    }
    let wide = |channel: Vec<f32>| channel.into_iter().map(f64::from).collect();
    Ok(recording.channels.into_iter().map(wide).collect())
}
