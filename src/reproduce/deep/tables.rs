//! The experiment's numbers as tables and curves, beside the paper's.

use super::arms::{Arm, Scored};
use super::options::DeepOptions;
use crate::report::{self, Axis, Curve};
use crate::reproduce::{Cell, Figure, Table};
use crate::{Error, Result};

/// Tables I and II: the cost, and the gains in dB of recordings that were learned from and of others, each after two numbers
/// of updates.
type Published = (&'static str, [f64; 4]);
const DENOISED: [Published; 6] = [
    ("t, ν = 0.73 (learned)", [5.37, 5.46, 7.62, 7.61]),
    ("GGD, β = 0.14 (learned)", [4.93, 4.75, 6.42, 6.19]),
    ("network (learned)", [5.73, 6.09, 7.64, 7.69]),
    ("t, ν = 4", [2.86, 2.37, 4.63, 4.17]),
    ("GGD, β = 1.2", [-0.34, -0.56, 0.55, 0.38]),
    ("network (random)", [-3.67, -4.04, -2.83, -3.09]),
];
const SEPARATED: [Published; 6] = [
    ("t, ν = 4.72 (learned)", [3.99, 3.98, 5.03, 5.03]),
    ("GGD, β = 0.45 (learned)", [4.25, 4.28, 4.92, 4.94]),
    ("network (learned)", [4.24, 4.27, 5.10, 5.19]),
    ("t, ν = 1", [3.97, 4.00, 4.97, 4.98]),
    ("GGD, β = 0.1", [3.48, 3.69, 4.84, 5.09]),
    ("network (random)", [3.75, 3.75, 4.78, 4.77]),
];
/// The numbers of updates of the paper's tables.
const DENOISED_AFTER: [usize; 2] = [300, 500];
const SEPARATED_AFTER: [usize; 2] = [50, 100];

/// All tables: ours, each with the paper's.
pub(super) fn all(denoised: &[Scored], separated: &[Scored], options: &DeepOptions) -> Vec<Table> {
    let mut tables = vec![
        gains("What is gained in noise, SI-SDR in dB", denoised, options),
        published("The same in the paper (table I)", &DENOISED, DENOISED_AFTER),
    ];
    if !separated.is_empty() {
        tables.push(gains("What is gained of two speakers, SI-SDR in dB", separated, options));
        tables.push(published("The same in the paper (table II)", &SEPARATED, SEPARATED_AFTER));
    }
    tables
}

fn name(Scored { arm: Arm { name, is_learned, .. }, curve, .. }: &Scored) -> String {
    match curve.number().filter(|_| *is_learned) {
        Some(number) => format!("{name}: {number:.2}"),
        None => (*name).to_string(),
    }
}

/// The gains after every number of updates, of the recordings that costs are learned from and of others.
fn gains(title: &str, scored: &[Scored], options: &DeepOptions) -> Table {
    let after = || options.after.iter();
    let row = |scored: &Scored| {
        let cells = scored.gains.iter().flatten().copied().map(Cell::Gain);
        std::iter::once(Cell::Text(name(scored))).chain(cells).collect()
    };
    let heading = |of: &'static str| after().map(move |updates| format!("{of}{updates}"));
    Table {
        title: title.into(),
        heading: std::iter::once("cost".to_string()).chain(heading("")).chain(heading("others, ")).collect(),
        rows: scored.iter().map(row).collect(),
        note: "After so many updates. First of the recordings that costs are learned from, in noise or mixtures that are new; \
               then of others."
            .into(),
    }
}

fn published(title: &str, rows: &[Published], after: [usize; 2]) -> Table {
    let row = |(name, gains): &Published| {
        std::iter::once(Cell::Text((*name).into())).chain(gains.iter().copied().map(Cell::Gain)).collect()
    };
    let heading = |of: &'static str| after.iter().map(move |updates| format!("{of}{updates}"));
    Table {
        title: title.into(),
        heading: std::iter::once("cost".to_string()).chain(heading("")).chain(heading("others, ")).collect(),
        rows: rows.iter().map(row).collect(),
        note: "Of other recordings.".into(),
    }
}

/// The figures: gains over updates, densities, and losses over steps.
pub(super) fn figures(denoised: &[Scored], separated: &[Scored], options: &DeepOptions) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (scored, what, of) in [(denoised, "denoising", "in noise"), (separated, "separation", "of two speakers")] {
        if scored.is_empty() {
            continue;
        }
        for (set, which) in ["learned from", "not learned from"].into_iter().enumerate() {
            figures.push(over_updates(scored, set, options, what, &format!("{of}, recordings {which}"))?);
        }
        figures.push(densities(scored, what)?);
        figures.push(over_steps(scored, what)?);
    }
    Ok(figures)
}

fn over_updates(scored: &[Scored], set: usize, options: &DeepOptions, what: &str, of: &str) -> Result<Figure> {
    let curve = |scored: &Scored| Curve {
        name: name(scored),
        points: options.after.iter().map(|&updates| updates as f64).zip(scored.gains[set].iter().copied()).collect(),
        dashed: !scored.arm.is_learned,
    };
    let last = options.after.last().copied().unwrap_or(1) as f64;
    let curves: Vec<Curve> = scored.iter().map(curve).collect();
    let title = format!("SI-SDR gain {of}");
    Ok(Figure {
        name: format!("{what}-{}", ["known", "others"][set]),
        title: format!("{title}, by update"),
        caption: format!("{title}, by the number of updates. Dashed: costs that are not learned."),
        svg: report::lines(&title, &Axis::new("updates", 0.0..last), "gain in dB", &curves)?,
    })
}

/// The log-density (13) of a spectrum's magnitude under a model of 1: −∫ ζ from 0 to |y|².
fn densities(scored: &[Scored], what: &str) -> Result<Figure> {
    const WIDEST: f64 = 6.0;
    let curve = |scored: &Scored| -> Result<Curve> {
        let weight = scored.curve.weight()?;
        // The table has −log r + ∫ ζ from 1 to r.
        let integral = |r: f64| weight.cost().exact(r) + r.ln();
        let points = (0..=60).map(|at| f64::from(at) / 60.0 * WIDEST);
        let points = points.map(|y| (y, -integral((y * y).max(1e-12)))).collect();
        Ok(Curve { name: name(scored), points, dashed: !scored.arm.is_learned })
    };
    let curves = scored.iter().map(curve).collect::<Result<Vec<_>>>()?;
    // The Gaussian falls far below the rest, and generalized ones rise far above it at 0.
    let seen = |(_, log): &(f64, f64)| (-8.0..=8.0).contains(log);
    let clipped: Vec<Curve> = curves
        .into_iter()
        .map(|curve| Curve { points: curve.points.into_iter().filter(seen).collect(), ..curve })
        .collect();
    Ok(Figure {
        name: format!("{what}-densities"),
        title: format!("Densities, {what}"),
        caption: "Log-densities of the magnitude of a bin under a model of 1, each less its value at 1 (equation 13; figures 5 \
                  and 7)."
            .into(),
        svg: report::lines("log-densities", &Axis::new("|y|", 0.0..WIDEST), "log f − log f(1)", &clipped)?,
    })
}

fn over_steps(scored: &[Scored], what: &str) -> Result<Figure> {
    let curve = |scored: &Scored| Curve {
        name: name(scored),
        points: scored
            .losses
            .iter()
            .enumerate()
            .map(|(step, &loss)| ((step + 1) as f64, -10.0 * loss.log10()))
            .collect(),
        dashed: false,
    };
    let learned: Vec<Curve> = scored.iter().filter(|scored| !scored.losses.is_empty()).map(curve).collect();
    let steps =
        learned.iter().map(|curve| curve.points.len()).max().ok_or_else(|| Error::input("nothing was learned"))?;
    Ok(Figure {
        name: format!("{what}-training"),
        title: format!("Training, {what}"),
        caption: "SI-SDR of the mean loss of every step of training. Each step has other examples.".into(),
        svg: report::lines("training", &Axis::new("step", 0.0..steps as f64), "SI-SDR in dB", &learned)?,
    })
}
