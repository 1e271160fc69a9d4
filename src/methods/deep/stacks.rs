//! Stacked updates, and the way back through the last of them.

use crate::Result;
use crate::divergence::Divergence;
use crate::kernels::{Adjoint, Glue, Momentum, Norm, Rule};
use crate::weight::Weight;

/// One operation of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// The bases are updated (6).
    Bases,
    /// The bases are scaled to sums of 1 (9).
    Norm,
    /// The gains are updated (7).
    Gains,
}

/// How a stack goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stack<'a> {
    /// Its operations, in order.
    pub operations: &'a [Operation],
    /// Whether gains are scaled inversely to their bases. The paper leaves this open. If they are, the order of the
    /// operations is of no importance, and the cost of t and GGD cannot rise.
    pub compensated: bool,
}

/// Both factors, as section III-A has it.
pub const BOTH: Stack = Stack { operations: &[Operation::Bases, Operation::Norm, Operation::Gains], compensated: true };
/// The gains alone.
pub const GAINS: Stack = Stack { operations: &[Operation::Gains], compensated: true };

/// An operation and the factors before it.
pub struct Step<E: Adjoint> {
    operation: Operation,
    w: E::Matrix,
    h: E::Panel,
}

/// Applies `stacks` stacks to the factors. Returns the steps of the last `kept` of them.
///
/// # Errors
/// Those of the engine.
pub fn forward<E: Adjoint + Momentum + Glue>(
    engine: &E,
    v: &E::Panel,
    (w, h): (&mut E::Matrix, &mut E::Panel),
    divergence: &Divergence,
    stack: Stack,
    (stacks, kept): (usize, usize),
) -> Result<Vec<Step<E>>> {
    let rule = Rule::of(divergence.clone());
    let mut steps = Vec::new();
    for index in 0..stacks {
        for &operation in stack.operations {
            if index + kept >= stacks {
                // A lead of no length is a copy.
                let (w, h) = (engine.lead_bases(w, w, 0.0)?, engine.lead_gains(h, h, 0.0)?);
                steps.push(Step { operation, w, h });
            }
            match operation {
                Operation::Bases => engine.update_bases(v, w, h, &rule)?,
                Operation::Norm => engine.normalize(w, stack.compensated.then_some(&mut *h), Norm::L1)?,
                Operation::Gains => engine.update_gains(v, w, h, &rule)?,
            }
        }
    }
    Ok(steps)
}

/// The adjoints of both factors.
pub struct Adjoints<E: Adjoint> {
    /// That of W, signed.
    pub w: E::Matrix,
    /// That of H, signed.
    pub h: E::Panel,
}

/// Goes back through steps: from the adjoints of the factors after the last to those of the factors before the first. Adds
/// the adjoint of the weight to `knots` (see [`Adjoint`]).
///
/// # Errors
/// Those of the engine.
pub fn backward<E: Adjoint>(
    engine: &E,
    v: &E::Panel,
    steps: &[Step<E>],
    weight: &Weight,
    compensated: bool,
    adjoints: &mut Adjoints<E>,
    knots: &mut E::Matrix,
) -> Result<()> {
    let Adjoints { w: of_w, h: of_h } = adjoints;
    for Step { operation, w, h } in steps.iter().rev() {
        match operation {
            Operation::Bases => engine.adjoint_of_bases(v, w, h, weight, of_w, of_h, knots)?,
            Operation::Norm => engine.adjoint_of_norm(w, h, of_w, of_h, compensated)?,
            Operation::Gains => engine.adjoint_of_gains(v, w, h, weight, of_w, of_h, knots)?,
        }
    }
    Ok(())
}
