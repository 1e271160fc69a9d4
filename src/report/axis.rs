//! Axes and ticks.

use std::ops::{Range, RangeInclusive};

/// An axis: its name, which includes the unit, and its range.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// For example "time in s".
    pub name: String,
    /// The values at both ends, positive on a logarithmic axis.
    pub range: Range<f64>,
    /// Whether equal ratios, not equal differences, have equal distances.
    pub logarithmic: bool,
    /// Whether it counts, so that ticks lie at whole numbers alone.
    pub whole: bool,
}

/// A tick on an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Its position in the axis's unit.
    pub value: f64,
    /// Its label, with no more digits than the distance of the ticks needs.
    pub label: String,
}

/// The multiples of powers of ten that are ticks of a logarithmic axis.
const STEPS: [f64; 3] = [1.0, 2.0, 5.0];
/// The ends of the range count as ticks even if rounding puts them slightly outside.
const SLACK: f64 = 1e-9;

impl Axis {
    /// A linear axis.
    pub fn new(name: &str, range: Range<f64>) -> Self {
        Self { name: name.into(), range, logarithmic: false, whole: false }
    }

    /// An axis that counts to `count`, with ticks at whole numbers.
    pub fn count(name: &str, count: usize) -> Self {
        Self { whole: true, ..Self::new(name, 0.0..count as f64) }
    }

    /// A logarithmic axis between two positive values.
    pub fn log(name: &str, range: Range<f64>) -> Self {
        Self { name: name.into(), range, logarithmic: true, whole: false }
    }

    /// The shortest logarithmic axis that contains all values strictly inside. Both ends are 1, 2 or 5 times a power of
    /// ten. The values must be positive and finite.
    pub(super) fn log_around(name: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let wider = |(least, most): (f64, f64), value: f64| (least.min(value), most.max(value));
        let (least, most) = values.into_iter().fold((f64::INFINITY, 0.0), wider);
        let power = |value: f64| value.log10().floor() as i32;
        let steps = |powers| multiples(powers, &STEPS).into_iter().map(|tick| tick.value);
        let start = steps(power(least) - 1..=power(least)).filter(|&step| step < least).fold(0.0, f64::max);
        let end = steps(power(most)..=power(most) + 1).filter(|&step| step > most).fold(f64::INFINITY, f64::min);
        Self::log(name, start..end)
    }

    /// At most `most` ticks (1 or more). On a linear axis they are multiples of 1, 2 or 5 times a power of ten, with
    /// the smallest distance that keeps to `most`. On a logarithmic axis they are 1, 2 and 5 times the powers of ten,
    /// or the powers alone if those are too many. An axis of zero length has none.
    pub fn ticks(&self, most: usize) -> Vec<Tick> {
        let Range { start, end } = self.range;
        if !(end > start && (end - start).is_finite() && (start > 0.0 || !self.logarithmic)) {
            return Vec::new();
        }
        if self.logarithmic { self.log_ticks(most) } else { self.even_ticks(most.max(1) as f64) }
    }

    fn even_ticks(&self, most: f64) -> Vec<Tick> {
        let Range { start, end } = self.range;
        let least_power = ((end - start) / most).log10().floor() as i32 - 1;
        let least_power = if self.whole { least_power.max(0) } else { least_power };
        let distances = (least_power..).flat_map(|power| STEPS.map(|digit| (digit, power)));
        for (digit, power) in distances {
            let distance = digit * 10f64.powi(power);
            let (first, last) = ((start / distance - SLACK).ceil(), (end / distance + SLACK).floor());
            if last - first + 1.0 <= most {
                let decimals = usize::try_from(-power).unwrap_or(0);
                let count = (last - first + 1.0).max(0.0) as usize;
                // Adding 0 turns a -0 from rounding up into 0.
                let values = (0..count).map(|index| (first + index as f64) * distance + 0.0);
                return values.map(|value| Tick { value, label: format!("{value:.decimals$}") }).collect();
            }
        }
        Vec::new()
    }

    fn log_ticks(&self, most: usize) -> Vec<Tick> {
        let Range { start, end } = self.range;
        let within = |tick: &Tick| (start * (1.0 - SLACK)..=end * (1.0 + SLACK)).contains(&tick.value);
        let ticks = |digits| -> Vec<Tick> {
            let powers = start.log10().floor() as i32..=end.log10().ceil() as i32;
            multiples(powers, digits).into_iter().filter(within).collect()
        };
        Some(ticks(&STEPS)).filter(|ticks| ticks.len() <= most).unwrap_or_else(|| ticks(&STEPS[..1]))
    }

    /// The relative position of a value: 0 at the start, 1 at the end.
    pub(super) fn share(&self, value: f64) -> f64 {
        let Range { start, end } = self.range;
        if self.logarithmic { (value / start).ln() / (end / start).ln() } else { (value - start) / (end - start) }
    }
}

/// These digits times the powers of ten, in ascending order.
fn multiples(powers: RangeInclusive<i32>, digits: &[f64]) -> Vec<Tick> {
    let multiple = |power: i32, digit: f64| {
        let (value, decimals) = (digit * 10f64.powi(power), usize::try_from(-power).unwrap_or(0));
        Tick { value, label: format!("{value:.decimals$}") }
    };
    powers.flat_map(|power| digits.iter().map(move |&digit| multiple(power, digit))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(range: Range<f64>, most: usize) -> Vec<String> {
        Axis::new("x", range).ticks(most).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn linear_ticks_equal_expected_labels() {
        assert_eq!(labels(0.0..8.0, 5), ["0", "2", "4", "6", "8"]);
        assert_eq!(labels(0.0..3.7, 8), ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0", "3.5"]);
        assert_eq!(labels(-83.2..-3.2, 4), ["-80", "-60", "-40", "-20"]);
        assert_eq!(labels(0.0..3.0e4, 4), ["0", "10000", "20000", "30000"]);
        assert_eq!(labels(0.0..0.05, 6), ["0.00", "0.01", "0.02", "0.03", "0.04", "0.05"]);
        assert_eq!(labels(-0.3..0.3, 3), ["-0.2", "0.0", "0.2"]);
    }

    #[test]
    fn an_axis_that_counts_has_whole_ticks() {
        let labels = |count, most| -> Vec<String> {
            Axis::count("x", count).ticks(most).into_iter().map(|tick| tick.label).collect()
        };
        assert_eq!(labels(2, 20), ["0", "1", "2"]);
        assert_eq!(labels(96, 4), ["0", "50"]);
        assert!(labels(0, 4).is_empty());
    }

    #[test]
    fn extreme_axes_have_few_ticks_or_none() {
        assert_eq!(labels(0.0..8.0, 0), ["0"]);
        for range in [1.0..1.0, 2.0..1.0, 0.0..f64::INFINITY, f64::NAN..1.0] {
            assert!(labels(range.clone(), 5).is_empty(), "{range:?}");
        }
        for most in 1..40 {
            let ticks = labels(0.0..44.1, most);
            assert!((1..=most).contains(&ticks.len()), "{most}: {ticks:?}");
        }
    }

    #[test]
    fn logarithmic_ticks_and_ranges_equal_expected_values() {
        let labels = |axis: &Axis, most| -> Vec<String> { axis.ticks(most).into_iter().map(|t| t.label).collect() };
        let axis = Axis::log_around("x", [30.0, 0.3, 4.0]);
        assert_eq!(axis, Axis::log("x", 0.2..50.0));
        assert_eq!(labels(&axis, 8), ["0.2", "0.5", "1", "2", "5", "10", "20", "50"]);
        assert_eq!(labels(&axis, 7), ["1", "10"]);
        assert_eq!((axis.share(0.2), axis.share(50.0)), (0.0, 1.0));
        assert!((axis.share(10f64.sqrt()) - 0.5).abs() < 1e-12, "{}", axis.share(10f64.sqrt()));
        // A value at a possible end lies strictly inside too.
        assert_eq!(Axis::log_around("", [10.0]).range, 5.0..20.0);
        assert_eq!(Axis::log_around("", [0.099, 200.0]).range, 0.05..500.0);
        assert_eq!(labels(&Axis::log("Hz", 50.0..7834.0), 8), ["50", "100", "200", "500", "1000", "2000", "5000"]);
        for range in [0.0..8.0, -1.0..8.0, 8.0..8.0] {
            assert!(labels(&Axis::log("x", range.clone()), 5).is_empty(), "{range:?}");
        }
    }
}
