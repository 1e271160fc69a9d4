//! Pre-emphasis: a filter that lifts the high frequencies of speech, whose energy falls with frequency.

use super::Sample;

/// The filter y_n = x_n − c x_{n−1}, with x_{−1} = 0. It takes a signal in blocks of any size, and gives the bits that the
/// whole signal would give.
#[derive(Debug, Clone)]
pub struct PreEmphasis<T> {
    coefficient: T,
    /// The last sample of the previous block.
    last: T,
}

impl<T: Sample> PreEmphasis<T> {
    /// A filter at the start of a signal. Speech usually has c = 0.95; with c = 0, samples pass unchanged.
    pub fn new(coefficient: f64) -> Self {
        Self { coefficient: T::rounded(coefficient), last: T::zero() }
    }

    /// Appends the filtered samples of the next block to `out`.
    pub fn push(&mut self, samples: &[T], out: &mut Vec<T>) {
        out.extend(samples.iter().map(|&sample| {
            let before = std::mem::replace(&mut self.last, sample);
            sample - self.coefficient * before
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_give_the_hand_computed_samples_of_the_whole() {
        for cut in 0..=4 {
            let (mut filter, mut out) = (PreEmphasis::<f64>::new(0.5), Vec::new());
            let (first, second) = [2.0, 4.0, -6.0, 1.0].split_at(cut);
            filter.push(first, &mut out);
            filter.push(second, &mut out);
            assert_eq!(out, [2.0, 3.0, -8.0, 4.0], "cut at {cut}");
        }
    }
}
