//! What a model holds of its method.

use std::collections::HashMap;

use ndarray::Array2;

use crate::divergence::Divergence;
use crate::methods::{averaged, committee, deep, discriminative, gain_prior, sparse};
use crate::tensors::{Tensor, Tensors};

/// The part of a model that belongs to its method.
#[derive(Debug, Clone, PartialEq)]
pub enum Parts {
    /// Nothing but bases.
    Nmf,
    /// Several sets of bases, or one of several frames.
    Committee(committee::Learned),
    /// What gains are usual together.
    GainPrior(gain_prior::Learned),
    /// The penalty under which its bases were learned.
    Sparse(sparse::Learned),
    /// The same, of bases that were learned from mixtures.
    Discriminative(discriminative::Learned),
    /// The orders of the bases.
    Averaged(averaged::Learned),
    /// The cost, of a model without bases if it is to denoise.
    Deep(deep::Learned),
}

impl Parts {
    /// The names of the methods that learn models.
    pub const METHODS: [&'static str; 7] =
        ["nmf", "committee", "gain-prior", "sparse", "discriminative", "averaged", "deep"];

    /// The name of the method.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Nmf => Self::METHODS[0],
            Self::Committee(_) => Self::METHODS[1],
            Self::GainPrior(_) => Self::METHODS[2],
            Self::Sparse(_) => Self::METHODS[3],
            Self::Discriminative(_) => Self::METHODS[4],
            Self::Averaged(_) => Self::METHODS[5],
            Self::Deep(_) => Self::METHODS[6],
        }
    }

    /// Whether a model like this takes noise off recordings, and separates none.
    pub fn is_for_denoising(&self) -> bool {
        matches!(self, Self::Deep(learned) if learned.task == deep::Task::Denoise)
    }

    /// T, the consecutive frames that the bases of the sources span.
    pub fn context(&self) -> usize {
        match self {
            Self::Committee(learned) => learned.first.context,
            _ => 1,
        }
    }

    /// The divergence that gains are found under, if it was learned.
    pub(super) fn divergence(&self) -> Option<crate::Result<Divergence>> {
        match self {
            Self::Deep(learned) => Some(learned.curve.divergence()),
            _ => None,
        }
    }

    /// How gains are found under every set of bases, where a model has several.
    pub fn manners(&self) -> Vec<&committee::Manner> {
        if let Self::Committee(learned) = self { learned.manners().collect() } else { Vec::new() }
    }

    /// The sets of bases beside those of the model's sources, where a model has several: how gains are found under each, and
    /// its bases (TF, K) of every source.
    pub fn other_sets(&self) -> Vec<(&committee::Manner, &[Array2<f32>])> {
        let Self::Committee(learned) = self else { return Vec::new() };
        learned.others.iter().map(|member| (&member.manner, &member.bases[..])).collect()
    }

    /// Whether a background is learned beside the sources, so that one source is enough.
    pub fn has_background(&self) -> bool {
        matches!(self, Self::Averaged(_))
    }

    /// Whether a model may be without sources.
    pub(super) fn needs_no_source(&self) -> bool {
        matches!(self, Self::Deep(learned) if learned.task == deep::Task::Denoise)
    }

    /// Checks that they fit bases of `rows` rows, and sources of these names and ranks; an error is the reason alone.
    pub(super) fn check(&self, rows: usize, sources: &[(&str, usize)]) -> Result<(), String> {
        match self {
            Self::Nmf => Ok(()),
            Self::Committee(learned) => learned.check(rows, &sources.iter().map(|(name, _)| *name).collect::<Vec<_>>()),
            Self::GainPrior(learned) => learned.check(sources),
            Self::Sparse(learned) => learned.check(),
            Self::Discriminative(learned) => learned.check(rows, sources),
            Self::Averaged(learned) => learned.check(sources),
            Self::Deep(learned) => learned.check(sources),
        }
    }

    /// Their tensors, and their texts beside them.
    pub(super) fn write(&self, sources: &[&str]) -> serde_json::Result<(Vec<Tensor>, HashMap<String, String>)> {
        Ok(match self {
            Self::Nmf => (Vec::new(), HashMap::new()),
            Self::Committee(learned) => (learned.tensors(sources), learned.texts()?),
            Self::GainPrior(learned) => (learned.tensors(sources), learned.texts()?),
            Self::Sparse(learned) => (Vec::new(), learned.texts()),
            Self::Discriminative(learned) => (learned.tensors(sources), learned.penalty.texts()),
            Self::Averaged(learned) => (Vec::new(), learned.texts()?),
            Self::Deep(learned) => (learned.tensors(), learned.texts()),
        })
    }

    /// Reads the part of a method from a model's file; an error is the reason alone.
    pub(super) fn read(method: &str, file: &Tensors, sources: &[String]) -> Result<Self, String> {
        match method {
            "nmf" => Ok(Self::Nmf),
            "committee" => committee::Learned::read(file, sources).map(Self::Committee),
            "gain-prior" => gain_prior::Learned::read(file, sources).map(Self::GainPrior),
            "sparse" => sparse::Learned::read(file).map(Self::Sparse),
            "discriminative" => discriminative::Learned::read(file, sources).map(Self::Discriminative),
            "averaged" => averaged::Learned::read(file).map(Self::Averaged),
            "deep" => deep::Learned::read(file).map(Self::Deep),
            _ => Err(format!("has method '{method}'; this version of partwise knows '{}'", Self::METHODS.join("', '"))),
        }
    }
}
