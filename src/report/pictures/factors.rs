//! Bases, patterns and gains.

use ndarray::{Array2, ArrayView2, ArrayView3, Axis as Direction};

use super::super::Axis;
use super::super::shapes::Sketch;
use super::image::{Look, Matrix, WIDTH, decibels, loudest, narrowed};
use super::picture::Picture;
use super::rows::{Rows, SHOWN};
use crate::Result;

/// The range of bases and gains, in dB below the loudest.
const RANGE: f32 = 60.0;

/// The components of bases (F, K) from low to high: by the mean of their rows, weighted by their values. Those that are
/// zeros come last.
pub fn by_centroid(bases: ArrayView2<f32>) -> Vec<usize> {
    let centroid = |column: ndarray::ArrayView1<f32>| {
        let weighted = column.iter().enumerate().map(|(row, &value)| row as f64 * f64::from(value));
        let (total, weighted) = (column.iter().map(|&value| f64::from(value)).sum::<f64>(), weighted.sum::<f64>());
        if total > 0.0 { weighted / total } else { f64::INFINITY }
    };
    let centroids: Vec<f64> = bases.columns().into_iter().map(centroid).collect();
    let mut order: Vec<usize> = (0..centroids.len()).collect();
    order.sort_by(|&a, &b| centroids[a].total_cmp(&centroids[b]));
    order
}

/// Bases (TF, K) of T frames as the means of their frames, (F, K).
pub fn mean_frames(bases: ArrayView2<f32>, frames: usize) -> Array2<f32> {
    let frames = frames.max(1);
    let rows = bases.nrows() / frames;
    let mut mean = Array2::zeros((rows, bases.ncols()));
    bases.axis_chunks_iter(Direction(0), rows.max(1)).take(frames).for_each(|frame| mean += &frame);
    mean / frames as f32
}

/// Bases (F, K) of sources, sorted by [`by_centroid`]. Their values are powers at exponent 1 and magnitudes at 2.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if there are none, or one is empty.
pub fn bases(title: &str, note: &str, parts: &[Matrix], rows: &Rows, exponent: f64) -> Result<Picture> {
    let mut look = Look::decibels("dB re its loudest", RANGE, 150.0);
    look.sharp = true;
    let one = |part: &Matrix| {
        let sorted = part.values.select(Direction(1), &by_centroid(part.values.view()));
        let mut values = rows.shown(sorted.view());
        for mut basis in values.columns_mut() {
            let most = basis.iter().copied().fold(0.0, f32::max);
            basis.mapv_inplace(|value| if most > 0.0 { value / most } else { value });
        }
        let mut values = narrowed(values.view(), WIDTH);
        decibels(&mut values, 1.0, exponent);
        let title = format!("{}: {} components", part.title, part.values.ncols());
        look.images(&[(title, values, rows.axis.clone())], &Axis::count("component", part.values.ncols()))
    };
    let sketches = parts.iter().map(one).collect::<Result<Vec<_>>>()?;
    let how = "From low to high: the components of each source are sorted by the centroid of their frequencies. Each is shown in \
               dB below its own loudest point.";
    let few = parts.iter().all(|part| part.values.ncols() <= WIDTH);
    let averaged = if few { "" } else { " Where there are more than 600, a column is the mean of several." };
    Ok(Picture::new(title, format!("{how}{averaged} {note}").trim(), stacked(sketches)?))
}

/// Patterns (T, F, K): each component over its lags of time, in dB below its loudest point.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if there are none.
pub fn patterns(title: &str, patterns: ArrayView3<f32>, rows: &Rows) -> Result<Picture> {
    let (lags, bins, components) = patterns.dim();
    let mut look = Look::decibels("dB re its loudest", RANGE, 150.0);
    look.sharp = true;
    let one = |component: usize| {
        let pattern = patterns.index_axis(Direction(2), component);
        let mut values = rows.shown(pattern.t());
        let most = loudest([&values]);
        decibels(&mut values, most, 2.0);
        let title = format!("component {component}");
        look.images(&[(title, values, rows.axis.clone())], &Axis::count("lag in frames", lags))
    };
    let sketches = (0..components).filter(|_| bins > 0).map(one).collect::<Result<Vec<_>>>()?;
    Ok(Picture::new(title, "Each pattern over its lags of time, in dB below its loudest point.", stacked(sketches)?))
}

/// Gains (K, N) over time, each in the order of its rows, in dB below the loudest of all. Their values are powers at exponent
/// 1 and magnitudes at 2.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if there are none, or one is empty.
pub fn gains(title: &str, note: &str, parts: &[Matrix], time: &Axis, exponent: f64) -> Result<Picture> {
    let narrow: Vec<Array2<f32>> = parts.iter().map(|part| narrowed(part.values.view(), WIDTH)).collect();
    let most = loudest(&narrow);
    let shown = |(part, values): (&Matrix, &Array2<f32>)| {
        let rows = Rows::numbered("component", values.nrows());
        let mut values = if values.nrows() > SHOWN { rows.shown(values.view()) } else { values.clone() };
        decibels(&mut values, most, exponent);
        (part.title.clone(), values, rows.axis)
    };
    let images: Vec<_> = parts.iter().zip(&narrow).map(shown).collect();
    let look = Look { sharp: true, ..Look::decibels("dB re the loudest", RANGE, 150.0) };
    let averaged = if parts.iter().all(|part| part.values.nrows() <= SHOWN) {
        ""
    } else {
        " Where there are more than 256 components, a row is the mean of several."
    };
    let note = format!("{note} The {RANGE} dB below the loudest gain of all.{averaged}");
    Ok(Picture::new(title, note.trim(), look.images(&images, time)?))
}

/// One or more sketches one below the other.
fn stacked(sketches: Vec<Sketch>) -> Result<Sketch> {
    if sketches.is_empty() {
        return Err(crate::Error::input("a picture needs at least one component"));
    }
    Ok(Sketch::stacked(sketches))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, array};

    use super::*;

    #[test]
    fn components_are_sorted_from_low_to_high_and_zeros_last() {
        assert_eq!(by_centroid(array![[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]].view()), [2, 3, 1, 0]);
    }

    #[test]
    fn bases_of_several_frames_are_averaged() {
        let bases = array![[1.0], [2.0], [3.0], [6.0]];
        assert_eq!(mean_frames(bases.view(), 2), array![[2.0], [4.0]]);
        assert_eq!(mean_frames(bases.view(), 1), bases);
    }

    #[test]
    fn every_source_has_an_image_of_its_bases_and_its_own_axis() {
        let part = |name: &str, rank| Matrix { title: name.into(), values: Array2::ones((3, rank)) };
        let rows = Rows::bins(8000.0, 3);
        let picture = bases("Bases", "", &[part("speech", 4), part("piano", 700)], &rows, 2.0).unwrap();
        let svg = picture.svg();
        assert!(svg.contains(r#"viewBox="0 0 732 432""#), "{svg}");
        for part in [">speech: 4 components<", ">piano: 700 components<", ">600<"] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert_eq!((svg.matches("<image").count(), svg.matches(">component</text>").count()), (4, 2));
        assert!(picture.note.contains("mean of several"), "{}", picture.note);
        assert!(bases("", "", &[], &rows, 1.0).is_err());
    }

    #[test]
    fn gains_and_patterns_have_their_axes() {
        let part = |rows| Matrix { title: format!("{rows}"), values: Array2::ones((rows, 900)) };
        let time = Axis::new("time in s", 0.0..2.0);
        let picture = gains("Gains", "", &[part(3), part(300)], &time, 1.0).unwrap();
        assert_eq!(picture.svg().matches("<image").count(), 3);
        assert!(picture.note.contains("256"), "{}", picture.note);
        let svg = patterns("Patterns", Array3::ones((5, 4, 2)).view(), &Rows::numbered("row", 4)).unwrap().svg();
        assert!(svg.contains(">component 1<") && svg.contains(">lag in frames<"), "{svg}");
        assert!(patterns("", Array3::ones((5, 4, 0)).view(), &Rows::numbered("row", 4)).is_err());
    }
}
