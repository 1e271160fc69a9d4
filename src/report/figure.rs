//! Draws images one above the other, as SVG.

use super::Axis;
use super::grid::{Drawing, Strip, Tile, grid};
use crate::Result;

/// One image of a figure.
#[derive(Debug, Clone)]
pub struct Panel {
    /// The text above it; it may be empty.
    pub title: String,
    /// The image, made by [`super::heatmap`].
    pub png: Vec<u8>,
    /// The vertical axis, from bottom to top.
    pub y: Axis,
}

/// Stacks panels of `width` by `height` pixels over one horizontal axis. With `scale`, a colour scale stands at the
/// right. See [`grid`].
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
    fn two_panels_have_the_expected_geometry() {
        let x = Axis::new("time in s", 0.0..4.0);
        let svg = figure(&[panel("a < b"), panel("c")], &x, None, (300.0, 150.0)).unwrap();
        // Width 56 + 300 + 12, height 2 (26 + 150) + 40.
        assert!(svg.contains(r#"viewBox="0 0 368 392""#), "{svg}");
        assert!(svg.contains(">a &lt; b</text>") && svg.contains(r#"aria-label="a &lt; b, c""#), "{svg}");
        assert_eq!(svg.matches("data:image/png;base64,iVBORw0KGgo").count(), 2);
        // 4 kHz lies halfway up the first image, 1 s a quarter along it.
        assert!(svg.contains(r#"<text x="49.0" y="105.0" text-anchor="end">4</text>"#), "{svg}");
        assert!(svg.contains(r#"<text x="131.0" y="368.0" text-anchor="middle">1.0</text>"#), "{svg}");
        assert_eq!(svg.matches(">time in s</text>").count(), 1);
        assert_eq!(svg.matches(">frequency in kHz</text>").count(), 2);
    }

    #[test]
    fn the_colour_scale_is_a_third_image_with_an_axis() {
        let (x, scale) = (Axis::new("time in s", 0.0..4.0), Axis::new("dB", -80.0..0.0));
        let svg = figure(&[panel("a")], &x, Some(&scale), (300.0, 150.0)).unwrap();
        assert_eq!(svg.matches("<image").count(), 2);
        assert!(svg.contains(r#"viewBox="0 0 432 216""#), "{svg}");
        // -40 dB lies in the middle: x = 56 + 300 + 14 + 10 + 7, y = 26 + 75 + 4.
        assert!(svg.contains(r#"<text x="387.0" y="105.0" text-anchor="start">-40</text>"#), "{svg}");
    }

    #[test]
    fn a_figure_without_panels_is_refused() {
        assert!(figure(&[], &Axis::new("x", 0.0..1.0), None, (9.0, 9.0)).is_err());
    }
}
