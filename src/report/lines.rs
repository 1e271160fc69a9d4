//! Draws curves over an axis.

use super::axis::Axis;
use super::roofline::COLOURS;
use super::svg::{MIDDLE, line, open, text};
use crate::{Error, Result};

/// A curve: its name and its points, from left to right.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Its legend entry.
    pub name: String,
    /// (x, y) in the axes' units.
    pub points: Vec<(f64, f64)>,
    /// Whether it is dashed. Dashed curves are published values, beside measured ones.
    pub dashed: bool,
}

/// The plot's position in the image, in pixels.
const LEFT: f64 = 62.0;
const TOP: f64 = 34.0;
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 320.0;
const BOTTOM: f64 = 46.0;
/// The width of the legend at the right, and the height of an entry.
const LEGEND: f64 = 190.0;
const ENTRY: f64 = 20.0;

/// Draws curves over a horizontal axis as SVG. The vertical axis spans all curves and 0.
///
/// # Errors
/// [`Error::Input`] if there are no points, or a point is not finite.
pub fn lines(title: &str, x: &Axis, y: &str, curves: &[Curve]) -> Result<String> {
    let values = || curves.iter().flat_map(|curve| &curve.points);
    if values().next().is_none() || values().any(|(x, y)| !(x.is_finite() && y.is_finite())) {
        return Err(Error::input("a plot needs curves with finite points"));
    }
    let (least, most) = values().fold((0.0f64, 0.0f64), |(least, most), &(_, y)| (least.min(y), most.max(y)));
    let margin = 0.05 * (most - least).max(1e-3);
    let y = Axis::new(y, least - margin..most + margin);
    let at = |(a, b): (f64, f64)| (LEFT + x.share(a) * WIDTH, TOP + (1.0 - y.share(b)) * HEIGHT);
    let mut svg = open((LEFT + WIDTH + LEGEND, TOP + HEIGHT + BOTTOM), title);
    svg += &text((LEFT, 16.0), r#"font-size="13" font-weight="600""#, title);
    let (right, bottom) = (LEFT + WIDTH, TOP + HEIGHT);
    svg += &(line((LEFT, TOP), (LEFT, bottom)) + &line((LEFT, bottom), (right, bottom)));
    for tick in x.ticks((WIDTH / 60.0) as usize) {
        let place = at((tick.value, 0.0)).0;
        svg += &line((place, bottom), (place, bottom + 4.0));
        svg += &text((place, bottom + 16.0), MIDDLE, &tick.label);
    }
    for tick in y.ticks((HEIGHT / 30.0) as usize) {
        let place = at((x.range.start, tick.value)).1;
        let strength = if tick.value == 0.0 { 0.6 } else { 0.15 };
        svg += &format!(
            "<path d=\"M{LEFT:.1} {place:.1}L{right:.1} {place:.1}\" stroke=\"currentColor\" stroke-opacity=\"{strength}\"/>\n"
        );
        svg += &text((LEFT - 7.0, place + 4.0), r#"text-anchor="end""#, &tick.label);
    }
    svg += &text((LEFT + WIDTH / 2.0, bottom + 35.0), MIDDLE, &x.name);
    let (side, middle) = (14.0, TOP + HEIGHT / 2.0);
    svg += &text((side, middle), &format!(r#"{MIDDLE} transform="rotate(-90 {side:.1} {middle:.1})""#), &y.name);
    for (index, Curve { name, points, dashed }) in curves.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let dashes = if *dashed { r#" stroke-dasharray="6 4""# } else { "" };
        let stroke = format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}");
        let path: Vec<String> = points.iter().map(|&point| at(point)).map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        svg += &format!("<path d=\"M{}\" {stroke}/>\n", path.join("L"));
        for place in &path {
            let (x, y) = place.split_once(' ').unwrap_or_default();
            svg += &format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"{colour}\"/>\n");
        }
        let (start, height) = (right + 16.0, TOP + 10.0 + index as f64 * ENTRY);
        svg += &format!("<path d=\"M{start:.1} {height:.1}L{:.1} {height:.1}\" {stroke}/>\n", start + 24.0);
        svg += &text((start + 30.0, height + 4.0), "", name);
    }
    Ok(svg + "</svg>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(name: &str, points: &[(f64, f64)]) -> Curve {
        Curve { name: name.into(), points: points.to_vec(), dashed: name == "said" }
    }

    #[test]
    fn curves_have_the_expected_geometry() {
        let x = Axis::new("level in dB", -5.0..20.0);
        let curves = [curve("a < b", &[(-5.0, 1.0), (20.0, -1.0)]), curve("said", &[(7.5, 0.0)])];
        let svg = lines("gain", &x, "gain in dB", &curves).unwrap();
        // The axis goes from −1.1 to 1.1, so 1 is 0.1/2.2 of 320 below the top.
        let (high, low) = (TOP + HEIGHT * 0.1 / 2.2, TOP + HEIGHT * 2.1 / 2.2);
        assert!(svg.contains(&format!("M{LEFT:.1} {high:.1}L{:.1} {low:.1}\"", LEFT + WIDTH)), "{svg}");
        let middle = format!("<circle cx=\"{:.1}\" cy=\"{:.1}\"", LEFT + WIDTH / 2.0, TOP + HEIGHT / 2.0);
        assert!(svg.contains(&middle), "{svg}");
        assert_eq!((svg.matches("<circle").count(), svg.matches("stroke-dasharray").count()), (3, 2));
        for part in [">a &lt; b</text>", ">level in dB</text>", ">gain in dB</text>", ">15</text>", ">-0.5</text>"] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
    }

    #[test]
    fn a_plot_without_points_is_refused() {
        let x = Axis::new("x", 0.0..1.0);
        assert!(lines("", &x, "", &[]).is_err());
        assert!(lines("", &x, "", &[curve("a", &[(0.0, f64::NAN)])]).is_err());
    }
}
