//! Gradient steps: the Adam optimizer (Kingma & Ba 2015) and the clipping of gradients (Pascanu, Mikolov & Bengio 2013).

/// Decay of the means of gradients and of their squares.
const DECAYS: [f64; 2] = [0.9, 0.999];
/// Added to the root of the mean square.
const SMALL: f64 = 1e-8;

/// The state of Adam.
#[derive(Debug, Clone, PartialEq)]
pub struct Adam {
    /// Steps done.
    pub steps: usize,
    /// Means of gradients, and of their squares.
    pub means: [Vec<f64>; 2],
}

impl Adam {
    /// No steps yet, of so many numbers.
    pub fn new(parameters: usize) -> Self {
        Self { steps: 0, means: [vec![0.0; parameters], vec![0.0; parameters]] }
    }

    /// Moves θ against the gradient.
    pub fn step(&mut self, theta: &mut [f64], gradient: &[f64], rate: f64) {
        self.steps += 1;
        let corrections = DECAYS.map(|decay| 1.0 - decay.powf(self.steps as f64));
        let [means, squares] = &mut self.means;
        for (((theta, gradient), mean), square) in theta.iter_mut().zip(gradient).zip(means).zip(squares) {
            *mean = DECAYS[0] * *mean + (1.0 - DECAYS[0]) * gradient;
            *square = DECAYS[1] * *square + (1.0 - DECAYS[1]) * gradient * gradient;
            *theta -= rate * (*mean / corrections[0]) / ((*square / corrections[1]).sqrt() + SMALL);
        }
    }
}

/// Scales a gradient to this norm if its own is larger.
pub fn clip(gradient: &mut [f64], norm: f64) {
    let own = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
    if own > norm {
        gradient.iter_mut().for_each(|g| *g *= norm / own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_equal_hand_computed_ones() {
        let (mut adam, mut theta) = (Adam::new(2), vec![1.0, -2.0]);
        // The first step has the rate's size, whatever the gradient's is.
        adam.step(&mut theta, &[0.5, -1e-3], 0.1);
        assert!((theta[0] - 0.9).abs() < 1e-8 && (theta[1] + 1.9).abs() < 2e-6, "{theta:?}");
        // Means 0.95/1.9 and −0.5 → m̂ = (0.9·0.05 + 0.1·(−0.5))/0.19, v̂ = 0.25.
        adam.step(&mut theta, &[-0.5, 0.0], 0.1);
        let moved = 0.1 * ((0.9 * 0.05 - 0.05) / 0.19) / 0.5;
        assert!((theta[0] - (0.9 - moved)).abs() < 1e-7, "{theta:?}");
    }

    #[test]
    fn long_gradients_are_clipped_and_short_ones_stay() {
        let mut gradient = [3.0, 4.0];
        clip(&mut gradient, 10.0);
        assert_eq!(gradient, [3.0, 4.0]);
        clip(&mut gradient, 1.0);
        assert!((gradient[0] - 0.6).abs() < 1e-15 && (gradient[1] - 0.8).abs() < 1e-15);
    }
}
