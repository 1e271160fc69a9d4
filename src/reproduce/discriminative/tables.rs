//! The experiment's numbers as tables and curves, beside the paper's.

use super::arms::{Arm, SPARSE, USUAL};
use super::options::DiscriminativeOptions;
use super::scene::Scores;
use crate::report::{self, Axis, Curve};
use crate::reproduce::{Cell, Figure, Table};
use crate::{Error, Result};

/// The paper's penalties.
const PUBLISHED_SPARSITIES: [f64; 5] = [0.0, 1e-4, 1e-3, 1e-2, 0.1];

/// A row of the paper's table 1: the method, K, and the means in dB at its penalties.
type Published = (&'static str, usize, [f64; 5]);

/// Table 1, SNR of mel spectra.
const PUBLISHED_MEL: [Published; 8] = [
    ("DNMF", 70, [4.84, 4.69, 4.70, 5.07, 5.28]),
    ("DNMF", 140, [5.43, 5.43, 5.40, 5.44, 5.72]),
    ("DNMF", 280, [6.03, 6.08, 6.05, 6.19, 6.44]),
    ("DNMF", 560, [6.51, 6.43, 6.41, 6.52, 6.71]),
    ("SNMF", 70, [4.42, 4.42, 4.42, 4.59, 4.91]),
    ("SNMF", 140, [4.56, 4.55, 4.61, 5.13, 5.69]),
    ("SNMF", 280, [5.30, 5.30, 5.31, 5.67, 5.80]),
    ("SNMF", 560, [5.68, 5.68, 5.76, 6.02, 5.99]),
];
/// Table 1, SNR of waveforms.
const PUBLISHED_WAV: [Published; 8] = [
    ("DNMF", 70, [4.49, 4.46, 4.39, 4.51, 4.76]),
    ("DNMF", 140, [4.54, 4.53, 4.53, 4.67, 4.93]),
    ("DNMF", 280, [4.71, 4.67, 4.72, 4.76, 5.08]),
    ("DNMF", 560, [4.82, 4.76, 4.83, 4.87, 5.16]),
    ("SNMF", 70, [4.29, 4.29, 4.30, 4.39, 4.71]),
    ("SNMF", 140, [4.25, 4.25, 4.27, 4.48, 4.87]),
    ("SNMF", 280, [4.41, 4.41, 4.44, 4.64, 4.91]),
    ("SNMF", 560, [4.52, 4.52, 4.58, 4.72, 5.01]),
];
/// Table 2, SNR of mel spectra at K = 560: the method, the sexes, and the means in dB at the penalties.
const PUBLISHED_SEX: [(&str, &str, [f64; 5]); 4] = [
    ("DNMF", SAME, [4.79, 4.77, 4.71, 4.91, 5.28]),
    ("SNMF", SAME, [4.31, 4.30, 4.34, 4.50, 4.63]),
    ("DNMF", OTHER, [7.80, 7.67, 7.68, 7.72, 7.78]),
    ("SNMF", OTHER, [6.71, 6.71, 6.83, 7.16, 7.02]),
];
const SAME: &str = "same sex";
const OTHER: &str = "opposite sex";

/// The scores of every arm.
#[derive(Default)]
pub(super) struct Cells {
    cells: Vec<Of>,
}

/// The scores of one arm: those of every pair of speakers, from every start.
struct Of {
    method: String,
    rank: usize,
    sparsity: f64,
    /// Whether both speakers have the same sex, and the pair's mean scores.
    scores: Vec<(bool, Scores)>,
}

impl Cells {
    /// Adds the scores of an arm from one start, those of every pair.
    pub(super) fn add(&mut self, arm: &Arm, scores: Vec<(bool, Scores)>) {
        let (rank, sparsity) =
            (arm.training.rank.others.and_then(|rank| rank.given()).unwrap_or_default(), arm.gains.sparsity);
        let same = |of: &&mut Of| of.method == arm.name && of.rank == rank && of.sparsity == sparsity;
        match self.cells.iter_mut().find(same) {
            Some(of) => of.scores.extend(scores),
            None => self.cells.push(Of { method: arm.name.clone(), rank, sparsity, scores }),
        }
    }

    /// The methods but the usual one, in the order in which they came.
    fn methods(&self) -> Vec<&str> {
        let mut methods: Vec<&str> = Vec::new();
        for of in self.cells.iter().filter(|of| of.method != USUAL) {
            if !methods.contains(&of.method.as_str()) {
                methods.push(&of.method);
            }
        }
        methods
    }

    /// The mean scores of a method over the pairs that fit; NaN where there are none.
    fn mean(&self, method: &str, rank: usize, sparsity: f64, fits: impl Fn(bool) -> bool) -> Scores {
        let of = |of: &&Of| of.method == method && of.rank == rank && of.sparsity == sparsity;
        let scores = self.cells.iter().filter(of).flat_map(|of| &of.scores);
        Scores::mean(&scores.filter(|(same, _)| fits(*same)).map(|(_, scores)| *scores).collect::<Vec<_>>())
    }
}

/// A number of the scores.
type Measure = fn(&Scores) -> f64;

/// All tables: ours, then the paper's.
pub(super) fn all(cells: &Cells, options: &DiscriminativeOptions) -> Vec<Table> {
    let measures: [(&str, Measure); 2] =
        [("SNR of mel spectra", |scores| scores.mel), ("SNR of waveforms", |scores| scores.wav)];
    let mut tables: Vec<Table> =
        measures.iter().map(|(title, of)| by_rank(cells, options, &format!("{title} in dB"), *of)).collect();
    for (title, of) in measures {
        tables.push(gained(cells, options, &format!("{title}, gained over {SPARSE} in dB"), of));
    }
    tables.push(by_sex(cells, options));
    tables.push(beside_usual(cells, options));
    tables.push(published("The paper's SNR of mel spectra in dB", &PUBLISHED_MEL));
    tables.push(published("The paper's SNR of waveforms in dB", &PUBLISHED_WAV));
    tables.push(published_by_sex());
    tables
}

/// A heading whose last columns are penalties.
fn heading(first: [&str; 2], sparsities: &[f64]) -> Vec<String> {
    let columns = sparsities.iter().map(|sparsity| format!("λ = {sparsity}"));
    first.map(String::from).into_iter().chain(columns).collect()
}

/// Table 1.
fn by_rank(cells: &Cells, options: &DiscriminativeOptions, title: &str, of: Measure) -> Table {
    let row = |method: &str, rank: usize| {
        let means = options.sparsities.iter().map(|&sparsity| of(&cells.mean(method, rank, sparsity, |_| true)));
        let cells = means.map(Cell::Decibels);
        [Cell::Text(method.into()), Cell::Number(rank as f64)].into_iter().chain(cells).collect()
    };
    let methods = cells.methods();
    let rows = methods.iter().flat_map(|method| options.ranks.iter().map(|&rank| row(method, rank))).collect();
    Table {
        title: title.into(),
        heading: heading(["method", "K"], &options.sparsities),
        rows,
        note: "Means over both speakers of a mixture, mixtures, pairs and starts. λ = 0 is NMF. DNMF: the paper's objective; \
               separation: masks have bases of their own, and the mel spectra are their shares of the mixture's."
            .into(),
    }
}

/// The difference of every method to sparse NMF.
fn gained(cells: &Cells, options: &DiscriminativeOptions, title: &str, of: Measure) -> Table {
    let row = |method: &str, rank: usize| {
        let mean = |method: &str, sparsity: f64| of(&cells.mean(method, rank, sparsity, |_| true));
        let gain = |&sparsity: &f64| Cell::Gain(mean(method, sparsity) - mean(SPARSE, sparsity));
        let cells = options.sparsities.iter().map(gain);
        [Cell::Text(method.into()), Cell::Number(rank as f64)].into_iter().chain(cells).collect()
    };
    let others: Vec<&str> = cells.methods().into_iter().filter(|method| *method != SPARSE).collect();
    Table {
        title: title.into(),
        heading: heading(["method", "K"], &options.sparsities),
        rows: others.iter().flat_map(|method| options.ranks.iter().map(|&rank| row(method, rank))).collect(),
        note: "The same starts and mixtures.".into(),
    }
}

/// Table 2.
fn by_sex(cells: &Cells, options: &DiscriminativeOptions) -> Table {
    let rank = options.ranks.iter().copied().max().unwrap_or_default();
    let row = |method: &str, same_sex: bool| {
        let mean = |&sparsity: &f64| cells.mean(method, rank, sparsity, |same| same == same_sex).mel;
        let cells = options.sparsities.iter().map(mean).map(Cell::Decibels);
        let name = if same_sex { SAME } else { OTHER };
        [Cell::Text(method.into()), Cell::Text(name.into())].into_iter().chain(cells).collect()
    };
    let methods = cells.methods();
    Table {
        title: format!("SNR of mel spectra in dB by the sexes of the speakers, K = {rank}"),
        heading: heading(["method", "speakers"], &options.sparsities),
        rows: [true, false].iter().flat_map(|&same| methods.iter().map(move |method| row(method, same))).collect(),
        note: "Means as above. NaN: there is no such pair.".into(),
    }
}

/// The estimates of every method beside those of the usual model.
fn beside_usual(cells: &Cells, options: &DiscriminativeOptions) -> Table {
    let methods = cells.methods();
    let columns =
        || methods.iter().flat_map(|&method| options.sparsities.iter().map(move |&sparsity| (method, sparsity)));
    let names = columns().map(|(method, sparsity)| format!("{method}, λ = {sparsity}"));
    let row = |&rank: &usize| {
        let means =
            columns().chain([(USUAL, 0.0)]).map(|(method, sparsity)| cells.mean(method, rank, sparsity, |_| true));
        std::iter::once(Cell::Number(rank as f64)).chain(means.map(|mean| Cell::Decibels(mean.si_sdr))).collect()
    };
    Table {
        title: "SI-SDR of waveforms in dB, beside the usual model of this program".into(),
        heading: std::iter::once("K".to_string()).chain(names).chain([USUAL.to_string()]).collect(),
        rows: options.ranks.iter().map(row).collect(),
        note: "The same mixtures. The usual model has bins up to half the sample rate, without bands and without pre-emphasis."
            .into(),
    }
}

fn published(title: &str, rows: &[Published]) -> Table {
    let row = |(method, rank, means): &Published| {
        let cells = means.map(Cell::Decibels);
        [Cell::Text((*method).into()), Cell::Number(*rank as f64)].into_iter().chain(cells).collect()
    };
    Table {
        title: title.into(),
        heading: heading(["method", "K"], &PUBLISHED_SPARSITIES),
        rows: rows.iter().map(row).collect(),
        note:
            "Other recordings: 8 speakers of the GRID corpus, 500 sentences each, 140 mixtures; powers, not magnitudes."
                .into(),
    }
}

fn published_by_sex() -> Table {
    let row = |(method, sexes, means): &(&str, &str, [f64; 5])| {
        let cells = means.map(Cell::Decibels);
        [Cell::Text((*method).into()), Cell::Text((*sexes).into())].into_iter().chain(cells).collect()
    };
    Table {
        title: "The paper's SNR of mel spectra in dB by the sexes of the speakers, K = 560".into(),
        heading: heading(["method", "speakers"], &PUBLISHED_SPARSITIES),
        rows: PUBLISHED_SEX.iter().map(row).collect(),
        note: "As above.".into(),
    }
}

/// The curves of both SNRs over the rank.
pub(super) fn figures(cells: &Cells, options: &DiscriminativeOptions) -> Result<Vec<Figure>> {
    let measures: [(&str, &str, Measure, &[Published]); 2] = [
        ("snr-mel", "SNR of mel spectra", |scores| scores.mel, &PUBLISHED_MEL),
        ("snr-wav", "SNR of waveforms", |scores| scores.wav, &PUBLISHED_WAV),
    ];
    measures.iter().map(|(name, title, of, published)| curves(cells, options, (name, title), *of, published)).collect()
}

fn curves(
    cells: &Cells,
    options: &DiscriminativeOptions,
    (name, title): (&str, &str),
    of: Measure,
    published: &[Published],
) -> Result<Figure> {
    let mut ranks = options.ranks.clone();
    ranks.sort_unstable();
    ranks.dedup();
    let (Some(&least), Some(&most)) = (ranks.first(), ranks.last()) else {
        return Err(Error::input("a plot over ranks needs at least one"));
    };
    let mut curves = Vec::new();
    for method in cells.methods() {
        for &sparsity in &options.sparsities {
            let point = |&rank: &usize| (rank as f64, of(&cells.mean(method, rank, sparsity, |_| true)));
            let points = ranks.iter().map(point).collect();
            curves.push(Curve { name: format!("{method}, λ = {sparsity}"), points, dashed: false });
        }
        for (column, sparsity) in
            PUBLISHED_SPARSITIES.iter().enumerate().filter(|(_, of)| options.sparsities.contains(of))
        {
            let own = published.iter().filter(|(of, rank, _)| *of == method && (least..=most).contains(rank));
            let points: Vec<(f64, f64)> = own.map(|(_, rank, means)| (*rank as f64, means[column])).collect();
            if points.len() > 1 {
                curves.push(Curve { name: format!("{method}, λ = {sparsity}, paper"), points, dashed: true });
            }
        }
    }
    let x = Axis::log("components per speaker", 0.9 * least as f64..1.1 * most as f64);
    Ok(Figure {
        name: name.into(),
        title: format!("{title} by rank"),
        caption: format!("{title} over the number of components. Dashed: the paper's, of other recordings."),
        svg: report::lines(title, &x, "dB", &curves)?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::arms::arms;
    use super::*;

    #[test]
    fn cells_are_means_over_starts_and_pairs() {
        let options =
            DiscriminativeOptions { ranks: vec![3], sparsities: vec![0.0, 0.5], ..DiscriminativeOptions::default() };
        let arms = arms(&options).unwrap();
        let names: Vec<_> = arms.iter().map(|arm| (arm.name.as_str(), arm.gains.sparsity)).collect();
        let methods = |sparsity| [SPARSE, "DNMF", "DNMF, separation"].map(|name| (name, sparsity));
        assert_eq!(names, [&methods(0.0)[..], &methods(0.5), &[(USUAL, 0.0)]].concat());
        let scores = |mel: f64| Scores { mel, wav: mel + 10.0, si_sdr: mel + 20.0 };
        let mut cells = Cells::default();
        for start in [0.0, 2.0] {
            for (index, arm) in arms.iter().enumerate() {
                let level = start + 100.0 * index as f64;
                cells.add(arm, vec![(true, scores(level)), (false, scores(level + 4.0))]);
            }
        }
        let tables = all(&cells, &options);
        let row = |table: usize, row: usize| tables[table].rows[row][1..].to_vec();
        assert_eq!(row(0, 0)[1..], [Cell::Decibels(3.0), Cell::Decibels(303.0)]);
        assert_eq!(row(1, 1)[1..], [Cell::Decibels(113.0), Cell::Decibels(413.0)]);
        assert_eq!(row(2, 0)[1..], [Cell::Gain(100.0), Cell::Gain(100.0)]);
        assert_eq!(row(3, 1)[1..], [Cell::Gain(200.0), Cell::Gain(200.0)]);
        assert_eq!(row(4, 0)[1..], [Cell::Decibels(1.0), Cell::Decibels(301.0)]);
        assert_eq!(row(4, 3)[1..], [Cell::Decibels(5.0), Cell::Decibels(305.0)]);
        assert_eq!((&row(5, 0)[1], &row(5, 0)[6]), (&Cell::Decibels(323.0), &Cell::Decibels(623.0)));
        assert_eq!(figures(&cells, &options).unwrap().len(), 2);
    }
}
