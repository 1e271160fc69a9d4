//! The results beside the paper's.

use ndarray::Array1;

use crate::Result;
use crate::kernels::Gradient;
use crate::report::{self, Curve};
use crate::reproduce::{Cell, Figure, Table};

/// The paper's results: the level of speech over music in dB; the SNR of the speech in dB without priors, with weights
/// of 0.1, and with the best weights that the authors tried; and those weights, for speech and music.
pub(super) const PUBLISHED: [(f64, f64, f64, f64, &str); 6] = [
    (-5.0, 3.32, 3.45, 4.55, "0.5, 0.005"),
    (0.0, 7.19, 7.43, 7.68, "0.1, 0.01"),
    (5.0, 10.58, 10.64, 10.67, "0.1, 0.01"),
    (10.0, 12.91, 13.02, 13.06, "0.01, 0.05"),
    (15.0, 15.62, 15.92, 16.42, "0.01, 0.5"),
    (20.0, 17.14, 17.69, 20.69, "0.01, 10"),
];

/// SNR in dB at every level, with one gradient.
pub(super) struct ByGradient {
    pub(super) gradient: Gradient,
    pub(super) auto: Array1<f64>,
    /// With weights of 0.1.
    pub(super) even: Array1<f64>,
    /// For each pair of weights, of speech and music.
    pub(super) grid: Vec<([f64; 2], Array1<f64>)>,
}

impl ByGradient {
    /// The best SNR of the grid at every level, with its weights.
    fn best(&self) -> Vec<(f64, [f64; 2])> {
        let at = |level: usize| {
            let all = self.grid.iter().map(|(weights, scores)| (scores[level], *weights));
            all.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((f64::NAN, [0.0; 2]))
        };
        (0..self.auto.len()).map(at).collect()
    }
}

/// SNR in dB of the speech at every level.
pub(super) struct Scores {
    pub(super) levels: Vec<f64>,
    pub(super) plain: Array1<f64>,
    pub(super) by_gradient: [ByGradient; 2],
}

impl Scores {
    pub(super) fn table(&self) -> Table {
        let mut heading = vec!["level".to_string(), "no prior".into()];
        let mut columns = Vec::new();
        for ByGradient { gradient, auto, even, .. } in &self.by_gradient {
            heading.extend([format!("auto, {gradient}"), format!("0.1, {gradient}")]);
            columns.extend([auto, even]);
        }
        let row = |(index, &level): (usize, &f64)| {
            let gains = columns.iter().map(|column| Cell::Gain(column[index] - self.plain[index]));
            [Cell::Number(level), Cell::Decibels(self.plain[index])].into_iter().chain(gains).collect()
        };
        Table {
            title: "SNR of the speech in dB without priors, and the gain with priors".into(),
            heading,
            rows: self.levels.iter().enumerate().map(row).collect(),
            note: "Level of speech over music in dB. auto: weights from the data, without knowledge of the level. 0.1: both \
                   weights. paper: the gradient of eqs. (29) and (30) as printed. exact: the gradient of the likelihood."
                .into(),
        }
    }

    pub(super) fn best(&self) -> Table {
        let mut heading = vec!["level".to_string()];
        for ByGradient { gradient, .. } in &self.by_gradient {
            heading.extend([format!("best, {gradient}"), "speech, music".into()]);
        }
        let best = self.by_gradient.each_ref().map(ByGradient::best);
        let row = |(index, &level): (usize, &f64)| {
            let cells = best.iter().flat_map(|best| {
                let (score, [speech, music]) = best[index];
                [Cell::Gain(score - self.plain[index]), Cell::Text(format!("{speech}, {music}"))]
            });
            std::iter::once(Cell::Number(level)).chain(cells).collect()
        };
        Table {
            title: "The same with the best pair of weights at each level".into(),
            heading,
            rows: self.levels.iter().enumerate().map(row).collect(),
            note:
                "The pairs were chosen on these mixtures, with the level known. No rule for the weights can do better."
                    .into(),
        }
    }

    pub(super) fn figure(&self) -> Result<Figure> {
        let curve = |name: String, scores: Vec<f64>| Curve {
            name,
            points: self
                .levels
                .iter()
                .copied()
                .zip(scores.iter().zip(&self.plain).map(|(score, plain)| score - plain))
                .collect(),
            dashed: false,
        };
        let mut curves = Vec::new();
        for by in &self.by_gradient {
            curves.push(curve(format!("auto, {}", by.gradient), by.auto.to_vec()));
            curves.push(curve(format!("0.1, {}", by.gradient), by.even.to_vec()));
        }
        curves.push(curve("best pair, paper".into(), self.by_gradient[0].best().iter().map(|best| best.0).collect()));
        let points = PUBLISHED.iter().map(|&(level, none, even, ..)| (level, even - none)).collect();
        curves.push(Curve { name: "0.1, as published".into(), points, dashed: true });
        let ends = |fold: fn(f64, f64) -> f64, start| self.levels.iter().copied().chain([-5.0, 20.0]).fold(start, fold);
        let x = report::Axis::new(
            "level of speech over music in dB",
            ends(f64::min, f64::INFINITY)..ends(f64::max, f64::NEG_INFINITY),
        );
        let title = "SNR gained over no prior";
        Ok(Figure {
            name: "gain-prior".into(),
            title: "The gain by level".into(),
            caption: "The gain in SNR of the speech with priors. Weights from the data are the default; the best pair knows the level."
                .into(),
            svg: report::lines(title, &x, "dB", &curves)?,
        })
    }
}

pub(super) fn published() -> Table {
    let row = |&(level, none, even, best, weights): &(f64, f64, f64, f64, &str)| {
        let gains = [even, best].map(|score| Cell::Gain(score - none));
        let cells = [Cell::Number(level), Cell::Decibels(none)].into_iter().chain(gains);
        cells.chain([Cell::Text(weights.into())]).collect()
    };
    Table {
        title: "The paper's results: SNR in dB without priors, and the gain with priors".into(),
        heading: ["level", "no prior", "0.1", "best", "speech, music"].map(String::from).to_vec(),
        rows: PUBLISHED.iter().map(row).collect(),
        note: "Other recordings: 540 utterances of one speaker, 12 pieces for piano; levels by active speech level."
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_weights_are_chosen_per_level() {
        let grid = vec![([0.0, 0.1], ndarray::array![1.0, 5.0]), ([0.5, 0.2], ndarray::array![3.0, 4.0])];
        let none = ndarray::array![0.0, 0.0];
        let by = ByGradient { gradient: Gradient::Paper, auto: none.clone(), even: none, grid };
        assert_eq!(by.best(), [(3.0, [0.5, 0.2]), (5.0, [0.0, 0.1])]);
    }
}
