//! The samples of a recording to what a separator finds in its frames, panel by panel.

use std::ops::Range;
use std::sync::Arc;

use ndarray::Array2;

use super::plan::Plan;
use super::scheme::Scheme;
use super::spectra::{Signal, Spectra, panel, signal_length};
use crate::audio::Recording;
use crate::methods::separator::{Request, Separated, Separator, Watch};
use crate::spectrogram::View;
use crate::{Error, Result};

/// Columns that are on the engine at once, about.
const COLUMNS: usize = 4096;

/// A panel of a recording.
pub(super) struct Panel {
    /// The spectra of all channels.
    pub(super) spectra: Spectra,
    /// What was shown to the separator (N, F).
    pub(super) data: Array2<f32>,
    /// What it found.
    pub(super) found: Separated,
}

/// Separates a recording while its samples come in.
pub(super) struct Panels<'a> {
    scheme: &'a Scheme,
    separator: &'a dyn Separator,
    pub(super) view: Arc<View>,
    /// C, and Hz.
    pub(super) recording: (usize, u32),
    pub(super) signal: Signal,
    /// The next frame.
    next: usize,
}

impl<'a> Panels<'a> {
    /// Of a recording of so many channels at so many Hz. `kept`: whether the spectra come with the recording's own samples.
    ///
    /// # Errors
    /// [`Error::Audio`] where no recording can have so many channels or this sample rate; those of the view.
    pub(super) fn new(
        plan: &'a Plan,
        separator: &'a dyn Separator,
        (channels, sample_rate): (usize, u32),
        kept: bool,
    ) -> Result<Self> {
        Recording { channels: vec![Vec::new(); channels], sample_rate, warnings: Vec::new() }.check("recording")?;
        let (scheme, recording) = (&plan.scheme, (channels, sample_rate));
        let view = Arc::new(scheme.view(sample_rate)?);
        let signal = Signal::new(&view, scheme.stretch, recording, kept)?;
        Ok(Self { scheme, separator, view, recording, signal, next: 0 })
    }

    /// The frames of a recording of so many samples.
    pub(super) fn frames(&self, samples: usize) -> Result<usize> {
        Ok(self.view.stft.frames(signal_length(samples as u64, self.recording.1, &self.view)?))
    }

    /// Separates all frames that are ready. `factors`: whether they are asked for. `watch` hears how many frames are done, some of
    /// them in part. `take` gets each panel, and says whether its estimates are finite.
    ///
    /// # Errors
    /// [`Error::Input`] where the model gives no finite gains; those of the engine, of `watch` and of `take`.
    pub(super) fn advance(
        &mut self,
        factors: bool,
        watch: &mut Watch,
        mut take: impl FnMut(Panel) -> Result<bool>,
    ) -> Result<()> {
        let ready = self.signal.ready();
        let cut = |stretch: usize| (COLUMNS / self.recording.0 / stretch * stretch).max(stretch);
        let step = self.scheme.stretch.map_or(ready, cut);
        while self.next < ready {
            let frames = self.next..ready.min(self.next + step);
            self.next = frames.end;
            let panel = self.separate(frames, factors, watch)?;
            if !panel.found.costs.iter().sum::<f64>().is_finite() || !take(panel)? {
                return Err(Error::input("the model gives no finite gains for this recording; train another model"));
            }
        }
        Ok(())
    }

    /// Separates the next frames.
    fn separate(&mut self, frames: Range<usize>, factors: bool, watch: &mut Watch) -> Result<Panel> {
        let mut watch = |share: f64| watch(frames.start as f64 + share * frames.len() as f64);
        watch(0.0)?;
        let spectra = self.signal.frames(frames.clone());
        let mut data = Array2::zeros((spectra.columns(), self.view.rows()));
        panel(&self.view, &spectra, data.view_mut())?;
        let segments: Vec<usize> = spectra.segments().collect();
        let mut request = Request { watch: Some(&mut watch), factors };
        let found = self.separator.separate_as(data.view(), &segments, &mut request)?;
        Ok(Panel { spectra, data, found })
    }
}
