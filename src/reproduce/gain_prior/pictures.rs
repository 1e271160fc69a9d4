//! Pictures of gains.

use ndarray::{Array2, Axis, s};

use super::options::GainPriorOptions;
use super::problem::{Problem, settings, under};
use crate::engines::AnyEngine;
use crate::kernels::Gradient;
use crate::methods::gain_prior::Weight;
use crate::model::Model;
use crate::report::{self, Panel, heatmap};
use crate::reproduce::Figure;
use crate::reproduce::mixtures::Clip;
use crate::{Result, with_engine};

/// The range of the gain pictures, in dB below the loudest gain of a frame.
const SHOWN: f32 = 60.0;

/// Pictures the speech's gains in the first clip at the lowest level: in the clean speech, in the mixture without
/// priors, and with priors.
pub(super) fn pictures(
    engine: &AnyEngine,
    model: &Model,
    clips: &[Clip],
    options: &GainPriorOptions,
) -> Result<Figure> {
    let (level, rank) = (options.levels[0], model.sources[0].bases.ncols());
    let none = settings([Weight::Given(0.0); 2], Gradient::Paper);
    let auto = settings([Weight::Auto; 2], Gradient::Paper);
    let alone = Clip { rest: vec![0.0; clips[0].target.len()], ..clips[0].clone() };
    let order = by_centroid(&model.sources[0].bases);
    let mut panels = Vec::new();
    for (title, clip, settings) in [
        ("Gains of the speech, alone".to_string(), &alone, &none),
        (format!("In the mixture at {level} dB, no prior"), &clips[0], &none),
        (format!("In the mixture at {level} dB, weights from the data"), &clips[0], &auto),
    ] {
        let problem = Problem::new(model, std::slice::from_ref(clip), level)?;
        let all = with_engine!(engine, |engine| {
            under(engine, model, settings)?.gains(engine, problem.data.t(), &problem.segments)?
        });
        let shown = all.slice(s![..rank, ..]).select(Axis(0), &order);
        let loudest = shown.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        let decibels = shown.mapv(|gain| 10.0 * (gain / loudest).log10());
        let png = heatmap(decibels.view(), -SHOWN..0.0)?;
        panels.push(Panel { title, png, y: report::Axis::new("component", 0.0..rank as f64) });
    }
    let seconds = clips[0].target.len() as f64 / f64::from(model.sample_rate);
    let (x, scale) = (report::Axis::new("time in s", 0.0..seconds), report::Axis::new("dB", f64::from(-SHOWN)..0.0));
    Ok(Figure {
        name: "gains".into(),
        title: "The gains of a clip".into(),
        caption: format!(
            "Gains of {} in {}, components by the centroid of their spectra.",
            model.sources[0].name, clips[0].name
        ),
        svg: report::figure(&panels, &x, Some(&scale), (640.0, 150.0))?,
    })
}

/// The columns of bases (F, K), ordered by their centroids.
fn by_centroid(bases: &Array2<f32>) -> Vec<usize> {
    let centroid = |column: usize| {
        let column = bases.column(column);
        let moment: f32 = column.iter().enumerate().map(|(bin, w)| bin as f32 * w).sum();
        moment / column.sum().max(f32::MIN_POSITIVE)
    };
    let mut order: Vec<usize> = (0..bases.ncols()).collect();
    order.sort_by(|&a, &b| centroid(a).total_cmp(&centroid(b)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_ordered_by_centroid() {
        let bases = ndarray::array![[0.0, 1.0, 0.5], [0.0, 0.0, 0.5], [1.0, 0.0, 0.0]];
        assert_eq!(by_centroid(&bases), [1, 2, 0]);
    }
}
