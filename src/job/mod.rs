//! A job as data: how a model is learned ([`Training`]) and how recordings are separated ([`Separation`]).
//!
//! The command line, `--config` files, manifests and models all speak of jobs in these terms. `Default` is what a command does
//! without options. In JSON a description is flat: the options that all methods share stand beside those of its method.
//!
//! ```
//! use partwise::Training;
//!
//! let training: Training = serde_json::from_str(r#"{"method": "gain-prior", "mixtures": 16, "rank": {"speech": 64}}"#)?;
//! assert_eq!(training.in_force().iterations, Some(50));
//! let unknown = serde_json::from_str::<Training>(r#"{"itertions": 5}"#).unwrap_err();
//! assert_eq!(unknown.to_string(), "itertions: is not an option of a training; the nearest is iterations");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod version;

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::audio::FormatChoice;
use crate::divergence::Divergence;
use crate::kernels::Norm;
use crate::methods::nmf::{self, Updates};
use crate::methods::{averaged, committee, deep, discriminative, exemplars, gain_prior, nmf2d, rest, sparse};
use crate::options::{self, Described, Flag, MaskChoice, PerSource, Rank, SourceFiles, text};
use crate::spectrogram::{BandMap, Front, Length, Shape, Spectrum, Transform};
use crate::{Error, Result};

pub(crate) use version::is_later;

/// The highest rank of a source; beyond it a spectrogram is not explained but copied.
pub const MAX_RANK: usize = 4096;

/// How a model is learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", default, deny_unknown_fields)]
pub struct Training {
    /// The method, with the options that it alone has.
    #[serde(skip)]
    pub method: TrainingMethod,
    /// K, the components of every source. Where it is auto, the method nmf chooses it for each set of bases, and the others have
    /// 64.
    pub rank: PerSource<Rank>,
    /// What the fit is measured by; if it is missing, kl, or is by the method averaged.
    #[serde(with = "text::option")]
    pub divergence: Option<Divergence>,
    /// How the factors are updated; if it is missing, extrapolated, or alternating where the method has updates of its own.
    #[serde(with = "text::option")]
    pub updates: Option<Updates>,
    /// Iterations at most; if it is missing, 50 extrapolated ones or 100 of another kind.
    pub iterations: Option<usize>,
    /// Iterations end where ten of them lower the objective by less than this share of it; 0: never.
    pub tolerance: f64,
    /// The window; if it is missing, 96 ms for the method nmf with ranks of its own choice and for exemplars, otherwise 128 ms.
    #[serde(with = "text::option")]
    pub window: Option<Length>,
    /// The hop; if it is missing, a third of the window for these two, otherwise a quarter.
    #[serde(with = "text::option")]
    pub hop: Option<Length>,
    /// The length of the transform in samples; if it is missing, the power of two that holds the window.
    pub fft: Option<usize>,
    /// The shape of the window.
    pub window_shape: Shape,
    /// What of the spectrum is factorized; if it is missing, power under divergences with β < 1/2, otherwise magnitude.
    #[serde(with = "text::option")]
    pub spectrum: Option<Spectrum>,
    /// The map from the bins of the spectrum to the rows that are factorized.
    #[serde(with = "text")]
    pub bands: BandMap,
    /// c of the filter x_n − c x_{n−1} through which samples pass before their spectra are factorized; 0: none.
    pub pre_emphasis: f64,
    /// λ, the weight of an L1 penalty on the gains; if it is missing, none, or 0.1 by the method sparse.
    pub sparsity: Option<f64>,
    /// The norm that bases are scaled to 1 in; if it is missing, L1, or L2 where there is a sparsity.
    #[serde(with = "text::option")]
    pub normalize: Option<Norm>,
    /// The seed of the random starts.
    pub seed: u64,
}

/// By which method a model is learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case")]
pub enum TrainingMethod {
    /// Bases of each source, learned from it alone; several sets of them, if the training says so.
    Nmf(committee::Training),
    /// Bases of each source that are taken from its recordings.
    Exemplars(exemplars::Training),
    /// The same, and what gains are usual together.
    GainPrior(gain_prior::Training),
    /// Bases of each source of norm 1, under a penalty on their gains.
    Sparse,
    /// The same, learned from all sources and their mixtures at once.
    Discriminative(discriminative::Training),
    /// Bases of each source at several orders.
    Averaged(averaged::Training),
    /// A cost, and bases of each source under it.
    Deep(deep::Training),
}

impl TrainingMethod {
    /// The method's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nmf(_) => "nmf",
            Self::Exemplars(_) => "exemplars",
            Self::GainPrior(_) => "gain-prior",
            Self::Sparse => "sparse",
            Self::Discriminative(_) => "discriminative",
            Self::Averaged(_) => "averaged",
            Self::Deep(_) => "deep",
        }
    }

    /// Whether it learns from mixtures, which take memory.
    pub fn has_mixtures(&self) -> bool {
        matches!(self, Self::Discriminative(_))
    }

    /// Whether it takes long, so that its state is kept and it can go on from there.
    pub fn is_kept(&self) -> bool {
        match self {
            Self::Discriminative(own) => own.objective == discriminative::Objective::Paper,
            Self::Deep(_) => true,
            _ => false,
        }
    }
}

impl Default for TrainingMethod {
    fn default() -> Self {
        Self::Nmf(committee::Training::default())
    }
}

impl Default for Training {
    fn default() -> Self {
        Self {
            method: TrainingMethod::default(),
            rank: Rank::Auto.into(),
            divergence: None,
            updates: None,
            iterations: None,
            tolerance: 0.0,
            window: None,
            hop: None,
            fft: None,
            window_shape: Shape::SqrtHann,
            spectrum: None,
            bands: BandMap::Linear,
            pre_emphasis: 0.0,
            sparsity: None,
            normalize: None,
            seed: 0,
        }
    }
}

impl Training {
    /// Checks every option, and that they go together.
    ///
    /// # Errors
    /// [`Error::Option`] or [`Error::Input`] names what does not fit.
    pub fn check(&self) -> Result<()> {
        let ranks = self.rank.others.iter().chain(self.rank.named.values());
        let mut ranks = ranks.filter_map(|rank| rank.given());
        if let Some(rank) = ranks.find(|rank| !(1..=MAX_RANK).contains(rank)) {
            return Err(Error::option("rank", format!("{rank}: must be between 1 and {MAX_RANK}")));
        }
        check_numbers(self.iterations, self.tolerance, self.sparsity.unwrap_or_default())?;
        if !(0.0..=1.0).contains(&self.pre_emphasis) {
            return Err(Error::option("pre_emphasis", format!("{}: must be between 0 and 1", self.pre_emphasis)));
        }
        match &self.method {
            _ if self.has_members() && self.normalize == Some(Norm::L1) => {
                Err(Error::option("normalize", "l1: the bases of committees and exemplars have norm l2"))
            }
            TrainingMethod::Nmf(own) => nmf::kept_norm(&self.nmf()).and_then(|_| own.check()),
            TrainingMethod::Exemplars(own) => {
                if self.rank != Self::default().rank {
                    return Err(Error::option("rank", "the method exemplars has exemplars"));
                }
                own.check()
            }
            TrainingMethod::GainPrior(own) => nmf::kept_norm(&self.nmf()).and_then(|_| own.check()),
            TrainingMethod::Sparse => sparse::check("sparse", &self.divergence(), self.updates, self.normalize),
            TrainingMethod::Discriminative(own) => {
                sparse::check("discriminative", &self.divergence(), self.updates, self.normalize)?;
                own.check()
            }
            TrainingMethod::Averaged(own) => {
                averaged::check((self.divergence(), self.spectrum()), self.normalize, self.sparsity)?;
                if self.rank != Self::default().rank {
                    return Err(Error::option("rank", "the method averaged learns several; use orders"));
                }
                own.check()
            }
            TrainingMethod::Deep(own) => self.check_deep().and_then(|()| own.check()),
        }
    }

    /// Checks that what the method deep decides is left to it.
    fn check_deep(&self) -> Result<()> {
        let usual = Self::default();
        let unfit = |option, value: String, reason: &str| Err(Error::option(option, format!("{value}: {reason}")));
        if self.rank != usual.rank {
            return Err(Error::option("rank", "the method deep has components"));
        }
        if let Some(divergence) = &self.divergence {
            return unfit("divergence", divergence.to_string(), "the method deep learns it; where it starts is start");
        }
        if let Some(updates) = self.updates.filter(|updates| *updates != Updates::Alternating) {
            return unfit("updates", updates.to_string(), "the method deep has alternating ones");
        }
        if let Some(spectrum) = self.spectrum.filter(|spectrum| *spectrum != Spectrum::Power) {
            return unfit("spectrum", spectrum.to_string(), "the method deep takes power");
        }
        if let Some(norm) = self.normalize.filter(|norm| *norm != Norm::L1) {
            return unfit("normalize", norm.to_string(), "the method deep has l1");
        }
        if self.bands != usual.bands {
            return unfit("bands", self.bands.to_string(), "the method deep takes linear ones");
        }
        let numbers = [("tolerance", self.tolerance), ("pre_emphasis", self.pre_emphasis)];
        let numbers = numbers.into_iter().chain(self.sparsity.map(|sparsity| ("sparsity", sparsity)));
        match numbers.into_iter().find(|(_, number)| *number != 0.0) {
            Some((option, number)) => unfit(option, number.to_string(), "the method deep has none"),
            None => Ok(()),
        }
    }

    /// The same description with a value for every option that was left to the method.
    #[must_use]
    pub fn in_force(&self) -> Self {
        let (updates, sparsity) = match self.method {
            // Each set of bases has a penalty of its own.
            _ if self.has_members() => (Updates::Extrapolated, None),
            TrainingMethod::Sparse | TrainingMethod::Discriminative(_) => {
                (Updates::Alternating, Some(sparse::SPARSITY))
            }
            TrainingMethod::Deep(_) => (Updates::Alternating, Some(0.0)),
            _ => (Updates::Extrapolated, Some(0.0)),
        };
        let (updates, sparsity) = (self.updates.unwrap_or(updates), self.sparsity.or(sparsity));
        let iterations = match updates {
            Updates::Extrapolated if self.has_members() => 15,
            Updates::Extrapolated => 50,
            _ => 100,
        };
        let own_norm = matches!(self.method, TrainingMethod::Sparse | TrainingMethod::Discriminative(_));
        let own_norm = own_norm || self.has_members();
        let norm = if sparsity.is_some_and(|sparsity| sparsity > 0.0) || own_norm { Norm::L2 } else { Norm::L1 };
        let averaged = matches!(self.method, TrainingMethod::Averaged(_));
        let method = match &self.method {
            TrainingMethod::Discriminative(own) => TrainingMethod::Discriminative(own.in_force()),
            TrainingMethod::Deep(own) => TrainingMethod::Deep(own.in_force()),
            TrainingMethod::Exemplars(own) => TrainingMethod::Exemplars(own.in_force()),
            other => other.clone(),
        };
        let is_learned = matches!(self.method, TrainingMethod::Deep(_));
        Self {
            method,
            divergence: (!is_learned).then(|| self.divergence()),
            updates: Some(updates),
            sparsity,
            iterations: Some(self.iterations.unwrap_or(iterations)),
            normalize: if averaged { None } else { Some(self.normalize.unwrap_or(norm)) },
            spectrum: Some(self.spectrum()),
            window: self.transform().window,
            hop: self.transform().hop,
            ..self.clone()
        }
    }

    /// Whether a model has several sets of bases, or one of several frames: by the method exemplars, and by nmf unless all that it
    /// says is a rank for every source.
    pub fn has_members(&self) -> bool {
        match &self.method {
            TrainingMethod::Exemplars(_) => true,
            TrainingMethod::Nmf(own) => {
                // Sources that are not named have the usual rank beside those that are.
                let is_auto = self.rank.others.map_or(self.rank.named.is_empty(), |rank| rank == Rank::Auto);
                let is_more =
                    own.members.is_some_and(|members| members > 1) || own.context.is_some_and(|frames| frames > 1);
                is_auto || is_more || own.quality.is_some()
            }
            _ => false,
        }
    }

    /// The window that the method has by itself.
    fn usual_window(&self) -> Length {
        Length::Milliseconds(if self.has_members() { 96.0 } else { 128.0 })
    }

    /// The transform.
    pub fn transform(&self) -> Transform {
        let window = self.window.unwrap_or(self.usual_window());
        // A third of the window: members separate better than with a quarter, for three quarters of the frames.
        let hop = self.hop.or(self.has_members().then(|| window.part(3)));
        Transform { window: Some(window), hop, fft: self.fft, shape: self.window_shape }
    }

    /// What the fit is measured by.
    pub fn divergence(&self) -> Divergence {
        self.divergence.clone().unwrap_or(match self.method {
            // A cost that is learned has the scale of Itakura-Saito.
            TrainingMethod::Averaged(_) | TrainingMethod::Deep(_) => Divergence::ItakuraSaito,
            _ => Divergence::KullbackLeibler,
        })
    }

    /// What of the spectrum is factorized.
    pub fn spectrum(&self) -> Spectrum {
        self.spectrum.unwrap_or(Spectrum::suiting(self.divergence().exponent_beta()))
    }

    /// How recordings are shown to the method.
    pub fn front(&self) -> Front {
        Front {
            transform: self.transform(),
            spectrum: self.spectrum(),
            bands: Some(self.bands.clone()),
            pre_emphasis: self.pre_emphasis,
        }
    }

    /// How the data of one source are factorized.
    pub fn nmf(&self) -> nmf::Options {
        let Self { iterations, normalize, updates, sparsity, .. } = self.in_force();
        let iterations = iterations.unwrap_or_default();
        let mut options = nmf::Options::of(self.divergence(), iterations);
        options.updates = updates.unwrap_or(options.updates);
        options.tolerance = self.tolerance;
        options.trace_every = if self.tolerance > 0.0 { 10 } else { iterations };
        options.rule.sparsity = sparsity.unwrap_or_default();
        options.normalization = normalize.map(|norm| nmf::Normalization { norm, compensate: true });
        options
    }
}

impl Described for Training {
    const KIND: &'static str = "a training";
    const TOPIC: &'static str = "Model";
    const USUAL: Option<&'static str> = Some("nmf");
    const METHOD: Flag = Flag::text(
        "method",
        "METHOD",
        "nmf, exemplars, gain-prior, sparse, discriminative, averaged or deep [default: nmf]",
    );
    const METHODS: &'static [(&'static str, &'static [Flag])] = &[
        ("nmf", committee::Training::FLAGS),
        ("exemplars", exemplars::Training::FLAGS),
        ("gain-prior", gain_prior::Training::FLAGS),
        ("sparse", &[]),
        ("discriminative", discriminative::Training::FLAGS),
        ("averaged", averaged::Training::FLAGS),
        ("deep", deep::Training::FLAGS),
    ];
    const COMMON: &'static [Flag] = &[
        Flag::count_or_word_per_source::<Rank>(
            "rank",
            "auto|K|NAME=K",
            "Components a source: auto (chosen by the training), one number for all, or NAME=K for one source",
        ),
        Flag::word::<Divergence>(
            "divergence",
            "eu|kl|is|beta:B|t:N|ggd:B",
            "The measure of the fit [default: kl; averaged: is]",
        ),
        Flag::word::<Updates>(
            "updates",
            "extrapolated|joint|alternating",
            "extrapolated: each update starts further along the last step; joint: one pass updates both factors; alternating \
             [default: extrapolated; sparse and discriminative: alternating]",
        ).rare(),
        Flag::count("iterations", "N", "The most iterations [default: 15 of several sets of bases, 50 extrapolated ones, or 100]"),
        Flag::number("tolerance", "T", "Stop when ten iterations lower the objective by less than this share of it [default: 0, never]").rare(),
        Flag::word::<Length>(
            "window",
            "LENGTH",
            "The window, in samples (480) or milliseconds (30ms) [default: 128ms; nmf with --rank auto and exemplars: 96ms]",
        ),
        Flag::word::<Length>("hop", "LENGTH", "The hop, in samples or milliseconds [default: a quarter of the window; nmf with --rank auto and exemplars: a third]").rare(),
        Flag::count(
            "fft",
            "N",
            "The length of the transform in samples [default: the power of two that holds the window]",
        ).rare(),
        Flag::word::<Shape>("window_shape", "hamming|hann|sqrt-hann", "The shape of the window").rare(),
        Flag::word::<Spectrum>(
            "spectrum",
            "power|magnitude",
            "What of the spectrum is factorized [default: magnitude, or power with is, t:N, ggd:B and beta:B below 0.5]",
        ).rare(),
        Flag::word::<BandMap>(
            "bands",
            "linear|log:24:50-8000|mel:80:0-4000",
            "The rows that are factorized: linear (the bins), bands an octave and their range in Hz, or a number of mel bands and \
             their range",
        ).rare(),
        Flag::number(
            "pre_emphasis",
            "C",
            "Factorize the spectra of samples that are filtered by x_n - C x_(n-1), as is usual for speech with 0.95; 0: of the \
             samples as they are [default: 0]",
        ).rare(),
        Flag::number(
            "sparsity",
            "L",
            "The weight of an L1 penalty on the gains [default: 0; sparse and discriminative: 0.1]",
        ),
        Flag::word::<Norm>(
            "normalize",
            "l1|l2",
            "Scale bases to norm 1 in this sense [default: l1, or l2 with a sparsity; sparse and discriminative: l2]",
        ).rare(),
        Flag::count("seed", "N", "The seed of the random starts: the same seed gives the same bytes"),
    ];

    fn split(&self) -> serde_json::Result<(Value, Option<Value>)> {
        let common = Self::serialize(self, serde_json::value::Serializer)?;
        Ok((common, Some(serde_json::to_value(&self.method)?)))
    }

    fn join(common: Value, method: Option<Value>) -> serde_json::Result<Self> {
        let method = method.map(serde_json::from_value).transpose()?.unwrap_or_default();
        Ok(Self { method, ..Self::deserialize(common)? })
    }
}

/// How recordings are separated.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(remote = "Self", default, deny_unknown_fields)]
pub struct Separation {
    /// The method, with the options that it alone has; if it is missing, that of the model with its usual options.
    #[serde(skip)]
    pub method: Option<SeparationMethod>,
    /// How a cell is shared among the sources.
    #[serde(with = "text")]
    pub mask: MaskChoice,
    /// How updates of the gains go; if it is missing, as the method usually has them.
    #[serde(with = "text::option")]
    pub updates: Option<Updates>,
    /// The most updates of the gains; if it is missing, as many as the method usually takes.
    pub iterations: Option<usize>,
    /// When a stretch of frames has had enough updates: once [`nmf::LOOK`] of them lower its objective by no more than this share
    /// of its first value; 0: never. 1e-3 took half of 40 extrapolated updates off mixtures of speech and piano, under KL and
    /// under IS, for less than 0.005 dB of SI-SDR; 1e-2 took two thirds, for 0.03.
    pub tolerance: f64,
    /// What the stems are written as.
    #[serde(with = "text")]
    pub format: FormatChoice,
    /// The one source that is written; all of them if it is missing.
    pub only: Option<String>,
    /// Whether the recording minus what is written becomes a stem too.
    pub residual: bool,
    /// Whether every frame is separated by itself, as soon as its window is there. Sets of bases that span several frames are left
    /// out.
    pub follow: bool,
}

/// By which method recordings are separated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case")]
pub enum SeparationMethod {
    /// Gains under the bases of a model, without what its method adds.
    Nmf,
    /// The mean of the masks of several sets of bases.
    Committee(committee::Separation),
    /// Gains under the bases and the gain priors of a model.
    GainPrior(gain_prior::Separation),
    /// Gains under the bases of a model, with a penalty.
    Sparse(sparse::Separation),
    /// The same, under bases that were learned from mixtures.
    Discriminative(sparse::Separation),
    /// The posterior of gains at several orders of the bases of a model.
    Averaged(averaged::Separation),
    /// Gains under the bases of a model, and of bases beside them that are learned on the recording.
    Rest(rest::Separation),
    /// Gains under the bases and the cost of a model.
    Deep,
    /// Without a model: patterns that move in time and pitch.
    Nmf2d(nmf2d::Separation),
    /// Without a model, or by the cost of one: what a few components explain.
    Denoise(deep::Denoising),
}

impl SeparationMethod {
    /// The names of the methods that need no model.
    pub const WITHOUT_MODEL: &'static [&'static str] = &["nmf2d", DENOISE.0];

    /// The method's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nmf => "nmf",
            Self::Committee(_) => "committee",
            Self::GainPrior(_) => "gain-prior",
            Self::Sparse(_) => "sparse",
            Self::Discriminative(_) => "discriminative",
            Self::Averaged(_) => "averaged",
            Self::Rest(_) => "rest",
            Self::Deep => "deep",
            Self::Nmf2d(_) => "nmf2d",
            Self::Denoise(_) => DENOISE.0,
        }
    }

    /// Whether it separates under a trained model.
    pub fn has_model(&self) -> bool {
        !Self::WITHOUT_MODEL.contains(&self.name())
    }
}

/// The method that takes noise off recordings, and its own options.
const DENOISE: (&str, &[Flag]) = ("denoise", deep::Denoising::FLAGS);

impl Separation {
    /// A separation by the method denoise, with its usual options.
    fn denoising() -> Self {
        Self { method: Some(SeparationMethod::Denoise(deep::Denoising::default())), ..Self::default() }
    }

    /// What results are written as.
    const FORMAT: Flag = Flag::word::<FormatChoice>(
        "format",
        "same|wav-f32|wav-pcm16|wav-pcm24|flac",
        "same (the input's bit depth, as wav), wav-f32 (exact), wav-pcm16, wav-pcm24, or flac (the input's bit depth)",
    );

    /// Whether what is left becomes a stem.
    const RESIDUAL: Flag = Flag::switch(
        "residual",
        "Write the recording minus the sources that are written too, as residual: with --only it holds everything else",
    );

    /// The recordings of single sources that the method starts from; `None` if it cannot start from any.
    pub fn sources_mut(&mut self) -> Option<&mut Vec<SourceFiles>> {
        match &mut self.method {
            Some(SeparationMethod::Nmf2d(own)) => Some(&mut own.init_bases),
            _ => None,
        }
    }

    /// The files that the description names, a list for each of its sources.
    pub fn files_mut(&mut self) -> impl Iterator<Item = &mut Vec<PathBuf>> {
        self.sources_mut().into_iter().flatten().map(|source| &mut source.recordings)
    }

    /// Checks every option by itself. Whether they go with a method and a model shows when both are known.
    ///
    /// # Errors
    /// [`Error::Option`] names what does not fit.
    pub fn check(&self) -> Result<()> {
        check_numbers(self.iterations, self.tolerance, 0.0)?;
        if self.updates == Some(Updates::Joint) {
            return Err(Error::option(
                "updates",
                "joint: updates both factors; here the bases are fixed: use extrapolated or alternating",
            ));
        }
        match &self.method {
            None
            | Some(
                SeparationMethod::Nmf
                | SeparationMethod::Committee(_)
                | SeparationMethod::GainPrior(_)
                | SeparationMethod::Deep,
            ) => Ok(()),
            Some(SeparationMethod::Sparse(own) | SeparationMethod::Discriminative(own)) => own.check(),
            Some(SeparationMethod::Averaged(own)) => own.check(),
            Some(SeparationMethod::Rest(own)) => own.check(),
            Some(SeparationMethod::Nmf2d(own)) => own.check(),
            Some(SeparationMethod::Denoise(own)) => own.check(),
        }
    }
}

impl Described for Separation {
    const KIND: &'static str = "a separation";
    const TOPIC: &'static str = "Separation";
    const WITHOUT_MODEL: &'static [&'static str] = SeparationMethod::WITHOUT_MODEL;
    const USUAL: Option<&'static str> = None;
    const METHOD: Flag = Flag::text(
        "method",
        "nmf2d|denoise|nmf|rest",
        "nmf2d: separate without a model, each source a pattern in time and log-frequency that moves to wherever it sounds; \
         denoise: as `partwise denoise`; nmf: use the bases of a model alone; rest: the sources of a model, and one that is learned \
         on the recording [default: the method of the model]",
    );
    const METHODS: &'static [(&'static str, &'static [Flag])] = &[
        ("nmf", &[]),
        ("committee", committee::Separation::FLAGS),
        ("gain-prior", gain_prior::Separation::FLAGS),
        ("sparse", sparse::Separation::FLAGS),
        ("discriminative", sparse::Separation::FLAGS),
        ("averaged", averaged::Separation::FLAGS),
        ("rest", rest::Separation::FLAGS),
        ("deep", &[]),
        ("nmf2d", nmf2d::Separation::FLAGS),
        DENOISE,
    ];
    const COMMON: &'static [Flag] = &[
        Flag::word::<MaskChoice>(
            "mask",
            "wiener|ratio:P|hard",
            "How a cell is shared: wiener (by power), ratio:P (by the P-th powers of the models) or hard (to the loudest)",
        ),
        Flag::word::<Updates>(
            "updates",
            "extrapolated|alternating",
            "extrapolated: each update starts further along the last step, which takes a third of the passes; or alternating \
             [default: extrapolated, or alternating with a gain prior]",
        ).rare(),
        Flag::count(
            "iterations",
            "N",
            "Updates of the gains [default: 12, or 36 alternating ones; rest: 30; averaged: 50; nmf2d and denoise: 300, or 100 with --init-bases]",
        ),
        Flag::number(
            "tolerance",
            "T",
            "Stop the updates of a stretch of frames once five of them lower its objective by less than this share of its first \
             value [default: 0, never]",
        ).rare(),
        Self::FORMAT,
        Flag::text("only", "NAME", "Write this source alone [default: all]"),
        Self::RESIDUAL,
        Flag::switch(
            "follow",
            "Separate each frame by itself as soon as its window is there, for streams that are listened to; sets of bases that span \
             several frames are left out",
        ),
    ];

    fn split(&self) -> serde_json::Result<(Value, Option<Value>)> {
        let common = Self::serialize(self, serde_json::value::Serializer)?;
        Ok((common, self.method.as_ref().map(serde_json::to_value).transpose()?))
    }

    fn join(common: Value, method: Option<Value>) -> serde_json::Result<Self> {
        Ok(Self { method: method.map(serde_json::from_value).transpose()?, ..Self::deserialize(common)? })
    }
}

/// A separation by the method denoise. Its description has the options of a [`Separation`] that this method has.
#[derive(Debug, Clone, PartialEq)]
pub struct Denoising(pub Separation);

impl Default for Denoising {
    fn default() -> Self {
        Self(Separation::denoising())
    }
}

impl Serialize for Denoising {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        options::serialize(self, serializer)
    }
}

impl Described for Denoising {
    const KIND: &'static str = "a denoising";
    const TOPIC: &'static str = "Denoising";
    const USUAL: Option<&'static str> = Some(DENOISE.0);
    const METHOD: Flag = Flag::text("method", DENOISE.0, "The method");
    const METHODS: &'static [(&'static str, &'static [Flag])] = &[DENOISE];
    const COMMON: &'static [Flag] = &[
        Flag::count("iterations", "N", "Updates of both factors [default: 300]"),
        Separation::FORMAT,
        Separation::RESIDUAL,
    ];

    fn split(&self) -> serde_json::Result<(Value, Option<Value>)> {
        let (common, method) = self.0.split()?;
        let known = |name: &&str| Self::COMMON.iter().any(|flag| flag.name == *name);
        let common = common.as_object().into_iter().flatten().filter(|(name, _)| known(&name.as_str()));
        let common: Map<String, Value> = common.map(|(name, value)| (name.clone(), value.clone())).collect();
        Ok((common.into(), method))
    }

    fn join(common: Value, method: Option<Value>) -> serde_json::Result<Self> {
        Separation::join(common, method).map(Self)
    }
}

/// Checks the numbers of iterative updates.
fn check_numbers(iterations: Option<usize>, tolerance: f64, sparsity: f64) -> Result<()> {
    nmf::check_options(iterations.unwrap_or(1), tolerance, sparsity)
}

impl Serialize for Training {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        options::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Training {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        options::deserialize(deserializer)
    }
}

impl Serialize for Separation {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        options::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Separation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        options::deserialize(deserializer)
    }
}
