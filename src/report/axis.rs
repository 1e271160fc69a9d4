//! Axes and their ticks.

use std::ops::{Range, RangeInclusive};

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

/// A logarithmic axis between two positive values.
#[derive(Debug)]
pub(super) struct LogAxis {
    range: Range<f64>,
}

/// Where a logarithmic axis may begin and end.
const STEPS: [f64; 3] = [1.0, 2.0, 5.0];

impl LogAxis {
    /// The shortest axis from one of 1, 2 and 5 times a power of ten to another that has all these values, which are
    /// positive and finite, strictly between its ends.
    pub(super) fn around(values: impl IntoIterator<Item = f64>) -> Self {
        let wider = |(least, most): (f64, f64), value: f64| (least.min(value), most.max(value));
        let (least, most) = values.into_iter().fold((f64::INFINITY, 0.0), wider);
        let power = |value: f64| value.log10().floor() as i32;
        let steps = |powers| multiples(powers, &STEPS).into_iter().map(|tick| tick.value);
        let start = steps(power(least) - 1..=power(least)).filter(|&step| step < least).fold(0.0, f64::max);
        let end = steps(power(most)..=power(most) + 1).filter(|&step| step > most).fold(f64::INFINITY, f64::min);
        Self { range: start..end }
    }

    /// Ticks at 1, 2 and 5 times the powers of ten or, where these are more than `most`, at the powers of ten alone.
    pub(super) fn ticks(&self, most: usize) -> Vec<Tick> {
        let Range { start, end } = self.range;
        let slack = 1e-9;
        let within = |tick: &Tick| (start * (1.0 - slack)..=end * (1.0 + slack)).contains(&tick.value);
        let ticks = |digits| -> Vec<Tick> {
            let powers = start.log10().floor() as i32..=end.log10().ceil() as i32;
            multiples(powers, digits).into_iter().filter(within).collect()
        };
        Some(ticks(&STEPS)).filter(|ticks| ticks.len() <= most).unwrap_or_else(|| ticks(&STEPS[..1]))
    }

    /// Where a value lies, from 0 at the start to 1 at the end.
    pub(super) fn share(&self, value: f64) -> f64 {
        (value / self.range.start).ln() / (self.range.end / self.range.start).ln()
    }

    /// The value at the start.
    pub(super) fn start(&self) -> f64 {
        self.range.start
    }

    /// The value at the end.
    pub(super) fn end(&self) -> f64 {
        self.range.end
    }
}

/// These digits times powers of ten, in order.
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

    #[test]
    fn logarithmic_axes_by_hand() {
        let labels = |axis: &LogAxis, most| -> Vec<String> { axis.ticks(most).into_iter().map(|t| t.label).collect() };
        let axis = LogAxis::around([30.0, 0.3, 4.0]);
        assert_eq!((axis.start(), axis.end()), (0.2, 50.0));
        assert_eq!(labels(&axis, 8), ["0.2", "0.5", "1", "2", "5", "10", "20", "50"]);
        assert_eq!(labels(&axis, 7), ["1", "10"]);
        assert_eq!((axis.share(0.2), axis.share(50.0)), (0.0, 1.0));
        assert!((axis.share(10f64.sqrt()) - 0.5).abs() < 1e-12, "{}", axis.share(10f64.sqrt()));
        // A value at a step lies strictly within too.
        let axis = LogAxis::around([10.0]);
        assert_eq!((axis.start(), axis.end()), (5.0, 20.0));
        let axis = LogAxis::around([0.099, 200.0]);
        assert_eq!((axis.start(), axis.end()), (0.05, 500.0));
    }
}
