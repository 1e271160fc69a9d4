//! The reverse pass of multiplicative updates under a [`Weight`], for training by backpropagation through stacked updates:
//! Tanji & Murakami, "Learning the Statistical Model of the NMF Using the Deep Multiplicative Update Algorithm with
//! Applications" (2021).
//!
//! The adjoint of a matrix X is gX = ∂L/∂X, with L a loss. An update X' = X ∘ N / D, equations (6) and (7), sums the fields
//! A = ζ(r) v/λ² and B = 1/λ of every cell, with λ = max(WH, 1e-12), r = max(v/λ, 1e-12) and ζ = exp Φ(r). N = Wᵀ A and
//! D = Wᵀ B for gains, N = A Hᵀ and D = B Hᵀ for bases. With g = gX' the reverse pass is
//!
//! - gN = g ∘ X / D, gD = −gN ∘ N / D, and g ∘ N / D is a part of gX;
//! - gA = W gN and gB = W gD for gains, gN H and gD H for bases;
//! - gΦ = gA A, and g(WH) = −B (gB B + gΦ (2 + s)) with the slope s = dΦ/d log r;
//! - the other parts of gW and gH: those of A and B (A gNᵀ + B gDᵀ or gNᵀ A + gDᵀ B), and of WH (g(WH) Hᵀ and Wᵀ g(WH)).
//!
//! **Floors** pass nothing on. g(WH) is 0 where WH ≤ 1e-12, and s is 0 where v/λ ≤ 1e-12. Where D ≤ 1e-30, a component is
//! dead and N/D is a constant: gN = gD = 0. A basis of zeros is not normalized.
//!
//! **Knots.** Φ itself has parameters, and its gradient is Σ gΦ ∂Φ(r) over all cells of the data. The kernels sum gΦ t^i for
//! every cell of the tables, in which r is at the place t. [`crate::cubics::at_nodes`] turns this into a sum over some
//! thousand numbers r, so a network is evaluated at these and not at every datum.
//!
//! Nothing is kept between calls: λ, A and B are formed again.

mod cpu;
mod gpu;
mod reference;

use crate::cubics::{COUNT, TERMS, at_nodes, no_sums};
use crate::kernels::Products;
use crate::weight::Weight;
use crate::{Error, Result};

/// The reverse pass of updates. V: data F x N. W: bases F x K, one matrix or one per segment of V. H: gains K x N. Adjoints
/// have the shapes of what they belong to, and any signs. Each function takes the factors before the update.
///
/// With a stack of bases, adjoints of each segment have the bits that they would have alone. The order of sums over
/// columns depends only on the segments' N.
///
/// All functions return [`Error::Input`] if the shapes do not fit, and [`Error::Engine`] if the device fails.
pub trait Adjoint: Products {
    /// The reverse of an update of gains, (7). `of_h` (K x N): the adjoint of the updated gains, which becomes that of H. Adds
    /// to the adjoint `of_w` of W (F x K), and Σ gΦ t^i, i from 0 to 3, to `knots` (cells of the tables x 4).
    #[expect(clippy::too_many_arguments, reason = "an update's operands and their adjoints")]
    fn adjoint_of_gains(
        &self,
        v: &Self::Panel,
        w: &Self::Matrix,
        h: &Self::Panel,
        weight: &Weight,
        of_w: &mut Self::Matrix,
        of_h: &mut Self::Panel,
        knots: &mut Self::Matrix,
    ) -> Result<()>;

    /// The reverse of an update of bases, (6). `of_w` (F x K): the adjoint of the updated bases, which becomes that of W. Adds
    /// to the adjoint `of_h` of H (K x N), and to `knots` as [`Adjoint::adjoint_of_gains`] does.
    #[expect(clippy::too_many_arguments, reason = "an update's operands and their adjoints")]
    fn adjoint_of_bases(
        &self,
        v: &Self::Panel,
        w: &Self::Matrix,
        h: &Self::Panel,
        weight: &Weight,
        of_w: &mut Self::Matrix,
        of_h: &mut Self::Panel,
        knots: &mut Self::Matrix,
    ) -> Result<()>;

    /// Zeros for knots.
    fn no_knots(&self) -> Result<Self::Matrix> {
        self.matrix(no_sums().view())
    }

    /// Knots as numbers r and their weights g: Σ gΦ ∂Φ over all cells of the data is Σ g ∂Φ(r).
    fn pairs(&self, knots: &Self::Matrix) -> Result<Vec<(f64, f64)>> {
        Ok(at_nodes(self.read_matrix::<f64>(knots)?.view()))
    }

    /// The reverse of [`crate::kernels::Glue::normalize`] to norm L1, (9): W' = W / n. If `compensated`, H' = n ∘ H; if not,
    /// H' = H. `of_w` (F x K) and `of_h` (K x N): the adjoints of W' and H', which become those of W and H.
    fn adjoint_of_norm(
        &self,
        w: &Self::Matrix,
        h: &Self::Panel,
        of_w: &mut Self::Matrix,
        of_h: &mut Self::Panel,
        compensated: bool,
    ) -> Result<()>;

    /// Λ = max(WH, 1e-12), F x N.
    fn floored_model(&self, w: &Self::Matrix, h: &Self::Panel) -> Result<Self::Panel>;

    /// The reverse of [`Adjoint::floored_model`]. `of_model` (F x N): the adjoint of Λ. Adds to the adjoints `of_w` of W (F x K) and
    /// `of_h` of H (K x N).
    fn adjoint_of_model(
        &self,
        w: &Self::Matrix,
        h: &Self::Panel,
        of_model: &Self::Panel,
        of_w: &mut Self::Matrix,
        of_h: &mut Self::Panel,
    ) -> Result<()>;
}

/// Matrices by their number and shape.
type Matrices = (usize, (usize, usize));
/// A panel by its rows and the columns of its segments.
type Extent<'a> = (usize, &'a [usize]);

/// Checks that adjoints have the shapes of their factors.
fn check_adjoints((w, of_w): (Matrices, Matrices), (h, of_h): (Extent, Extent)) -> Result<()> {
    if w == of_w && h == of_h {
        return Ok(());
    }
    Err(Error::input(format!(
        "adjoints of {} bases {} x {} and of gains of {} rows in {} segments do not fit {} bases {} x {} and gains of {} rows in {}",
        of_w.0,
        of_w.1.0,
        of_w.1.1,
        of_h.0,
        of_h.1.len(),
        w.0,
        w.1.0,
        w.1.1,
        h.0,
        h.1.len()
    )))
}

/// Checks the shape of knots.
fn check_knots((count, (rows, columns)): Matrices) -> Result<()> {
    if (count, rows, columns) == (1, COUNT, TERMS) {
        return Ok(());
    }
    Err(Error::input(format!("{count} matrices {rows} x {columns} for knots: use one of {COUNT} x {TERMS}")))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::*;
    use crate::divergence::{Divergence, bent};
    use crate::engine::gpu::tests::{gpu, numbers};
    use crate::engine::{Cpu, Engine, Gpu, Reference};

    /// Segments below, at and beyond the widths of strips, tiles and chunks.
    const LENGTHS: [usize; 6] = [1, 130, 48, 49, 33, 97];
    const ALL: [usize; 6] = [0, 1, 2, 3, 4, 5];
    /// Bins, components, and whether every segment has bases of its own. More than a tile, and one of each.
    const SHAPES: [(usize, usize, bool); 4] = [(69, 5, true), (37, 6, false), (1, 3, true), (6, 1, false)];

    /// How a result belongs to segments.
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        /// Its columns are those of the panel.
        Columns,
        /// Its rows are those of the segments' matrices.
        Matrices,
        /// It depends on all segments.
        Shared,
        /// Knots of all segments.
        Knots,
    }

    /// What the numbers of a test are.
    #[derive(Clone, Copy, PartialEq)]
    enum Data {
        /// Some silent data, a basis of zeros, and a component without gains.
        Ordinary,
        /// No data and no gains.
        Silent,
        /// Data from 1e-12 to 1e6. A row of the bases is 0, so its model has the floor.
        Wide,
    }

    fn weights() -> Vec<Divergence> {
        ["t:0.73", "ggd:0.5"].map(|text| text.parse().unwrap()).into_iter().chain([bent()]).collect()
    }

    fn data(data: Data, seed: u32, rows: usize, columns: usize) -> Array2<f32> {
        let mut v = numbers(seed, rows, columns);
        match data {
            Data::Ordinary => v.iter_mut().step_by(7).for_each(|v| *v = 0.0),
            Data::Silent => v.fill(0.0),
            Data::Wide => v.mapv_inplace(|v| 10f32.powf(18.0 * (v - 0.1) - 12.0)),
        }
        v
    }

    fn bases(data: Data, seed: u32, rows: usize, components: usize) -> Array2<f32> {
        let mut w = numbers(seed, rows, components);
        if components > 3 {
            w.column_mut(2).fill(0.0);
        }
        if data == Data::Wide {
            w.row_mut(rows / 2).fill(0.0);
        }
        w
    }

    fn gains(data: Data, seed: u32, components: usize, columns: usize) -> Array2<f32> {
        let mut h = numbers(seed, components, columns);
        if components > 3 {
            h.row_mut(3).fill(0.0);
        }
        if data == Data::Silent {
            h.fill(0.0);
        }
        h
    }

    /// Of both signs.
    fn signed(_: Data, seed: u32, rows: usize, columns: usize) -> Array2<f32> {
        numbers(seed, rows, columns).mapv(|x| x - 0.6)
    }

    type Make = fn(Data, u32, usize, usize) -> Array2<f32>;

    /// All results of some segments.
    fn everything<E: Adjoint>(
        engine: &E,
        which: &[usize],
        kind: Data,
        weight: &Weight,
        (rows, components, own): (usize, usize, bool),
    ) -> Vec<(Kind, Array2<f64>)> {
        let panel = |make: Make, seed: u32, rows: usize| {
            let of = |&segment: &usize| make(kind, seed + 100 * segment as u32, rows, LENGTHS[segment]);
            let parts: Vec<Array2<f32>> = which.iter().map(of).collect();
            engine.packed(&parts.iter().map(|part| part.view()).collect::<Vec<_>>()).unwrap()
        };
        let stack = |make: Make, seed: u32| {
            let of = |&segment: &usize| make(kind, seed + 100 * segment as u32, rows, components);
            let all: Vec<Array2<f32>> = if own { which } else { &[0] }.iter().map(of).collect();
            engine.stack(&all.iter().map(|w| w.view()).collect::<Vec<_>>()).unwrap()
        };
        let (v, w, h) = (panel(data, 1, rows), stack(bases, 2), panel(gains, 3, components));
        let mut before = Array2::<f32>::zeros((COUNT, TERMS));
        before[(300, 1)] = 0.5;
        let mut knots = engine.matrix(before.view()).unwrap();
        let of_matrix = if own { Kind::Matrices } else { Kind::Shared };
        let of_panel = if own { Kind::Columns } else { Kind::Shared };
        let mut all = Vec::new();
        let mut keep = |of_w: &E::Matrix, of_h: &E::Panel| {
            all.push((of_matrix, engine.read_matrix(of_w).unwrap()));
            all.push((of_panel, engine.read_panel(of_h).unwrap()));
        };
        let adjoints = |seed: u32| (stack(signed, seed), panel(signed, seed + 1, components));
        let (mut of_w, mut of_h) = adjoints(5);
        engine.adjoint_of_gains(&v, &w, &h, weight, &mut of_w, &mut of_h, &mut knots).unwrap();
        keep(&of_w, &of_h);
        let after_gains = engine.read_matrix(&knots).unwrap();
        let (mut of_w, mut of_h) = adjoints(7);
        engine.adjoint_of_bases(&v, &w, &h, weight, &mut of_w, &mut of_h, &mut knots).unwrap();
        keep(&of_w, &of_h);
        for compensated in [true, false] {
            let (mut of_w, mut of_h) = adjoints(9);
            engine.adjoint_of_norm(&w, &h, &mut of_w, &mut of_h, compensated).unwrap();
            keep(&of_w, &of_h);
        }
        let (mut of_w, mut of_h) = adjoints(11);
        engine.adjoint_of_model(&w, &h, &panel(signed, 13, rows), &mut of_w, &mut of_h).unwrap();
        keep(&of_w, &of_h);
        all.push((Kind::Columns, engine.read_panel(&engine.floored_model(&w, &h).unwrap()).unwrap()));
        all.push((Kind::Knots, after_gains));
        all.push((Kind::Knots, engine.read_matrix(&knots).unwrap()));
        all
    }

    fn assert_same(got: &[(Kind, Array2<f64>)], expected: &[(Kind, Array2<f64>)], what: &str) {
        assert_eq!(got.len(), expected.len(), "{what}");
        for (index, ((_, got), (_, expected))) in got.iter().zip(expected).enumerate() {
            assert!(got == expected, "{what}: result {index}");
        }
    }

    fn of_all<E: Adjoint>(engine: &E, kind: Data) -> Vec<(Kind, Array2<f64>)> {
        let bent = bent();
        SHAPES.into_iter().flat_map(|shape| everything(engine, &ALL, kind, bent.weight().unwrap(), shape)).collect()
    }

    #[test]
    fn threads_change_no_bit() {
        let on = |threads| of_all(&Cpu::new(Some(threads)).unwrap(), Data::Ordinary);
        assert_same(&on(1), &on(3), "threads");
    }

    fn on_gpu(gpu: &Gpu) -> Vec<(Kind, Array2<f64>)> {
        of_all(gpu, Data::Ordinary)
    }

    #[test]
    fn chunks_change_no_bit() {
        let Some(mut gpu) = gpu() else { return };
        gpu = gpu.with_chunk_columns(1 << 16);
        let whole = on_gpu(&gpu);
        for columns in [32, 96] {
            gpu = gpu.with_chunk_columns(columns);
            assert_same(&on_gpu(&gpu), &whole, &format!("chunks of {columns}"));
        }
    }

    #[test]
    fn few_tiles_at_a_time_give_the_bits_of_all() {
        let Some(mut gpu) = gpu() else { return };
        let whole = on_gpu(&gpu);
        gpu.dispatch_work.set(1).unwrap();
        assert_same(&on_gpu(&gpu), &whole, "small dispatches");
        gpu.field_quads = 1;
        assert_same(&on_gpu(&gpu), &whole, "small fields");
    }

    #[test]
    fn memory_that_was_used_before_changes_no_bit() {
        let cpu = Cpu::new(Some(1)).unwrap();
        let clean = of_all(&cpu, Data::Ordinary);
        let junk: Vec<_> = (0..60).map(|i| cpu.panel(Array2::from_elem((1 + 3 * i, 200), f32::NAN).view())).collect();
        drop(junk);
        assert_same(&of_all(&cpu, Data::Ordinary), &clean, "dirty memory");
        let Some(gpu) = gpu() else { return };
        let clean = on_gpu(&gpu);
        let shapes = [1, 3, 5, 6, 37, 69, 200].into_iter().flat_map(|rows| [60, 140, 200, 450].map(|n| (rows, n)));
        let junk: Vec<_> = shapes.map(|shape| gpu.panel(Array2::from_elem(shape, f32::NAN).view())).collect();
        drop(junk);
        assert_same(&on_gpu(&gpu), &clean, "dirty memory of a device");
        gpu.check_indices();
        assert_same(&on_gpu(&gpu), &clean, "checked indices");
    }

    /// Adjoints of a segment with bases of its own depend on it alone.
    fn assert_segments_are_alone<E: Adjoint>(engine: &E) {
        let bent = bent();
        let run = |which: &[usize]| everything(engine, which, Data::Ordinary, bent.weight().unwrap(), SHAPES[0]);
        let together = run(&ALL);
        for segment in ALL {
            let first: usize = LENGTHS[..segment].iter().sum();
            for (index, ((kind, all), (_, alone))) in together.iter().zip(run(&[segment])).enumerate() {
                let part = match kind {
                    Kind::Columns => all.slice(s![.., first..first + LENGTHS[segment]]),
                    Kind::Matrices => {
                        let rows = all.nrows() / LENGTHS.len();
                        all.slice(s![segment * rows..(segment + 1) * rows, ..])
                    }
                    Kind::Shared | Kind::Knots => continue,
                };
                assert!(part == alone, "segment {segment}, result {index}");
            }
        }
    }

    #[test]
    fn segments_together_have_the_bits_of_segments_alone() {
        assert_segments_are_alone(&Cpu::new(Some(2)).unwrap());
        if let Some(gpu) = gpu() {
            assert_segments_are_alone(&gpu);
        }
    }

    fn assert_finite<E: Adjoint>(engine: &E) {
        for (kind, name) in [(Data::Silent, "silent"), (Data::Wide, "wide")] {
            for divergence in weights() {
                for shape in SHAPES {
                    let all = everything(engine, &ALL, kind, divergence.weight().unwrap(), shape);
                    for (index, (_, result)) in all.iter().enumerate() {
                        assert!(
                            result.iter().all(|x| x.is_finite()),
                            "{name}, {divergence}, {shape:?}: result {index}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn silence_and_wide_ranges_are_finite() {
        assert_finite(&Cpu::new(Some(2)).unwrap());
        if let Some(gpu) = gpu() {
            assert_finite(&gpu);
        }
    }

    /// Sums of smooth functions over knots. The second is what a sum of absolute terms has.
    fn sums(knots: &Array2<f64>) -> Vec<(f64, f64)> {
        let functions: [fn(f64) -> f64; 4] = [|_| 1.0, f64::ln, |r| r.ln().sin(), |r| r / (1.0 + r)];
        let nodes = at_nodes(knots.view());
        let sum = |f: fn(f64) -> f64| {
            let terms = nodes.iter().map(|&(r, of_phi)| of_phi * f(r));
            (terms.clone().sum(), terms.map(f64::abs).sum())
        };
        functions.map(sum).to_vec()
    }

    /// The largest error of a result, as a share of its largest number. Knots may count in the neighbour of their cell.
    fn error(kind: Kind, got: &Array2<f64>, expected: &Array2<f64>) -> f64 {
        if kind == Kind::Knots {
            let pairs = sums(got).into_iter().zip(sums(expected));
            return pairs.map(|((got, _), (sum, size))| (got - sum).abs() / size).fold(0.0, f64::max);
        }
        let largest = expected.iter().fold(1e-30, |largest: f64, x| largest.max(x.abs()));
        (got - expected).fold(0.0, |worst: f64, error| worst.max(error.abs())) / largest
    }

    fn assert_near<E: Adjoint>(engine: &E, bound: f64) {
        for divergence in weights() {
            for shape in SHAPES {
                let expected = everything(&Reference, &ALL, Data::Ordinary, divergence.weight().unwrap(), shape);
                let got = everything(engine, &ALL, Data::Ordinary, divergence.weight().unwrap(), shape);
                assert_eq!(got.len(), expected.len());
                for (index, ((kind, got), (_, expected))) in got.iter().zip(&expected).enumerate() {
                    let error = error(*kind, got, expected);
                    assert!(error <= bound, "{divergence}, {shape:?}: result {index} is off by {error:.1e}");
                }
            }
        }
    }

    // 2e-6, except for bases of one bin: there N/D does not depend on the basis but for Λ, so A gN and B gD cancel.
    #[test]
    fn engines_are_near_the_reference() {
        assert_near(&Cpu::new(Some(2)).unwrap(), 1e-5);
        if let Some(gpu) = gpu() {
            assert_near(&gpu, 2e-5);
        }
    }
}
