//! Costs as curves.

use super::super::Axis;
use super::super::grid::{Drawing, Strip, Tile, sketch};
use super::super::shapes::Sketch;
use super::image::{WIDTH, fitted};
use super::picture::Picture;
use crate::Result;

/// Above this ratio of the largest to the smallest value, an axis is logarithmic.
const DECADE: f64 = 10.0;

/// A curve: its title and its values at equal distances.
pub type Values = (String, Vec<f64>);

/// An objective over the steps of a factorization.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if there are no values, or one is not finite.
pub fn objective(title: &str, note: &str, values: &[f64]) -> Result<Picture> {
    let steps = Axis::count("step", values.len().saturating_sub(1).max(1));
    let sketch = curves(&[(String::new(), values.to_vec())], &steps, "objective", around)?;
    Ok(Picture::new(title, note, sketch))
}

/// The costs of frames over `time`, for example of each channel.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if there are none, or one is not finite.
pub fn costs(title: &str, note: &str, parts: &[Values], time: &Axis) -> Result<Picture> {
    Ok(Picture::new(title, note, curves(parts, time, "cost", from_zero)?))
}

/// Curves one above the other, each with an axis of its own that `axis` makes.
fn curves(parts: &[Values], x: &Axis, name: &str, axis: fn(&str, &[f64]) -> Axis) -> Result<Sketch> {
    let rows: Vec<Strip> = parts.iter().map(|(_, values)| Strip { size: 130.0, axis: axis(name, values) }).collect();
    let tile = |(row, (title, values)): (usize, &Values)| Tile {
        place: (row, 0),
        title: fitted(title),
        drawing: Drawing::Trace { values: values.iter().map(|&value| value as f32).collect(), span: x.range.clone() },
    };
    let tiles: Vec<Tile> = parts.iter().enumerate().map(tile).collect();
    sketch(&rows, &[Strip { size: WIDTH as f64, axis: x.clone() }], &tiles, None)
}

/// An axis that has all values: logarithmic if they are positive and span more than a decade, otherwise from 0 on.
fn around(name: &str, values: &[f64]) -> Axis {
    let (least, most) = ends(values);
    if least > 0.0 && most / least > DECADE && most.is_finite() {
        return Axis::log_around(name, [least, most]);
    }
    from_zero(name, values)
}

/// An axis that has all values and 0.
fn from_zero(name: &str, values: &[f64]) -> Axis {
    let (least, most) = ends(values);
    Axis::new(name, least.min(0.0)..if most > 0.0 { 1.05 * most } else { 1.0 })
}

fn ends(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, 0.0f64), |(least, most), &value| (least.min(value), most.max(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objective_that_falls_far_has_a_logarithmic_axis() {
        assert_eq!(around("", &[100.0, 0.5]), Axis::log("", 0.2..200.0));
        assert_eq!(around("", &[10.0, 5.0]), Axis::new("", 0.0..10.5));
        assert_eq!(around("", &[0.0, 0.0]), Axis::new("", 0.0..1.0));
        let svg = objective("Objective", "", &[100.0, 10.0, 1.0]).unwrap().svg();
        // Without a title the curve begins at 10. From the axis of 0.5 to 200, 100 is ln 2 / ln 400 of 130 pixels below the top.
        let high = 10.0 + 130.0 * 2f64.ln() / 400f64.ln();
        assert!(svg.contains(&format!("M56.0 {high:.1}L356.0")), "{svg}");
    }

    #[test]
    fn costs_have_a_curve_for_every_part() {
        let parts = [("left".to_string(), vec![0.0, 2.0]), ("right".into(), vec![1.0, 1.0])];
        let time = Axis::new("time in s", 0.0..2.0);
        let svg = costs("Costs", "", &parts, &time).unwrap().svg();
        assert!(svg.contains(">left<") && svg.contains(">right<") && svg.matches(">cost</text>").count() == 2, "{svg}");
        assert!(costs("", "", &[("".into(), vec![f64::NAN])], &time).is_err());
        assert!(costs("", "", &[], &time).is_err());
    }
}
