//! Stacks of consecutive frames of recordings, as bases are learned from them.

use ndarray::{Array2, ArrayView1, ArrayView2, s};

use crate::Result;
use crate::random::Stream;
use crate::spectrogram::Bands;

/// Stacks whose power is below this share of the loudest one's are silence: there is nothing of the source in them.
const SILENCE: f64 = 1e-6;

/// The stacks of T consecutive frames of a source's recordings that are not silence.
pub(crate) struct Windows<'a> {
    /// The frames (N, F) of every channel of every recording, at one scale.
    channels: &'a [Array2<f32>],
    context: usize,
    /// The channel and the first frame of each stack, in order.
    starts: Vec<(usize, usize)>,
}

impl<'a> Windows<'a> {
    /// All stacks of T frames. A channel of fewer frames has none.
    pub(crate) fn new(channels: &'a [Array2<f32>], context: usize) -> Self {
        let mut all = Vec::new();
        for (channel, frames) in channels.iter().enumerate() {
            let powers: Vec<f64> =
                frames.rows().into_iter().map(|frame| frame.iter().map(|&v| f64::from(v).powi(2)).sum()).collect();
            all.extend(
                powers.windows(context).enumerate().map(|(start, powers)| (channel, start, powers.iter().sum())),
            );
        }
        let loudest = all.iter().fold(0.0, |loudest: f64, &(_, _, power)| loudest.max(power));
        let sounds = |&(channel, start, power): &(usize, usize, f64)| {
            (power > 0.0 && power >= SILENCE * loudest).then_some((channel, start))
        };
        Self { channels, context, starts: all.iter().filter_map(sounds).collect() }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.starts.len()
    }

    /// A stack (T, F).
    pub(crate) fn stack(&self, index: usize) -> ArrayView2<'_, f32> {
        let (channel, start) = self.starts[index];
        self.channels[channel].slice(s![start..start + self.context, ..])
    }

    /// Some stacks (n, TF), each as a row.
    pub(crate) fn gather(&self, indices: &[usize]) -> Array2<f32> {
        let (frames, rows) = self.shape();
        let mut gathered = Array2::zeros((indices.len(), frames * rows));
        for (mut row, &index) in gathered.rows_mut().into_iter().zip(indices) {
            row.iter_mut().zip(self.stack(index)).for_each(|(to, &from)| *to = from);
        }
        gathered
    }

    /// T and F.
    pub(crate) fn shape(&self) -> (usize, usize) {
        (self.context, self.channels.first().map_or(0, Array2::ncols))
    }

    /// Some stacks (n, TB) in bands, or as they are.
    ///
    /// # Errors
    /// Those of [`Bands::group`].
    pub(crate) fn gather_in(&self, bands: Option<&Bands>, indices: &[usize]) -> Result<Array2<f32>> {
        let Some(bands) = bands else { return Ok(self.gather(indices)) };
        let channels = self.channels.iter().map(|frames| bands.group(frames.view())).collect::<Result<Vec<_>>>()?;
        Ok(Windows { channels: &channels, context: self.context, starts: self.starts.clone() }.gather(indices))
    }

    /// The norms (L2) of some stacks in bands, or as they are.
    ///
    /// # Errors
    /// Those of [`Bands::group`].
    pub(crate) fn norms_in(&self, bands: Option<&Bands>, indices: &[usize]) -> Result<Vec<f64>> {
        let power = |frame: ArrayView1<f32>| frame.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
        let powers = |frames: &Array2<f32>| -> Result<Vec<f64>> {
            let grouped = bands.map(|bands| bands.group(frames.view())).transpose()?;
            Ok(grouped.as_ref().unwrap_or(frames).rows().into_iter().map(power).collect())
        };
        let powers = self.channels.iter().map(powers).collect::<Result<Vec<_>>>()?;
        let norm = |&index: &usize| {
            let (channel, start) = self.starts[index];
            powers[channel][start..start + self.context].iter().sum::<f64>().sqrt()
        };
        Ok(indices.iter().map(norm).collect())
    }

    /// `count` of them at random, in order; all, if there are no more.
    pub(crate) fn draw(&self, count: usize, stream: Stream) -> Vec<usize> {
        let mut drawn = stream.draw(count, self.count());
        drawn.sort_unstable();
        drawn
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn stacks_are_of_one_recording_and_not_silent() {
        let channels = [array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], array![[7.0, 8.0]], Array2::zeros((4, 2))];
        let windows = Windows::new(&channels, 2);
        assert_eq!(windows.count(), 2);
        assert_eq!(windows.gather(&[0, 1]), array![[1.0, 2.0, 3.0, 4.0], [3.0, 4.0, 5.0, 6.0]]);
        assert_eq!(Windows::new(&channels, 1).count(), 4);
        assert_eq!(Windows::new(&channels, 5).count(), 0);
    }

    #[test]
    fn a_draw_has_no_stack_twice_and_depends_on_the_seed() {
        let channels = [Array2::ones((100, 1))];
        let windows = Windows::new(&channels, 1);
        let draw = |seed| windows.draw(30, Stream::new(seed, "windows"));
        let first = draw(0);
        assert!(first.len() == 30 && first.windows(2).all(|pair| pair[0] < pair[1]) && first == draw(0));
        assert_ne!(first, draw(1));
        assert_eq!(windows.draw(200, Stream::new(0, "windows")), (0..100).collect::<Vec<_>>());
    }
}
