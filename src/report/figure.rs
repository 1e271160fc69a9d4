//! Pictures one above the other, as SVG.

use super::Axis;
use super::grid::{Drawing, Strip, Tile, grid};
use crate::Result;

/// One picture of a figure.
#[derive(Debug, Clone)]
pub struct Panel {
    /// What stands over it.
    pub title: String,
    /// The picture, as of [`super::heatmap`].
    pub png: Vec<u8>,
    /// The vertical axis, from the bottom up.
    pub y: Axis,
}

/// Panels of `width` by `height` pixels, one above the other over one horizontal axis; with `scale`, what the colours mean
/// stands at the right. As of [`grid`].
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if there are no panels.
pub fn figure(panels: &[Panel], x: &Axis, scale: Option<&Axis>, (width, height): (f64, f64)) -> Result<String> {
    let rows: Vec<Strip> = panels.iter().map(|panel| Strip { size: height, axis: panel.y.clone() }).collect();
    let tile = |(row, panel): (usize, &Panel)| Tile {
        place: (row, 0),
        title: panel.title.clone(),
        drawing: Drawing::Picture(panel.png.clone()),
    };
    let tiles: Vec<Tile> = panels.iter().enumerate().map(tile).collect();
    grid(&rows, &[Strip { size: width, axis: x.clone() }], &tiles, scale)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::super::heatmap;
    use super::*;

    fn panel(title: &str) -> Panel {
        let png = heatmap(Array2::zeros((2, 3)).view(), 0.0..1.0).unwrap();
        Panel { title: title.into(), png, y: Axis::new("frequency in kHz", 0.0..8.0) }
    }

    #[test]
    fn two_panels_by_hand() {
        let x = Axis::new("time in s", 0.0..4.0);
        let svg = figure(&[panel("a < b"), panel("c")], &x, None, (300.0, 150.0)).unwrap();
        // 56 + 300 + 12 by 2 (26 + 150) + 40.
        assert!(svg.contains(r#"viewBox="0 0 368 392""#), "{svg}");
        assert!(svg.contains(">a &lt; b</text>") && svg.contains(r#"aria-label="a &lt; b, c""#), "{svg}");
        assert_eq!(svg.matches("data:image/png;base64,iVBORw0KGgo").count(), 2);
        // 4 kHz is half way down the first picture, 1 s a quarter along it.
        assert!(svg.contains(r#"<text x="49.0" y="105.0" text-anchor="end">4</text>"#), "{svg}");
        assert!(svg.contains(r#"<text x="131.0" y="368.0" text-anchor="middle">1.0</text>"#), "{svg}");
        assert_eq!(svg.matches(">time in s</text>").count(), 1);
        assert_eq!(svg.matches(">frequency in kHz</text>").count(), 2);
    }

    #[test]
    fn the_scale_is_a_third_picture_and_axis() {
        let (x, scale) = (Axis::new("time in s", 0.0..4.0), Axis::new("dB", -80.0..0.0));
        let svg = figure(&[panel("a")], &x, Some(&scale), (300.0, 150.0)).unwrap();
        assert_eq!(svg.matches("<image").count(), 2);
        assert!(svg.contains(r#"viewBox="0 0 432 216""#), "{svg}");
        // -40 dB in the middle: 56 + 300 + 14 + 10 + 7, 26 + 75 + 4.
        assert!(svg.contains(r#"<text x="387.0" y="105.0" text-anchor="start">-40</text>"#), "{svg}");
    }

    #[test]
    fn no_figure_of_nothing() {
        assert!(figure(&[], &Axis::new("x", 0.0..1.0), None, (9.0, 9.0)).is_err());
    }
}
