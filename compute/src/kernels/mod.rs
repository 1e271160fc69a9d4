//! The heavy arithmetic. Each kernel family has a folder with its contract (a small trait) and three implementations
//! side by side.

pub mod adjoint;
pub mod glue;
mod gpu;
pub mod momentum;
pub mod pairs;
pub mod peak;
pub mod prior;
pub mod products;
pub mod shifts;
pub mod tables;
pub mod variational;

#[cfg(test)]
mod segments;

pub use adjoint::Adjoint;
pub use glue::{Glue, Mask, Norm};
pub use momentum::{Momentum, Track};
pub use pairs::{Mixtures, Modulus, Pairing, Pairs, Spectra, all_pairs};
pub use peak::{Peak, Peaks};
pub use prior::{Density, GainPrior, Gradient, Mixture, Prior};
pub use products::{Products, Rule};
pub use shifts::{Edges, Lags, ShiftRule, Shifts};
pub use tables::{Table, Tables};
pub use variational::{Bases, Gig, Order, Variational};
