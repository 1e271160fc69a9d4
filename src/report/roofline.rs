//! Draws a roofline: kernel speeds against the limits of arithmetic and memory traffic (Williams, Waterman & Patterson
//! 2009).

use super::axis::Axis;
use super::html::escape;
use super::svg::{MIDDLE, line, open, text};
use crate::{Error, Result};

/// The limits of a machine.
#[derive(Debug, Clone, Copy)]
pub struct Roof {
    /// Operations per second.
    pub flops: f64,
    /// Bytes per second.
    pub bytes: f64,
}

/// A kernel under the roof.
#[derive(Debug, Clone)]
pub struct Point {
    /// Its label.
    pub label: String,
    /// Its series. All points of a series have one colour.
    pub series: String,
    /// Operations per byte.
    pub intensity: f64,
    /// Operations per second.
    pub flops: f64,
}

impl Roof {
    /// The attainable operations per second at an intensity in operations per byte.
    pub fn at(self, intensity: f64) -> f64 {
        self.flops.min(self.bytes * intensity)
    }

    /// The intensity above which arithmetic is the limit.
    fn ridge(self) -> f64 {
        self.flops / self.bytes
    }
}

/// The plot's position in the image, in pixels. Its height grows with the number of labels.
const LEFT: f64 = 62.0;
const TOP: f64 = 46.0;
const WIDTH: f64 = 520.0;
const LEAST_HEIGHT: f64 = 340.0;
const BOTTOM: f64 = 46.0;
/// The width of the labels at the right, and the height of one label.
const LABELS: f64 = 330.0;
const LABEL_HEIGHT: f64 = 15.0;
/// Distance between the plot and its labels.
const GUTTER: f64 = 46.0;
/// The plot begins at least this factor below the ridge, so that the slope is visible.
const BEFORE_RIDGE: f64 = 4.0;
/// Colours that colour-blind readers can tell apart too (Okabe & Ito 2008).
pub(super) const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// Draws kernels under their roof as SVG: intensity in flop per byte against GFLOP/s, both logarithmic. The labels
/// stand at the right in the order of the points' heights, so none covers another.
///
/// # Errors
/// [`Error::Input`] if there are no points, or a number is not positive and finite.
pub fn roofline(title: &str, roof: Roof, points: &[Point]) -> Result<String> {
    let numbers = || points.iter().flat_map(|point| [point.intensity, point.flops]).chain([roof.flops, roof.bytes]);
    if points.is_empty() || numbers().any(|number| !(number.is_finite() && number > 0.0)) {
        return Err(Error::input("a roofline needs points with positive, finite numbers"));
    }
    let height = (points.len() as f64 * LABEL_HEIGHT).max(LEAST_HEIGHT);
    let plot = Plot {
        intensity: Axis::log_around(
            "flop per byte that must be moved",
            points.iter().map(|point| point.intensity).chain([roof.ridge() / BEFORE_RIDGE]),
        ),
        flops: Axis::log_around("GFLOP/s", points.iter().map(|point| point.flops).chain([roof.flops])),
        height,
    };
    let mut svg = open((LEFT + WIDTH + GUTTER + LABELS, TOP + height + BOTTOM), title);
    svg += &text((LEFT, 16.0), r#"font-size="13" font-weight="600""#, title);
    svg += &plot.axes();
    svg += &plot.roof(roof);
    svg += &plot.points(points);
    Ok(svg + "</svg>\n")
}

struct Plot {
    intensity: Axis,
    flops: Axis,
    height: f64,
}

impl Plot {
    fn x(&self, intensity: f64) -> f64 {
        LEFT + self.intensity.share(intensity) * WIDTH
    }

    fn y(&self, flops: f64) -> f64 {
        TOP + (1.0 - self.flops.share(flops)) * self.height
    }

    fn axes(&self) -> String {
        let (right, bottom) = (LEFT + WIDTH, TOP + self.height);
        let mut svg = line((LEFT, TOP), (LEFT, bottom)) + &line((LEFT, bottom), (right, bottom));
        for tick in self.intensity.ticks((WIDTH / 40.0) as usize) {
            let x = self.x(tick.value);
            svg += &line((x, bottom), (x, bottom + 4.0));
            svg += &text((x, bottom + 16.0), MIDDLE, &tick.label);
        }
        for tick in self.flops.ticks((self.height / 30.0) as usize) {
            let y = self.y(tick.value);
            let label = (tick.value / 1e9).to_string();
            svg += &line((LEFT - 4.0, y), (LEFT, y));
            svg += &text((LEFT - 7.0, y + 4.0), r#"text-anchor="end""#, &label);
        }
        svg += &text((LEFT + WIDTH / 2.0, bottom + 35.0), MIDDLE, &self.intensity.name);
        let (x, y) = (14.0, TOP + self.height / 2.0);
        svg + &text((x, y), &format!(r#"{MIDDLE} transform="rotate(-90 {x:.1} {y:.1})""#), &self.flops.name)
    }

    /// The roof: it rises with the intensity up to the ridge and is level after it. The plot clips it.
    fn roof(&self, roof: Roof) -> String {
        let first = self.intensity.range.start.max(self.flops.range.start / roof.bytes);
        let corners = [first, roof.ridge(), self.intensity.range.end].map(|at| (self.x(at), self.y(roof.at(at))));
        let [foot, ridge, end] = corners;
        let mut svg = format!(
            "<path d=\"M{:.1} {:.1}L{:.1} {:.1}L{:.1} {:.1}\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"2\"/>\n",
            foot.0, foot.1, ridge.0, ridge.1, end.0, end.1
        );
        let arithmetic = format!("{:.0} GFLOP/s in registers", roof.flops / 1e9);
        // At the right end of the plot, below the title: it reaches neither the title nor the labels of the points.
        svg += &text((end.0, end.1 - 7.0), r#"text-anchor="end""#, &arithmetic);
        let (x, y) = ((foot.0 + ridge.0) / 2.0 - 5.0, (foot.1 + ridge.1) / 2.0 - 5.0);
        let angle = (ridge.1 - foot.1).atan2(ridge.0 - foot.0).to_degrees();
        let slope = format!(r#"{MIDDLE} transform="rotate({angle:.1} {x:.1} {y:.1})""#);
        svg + &text((x, y), &slope, &format!("{:.0} GB/s copied", roof.bytes / 1e9))
    }

    fn points(&self, points: &[Point]) -> String {
        let mut series: Vec<&str> = Vec::new();
        for point in points {
            if !series.contains(&point.series.as_str()) {
                series.push(&point.series);
            }
        }
        let mut order: Vec<&Point> = points.iter().collect();
        order.sort_by(|a, b| b.flops.total_cmp(&a.flops));
        let heights: Vec<f64> = order.iter().map(|point| self.y(point.flops)).collect();
        let labels = spread(&heights, LABEL_HEIGHT, TOP + self.height);
        let mut svg = String::new();
        for ((point, y), label) in order.iter().zip(heights).zip(labels) {
            let place = series.iter().position(|&name| name == point.series).unwrap_or(0);
            let colour = COLOURS[place % COLOURS.len()];
            let (x, end) = (self.x(point.intensity), LEFT + WIDTH + GUTTER);
            svg += &format!(
                "<path d=\"M{x:.1} {y:.1}L{:.1} {label:.1}\" stroke=\"{colour}\" stroke-opacity=\"0.35\"/>\n\
                 <circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>\n\
                 <text x=\"{end:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>\n",
                end - 4.0,
                label + 4.0,
                escape(&point.label)
            );
        }
        svg
    }
}

/// Heights for labels close to `wanted` (from the top down), at least `gap` apart and none below `bottom`.
fn spread(wanted: &[f64], gap: f64, bottom: f64) -> Vec<f64> {
    let mut heights: Vec<f64> = Vec::with_capacity(wanted.len());
    for (index, &height) in wanted.iter().enumerate() {
        let after = heights.last().map_or(height, |last| height.max(last + gap));
        let below = (wanted.len() - 1 - index) as f64;
        heights.push(after.min(bottom - below * gap));
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(label: &str, intensity: f64, flops: f64) -> Point {
        Point { label: label.into(), series: label.into(), intensity, flops }
    }

    #[test]
    fn points_and_roof_have_the_expected_geometry() {
        // The ridge is at 10 flop per byte. Both axes end one step beyond their content: 1 to 100 flop per byte, 5 to
        // 200 GFLOP/s.
        let roof = Roof { flops: 1e11, bytes: 1e10 };
        assert_eq!((roof.at(2.0), roof.at(10.0), roof.at(50.0)), (2e10, 1e11, 1e11));
        let points = [point("low", 2.0, 1e10), point("a < b", 50.0, 1e11)];
        let svg = roofline("machine", roof, &points).unwrap();
        let x = |intensity: f64| LEFT + intensity.log10() / 2.0 * WIDTH;
        let y = |giga: f64| TOP + (1.0 - (giga / 5.0).log10() / 40f64.log10()) * LEAST_HEIGHT;
        let circle = |intensity, giga| format!("<circle cx=\"{:.1}\" cy=\"{:.1}\"", x(intensity), y(giga));
        assert!(svg.contains(&circle(2.0, 10.0)) && svg.contains(&circle(50.0, 100.0)), "{svg}");
        // The roof enters the plot at 1 flop per byte, where 10 GFLOP/s are attainable.
        let corners = [(1.0, 10.0), (10.0, 100.0), (100.0, 100.0)].map(|(i, g)| format!("{:.1} {:.1}", x(i), y(g)));
        assert!(svg.contains(&format!("M{}", corners.join("L"))), "{svg}");
        assert!(svg.contains(">a &lt; b</text>") && svg.contains(">100 GFLOP/s in registers<"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2);
    }

    /// The places of the texts whose words begin so: x, y and whether x is their end.
    fn place(svg: &str, words: &str) -> (f64, f64, bool) {
        let line = svg.lines().find(|line| line.contains(&format!(">{words}"))).unwrap();
        let number = |name: &str| {
            let from = line.find(&format!(" {name}=\"")).unwrap() + name.len() + 3;
            line[from..].split('"').next().unwrap().parse::<f64>().unwrap()
        };
        (number("x"), number("y"), line.contains("text-anchor=\"end\""))
    }

    #[test]
    fn the_label_of_the_roof_is_clear_of_the_title_and_the_points_labels() {
        // A ridge far at the right, as cards have it.
        let roof = Roof { flops: 6e13, bytes: 3e11 };
        let points: Vec<Point> = (0..40).map(|i| point(&format!("kernel {i}"), 40.0, 5e13 - f64::from(i))).collect();
        let svg = roofline(&"a long name of a card ".repeat(4), roof, &points).unwrap();
        let (x, y, is_end) = place(&svg, "60000 GFLOP/s");
        assert!(is_end && x <= LEFT + WIDTH && y - 16.0 >= 15.0, "{x} {y}");
        let mut heights: Vec<f64> = (0..40).map(|i| place(&svg, &format!("kernel {i}<")).1).collect();
        heights.sort_by(f64::total_cmp);
        assert!(heights.windows(2).all(|pair| pair[1] - pair[0] >= LABEL_HEIGHT - 0.11), "{heights:?}");
        assert!(heights[0] > 0.0 && heights[39] <= TOP + 40.0 * LABEL_HEIGHT + 4.0, "{heights:?}");
    }

    #[test]
    fn labels_keep_their_order_and_distance() {
        assert_eq!(spread(&[10.0, 12.0, 50.0, 98.0, 99.0], 10.0, 100.0), [10.0, 20.0, 50.0, 90.0, 100.0]);
        assert_eq!(spread(&[95.0, 96.0, 97.0], 10.0, 100.0), [80.0, 90.0, 100.0]);
        assert!(spread(&[], 10.0, 100.0).is_empty());
    }

    #[test]
    fn a_roofline_without_points_is_refused() {
        let roof = Roof { flops: 1e11, bytes: 1e10 };
        assert!(roofline("", roof, &[]).is_err());
        assert!(roofline("", roof, &[point("", 0.0, 1e9)]).is_err());
        assert!(roofline("", Roof { flops: f64::NAN, bytes: 1e10 }, &[point("", 1.0, 1e9)]).is_err());
    }
}
