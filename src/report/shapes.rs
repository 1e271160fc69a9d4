//! What a drawing consists of, before it is SVG or pixels.

use std::fmt;

use super::svg::{self, MIDDLE};

/// A place, or a size, in pixels: across and down.
pub(super) type Point = (f64, f64);

/// A part of a drawing. All are black on white paper, or in the colours of the page around them.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// A PNG, enlarged to a rectangle.
    Image {
        png: Vec<u8>,
        corner: Point,
        size: Point,
        /// Whether its pixels keep their edges.
        sharp: bool,
    },
    /// A line through points, one pixel wide.
    Line(Vec<Point>),
    /// Words on one line.
    Words { at: Point, words: String, style: Style },
}

/// How words stand at their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// They begin there.
    Begin,
    /// They end there.
    End,
    /// Their middle is there.
    Centre,
    /// The same, and they are read upwards.
    Upwards,
    /// They begin there, as the heading of an image.
    Title,
    /// They begin there, as the heading of several.
    Heading,
}

impl Style {
    /// The size of the letters.
    pub(super) fn size(self) -> f64 {
        match self {
            Self::Title => 13.0,
            Self::Heading => 16.0,
            _ => 11.0,
        }
    }

    pub(super) fn is_bold(self) -> bool {
        matches!(self, Self::Title | Self::Heading)
    }
}

/// Keeps pixels sharp: browsers know the newer keyword of CSS alone, and other programs the older one of SVG.
pub(super) const SHARP: &str = r#" image-rendering="optimizeSpeed" style="image-rendering:pixelated""#;

/// A drawing. Written out, it is an SVG file of its own.
#[derive(Debug, Clone)]
pub(super) struct Sketch {
    pub(super) size: Point,
    /// What it shows, for those who do not see it.
    pub(super) label: String,
    pub(super) shapes: Vec<Shape>,
}

impl Sketch {
    /// Puts sketches one below the other.
    pub(super) fn stacked(sketches: Vec<Self>) -> Self {
        let mut whole = Self { size: (0.0, 0.0), label: String::new(), shapes: Vec::new() };
        for Self { size: (width, height), label, shapes } in sketches {
            let top = whole.size.1;
            whole.shapes.extend(shapes.into_iter().map(|shape| shape.lowered(top)));
            whole.size = (whole.size.0.max(width), top + height);
            whole.label += if whole.label.is_empty() || label.is_empty() { "" } else { ", " };
            whole.label += &label;
        }
        whole
    }
}

impl Shape {
    fn lowered(self, by: f64) -> Self {
        let lower = |(x, y): Point| (x, y + by);
        match self {
            Self::Image { png, corner, size, sharp } => Self::Image { png, corner: lower(corner), size, sharp },
            Self::Line(points) => Self::Line(points.into_iter().map(lower).collect()),
            Self::Words { at, words, style } => Self::Words { at: lower(at), words, style },
        }
    }
}

impl fmt::Display for Sketch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&svg::open(self.size, &self.label))?;
        self.shapes.iter().try_for_each(|shape| shape.fmt(f))?;
        f.write_str("</svg>\n")
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            Self::Image { png, corner, size, sharp } => {
                svg::image(png, *corner, *size, if *sharp { SHARP } else { "" })
            }
            Self::Line(points) => {
                let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
                format!("<path d=\"M{}\" fill=\"none\" stroke=\"currentColor\"/>\n", points.join("L"))
            }
            Self::Words { at: (x, y), words, style } => {
                let style = match style {
                    Style::Begin => r#"text-anchor="start""#.into(),
                    Style::End => r#"text-anchor="end""#.into(),
                    Style::Centre => MIDDLE.into(),
                    Style::Upwards => format!(r#"{MIDDLE} transform="rotate(-90 {x:.1} {y:.1})""#),
                    Style::Title | Style::Heading => format!(r#"font-size="{}" font-weight="600""#, style.size()),
                };
                svg::text((*x, *y), &style, words)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacked_sketches_lie_one_below_the_other() {
        let sketch = |size, label: &str, shape| Sketch { size, label: label.into(), shapes: vec![shape] };
        let words = Shape::Words { at: (1.0, 2.0), words: "a < b".into(), style: Style::Upwards };
        let line = Shape::Line(vec![(0.0, 0.0), (5.0, 5.0)]);
        let svg =
            Sketch::stacked(vec![sketch((30.0, 10.0), "one", line), sketch((20.0, 40.0), "two", words)]).to_string();
        assert!(svg.contains(r#"viewBox="0 0 30 50""#) && svg.contains(r#"aria-label="one, two""#), "{svg}");
        assert!(svg.contains(r#"d="M0.0 0.0L5.0 5.0""#), "{svg}");
        assert!(
            svg.contains(r#"x="1.0" y="12.0" text-anchor="middle" transform="rotate(-90 1.0 12.0)">a &lt; b<"#),
            "{svg}"
        );
    }
}
