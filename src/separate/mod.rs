//! Separating recordings: a job's description and a model become a [`Plan`]; on an engine a plan is a [`Separator`] of panels; and
//! [`Stream`] takes the samples of a recording to those of its stems as they come, and [`whole`] those of a recording in memory.

mod estimates;
mod explain;
mod panels;
mod plan;
mod scheme;
mod spectra;
mod stream;
mod under_model;
mod wanted;
mod whole;

pub(crate) use estimates::Estimates;
pub use explain::{Detail, Explained, explain};
pub use plan::Plan;
pub use scheme::Scheme;
pub(crate) use spectra::{Signal, Spectra, panel, signal_length};
pub use stream::{Stem, Stream};
pub use wanted::{RESIDUAL, Wanted};
pub use whole::{Progress, whole};

pub use crate::methods::separator::{Factors, Request, STRETCH, Separated, Separator, stretches};
