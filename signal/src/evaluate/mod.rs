//! Separation quality in decibels: SNR, SI-SDR, and SDR, SIR and SAR of BSS Eval v3.

mod bss;
mod cholesky;
mod order;
mod projection;
mod ratio;
mod scores;
mod summary;
mod windows;

pub use bss::{Bss, TAPS, bss_eval, bss_eval_permuted};
pub use ratio::{Mean, si_sdr, snr, snr_mel};
pub use scores::{Measures, Order, Scores, better_order, evaluate};
pub use summary::{mean, median};
pub use windows::{evaluate_windows, windows};
