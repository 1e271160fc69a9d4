//! The kinds of pictures.

use clap::ValueEnum;
use partwise::report::pictures::Picture;
use serde::Serialize;

/// What a picture shows, as `--what` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(in crate::cli) enum What {
    Spectrogram,
    Masks,
    Gains,
    Bases,
    Objective,
}

impl What {
    /// How users name it.
    pub(in crate::cli) fn name(self) -> &'static str {
        match self {
            Self::Spectrogram => "spectrogram",
            Self::Masks => "masks",
            Self::Gains => "gains",
            Self::Bases => "bases",
            Self::Objective => "objective",
        }
    }
}

/// A picture and its kind.
pub(in crate::cli) struct Drawn {
    pub(in crate::cli) what: What,
    pub(in crate::cli) picture: Picture,
}

impl Drawn {
    pub(in crate::cli) fn new(what: What, picture: Picture) -> Self {
        Self { what, picture }
    }
}
