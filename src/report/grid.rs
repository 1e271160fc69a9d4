//! Pictures and traces in rows and columns that share their axes.

use std::ops::Range;

use ndarray::Array2;

use super::svg::{MIDDLE, image, line, open, text};
use super::{Axis, heatmap};
use crate::{Error, Result};

/// A row or a column of a grid.
#[derive(Debug, Clone)]
pub struct Strip {
    /// Its height or width in pixels.
    pub size: f64,
    /// What its tiles share: a row the vertical axis, from the bottom up, a column the horizontal one.
    pub axis: Axis,
}

/// What stands in a row and a column of a grid.
#[derive(Debug, Clone)]
pub struct Tile {
    /// The row and the column, from 0.
    pub place: (usize, usize),
    /// What stands over it.
    pub title: String,
    /// What it shows.
    pub drawing: Drawing,
}

/// What a tile shows.
#[derive(Debug, Clone)]
pub enum Drawing {
    /// A picture, as of [`heatmap`], over the whole of both axes, smooth where it is enlarged.
    Picture(Vec<u8>),
    /// The same, its pixels being cells with edges.
    Cells(Vec<u8>),
    /// A curve through values, in the unit of the row's axis.
    Trace {
        /// The values, equally far apart.
        values: Vec<f32>,
        /// Where on the column's axis the first and the last lie.
        span: Range<f64>,
    },
}

/// Room around tiles, in pixels.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TITLE: f64 = 26.0;
const BOTTOM: f64 = 40.0;
/// From a column to the next.
const GAP: f64 = 14.0;
/// The room at the right that the scale of the colours takes.
const SCALE: f64 = 76.0;
/// Pixels a tick has to itself, at least.
const TICK_HEIGHT: f64 = 30.0;
const TICK_WIDTH: f64 = 33.0;

/// What keeps pixels apart; CSS has a newer word for it, which only browsers know.
const CELLS: &str = r#" image-rendering="optimizeSpeed""#;

/// Tiles in rows and columns. A row's axis stands at the left of its first tile, a column's below its last; with `scale`, what the
/// colours mean stands at the right of the tallest row. The SVG needs nothing beside it.
///
/// # Errors
/// [`Error::Input`] if there are no tiles, one lies outside the grid, or a trace is not finite.
pub fn grid(rows: &[Strip], columns: &[Strip], tiles: &[Tile], scale: Option<&Axis>) -> Result<String> {
    if tiles.is_empty() || tiles.iter().any(|tile| tile.place.0 >= rows.len() || tile.place.1 >= columns.len()) {
        return Err(Error::input("a figure needs something to show, in its rows and columns"));
    }
    let tops = starts(rows, TITLE, TITLE);
    let lefts = starts(columns, LEFT, GAP);
    let (right, bottom) = (lefts[columns.len()] - GAP, tops[rows.len()] - TITLE);
    let titles: Vec<&str> = tiles.iter().map(|tile| tile.title.as_str()).collect();
    let whole = (right + if scale.is_some() { SCALE } else { RIGHT }, bottom + BOTTOM);
    let mut svg = open(whole, &titles.join(", "));
    for Tile { place: (row, column), title, drawing } in tiles {
        let (corner, size) = ((lefts[*column], tops[*row]), (columns[*column].size, rows[*row].size));
        svg += &text((corner.0, corner.1 - 8.0), r#"font-size="13" font-weight="600""#, title);
        svg += &match drawing {
            Drawing::Picture(png) => image(png, corner, size, ""),
            Drawing::Cells(png) => image(png, corner, size, CELLS),
            Drawing::Trace { values, span } => {
                trace(values, span, (&columns[*column].axis, &rows[*row].axis), corner, size)?
            }
        };
    }
    for (index, Strip { size, axis }) in rows.iter().enumerate() {
        let first = tiles.iter().filter(|tile| tile.place.0 == index).map(|tile| tile.place.1).min();
        svg += &first.map_or_else(String::new, |column| vertical(axis, (lefts[column], tops[index]), *size, -1.0));
    }
    for (index, Strip { size, axis }) in columns.iter().enumerate() {
        let last = tiles.iter().filter(|tile| tile.place.1 == index).map(|tile| tile.place.0).max();
        svg +=
            &last.map_or_else(String::new, |row| horizontal(axis, (lefts[index], tops[row] + rows[row].size), *size));
    }
    if let Some(scale) = scale {
        let tallest = rows.iter().map(|row| row.size).fold(0.0, f64::max);
        let top = tops[rows.iter().position(|row| row.size == tallest).unwrap_or(0)];
        let colours = Array2::from_shape_fn((256, 1), |(row, _)| row as f32);
        svg += &image(&heatmap(colours.view(), 0.0..255.0)?, (right + 14.0, top), (10.0, tallest), CELLS);
        svg += &vertical(scale, (right + 24.0, top), tallest, 1.0);
    }
    Ok(svg + "</svg>\n")
}

/// Where strips begin that are `gap` apart, and where one more would.
fn starts(strips: &[Strip], first: f64, gap: f64) -> Vec<f64> {
    let mut next = first;
    let ends = strips.iter().map(|strip| {
        next += strip.size + gap;
        next
    });
    std::iter::once(first).chain(ends).collect()
}

/// An axis beside a tile, from the tile's corner at the top down; `side` is -1 to its left and 1 to its right.
fn vertical(axis: &Axis, (x, top): (f64, f64), height: f64, side: f64) -> String {
    let anchor = if side < 0.0 { r#"text-anchor="end""# } else { r#"text-anchor="start""# };
    let mut svg = String::new();
    for tick in axis.ticks((height / TICK_HEIGHT) as usize) {
        let y = top + (1.0 - axis.share(tick.value)) * height;
        svg += &line((x, y), (x + 4.0 * side, y));
        svg += &text((x + 7.0 * side, y + 4.0), anchor, &tick.label);
    }
    // Rotated text stands above its base line, which here is to its right.
    let (x, y) = (x + 44.0 * side + 4.0, top + height / 2.0);
    svg + &text((x, y), &format!(r#"{MIDDLE} transform="rotate(-90 {x:.1} {y:.1})""#), &axis.name)
}

/// An axis below a tile, from the tile's corner at the bottom on.
fn horizontal(axis: &Axis, (left, y): (f64, f64), width: f64) -> String {
    let mut svg = String::new();
    for tick in axis.ticks((width / TICK_WIDTH) as usize) {
        let x = left + axis.share(tick.value) * width;
        svg += &line((x, y), (x, y + 4.0));
        svg += &text((x, y + 16.0), MIDDLE, &tick.label);
    }
    svg + &text((left + width / 2.0, y + 33.0), MIDDLE, &axis.name)
}

/// Values as a curve. Where a pixel's width holds several, it goes from the least of them to the most.
fn trace(
    values: &[f32],
    span: &Range<f64>,
    (x, y): (&Axis, &Axis),
    (left, top): (f64, f64),
    (width, height): (f64, f64),
) -> Result<String> {
    if values.iter().any(|value| !value.is_finite()) {
        return Err(Error::input("a trace needs values that are finite"));
    }
    let step = (span.end - span.start) / values.len().saturating_sub(1).max(1) as f64;
    let at = |index: f64, value: f32| {
        let across = left + x.share(span.start + index * step) * width;
        let up = y.share(f64::from(value)).clamp(0.0, 1.0);
        format!("{across:.1} {:.1}", top + (1.0 - up) * height)
    };
    let group = (values.len() as f64 / width).ceil() as usize;
    let points: Vec<String> = if group <= 1 {
        values.iter().enumerate().map(|(index, &value)| at(index as f64, value)).collect()
    } else {
        let ends = |(index, pixel): (usize, &[f32])| {
            let middle = (index * group) as f64 + (pixel.len() - 1) as f64 / 2.0;
            [f32::min, f32::max].map(|pick| at(middle, pixel.iter().copied().fold(pixel[0], pick)))
        };
        values.chunks(group).enumerate().flat_map(ends).collect()
    };
    if points.is_empty() {
        return Ok(String::new());
    }
    Ok(format!("<path d=\"M{}\" fill=\"none\" stroke=\"currentColor\"/>\n", points.join("L")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(size: f64, axis: Axis) -> Strip {
        Strip { size, axis }
    }

    fn picture(place: (usize, usize), title: &str) -> Tile {
        let png = heatmap(Array2::zeros((2, 3)).view(), 0.0..1.0).unwrap();
        Tile { place, title: title.into(), drawing: Drawing::Picture(png) }
    }

    #[test]
    fn rows_and_columns_by_hand() {
        let rows = [strip(60.0, Axis::new("semitones", 0.0..9.0)), strip(210.0, Axis::log("Hz", 50.0..5000.0))];
        let columns = [strip(80.0, Axis::new("lag in s", 0.0..0.4)), strip(300.0, Axis::new("time in s", 0.0..4.0))];
        let mut tiles = [picture((1, 0), "W"), picture((0, 1), "H"), picture((1, 1), "V")];
        if let Drawing::Picture(png) = &tiles[1].drawing {
            tiles[1].drawing = Drawing::Cells(png.clone());
        }
        let svg = grid(&rows, &columns, &tiles, Some(&Axis::new("dB", -40.0..0.0))).unwrap();
        // 56 + 80 + 14 + 300 + 76 by 26 + 60 + 26 + 210 + 40.
        assert!(svg.contains(r#"viewBox="0 0 526 362""#), "{svg}");
        for (x, y, width, height) in [(56, 112, 80, 210), (150, 26, 300, 60), (150, 112, 300, 210), (464, 112, 10, 210)]
        {
            let image = format!(r#"<image x="{x}" y="{y}" width="{width}" height="{height}""#);
            assert!(svg.contains(&image), "{image}: {svg}");
        }
        let cells = |height| svg.matches(&format!(r#"height="{height}" preserveAspectRatio="none"{CELLS}"#)).count();
        assert_eq!((cells(60), cells(210)), (1, 1), "the tile of cells and the scale: {svg}");
        // Axes stand once, at the first tile of a row and below the last of a column: 500 Hz half way up the first column,
        // 5 semitones at the second.
        assert!(svg.contains(r#"<text x="49.0" y="221.0" text-anchor="end">500</text>"#), "{svg}");
        assert!(svg.contains(r#"<text x="143.0" y="56.7" text-anchor="end">5</text>"#), "{svg}");
        assert!(svg.contains(r#"<text x="300.0" y="338.0" text-anchor="middle">2.0</text>"#), "{svg}");
        for name in ["semitones", "Hz", "lag in s", "time in s", "dB"] {
            assert_eq!(svg.matches(&format!(">{name}</text>")).count(), 1, "{name}: {svg}");
        }
    }

    #[test]
    fn traces_by_hand() {
        let draw = |values: &[f32], span: Range<f64>, width: f64| {
            let tile =
                Tile { place: (0, 0), title: "h".into(), drawing: Drawing::Trace { values: values.to_vec(), span } };
            grid(&[strip(100.0, Axis::new("", -1.0..1.0))], &[strip(width, Axis::new("", 0.0..10.0))], &[tile], None)
        };
        // Half the axis is 150 pixels; 1 is at the top, and what is beyond the axis too.
        let svg = draw(&[0.0, 1.0, 3.0], 0.0..5.0, 300.0).unwrap();
        assert!(svg.contains(r#"d="M56.0 76.0L131.0 26.0L206.0 26.0""#), "{svg}");
        // Four values on two pixels: the least and the most of each pair, in its middle.
        let svg = draw(&[0.0, 1.0, 0.5, -1.0], 1.0..4.0, 2.0).unwrap();
        assert!(svg.contains(r#"d="M56.3 76.0L56.3 26.0L56.7 126.0L56.7 51.0""#), "{svg}");
        assert!(!draw(&[], 0.0..1.0, 300.0).unwrap().contains("fill=\"none\""), "no values, no path");
        assert!(draw(&[f32::NAN], 0.0..1.0, 300.0).is_err());
    }

    #[test]
    fn no_grid_of_nothing_or_outside() {
        let strips = [strip(9.0, Axis::new("x", 0.0..1.0))];
        for tiles in [vec![], vec![picture((0, 1), "a")], vec![picture((1, 0), "a")]] {
            assert!(grid(&strips, &strips, &tiles, None).is_err());
        }
    }
}
