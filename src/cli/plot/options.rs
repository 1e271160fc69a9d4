//! The options of `partwise plot`.

use std::path::PathBuf;

use clap::Args;

use super::super::common::heading::{FILES, MODEL};
use super::super::examples;
use super::super::pictures::{SECONDS, What};

/// The heading of what is drawn.
const PICTURES: &str = "Pictures";

/// Draw a recording, a model or factors as SVG or PNG, or make a report of a folder of results
#[derive(Args)]
#[command(after_long_help = examples::PLOT)]
pub(in crate::cli) struct Plot {
    /// A recording, a model (a file, or a name of `partwise models`), an .npz of `factorize` or of `separate --gains`, or a
    /// folder of results
    #[arg(value_name = "AUDIO|MODEL|FACTORS|RESULTS")]
    pub(super) path: PathBuf,
    /// The picture, .svg or .png; of a folder of results, the folder for the report [default: the name of the input
    /// with .svg, in this folder; of results, their name with .report, beside them]
    #[arg(short, long, value_name = "OUT", help_heading = FILES)]
    pub(super) output: Option<PathBuf>,
    /// With a recording: also draw what a separation with this model finds. With a folder of results: draw masks, gains and
    /// bases too; it must be the model that the results are of
    #[arg(long, value_name = "MODEL", help_heading = MODEL)]
    pub(super) model: Option<PathBuf>,
    /// What to draw, separated by commas: spectrogram, masks, gains, bases or objective [default: all that there is]
    #[arg(long, value_name = "WHAT", value_delimiter = ',', help_heading = PICTURES)]
    pub(super) what: Vec<What>,
    /// With --model: how much of a recording is separated, from its beginning; all of it is in memory at once
    #[arg(long, value_name = "S", default_value_t = SECONDS, help_heading = PICTURES)]
    pub(super) seconds: f64,
}
