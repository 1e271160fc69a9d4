//! Pictures with axes, as SVG.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ndarray::Array2;

use super::html::escape;
use super::{Axis, heatmap};
use crate::{Error, Result};

/// One picture of a figure.
#[derive(Debug, Clone)]
pub struct Panel {
    /// What stands over it.
    pub title: String,
    /// The picture, as of [`heatmap`].
    pub png: Vec<u8>,
    /// The vertical axis, from the bottom up.
    pub y: Axis,
}

/// Room around a panel, in pixels.
const LEFT: f64 = 48.0;
const RIGHT: f64 = 12.0;
const TITLE: f64 = 26.0;
const BOTTOM: f64 = 40.0;
/// The room at the right that the scale of the colours takes.
const SCALE: f64 = 68.0;
/// Pixels a tick has to itself, at least.
const TICK_HEIGHT: f64 = 30.0;
const TICK_WIDTH: f64 = 60.0;

/// Panels of `width` by `height` pixels, one above the other over one horizontal axis; with `scale`, what the colours mean
/// stands at the right. The SVG needs nothing beside it. It lies on white paper; a page whose style says
/// `.paper { fill: none }` lays it on its own ground, with lines and text in the page's colour.
///
/// # Errors
/// [`Error::Input`] if there are no panels.
pub fn figure(panels: &[Panel], x: &Axis, scale: Option<&Axis>, (width, height): (f64, f64)) -> Result<String> {
    if panels.is_empty() {
        return Err(Error::input("a figure of no panels cannot be drawn; give at least one"));
    }
    let bottom = panels.len() as f64 * (TITLE + height);
    let whole = (LEFT + width + if scale.is_some() { SCALE } else { RIGHT }, bottom + BOTTOM);
    let titles: Vec<&str> = panels.iter().map(|panel| panel.title.as_str()).collect();
    let mut svg = open(whole, &titles.join(", "));
    for (index, panel) in panels.iter().enumerate() {
        let top = index as f64 * (TITLE + height) + TITLE;
        svg += &text((LEFT, top - 8.0), r#"font-size="13" font-weight="600""#, &panel.title);
        svg += &image(&panel.png, (LEFT, top), (width, height));
        svg += &vertical(&panel.y, (LEFT, top), height, -1.0);
    }
    for tick in x.ticks((width / TICK_WIDTH) as usize) {
        let at = LEFT + x.share(tick.value) * width;
        svg += &line((at, bottom), (at, bottom + 4.0));
        svg += &text((at, bottom + 16.0), MIDDLE, &tick.label);
    }
    svg += &text((LEFT + width / 2.0, bottom + 33.0), MIDDLE, &x.name);
    if let Some(scale) = scale {
        let colours = Array2::from_shape_fn((256, 1), |(row, _)| row as f32);
        let left = LEFT + width + 14.0;
        svg += &image(&heatmap(colours.view(), 0.0..255.0)?, (left, TITLE), (10.0, height));
        svg += &vertical(scale, (left + 10.0, TITLE), height, 1.0);
    }
    Ok(svg + "</svg>\n")
}

pub(super) const MIDDLE: &str = r#"text-anchor="middle""#;

/// The beginning of a picture of a size, with what it is called where it cannot be seen; `</svg>` ends it.
pub(super) fn open((width, height): (f64, f64), label: &str) -> String {
    let label = escape(label);
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{label}" font-family="system-ui, sans-serif" font-size="11" fill="currentColor">
<rect class="paper" width="{width}" height="{height}" fill="white"/>
"#
    )
}

/// An axis beside a picture, from the picture's corner at the top down; `side` is -1 to its left and 1 to its right.
fn vertical(axis: &Axis, (x, top): (f64, f64), height: f64, side: f64) -> String {
    let anchor = if side < 0.0 { r#"text-anchor="end""# } else { r#"text-anchor="start""# };
    let mut svg = String::new();
    for tick in axis.ticks((height / TICK_HEIGHT) as usize) {
        let y = top + (1.0 - axis.share(tick.value)) * height;
        svg += &line((x, y), (x + 4.0 * side, y));
        svg += &text((x + 7.0 * side, y + 4.0), anchor, &tick.label);
    }
    // Rotated text stands above its base line, which here is to its right.
    let (x, y) = (x + 36.0 * side + 4.0, top + height / 2.0);
    svg + &text((x, y), &format!(r#"{MIDDLE} transform="rotate(-90 {x:.1} {y:.1})""#), &axis.name)
}

fn image(png: &[u8], (x, y): (f64, f64), (width, height): (f64, f64)) -> String {
    let data = STANDARD.encode(png);
    format!(
        r#"<image x="{x}" y="{y}" width="{width}" height="{height}" preserveAspectRatio="none" href="data:image/png;base64,{data}"/>
"#
    )
}

pub(super) fn line((x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> String {
    format!("<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\" stroke=\"currentColor\"/>\n")
}

pub(super) fn text((x, y): (f64, f64), style: &str, words: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{}</text>\n", escape(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(title: &str) -> Panel {
        let png = heatmap(Array2::zeros((2, 3)).view(), 0.0..1.0).unwrap();
        Panel { title: title.into(), png, y: Axis::new("frequency in kHz", 0.0..8.0) }
    }

    #[test]
    fn two_panels_by_hand() {
        let x = Axis::new("time in s", 0.0..4.0);
        let svg = figure(&[panel("a < b"), panel("c")], &x, None, (300.0, 150.0)).unwrap();
        // 48 + 300 + 12 by 2 (26 + 150) + 40.
        assert!(svg.contains(r#"viewBox="0 0 360 392""#), "{svg}");
        assert!(svg.contains(">a &lt; b</text>") && svg.contains(r#"aria-label="a &lt; b, c""#), "{svg}");
        assert_eq!(svg.matches("data:image/png;base64,iVBORw0KGgo").count(), 2);
        // 4 kHz is half way down the first picture, 1 s a quarter along it.
        assert!(svg.contains(r#"<text x="41.0" y="105.0" text-anchor="end">4</text>"#), "{svg}");
        assert!(svg.contains(r#"<text x="123.0" y="368.0" text-anchor="middle">1</text>"#), "{svg}");
        assert_eq!(svg.matches(">time in s</text>").count(), 1);
        assert_eq!(svg.matches(">frequency in kHz</text>").count(), 2);
    }

    #[test]
    fn the_scale_is_a_third_picture_and_axis() {
        let (x, scale) = (Axis::new("time in s", 0.0..4.0), Axis::new("dB", -80.0..0.0));
        let svg = figure(&[panel("a")], &x, Some(&scale), (300.0, 150.0)).unwrap();
        assert_eq!(svg.matches("<image").count(), 2);
        assert!(svg.contains(r#"viewBox="0 0 416 216""#), "{svg}");
        // -40 dB in the middle: 48 + 300 + 14 + 10 + 7, 26 + 75 + 4.
        assert!(svg.contains(r#"<text x="379.0" y="105.0" text-anchor="start">-40</text>"#), "{svg}");
    }

    #[test]
    fn no_figure_of_nothing() {
        assert!(figure(&[], &Axis::new("x", 0.0..1.0), None, (9.0, 9.0)).is_err());
    }
}
