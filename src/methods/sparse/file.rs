//! What the method adds to a model, in memory and in its file.

use std::collections::HashMap;

use crate::tensors::Tensors;

const SPARSITY: &str = "sparsity";

/// The penalty under which bases were learned, and under which gains are found.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// λ.
    pub sparsity: f64,
}

impl Learned {
    /// Checks the penalty; an error is the reason alone.
    ///
    /// # Errors
    /// The reason, to stand behind the name of the model.
    pub fn check(&self) -> Result<(), String> {
        if self.sparsity.is_finite() && self.sparsity >= 0.0 {
            return Ok(());
        }
        Err(format!("has a sparsity of {}", self.sparsity))
    }

    /// Its text: `sparsity`, a number.
    pub fn texts(&self) -> HashMap<String, String> {
        HashMap::from([(SPARSITY.to_string(), self.sparsity.to_string())])
    }

    /// Reads it from the file of a model.
    ///
    /// # Errors
    /// The reason, to stand behind the name of the model.
    pub fn read(file: &Tensors) -> Result<Self, String> {
        Ok(Self { sparsity: file.json(SPARSITY)? })
    }
}
