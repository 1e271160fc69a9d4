//! What recordings are separated into, and what of them a separator is shown.

use crate::Result;
use crate::model::Model;
use crate::spectrogram::{BandMap, Front, Length, Transform, View};

/// What the recordings of a job are separated into, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheme {
    /// The sources' names, in the order of the masks.
    pub sources: Vec<String>,
    /// What recordings are resampled to, in Hz; if it is missing, each keeps its own sample rate.
    pub sample_rate: Option<u32>,
    /// How they are shown to the separator.
    pub front: Front,
    /// Whether a recording must be separated as one, each channel a segment. Otherwise it is cut into stretches.
    pub whole: bool,
    /// What the engine holds of each column beside the data: so many numbers a row, and so many more.
    pub held: (usize, usize),
}

impl Scheme {
    /// That of a trained model.
    pub fn of_model(model: &Model) -> Self {
        let (window, hop) = (Length::Samples(model.stft.window), Length::Samples(model.stft.hop));
        let components = model.sources.iter().map(|source| source.bases.ncols()).sum::<usize>();
        Self {
            sources: model.sources.iter().map(|source| source.name.clone()).collect(),
            sample_rate: Some(model.sample_rate),
            front: Front {
                transform: Transform {
                    window: Some(window),
                    hop: Some(hop),
                    fft: Some(model.stft.fft),
                    shape: model.stft.shape,
                },
                spectrum: model.spectrum,
                bands: Some(BandMap::Linear),
            },
            whole: false,
            // The gains of some points of their path.
            held: (0, 6 * components),
        }
    }

    /// How recordings of a sample rate are shown.
    ///
    /// # Errors
    /// Those of [`Front::view`].
    pub fn view(&self, recording_rate: u32) -> Result<View> {
        self.front.view(self.sample_rate.unwrap_or(recording_rate), recording_rate)
    }

    /// Bytes of a column in flight: its spectrum, its data twice, its masks, and what the engine holds.
    pub fn column_bytes(&self, view: &View) -> u64 {
        let rows = view.rows();
        let numbers = 2 * view.stft.bins() + (2 + self.sources.len() + self.held.0) * rows + self.held.1;
        (size_of::<f32>() * numbers) as u64
    }
}
