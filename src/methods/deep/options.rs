//! What a user may choose of learned costs, and of denoising by a cost.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::file::Learned;
use super::phi::{Curve, Phi};
use super::task::Task;
use crate::divergence::Divergence;
use crate::options::{Flag, text};
use crate::spectrogram::{BandMap, Front, Length, Shape, Spectrum, StftParams, Transform};
use crate::weight::Origin;
use crate::{Error, Result};

/// More components, batches and stacks than anyone waits for.
const MOST: usize = 4096;
/// K of the paper.
const COMPONENTS: usize = 30;

/// Where a training starts: a random network, or the cost of t or GGD.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    /// Random numbers, of a network alone.
    Random,
    /// This cost. A network is fitted to it first.
    Cost(Divergence),
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random => f.write_str("random"),
            Self::Cost(cost) => cost.fmt(f),
        }
    }
}

impl FromStr for Start {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "random" {
            return Ok(Self::Random);
        }
        let cost: Divergence = text.parse()?;
        match curve(&cost) {
            Some(_) => Ok(Self::Cost(cost)),
            None => Err(Error::input("use random, t:N or ggd:B")),
        }
    }
}

/// The curve of a cost of t or GGD.
fn curve(cost: &Divergence) -> Option<Curve> {
    let Divergence::Density(weight) = cost else { return None };
    match weight.origin() {
        Origin::Student(nu) => Some(Curve::t(nu)),
        Origin::GeneralizedGaussian(beta) => Some(Curve::ggd(beta)),
        Origin::Learned => None,
    }
}

/// How a cost is learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Training {
    /// What it is learned for.
    #[serde(with = "text")]
    pub task: Task,
    /// What is learned.
    #[serde(with = "text")]
    pub phi: Phi,
    /// Where it starts. Default: the paper's, t:4 or ggd:1.2 for denoising, t:1 or ggd:0.1 for separation; a network starts
    /// from t:0.73.
    #[serde(with = "text::option")]
    pub start: Option<Start>,
    /// K of every factorization.
    pub components: usize,
    /// T, the stacked updates. Default: 300 for denoising, 200 of the bases and half as many of the gains for separation.
    pub stacks: Option<usize>,
    /// L, the last stacks that gradients go through. Default: 30, or 10 for separation.
    pub truncation: Option<usize>,
    /// Examples of each step.
    pub batch: usize,
    /// The length of an example in seconds: longer recordings are cut at random places.
    pub seconds: f64,
    /// The level of the clean recording over the noise in dB.
    pub snr: f64,
    /// The rate of Adam. Default: 0.05 for t and GGD; for a network 0.0005, or 0.005 from a random start.
    pub learning_rate: Option<f64>,
    /// The norm that longer gradients are scaled to.
    pub clip: f64,
}

impl Default for Training {
    fn default() -> Self {
        Self {
            task: Task::Denoise,
            phi: Phi::Network,
            start: None,
            components: COMPONENTS,
            stacks: None,
            truncation: None,
            batch: 4,
            seconds: 8.0,
            snr: -10.0,
            learning_rate: None,
            clip: 1.0,
        }
    }
}

impl Training {
    /// The options on the command line.
    pub const FLAGS: &'static [Flag] = &[
        Flag::word::<Task>(
            "task",
            "denoise|separate",
            "denoise: learn from clean recordings and noise, for `partwise denoise`; separate: learn from several sources \
             [default: denoise]",
        ),
        Flag::word::<Phi>(
            "phi",
            "t|ggd|network",
            "What is learned: the number of Student's t, that of a generalized Gaussian, or a network [default: network]",
        ),
        Flag::word::<Start>(
            "start",
            "random|t:N|ggd:B",
            "Where it starts [default: t:4 or ggd:1.2, for separation t:1 or ggd:0.1; a network from t:0.73]",
        ),
        Flag::count("components", "K", "Components of every factorization [default: 30]"),
        Flag::count(
            "stacks",
            "T",
            "Stacked updates of a factorization [default: 300; separate: 200 of the bases, half as many of the gains]",
        ),
        Flag::count("truncation", "L", "The last stacks that gradients go through [default: 30; separate: 10]"),
        Flag::count("batch", "N", "Examples of each step [default: 4]"),
        Flag::number(
            "seconds",
            "S",
            "The length of an example; longer recordings are cut at random places [default: 8]",
        ),
        Flag::number("snr", "DB", "The level of clean recordings over the noise in dB [default: -10]"),
        Flag::number(
            "learning_rate",
            "R",
            "The rate of Adam [default: 0.05; network: 0.0005, or 0.005 from a random start]",
        ),
        Flag::number("clip", "G", "The norm that longer gradients are scaled to [default: 1]"),
    ];

    /// Checks every option, and that they go together.
    ///
    /// # Errors
    /// [`Error::Option`] names what does not fit.
    pub fn check(&self) -> Result<()> {
        let counts = [
            ("components", Some(self.components)),
            ("stacks", self.stacks),
            ("truncation", self.truncation),
            ("batch", Some(self.batch)),
        ];
        for (option, value) in counts {
            if let Some(value) = value.filter(|value| !(1..=MOST).contains(value)) {
                return Err(Error::option(option, format!("{value}: use 1 to {MOST}")));
            }
        }
        let positive = [("seconds", self.seconds), ("clip", self.clip), ("learning_rate", self.rate())];
        for (option, value) in positive {
            if !(value.is_finite() && value > 0.0) {
                return Err(Error::option(option, format!("{value}: must be above 0")));
            }
        }
        if !(-60.0..=60.0).contains(&self.snr) {
            return Err(Error::option("snr", format!("{}: must be between -60 and 60 dB", self.snr)));
        }
        match (self.phi, &self.start) {
            (Phi::Network, _) | (_, None) => Ok(()),
            (phi, Some(Start::Cost(cost))) if curve(cost).is_some_and(|curve| curve.phi == phi) => Ok(()),
            (phi, Some(start)) => {
                Err(Error::option("start", format!("{start}: does not go with phi {phi}; use {phi}:NUMBER")))
            }
        }
    }

    /// The same options with a value for every one that has one by default.
    #[must_use]
    pub fn in_force(&self) -> Self {
        Self {
            start: Some(self.start()),
            stacks: Some(self.stacks()),
            truncation: Some(self.truncation()),
            learning_rate: Some(self.rate()),
            ..self.clone()
        }
    }

    fn start(&self) -> Start {
        let usual = match (self.phi, self.task) {
            (Phi::T, Task::Denoise) => "t:4",
            (Phi::T, Task::Separate) => "t:1",
            (Phi::Ggd, Task::Denoise) => "ggd:1.2",
            (Phi::Ggd, Task::Separate) => "ggd:0.1",
            (Phi::Network, _) => "t:0.73",
        };
        // All of these are costs.
        self.start.clone().unwrap_or_else(|| usual.parse().unwrap_or(Start::Random))
    }

    pub(super) fn stacks(&self) -> usize {
        self.stacks.unwrap_or(if self.task == Task::Denoise { 300 } else { 200 })
    }

    /// Updates of the bases of each source, if any are learned.
    pub(crate) fn updates_of_bases(&self) -> Option<usize> {
        (self.task == Task::Separate).then(|| self.stacks())
    }

    pub(super) fn truncation(&self) -> usize {
        self.truncation.unwrap_or(if self.task == Task::Denoise { 30 } else { 10 })
    }

    pub(super) fn rate(&self) -> f64 {
        self.learning_rate.unwrap_or(match (self.phi, self.start()) {
            (Phi::Network, Start::Random) => 0.005,
            // A network that is good already is soon worse by large steps.
            (Phi::Network, Start::Cost(_)) => 0.0005,
            _ => 0.05,
        })
    }

    /// The curve that training starts from.
    pub(crate) fn first(&self, seed: u64) -> Curve {
        match (self.start(), self.phi) {
            (Start::Cost(cost), Phi::Network) => {
                curve(&cost).map_or_else(|| Curve::network(seed), |curve| curve.as_network(seed))
            }
            (Start::Cost(cost), _) => curve(&cost).unwrap_or_else(|| Curve::network(seed)),
            (Start::Random, _) => Curve::network(seed),
        }
    }
}

/// How recordings are denoised.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Denoising {
    /// What the fit is measured by. Default: t:0.73, or what a model has learned.
    #[serde(with = "text::option")]
    pub divergence: Option<Divergence>,
    /// K. Default: 30, or that of a model.
    pub rank: Option<usize>,
    /// The window. Default: 128 ms.
    #[serde(with = "text::option")]
    pub window: Option<Length>,
    /// The hop. Default: a quarter of the window.
    #[serde(with = "text::option")]
    pub hop: Option<Length>,
    /// The length of the transform in samples. Default: the power of two that holds the window.
    pub fft: Option<usize>,
    /// The shape of the window. Default: hamming, or that of a model.
    pub window_shape: Option<Shape>,
    /// The seed of the random start.
    pub seed: u64,
}

impl Denoising {
    /// The options on the command line.
    pub const FLAGS: &'static [Flag] = &[
        Flag::word::<Divergence>(
            "divergence",
            "t:N|ggd:B|is|kl|eu|beta:B",
            "The measure of the fit: t:0.73 leaves out impulses, is keeps them [default: t:0.73, or what the model has learned]",
        ),
        Flag::count("rank", "K", "Components of the clean recording [default: 30, or as the model]"),
        Flag::word::<Length>(
            "window",
            "LENGTH",
            "The window, in samples (1024) or milliseconds (128ms) [default: 128ms, or as the model]",
        ),
        Flag::word::<Length>("hop", "LENGTH", "The hop, in samples or milliseconds [default: a quarter of the window]"),
        Flag::count(
            "fft",
            "N",
            "The length of the transform in samples [default: the power of two that holds the window]",
        ),
        Flag::word::<Shape>(
            "window_shape",
            "hamming|hann|sqrt-hann",
            "The shape of the window [default: hamming, or as the model]",
        ),
        Flag::count("seed", "N", "The seed of the random start: the same seed gives the same bytes"),
    ];

    /// Checks the options.
    ///
    /// # Errors
    /// [`Error::Option`] names what does not fit.
    pub fn check(&self) -> Result<()> {
        match self.rank.filter(|rank| !(1..=MOST).contains(rank)) {
            Some(rank) => Err(Error::option("rank", format!("{rank}: use 1 to {MOST}"))),
            None => Ok(()),
        }
    }

    /// The same options with a value for every one, and what a model says of them.
    ///
    /// # Errors
    /// Those of [`Divergence::student`].
    pub(crate) fn in_force(&self, model: Option<(&StftParams, u32, &Learned)>) -> Result<Self> {
        let usual = match model {
            // A network has no name: the description leaves it to the model.
            Some((_, _, learned)) => learned.curve.number().map(|_| learned.curve.divergence()).transpose()?,
            None => Some(Divergence::student(0.73)?),
        };
        // In milliseconds, because a recording may have another sample rate.
        let length = |of: fn(&StftParams) -> usize| {
            model.map(|(stft, rate, _)| Length::Milliseconds(1e3 * of(stft) as f64 / f64::from(rate)))
        };
        let window = self.window.or_else(|| length(|stft| stft.window)).unwrap_or(Length::Milliseconds(128.0));
        Ok(Self {
            divergence: self.divergence.clone().or(usual),
            rank: Some(self.rank.unwrap_or(model.map_or(COMPONENTS, |(_, _, learned)| learned.components))),
            window: Some(window),
            window_shape: Some(self.window_shape.or(model.map(|(stft, ..)| stft.shape)).unwrap_or(Shape::Hamming)),
            hop: self.hop.or_else(|| length(|stft| stft.hop).filter(|_| self.window.is_none())),
            ..self.clone()
        })
    }

    /// How a recording is denoised, with the cost of `learned` where there is no other.
    ///
    /// # Errors
    /// Those of [`Curve::divergence`].
    pub(crate) fn settings(
        &self,
        learned: Option<&Learned>,
        iterations: usize,
        power_exponent: f64,
    ) -> Result<super::separate::Settings> {
        let divergence = match (&self.divergence, learned) {
            (Some(divergence), _) => divergence.clone(),
            (None, Some(learned)) => learned.curve.divergence()?,
            (None, None) => Divergence::student(0.73)?,
        };
        let rank = self.rank.unwrap_or(COMPONENTS);
        Ok(super::separate::Settings { divergence, rank, iterations, seed: self.seed, power_exponent })
    }

    /// How recordings are shown.
    pub(crate) fn front(&self) -> Front {
        let divergence = self.divergence.as_ref();
        Front {
            transform: Transform {
                window: Some(self.window.unwrap_or(Length::Milliseconds(128.0))),
                hop: self.hop,
                fft: self.fft,
                shape: self.window_shape.unwrap_or(Shape::Hamming),
            },
            spectrum: divergence.map_or(Spectrum::Power, |of| Spectrum::suiting(of.exponent_beta())),
            bands: Some(BandMap::Linear),
            pre_emphasis: 0.0,
        }
    }
}
