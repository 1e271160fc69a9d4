//! Repeats the papers' experiments on a user's recordings, and shows the results beside the paper's.
//!
//! Each experiment is a file or a folder here. It takes recordings of single sources, mixes them itself, and returns
//! [`Findings`]: tables, figures and examples to listen to. Experiments do not depend on how their findings are shown.

pub mod averaged;
pub mod deep;
pub mod discriminative;
pub mod gain_prior;
mod heard;
mod mixtures;
pub mod nmf2d;

use std::fmt;
use std::path::{Path, PathBuf};

pub use heard::{Example, Sound};
use serde::Serialize;

use crate::report::Comparison;
use crate::report::html::{self, escape};
use crate::{Error, Result};

/// Recordings of one source alone.
#[derive(Debug, Clone)]
pub struct Corpus {
    /// The source's name.
    pub name: String,
    /// Recordings for training.
    pub train: Vec<PathBuf>,
    /// Recordings for mixing.
    pub test: Vec<PathBuf>,
}

/// The results of an experiment.
#[derive(Debug, Clone, Serialize)]
pub struct Findings {
    /// The experiment in a few words.
    pub title: String,
    /// The paper's authors, title and year.
    pub paper: String,
    /// The data and parameters, as names and values.
    pub setting: Vec<(String, String)>,
    /// The numbers.
    pub tables: Vec<Table>,
    /// The pictures.
    #[serde(skip)]
    pub figures: Vec<Figure>,
    /// Some mixtures, to listen to.
    #[serde(skip)]
    pub examples: Vec<Example>,
}

/// A table of numbers.
#[derive(Debug, Clone, Serialize)]
pub struct Table {
    /// The quantity, with its unit.
    pub title: String,
    /// The names of the columns.
    pub heading: Vec<String>,
    /// The rows. The first cell of each names the row.
    pub rows: Vec<Vec<Cell>>,
    /// Remarks on how to read the table.
    pub note: String,
}

/// A cell of a table. Programs get the full number, people the rounded one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Cell {
    /// Text.
    Text(String),
    /// A plain number.
    Number(f64),
    /// A ratio in dB.
    Decibels(f64),
    /// A difference of ratios in dB.
    Gain(f64),
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Decibels(ratio) => write!(f, "{ratio:.2}"),
            Self::Gain(gain) => write!(f, "{gain:+.2}"),
        }
    }
}

impl Table {
    /// The heading and the rows as text.
    fn text(&self) -> Vec<Vec<String>> {
        let rows = self.rows.iter().map(|row| row.iter().map(Cell::to_string).collect());
        std::iter::once(self.heading.clone()).chain(rows).collect()
    }
}

/// A figure.
#[derive(Debug, Clone)]
pub struct Figure {
    /// The name of its file, without an extension.
    pub name: String,
    /// Its heading.
    pub title: String,
    /// A description of what it shows.
    pub caption: String,
    /// The picture.
    pub svg: String,
}

impl Findings {
    /// The findings as text. `table` lays rows out in columns.
    pub fn text(&self, table: impl Fn(&[Vec<String>]) -> String) -> String {
        let setting: Vec<Vec<String>> =
            self.setting.iter().map(|(name, value)| vec![format!("{name}:"), value.clone()]).collect();
        let width = setting.iter().map(|row| row[0].chars().count()).max().unwrap_or(0);
        let mut text = format!("{}\n{}\n\n", self.title, self.paper);
        for row in setting {
            text += &format!("{:<width$} {}\n", row[0], row[1]);
        }
        for of in &self.tables {
            text += &format!("\n{}\n\n{}\n{}\n", of.title, table(&of.text()), of.note);
        }
        text
    }

    /// The findings as a page. It plays the examples from the files that [`write`](Self::write) puts beside it.
    ///
    /// # Errors
    /// [`Error::Input`] for an example without samples.
    pub fn page(&self) -> Result<String> {
        let mut body = format!("<p>{}</p>\n{}", escape(&self.paper), html::facts(&self.setting));
        for table in &self.tables {
            body += &format!("<h2>{}</h2>\n{}", escape(&table.title), html::table(&table.title, &table.text()));
            body += &format!("<p class=\"note\">{}</p>\n", escape(&table.note));
        }
        if !self.examples.is_empty() {
            body += &format!(
                "<h2>Listen</h2>\n<p>One hears the mixture at first. Solo plays another track alone, at the same place. {}</p>\n",
                Comparison::legend()
            );
        }
        for (index, example) in self.examples.iter().enumerate() {
            body += &example.section(index + 1)?;
        }
        if !self.figures.is_empty() {
            body += "<h2>Figures</h2>\n";
        }
        body += &self.figures.iter().map(|of| html::figure(&of.title, &of.svg, &of.caption)).collect::<String>();
        Ok(html::page(&self.title, &body))
    }

    /// Writes report.html, findings.json, every figure, and the examples' sound into `folder`, creating it if needed. Returns
    /// the path of the page.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be written; [`Error::Input`] for an example without samples.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        let json = serde_json::to_string_pretty(self).map_err(|cause| Error::input(cause.to_string()))? + "\n";
        let figures = self.figures.iter().map(|figure| (format!("{}.svg", figure.name), figure.svg.clone()));
        for (name, text) in figures.chain([("findings.json".to_string(), json), ("report.html".into(), self.page()?)]) {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(Error::io(&path, "write"))?;
        }
        for (index, example) in self.examples.iter().enumerate() {
            example.write(folder, index + 1)?;
        }
        Ok(folder.join("report.html"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Findings {
        Findings {
            title: "Speech < music".into(),
            paper: "A & B (2012)".into(),
            setting: vec![("clips".into(), "20".into()), ("rank".into(), "128".into())],
            tables: vec![Table {
                title: "SNR in dB".into(),
                heading: ["level", "none"].map(String::from).to_vec(),
                rows: vec![vec![Cell::Number(-5.0), Cell::Decibels(3.321)]],
                note: "Of speech.".into(),
            }],
            figures: vec![Figure {
                name: "gain".into(),
                title: "Gain & loss".into(),
                caption: "What is gained".into(),
                svg: "<svg></svg>\n".into(),
            }],
            examples: vec![Example::new("clip 1".into(), 8000, vec![0.5; 900], [("speech".into(), vec![0.5; 900])])],
        }
    }

    #[test]
    fn text_contains_everything_but_figures() {
        let text = findings().text(|rows| rows.concat().join(" ") + "\n");
        let expected =
            "Speech < music\nA & B (2012)\n\nclips: 20\nrank:  128\n\nSNR in dB\n\nlevel none -5 3.32\n\nOf speech.\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn write_creates_the_page_the_numbers_and_the_figures() {
        let folder = tempfile::tempdir().unwrap();
        let page = findings().write(&folder.path().join("a/b")).unwrap();
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let html = read(&page);
        for part in [
            "<h1>Speech &lt; music</h1>",
            "A &amp; B (2012)",
            "<td>3.32</td>",
            "<h3>Gain &amp; loss</h3>",
            "<svg></svg>",
            "What is gained",
            "<h3>clip 1</h3>",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert_eq!(read(&page.with_file_name("gain.svg")), "<svg></svg>\n");
        for file in ["1-1-mixture.wav", "1-2-speech-true.wav"] {
            assert!(html.contains(&format!("src=\"audio/{file}\"")), "{file}: {html}");
            assert!(page.with_file_name("audio").join(file).is_file(), "{file}");
        }
        let json: serde_json::Value = serde_json::from_str(&read(&page.with_file_name("findings.json"))).unwrap();
        assert_eq!((&json["tables"][0]["rows"][0][1], &json["setting"][1][1]), (&3.321.into(), &"128".into()));
    }
}
