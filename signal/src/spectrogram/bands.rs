//! Groups bins into bands and back: bands of logarithmic frequency, in which a change of pitch is a shift, as Schmidt and
//! Mørup use them for nonnegative matrix factor 2-D deconvolution (2006), and mel bands, as Wang and Sha use them for
//! discriminative NMF (2014).

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Zip};

use super::mel::{MelScale, Triangle};
use super::{Sample, stft::LARGEST_FFT};
use crate::{Error, Result};

const MOST_BANDS: usize = 1 << 16;

/// The assignment of bins to bands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// Bin k is the interval (k ± ½)·sample rate/fft and is shared among bands by length. No band is empty, however
    /// narrow.
    Overlap,
    /// Bin k belongs to the band that contains its centre k·sample rate/fft. Bands narrower than a bin may be empty.
    Centre,
}

/// A sparse map M (B x F) between the F bins of a transform and B bands, B ≤ 65536.
#[derive(Debug, Clone, PartialEq)]
pub struct Bands {
    /// The edges in Hz: B + 1, or B + 2 of triangles, which overlap.
    edges: Vec<f64>,
    /// B.
    count: usize,
    /// The columns of M, one per bin.
    columns: Vec<Column>,
    /// The bins that overlap a band. They are contiguous, because bands are.
    touched: Range<usize>,
    spreading: Spreading,
}

/// How masks of bands become masks of bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spreading {
    /// A bin's mask is a mean of masks: [`Bands::spread`].
    Masks,
    /// A bin's mask is the ratio of models that were interpolated from the bands: [`Bands::spread_models`].
    Models,
}

/// The nonzero entries of a column of M: the weights of consecutive bands from `first` on.
#[derive(Debug, Clone, PartialEq)]
struct Column {
    first: usize,
    weights: Vec<f64>,
}

impl Bands {
    /// Bands with edges fmin·2^(b/per_octave), b = 0 ..= ⌊per_octave·log₂(fmax/fmin)⌋, where `range_hz` is fmin..fmax,
    /// with [`Grouping::Overlap`].
    ///
    /// For example, 24 bands per octave from 50 to 8000 Hz are the paper's 175 bands, which end at 7833.94 Hz.
    ///
    /// # Errors
    /// [`Error::Input`] unless 0 < fmin < fmax ≤ sample_rate/2, if the range is narrower than a band or has more than
    /// 65536 bands, or if `fft` is not in 1 to 2^20.
    pub fn log(sample_rate: u32, fft: usize, per_octave: usize, range_hz: Range<f64>) -> Result<Self> {
        Self::log_grouped(Grouping::Overlap, sample_rate, fft, per_octave, range_hz)
    }

    /// Like [`Bands::log`], with another grouping.
    ///
    /// # Errors
    /// See [`Bands::log`]; also [`Error::Input`] if no bin has its centre in a band.
    pub fn log_grouped(
        grouping: Grouping,
        sample_rate: u32,
        fft: usize,
        per_octave: usize,
        range_hz: Range<f64>,
    ) -> Result<Self> {
        let bands = log_count(per_octave, &range_hz)?;
        check_transform(sample_rate, fft, &range_hz)?;
        let edge = |b| range_hz.start * (b as f64 / per_octave as f64).exp2();
        let edges: Vec<f64> = (0..=bands).map(edge).collect();
        let width = f64::from(sample_rate) / fft as f64;
        let column = |k| match grouping {
            Grouping::Overlap => overlap(&edges, k as f64, width),
            Grouping::Centre => centre(&edges, k as f64 * width),
        };
        let columns: Vec<Column> = (0..=fft / 2).map(column).collect();
        let touched = touched(&columns);
        if touched.is_empty() {
            return Err(Error::input(format!(
                "no bin of an fft of {fft} points has its centre in a band from {} to {} Hz; use a longer fft",
                range_hz.start, range_hz.end
            )));
        }
        Ok(Self { edges, count: bands, columns, touched, spreading: Spreading::Masks })
    }

    /// `count` mel bands: triangles between `count` + 2 points that are equally far apart on a mel scale, from the start
    /// to the end of `range_hz`. M_bk is the height of triangle b at the bin centre k·sample rate/fft. These are librosa's
    /// mel filters.
    ///
    /// # Errors
    /// [`Error::Input`] unless 0 ≤ low < high ≤ sample_rate/2 and `count` is in 1 to 65536, if `fft` is not in 1 to 2^20,
    /// or if a triangle lies between two bins and would be empty.
    pub fn mel(
        sample_rate: u32,
        fft: usize,
        count: usize,
        range_hz: Range<f64>,
        (scale, triangle): (MelScale, Triangle),
    ) -> Result<Self> {
        mel_check(count, &range_hz)?;
        check_transform(sample_rate, fft, &range_hz)?;
        let points = scale.points(count, range_hz.start, range_hz.end);
        let width = f64::from(sample_rate) / fft as f64;
        let columns: Vec<Column> = (0..=fft / 2).map(|k| triangles(&points, triangle, k as f64 * width)).collect();
        let mut filled = vec![false; count];
        for column in &columns {
            filled[column.first..column.first + column.weights.len()].fill(true);
        }
        if let Some(empty) = filled.iter().position(|filled| !filled) {
            return Err(Error::input(format!(
                "mel band {} of {count}, from {:.1} to {:.1} Hz, has no bin of an fft of {fft} points; use a longer fft or fewer \
                 bands",
                empty + 1,
                points[empty],
                points[empty + 2]
            )));
        }
        let touched = touched(&columns);
        Ok(Self { edges: points, count, columns, touched, spreading: Spreading::Models })
    }

    /// The same map without the bands that reach a bin from `bins` on: above its own Nyquist frequency, a recording is
    /// empty, and a band would be too quiet.
    ///
    /// # Errors
    /// [`Error::Input`] if no band is left.
    pub fn below(self, bins: usize) -> Result<Self> {
        let Some(beyond) = self.columns.iter().skip(bins).find(|column| !column.weights.is_empty()) else {
            return Ok(self);
        };
        let count = beyond.first;
        if count == 0 {
            return Err(Error::input(format!(
                "no band lies within the lowest {bins} bins; use bands of lower frequency"
            )));
        }
        let mut columns = self.columns;
        for column in &mut columns {
            column.weights.truncate(count.saturating_sub(column.first));
        }
        let mut edges = self.edges;
        edges.truncate(edges.len() - (self.count - count));
        let touched = touched(&columns);
        Ok(Self { edges, count, columns, touched, spreading: self.spreading })
    }

    /// The map of [`below`](Self::below) for data that have the lowest `bins` bins alone.
    ///
    /// # Errors
    /// Those of [`below`](Self::below).
    pub fn of_lowest(self, bins: usize) -> Result<Self> {
        let mut map = self.below(bins)?;
        // No band reaches those that are left out.
        map.columns.truncate(bins);
        Ok(map)
    }

    /// The edges in Hz. Of B logarithmic bands there are B + 1, and band b lies between edges b and b + 1. Of B mel bands
    /// there are B + 2, and band b lies between edges b and b + 2, with its peak at edge b + 1.
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }

    /// The middle of every band in Hz: the peak of a mel band, and the geometric mean of the edges of a logarithmic one.
    pub fn middles(&self) -> Vec<f64> {
        let is_mel = self.edges.len() > self.count + 1;
        let middle = |b: usize| if is_mel { self.edges[b + 1] } else { (self.edges[b] * self.edges[b + 1]).sqrt() };
        (0..self.count).map(middle).collect()
    }

    /// The number of bands, B.
    pub fn bands(&self) -> usize {
        self.count
    }

    /// How masks of these bands become masks of bins.
    pub fn spreading(&self) -> Spreading {
        self.spreading
    }

    /// M (B, F) with its zeros.
    pub fn matrix(&self) -> Array2<f64> {
        let mut matrix = Array2::zeros((self.bands(), self.bins()));
        for (k, Column { first, weights }) in self.columns.iter().enumerate() {
            weights.iter().zip(*first..).for_each(|(&weight, b)| matrix[(b, k)] = weight);
        }
        matrix
    }

    /// The number of bins, F = fft/2 + 1.
    pub fn bins(&self) -> usize {
        self.columns.len()
    }

    /// Groups frames of magnitudes (N, F) into bands (N, B): M |x| for each frame x.
    ///
    /// # Errors
    /// [`Error::Input`] if F is not the transform's number of bins.
    pub fn group<T: Sample>(&self, data: ArrayView2<T>) -> Result<Array2<T>> {
        check(data, self.bins(), "bins")?;
        let columns: Vec<_> = self.columns.iter().map(|column| column.weighted::<T>(1.0)).collect();
        let mut out = Array2::zeros((data.nrows(), self.bands()));
        Zip::from(out.rows_mut()).and(data.rows()).par_for_each(|mut out, x| {
            for (&x, (first, weights)) in x.iter().zip(&columns) {
                for (b, &weight) in (*first..).zip(weights) {
                    out[b] = out[b] + weight * x;
                }
            }
        });
        Ok(out)
    }

    /// Groups bases with a row for every bin (F, K) into bases with a row for every band (B, K): M W.
    ///
    /// # Errors
    /// [`Error::Input`] if F is not the transform's number of bins.
    pub fn group_bases<T: Sample>(&self, bases: ArrayView2<T>) -> Result<Array2<T>> {
        check(bases.t(), self.bins(), "bins")?;
        let mut out = Array2::zeros((self.bands(), bases.ncols()));
        for (column, bin) in self.columns.iter().zip(bases.rows()) {
            let (first, weights) = column.weighted::<T>(1.0);
            for (b, &weight) in (first..).zip(&weights) {
                Zip::from(out.row_mut(b)).and(bin).for_each(|out, &w| *out = *out + weight * w);
            }
        }
        Ok(out)
    }

    /// Spreads masks of bands (N, B) to masks of bins (N, F). A bin's mask is the mean over the bands that it overlaps,
    /// weighted by M. A bin that overlaps no band copies the nearest bin that does.
    ///
    /// If the masks of several sources sum to 1, their results do too. A binary mask becomes fractional in bins that
    /// overlap several bands.
    ///
    /// # Errors
    /// [`Error::Input`] if B is not this map's number of bands.
    pub fn spread<T: Sample>(&self, masks: ArrayView2<T>) -> Result<Array2<T>> {
        check(masks, self.bands(), "bands")?;
        let nearest = |k: usize| &self.columns[k.clamp(self.touched.start, self.touched.end - 1)];
        let mean = |column: &Column| column.weighted::<T>(column.weights.iter().sum());
        let columns: Vec<_> = (0..self.bins()).map(|k| mean(nearest(k))).collect();
        let mut out = Array2::zeros((masks.nrows(), self.bins()));
        Zip::from(out.rows_mut()).and(masks.rows()).par_for_each(|mut out, masks| {
            for (out, (first, weights)) in out.iter_mut().zip(&columns) {
                *out = (*first..).zip(weights).fold(T::zero(), |sum, (b, &weight)| sum + weight * masks[b]);
            }
        });
        Ok(out)
    }

    /// Spreads masks m_j (N, B) to masks of bins (N, F) by their models: Σ_b M_bk l_b m_jb / Σ_b M_bk l_b.
    ///
    /// If l_b = Σ_j R_jb are the `levels` (N, B) of all models together, and m_jb = R_jb / l_b, this is the ratio of the
    /// models that are interpolated from the bands, Mᵀ R_j / Mᵀ Σ_i R_i. With the triangles of mel bands, the
    /// interpolation is linear between the peaks. (Oracles divide Mᵀ by a number per bin first, which the ratio cancels.)
    /// A bin that no band has, or that is silent in all of them, gets `share`: 1/J of J sources, so that all of them sum to
    /// 1.
    ///
    /// # Errors
    /// [`Error::Input`] if B is not this map's number of bands, or the shapes differ.
    pub fn spread_models<T: Sample>(
        &self,
        masks: ArrayView2<T>,
        levels: ArrayView2<T>,
        share: f64,
    ) -> Result<Array2<T>> {
        check(masks, self.bands(), "bands")?;
        if masks.dim() != levels.dim() {
            let (masks, levels) = (masks.dim(), levels.dim());
            return Err(Error::input(format!("masks of shape {masks:?} do not fit levels of shape {levels:?}")));
        }
        let columns: Vec<_> = self.columns.iter().map(|column| column.weighted::<T>(1.0)).collect();
        let share = T::rounded(share);
        let mut out = Array2::zeros((masks.nrows(), self.bins()));
        Zip::from(out.rows_mut()).and(masks.rows()).and(levels.rows()).par_for_each(|mut out, masks, levels| {
            for (out, (first, weights)) in out.iter_mut().zip(&columns) {
                let (mut part, mut total) = (T::zero(), T::zero());
                for (b, &weight) in (*first..).zip(weights) {
                    let level = weight * levels[b];
                    part = part + level * masks[b];
                    total = total + level;
                }
                *out = if total > T::zero() { part / total } else { share };
            }
        });
        Ok(out)
    }
}

impl Column {
    /// The index of the first band, and the weights divided by `total`.
    fn weighted<T: Sample>(&self, total: f64) -> (usize, Vec<T>) {
        (self.first, self.weights.iter().map(|weight| T::rounded(weight / total)).collect())
    }
}

/// Checks that a transform can have bands of this range.
fn check_transform(sample_rate: u32, fft: usize, range_hz: &Range<f64>) -> Result<()> {
    if range_hz.end > f64::from(sample_rate) / 2.0 {
        return Err(Error::input(format!(
            "bands up to {} Hz do not fit a sample rate of {sample_rate}; use at most half of it",
            range_hz.end
        )));
    }
    if !(1..=LARGEST_FFT).contains(&fft) {
        return Err(Error::input(format!("an fft of {fft} points has no bands; use 1 to {LARGEST_FFT}")));
    }
    Ok(())
}

/// Checks a number of mel bands and their range.
pub(super) fn mel_check(count: usize, range_hz: &Range<f64>) -> Result<()> {
    let &Range { start, end } = range_hz;
    let refused = |reason: &str| Err(Error::input(format!("bands mel:{count}:{start}-{end} {reason}")));
    if !(1..=MOST_BANDS).contains(&count) {
        return refused(&format!("are {count}; use 1 to {MOST_BANDS}"));
    }
    if !(start >= 0.0 && start < end && end.is_finite()) {
        return refused("have an empty range; use one that begins at 0 Hz or above and ends above that");
    }
    Ok(())
}

/// The number of logarithmic bands in a valid range.
pub(super) fn log_count(per_octave: usize, range_hz: &Range<f64>) -> Result<usize> {
    let &Range { start, end } = range_hz;
    let refused = |reason: &str| Err(Error::input(format!("bands log:{per_octave}:{start}-{end} {reason}")));
    if !(start > 0.0 && start < end && end.is_finite()) {
        return refused("have an empty range; use one that begins above 0 Hz and ends above that");
    }
    // Rounding must not turn a whole number of bands into one fewer.
    let bands = (per_octave as f64 * (end / start).log2() + 1e-9).floor();
    if bands < 1.0 {
        return refused("are empty: a band is wider than the range; use more per octave or a wider range");
    }
    if bands > MOST_BANDS as f64 {
        return refused(&format!("are more than {MOST_BANDS}; use fewer per octave or a narrower range"));
    }
    Ok(bands as usize)
}

/// The column of bin k, the interval k ± ½: the length of its overlap with each band.
fn overlap(edges: &[f64], k: f64, width: f64) -> Column {
    let (from, to) = ((k - 0.5) * width, (k + 0.5) * width);
    let first = edges.partition_point(|&edge| edge <= from).saturating_sub(1);
    let end = edges.partition_point(|&edge| edge < to).min(edges.len() - 1);
    let share = |band: &[f64]| (band[1].min(to) - band[0].max(from)) / width;
    let weights = edges.windows(2).take(end).skip(first).map(share).collect();
    Column { first, weights }
}

/// The bins that overlap a band; empty if none does.
fn touched(columns: &[Column]) -> Range<usize> {
    let touches = |column: &Column| !column.weights.is_empty();
    let first = columns.iter().position(touches).unwrap_or_default();
    first..columns.iter().rposition(touches).map_or(first, |last| last + 1)
}

/// The column of the bin centred at `hz`: it lies on the falling side of a triangle, on the rising side of the next, or
/// both.
fn triangles(points: &[f64], triangle: Triangle, hz: f64) -> Column {
    let above = points.partition_point(|&point| point <= hz);
    let bands = above.saturating_sub(2)..above.min(points.len() - 2);
    let weight = |band: usize| triangle.weight([points[band], points[band + 1], points[band + 2]], hz);
    let bands: Vec<_> = bands.map(|band| (band, weight(band))).filter(|(_, weight)| *weight > 0.0).collect();
    Column {
        first: bands.first().map_or(0, |(band, _)| *band),
        weights: bands.iter().map(|(_, weight)| *weight).collect(),
    }
}

/// The column of the bin centred at `hz`: one band or none.
fn centre(edges: &[f64], hz: f64) -> Column {
    match edges.partition_point(|&edge| edge <= hz) {
        above if above == 0 || above == edges.len() => Column { first: 0, weights: Vec::new() },
        above => Column { first: above - 1, weights: vec![1.0] },
    }
}

fn check<T>(frames: ArrayView2<T>, expected: usize, of: &str) -> Result<()> {
    if frames.ncols() == expected {
        return Ok(());
    }
    Err(Error::input(format!("frames with {} {of} do not fit a map with {expected}", frames.ncols())))
}

#[cfg(test)]
mod tests {
    use ndarray::{array, s};

    use super::*;

    fn near(a: &Array2<f64>, b: &Array2<f64>) {
        assert!(a.dim() == b.dim() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12), "{a} is not {b}");
    }

    /// Numbers in (0, 1) without a pattern along either axis.
    fn scattered(rows: usize, columns: usize) -> Array2<f64> {
        Array2::from_shape_fn((rows, columns), |(n, k)| ((n * columns + k) as f64 * 12.9898).sin().powi(2))
    }

    #[test]
    fn edges_equal_hand_computed_ones() {
        let close = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9);
        let octaves = Bands::log(8000, 16, 1, 500.0..4000.0).unwrap();
        assert!(close(octaves.edges(), &[500.0, 1000.0, 2000.0, 4000.0]), "{:?}", octaves.edges());
        // Another half octave would exceed 3900 Hz.
        let halves = Bands::log(8000, 16, 2, 1000.0..3900.0).unwrap();
        let root = 2f64.sqrt();
        assert!(close(halves.edges(), &[1000.0, 1000.0 * root, 2000.0, 2000.0 * root]), "{:?}", halves.edges());
        let paper = Bands::log(16_000, 2048, 24, 50.0..8000.0).unwrap();
        assert_eq!((paper.bands(), paper.bins()), (175, 1025));
        assert!((paper.edges()[175] - 7833.94).abs() < 0.005, "{}", paper.edges()[175]);
        // A range that ends on an edge, up to rounding in either direction, keeps its last band.
        for b in 1..=84 {
            let fmax = 55.0 * 2f64.powf(f64::from(b) / 12.0);
            assert_eq!(Bands::log(16_000, 16, 12, 55.0..fmax).unwrap().bands(), b as usize, "up to {fmax} Hz");
        }
    }

    /// Bins of 500 Hz from -250 Hz on; bands from 500, 1000 and 2000 to 4000 Hz.
    #[test]
    fn maps_equal_hand_computed_ones() {
        let octaves = Bands::log(8000, 16, 1, 500.0..4000.0).unwrap();
        let expected = array![
            [0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.5, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0, 0.5]
        ];
        near(&octaves.matrix(), &expected);
        let centres = Bands::log_grouped(Grouping::Centre, 8000, 16, 1, 500.0..4000.0).unwrap();
        let expected = array![
            [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0]
        ];
        near(&centres.matrix(), &expected);
        // Bin 1, from 250 to 750 Hz, contains the band from 300 to 600 Hz and parts of both its neighbours.
        let narrow = Bands::log(8000, 16, 1, 150.0..1200.0).unwrap();
        near(&narrow.matrix().slice(s![.., 1..2]).to_owned(), &array![[0.1], [0.6], [0.3]]);
    }

    #[test]
    fn grouped_frames_and_spread_masks_equal_hand_computed_ones() {
        let octaves = Bands::log(8000, 16, 1, 500.0..4000.0).unwrap();
        let frames = array![[9.0, 2.0, 4.0, 1.0, 6.0, 0.0, 0.0, 5.0, 8.0], [1.0; 9]];
        near(&octaves.group(frames.view()).unwrap(), &array![[3.0, 6.0, 12.0], [1.0, 2.0, 4.0]]);
        near(&octaves.group(Array2::eye(9).view()).unwrap().reversed_axes(), &octaves.matrix());
        let masks = octaves.spread(array![[0.2, 0.6, 1.0]].view()).unwrap();
        // Bin 0 overlaps no band and copies bin 1.
        near(&masks, &array![[0.2, 0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0, 1.0]]);
        // Bins of 750 Hz; bands from 625, 1250 and 2500 Hz.
        let few = Bands::log(9000, 12, 1, 625.0..2500.0).unwrap();
        near(
            &few.matrix(),
            &array![[0.0, 2.0 / 3.0, 1.0 / 6.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 5.0 / 6.0, 5.0 / 6.0, 0.0, 0.0, 0.0]],
        );
        near(&few.spread(array![[0.0, 0.6]].view()).unwrap(), &array![[0.0, 0.0, 0.5, 0.6, 0.6, 0.6, 0.6]]);
        assert_eq!(few.group(Array2::<f32>::zeros((0, 7)).view()).unwrap().dim(), (0, 2));
    }

    #[test]
    fn the_weights_of_a_bin_inside_the_range_sum_to_one() {
        for (sample_rate, fft, per_octave, range) in
            [(16_000, 2048, 24, 50.0..8000.0), (44_100, 4096, 24, 50.0..22_050.0), (44_100, 441, 12, 27.5..20_000.0)]
        {
            let bands = Bands::log(sample_rate, fft, per_octave, range.clone()).unwrap();
            let (map, width) = (bands.matrix(), f64::from(sample_rate) / fft as f64);
            let [low, high] = [bands.edges()[0], bands.edges()[bands.bands()]];
            assert!(map.rows().into_iter().all(|band| band.sum() > 0.0), "an empty band");
            assert!(map.iter().all(|&weight| (0.0..=1.0 + 1e-12).contains(&weight)));
            let mut whole = 0;
            for (k, column) in map.columns().into_iter().enumerate() {
                let [from, to] = [(k as f64 - 0.5) * width, (k as f64 + 0.5) * width];
                let inside = (to.min(high) - from.max(low)).max(0.0) / width;
                assert!((column.sum() - inside).abs() < 1e-9, "bin {k} of {sample_rate} Hz: {}", column.sum());
                whole += usize::from(inside == 1.0);
            }
            assert!(whole > bands.bins() / 2, "{whole} bins inside");
        }
    }

    #[test]
    fn a_tone_at_44100_hz_falls_into_its_band() {
        for grouping in [Grouping::Overlap, Grouping::Centre] {
            let bands = Bands::log_grouped(grouping, 44_100, 4096, 12, 55.0..14_080.0).unwrap();
            assert_eq!((bands.bands(), bands.bins()), (96, 2049));
            let mut frame = Array2::<f32>::zeros((1, 2049));
            // Bin 40 of 10.77 Hz is 430.7 Hz. It lies between 415.3 and 440 Hz, which are 35 and 36 semitones above 55
            // Hz.
            frame[[0, 40]] = 3.0;
            let grouped = bands.group(frame.view()).unwrap();
            assert!(
                (grouped[[0, 35]] - 3.0).abs() < 1e-6 && grouped.iter().filter(|&&x| x > 0.0).count() == 1,
                "{grouping:?}"
            );
        }
    }

    #[test]
    fn spread_masks_of_sources_still_sum_to_one() {
        for grouping in [Grouping::Overlap, Grouping::Centre] {
            let bands = Bands::log_grouped(grouping, 16_000, 2048, 24, 50.0..8000.0).unwrap();
            let first = scattered(3, 175);
            let second = first.mapv(|mask| 1.0 - mask);
            let [first, second] = [first, second].map(|mask| bands.spread(mask.view()).unwrap());
            near(&(&first + &second), &Array2::ones((3, 1025)));
            assert!(first.iter().all(|mask| (0.0..=1.0).contains(mask)) && first.iter().any(|&mask| mask < 0.1));
            let halves = bands.spread(Array2::<f32>::from_elem((2, 175), 0.5).view()).unwrap();
            assert!(halves.iter().all(|mask| (mask - 0.5).abs() < 1e-6));
        }
    }

    #[test]
    fn silence_stays_silent() {
        let bands = Bands::log(16_000, 2048, 24, 50.0..8000.0).unwrap();
        assert_eq!(bands.group(Array2::<f32>::zeros((2, 1025)).view()).unwrap(), Array2::<f32>::zeros((2, 175)));
        assert_eq!(bands.spread(Array2::<f32>::zeros((2, 175)).view()).unwrap(), Array2::<f32>::zeros((2, 1025)));
    }

    #[test]
    fn frames_do_not_affect_each_other() {
        let bands = Bands::log(16_000, 256, 12, 100.0..8000.0).unwrap();
        let (frames, masks) = (scattered(7, bands.bins()), scattered(7, bands.bands()));
        let (grouped, spread) = (bands.group(frames.view()).unwrap(), bands.spread(masks.view()).unwrap());
        for n in 0..7 {
            let alone = s![n..n + 1, ..];
            assert_eq!(bands.group(frames.slice(alone)).unwrap(), grouped.slice(alone));
            assert_eq!(bands.spread(masks.slice(alone)).unwrap(), spread.slice(alone));
        }
        // The memory layout of the array has no effect.
        let turned = frames.t().as_standard_layout().into_owned();
        assert_eq!(bands.group(turned.t()).unwrap(), grouped);
    }

    #[test]
    fn invalid_bands_are_refused() {
        let nan = f64::NAN;
        for (sample_rate, fft, per_octave, range, part) in [
            (16_000, 2048, 24, 0.0..8000.0, "above 0 Hz"),
            (16_000, 2048, 24, -50.0..8000.0, "above 0 Hz"),
            (16_000, 2048, 24, nan..8000.0, "above 0 Hz"),
            (16_000, 2048, 24, 50.0..nan, "above 0 Hz"),
            (16_000, 2048, 24, 50.0..f64::INFINITY, "above 0 Hz"),
            (16_000, 2048, 24, 50.0..50.0, "above 0 Hz"),
            (16_000, 2048, 24, 8000.0..50.0, "above 0 Hz"),
            (16_000, 2048, 24, 50.0..8000.5, "up to 8000.5 Hz do not fit a sample rate of 16000"),
            (0, 2048, 24, 50.0..8000.0, "sample rate of 0"),
            (16_000, 2048, 0, 50.0..8000.0, "log:0:50-8000 are empty"),
            (16_000, 2048, 1, 50.0..99.0, "wider than the range"),
            (16_000, 2048, 1 << 20, 50.0..8000.0, "more than 65536"),
            (16_000, 2048, usize::MAX, 50.0..8000.0, "more than 65536"),
            (16_000, 2048, 1000, 5e-324..8000.0, "more than 65536"),
            (16_000, 0, 24, 50.0..8000.0, "fft of 0"),
            (16_000, (1 << 20) + 1, 24, 50.0..8000.0, "fft of 1048577"),
        ] {
            match Bands::log(sample_rate, fft, per_octave, range) {
                Err(Error::Input(reason)) => assert!(reason.contains(part), "{reason}"),
                other => panic!("{other:?}, expected {part}"),
            }
        }
        let missed = Bands::log_grouped(Grouping::Centre, 16_000, 16, 1, 10.0..900.0).unwrap_err().to_string();
        assert!(missed.contains("no bin of an fft of 16 points"), "{missed}");
        let bands = Bands::log(16_000, 16, 1, 10.0..900.0).unwrap();
        assert!(matches!(bands.group(Array2::<f32>::zeros((1, 8)).view()), Err(Error::Input(_))));
        assert!(matches!(bands.spread(Array2::<f32>::zeros((1, 9)).view()), Err(Error::Input(_))));
    }

    /// Bins of 125 Hz. On Slaney's scale, which is linear below 1 kHz, three triangles have their points at 0, 250, 500,
    /// 750 and 1000 Hz.
    #[test]
    fn mel_maps_equal_hand_computed_ones() {
        let of = |triangle| Bands::mel(4000, 32, 3, 0.0..1000.0, (MelScale::Slaney, triangle)).unwrap();
        let bands = of(Triangle::Peak);
        assert_eq!((bands.bands(), bands.bins(), bands.edges().len()), (3, 17, 5));
        let rows = array![
            [0.0, 0.5, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 0.5, 1.0, 0.5, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 0.5, 0.0]
        ];
        near(&bands.matrix().slice(s![.., ..9]).to_owned(), &rows);
        assert!(bands.matrix().slice(s![.., 9..]).iter().all(|&weight| weight == 0.0));
        near(&of(Triangle::Area).matrix().slice(s![.., ..9]).to_owned(), &(rows * 2.0 / 500.0));
    }

    #[test]
    fn models_spread_as_computed_by_hand() {
        let bands = Bands::mel(4000, 32, 3, 0.0..1000.0, (MelScale::Slaney, Triangle::Peak)).unwrap();
        // Models [3 0 0] and [1 4 0]: levels [4 4 0].
        let (levels, first) = (array![[4.0, 4.0, 0.0]], array![[0.75, 0.0, 0.5]]);
        let spread = |masks: &Array2<f64>| bands.spread_models(masks.view(), levels.view(), 0.5).unwrap();
        let masks = spread(&first);
        // Bin 3 has half of both; bins 6 and 7 are silent, and no band has bins 0 and 8.
        near(&masks.slice(s![.., ..9]).to_owned(), &array![[0.5, 0.75, 0.75, 0.375, 0.0, 0.0, 0.5, 0.5, 0.5]]);
        near(&(masks + spread(&first.mapv(|mask| 1.0 - mask))), &Array2::ones((1, 17)));
        assert!(bands.spread_models(first.view(), array![[1.0, 1.0]].view(), 0.5).is_err());
    }

    #[test]
    fn bands_that_reach_beyond_are_left_out() {
        let bands = || Bands::mel(4000, 32, 3, 0.0..1000.0, (MelScale::Slaney, Triangle::Peak)).unwrap();
        assert_eq!(bands().below(8).unwrap(), bands());
        let two = bands().below(7).unwrap();
        near(&two.matrix(), &bands().matrix().slice(s![..2, ..]).to_owned());
        assert_eq!((two.bands(), two.edges().len()), (2, 4));
        assert!(bands().below(3).unwrap_err().to_string().contains("no band lies within the lowest 3 bins"));
        let octaves = Bands::log(8000, 16, 1, 500.0..4000.0).unwrap().below(5).unwrap();
        assert_eq!(octaves.bands(), 2);
        // Bins that the removed band had copy the nearest.
        let masks = octaves.spread(array![[0.2, 0.6]].view()).unwrap();
        near(&masks, &array![[0.2, 0.2, 0.4, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6]]);
    }

    #[test]
    fn middles_lie_between_the_edges() {
        let octaves = Bands::log(8000, 256, 1, 500.0..2000.0).unwrap();
        let near = |got: Vec<f64>, expected: &[f64]| {
            got.len() == expected.len() && got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9)
        };
        assert!(near(octaves.middles(), &[500.0 * 2f64.sqrt(), 1000.0 * 2f64.sqrt()]), "{:?}", octaves.middles());
        let mel = crate::spectrogram::BandMap::mel(5, 8000).bands(8000, 256).unwrap().unwrap();
        assert!(near(mel.middles(), &mel.edges()[1..6]), "{:?}", mel.middles());
    }

    #[test]
    fn invalid_mel_bands_are_refused() {
        let usual = (MelScale::Htk, Triangle::Peak);
        for (sample_rate, fft, count, range, part) in [
            (16_000, 2048, 0, 0.0..4000.0, "are 0; use 1 to 65536"),
            (16_000, 2048, 1 << 17, 0.0..4000.0, "are 131072"),
            (16_000, 2048, 80, -1.0..4000.0, "empty range"),
            (16_000, 2048, 80, 4000.0..4000.0, "empty range"),
            (16_000, 2048, 80, 0.0..f64::INFINITY, "empty range"),
            (16_000, 2048, 80, 0.0..f64::NAN, "empty range"),
            (7999, 2048, 80, 0.0..4000.0, "up to 4000 Hz do not fit a sample rate of 7999"),
            (16_000, 0, 80, 0.0..4000.0, "fft of 0"),
            (16_000, 256, 80, 0.0..4000.0, "has no bin of an fft of 256 points; use a longer fft or fewer bands"),
        ] {
            let error = Bands::mel(sample_rate, fft, count, range, usual).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
