//! What the table says of a kernel.

use serde::Serialize;

/// The result for one kernel.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The kernel and its specialization, for example "products/gains is".
    pub kernel: String,
    /// The number of compared cases.
    pub cases: usize,
    /// The largest error: max |a − b| / max |b| over the arrays of a case. Infinite for a non-finite number.
    pub worst: f64,
    /// The case with the largest error.
    pub at: String,
    /// The allowed error.
    pub bound: f64,
}

impl Row {
    /// Whether the largest error is within the bound.
    pub fn passed(&self) -> bool {
        self.worst <= self.bound
    }
}
