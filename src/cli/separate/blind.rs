//! `partwise separate --method nmf2d`

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use clap::Args;
use partwise::divergence::Divergence;
use partwise::kernels::{Lags, Norm};
use partwise::methods::nmf::{self, Learn};
use partwise::methods::nmf2d::Options;
use partwise::schedule;
use partwise::separate::{BlindSettings, Patterns, Scheme};
use partwise::spectrogram::{BandMap, Front, Length, Shape, Spectrum, Transform};
use partwise::train::{self, Event};

use super::super::{Common, sources};
use super::MaskChoice;

/// Options of separation without a model.
#[derive(Args)]
pub(super) struct Blindly {
    /// nmf2d: how many sources a recording has, called source1, the loudest, and so on [default: 2]
    #[arg(long, value_name = "J")]
    sources: Option<usize>,
    /// nmf2d: frames that a pattern reaches over [default: 7, or 20 with --init-bases]
    #[arg(long, value_name = "T")]
    time_lags: Option<usize>,
    /// nmf2d: pitches, a band apart, that a pattern is moved over; 1 is NMFD [default: 18, or 1 with --init-bases]
    #[arg(long, value_name = "P")]
    pitch_lags: Option<usize>,
    /// nmf2d: random starts, of which the one with the least objective is kept [default: 8]
    #[arg(long, value_name = "S")]
    starts: Option<usize>,
    /// nmf2d: recordings of one stroke of a source, whose patterns these are; more names or paths may follow, so INPUT stands before
    #[arg(long, value_name = "NAME=PATH", num_args = 1..)]
    init_bases: Vec<String>,
    /// nmf2d: learn on from the patterns of --init-bases; otherwise they stay as they are
    #[arg(long, requires = "init_bases")]
    adapt: bool,
    /// nmf2d: what the fit is measured by: eu, kl, is or beta:B [default: kl]
    #[arg(long)]
    divergence: Option<Divergence>,
    /// nmf2d: the weight of an L1 penalty on the gains [default: 0]
    #[arg(long, value_name = "L")]
    sparsity: Option<f64>,
    /// nmf2d: the window, in samples (2048) or milliseconds (128ms) [default: 128ms, or 46ms at a single pitch]
    #[arg(long, value_name = "LENGTH")]
    window: Option<Length>,
    /// nmf2d: the hop, likewise [default: half the window, or a quarter at a single pitch]
    #[arg(long, value_name = "LENGTH")]
    hop: Option<Length>,
    /// nmf2d: the transform's length in samples [default: the power of two that holds the window]
    #[arg(long, value_name = "N")]
    fft: Option<usize>,
    /// nmf2d: hamming, hann or sqrt-hann [default: hann]
    #[arg(long, value_name = "SHAPE")]
    window_shape: Option<Shape>,
    /// nmf2d: linear, or bands an octave and their range in Hz [default: log:24:50-8000, as far as the sample rate goes, or linear
    /// at a single pitch]
    #[arg(long, value_name = "linear|log:24:50-8000")]
    bands: Option<BandMap>,
}

/// More sources, starts and lags than anyone waits for.
const MOST: usize = 4096;

/// A blind separation, ready to begin.
pub(super) struct Plan {
    pub(super) scheme: Scheme,
    pub(super) settings: BlindSettings,
    /// What the result depends on, for the manifest.
    pub(super) options: BTreeMap<String, String>,
}

impl Blindly {
    pub(super) fn check_absent(&self) -> anyhow::Result<()> {
        let given = [
            ("--sources", self.sources.is_some()),
            ("--time-lags", self.time_lags.is_some()),
            ("--pitch-lags", self.pitch_lags.is_some()),
            ("--starts", self.starts.is_some()),
            ("--init-bases", !self.init_bases.is_empty()),
            ("--divergence", self.divergence.is_some()),
            ("--sparsity", self.sparsity.is_some()),
            ("--window", self.window.is_some()),
            ("--hop", self.hop.is_some()),
            ("--fft", self.fft.is_some()),
            ("--window-shape", self.window_shape.is_some()),
            ("--bands", self.bands.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((option, _)) => bail!("{option} is for --method nmf2d; a model has been trained with its own"),
            None => Ok(()),
        }
    }

    pub(super) fn plan(&self, mask: MaskChoice, iterations: Option<usize>, common: &Common) -> anyhow::Result<Plan> {
        let given = !self.init_bases.is_empty();
        if given
            && let Some(option) =
                [("--sources", self.sources), ("--starts", self.starts)].iter().find(|(_, given)| given.is_some())
        {
            bail!("{} does not go with --init-bases, which names the sources and where they begin", option.0);
        }
        let (time, pitch) = if given { (20, 1) } else { (7, 18) };
        let lags = Lags { time: self.time_lags.unwrap_or(time), pitch: self.pitch_lags.unwrap_or(pitch) };
        let (count, starts) = (self.sources.unwrap_or(2), self.starts.unwrap_or(8));
        for (option, value) in
            [("sources", count), ("time-lags", lags.time), ("pitch-lags", lags.pitch), ("starts", starts)]
        {
            if !(1..=MOST).contains(&value) {
                bail!("--{option} {value}: use 1 to {MOST}");
            }
        }
        let iterations = iterations.unwrap_or(if given { 100 } else { 300 });
        let sparsity = self.sparsity.unwrap_or(0.0);
        nmf::check_options(iterations, 0.0, sparsity)?;
        let divergence = self.divergence.unwrap_or(Divergence::KullbackLeibler);
        let front = self.front(divergence, lags);
        let (patterns, names, sample_rate, hashes): (_, Vec<String>, _, Vec<String>) = if given {
            let material = sources::named("--init-bases", &self.init_bases)?;
            let mut watch = |event: Event| match event {
                Event::Skipped(error) => log::error!("{error}; it is left out"),
                Event::Warning(file, warning) => log::warn!("{}: {warning}", file.display()),
                Event::Iteration(..) => {}
            };
            let train::OneShots { sample_rate, bases, sources } =
                train::one_shots(&material, &front, lags.time, &mut watch)?;
            let hash = |file: &Path| schedule::hash(file).with_context(|| "--init-bases");
            let hashes =
                material.iter().flat_map(|(_, files)| files).map(|file| hash(file)).collect::<Result<Vec<_>, _>>()?;
            let names = material.into_iter().map(|(name, _)| name).collect();
            (Patterns::Given { bases, sources }, names, Some(sample_rate), hashes)
        } else {
            let width = count.to_string().len();
            let names = (1..=count).map(|source| format!("source{source:0width$}")).collect();
            (Patterns::Found { sources: count, starts, seed: common.seed }, names, None, Vec::new())
        };
        let mut options = Options { trace_every: 0, ..Options::of(divergence, lags, iterations) };
        options.rule.rule.sparsity = sparsity;
        // Without it patterns would grow as gains shrink, and the penalty would say nothing. In L1 it would say nothing under KL: there
        // the gains' sum is that of the data.
        options.normalize = (sparsity > 0.0).then_some(Norm::L2);
        if given && !self.adapt {
            options.learn = Learn::Gains;
        }
        let components = match &patterns {
            Patterns::Found { sources, starts, .. } => sources * starts,
            Patterns::Given { sources, .. } => sources.last().map_or(0, |last| last.end),
        };
        let problems = if given { 1 } else { starts };
        let transform = &front.transform;
        let words = [
            ("sources", names.join(",")),
            ("time lags", lags.time.to_string()),
            ("pitch lags", lags.pitch.to_string()),
            ("starts", problems.to_string()),
            ("seed", common.seed.to_string()),
            ("divergence", divergence.to_string()),
            ("sparsity", sparsity.to_string()),
            ("bases", hashes.join(",")),
            ("adapt", self.adapt.to_string()),
            ("window", transform.window.map_or_else(String::new, |window| format!("{} {window}", transform.shape))),
            ("hop", transform.hop.map_or_else(|| "window / 4".into(), |hop| hop.to_string())),
            ("fft", transform.fft.map_or_else(|| "window".into(), |fft| fft.to_string())),
            ("bands", front.bands.as_ref().map_or_else(|| "log".into(), BandMap::to_string)),
        ];
        let words = words.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        let mask = mask.given(front.spectrum);
        let scheme = Scheme {
            sources: names,
            sample_rate,
            front,
            whole: true,
            // V, P, Q and Λ of every start, its gains in rows and in strips, and N and D of them.
            held: (4 * problems, 4 * lags.pitch * components),
        };
        Ok(Plan { scheme, settings: BlindSettings { options, patterns, mask }, options: words })
    }

    fn front(&self, divergence: Divergence, lags: Lags) -> Front {
        let single = lags.pitch == 1;
        let window = self.window.unwrap_or(Length::Milliseconds(if single { 46.0 } else { 128.0 }));
        // Twice as far as a transform's own usual hop.
        let hop = self.hop.or(if single { None } else { Some(window.part(2)) });
        Front {
            transform: Transform {
                window: Some(window),
                hop,
                fft: self.fft,
                shape: self.window_shape.unwrap_or(Shape::Hann),
            },
            spectrum: Spectrum::suiting(divergence.exponent_beta()),
            bands: self.bands.clone().or(single.then_some(BandMap::Linear)),
        }
    }
}
