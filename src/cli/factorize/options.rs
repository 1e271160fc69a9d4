//! The options of `partwise factorize`.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, ValueEnum};
use partwise::divergence::Divergence;
use partwise::kernels::Norm;
use partwise::methods::nmf::{Learn, Updates};

/// Factorize any nonnegative matrix, F rows by N columns: V ≈ W H
#[derive(Args)]
pub(in crate::cli) struct Factorize {
    /// The matrix: floats, integers or bool; or an .npz that holds it alone
    #[arg(value_name = "V.npy")]
    pub(super) matrix: PathBuf,
    /// Components
    #[arg(long, value_name = "K")]
    pub(super) rank: usize,
    /// nmf, or nmf2d: patterns that move in time and, where rows are log-frequencies, in pitch
    #[arg(long, value_name = "nmf|nmf2d", default_value = "nmf")]
    pub(super) method: Method,
    #[command(flatten)]
    pub(super) shifted: Shifted,
    /// The result: W (F,K), H (K,N) and objective (a value for each look: before the first iteration, and after each)
    #[arg(short, long, value_name = "OUT.npz")]
    pub(super) output: PathBuf,
    /// Start from W (F,K) and H (K,N) of this file instead of random numbers; either may be missing. nmf2d: W (T,F,K), H (P,K,N)
    #[arg(long, value_name = "INIT.npz")]
    pub(super) init: Option<PathBuf>,
    /// Keep a factor as it is
    #[arg(long, value_name = "w|h")]
    pub(super) fix: Option<Fixed>,
    /// What the fit is measured by: eu, kl, is or beta:B
    #[arg(long, default_value = "kl")]
    pub(super) divergence: Divergence,
    /// alternating: H, then W. joint: both from one pass over the data, never rising. extrapolated: each from a point further
    /// along the last step, for fewer iterations
    #[arg(long, default_value = "alternating", value_name = "alternating|joint|extrapolated")]
    pub(super) updates: Updates,
    /// Iterations at most; one is H, then W, then normalisation
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(super) iterations: usize,
    /// Look at the objective after every so many iterations; 0: after the last alone
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) trace_every: usize,
    /// Stop when an iteration, or as many as --trace-every says, brought the objective down by less than this share of it
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    pub(super) tolerance: f64,
    /// The weight of an L1 penalty on H, where W's columns have norm 1
    #[arg(long, value_name = "L", default_value_t = 0.0)]
    pub(super) sparsity: f64,
    /// Scale W's columns, or with nmf2d whole patterns, to norm 1, and H's rows so that the model stays: none, l1 or l2
    /// [default: none, or l2 where there is a sparsity]
    #[arg(long, value_name = "none|l1|l2", value_parser = ["none", "l1", "l2"])]
    pub(super) normalize: Option<String>,
}

/// Options of patterns that move.
#[derive(Args)]
pub(super) struct Shifted {
    /// nmf2d: columns that a pattern reaches over [default: those of --init, or 7]
    #[arg(long, value_name = "T")]
    pub(super) time_lags: Option<usize>,
    /// nmf2d: rows that a pattern moves over; 1 is NMFD [default: those of --init, or 18]
    #[arg(long, value_name = "P")]
    pub(super) pitch_lags: Option<usize>,
    /// nmf2d: random starts, of which the one with the least objective is kept [default: 1]
    #[arg(long, value_name = "S")]
    pub(super) starts: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Method {
    Nmf,
    Nmf2d,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Fixed {
    W,
    H,
}

impl Fixed {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::W => "w",
            Self::H => "h",
        }
    }

    /// Checks that what is to be kept is among what --init gives.
    pub(super) fn check<T>(self, [w, h]: &[Option<T>; 2]) -> anyhow::Result<()> {
        let given = match self {
            Self::W => w.is_some(),
            Self::H => h.is_some(),
        };
        if given { Ok(()) } else { bail!("--fix {}: is not in the file of --init; put it there", self.name()) }
    }
}

impl Factorize {
    /// The factors that are not fixed.
    pub(super) fn learn(&self) -> Learn {
        match self.fix {
            None => Learn::Both,
            Some(Fixed::W) => Learn::Gains,
            Some(Fixed::H) => Learn::Bases,
        }
    }

    /// What W's columns are scaled by.
    pub(super) fn norm(&self) -> partwise::Result<Option<Norm>> {
        match self.normalize.as_deref() {
            None => Ok((self.sparsity > 0.0).then_some(Norm::L2)),
            Some("none") => Ok(None),
            Some(norm) => norm.parse().map(Some),
        }
    }

    /// What the objective was before the first iteration, if it was looked at there.
    pub(super) fn first_objective(&self, first: Option<&f64>) -> Option<f64> {
        first.copied().filter(|_| self.trace_every > 0)
    }
}

impl Shifted {
    pub(super) fn check_absent(&self) -> anyhow::Result<()> {
        for (option, value) in
            [("--time-lags", self.time_lags), ("--pitch-lags", self.pitch_lags), ("--starts", self.starts)]
        {
            if value.is_some() {
                bail!("{option} is for --method nmf2d");
            }
        }
        Ok(())
    }
}

/// A run's first objective, for the text: with what leads to the last.
pub(super) fn before(first: Option<f64>) -> String {
    first.map_or_else(String::new, |first| format!("{first:.6e} -> "))
}
