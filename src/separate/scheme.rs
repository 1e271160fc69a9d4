//! The sources of a job, and how its recordings are shown to a separator.

use crate::Result;
use crate::methods::separator::STRETCH;
use crate::model::Model;
use crate::spectrogram::{Front, Length, Transform, View};

/// The sources of a job, and how its recordings are shown to a separator.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheme {
    /// The names of the sources, in the order of the masks.
    pub sources: Vec<String>,
    /// The sample rate in Hz to which recordings are resampled; if it is missing, each keeps its own.
    pub sample_rate: Option<u32>,
    /// Turns samples into data.
    pub front: Front,
    /// The frames of a stretch into which recordings are cut. None: a recording must be separated as a whole, each channel a
    /// segment.
    pub stretch: Option<usize>,
    /// The numbers that the engine holds for each column besides the data: so many per row, and so many more.
    pub held: (usize, usize),
}

impl Scheme {
    /// The scheme of a trained model.
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
                bands: Some(model.bands.clone()),
                pre_emphasis: model.pre_emphasis,
            },
            stretch: Some(STRETCH),
            // The gains of several points of an extrapolated path.
            held: (0, 6 * components),
        }
    }

    /// The view of recordings of this sample rate.
    ///
    /// # Errors
    /// Those of [`Front::view`].
    pub fn view(&self, recording_rate: u32) -> Result<View> {
        self.front.view(self.sample_rate.unwrap_or(recording_rate), recording_rate)
    }

    /// The bytes of a column in flight: its spectrum, and another where data are formed from filtered samples, its data
    /// twice, its masks, and what the engine holds.
    pub fn column_bytes(&self, view: &View) -> u64 {
        let rows = view.rows();
        let spectra = if view.pre_emphasis().is_some() { 2 } else { 1 };
        let numbers = 2 * spectra * view.stft.bins() + (2 + self.sources.len() + self.held.0) * rows + self.held.1;
        (size_of::<f32>() * numbers) as u64
    }
}
