//! A picture with its heading and note, alone or on a sheet.

use super::super::raster;
use super::super::shapes::{Shape, Sketch, Style};
use crate::Result;

/// A picture with its heading and a note for the reader.
#[derive(Debug, Clone)]
pub struct Picture {
    /// What it shows.
    pub title: String,
    /// How to read it: one or more sentences.
    pub note: String,
    pub(super) sketch: Sketch,
}

/// The height of a heading and of a line of a note on a sheet, and the distance to the next picture.
const HEADING: f64 = 28.0;
const LINE: f64 = 15.0;
const GAP: f64 = 18.0;
/// The margin left of headings, and the width of a letter of a note at most, on average.
const MARGIN: f64 = 12.0;
const LETTER: f64 = 5.8;

impl Picture {
    pub(super) fn new(title: &str, note: &str, sketch: Sketch) -> Self {
        Self { title: title.into(), note: note.into(), sketch }
    }

    /// The picture alone, as SVG.
    pub fn svg(&self) -> String {
        self.sketch.to_string()
    }

    /// The picture below its heading and note.
    fn headed(&self) -> Sketch {
        let width = self.sketch.size.0;
        let mut shapes =
            vec![Shape::Words { at: (MARGIN, HEADING - 6.0), words: self.title.clone(), style: Style::Heading }];
        let mut height = HEADING;
        for words in wrapped(&self.note, ((width - 2.0 * MARGIN) / LETTER) as usize) {
            height += LINE;
            shapes.push(Shape::Words { at: (MARGIN, height - 4.0), words, style: Style::Begin });
        }
        let heading = Sketch { size: (width, height), label: self.title.clone(), shapes };
        let gap = Sketch { size: (width, GAP), label: String::new(), shapes: Vec::new() };
        Sketch::stacked(vec![heading, self.sketch.clone(), gap])
    }
}

/// Breaks a text into lines of at most so many characters, between words.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => *line += &format!(" {word}"),
            _ => lines.push(word.into()),
        }
    }
    lines
}

/// Pictures one below the other with their headings and notes, as one SVG.
pub fn sheet(pictures: &[Picture]) -> String {
    on_sheet(pictures).to_string()
}

/// The same as PNG, twice as large. Characters beyond Latin, Greek and Cyrillic are empty boxes.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if it would be too large.
pub fn sheet_as_png(pictures: &[Picture]) -> Result<Vec<u8>> {
    raster::png(&on_sheet(pictures))
}

fn on_sheet(pictures: &[Picture]) -> Sketch {
    Sketch::stacked(pictures.iter().map(Picture::headed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_has_headings_notes_and_pictures_one_below_the_other() {
        let sketch =
            Sketch { size: (200.0, 50.0), label: "a".into(), shapes: vec![Shape::Line(vec![(0.0, 1.0), (2.0, 3.0)])] };
        let pictures = [Picture::new("one", "A note.", sketch.clone()), Picture::new("two", "", sketch)];
        let svg = sheet(&pictures);
        // 28 + 15 + 50 + 18, and 28 + 50 + 18.
        assert!(svg.contains(r#"viewBox="0 0 200 207""#) && svg.contains(r#"aria-label="one, a, two, a""#), "{svg}");
        assert!(svg.contains("M0.0 44.0L2.0 46.0") && svg.contains("M0.0 140.0L2.0 142.0"), "{svg}");
        assert!(svg.contains(">A note.</text>"), "{svg}");
        assert!(sheet_as_png(&pictures).unwrap().starts_with(b"\x89PNG"));
    }

    #[test]
    fn notes_are_broken_between_words() {
        assert_eq!(wrapped("aa bb ccc d", 5), ["aa bb", "ccc d"]);
        assert_eq!(wrapped("abcdefgh i", 3), ["abcdefgh", "i"]);
        assert!(wrapped("", 3).is_empty());
    }
}
