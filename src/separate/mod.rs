//! Separating recordings: a job's description and a model become a [`Plan`]; on an engine a plan is a [`Separator`] of panels; and
//! [`whole`] takes a recording in memory all the way to its stems.

mod estimates;
mod explain;
mod plan;
mod scheme;
mod spectra;
mod under_model;
mod wanted;
mod whole;

pub(crate) use estimates::{Estimates, Outline};
pub use explain::{Detail, Explained, explain};
pub use plan::Plan;
pub use scheme::Scheme;
pub(crate) use spectra::{Blocks, Signal, Spectra, panel};
pub use wanted::{RESIDUAL, Wanted};
pub use whole::{Progress, Stem, whole};

pub use crate::methods::separator::{Factors, Request, STRETCH, Separated, Separator, stretches};
