//! The experiment's numbers as tables and curves, beside the paper's.

use super::options::AveragedOptions;
use super::recorded::Way;
use super::scene::{Case, Score};
use crate::report::{self, Axis, Curve};
use crate::reproduce::{Cell, Figure, Table};
use crate::{Error, Result};

/// The paper's levels in dB.
const PUBLISHED_LEVELS: [f64; 6] = [-6.0, -3.0, 0.0, 3.0, 6.0, 9.0];
/// Table 1: the way, the SDR in dB at these levels, and the mean time in ms.
const PUBLISHED: [(&str, [f64; 6], f64); 4] = [
    ("VB selection", [3.77, 4.36, 5.20, 5.72, 6.19, 6.40], 172.7),
    ("VB fusion", [4.24, 4.90, 5.47, 6.14, 6.76, 7.21], 60.8),
    ("oracle selection", [4.35, 5.04, 5.69, 6.45, 7.14, 7.77], 172.7),
    ("fusion by mean", [3.81, 4.57, 5.22, 5.91, 6.53, 7.04], 172.7),
];

/// A number of a score.
type Measure = fn(&Score) -> f64;

/// The ways of the paper's table, and the mean of all orders alone.
const WAYS: [(&str, Measure); 6] = [
    ("VB selection", |score| score.selection),
    ("VB fusion", |score| score.joint),
    ("fusion of estimates", |score| score.fusion),
    ("oracle selection", |score| score.oracle),
    ("fusion by mean", |score| score.mean),
    ("an order alone, on average", |score| score.of_order.iter().sum::<f64>() / score.of_order.len() as f64),
];

/// All tables: ours, then the paper's.
pub(super) fn all(cases: &[Case], recorded: &[Way], options: &AveragedOptions) -> Vec<Table> {
    vec![
        by_level(cases, options),
        by_order(cases, options),
        times(cases),
        published(),
        of_recordings(recorded, options),
    ]
}

/// The mean of a measure over the cases that fit, and the standard error of it.
fn mean(cases: &[Case], of: impl Fn(&Score) -> f64, fits: impl Fn(&Case) -> bool) -> (f64, f64) {
    let values: Vec<f64> = cases.iter().filter(|case| fits(case)).map(|case| of(&case.score)).collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    (mean, (variance / count).sqrt())
}

fn level_heading(first: &str, levels: &[f64], last: &[&str]) -> Vec<String> {
    let levels = levels.iter().map(|level| format!("{level} dB"));
    std::iter::once(first.to_string()).chain(levels).chain(last.iter().map(|last| last.to_string())).collect()
}

/// The paper's table 1.
fn by_level(cases: &[Case], options: &AveragedOptions) -> Table {
    let row = |(name, of): &(&str, Measure)| {
        let of_level = |level: usize| Cell::Decibels(mean(cases, of, |case| case.level == level).0);
        let over_selection = mean(cases, |score| of(score) - score.selection, |_| true);
        let levels = (0..options.levels.len()).map(of_level);
        std::iter::once(Cell::Text((*name).into()))
            .chain(levels)
            .chain([
                Cell::Decibels(mean(cases, of, |_| true).0),
                Cell::Gain(over_selection.0),
                Cell::Decibels(over_selection.1),
            ])
            .collect()
    };
    Table {
        title: "SDR of the speech in dB, drawn mixtures, by their level".into(),
        heading: level_heading("way", &options.levels, &["mean", "over selection", "± standard error"]),
        rows: WAYS.iter().map(row).collect(),
        note: "Means over the orders of which mixtures were drawn, and over draws. VB fusion is the paper's, with one estimate \
               under all orders. A fusion of estimates has one of every order, and weighs them in every frame by how well they \
               fit; its background starts from the data."
            .into(),
    }
}

/// The SDR of every order alone and the posterior, by the order of which mixtures were drawn.
fn by_order(cases: &[Case], options: &AveragedOptions) -> Table {
    let orders = || options.orders.iter().enumerate();
    let row = |(drawn, order): (usize, &usize)| {
        let fits = |case: &Case| case.order == drawn;
        let alone = orders().map(|(index, _)| Cell::Decibels(mean(cases, |score| score.of_order[index], fits).0));
        let q = |index: usize| Cell::Decibels(mean(cases, |score| score.posteriors[1][index], fits).0);
        let posterior = orders().map(|(index, _)| q(index));
        std::iter::once(Cell::Number(*order as f64)).chain(alone).chain(posterior).collect()
    };
    let names = |of: &'static str| orders().map(move |(_, order)| format!("{of} {order}"));
    Table {
        title: "SDR in dB of every order alone, and the weights of the orders in a fusion of estimates".into(),
        heading: std::iter::once("drawn of".to_string()).chain(names("K =")).chain(names("q of")).collect(),
        rows: orders().map(row).collect(),
        note: "Means over levels and draws.".into(),
    }
}

fn times(cases: &[Case]) -> Table {
    let [selection, joint, fusion] = [0, 1, 2].map(|way| mean(cases, |score| 1000.0 * score.seconds[way], |_| true).0);
    let row =
        |name: &str, time: f64| vec![Cell::Text(name.into()), Cell::Decibels(time), Cell::Decibels(selection / time)];
    Table {
        title: "Time of a separation".into(),
        heading: ["way", "ms", "times faster than selection"].map(String::from).to_vec(),
        rows: vec![row("VB selection", selection), row("VB fusion", joint), row("fusion of estimates", fusion)],
        note: "Selection computes the free energy of every order after the last iteration.".into(),
    }
}

fn published() -> Table {
    let row = |(name, of_level, time): &(&str, [f64; 6], f64)| {
        let mean = of_level.iter().sum::<f64>() / of_level.len() as f64;
        let levels = of_level.iter().copied().map(Cell::Decibels);
        let rest = [Cell::Decibels(mean), Cell::Number(*time)];
        std::iter::once(Cell::Text((*name).into())).chain(levels).chain(rest).collect()
    };
    Table {
        title: "The paper's SDR of the speech in dB".into(),
        heading: level_heading("way", &PUBLISHED_LEVELS, &["mean", "ms"]),
        rows: PUBLISHED.iter().map(row).collect(),
        note: "Other recordings: the CHiME corpus, one draw of each order and level.".into(),
    }
}

/// Mixtures of recordings, with the best order of plain NMF.
fn of_recordings(ways: &[Way], options: &AveragedOptions) -> Table {
    let row = |name: &str, of_level: &[f64]| {
        let mean = of_level.iter().sum::<f64>() / of_level.len() as f64;
        let cells = of_level.iter().copied().chain([mean]).map(Cell::Decibels);
        std::iter::once(Cell::Text(name.into())).chain(cells).collect::<Vec<_>>()
    };
    let best = |level: usize| {
        let orders = ways.iter().filter(|way| way.is_order);
        orders.map(|way| way.of_level[level]).fold(f64::NEG_INFINITY, f64::max)
    };
    let best: Vec<f64> = (0..options.levels.len()).map(best).collect();
    let mut rows: Vec<_> = ways.iter().map(|way| row(&way.name, &way.of_level)).collect();
    rows.push(row("nmf, is, best K of each level", &best));
    Table {
        title: "SI-SDR of the speech in dB, mixtures of recordings".into(),
        heading: level_heading("way", &options.levels, &["mean"]),
        rows,
        note: "Means over clips. With a background, nothing is known of the noise; all others have learned from its training \
               recordings."
            .into(),
    }
}

/// SDR over the level, the posterior of the orders, and the free energy over the iterations.
pub(super) fn figures(cases: &[Case], options: &AveragedOptions) -> Result<Vec<Figure>> {
    Ok(vec![sdr(cases, options)?, posterior(cases, options)?, energy(cases, options)?])
}

fn sdr(cases: &[Case], options: &AveragedOptions) -> Result<Figure> {
    let mut curves = Vec::new();
    for (name, of) in &WAYS[..5] {
        let point = |(index, level): (usize, &f64)| (*level, mean(cases, of, |case| case.level == index).0);
        let points = options.levels.iter().enumerate().map(point).collect();
        curves.push(Curve { name: (*name).into(), points, dashed: false });
    }
    for (name, of_level, _) in PUBLISHED {
        let points = PUBLISHED_LEVELS.into_iter().zip(of_level).collect();
        curves.push(Curve { name: format!("{name}, paper"), points, dashed: true });
    }
    let (least, most) = range(curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.0)))?;
    Ok(Figure {
        name: "sdr".into(),
        title: "SDR by level".into(),
        caption: "SDR of the speech over the level of speech over noise. Dashed: the paper's, of other recordings."
            .into(),
        svg: report::lines("SDR of drawn mixtures", &Axis::new("dB of speech over noise", least..most), "dB", &curves)?,
    })
}

fn posterior(cases: &[Case], options: &AveragedOptions) -> Result<Figure> {
    let curve = |(level, name): (usize, &f64)| {
        let point = |(index, order): (usize, &usize)| {
            (*order as f64, mean(cases, |score| score.posteriors[1][index], |case| case.level == level).0)
        };
        let points = options.orders.iter().enumerate().map(point).collect();
        Curve { name: format!("{name} dB"), points, dashed: false }
    };
    let curves: Vec<Curve> = options.levels.iter().enumerate().map(curve).collect();
    let (least, most) = range(options.orders.iter().map(|&order| order as f64))?;
    Ok(Figure {
        name: "posterior".into(),
        title: "The weights of the orders by level".into(),
        caption:
            "The mean weight of every number of components in a fusion of estimates, by the level of speech over noise."
                .into(),
        svg: report::lines("Weights of the orders", &Axis::log("components", 0.9 * least..1.1 * most), "q", &curves)?,
    })
}

fn energy(cases: &[Case], options: &AveragedOptions) -> Result<Figure> {
    // The energies of different mixtures differ by far more than those of a mixture's orders, so one mixture is drawn: of the
    // middle order and level.
    let middle = (options.orders.len() / 2, options.levels.len() / 2);
    let case = cases.iter().find(|case| (case.order, case.level) == middle);
    let case = case.ok_or_else(|| Error::input("there is no mixture to draw"))?;
    // They are shown below the highest of them, because they differ by far less than they are from zero.
    let highest = case.score.energy.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
    let curve = |(index, (order, trace)): (usize, (&usize, &Vec<f64>))| {
        let point = |(at, energy): (usize, &f64)| ((at + 1) as f64, (energy - highest) / 1e3);
        let points = trace.iter().enumerate().skip(1).map(point).collect();
        Curve { name: format!("K = {order}"), points, dashed: index > 5 }
    };
    let curves: Vec<Curve> = options.orders.iter().zip(&case.score.energy).enumerate().map(curve).collect();
    Ok(Figure {
        name: "free-energy".into(),
        title: "Free energy of every order".into(),
        caption: "The free energy of every order alone, of one mixture, below the highest. It never falls; selection takes the highest."
            .into(),
        svg: report::lines(
            "Free energy",
            &Axis::new("iteration", 1.0..options.iterations as f64 + 1.0),
            "thousands",
            &curves,
        )?,
    })
}

fn range(values: impl Iterator<Item = f64> + Clone) -> Result<(f64, f64)> {
    let (least, most) = (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max));
    if least < most { Ok((least, most)) } else { Err(Error::input("a plot needs two levels or orders")) }
}
