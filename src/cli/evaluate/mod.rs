//! `partwise evaluate`

mod clips;
mod columns;
mod listed;
mod many;
mod rows;
mod scoring;
mod single;

use std::path::PathBuf;

use clap::Args;

use super::common::heading::FILES;
use super::{Common, Ending, examples, print};
use scoring::{How, Seconds};
pub(super) use single::Evaluation;

/// The heading of what is computed.
const SCORES: &str = "Scores";

/// Score estimates against the true sources: SDR, SIR, SAR (BSS Eval v3), SI-SDR and SNR, in dB
///
/// One recording by its files, or all recordings of two folders or of a list. Each channel is compared with the same
/// channel of the reference. Every ratio is one of energies summed over all channels.
#[derive(Args)]
#[command(after_long_help = examples::EVALUATE)]
pub(super) struct Evaluate {
    /// The true sources of one recording
    #[arg(
        long,
        value_name = "PATH",
        num_args = 1..,
        required_unless_present_any = ["references", "manifest"],
        requires = "estimate",
        conflicts_with_all = ["references", "estimates", "mixtures", "manifest"],
        help_heading = FILES
    )]
    reference: Vec<String>,
    /// Their estimates, in the same order
    #[arg(long, value_name = "PATH", num_args = 1.., requires = "reference", help_heading = FILES)]
    estimate: Vec<String>,
    /// The recording itself, to report by how much the estimates improve on it
    #[arg(long, value_name = "PATH", num_args = 1.., requires = "reference", help_heading = FILES)]
    mixture: Vec<String>,
    /// A folder of the true sources of many recordings: CLIP.SOURCE.wav or CLIP/SOURCE.wav, of any audio format
    #[arg(long, value_name = "DIR", requires = "estimates", conflicts_with = "manifest", help_heading = FILES)]
    references: Option<PathBuf>,
    /// The folder of their estimates, named in either way
    #[arg(long, value_name = "DIR", requires = "references", help_heading = FILES)]
    estimates: Option<PathBuf>,
    /// The folder of the recordings themselves: CLIP.wav, CLIP.mix.wav or CLIP/mixture.wav [default: those that lie
    /// beside the references]
    #[arg(long, value_name = "DIR", requires = "references", help_heading = FILES)]
    mixtures: Option<PathBuf>,
    /// A list of the files of many recordings: CSV or JSON lines of clip, source, reference, estimate and, if there is
    /// one, mixture
    #[arg(long, value_name = "FILE", conflicts_with_all = ["estimates", "mixtures"], help_heading = FILES)]
    manifest: Option<PathBuf>,
    /// Find the order of the estimates with the best mean SIR, or with the best mean SDR if every SIR is infinite
    #[arg(long, help_heading = SCORES)]
    permute: bool,
    /// Score windows of so many seconds too, each by itself, and report their median
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1", help_heading = SCORES)]
    frames: Option<Seconds>,
    /// Print comma-separated values on stdout instead of a table
    #[arg(long, conflicts_with = "json", help_heading = SCORES)]
    csv: bool,
}

impl Evaluate {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Ending> {
        let how = self.how();
        let matched = match (&self.manifest, &self.references, &self.estimates) {
            (Some(manifest), ..) => listed::read(manifest)?,
            (None, Some(references), Some(estimates)) => {
                clips::matched(references, estimates, self.mixtures.as_deref(), self.permute)?
            }
            _ => {
                let evaluation = self.evaluate(common)?;
                print(common.json, &evaluation, || if self.csv { evaluation.csv() } else { evaluation.text() })?;
                return Ok(Ending::Done);
            }
        };
        many::run(common, matched, &how, self.csv)
    }

    /// Scores the estimates of one recording.
    pub(super) fn evaluate(&self, common: &Common) -> anyhow::Result<Evaluation> {
        single::evaluate(common, [&self.reference, &self.estimate, &self.mixture], &self.how())
    }

    fn how(&self) -> How {
        How { permute: self.permute, frames: self.frames }
    }
}
