//! What the method adds to a model, in memory and in its file.

use std::collections::HashMap;

use ndarray::Array2;

use crate::kernels::Mixture;
use crate::tensors::{Tensor, Tensors};

const WEIGHTS: &str = "gmm.weights";
const MEANS: &str = "gmm.means";
const VARIANCES: &str = "gmm.variances";
const LEAKAGE: &str = "leakage";

/// What was learned of the gains of a model's sources.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// What gains of each source are usual together, in the order of the sources.
    pub mixtures: Vec<Mixture>,
    /// Of the power of source i alone, the share that the bases give to source j, at (j, i) (J x J): see
    /// [`Leakage`](super::Leakage). Models of early versions have none.
    pub leakage: Option<Array2<f64>>,
}

impl Learned {
    /// Checks that it fits sources of these names and ranks; an error is the reason alone.
    ///
    /// # Errors
    /// The reason, to stand behind the name of the model.
    pub fn check(&self, sources: &[(&str, usize)]) -> Result<(), String> {
        let count = sources.len();
        if self.mixtures.len() != count {
            return Err(format!("has {} mixtures for {count} sources", self.mixtures.len()));
        }
        if let Some(leakage) = &self.leakage
            && (leakage.dim() != (count, count) || !leakage.iter().all(|share| (0.0..=1.0).contains(share)))
        {
            return Err(format!("has a leakage that is not {count} x {count} shares between 0 and 1"));
        }
        for (mixture, (name, rank)) in self.mixtures.iter().zip(sources) {
            check_mixture(mixture, *rank).map_err(|fault| format!("has {fault}, for '{name}'"))?;
        }
        Ok(())
    }

    /// Its tensors for sources of these names: `NAME.gmm.weights` (C), `NAME.gmm.means` (C, K) and `NAME.gmm.variances` (C, K).
    pub fn tensors(&self, sources: &[&str]) -> Vec<Tensor> {
        let of_source = |(mixture, name): (&Mixture, &&str)| {
            let Mixture { weights, means, variances } = mixture;
            [
                Tensor::new(format!("{name}.{WEIGHTS}"), &weights.mapv(|w| w as f32)),
                Tensor::new(format!("{name}.{MEANS}"), &means.mapv(|mean| mean as f32)),
                Tensor::new(format!("{name}.{VARIANCES}"), &variances.mapv(|variance| variance as f32)),
            ]
        };
        self.mixtures.iter().zip(sources).flat_map(of_source).collect()
    }

    /// Its texts: `leakage` (JSON: a row of shares for every source).
    ///
    /// # Errors
    /// What serde_json says.
    pub fn texts(&self) -> serde_json::Result<HashMap<String, String>> {
        let rows = |leakage: &Array2<f64>| -> Vec<Vec<f64>> { leakage.outer_iter().map(|row| row.to_vec()).collect() };
        let text = self.leakage.as_ref().map(|leakage| serde_json::to_string(&rows(leakage))).transpose()?;
        Ok(text.map(|text| (LEAKAGE.to_string(), text)).into_iter().collect())
    }

    /// Reads it from the file of a model with these sources.
    ///
    /// # Errors
    /// The reason, to stand behind the name of the model.
    pub fn read(file: &Tensors, sources: &[String]) -> Result<Self, String> {
        let mixture = |name: &String| -> Result<Mixture, String> {
            let matrix = |part: &str| -> Result<Array2<f64>, String> {
                Ok(file.matrix(&format!("{name}.{part}"), "(C, K)")?.mapv(f64::from))
            };
            let weights = file.vector(&format!("{name}.{WEIGHTS}"), "(C)")?.mapv(f64::from);
            Ok(Mixture { weights, means: matrix(MEANS)?, variances: matrix(VARIANCES)? })
        };
        let leakage: Option<Vec<Vec<f64>>> = file.given_json(LEAKAGE)?;
        Ok(Self {
            mixtures: sources.iter().map(mixture).collect::<Result<_, String>>()?,
            leakage: leakage.map(|rows| square(&rows)).transpose()?,
        })
    }
}

fn square(rows: &[Vec<f64>]) -> Result<Array2<f64>, String> {
    Array2::from_shape_vec((rows.len(), rows.len()), rows.concat())
        .map_err(|cause| format!("has a damaged '{LEAKAGE}': {cause}"))
}

fn check_mixture(mixture: &Mixture, rank: usize) -> Result<(), String> {
    mixture.check().map_err(|cause| cause.to_string())?;
    if mixture.dimensions() != rank {
        return Err(format!("a mixture of {} dimensions beside {rank} bases", mixture.dimensions()));
    }
    if mixture.means.iter().any(|&mean| mean > 0.0) {
        return Err("a mixture with a mean above 0, where no log-normalised gain is".into());
    }
    Ok(())
}
