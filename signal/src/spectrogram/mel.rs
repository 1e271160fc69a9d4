//! The mel scale, and the triangles of bands that are equally wide on it.

/// A formula for the mel scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MelScale {
    /// 2595 log₁₀(1 + f/700), as in HTK.
    #[default]
    Htk,
    /// 3f/200 below 1 kHz, and 15 + 27 ln(f/1000)/ln 6.4 above, as in Slaney's Auditory Toolbox and by default in
    /// librosa.
    Slaney,
}

/// The height of the triangles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Triangle {
    /// Height 1. In each bin between the first and the last peak, the weights sum to 1.
    #[default]
    Peak,
    /// Area 1: height 2 / (width in Hz). White noise then has the same level in every band. librosa's default.
    Area,
}

impl MelScale {
    /// From Hz to mel.
    pub(super) fn of_hz(self, hz: f64) -> f64 {
        match self {
            Self::Htk => 2595.0 * (1.0 + hz / 700.0).log10(),
            Self::Slaney if hz < BREAK_HZ => hz / HZ_PER_MEL,
            Self::Slaney => BREAK_HZ / HZ_PER_MEL + (hz / BREAK_HZ).ln() / log_step(),
        }
    }

    /// From mel to Hz.
    fn to_hz(self, mel: f64) -> f64 {
        match self {
            Self::Htk => 700.0 * (10f64.powf(mel / 2595.0) - 1.0),
            Self::Slaney if mel < BREAK_HZ / HZ_PER_MEL => mel * HZ_PER_MEL,
            Self::Slaney => BREAK_HZ * (log_step() * (mel - BREAK_HZ / HZ_PER_MEL)).exp(),
        }
    }

    /// `count` + 2 frequencies in Hz from `low` to `high`, equally far apart in mel. Band b rises from point b to point
    /// b + 1 and falls to point b + 2.
    pub(super) fn points(self, count: usize, low: f64, high: f64) -> Vec<f64> {
        let (from, to) = (self.of_hz(low), self.of_hz(high));
        let step = (to - from) / (count + 1) as f64;
        let inner = (1..=count).map(|point| self.to_hz(from + step * point as f64));
        std::iter::once(low).chain(inner).chain([high]).collect()
    }
}

impl Triangle {
    /// The weight at `hz` of the band that begins at the first of `points`, peaks at the second and ends at the third.
    pub(super) fn weight(self, points: [f64; 3], hz: f64) -> f64 {
        let [low, peak, high] = points;
        let height = ((hz - low) / (peak - low)).min((high - hz) / (high - peak)).max(0.0);
        match self {
            Self::Peak => height,
            Self::Area => height * 2.0 / (high - low),
        }
    }
}

/// Where Slaney's scale turns from linear to logarithmic.
const BREAK_HZ: f64 = 1000.0;
const HZ_PER_MEL: f64 = 200.0 / 3.0;

/// The natural logarithm of a mel's ratio of frequencies in the logarithmic part of Slaney's scale.
fn log_step() -> f64 {
    6.4f64.ln() / 27.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_equal_hand_computed_values() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        // 700 (10 - 1) Hz is a factor of 10.
        assert!(close(MelScale::Htk.of_hz(6300.0), 2595.0) && MelScale::Htk.of_hz(0.0) == 0.0);
        assert!(close(MelScale::Slaney.of_hz(200.0), 3.0) && close(MelScale::Slaney.of_hz(1000.0), 15.0));
        assert!(close(MelScale::Slaney.of_hz(6400.0), 42.0));
        for scale in [MelScale::Htk, MelScale::Slaney] {
            for hz in [0.0, 33.0, 999.0, 1000.0, 1001.0, 7000.0] {
                assert!(close(scale.to_hz(scale.of_hz(hz)), hz), "{scale:?} {hz}");
            }
        }
        // Three bands below 800 Hz are 200 Hz apart where the scale is linear.
        let points = MelScale::Slaney.points(3, 0.0, 800.0);
        assert!(points.iter().zip([0.0, 200.0, 400.0, 600.0, 800.0]).all(|(&a, b)| close(a, b)), "{points:?}");
    }

    #[test]
    fn triangles_equal_hand_computed_ones() {
        let points = [100.0, 200.0, 400.0];
        let heights = [50.0, 100.0, 150.0, 200.0, 300.0, 400.0, 500.0];
        assert_eq!(heights.map(|hz| Triangle::Peak.weight(points, hz)), [0.0, 0.0, 0.5, 1.0, 0.5, 0.0, 0.0]);
        assert_eq!(Triangle::Area.weight(points, 300.0), 0.5 * 2.0 / 300.0);
    }
}
