//! `partwise reproduce`

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use partwise::recordings::Event;
use partwise::reproduce::averaged::{self, AveragedOptions, averaged};
use partwise::reproduce::deep::{self, DeepOptions, deep};
use partwise::reproduce::discriminative::{self, DiscriminativeOptions, Speaker, discriminative};
use partwise::reproduce::gain_prior::{GainPriorOptions, Progress, gain_prior};
use partwise::reproduce::nmf2d::{Nmf2dOptions, nmf2d};
use partwise::reproduce::{Corpus, Findings};
use partwise::schedule;
use partwise::spectrogram::{BandMap, Length, Spectrum, Transform};

use super::common::Seed;
use super::common::heading::FILES;
use super::engine::open;
use super::{Common, Ending, examples, progress, shown, table};

/// The heading of what an experiment is.
const EXPERIMENT: &str = "Experiment";

/// Repeat a paper's experiment on your own recordings, and show the results beside the paper's
#[derive(Args)]
pub(super) struct Reproduce {
    #[command(subcommand)]
    experiment: Experiment,
    #[command(flatten, next_help_heading = EXPERIMENT)]
    seed: Seed,
}

#[derive(Subcommand)]
enum Experiment {
    Averaged(Averaged),
    Deep(Deep),
    Discriminative(Discriminative),
    GainPrior(GainPrior),
    Nmf2d(Nmf2d),
}

/// Separate speech from noise by models of several orders at once (Jaureguiberry, Vincent & Richard 2014, section 4)
#[derive(Args)]
#[command(after_long_help = examples::AVERAGED)]
struct Averaged {
    /// A folder with subfolders train and test, with recordings of one speaker alone
    #[arg(long, value_name = "DIR", help_heading = FILES)]
    speech: PathBuf,
    /// A folder with subfolders train and test, with recordings of noise alone, each of another noise
    #[arg(long, value_name = "DIR", help_heading = FILES)]
    noise: PathBuf,
    /// The folder for report.html, findings.json, the pictures and the sound
    #[arg(short, long, value_name = "DIR", help_heading = FILES)]
    output: PathBuf,
    /// Components of the speech models; all are averaged over [default: 2,4,8,16,32,64,128]
    #[arg(long, value_name = "K,..", value_delimiter = ',', help_heading = EXPERIMENT)]
    orders: Option<Vec<usize>>,
    /// Levels of speech over noise in dB [default: -6,-3,0,3,6,9]
    #[arg(long, value_name = "DB,..", value_delimiter = ',', allow_hyphen_values = true, help_heading = EXPERIMENT)]
    levels: Option<Vec<f64>>,
    /// Mixtures that are drawn for each order and level [default: 2]
    #[arg(long, value_name = "N", help_heading = EXPERIMENT)]
    draws: Option<usize>,
    /// Frames of a drawn mixture [default: 300]
    #[arg(long, value_name = "N", help_heading = EXPERIMENT)]
    frames: Option<usize>,
    /// Iterations of a separation [default: 50]
    #[arg(long, value_name = "N", help_heading = EXPERIMENT)]
    iterations: Option<usize>,
    /// The most mixtures of recordings per level [default: 10]
    #[arg(long, value_name = "N", help_heading = EXPERIMENT)]
    clips: Option<usize>,
}

/// Take impulsive noise off recordings, and separate speakers, by costs that are learned (Tanji & Murakami 2021, section IV)
#[derive(Args)]
#[command(after_long_help = examples::DEEP)]
struct Deep {
    /// A folder with subfolders train and test of clean recordings, or with recordings of which every second is learned from
    #[arg(long, value_name = "DIR", help_heading = FILES)]
    clean: PathBuf,
    /// Folders of one female speaker each, with subfolders train and test; two or more, or none
    #[arg(long, value_name = "DIR", num_args = 1.., help_heading = FILES)]
    female: Vec<PathBuf>,
    /// Folders of one male speaker each, as many; the first female and the first male speaker are a pair, and so on
    #[arg(long, value_name = "DIR", num_args = 1.., help_heading = FILES)]
    male: Vec<PathBuf>,
    /// The folder for report.html, findings.json, the pictures and the sound
    #[arg(short, long, value_name = "DIR", help_heading = FILES)]
    output: PathBuf,
    /// Steps of every training [default: 200]
    #[arg(long, value_name = "N", help_heading = EXPERIMENT)]
    steps: Option<usize>,
    /// Examples of every step [default: 2]
    #[arg(long, value_name = "N", help_heading = EXPERIMENT)]
    batch: Option<usize>,
    /// Components of a factorization [default: 30]
    #[arg(long, value_name = "K", help_heading = EXPERIMENT)]
    components: Option<usize>,
    /// Stacked updates of a training in noise [default: 300]
    #[arg(long, value_name = "T", help_heading = EXPERIMENT)]
    stacks: Option<usize>,
    /// Numbers of updates after which scores are taken [default: 1,5,10,25,50,100,200,300,400,500]
    #[arg(long, value_name = "N,..", value_delimiter = ',', help_heading = EXPERIMENT)]
    after: Option<Vec<usize>>,
    /// Noises of every recording [default: 3]
    #[arg(long, value_name = "N", help_heading = EXPERIMENT)]
    noises: Option<usize>,
    /// Random starts of every mixture of speakers [default: 3]
    #[arg(long, value_name = "S", help_heading = EXPERIMENT)]
    starts: Option<usize>,
    /// The most mixtures of a pair of speakers [default: 2]
    #[arg(long, value_name = "N", help_heading = EXPERIMENT)]
    mixtures: Option<usize>,
    /// The level of recordings over the noise in dB [default: -10]
    #[arg(long, value_name = "DB", allow_hyphen_values = true, help_heading = EXPERIMENT)]
    snr: Option<f64>,
}

/// Separate two speakers by bases of mel spectra (Wang & Sha 2014, section 4)
#[derive(Args)]
#[command(after_long_help = examples::DISCRIMINATIVE)]
struct Discriminative {
    /// Folders of one female speaker each, with subfolders train and test
    #[arg(long, value_name = "DIR", num_args = 1.., help_heading = FILES)]
    female: Vec<PathBuf>,
    /// Folders of one male speaker each, with subfolders train and test
    #[arg(long, value_name = "DIR", num_args = 1.., help_heading = FILES)]
    male: Vec<PathBuf>,
    /// The folder for report.html, findings.json, the pictures and the sound
    #[arg(short, long, value_name = "DIR", help_heading = FILES)]
    output: PathBuf,
    /// Components per speaker; each is tried [default: 70,140,280]
    #[arg(long, value_name = "K,..", value_delimiter = ',', help_heading = EXPERIMENT)]
    ranks: Option<Vec<usize>>,
    /// Weights of the penalty on the gains; each is tried [default: 0,0.1]
    #[arg(long, value_name = "L,..", value_delimiter = ',', help_heading = EXPERIMENT)]
    sparsities: Option<Vec<f64>>,
    /// Random starts, over which results are means [default: 2]
    #[arg(long, value_name = "S", help_heading = EXPERIMENT)]
    starts: Option<usize>,
    /// The most mixtures of a pair of speakers [default: 5]
    #[arg(long, value_name = "N", help_heading = EXPERIMENT)]
    mixtures: Option<usize>,
    /// Iterations of training, and updates of separation [default: 100]
    #[arg(long, value_name = "N", help_heading = EXPERIMENT)]
    iterations: Option<usize>,
    /// What of the spectrum is factorized: magnitude or power [default: magnitude]
    #[arg(long, value_name = "WORD", help_heading = EXPERIMENT)]
    spectrum: Option<Spectrum>,
    /// The bands [default: mel:80:0-4000]
    #[arg(long, value_name = "BANDS", help_heading = EXPERIMENT)]
    bands: Option<BandMap>,
    /// c of the filter x_n - c x_(n-1) before the data are formed [default: 0.95]
    #[arg(long, value_name = "C", help_heading = EXPERIMENT)]
    pre_emphasis: Option<f64>,
    /// The Hamming window, in samples or milliseconds [default: 32ms]
    #[arg(long, value_name = "LENGTH", help_heading = EXPERIMENT)]
    window: Option<Length>,
    /// The hop, in samples or milliseconds [default: 16ms]
    #[arg(long, value_name = "LENGTH", help_heading = EXPERIMENT)]
    hop: Option<Length>,
    /// The transform's length in samples [default: 1024]
    #[arg(long, value_name = "SAMPLES", help_heading = EXPERIMENT)]
    fft: Option<usize>,
}

/// Separate speech from music under Gaussian mixture gain priors (Grais & Erdogan 2012, table 1)
#[derive(Args)]
#[command(after_long_help = examples::GAIN_PRIOR)]
struct GainPrior {
    /// A folder with subfolders train and test, with recordings of one speaker alone
    #[arg(long, value_name = "DIR", help_heading = FILES)]
    speech: PathBuf,
    /// A folder with subfolders train and test, with recordings of music alone
    #[arg(long, value_name = "DIR", help_heading = FILES)]
    music: PathBuf,
    /// The folder for report.html, findings.json, the pictures and the sound
    #[arg(short, long, value_name = "DIR", help_heading = FILES)]
    output: PathBuf,
    /// Components per source [default: 128]
    #[arg(long, value_name = "K", help_heading = EXPERIMENT)]
    rank: Option<usize>,
    /// Gaussians per source [default: 32]
    #[arg(long, value_name = "C", help_heading = EXPERIMENT)]
    mixtures: Option<usize>,
    /// The most mixtures per level [default: 20]
    #[arg(long, value_name = "N", help_heading = EXPERIMENT)]
    clips: Option<usize>,
    /// Levels of speech over music in dB [default: -5,0,5,10,15,20]
    #[arg(long, value_name = "DB,..", value_delimiter = ',', allow_hyphen_values = true, help_heading = EXPERIMENT)]
    levels: Option<Vec<f64>>,
    /// Weights of the grid; every pair is tried [default: 0,0.01,0.1,0.5,2,10]
    #[arg(long, value_name = "A,..", value_delimiter = ',', help_heading = EXPERIMENT)]
    grid: Option<Vec<f64>>,
}

/// Separate instruments by patterns that move in time and pitch (Schmidt & Mørup 2006, section 3)
#[derive(Args)]
#[command(after_long_help = examples::NMF2D)]
struct Nmf2d {
    /// Recordings of single instruments, two or more at one sample rate; the experiment separates their sum
    #[arg(long, value_name = "FILE", required = true, num_args = 1.., help_heading = FILES)]
    sources: Vec<PathBuf>,
    /// The folder for report.html, findings.json, the pictures and the sound
    #[arg(short, long, value_name = "DIR", help_heading = FILES)]
    output: PathBuf,
    /// Length of an NMF2D pattern in frames [default: 7]
    #[arg(long, value_name = "T", help_heading = EXPERIMENT)]
    time_lags: Option<usize>,
    /// Lengths of an NMFD pattern in frames; each is tried [default: 2, and as many as --time-lags]
    #[arg(long, value_name = "T,..", value_delimiter = ',', help_heading = EXPERIMENT)]
    nmfd_lags: Option<Vec<usize>>,
    /// Bands (half semitones) that a pattern moves over; each is tried [default: 12,18]
    #[arg(long, value_name = "P,..", value_delimiter = ',', help_heading = EXPERIMENT)]
    pitch_lags: Option<Vec<usize>>,
    /// Random starts per model; the one with the lowest objective is kept [default: 8]
    #[arg(long, value_name = "S", help_heading = EXPERIMENT)]
    starts: Option<usize>,
    /// Updates per start [default: 300]
    #[arg(long, value_name = "N", help_heading = EXPERIMENT)]
    iterations: Option<usize>,
    /// Components of NMFD, whose patterns do not move in pitch [default: 6]
    #[arg(long, value_name = "K", help_heading = EXPERIMENT)]
    components: Option<usize>,
    /// The Hann window, in samples (2048) or milliseconds (128ms) [default: 2048]
    #[arg(long, value_name = "LENGTH", help_heading = EXPERIMENT)]
    window: Option<Length>,
    /// The hop, in samples or milliseconds [default: 1024]
    #[arg(long, value_name = "LENGTH", help_heading = EXPERIMENT)]
    hop: Option<Length>,
    /// The transform's length in samples [default: the smallest power of two not below the window]
    #[arg(long, value_name = "SAMPLES", help_heading = EXPERIMENT)]
    fft: Option<usize>,
}

impl Reproduce {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Ending> {
        let Seed { seed } = self.seed;
        let (findings, output) = match self.experiment {
            Experiment::Averaged(experiment) => (experiment.run(common, seed)?, experiment.output),
            Experiment::Deep(experiment) => (experiment.run(common, seed)?, experiment.output),
            Experiment::Discriminative(experiment) => (experiment.run(common, seed)?, experiment.output),
            Experiment::GainPrior(experiment) => (experiment.run(common, seed)?, experiment.output),
            Experiment::Nmf2d(experiment) => (experiment.run(common, seed)?, experiment.output),
        };
        let page = findings.write(&output)?;
        common
            .conclude(&findings, || format!("{}\nwrote the full report: {}\n", findings.text(table), shown(&page)))?;
        Ok(Ending::Done)
    }
}

impl Averaged {
    fn run(&self, common: &Common, seed: u64) -> anyhow::Result<Findings> {
        let usual = AveragedOptions::default();
        let options = AveragedOptions {
            orders: self.orders.clone().unwrap_or(usual.orders),
            levels: self.levels.clone().unwrap_or(usual.levels),
            draws: self.draws.unwrap_or(usual.draws),
            frames: self.frames.unwrap_or(usual.frames),
            iterations: self.iterations.unwrap_or(usual.iterations),
            clips: self.clips.unwrap_or(usual.clips),
            transform: usual.transform,
            seed,
        };
        let (speech, noise) = (corpus("speech", &self.speech)?, corpus("noise", &self.noise)?);
        let engine = open(common)?;
        let bar = progress::bar(common, 0, "reading");
        let mut watch = |progress: averaged::Progress| match progress {
            averaged::Progress::Training(event) => show(&bar, event),
            averaged::Progress::Separated(done, of) => {
                bar.set_length(of as u64);
                bar.set_position(done as u64);
                bar.set_message("separating");
            }
        };
        let findings = averaged(&engine, &speech, &noise, &options, &mut watch)?;
        bar.finish_and_clear();
        Ok(findings)
    }
}

impl Deep {
    fn run(&self, common: &Common, seed: u64) -> anyhow::Result<Findings> {
        let usual = DeepOptions::default();
        let mut after = self.after.clone().unwrap_or(usual.after);
        after.sort_unstable();
        after.dedup();
        let options = DeepOptions {
            steps: self.steps.unwrap_or(usual.steps),
            batch: self.batch.unwrap_or(usual.batch),
            components: self.components.unwrap_or(usual.components),
            stacks: self.stacks.unwrap_or(usual.stacks),
            noises: self.noises.unwrap_or(usual.noises),
            starts: self.starts.unwrap_or(usual.starts),
            mixtures: self.mixtures.unwrap_or(usual.mixtures),
            snr: self.snr.unwrap_or(usual.snr),
            after,
            seed,
            ..usual
        };
        if self.female.len() != self.male.len() || self.female.len() == 1 {
            bail!("--female and --male: give two or more speakers of each, or none; pairs take one of each");
        }
        let named = |folder: &PathBuf| corpus(&folder.file_name().unwrap_or_default().to_string_lossy(), folder);
        let pair = |(female, male)| anyhow::Ok([named(female)?, named(male)?]);
        let pairs = self.female.iter().zip(&self.male).map(pair).collect::<anyhow::Result<Vec<_>>>()?;
        let clean = if self.clean.join("train").is_dir() { named(&self.clean)? } else { halves(&self.clean)? };
        let engine = open(common)?;
        let bar = progress::bar(common, 0, "reading");
        let mut watch = |progress: deep::Progress| match progress {
            deep::Progress::Reading(event) => show(&bar, event),
            deep::Progress::Training(name, step, of) => bar.set_message(format!("learning {name}, {step} of {of}")),
            deep::Progress::Scored(done, of) => {
                bar.set_length(of as u64);
                bar.set_position(done as u64);
            }
        };
        let findings = deep(&engine, &clean, &pairs, &options, &mut watch)?;
        bar.finish_and_clear();
        Ok(findings)
    }
}

impl Discriminative {
    fn run(&self, common: &Common, seed: u64) -> anyhow::Result<Findings> {
        let usual = DiscriminativeOptions::default();
        let options = DiscriminativeOptions {
            ranks: self.ranks.clone().unwrap_or(usual.ranks),
            sparsities: self.sparsities.clone().unwrap_or(usual.sparsities),
            starts: self.starts.unwrap_or(usual.starts),
            mixtures: self.mixtures.unwrap_or(usual.mixtures),
            iterations: self.iterations.unwrap_or(usual.iterations),
            spectrum: self.spectrum.unwrap_or(usual.spectrum),
            bands: self.bands.clone().unwrap_or(usual.bands),
            pre_emphasis: self.pre_emphasis.unwrap_or(usual.pre_emphasis),
            transform: Transform {
                window: self.window.or(usual.transform.window),
                hop: self.hop.or(usual.transform.hop),
                fft: self.fft.or(usual.transform.fft),
                shape: usual.transform.shape,
            },
            seed,
        };
        let speaker = |sex: &'static str| {
            move |folder: &PathBuf| {
                let name = folder.file_name().unwrap_or_default().to_string_lossy();
                anyhow::Ok(Speaker { corpus: corpus(&name, folder)?, sex: sex.into() })
            }
        };
        let speakers = self.female.iter().map(speaker("female")).chain(self.male.iter().map(speaker("male")));
        let speakers = speakers.collect::<anyhow::Result<Vec<_>>>()?;
        let engine = open(common)?;
        let bar = progress::bar(common, 0, "reading");
        let mut watch = |progress: discriminative::Progress| match progress {
            discriminative::Progress::Training(event) => show(&bar, event),
            discriminative::Progress::Scored(done, of) => {
                bar.set_length(of as u64);
                bar.set_position(done as u64);
            }
        };
        let findings = discriminative(&engine, &speakers, &options, &mut watch)?;
        bar.finish_and_clear();
        Ok(findings)
    }
}

impl GainPrior {
    fn run(&self, common: &Common, seed: u64) -> anyhow::Result<Findings> {
        let usual = GainPriorOptions::default();
        let mut levels = self.levels.clone().unwrap_or(usual.levels);
        levels.sort_by(f64::total_cmp);
        levels.dedup();
        let options = GainPriorOptions {
            rank: self.rank.unwrap_or(usual.rank),
            mixtures: self.mixtures.unwrap_or(usual.mixtures),
            clips: self.clips.unwrap_or(usual.clips),
            levels,
            grid: self.grid.clone().unwrap_or(usual.grid),
            seed,
        };
        let (speech, music) = (corpus("speech", &self.speech)?, corpus("music", &self.music)?);
        let engine = open(common)?;
        let bar = progress::bar(common, 0, "reading");
        let mut watch = |progress: Progress| match progress {
            Progress::Training(event) => show(&bar, event),
            Progress::Separated(done, of) => {
                bar.set_length(of as u64);
                bar.set_position(done as u64);
                bar.set_message("separating");
            }
        };
        let findings = gain_prior(&engine, &speech, &music, &options, &mut watch)?;
        bar.finish_and_clear();
        Ok(findings)
    }
}

impl Nmf2d {
    fn run(&self, common: &Common, seed: u64) -> anyhow::Result<Findings> {
        let usual = Nmf2dOptions::default();
        let time_lags = self.time_lags.unwrap_or(usual.time_lags);
        let options = Nmf2dOptions {
            time_lags,
            nmfd_lags: self.nmfd_lags.clone().unwrap_or_else(|| vec![2, time_lags]),
            pitch_lags: self.pitch_lags.clone().unwrap_or(usual.pitch_lags),
            starts: self.starts.unwrap_or(usual.starts),
            iterations: self.iterations.unwrap_or(usual.iterations),
            components: self.components.unwrap_or(usual.components),
            transform: Transform {
                window: self.window.or(usual.transform.window),
                hop: self.hop.or(usual.transform.hop),
                fft: self.fft.or(usual.transform.fft),
                shape: usual.transform.shape,
            },
            seed,
        };
        let engine = open(common)?;
        let bar = progress::bar(common, 0, "factorizing");
        let mut watch = |done: usize, of: usize| {
            bar.set_length(of as u64);
            bar.set_position(done as u64);
        };
        let findings = nmf2d(&engine, &self.sources, &options, &mut watch)?;
        bar.finish_and_clear();
        Ok(findings)
    }
}

/// Shows what happens in a training.
fn show(bar: &ProgressBar, event: Event) {
    match event {
        Event::Iteration(name, done, of) => bar.set_message(format!("learning {name}, {done} of {of}")),
        Event::Skipped(error) => bar.suspend(|| log::error!("{error}; skipped")),
        Event::Warning(recording, warning) => bar.suspend(|| log::warn!("{recording}: {warning}")),
    }
}

/// The recordings of a source, from the train and test folders in `folder`.
fn corpus(name: &str, folder: &Path) -> anyhow::Result<Corpus> {
    let files = |below: &str| -> anyhow::Result<Vec<PathBuf>> {
        let path = folder.join(below);
        if !path.is_dir() {
            bail!("{}: is not a folder; put training recordings in train, and those to mix in test", path.display());
        }
        recordings(&path)
    };
    Ok(Corpus { name: name.into(), train: files("train")?, test: files("test")? })
}

/// The recordings of a folder: those to learn from and others, in turns.
fn halves(folder: &Path) -> anyhow::Result<Corpus> {
    if !folder.is_dir() {
        bail!("{}: is not a folder of recordings", folder.display());
    }
    let all = recordings(folder)?;
    let part = |first: usize| all.iter().skip(first).step_by(2).cloned().collect::<Vec<_>>();
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Corpus { name, train: part(0), test: part(1) })
}

/// The recordings of a folder.
fn recordings(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let text = folder.to_str().with_context(|| format!("{}: is not UTF-8", folder.display()))?;
    let inputs = schedule::list(&[text.to_string()], None)?.inputs;
    Ok(inputs.into_iter().map(|input| input.path).collect())
}
