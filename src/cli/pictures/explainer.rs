//! Explains recordings: what a separation finds in them, as pictures.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use partwise::audio::{Reader, Recording};
use partwise::separate::{self, Detail, Plan, Separator};
use partwise::{Error, Result};

use super::factors::of_explained;
use super::heard::{Heard, spectrogram};
use super::what::Drawn;

/// How much of a recording is explained: what the memory of a laptop holds, and a screen shows.
pub(in crate::cli) const SECONDS: f64 = 60.0;

/// A separation that explains itself.
pub(in crate::cli) struct Explainer<'a> {
    pub(in crate::cli) plan: &'a Plan<'a>,
    pub(in crate::cli) separator: &'a dyn Separator,
    /// What of a recording is explained, in seconds from its beginning: all of it is in memory at once.
    pub(in crate::cli) seconds: f64,
    /// Ends the work.
    pub(in crate::cli) stop: &'a AtomicBool,
}

impl Explainer<'_> {
    /// Pictures of masks, gains, bases and costs of the beginning of a recording. Their notes say where it is not all of it.
    pub(in crate::cli) fn factors(&self, path: &Path) -> Result<Vec<Drawn>> {
        let (recording, cut) = self.beginning(path)?;
        let found = separate::explain(self.plan, self.separator, &recording, Detail::Cells, &mut |_| self.goes_on());
        let exponent = self.plan.scheme.front.spectrum.power_exponent();
        Ok(self.noted(of_explained(&found.map_err(|error| about(path, error))?, exponent)?, cut))
    }

    /// The spectrogram of every stem.
    pub(in crate::cli) fn stems(&self, path: &Path) -> Result<Vec<Drawn>> {
        let (recording, cut) = self.beginning(path)?;
        let stems = separate::whole(self.plan, self.separator, &recording, &mut |_| self.goes_on());
        let heard = |stem: separate::Stem| Ok((stem.source, Heard::in_memory(&stem.recording)?));
        let stems = stems.map_err(|error| about(path, error))?.into_iter().map(heard).collect::<Result<Vec<_>>>()?;
        Ok(self.noted(vec![spectrogram("Spectrograms of the sources", &stems)?], cut))
    }

    fn goes_on(&self) -> ControlFlow<()> {
        if self.stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// The beginning of a recording, and whether there is more.
    fn beginning(&self, path: &Path) -> Result<(Recording, bool)> {
        let mut reader = Reader::open(path)?;
        let most = (self.seconds * f64::from(reader.sample_rate())).round() as usize;
        let (mut channels, mut block) = (vec![Vec::new(); reader.channels()], Vec::new());
        let mut there = 0;
        while there <= most && reader.read(&mut block)? {
            channels.iter_mut().zip(&block).for_each(|(channel, samples)| channel.extend_from_slice(samples));
            there = channels.first().map_or(0, Vec::len);
        }
        channels.iter_mut().for_each(|channel| channel.truncate(most));
        Ok((Recording { channels, sample_rate: reader.sample_rate(), warnings: Vec::new() }, there > most))
    }

    fn noted(&self, mut drawn: Vec<Drawn>, cut: bool) -> Vec<Drawn> {
        if cut {
            let note = format!("Of the first {} s of the recording. ", self.seconds);
            drawn.iter_mut().for_each(|drawn| drawn.picture.note.insert_str(0, &note));
        }
        drawn
    }
}

/// An error that speaks of a recording in memory, of the file.
fn about(path: &Path, error: Error) -> Error {
    match error {
        Error::Audio { reason, .. } => Error::audio(path, reason),
        other => other,
    }
}
