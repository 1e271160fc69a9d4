//! What a model holds of its method.

use std::collections::HashMap;

use crate::methods::{gain_prior, sparse};
use crate::tensors::{Tensor, Tensors};

/// The part of a model that belongs to its method.
#[derive(Debug, Clone, PartialEq)]
pub enum Parts {
    /// Nothing but bases.
    Nmf,
    /// What gains are usual together.
    GainPrior(gain_prior::Learned),
    /// The penalty under which its bases were learned.
    Sparse(sparse::Learned),
}

impl Parts {
    /// The names of the methods that learn models.
    pub const METHODS: [&'static str; 3] = ["nmf", "gain-prior", "sparse"];

    /// The name of the method.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Nmf => Self::METHODS[0],
            Self::GainPrior(_) => Self::METHODS[1],
            Self::Sparse(_) => Self::METHODS[2],
        }
    }

    /// Checks that they fit sources of these names and ranks; an error is the reason alone.
    pub(super) fn check(&self, sources: &[(&str, usize)]) -> Result<(), String> {
        match self {
            Self::Nmf => Ok(()),
            Self::GainPrior(learned) => learned.check(sources),
            Self::Sparse(learned) => learned.check(),
        }
    }

    /// Their tensors, and their texts beside them.
    pub(super) fn write(&self, sources: &[&str]) -> serde_json::Result<(Vec<Tensor>, HashMap<String, String>)> {
        Ok(match self {
            Self::Nmf => (Vec::new(), HashMap::new()),
            Self::GainPrior(learned) => (learned.tensors(sources), learned.texts()?),
            Self::Sparse(learned) => (Vec::new(), learned.texts()),
        })
    }

    /// Reads the part of a method from a model's file; an error is the reason alone.
    pub(super) fn read(method: &str, file: &Tensors, sources: &[String]) -> Result<Self, String> {
        match method {
            "nmf" => Ok(Self::Nmf),
            "gain-prior" => gain_prior::Learned::read(file, sources).map(Self::GainPrior),
            "sparse" => sparse::Learned::read(file).map(Self::Sparse),
            _ => Err(format!("has method '{method}'; this version of partwise knows '{}'", Self::METHODS.join("', '"))),
        }
    }
}
