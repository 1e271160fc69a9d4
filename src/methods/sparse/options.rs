//! What a user may choose of sparse factorization.

use serde::{Deserialize, Serialize};

use crate::divergence::Divergence;
use crate::kernels::Norm;
use crate::methods::nmf::{self, Updates};
use crate::options::Flag;
use crate::{Error, Result};

/// λ where the user names none: the largest of the paper's, which separated best there.
pub(crate) const SPARSITY: f64 = 0.1;

/// How gains are found under a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Separation {
    /// λ; if it is missing, that of the training.
    pub sparsity: Option<f64>,
}

impl Separation {
    /// The options on the command line.
    pub const FLAGS: &'static [Flag] =
        &[Flag::number("sparsity", "L", "The weight of an L1 penalty on the gains [default: that of the training]")];

    /// Checks the options.
    ///
    /// # Errors
    /// [`Error::Input`] for a λ that is negative or not finite.
    pub fn check(&self) -> Result<()> {
        nmf::check_options(1, 0.0, self.sparsity.unwrap_or_default())
    }
}

/// Checks the options of a training that this method fixes, or another one of its kind.
///
/// # Errors
/// [`Error::Option`] names one that has another value.
pub(crate) fn check(method: &str, divergence: &Divergence, updates: Option<Updates>, norm: Option<Norm>) -> Result<()> {
    if *divergence != Divergence::KullbackLeibler {
        return Err(Error::option("divergence", format!("{divergence}: the method {method} is under kl")));
    }
    if let Some(updates) = updates.filter(|updates| *updates != Updates::Alternating) {
        return Err(Error::option("updates", format!("{updates}: the method {method} has alternating ones")));
    }
    if norm == Some(Norm::L1) {
        return Err(Error::option("normalize", format!("l1: the method {method} has bases of norm l2")));
    }
    Ok(())
}
