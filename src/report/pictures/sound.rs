//! Spectrograms of recordings, and the masks that separate them.

use ndarray::Array2;

use super::super::Axis;
use super::image::{Look, Matrix, WIDTH, decibels, loudest, narrowed};
use super::picture::Picture;
use super::rows::Rows;

use crate::Result;

/// The range of spectrograms, in dB below the loudest point.
const RANGE: f32 = 80.0;

/// Spectrograms of signals at one sample rate, one above the other, with common colours. Their values are those of
/// [`spectrogram`](super::super::spectrogram()).
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if there are none, or one is empty.
pub fn spectrograms(title: &str, parts: &[Matrix], seconds: f64, sample_rate: u32) -> Result<Picture> {
    let powers: Vec<Array2<f32>> =
        parts.iter().map(|part| part.values.mapv(|level| 10f32.powf(level / 10.0))).collect();
    let most = loudest(&powers);
    let shown = |(part, powers): (&Matrix, &Array2<f32>)| {
        let rows = Rows::bins(f64::from(sample_rate), powers.nrows());
        let mut values = rows.shown(powers.view());
        decibels(&mut values, most, 1.0);
        (part.title.clone(), values, rows.axis)
    };
    let images: Vec<_> = parts.iter().zip(&powers).map(shown).collect();
    let look = Look::decibels("dB re the loudest", RANGE, 150.0);
    let sketch = look.images(&images, &Axis::new("time in s", 0.0..seconds))?;
    let averaged = "Long recordings are averaged: a column is the mean power of several frames.";
    Ok(Picture::new(title, &format!("The {RANGE} dB below the loudest point of all. {averaged}"), sketch))
}

/// Masks (F, N) of sources, of frames over `time`.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if there are none, or one is empty.
pub fn masks(title: &str, note: &str, parts: &[Matrix], rows: &Rows, time: &Axis) -> Result<Picture> {
    let shown = |part: &Matrix| {
        let values = rows.shown(narrowed(part.values.view(), WIDTH).view());
        (part.title.clone(), values, rows.axis.clone())
    };
    let images: Vec<_> = parts.iter().map(shown).collect();
    let sketch = Look::share("share", 150.0).images(&images, time)?;
    Ok(Picture::new(title, note, sketch))
}

/// The share of each signal in the magnitude of all of them, point by point, from their spectrograms in dB. Where all are
/// silent, each has the same.
pub fn shares(spectrograms: &[Array2<f32>]) -> Vec<Array2<f32>> {
    let magnitudes: Vec<Array2<f32>> =
        spectrograms.iter().map(|levels| levels.mapv(|level| 10f32.powf(level / 20.0))).collect();
    let Some(first) = magnitudes.first() else { return Vec::new() };
    let total = magnitudes.iter().fold(Array2::<f32>::zeros(first.dim()), |sum, own| sum + own);
    let equal = 1.0 / magnitudes.len() as f32;
    let share = |mut own: Array2<f32>| {
        own.zip_mut_with(&total, |own, &total| *own = if total > 0.0 { *own / total } else { equal });
        own
    };
    magnitudes.into_iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn matrix(title: &str, values: Array2<f32>) -> Matrix {
        Matrix { title: title.into(), values }
    }

    #[test]
    fn spectrograms_have_axes_and_one_scale() {
        let parts = [matrix("left", Array2::from_elem((5, 3), -20.0)), matrix("right", Array2::zeros((5, 3)))];
        let svg = spectrograms("Spectrogram", &parts, 4.0, 8000).unwrap().svg();
        // Width 56 + 600 + 76, height 2 (26 + 150) + 40; two images and the scale.
        assert!(svg.contains(r#"viewBox="0 0 732 392""#), "{svg}");
        assert_eq!(svg.matches("<image").count(), 3);
        for (name, count) in
            [("frequency in kHz", 2), ("time in s", 1), ("dB re the loudest", 1), ("left", 1), ("-80", 1)]
        {
            assert_eq!(svg.matches(&format!(">{name}</text>")).count(), count, "{name}: {svg}");
        }
        // 2 kHz lies halfway up the first image, 1 s a quarter along.
        assert!(svg.contains(r#"<text x="49.0" y="105.0" text-anchor="end">2</text>"#), "{svg}");
        assert!(svg.contains(r#"<text x="206.0" y="368.0" text-anchor="middle">1.0</text>"#), "{svg}");
        assert!(spectrograms("", &[], 1.0, 8000).is_err());
        assert!(spectrograms("", &[matrix("", Array2::zeros((5, 0)))], 0.0, 8000).is_err());
    }

    #[test]
    fn silence_can_be_drawn() {
        let silent = matrix("", Array2::from_elem((5, 3), f32::NEG_INFINITY));
        assert!(spectrograms("", &[silent], 1.0, 8000).is_ok());
    }

    #[test]
    fn shares_sum_to_one() {
        let found = shares(&[array![[0.0, f32::NEG_INFINITY]], array![[-20.0, f32::NEG_INFINITY]]]);
        assert!((found[0][[0, 0]] - 10.0 / 11.0).abs() < 1e-6 && found[1][[0, 1]] == 0.5, "{found:?}");
        assert!(shares(&[]).is_empty());
    }

    #[test]
    fn masks_have_a_scale_of_shares() {
        let rows = Rows::bins(8000.0, 5);
        let time = Axis::new("time in s", 0.0..3.0);
        let svg = masks("Masks", "", &[matrix("a", Array2::ones((5, 2000)))], &rows, &time).unwrap().svg();
        assert!(svg.contains(">share</text>") && svg.contains(">0.5</text>") && svg.contains(">1.0</text>"), "{svg}");
    }
}
