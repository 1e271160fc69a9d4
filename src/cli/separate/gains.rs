//! Writes the bases and gains that a separation found in a recording, for numpy.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::bail;
use ndarray::{Array1, Array2, ArrayD, ArrayView2, Axis, arr0, stack};
use partwise::arrays::ArchiveWriter;
use partwise::schedule::Input;
use partwise::separate::{Detail, Explained, Factors, Plan, Separator, explain};
use partwise::{Error, Mask, audio};

use super::super::output::{check_output, write_whole};
use super::super::{Common, progress};

/// Checks before the work that the file can be written, and that it is of one recording.
pub(super) fn check(file: &Path, inputs: &[Input]) -> anyhow::Result<()> {
    if inputs.len() != 1 {
        bail!(
            "--gains {}: is of one recording, and there are {} inputs; name one of them",
            file.display(),
            inputs.len()
        );
    }
    Ok(check_output(file, inputs.iter().map(|input| input.path.as_path()))?)
}

/// Separates a recording again, to the same bits, and writes what was found. None if `stop` was set before it was.
pub(super) fn find(
    common: &Common,
    (plan, separator): (&Plan, &dyn Separator),
    input: &Path,
    stop: &AtomicBool,
    file: PathBuf,
) -> anyhow::Result<Option<PathBuf>> {
    let recording = audio::read(input)?;
    let bar = progress::bar(common, 100, "finding gains again");
    let mut watch = |share: f64| {
        bar.set_position((100.0 * share) as u64);
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let found = explain(plan, separator, &recording, Detail::Factors, &mut watch);
    bar.finish_and_clear();
    match found {
        Err(Error::Cancelled) => Ok(None),
        found => {
            let found = found?;
            write_whole(&file, |partial| write(partial, &found))?;
            Ok(Some(file))
        }
    }
}

/// The layout is that of docs/models-and-formats.md.
fn write(path: &Path, found: &Explained) -> io::Result<()> {
    let mut archive = ArchiveWriter::new(File::create(path)?);
    archive.add_texts("sources", &found.sources)?;
    archive.add("sample_rate", &arr0(i64::from(found.sample_rate)))?;
    archive.add("hop", &arr0(found.hop as i64))?;
    archive.add("start", &arr0(found.start))?;
    archive.add("frequencies", &Array1::from(found.rows.clone()))?;
    if let Some(mask) = found.mask {
        // A power without limit gives all to the largest.
        let power = if let Mask::Ratio(power) = mask { power } else { f64::INFINITY };
        archive.add("mask_power", &arr0(power))?;
    }
    archive.add("costs", &found.costs)?;
    for (index, factors) in found.factors.iter().enumerate() {
        let number = if found.factors.len() > 1 { (index + 1).to_string() } else { String::new() };
        add(&mut archive, &number, factors)?;
    }
    archive.finish()
}

/// Adds a set of bases with their gains, under names that end with its number.
fn add<W: Write + Seek>(archive: &mut ArchiveWriter<W>, number: &str, factors: &Factors) -> io::Result<()> {
    let &Factors { ref bases, ref gains, ref components, context, stride, pitches } = factors;
    let counts: Array1<i64> = components.iter().map(|range| range.len() as i64).collect();
    archive.add(&format!("components{number}"), &counts)?;
    archive.add(&format!("bases{number}"), &laid_out(bases, context, bases.len() == 1)?)?;
    archive.add(&format!("gains{number}"), &laid_out(gains, pitches, false)?)?;
    let shape = [("context", context), ("stride", stride), ("pitches", pitches)];
    shape.into_iter().try_for_each(|(name, count)| archive.add(&format!("{name}{number}"), &arr0(count as i64)))
}

/// Matrices of all channels, or of all alike. Their rows, of so many parts, have an axis for the parts if there are several.
fn laid_out(channels: &[Array2<f32>], parts: usize, alike: bool) -> io::Result<ArrayD<f32>> {
    let views: Vec<ArrayView2<f32>> = channels.iter().map(|channel| channel.view()).collect();
    let all = stack(Axis(0), &views).map_err(io::Error::other)?;
    let (count, rows, columns) = all.dim();
    let mut shape = if alike { Vec::new() } else { vec![count] };
    shape.extend(if parts > 1 { vec![parts, rows / parts] } else { vec![rows] });
    shape.push(columns);
    all.to_shape(shape).map(|shaped| shaped.to_owned()).map_err(io::Error::other)
}
