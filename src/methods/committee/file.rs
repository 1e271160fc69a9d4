//! What the method adds to a model, in memory and in its file.

use std::collections::HashMap;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::options::{MAX_CONTEXT, MAX_MEMBERS, Quality};
use crate::options::text;
use crate::spectrogram::BandMap;
use crate::tensors::{Tensor, Tensors};

const MEMBERS: &str = "members";

/// How gains are found under the bases of a member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manner {
    /// T, the consecutive frames that a basis spans.
    pub context: usize,
    /// The frames from one stack to the next, a divisor of the context.
    pub stride: usize,
    /// What gains are found on: the bins, or bands of them.
    #[serde(with = "text")]
    pub bands: BandMap,
    /// λ, the weight of an L1 penalty on the gains.
    pub sparsity: f64,
    /// How far the levels of sources are drawn together in the masks: Λ_j of a stack is divided by L_j to this power, its share
    /// of Σ Λ.
    pub levelling: f64,
    /// The updates that the gains usually take.
    pub iterations: usize,
    /// From which quality on the member takes part.
    #[serde(with = "text")]
    pub quality: Quality,
}

/// A member beside the first.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// How its gains are found.
    pub manner: Manner,
    /// W (TF, K) of every source; row τF + f is bin f of frame τ, the oldest first.
    pub bases: Vec<Array2<f32>>,
}

/// The members of a committee.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// How gains are found under the first member, whose bases are those of the model's sources.
    pub first: Manner,
    /// The others.
    pub others: Vec<Member>,
}

impl Learned {
    /// Checks that they fit data of `rows` rows, and sources of these names and shapes of bases; an error is the reason alone.
    ///
    /// # Errors
    /// The reason, to stand behind the name of the model.
    pub fn check(&self, rows: usize, sources: &[&str]) -> Result<(), String> {
        if self.others.len() >= MAX_MEMBERS {
            return Err(format!("has {} members; at most {MAX_MEMBERS} are read", self.others.len() + 1));
        }
        for manner in self.manners() {
            let &Manner { context, stride, sparsity, iterations, levelling, .. } = manner;
            if !(1..=MAX_CONTEXT).contains(&context) {
                return Err(format!("has a member with a context of {context} frames"));
            }
            if stride == 0 || !context.is_multiple_of(stride) {
                return Err(format!("has a member with stacks of {context} frames every {stride}"));
            }
            if !(sparsity.is_finite() && sparsity >= 0.0) {
                return Err(format!("has a member with a sparsity of {sparsity}"));
            }
            if !(0.0..1.0).contains(&levelling) {
                return Err(format!("has a member with a levelling of {levelling}"));
            }
            if iterations == 0 {
                return Err("has a member with gains of no iterations".into());
            }
        }
        for (index, Member { manner, bases }) in self.others.iter().enumerate() {
            if bases.len() != sources.len() {
                return Err(format!(
                    "has bases of {} sources in member {}, and {} sources",
                    bases.len(),
                    index + 2,
                    sources.len()
                ));
            }
            for (bases, name) in bases.iter().zip(sources) {
                // A fold goes through millions of numbers as vectors do, which `all` with its early end does not.
                let fit = bases.iter().fold(true, |fit, w| fit & (w.is_finite() & (*w >= 0.0)));
                let expected = manner.context * rows;
                if bases.nrows() != expected || bases.ncols() == 0 || !fit {
                    return Err(format!(
                        "has bases of '{name}' in member {} that are not {expected} x K nonnegative numbers",
                        index + 2
                    ));
                }
            }
        }
        Ok(())
    }

    /// How the gains of every member are found, the first first.
    pub fn manners(&self) -> impl Iterator<Item = &Manner> {
        std::iter::once(&self.first).chain(self.others.iter().map(|member| &member.manner))
    }

    /// Their tensors for sources of these names: `NAME.bases.2` (TF, K) for the second member, and so on.
    pub fn tensors(&self, sources: &[&str]) -> Vec<Tensor> {
        let of_member = |(index, member): (usize, &Member)| -> Vec<Tensor> {
            let tensor = |(bases, name): (&Array2<f32>, &&str)| Tensor::new(tensor_name(name, index), bases);
            member.bases.iter().zip(sources).map(tensor).collect()
        };
        self.others.iter().enumerate().flat_map(of_member).collect()
    }

    /// Their text: `members`, a list of [`Manner`]s.
    ///
    /// # Errors
    /// Those of JSON.
    pub fn texts(&self) -> serde_json::Result<HashMap<String, String>> {
        let manners: Vec<&Manner> = self.manners().collect();
        Ok(HashMap::from([(MEMBERS.to_string(), serde_json::to_string(&manners)?)]))
    }

    /// Reads them from the file of a model with these sources.
    ///
    /// # Errors
    /// The reason, to stand behind the name of the model.
    pub fn read(file: &Tensors, sources: &[String]) -> Result<Self, String> {
        let mut manners = file.json::<Vec<Manner>>(MEMBERS)?.into_iter();
        let first = manners.next().ok_or("has a committee without members")?;
        let member = |(index, manner): (usize, Manner)| {
            let matrix = |name: &String| file.matrix(&tensor_name(name, index), "(TF, K)");
            Ok(Member { manner, bases: sources.iter().map(matrix).collect::<Result<_, String>>()? })
        };
        Ok(Self { first, others: manners.enumerate().map(member).collect::<Result<_, String>>()? })
    }
}

/// The name of the bases of a source in one of the other members.
fn tensor_name(source: &str, index: usize) -> String {
    format!("{source}.bases.{}", index + 2)
}
