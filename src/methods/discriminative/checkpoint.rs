//! The state of a long training, as bytes that prove what it is of.

use std::collections::HashMap;

use ndarray::Array2;

use super::Factors;
use crate::Result;
use crate::kernels::Products;
use crate::tensors::{self, Tensor, Tensors};

const PROOF: &str = "proof";
const ROUND: &str = "round";
const OBJECTIVE: &str = "objective";

/// The factors after some rounds.
pub(super) struct State {
    pub(super) round: usize,
    /// The objective so far.
    pub(super) objective: Vec<f64>,
    bases: Vec<Array2<f32>>,
    gains: Vec<Array2<f32>>,
}

impl State {
    /// Reads the factors from an engine.
    pub(super) fn of<E: Products>(engine: &E, round: usize, objective: Vec<f64>, factors: &Factors<E>) -> Result<Self> {
        Ok(Self {
            round,
            objective,
            bases: factors.bases.iter().map(|w| engine.read_matrix(w)).collect::<Result<_>>()?,
            gains: factors.gains.iter().map(|h| engine.read_panel(h)).collect::<Result<_>>()?,
        })
    }

    /// Brings the factors up. `like`: gains with the segments of every source.
    pub(super) fn on<E: Products>(&self, engine: &E, like: &[E::Panel]) -> Result<Factors<E>> {
        let gains = like.iter().zip(&self.gains).map(|(like, h)| engine.panel_like(like, h.view()));
        Ok(Factors {
            bases: self.bases.iter().map(|w| engine.matrix(w.view())).collect::<Result<_>>()?,
            gains: gains.collect::<Result<_>>()?,
        })
    }

    /// The state as a safetensors file with the proof of what it is of.
    pub(super) fn to_bytes(&self, proof: &str) -> Result<Vec<u8>> {
        let objective: Vec<String> = self.objective.iter().map(f64::to_string).collect();
        let texts = HashMap::from([
            (PROOF.to_string(), proof.to_string()),
            (ROUND.to_string(), self.round.to_string()),
            (OBJECTIVE.to_string(), format!("[{}]", objective.join(","))),
        ]);
        let named = |kind: &'static str| {
            move |(source, values): (usize, &Array2<f32>)| Tensor::new(format!("{source}.{kind}"), values)
        };
        let bases = self.bases.iter().enumerate().map(named("bases"));
        let tensors: Vec<Tensor> = bases.chain(self.gains.iter().enumerate().map(named("gains"))).collect();
        tensors::to_bytes(texts, &tensors)
    }

    /// Reads a state of `sources` sources; an error is the reason alone.
    pub(super) fn from_bytes(bytes: &[u8], proof: &str, sources: usize) -> std::result::Result<Self, String> {
        let file = Tensors::read(bytes)?;
        if file.text(PROOF)? != proof {
            return Err("is of other recordings or other options; train without --resume, or as before".into());
        }
        let matrices = |kind: &str| -> std::result::Result<Vec<_>, String> {
            (0..sources).map(|source| file.matrix(&format!("{source}.{kind}"), "of two axes")).collect()
        };
        Ok(Self {
            round: file.json(ROUND)?,
            objective: file.json(OBJECTIVE)?,
            bases: matrices("bases")?,
            gains: matrices("gains")?,
        })
    }
}
