//! What the table says of a kernel.

use serde::Serialize;

/// One kernel's verdict.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The kernel, with what it was specialised to: "products/gains is".
    pub kernel: String,
    /// Cases compared.
    pub cases: usize,
    /// The largest error: max |a − b| / max |b| over the arrays of a case; infinite for a number that is not finite.
    pub worst: f64,
    /// The case of the largest error.
    pub at: String,
    /// What is allowed.
    pub bound: f64,
}

impl Row {
    /// Whether the kernel keeps its bound.
    pub fn passed(&self) -> bool {
        self.worst <= self.bound
    }
}
