//! What a user may choose of patterns that move.

use serde::{Deserialize, Serialize};

use super::factorize::Options;
use super::separate::{Patterns, Settings};
use crate::divergence::Divergence;
use crate::kernels::{Lags, Mask, Norm};
use crate::methods::nmf::{self, Learn};
use crate::options::{Flag, SourceFiles, text};
use crate::spectrogram::{BandMap, Front, Length, Shape, Spectrum, Transform};
use crate::{Error, Result};

/// More sources, starts and lags than anyone waits for.
const MOST: usize = 4096;

/// How recordings are separated into patterns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Separation {
    /// J, how many sources a recording has; 2 if it is missing.
    pub sources: Option<usize>,
    /// T, the frames that a pattern reaches over; if it is missing, 7, or 20 where patterns are given.
    pub time_lags: Option<usize>,
    /// Φ, the pitches, a band apart, that a pattern is moved over; if it is missing, 18, or 1 where patterns are given.
    pub pitch_lags: Option<usize>,
    /// Random starts, of which the one with the least objective is kept; 8 if it is missing.
    pub starts: Option<usize>,
    /// Recordings of single strokes of each source, whose patterns these are; without any, patterns are found in the recording.
    pub init_bases: Vec<SourceFiles>,
    /// Whether patterns that are given are learned on from.
    pub adapt: bool,
    /// What the fit is measured by.
    #[serde(with = "text")]
    pub divergence: Divergence,
    /// λ, the weight of an L1 penalty on the gains.
    pub sparsity: f64,
    /// The window; if it is missing, 128 ms, or 46 ms at a single pitch.
    #[serde(with = "text::option")]
    pub window: Option<Length>,
    /// The hop; if it is missing, half the window, or a quarter at a single pitch.
    #[serde(with = "text::option")]
    pub hop: Option<Length>,
    /// The length of the transform in samples; if it is missing, the power of two that holds the window.
    pub fft: Option<usize>,
    /// The shape of the window.
    pub window_shape: Shape,
    /// Bands of the spectrum; if they are missing, 24 an octave from 50 Hz to 8 kHz as far as the sample rate goes, or bins at a
    /// single pitch.
    #[serde(with = "text::option")]
    pub bands: Option<BandMap>,
    /// The seed of the first random start.
    pub seed: u64,
}

impl Default for Separation {
    fn default() -> Self {
        Self {
            sources: None,
            time_lags: None,
            pitch_lags: None,
            starts: None,
            init_bases: Vec::new(),
            adapt: false,
            divergence: Divergence::KullbackLeibler,
            sparsity: 0.0,
            window: None,
            hop: None,
            fft: None,
            window_shape: Shape::Hann,
            bands: None,
            seed: 0,
        }
    }
}

impl Separation {
    /// The options on the command line.
    pub const FLAGS: &'static [Flag] = &[
        Flag::count(
            "sources",
            "J",
            "How many sources a recording has; they are called source1, the loudest, and so on [default: 2]",
        )
        .first(),
        Flag::count("time_lags", "T", "Frames that a pattern reaches over [default: 7, or 20 with --init-bases]"),
        Flag::count(
            "pitch_lags",
            "P",
            "Pitches, a band apart, that a pattern is moved over; 1 is NMFD [default: 18, or 1 with --init-bases]",
        ),
        Flag::count("starts", "S", "Random starts, of which the one with the least objective is kept [default: 8]"),
        Flag::recordings(
            "init_bases",
            "Recordings of one stroke of a source, to take its patterns from; more names or paths may follow, so give the \
             inputs before this option",
        ),
        Flag::switch("adapt", "Learn on from the patterns of --init-bases; otherwise they stay as they are"),
        Flag::word::<Divergence>("divergence", "eu|kl|is|beta:B|t:N|ggd:B", "The measure of the fit [default: kl]"),
        Flag::number("sparsity", "L", "The weight of an L1 penalty on the gains [default: 0]"),
        Flag::word::<Length>(
            "window",
            "LENGTH",
            "The window, in samples (2048) or milliseconds (128ms) [default: 128ms, or 46ms at a single pitch]",
        ),
        Flag::word::<Length>(
            "hop",
            "LENGTH",
            "The hop, in samples or milliseconds [default: half the window, or a quarter at a single pitch]",
        ),
        Flag::count(
            "fft",
            "N",
            "The length of the transform in samples [default: the power of two that holds the window]",
        ),
        Flag::word::<Shape>("window_shape", "hamming|hann|sqrt-hann", "The shape of the window [default: hann]"),
        Flag::word::<BandMap>(
            "bands",
            "linear|log:24:50-8000|mel:80:0-4000",
            "linear, bands an octave and their range in Hz, or a number of mel bands and their range [default: log:24:50-8000, as far as the sample rate goes, or \
             linear at a single pitch]",
        ),
        Flag::count("seed", "N", "The seed of the first random start: the same seed gives the same bytes"),
    ];

    /// Whether patterns are given.
    fn given(&self) -> bool {
        !self.init_bases.is_empty()
    }

    /// T and Φ.
    pub(crate) fn lags(&self) -> Lags {
        let (time, pitch) = if self.given() { (20, 1) } else { (7, 18) };
        Lags { time: self.time_lags.unwrap_or(time), pitch: self.pitch_lags.unwrap_or(pitch) }
    }

    /// Checks every option, and that they go together.
    ///
    /// # Errors
    /// [`Error::Option`] names what does not fit.
    pub fn check(&self) -> Result<()> {
        let together = [("sources", self.sources), ("starts", self.starts)];
        if self.given()
            && let Some((option, Some(value))) = together.into_iter().find(|(_, given)| given.is_some())
        {
            return Err(Error::option(
                option,
                format!("{value}: does not go with init_bases, which names the sources and where they begin"),
            ));
        }
        if self.adapt && !self.given() {
            return Err(Error::option("adapt", "there is nothing to adapt; give recordings as init_bases"));
        }
        let Lags { time, pitch } = self.lags();
        let numbers = [("sources", self.sources), ("starts", self.starts)];
        let lags = [("time_lags", Some(time)), ("pitch_lags", Some(pitch))];
        for (option, value) in numbers.into_iter().chain(lags) {
            if let Some(value) = value.filter(|value| !(1..=MOST).contains(value)) {
                return Err(Error::option(option, format!("{value}: use 1 to {MOST}")));
            }
        }
        nmf::check_options(1, 0.0, self.sparsity)
    }

    /// The same options with a value for every one that has one by default.
    #[must_use]
    pub fn in_force(&self) -> Self {
        let Lags { time, pitch } = self.lags();
        let usual = |given: Option<usize>, usual| if self.given() { None } else { Some(given.unwrap_or(usual)) };
        let Front { transform, bands, .. } = self.front();
        Self {
            sources: usual(self.sources, 2),
            starts: usual(self.starts, 8),
            time_lags: Some(time),
            pitch_lags: Some(pitch),
            window: transform.window,
            hop: transform.hop,
            bands,
            ..self.clone()
        }
    }

    /// Updates at most, where the job does not say.
    pub(crate) fn usual_iterations(&self) -> usize {
        if self.given() { 100 } else { 300 }
    }

    /// The names of the sources, in the order of their masks.
    pub(crate) fn names(&self) -> Vec<String> {
        if self.given() {
            return self.init_bases.iter().map(|source| source.name.clone()).collect();
        }
        let count = self.sources.unwrap_or(2);
        let width = count.to_string().len();
        (1..=count).map(|source| format!("source{source:0width$}")).collect()
    }

    /// How recordings are shown.
    pub(crate) fn front(&self) -> Front {
        let single = self.lags().pitch == 1;
        let window = self.window.unwrap_or(Length::Milliseconds(if single { 46.0 } else { 128.0 }));
        // Twice as far as a transform's own usual hop.
        let hop = self.hop.or(if single { None } else { Some(window.part(2)) });
        Front {
            transform: Transform { window: Some(window), hop, fft: self.fft, shape: self.window_shape },
            spectrum: Spectrum::suiting(self.divergence.exponent_beta()),
            bands: self.bands.clone().or(single.then_some(BandMap::Linear)),
            pre_emphasis: 0.0,
        }
    }

    /// What the engine holds of each column beside the data, with `components` patterns in all: so many numbers a row, and so many
    /// more.
    pub(crate) fn held(&self, components: usize) -> (usize, usize) {
        let starts = if self.given() { 1 } else { self.starts.unwrap_or(8) };
        // V, P, Q and Λ of every start, its gains in rows and in strips, and N and D of them.
        (4 * starts, 4 * self.lags().pitch * starts * components)
    }

    /// How a recording is separated: `patterns` those of the given recordings, if any are given.
    pub(crate) fn settings(&self, iterations: usize, mask: Mask, patterns: Option<Patterns>) -> Settings {
        let mut options = Options { trace_every: 0, ..Options::of(self.divergence.clone(), self.lags(), iterations) };
        options.rule.rule.sparsity = self.sparsity;
        // Without it patterns would grow as gains shrink, and the penalty would say nothing. In L1 it would say nothing under KL: there
        // the gains' sum is that of the data.
        options.normalize = (self.sparsity > 0.0).then_some(Norm::L2);
        if self.given() && !self.adapt {
            options.learn = Learn::Gains;
        }
        let patterns = patterns.unwrap_or(Patterns::Found {
            sources: self.sources.unwrap_or(2),
            starts: self.starts.unwrap_or(8),
            seed: self.seed,
        });
        Settings { options, patterns, mask }
    }
}
