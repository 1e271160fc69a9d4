//! The reverse pass in parts: each is some strips of a matrix, and sums what they add to the adjoint of the bases.

use std::ops::Range;

use ndarray::Array2;

use crate::cubics::{COUNT, TERMS};
use crate::divergence::Divergence;
use crate::engine::{Cpu, CpuPanel};
use crate::kernels::Rule;
use crate::kernels::products::BasisSums;

/// Σ gΦ t^i of every cell of the tables.
type Knots<T> = Vec<[T; TERMS]>;

/// The strips of a part, and where their adjoints go.
pub(super) struct Part<'a> {
    /// The matrix of its segments.
    pub(super) matrix: usize,
    pub(super) strips: Range<usize>,
    /// The adjoints of the gains, one strip after another.
    pub(super) of_gains: &'a mut [f32],
    /// What the strips add to the adjoint of the bases, for each group (slices, group, components of a slice).
    pub(super) of_bases: &'a mut [f32],
    pub(super) knots: &'a mut Knots<f64>,
}

/// What all parts add to the adjoint of the bases and to the knots.
pub(super) struct Sums {
    of_bases: BasisSums,
    knots: Vec<Knots<f64>>,
}

impl Sums {
    /// `with_knots`: whether knots are summed.
    pub(super) fn new(engine: &Cpu, w: &[Array2<f32>], panel: &CpuPanel, with_knots: bool) -> Self {
        // N alone is summed, and no rule is applied to it.
        let of_bases = BasisSums::new(engine.shelf(), w, panel, true, &Rule::of(Divergence::Euclidean));
        let cells = if with_knots { COUNT } else { 0 };
        let knots = vec![vec![[0.0; TERMS]; cells]; of_bases.parts.len()];
        Self { of_bases, knots }
    }

    /// Padded components.
    pub(super) fn width(&self) -> usize {
        self.of_bases.width
    }

    pub(super) fn parts<'a>(&'a mut self, of_gains: &'a mut CpuPanel) -> Vec<Part<'a>> {
        let (len, places) = (of_gains.strip_len(), self.of_bases.parts.clone());
        let mut rest = of_gains.values_mut();
        let mut parts = Vec::with_capacity(places.len());
        for (((of_bases, ..), (matrix, strips)), knots) in self.of_bases.of_parts().zip(places).zip(&mut self.knots) {
            let of_gains = rest.split_off_mut(..strips.len() * len).unwrap_or_default();
            parts.push(Part { matrix, strips, of_gains, of_bases, knots });
        }
        parts
    }

    /// Adds the parts in order.
    pub(super) fn add_to(&self, engine: &Cpu, of_bases: &mut [Array2<f32>], knots: Option<&mut Array2<f32>>) {
        self.of_bases.add_to(engine.shelf(), of_bases);
        for ((cell, i), knot) in knots.into_iter().flat_map(|knots| knots.indexed_iter_mut()) {
            let sum: f64 = self.knots.iter().map(|knots| knots[cell][i]).sum();
            *knot = (f64::from(*knot) + sum) as f32;
        }
    }
}

/// Adds the knots of a strip to those of its part, and begins the next strip. Sums of more than a strip are in f64.
pub(super) fn flush(strip: &mut [[f32; TERMS]], part: &mut Knots<f64>) {
    for (sums, part) in strip.iter_mut().zip(part) {
        part.iter_mut().zip(&*sums).for_each(|(part, &sum)| *part += f64::from(sum));
        *sums = [0.0; TERMS];
    }
}
