//! Axes and their ticks.

use std::ops::Range;

/// An axis: what it shows and from where to where, in the unit that its name says.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Such as "time in s".
    pub name: String,
    /// The values at its two ends.
    pub range: Range<f64>,
}

/// A mark on an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Where, in the axis' unit.
    pub value: f64,
    /// The value as text, with no more digits than the ticks' distance calls for.
    pub label: String,
}

impl Axis {
    /// An axis.
    pub fn new(name: &str, range: Range<f64>) -> Self {
        Self { name: name.into(), range }
    }

    /// Ticks at the multiples of 1, 2 or 5 times a power of ten: of these distances the least that gives at most `most` of
    /// them (1 or more). There are none on an axis without length.
    pub fn ticks(&self, most: usize) -> Vec<Tick> {
        let Range { start, end } = self.range;
        let length = end - start;
        if !(length > 0.0 && length.is_finite()) {
            return Vec::new();
        }
        let most = most.max(1) as f64;
        let least_power = (length / most).log10().floor() as i32 - 1;
        let distances = (least_power..).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| (digit, power)));
        // Ends are ticks too, where rounding puts them a hair outside.
        let slack = 1e-9;
        for (digit, power) in distances {
            let distance = digit * 10f64.powi(power);
            let (first, last) = ((start / distance - slack).ceil(), (end / distance + slack).floor());
            if last - first + 1.0 <= most {
                let decimals = usize::try_from(-power).unwrap_or(0);
                let count = (last - first + 1.0).max(0.0) as usize;
                // Adding 0 turns the -0 that rounding up may leave into 0.
                let values = (0..count).map(|index| (first + index as f64) * distance + 0.0);
                return values.map(|value| Tick { value, label: format!("{value:.decimals$}") }).collect();
            }
        }
        Vec::new()
    }

    /// Where a value lies, from 0 at the start to 1 at the end.
    pub(super) fn share(&self, value: f64) -> f64 {
        (value - self.range.start) / (self.range.end - self.range.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(range: Range<f64>, most: usize) -> Vec<String> {
        Axis::new("x", range).ticks(most).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_by_hand() {
        assert_eq!(labels(0.0..8.0, 5), ["0", "2", "4", "6", "8"]);
        assert_eq!(labels(0.0..3.7, 8), ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0", "3.5"]);
        assert_eq!(labels(-83.2..-3.2, 4), ["-80", "-60", "-40", "-20"]);
        assert_eq!(labels(0.0..3.0e4, 4), ["0", "10000", "20000", "30000"]);
        assert_eq!(labels(0.0..0.05, 6), ["0.00", "0.01", "0.02", "0.03", "0.04", "0.05"]);
        assert_eq!(labels(-0.3..0.3, 3), ["-0.2", "0.0", "0.2"]);
    }

    #[test]
    fn odd_axes_have_few_ticks_or_none() {
        assert_eq!(labels(0.0..8.0, 0), ["0"]);
        for range in [1.0..1.0, 2.0..1.0, 0.0..f64::INFINITY, f64::NAN..1.0] {
            assert!(labels(range.clone(), 5).is_empty(), "{range:?}");
        }
        for most in 1..40 {
            let ticks = labels(0.0..44.1, most);
            assert!((1..=most).contains(&ticks.len()), "{most}: {ticks:?}");
        }
    }
}
