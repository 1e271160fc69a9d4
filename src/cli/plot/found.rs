//! `partwise plot` of what `separate --gains` wrote.

use std::io::{Read, Seek};
use std::ops::Range;

use anyhow::{Context, bail, ensure};
use ndarray::{Array2, ArrayD, Axis as Direction, Ix2};
use partwise::arrays::Archive;
use partwise::separate::{Explained, Factors};

/// Whether an archive is one of these.
pub(super) fn is_found<R: Read + Seek>(archive: &Archive<R>) -> bool {
    archive.names().iter().any(|name| name == "frequencies")
}

/// What was found, without masks and data.
pub(super) fn read<R: Read + Seek>(archive: &mut Archive<R>) -> anyhow::Result<Explained> {
    let sources = archive.texts("sources")?;
    let numbers: Vec<String> = if archive.names().iter().any(|name| name == "bases") {
        vec![String::new()]
    } else {
        let sets = (1..).map(|set: usize| set.to_string());
        sets.take_while(|set| archive.names().contains(&format!("bases{set}"))).collect()
    };
    let rows: Vec<f64> = archive.read("frequencies")?.into_iter().collect();
    ensure!(!rows.is_empty() && rows.iter().all(|hz| hz.is_finite()), "frequencies are none");
    let factors: Vec<Factors> =
        numbers.iter().map(|set| factors(archive, set, sources.len(), rows.len())).collect::<anyhow::Result<_>>()?;
    let (sample_rate, hop) = (number(archive, "sample_rate")?, number(archive, "hop")?);
    ensure!(sample_rate >= 1.0 && hop >= 1.0, "sample_rate and hop must be 1 or more");
    Ok(Explained {
        sources,
        sample_rate: sample_rate as u32,
        hop: hop as usize,
        start: number(archive, "start")?,
        rows,
        bins: Vec::new(),
        mask: None,
        factors,
        costs: archive.read("costs")?.into_dimensionality::<Ix2>().context("costs: must have 2 axes")?,
        data: Vec::new(),
        masks: Vec::new(),
    })
}

fn number<R: Read + Seek>(archive: &mut Archive<R>, name: &str) -> anyhow::Result<f64> {
    let array = archive.read(name)?;
    match array.as_slice() {
        Some(&[number]) if number.is_finite() => Ok(number),
        _ => bail!("{name} is not a number"),
    }
}

/// A set of bases with its gains.
fn factors<R: Read + Seek>(
    archive: &mut Archive<R>,
    set: &str,
    sources: usize,
    rows: usize,
) -> anyhow::Result<Factors> {
    let mut count = |name: &str| -> anyhow::Result<usize> {
        let value = number(archive, &format!("{name}{set}"))?;
        ensure!((1.0..=65536.0).contains(&value), "{name}{set} is {value}");
        Ok(value as usize)
    };
    let (context, stride, pitches) = (count("context")?, count("stride")?, count("pitches")?);
    let name = format!("bases{set}");
    // Their frames are an axis where there are several, and channels where each has its own.
    let bases = archive.read(&name)?;
    let alike = bases.ndim() == if context > 1 { 3 } else { 2 };
    let bases = if alike { bases.insert_axis(Direction(0)) } else { bases };
    let bases = matrices(bases, context).with_context(|| format!("{name} does not fit context{set}"))?;
    let name = format!("gains{set}");
    let gains = matrices(archive.read(&name)?, pitches).with_context(|| format!("{name} does not fit pitches{set}"))?;
    let mut end = 0usize;
    let mut next = |count: f64| -> Range<usize> {
        let start = end;
        end = end.saturating_add(count as usize);
        start..end
    };
    let components: Vec<Range<usize>> = archive.read(&format!("components{set}"))?.into_iter().map(&mut next).collect();
    let fits = components.len() == sources
        && components.iter().all(|range| !range.is_empty())
        && bases.iter().all(|bases| bases.dim() == (rows * context, end))
        && gains.iter().all(|gains| gains.nrows() == pitches * end && gains.ncols() > 0)
        && !bases.is_empty()
        && !gains.is_empty();
    ensure!(fits, "bases{set}, gains{set}, components{set}, sources and frequencies do not fit each other");
    Ok(Factors { bases, gains, components, context, stride, pitches })
}

/// Arrays (C, rows, columns), or (C, parts, rows, columns) where there are several parts, as matrices (parts · rows, columns).
fn matrices(array: ArrayD<f64>, parts: usize) -> anyhow::Result<Vec<Array2<f32>>> {
    let axes = array.shape().to_vec();
    let (rows, columns) = match axes[..] {
        [_, rows, columns] if parts == 1 => (rows, columns),
        [_, own, rows, columns] if own == parts => (parts * rows, columns),
        _ => bail!("has shape {axes:?}"),
    };
    let matrix = |part: ndarray::ArrayViewD<f64>| {
        Ok(part.mapv(|value| value as f32).to_shape((rows, columns)).context("has no such shape")?.into_owned())
    };
    array.outer_iter().map(matrix).collect()
}
