//! Draws a matrix as an image.

use std::ops::Range;

use ndarray::ArrayView2;

use crate::{Error, Result};

/// The colour map "magma" (CC0) at 16 equally spaced points. It is perceptually uniform and monotone in lightness.
const MAGMA: [[u8; 3]; 16] = [
    [0, 0, 4],
    [11, 9, 36],
    [32, 17, 75],
    [59, 15, 112],
    [87, 21, 126],
    [114, 31, 129],
    [140, 41, 129],
    [168, 50, 125],
    [196, 60, 117],
    [222, 73, 104],
    [241, 96, 93],
    [250, 127, 94],
    [254, 159, 109],
    [254, 191, 132],
    [253, 222, 160],
    [252, 253, 191],
];

/// Draws `values` (F, N) as a PNG of N by F pixels with row 0 at the bottom. Colours go from dark at `range.start` to
/// bright at `range.end`. Values outside are clipped, and NaN is darkest.
///
/// # Errors
/// [`Error::Input`] if there are no values, or more than a PNG can hold.
pub fn heatmap(values: ArrayView2<f32>, range: Range<f32>) -> Result<Vec<u8>> {
    let (rows, columns) = values.dim();
    let refused =
        |cause: String| Error::input(format!("an image of {columns} by {rows} pixels cannot be made: {cause}"));
    let (Ok(width), Ok(height)) = (u32::try_from(columns), u32::try_from(rows)) else {
        return Err(refused("it is too large".into()));
    };
    let pixels: Vec<u8> =
        values.outer_iter().rev().flat_map(|row| row.to_vec()).map(|value| level(value, &range)).collect();
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette());
    encoder.set_compression(png::Compression::High);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(&pixels)?;
        writer.finish()
    });
    written.map_err(|cause| refused(cause.to_string()))?;
    Ok(file)
}

/// The palette index of a value.
fn level(value: f32, range: &Range<f32>) -> u8 {
    // The cast saturates and turns NaN into 0.
    ((value - range.start) / (range.end - range.start) * 255.0).round() as u8
}

/// 256 RGB colours.
fn palette() -> Vec<u8> {
    let between = |level: usize| {
        let (low, step) = (level / 17, level % 17);
        let (from, to) = (MAGMA[low], MAGMA[(low + 1).min(15)]);
        [0, 1, 2].map(|channel| {
            let [from, to] = [from, to].map(|colour| usize::from(colour[channel]));
            ((from * (17 - step) + to * step + 8) / 17) as u8
        })
    };
    (0..256).flat_map(between).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    /// Decodes a PNG into width, height, pixels (indices) and palette.
    fn decoded(file: &[u8]) -> (u32, u32, Vec<u8>, Vec<u8>) {
        assert_eq!(&file[..8], b"\x89PNG\r\n\x1a\n");
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let info = reader.info();
        (info.width, info.height, pixels, info.palette.as_ref().unwrap().to_vec())
    }

    #[test]
    fn row_0_is_drawn_at_the_bottom() {
        let values = array![[-80.0, 0.0, -40.0], [f32::NAN, 20.0, f32::NEG_INFINITY]];
        let (width, height, pixels, palette) = decoded(&heatmap(values.view(), -80.0..0.0).unwrap());
        assert_eq!((width, height), (3, 2));
        assert_eq!(pixels, [0, 255, 0, 0, 255, 128]);
        assert_eq!(palette.len(), 768);
        assert_eq!((&palette[..3], &palette[3 * 255..]), (&[0, 0, 4][..], &[252, 253, 191][..]));
    }

    #[test]
    fn the_palette_contains_its_points_and_brightens_monotonically() {
        let palette = palette();
        let colours: Vec<&[u8]> = palette.chunks(3).collect();
        assert_eq!((colours[17], colours[34]), (&[11, 9, 36][..], &[32, 17, 75][..]));
        // Half a step of 17 lies between [0, 0, 4] and [11, 9, 36]: 8/17 of the way.
        assert_eq!(colours[8], [5, 4, 19]);
        let luminance = |colour: &[u8]| {
            0.2126 * f64::from(colour[0]) + 0.7152 * f64::from(colour[1]) + 0.0722 * f64::from(colour[2])
        };
        for pair in colours.windows(17) {
            assert!(luminance(pair[16]) > luminance(pair[0]), "{pair:?}");
        }
    }

    #[test]
    fn an_image_without_pixels_is_refused() {
        for shape in [(0, 0), (0, 3), (3, 0)] {
            let error = heatmap(Array2::zeros(shape).view(), 0.0..1.0).unwrap_err().to_string();
            assert!(error.contains(&format!("{} by {} pixels", shape.1, shape.0)), "{error}");
        }
    }
}
