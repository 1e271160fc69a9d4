//! Draws a sketch as PNG, for programs that show no SVG. The SVG is left to crates only where they are small: one that reads all
//! of SVG, with the layout of any script, would be a tenth of the program.

use tiny_skia::{Color, FillRule, FilterQuality, Paint, Path, PathBuilder, Pixmap, PixmapPaint, Stroke, Transform};
use ttf_parser::{Face, OutlineBuilder};

use super::shapes::{Point, Shape, Sketch, Style};
use crate::{Error, Result};

/// Pixels of the PNG per pixel of the sketch, so that it is sharp on fine screens and on paper.
const ENLARGED: f32 = 2.0;
/// The most pixels of a PNG across or down.
const MOST: f32 = 30_000.0;
/// The fonts; `font/LICENCE.txt` says what they are.
const REGULAR: &[u8] = include_bytes!("font/regular.ttf");
const BOLD: &[u8] = include_bytes!("font/bold.ttf");

/// Draws a sketch, twice as large and on white.
///
/// # Errors
/// [`Error::Input`] if it is too large.
pub(super) fn png(sketch: &Sketch) -> Result<Vec<u8>> {
    let [width, height] = [sketch.size.0, sketch.size.1].map(|side| (side as f32 * ENLARGED).ceil());
    let too_large = || Error::input(format!("a PNG of {width} by {height} pixels is too large; use SVG, or draw less"));
    let most = width.max(height) <= MOST;
    let mut pixels = most.then(|| Pixmap::new(width as u32, height as u32)).flatten().ok_or_else(too_large)?;
    pixels.fill(Color::WHITE);
    let fonts = [REGULAR, BOLD].map(|font| Face::parse(font, 0));
    let [Ok(regular), Ok(bold)] = &fonts else { return Err(Error::input("the fonts of PNG pictures are damaged")) };
    for shape in &sketch.shapes {
        match shape {
            Shape::Image { png, corner, size, sharp } => image(&mut pixels, png, *corner, *size, *sharp)?,
            Shape::Line(points) => line(&mut pixels, points),
            Shape::Words { at, words, style } => {
                text(&mut pixels, if style.is_bold() { bold } else { regular }, *at, words, *style);
            }
        }
    }
    pixels.encode_png().map_err(|cause| Error::input(format!("a PNG cannot be made: {cause}")))
}

fn image(pixels: &mut Pixmap, png: &[u8], corner: Point, size: Point, sharp: bool) -> Result<()> {
    let image = Pixmap::decode_png(png).map_err(|cause| Error::input(format!("an image cannot be read: {cause}")))?;
    let scale = |size: f64, own: u32| size as f32 * ENLARGED / own as f32;
    let place = Transform::from_row(
        scale(size.0, image.width()),
        0.0,
        0.0,
        scale(size.1, image.height()),
        corner.0 as f32 * ENLARGED,
        corner.1 as f32 * ENLARGED,
    );
    let quality = if sharp { FilterQuality::Nearest } else { FilterQuality::Bilinear };
    pixels.draw_pixmap(0, 0, image.as_ref(), &PixmapPaint { quality, ..PixmapPaint::default() }, place, None);
    Ok(())
}

fn ink() -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color(Color::BLACK);
    paint
}

fn line(pixels: &mut Pixmap, points: &[Point]) {
    let mut path = PathBuilder::new();
    for (index, &(x, y)) in points.iter().enumerate() {
        let (x, y) = (x as f32, y as f32);
        if index == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
    }
    if let Some(path) = path.finish() {
        let enlarged = Transform::from_scale(ENLARGED, ENLARGED);
        pixels.stroke_path(&path, &ink(), &Stroke::default(), enlarged, None);
    }
}

/// Draws words on one line. A character that the font lacks is an empty box.
fn text(pixels: &mut Pixmap, font: &Face, at: Point, words: &str, style: Style) {
    let size = style.size() as f32 / f32::from(font.units_per_em());
    let (outlines, width) = outlines(font, words);
    let back = match style {
        Style::Begin | Style::Title | Style::Heading => 0.0,
        Style::End => width,
        Style::Centre | Style::Upwards => width / 2.0,
    };
    let turn = if style == Style::Upwards { -90.0 } else { 0.0 };
    // A font's y goes up.
    let place = Transform::from_translate(-back, 0.0)
        .post_scale(size, -size)
        .post_rotate(turn)
        .post_translate(at.0 as f32, at.1 as f32)
        .post_scale(ENLARGED, ENLARGED);
    if let Some(path) = outlines {
        pixels.fill_path(&path, &ink(), FillRule::Winding, place, None);
    }
}

/// The outlines of words from the origin on, if there is anything to see, and their width, in units of the font.
fn outlines(font: &Face, words: &str) -> (Option<Path>, f32) {
    let mut pen = Pen { path: PathBuilder::new(), across: 0.0 };
    for character in words.chars() {
        let glyph = font.glyph_index(character).unwrap_or_default();
        font.outline_glyph(glyph, &mut pen);
        pen.across += f32::from(font.glyph_hor_advance(glyph).unwrap_or_default());
    }
    (pen.path.finish(), pen.across)
}

/// Draws the outlines of characters, each at its place.
struct Pen {
    path: PathBuilder,
    across: f32,
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.path.move_to(self.across + x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.path.line_to(self.across + x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.path.quad_to(self.across + x1, y1, self.across + x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.path.cubic_to(self.across + x1, y1, self.across + x2, y2, self.across + x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::super::heatmap;
    use super::*;

    fn drawn(shapes: Vec<Shape>) -> Pixmap {
        let sketch = Sketch { size: (40.0, 30.0), label: String::new(), shapes };
        Pixmap::decode_png(&png(&sketch).unwrap()).unwrap()
    }

    /// The part of the picture that has ink: left, top, right and bottom, in pixels of the sketch.
    fn inked(pixels: &Pixmap) -> [f32; 4] {
        let mut bounds = [f32::INFINITY, f32::INFINITY, 0.0, 0.0];
        for (index, _) in pixels.pixels().iter().enumerate().filter(|(_, pixel)| pixel.red() < 128) {
            let (x, y) =
                ((index as u32 % pixels.width()) as f32 / ENLARGED, (index as u32 / pixels.width()) as f32 / ENLARGED);
            bounds = [bounds[0].min(x), bounds[1].min(y), bounds[2].max(x), bounds[3].max(y)];
        }
        bounds
    }

    fn words(style: Style) -> Vec<Shape> {
        vec![Shape::Words { at: (20.0, 15.0), words: "nn".into(), style }]
    }

    #[test]
    fn shapes_are_where_the_svg_has_them() {
        let line = drawn(vec![Shape::Line(vec![(5.0, 10.0), (25.0, 10.0)])]);
        assert_eq!((line.width(), line.height()), (80, 60));
        assert_eq!(inked(&line), [5.0, 9.5, 24.5, 10.0]);
        // The brightest colour of the map is nearly white, so the dark half alone has ink.
        let png = heatmap(array![[0.0, 1.0]].view(), 0.0..1.0).unwrap();
        let image = drawn(vec![Shape::Image { png, corner: (10.0, 5.0), size: (20.0, 8.0), sharp: true }]);
        assert_eq!(inked(&image), [10.0, 5.0, 19.5, 12.5]);
    }

    #[test]
    fn words_begin_end_and_turn_at_their_place() {
        let [left, top, right, bottom] = inked(&drawn(words(Style::Begin)));
        assert!((20.0..22.0).contains(&left) && right > 30.0 && top > 7.0 && (14.0..=15.0).contains(&bottom));
        let ended = inked(&drawn(words(Style::End)));
        assert!(ended[2] <= 20.0 && ended[0] > 3.0, "{ended:?}");
        let middle = inked(&drawn(words(Style::Centre)));
        assert!((middle[0] + middle[2] - 40.0).abs() < 1.5, "{middle:?}");
        let up = inked(&drawn(words(Style::Upwards)));
        assert!(up[3] - up[1] > up[2] - up[0] && up[2] <= 20.0, "{up:?}");
        let title = inked(&drawn(words(Style::Title)));
        assert!(title[2] > right, "bold letters are wider: {title:?}");
    }

    #[test]
    fn a_character_without_a_glyph_is_a_box_and_a_space_is_nothing() {
        let shown = |words: &str| {
            inked(&drawn(vec![Shape::Words { at: (5.0, 20.0), words: words.into(), style: Style::Begin }]))
        };
        assert!(shown("日")[2] > 8.0);
        assert_eq!(shown(" ")[2], 0.0);
        for character in "äñŁβΩЖ–“→≈×−".chars() {
            let known = |font| Face::parse(font, 0).unwrap().glyph_index(character).is_some();
            assert!(known(REGULAR) && known(BOLD), "{character}");
        }
    }

    #[test]
    fn a_sketch_that_no_png_holds_is_refused() {
        for height in [20_000.0, f64::INFINITY, 0.0] {
            let sketch = Sketch { size: (40.0, height), label: String::new(), shapes: Vec::new() };
            assert!(png(&sketch).unwrap_err().to_string().contains("SVG"), "{height}");
        }
    }
}
