//! Draws the spectrograms of signals that are compared.

use ndarray::Array2;

use super::Axis;
use super::figure::{Panel, figure};
use super::heatmap::heatmap;
use super::spectrogram::{fewer_rows, spectrogram};
use crate::Result;

/// The range of colours, in dB below the loudest point of the first signal.
const RANGE: f32 = 80.0;
/// Pixels of the small pictures, and the most rows of their images: about what a sharp screen shows.
const SMALL: (f64, f64) = (340.0, 150.0);
const MOST_ROWS: usize = 192;

/// The spectrograms of several signals of one recording, with common axes and colours: dB below the loudest point of the
/// first signal.
pub struct Comparison {
    panels: Vec<Panel>,
    time: Axis,
}

impl Comparison {
    /// The spectrograms of titled signals at a sample rate in Hz, which are equally long.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if there are no samples, or the sample rate leaves fewer than two samples per
    /// window.
    pub fn new(signals: &[(&str, &[f32])], sample_rate: u32) -> Result<Self> {
        let pictures = signals.iter().map(|&(title, samples)| Ok((title, spectrogram(samples, sample_rate)?)));
        let seconds = signals.first().map_or(0.0, |(_, samples)| samples.len() as f64 / f64::from(sample_rate));
        Self::of(&pictures.collect::<Result<Vec<_>>>()?, seconds, sample_rate)
    }

    /// The same of titled spectrograms that are there already, see [`spectrogram`](super::spectrogram()).
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if one is empty.
    pub fn of(pictures: &[(&str, Array2<f32>)], seconds: f64, sample_rate: u32) -> Result<Self> {
        let titles = pictures.iter().map(|(title, _)| *title);
        let pictures: Vec<Array2<f32>> = pictures.iter().map(|(_, levels)| fewer_rows(levels, MOST_ROWS)).collect();
        let loudest = pictures.first().into_iter().flatten().copied().fold(f32::NEG_INFINITY, f32::max);
        let y = Axis::new("frequency in kHz", 0.0..f64::from(sample_rate) / 2000.0);
        let panel = |(title, values): (&str, &Array2<f32>)| {
            let png = heatmap(values.view(), loudest - RANGE..loudest)?;
            Ok(Panel { title: title.into(), png, y: y.clone() })
        };
        Ok(Self {
            panels: titles.zip(&pictures).map(panel).collect::<Result<_>>()?,
            time: Axis::new("time in s", 0.0..seconds),
        })
    }

    /// A small picture of each signal, without its title, for the tracks of [`listening`](super::html::listening()).
    ///
    /// # Errors
    /// None that [`Comparison::new`] has not.
    pub fn each(&self) -> Result<Vec<String>> {
        let untitled = |panel: &Panel| Panel { title: String::new(), ..panel.clone() };
        self.panels.iter().map(|panel| figure(&[untitled(panel)], &self.time, None, SMALL)).collect()
    }

    /// All signals one above the other with a colour scale, each so many pixels wide and high.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if there are no signals.
    pub fn stacked(&self, size: (f64, f64)) -> Result<String> {
        figure(&self.panels, &self.time, Some(&Axis::new("dB re the loudest", f64::from(-RANGE)..0.0)), size)
    }

    /// What the colours of the pictures mean, as a sentence.
    pub fn legend() -> String {
        format!("Each picture shows the {RANGE} dB below the loudest point of the mixture. Bright is loud.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(amplitude: f32) -> Vec<f32> {
        (0..8000).map(|n| amplitude * (n as f32 * 0.7).sin()).collect()
    }

    #[test]
    fn all_pictures_have_the_time_and_the_colours_of_the_first() {
        let (loud, quiet) = (tone(0.5), tone(0.05));
        let pictures = |signals: &[(&str, &[f32])]| Comparison::new(signals, 8000).unwrap().each().unwrap();
        let both = pictures(&[("a", &loud), ("b", &quiet)]);
        assert!(both.iter().all(|svg| svg.contains(">1.0</text>") && svg.matches("<image").count() == 1), "{both:?}");
        assert!(both[0] != both[1] && both[0] == pictures(&[("b", &loud)])[0]);
        // Alone, a quiet signal is as bright as a loud one.
        assert_ne!(both[1], pictures(&[("b", &quiet)])[0]);
        assert!(!both[0].contains(">a</text>"), "{}", both[0]);
    }

    #[test]
    fn the_stack_has_the_titles_and_one_scale() {
        let (loud, quiet) = (tone(0.5), tone(0.05));
        let comparison = Comparison::new(&[("a", &loud), ("b", &quiet)], 8000).unwrap();
        let svg = comparison.stacked((300.0, 100.0)).unwrap();
        assert_eq!(svg.matches("<image").count(), 3);
        assert!(svg.contains(">a</text>") && svg.contains(">dB re the loudest</text>"), "{svg}");
    }

    #[test]
    fn nothing_to_show_is_an_error() {
        assert!(Comparison::new(&[("a", &[])], 8000).is_err());
        assert!(Comparison::new(&[], 8000).unwrap().stacked((9.0, 9.0)).is_err());
    }
}
