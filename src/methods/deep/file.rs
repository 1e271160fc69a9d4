//! What the method adds to a model, in memory and in its file.

use std::collections::HashMap;

use ndarray::Array1;

use super::phi::{Curve, Phi};
use super::task::Task;
use crate::kernels::Rule;
use crate::methods::nmf;
use crate::tensors::{Tensor, Tensors};

const TASK: &str = "task";
const PHI: &str = "phi";
const COMPONENTS: &str = "components";
const THETA: &str = "phi.theta";

/// A cost that was learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// What it was learned for.
    pub task: Task,
    /// Φ. Its numbers are f32, as in the file.
    pub curve: Curve,
    /// K of the factorizations that it was learned for.
    pub components: usize,
}

impl Learned {
    /// How bases are learned under the cost, otherwise as by `options`.
    ///
    /// # Errors
    /// Those of [`Curve::divergence`].
    pub(crate) fn nmf(&self, options: &nmf::Options) -> crate::Result<nmf::Options> {
        let divergence = self.curve.divergence()?;
        Ok(nmf::Options { rule: Rule::of(divergence), trace_every: 10, ..options.clone() })
    }

    /// Checks that it fits sources of these names and ranks; an error is the reason alone.
    ///
    /// # Errors
    /// The reason, to stand behind the name of the model.
    pub fn check(&self, sources: &[(&str, usize)]) -> Result<(), String> {
        let expected = Curve::parameters(self.curve.phi);
        if self.curve.theta.len() != expected {
            return Err(format!("has {} numbers of {}; it takes {expected}", self.curve.theta.len(), self.curve.phi));
        }
        if let Some(number) = self.curve.theta.iter().find(|number| !number.is_finite()) {
            return Err(format!("has {number} among the numbers of {}", self.curve.phi));
        }
        if self.components == 0 {
            return Err("has a cost for no components".into());
        }
        self.curve.divergence().map_err(|cause| format!("has a cost that cannot be used: {cause}"))?;
        match (self.task, sources.len()) {
            (Task::Denoise, 0) => Ok(()),
            (Task::Denoise, count) => Err(format!("has bases of {count} sources, and was learned to denoise")),
            (Task::Separate, 0) => Err("has no sources".into()),
            (Task::Separate, _) => Ok(()),
        }
    }

    /// Its tensor: `phi.theta` (P), the numbers of Φ.
    pub fn tensors(&self) -> Vec<Tensor> {
        let theta: Array1<f32> = self.curve.theta.iter().map(|&number| number as f32).collect();
        vec![Tensor::new(THETA.to_string(), &theta)]
    }

    /// Its texts: `task`, `phi` and `components`.
    pub fn texts(&self) -> HashMap<String, String> {
        HashMap::from([
            (TASK.to_string(), self.task.to_string()),
            (PHI.to_string(), self.curve.phi.to_string()),
            (COMPONENTS.to_string(), self.components.to_string()),
        ])
    }

    /// Reads it from the file of a model.
    ///
    /// # Errors
    /// The reason, to stand behind the name of the model.
    pub fn read(file: &Tensors) -> Result<Self, String> {
        let theta = file.vector(THETA, "(P)")?;
        let phi: Phi =
            file.text(PHI)?.parse().map_err(|cause: crate::Error| format!("has a damaged '{PHI}': {cause}"))?;
        let task =
            file.text(TASK)?.parse().map_err(|cause: crate::Error| format!("has a damaged '{TASK}': {cause}"))?;
        let curve = Curve { phi, theta: theta.iter().map(|&number| f64::from(number)).collect() };
        Ok(Self { task, curve, components: file.json(COMPONENTS)? })
    }
}
