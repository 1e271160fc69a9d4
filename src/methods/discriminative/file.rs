//! What the method adds to a model, in memory and in its file.

use ndarray::Array2;

use crate::methods::sparse;
use crate::tensors::{Tensor, Tensors};

const RECONSTRUCTION: &str = "reconstruction";

/// What was learned beside the bases.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// The penalty under which gains are found.
    pub penalty: sparse::Learned,
    /// Ŵ (F, K) of every source, which masks are formed from in place of its bases. Empty under the paper's objective.
    pub reconstruction: Vec<Array2<f32>>,
}

impl Learned {
    /// Checks that it fits sources of these names and ranks; an error is the reason alone.
    ///
    /// # Errors
    /// The reason, to stand behind the name of the model.
    pub fn check(&self, rows: usize, sources: &[(&str, usize)]) -> Result<(), String> {
        self.penalty.check()?;
        let count = self.reconstruction.len();
        if count > 0 && count != sources.len() {
            return Err(format!("has reconstruction bases of {count} sources, and {} sources", sources.len()));
        }
        for (bases, (name, rank)) in self.reconstruction.iter().zip(sources) {
            let fits = |w: &f32| w.is_finite() && *w >= 0.0;
            if bases.dim() != (rows, *rank) || !bases.iter().all(fits) {
                return Err(format!(
                    "has reconstruction bases of '{name}' that are not {rows} x {rank} nonnegative numbers"
                ));
            }
        }
        Ok(())
    }

    /// Its tensors for sources of these names: `NAME.reconstruction` (F, K), if there are any.
    pub fn tensors(&self, sources: &[&str]) -> Vec<Tensor> {
        let tensor = |(bases, name): (&Array2<f32>, &&str)| Tensor::new(format!("{name}.{RECONSTRUCTION}"), bases);
        self.reconstruction.iter().zip(sources).map(tensor).collect()
    }

    /// Reads it from the file of a model with these sources.
    ///
    /// # Errors
    /// The reason, to stand behind the name of the model.
    pub fn read(file: &Tensors, sources: &[String]) -> Result<Self, String> {
        // The bases alone are as many as the sources.
        let reconstruction = match file.count() > sources.len() {
            true => {
                let matrix = |name: &String| file.matrix(&format!("{name}.{RECONSTRUCTION}"), "(F, K)");
                sources.iter().map(matrix).collect::<Result<_, String>>()?
            }
            false => Vec::new(),
        };
        Ok(Self { penalty: sparse::Learned::read(file)?, reconstruction })
    }
}
