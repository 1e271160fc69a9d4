//! Analysis window shapes.

use std::{f64::consts::PI, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A window shape. All windows are periodic: the sample after the last would equal the first. So copies shifted by a
/// divisor of the length sum to a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// 0.54 - 0.46 cos(2πn/N).
    Hamming,
    /// 0.5 - 0.5 cos(2πn/N).
    Hann,
    /// sin(πn/N), the square root of Hann.
    SqrtHann,
    /// 1.
    Rect,
}

impl Shape {
    /// All shapes, in the order in which messages list them.
    pub const ALL: [Self; 4] = [Self::Hamming, Self::Hann, Self::SqrtHann, Self::Rect];

    /// The window's `length` samples (N).
    pub fn samples(self, length: usize) -> Vec<f64> {
        let step = PI / length as f64;
        (0..length)
            .map(|n| n as f64 * step)
            .map(|angle| match self {
                Self::Hamming => 0.54 - 0.46 * (2.0 * angle).cos(),
                Self::Hann => 0.5 - 0.5 * (2.0 * angle).cos(),
                Self::SqrtHann => angle.sin(),
                Self::Rect => 1.0,
            })
            .collect()
    }

    fn name(self) -> &'static str {
        match self {
            Self::Hamming => "hamming",
            Self::Hann => "hann",
            Self::SqrtHann => "sqrt-hann",
            Self::Rect => "rect",
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Shape {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|shape| shape.name() == text).ok_or_else(|| {
            Error::input(format!(
                "window shape {text:?} is unknown; use one of {}",
                Self::ALL.map(Self::name).join(", ")
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_four_samples_equal_hand_computed_ones() {
        let half = 0.5f64.sqrt();
        for (shape, expected) in [
            (Shape::Hamming, [0.08, 0.54, 1.0, 0.54]),
            (Shape::Hann, [0.0, 0.5, 1.0, 0.5]),
            (Shape::SqrtHann, [0.0, half, 1.0, half]),
            (Shape::Rect, [1.0; 4]),
        ] {
            for (n, (got, want)) in shape.samples(4).into_iter().zip(expected).enumerate() {
                assert!((got - want).abs() < 1e-15, "{shape} sample {n}: {got}, expected {want}");
            }
        }
    }

    #[test]
    fn displayed_and_serialized_names_are_equal() {
        for (shape, name) in Shape::ALL.into_iter().zip(["hamming", "hann", "sqrt-hann", "rect"]) {
            assert_eq!(shape.to_string(), name);
            assert_eq!(name.parse::<Shape>().unwrap(), shape);
            assert_eq!(serde_json::to_value(shape).unwrap(), name);
            assert_eq!(serde_json::from_value::<Shape>(name.into()).unwrap(), shape);
        }
        let error = "Hann".parse::<Shape>().unwrap_err().to_string();
        assert_eq!(error, "window shape \"Hann\" is unknown; use one of hamming, hann, sqrt-hann, rect");
    }
}
