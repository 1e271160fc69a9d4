//! Matrices of the CPU engine, with the layouts that products read them in.

use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;

use ndarray::Array2;
use rayon::prelude::*;

use super::buffer::{Scratch, Shelf};
use super::tile::{self, padded};

/// A stack of matrices W (F, K) of one shape.
///
/// It keeps the layouts that products made of it: gains under fixed bases are updated many times, and packing 2,000 bases takes
/// longer than to update a few dozen columns. Whoever changes the matrices drops the layouts by it.
pub struct CpuMatrix {
    stack: Vec<Array2<f32>>,
    by_rows: OnceLock<Scratch>,
    by_components: OnceLock<ByComponents>,
}

/// See [`tile::pack_components`], and Σ_f W of each matrix.
struct ByComponents {
    bases: Scratch,
    sums: Vec<Vec<f32>>,
}

/// A matrix in the layouts of an update of gains.
pub(crate) struct Packed<'a> {
    /// The number of rows F, without padding.
    pub(crate) rows: usize,
    /// The number of rows F, with padding.
    pub(crate) bins: usize,
    pub(crate) components: usize,
    /// See [`tile::pack_rows`].
    pub(crate) by_rows: &'a [f32],
    /// See [`tile::pack_components`].
    pub(crate) by_components: &'a [f32],
    /// Σ_f W, used if Q is 1.
    pub(crate) sums: &'a [f32],
}

impl CpuMatrix {
    /// F, without and with padding, and K.
    fn shape(&self) -> (usize, usize, usize) {
        let (rows, components) = self.stack.first().map_or((0, 0), Array2::dim);
        (rows, padded(rows), components)
    }

    /// All matrices in the layout of [`tile::pack_rows`], each (padded F, K).
    pub(crate) fn by_rows(&self, shelf: &Shelf) -> &[f32] {
        let packed: &Scratch = kept(&self.by_rows, || {
            let (_, bins, components) = self.shape();
            let len = bins * components;
            let mut packed = shelf.take(self.stack.len() * len);
            let each = packed.par_chunks_mut(len.max(1)).zip(&self.stack);
            each.for_each(|(packed, w)| tile::pack_rows(w.view(), tile::shape().rows, packed));
            packed
        });
        packed
    }

    /// All matrices in both layouts.
    pub(crate) fn packed(&self, shelf: &Shelf) -> Vec<Packed<'_>> {
        let (rows, bins, components) = self.shape();
        let len = bins * padded(components);
        let ByComponents { bases, sums } = kept(&self.by_components, || {
            let mut packed = shelf.take(self.stack.len() * len);
            let each = packed.par_chunks_mut(len.max(1)).zip(&self.stack);
            let pack = |(packed, w): (&mut [f32], &Array2<f32>)| {
                tile::pack_components(w.view(), bins, tile::shape().components, packed);
                let mut sums = vec![0.0f64; components];
                w.rows()
                    .into_iter()
                    .for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, &w)| *sum += f64::from(w)));
                sums.into_iter().map(|sum| sum as f32).collect()
            };
            let sums = each.map(pack).collect();
            ByComponents { bases: packed, sums }
        });
        let by_rows = self.by_rows(shelf).chunks((bins * components).max(1));
        let both = by_rows.zip(bases.chunks(len.max(1))).zip(sums);
        both.map(|((by_rows, by_components), sums)| Packed { rows, bins, components, by_rows, by_components, sums })
            .collect()
    }
}

/// What is kept in `place`, made by `make` if nothing is. Not `get_or_init`: `make` runs on the engine's threads, and one that
/// waits there may take up work that asks for the same place.
fn kept<T>(place: &OnceLock<T>, make: impl FnOnce() -> T) -> &T {
    match place.get() {
        Some(kept) => kept,
        None => {
            let made = make();
            place.get_or_init(|| made)
        }
    }
}

impl Deref for CpuMatrix {
    type Target = [Array2<f32>];

    fn deref(&self) -> &[Array2<f32>] {
        &self.stack
    }
}

impl DerefMut for CpuMatrix {
    fn deref_mut(&mut self) -> &mut [Array2<f32>] {
        (self.by_rows, self.by_components) = Default::default();
        &mut self.stack
    }
}

impl From<Vec<Array2<f32>>> for CpuMatrix {
    fn from(stack: Vec<Array2<f32>>) -> Self {
        Self { stack, by_rows: OnceLock::new(), by_components: OnceLock::new() }
    }
}

impl FromIterator<Array2<f32>> for CpuMatrix {
    fn from_iter<I: IntoIterator<Item = Array2<f32>>>(matrices: I) -> Self {
        Vec::from_iter(matrices).into()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_change_drops_the_layouts() {
        let shelf = Shelf::default();
        let mut w = CpuMatrix::from(vec![array![[1.0f32, 2.0], [3.0, 4.0]]]);
        assert_eq!(w.packed(&shelf)[0].sums, [4.0, 6.0]);
        let at = w.by_rows(&shelf).as_ptr();
        assert_eq!(w.packed(&shelf)[0].by_rows.as_ptr(), at);
        w[0][[0, 0]] = 5.0;
        let packed = w.packed(&shelf);
        assert_eq!((packed[0].sums, packed[0].by_rows[0]), (&[8.0, 6.0][..], 5.0));
        assert_eq!(packed[0].by_components[0], 5.0);
    }
}
