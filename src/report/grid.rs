//! Draws images and traces in rows and columns with shared axes.

use std::ops::Range;

use ndarray::Array2;

use super::shapes::{Point, Shape, Sketch, Style};
use super::{Axis, heatmap};
use crate::{Error, Result};

use Side::{Left, Right};

/// A row or a column of a grid.
#[derive(Debug, Clone)]
pub struct Strip {
    /// Its height or width in pixels.
    pub size: f64,
    /// The axis that its tiles share: a row's vertical axis, from bottom to top, or a column's horizontal axis.
    pub axis: Axis,
}

/// One cell of a grid.
#[derive(Debug, Clone)]
pub struct Tile {
    /// Its row and column, from 0.
    pub place: (usize, usize),
    /// The text above it; it may be empty.
    pub title: String,
    /// Its content.
    pub drawing: Drawing,
}

/// The content of a tile.
#[derive(Debug, Clone)]
pub enum Drawing {
    /// An image, made by [`heatmap`], that spans both axes and is smooth when enlarged.
    Picture(Vec<u8>),
    /// Such an image with sharp pixels.
    Cells(Vec<u8>),
    /// A curve through values in the unit of the row's axis.
    Trace {
        /// The values, at equal distances.
        values: Vec<f32>,
        /// The positions of the first and the last value on the column's axis.
        span: Range<f64>,
    },
}

/// Margins around the tiles, in pixels.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TITLE: f64 = 26.0;
/// Space above a row without titles.
const PLAIN: f64 = 10.0;
const BOTTOM: f64 = 40.0;
/// Distance between columns: the last label of one and the first of the next stand side by side.
const GAP: f64 = 22.0;
/// Width of the colour scale at the right.
const SCALE: f64 = 76.0;
/// The least height per tick, in pixels.
const TICK_HEIGHT: f64 = 30.0;
const TICK_WIDTH: f64 = 33.0;
/// The width of a letter of a title, about.
const LETTER: f64 = 7.2;

/// Draws tiles in rows and columns. A title may be empty. A row's axis stands left of its first tile, a column's axis
/// below its last. With `scale`, a colour scale stands right of the tallest row. The SVG is self-contained.
///
/// # Errors
/// [`Error::Input`] if there are no tiles, a tile lies outside the grid, or a trace is not finite.
pub fn grid(rows: &[Strip], columns: &[Strip], tiles: &[Tile], scale: Option<&Axis>) -> Result<String> {
    sketch(rows, columns, tiles, scale).map(|sketch| sketch.to_string())
}

/// The same before it is SVG.
pub(super) fn sketch(rows: &[Strip], columns: &[Strip], tiles: &[Tile], scale: Option<&Axis>) -> Result<Sketch> {
    if tiles.is_empty() || tiles.iter().any(|tile| tile.place.0 >= rows.len() || tile.place.1 >= columns.len()) {
        return Err(Error::input("a figure needs at least one tile, and all tiles inside its rows and columns"));
    }
    let has_titles = |row| tiles.iter().any(|tile| tile.place.0 == row && !tile.title.is_empty());
    let above = |row| if has_titles(row) { TITLE } else { PLAIN };
    let tops = starts(rows, above);
    let lefts = starts(columns, |column| if column == 0 { LEFT } else { GAP });
    let end = |starts: &[f64], strips: &[Strip]| starts[strips.len() - 1] + strips[strips.len() - 1].size;
    let (right, bottom) = (end(&lefts, columns), end(&tops, rows));
    let size = (right + if scale.is_some() { SCALE } else { RIGHT }, bottom + BOTTOM);
    let mut shapes = Vec::new();
    for Tile { place: (row, column), title, drawing } in tiles {
        let (corner, size) = ((lefts[*column], tops[*row]), (columns[*column].size, rows[*row].size));
        if !title.is_empty() {
            let words = fitted(title, size.0 + if *column + 1 < columns.len() { 0.0 } else { RIGHT });
            shapes.push(Shape::Words { at: (corner.0, corner.1 - 8.0), words, style: Style::Title });
        }
        match drawing {
            Drawing::Picture(png) => shapes.push(Shape::Image { png: png.clone(), corner, size, sharp: false }),
            Drawing::Cells(png) => shapes.push(Shape::Image { png: png.clone(), corner, size, sharp: true }),
            Drawing::Trace { values, span } => {
                shapes.extend(trace(values, span, (&columns[*column].axis, &rows[*row].axis), corner, size)?);
            }
        }
    }
    for (index, Strip { size, axis }) in rows.iter().enumerate() {
        let first = tiles.iter().filter(|tile| tile.place.0 == index).map(|tile| tile.place.1).min();
        shapes.extend(first.into_iter().flat_map(|column| vertical(axis, (lefts[column], tops[index]), *size, Left)));
    }
    for (index, Strip { size, axis }) in columns.iter().enumerate() {
        let last = tiles.iter().filter(|tile| tile.place.1 == index).map(|tile| tile.place.0).max();
        let below = |row: usize| horizontal(axis, (lefts[index], tops[row] + rows[row].size), *size);
        shapes.extend(last.into_iter().flat_map(below));
    }
    if let Some(scale) = scale {
        let tallest = rows.iter().map(|row| row.size).fold(0.0, f64::max);
        let top = tops[rows.iter().position(|row| row.size == tallest).unwrap_or(0)];
        let colours = Array2::from_shape_fn((256, 1), |(row, _)| row as f32);
        let png = heatmap(colours.view(), 0.0..255.0)?;
        shapes.push(Shape::Image { png, corner: (right + 14.0, top), size: (10.0, tallest), sharp: true });
        shapes.extend(vertical(scale, (right + 24.0, top), tallest, Right));
    }
    Ok(Sketch { size, label: label(rows, columns, tiles), shapes })
}

/// The positions at which strips begin, with a space before each.
fn starts(strips: &[Strip], space: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut end = 0.0;
    let start = |(index, strip): (usize, &Strip)| {
        let start = end + space(index);
        end = start + strip.size;
        start
    };
    strips.iter().enumerate().map(start).collect()
}

/// A title, shortened if it would reach into the next tile.
fn fitted(title: &str, width: f64) -> String {
    let most = (width / LETTER) as usize;
    if title.chars().count() <= most {
        return title.into();
    }
    title.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// What a figure shows: its titles, or without any its axes.
fn label(rows: &[Strip], columns: &[Strip], tiles: &[Tile]) -> String {
    let titles: Vec<&str> = tiles.iter().map(|tile| tile.title.as_str()).filter(|title| !title.is_empty()).collect();
    if !titles.is_empty() {
        return titles.join(", ");
    }
    let (row, column) = tiles[0].place;
    format!("{} over {}", rows[row].axis.name, columns[column].axis.name)
}

/// The side of a tile at which an axis stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// The axis beside a tile, down from the tile's top corner.
fn vertical(axis: &Axis, (x, top): Point, height: f64, side: Side) -> Vec<Shape> {
    let (out, style) = if side == Left { (-1.0, Style::End) } else { (1.0, Style::Begin) };
    let mut shapes = Vec::new();
    for tick in axis.ticks((height / TICK_HEIGHT) as usize) {
        let y = top + (1.0 - axis.share(tick.value)) * height;
        shapes.push(Shape::Line(vec![(x, y), (x + 4.0 * out, y)]));
        shapes.push(Shape::Words { at: (x + 7.0 * out, y + 4.0), words: tick.label, style });
    }
    // Rotated text stands above its base line, which here is at its right.
    let at = (x + 44.0 * out + 4.0, top + height / 2.0);
    shapes.push(Shape::Words { at, words: axis.name.clone(), style: Style::Upwards });
    shapes
}

/// The axis below a tile, from the tile's bottom corner.
fn horizontal(axis: &Axis, (left, y): Point, width: f64) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for tick in axis.ticks((width / TICK_WIDTH) as usize) {
        let x = left + axis.share(tick.value) * width;
        shapes.push(Shape::Line(vec![(x, y), (x, y + 4.0)]));
        shapes.push(Shape::Words { at: (x, y + 16.0), words: tick.label, style: Style::Centre });
    }
    let at = (left + width / 2.0, y + 33.0);
    shapes.push(Shape::Words { at, words: axis.name.clone(), style: Style::Centre });
    shapes
}

/// Draws values as a curve. If several fall on one pixel, the curve goes from their minimum to their maximum.
fn trace(
    values: &[f32],
    span: &Range<f64>,
    (x, y): (&Axis, &Axis),
    (left, top): Point,
    (width, height): Point,
) -> Result<Option<Shape>> {
    if values.iter().any(|value| !value.is_finite()) {
        return Err(Error::input("a trace needs finite values"));
    }
    let step = (span.end - span.start) / values.len().saturating_sub(1).max(1) as f64;
    let at = |index: f64, value: f32| {
        let across = left + x.share(span.start + index * step) * width;
        let up = y.share(f64::from(value)).clamp(0.0, 1.0);
        (across, top + (1.0 - up) * height)
    };
    let group = (values.len() as f64 / width).ceil() as usize;
    let points: Vec<Point> = if group <= 1 {
        values.iter().enumerate().map(|(index, &value)| at(index as f64, value)).collect()
    } else {
        let ends = |(index, pixel): (usize, &[f32])| {
            let middle = (index * group) as f64 + (pixel.len() - 1) as f64 / 2.0;
            [f32::min, f32::max].map(|pick| at(middle, pixel.iter().copied().fold(pixel[0], pick)))
        };
        values.chunks(group).enumerate().flat_map(ends).collect()
    };
    Ok((!points.is_empty()).then_some(Shape::Line(points)))
}

#[cfg(test)]
mod tests {
    use super::super::shapes::SHARP;
    use super::*;

    fn strip(size: f64, axis: Axis) -> Strip {
        Strip { size, axis }
    }

    fn picture(place: (usize, usize), title: &str) -> Tile {
        let png = heatmap(Array2::zeros((2, 3)).view(), 0.0..1.0).unwrap();
        Tile { place, title: title.into(), drawing: Drawing::Picture(png) }
    }

    #[test]
    fn rows_and_columns_have_the_expected_geometry() {
        let rows = [strip(60.0, Axis::new("semitones", 0.0..9.0)), strip(210.0, Axis::log("Hz", 50.0..5000.0))];
        let columns = [strip(80.0, Axis::new("lag in s", 0.0..0.4)), strip(300.0, Axis::new("time in s", 0.0..4.0))];
        let mut tiles = [picture((1, 0), "W"), picture((0, 1), "H"), picture((1, 1), "V")];
        if let Drawing::Picture(png) = &tiles[1].drawing {
            tiles[1].drawing = Drawing::Cells(png.clone());
        }
        let svg = grid(&rows, &columns, &tiles, Some(&Axis::new("dB", -40.0..0.0))).unwrap();
        // Width 56 + 80 + 22 + 300 + 76, height 26 + 60 + 26 + 210 + 40.
        assert!(svg.contains(r#"viewBox="0 0 534 362""#), "{svg}");
        for (x, y, width, height) in [(56, 112, 80, 210), (158, 26, 300, 60), (158, 112, 300, 210), (472, 112, 10, 210)]
        {
            let image = format!(r#"<image x="{x}" y="{y}" width="{width}" height="{height}""#);
            assert!(svg.contains(&image), "{image}: {svg}");
        }
        let cells = |height| svg.matches(&format!(r#"height="{height}" preserveAspectRatio="none"{SHARP}"#)).count();
        assert_eq!((cells(60), cells(210)), (1, 1), "the tile of cells and the scale: {svg}");
        // Each axis stands once: at the first tile of a row and below the last tile of a column. 500 Hz lies halfway up
        // the first column, 5 semitones at the second.
        assert!(svg.contains(r#"<text x="49.0" y="221.0" text-anchor="end">500</text>"#), "{svg}");
        assert!(svg.contains(r#"<text x="151.0" y="56.7" text-anchor="end">5</text>"#), "{svg}");
        assert!(svg.contains(r#"<text x="308.0" y="338.0" text-anchor="middle">2.0</text>"#), "{svg}");
        for name in ["semitones", "Hz", "lag in s", "time in s", "dB"] {
            assert_eq!(svg.matches(&format!(">{name}</text>")).count(), 1, "{name}: {svg}");
        }
    }

    #[test]
    fn rows_without_titles_are_closer_and_named_by_their_axes() {
        let rows = ["a", "b"].map(|name| strip(60.0, Axis::new(name, 0.0..9.0)));
        let columns = [strip(80.0, Axis::new("time", 0.0..4.0))];
        let draw = |first: &str, second: &str| {
            let tiles = [picture((0, 0), first), picture((1, 0), second)];
            grid(&rows, &columns, &tiles, None).unwrap()
        };
        // Height 10 + 60 + 10 + 60 + 40, and 16 more for each row with a title.
        let svg = draw("", "");
        assert!(svg.contains(r#"viewBox="0 0 148 180""#) && svg.contains(r#"aria-label="a over time""#), "{svg}");
        assert!(!svg.contains("font-weight"), "{svg}");
        let svg = draw("W", "");
        assert!(svg.contains(r#"viewBox="0 0 148 196""#) && svg.contains(r#"aria-label="W""#), "{svg}");
    }

    #[test]
    fn a_title_does_not_reach_into_the_next_tile() {
        let rows = [strip(60.0, Axis::new("a", 0.0..9.0))];
        let columns = [80.0, 300.0].map(|size| strip(size, Axis::new("time", 0.0..4.0)));
        let tiles = [picture((0, 0), "a long name"), picture((0, 1), "a longer name")];
        let svg = grid(&rows, &columns, &tiles, None).unwrap();
        assert!(svg.contains(">a long name</text>") && svg.contains(">a longer name</text>"), "{svg}");
        let svg = grid(&rows, &columns, &[picture((0, 0), "a longer name")], None).unwrap();
        assert!(svg.contains(">a longer n…</text>") && svg.contains(r#"aria-label="a longer name""#), "{svg}");
    }

    #[test]
    fn traces_have_the_expected_points() {
        let draw = |values: &[f32], span: Range<f64>, width: f64| {
            let tile =
                Tile { place: (0, 0), title: "h".into(), drawing: Drawing::Trace { values: values.to_vec(), span } };
            grid(&[strip(100.0, Axis::new("", -1.0..1.0))], &[strip(width, Axis::new("", 0.0..10.0))], &[tile], None)
        };
        // Half the axis is 150 pixels. 1 is at the top, and values beyond the axis are clipped there.
        let svg = draw(&[0.0, 1.0, 3.0], 0.0..5.0, 300.0).unwrap();
        assert!(svg.contains(r#"d="M56.0 76.0L131.0 26.0L206.0 26.0""#), "{svg}");
        // Four values on two pixels: the minimum and the maximum of each pair, in its middle.
        let svg = draw(&[0.0, 1.0, 0.5, -1.0], 1.0..4.0, 2.0).unwrap();
        assert!(svg.contains(r#"d="M56.3 76.0L56.3 26.0L56.7 126.0L56.7 51.0""#), "{svg}");
        let paths = |values: &[f32]| draw(values, 0.0..1.0, 300.0).unwrap().matches("<path").count();
        assert_eq!(paths(&[0.0, 1.0]), paths(&[]) + 1, "no values, no path");
        assert!(draw(&[f32::NAN], 0.0..1.0, 300.0).is_err());
    }

    #[test]
    fn an_empty_grid_or_a_tile_outside_is_refused() {
        let strips = [strip(9.0, Axis::new("x", 0.0..1.0))];
        for tiles in [vec![], vec![picture((0, 1), "a")], vec![picture((1, 0), "a")]] {
            assert!(grid(&strips, &strips, &tiles, None).is_err());
        }
    }
}
