//! The options of `partwise factorize`.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, ValueEnum};
use partwise::divergence::Divergence;
use partwise::kernels::Norm;
use partwise::methods::nmf::{Learn, Updates};

use super::super::common::Seed;
use super::super::common::heading::FILES;
use super::super::examples;

/// The heading of what a factorization is.
const FACTORS: &str = "Factorization";

/// Factorize any nonnegative matrix, F rows by N columns: V ≈ W H
#[derive(Args)]
#[command(after_long_help = examples::FACTORIZE)]
pub(in crate::cli) struct Factorize {
    /// The matrix: floats, integers or bool; or an .npz with this array alone
    #[arg(value_name = "V.npy")]
    pub(super) matrix: PathBuf,
    /// The result: W (F,K), H (K,N) and objective (before the first iteration, and then at every --trace-every)
    #[arg(short, long, value_name = "OUT.npz", help_heading = FILES)]
    pub(super) output: PathBuf,
    /// Start from W (F,K) and H (K,N) in this file instead of random numbers; either may be missing. nmf2d: W (T,F,K),
    /// H (P,K,N)
    #[arg(long, value_name = "INIT.npz", help_heading = FILES)]
    pub(super) init: Option<PathBuf>,
    /// Number of components
    #[arg(long, value_name = "K", help_heading = FACTORS)]
    pub(super) rank: usize,
    /// nmf, or nmf2d: patterns that move in time and, if rows are log-frequencies, in pitch
    #[arg(long, value_name = "nmf|nmf2d", default_value = "nmf", help_heading = FACTORS)]
    pub(super) method: Method,
    #[command(flatten)]
    pub(super) shifted: Shifted,
    /// Keep a factor unchanged
    #[arg(long, value_name = "w|h", help_heading = FACTORS)]
    pub(super) fix: Option<Fixed>,
    /// The divergence to minimize: eu, kl, is, beta:B, t:N or ggd:B
    #[arg(long, default_value = "kl", help_heading = FACTORS)]
    pub(super) divergence: Divergence,
    /// alternating: H, then W. joint: both in one pass over the data, never raising the objective. extrapolated: each
    /// from a point further along its last step, for fewer iterations
    #[arg(long, default_value = "alternating", value_name = "alternating|joint|extrapolated", help_heading = FACTORS)]
    pub(super) updates: Updates,
    /// The most iterations; one iteration updates H, then W, and normalizes
    #[arg(long, value_name = "N", default_value_t = 200, help_heading = FACTORS)]
    pub(super) iterations: usize,
    /// Compute the objective after every N iterations; 0: only after the last
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = FACTORS)]
    pub(super) trace_every: usize,
    /// Stop when the objective fell by less than this fraction since it was last computed (see --trace-every)
    #[arg(long, value_name = "T", default_value_t = 0.0, help_heading = FACTORS)]
    pub(super) tolerance: f64,
    /// The weight of an L1 penalty on H, for columns of W with norm 1
    #[arg(long, value_name = "L", default_value_t = 0.0, help_heading = FACTORS)]
    pub(super) sparsity: f64,
    /// Scale W's columns, or with nmf2d whole patterns, to norm 1, and scale H's rows inversely: none, l1 or l2
    /// [default: none, or l2 with a sparsity]
    #[arg(long, value_name = "none|l1|l2", value_parser = ["none", "l1", "l2"], help_heading = FACTORS)]
    pub(super) normalize: Option<String>,
    #[command(flatten, next_help_heading = FACTORS)]
    pub(super) seed: Seed,
}

/// Options of patterns that move.
#[derive(Args)]
pub(super) struct Shifted {
    /// nmf2d: length of a pattern in columns [default: that of --init, or 7]
    #[arg(long, value_name = "T", help_heading = FACTORS)]
    pub(super) time_lags: Option<usize>,
    /// nmf2d: rows that a pattern moves over; 1 is NMFD [default: that of --init, or 18]
    #[arg(long, value_name = "P", help_heading = FACTORS)]
    pub(super) pitch_lags: Option<usize>,
    /// nmf2d: random starts; the one with the lowest objective is kept [default: 1]
    #[arg(long, value_name = "S", help_heading = FACTORS)]
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

    /// Checks that --init contains the factor to keep.
    pub(super) fn check<T>(self, [w, h]: &[Option<T>; 2]) -> anyhow::Result<()> {
        let given = match self {
            Self::W => w.is_some(),
            Self::H => h.is_some(),
        };
        if given { Ok(()) } else { bail!("--fix {}: is missing from the file of --init; add it", self.name()) }
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

    /// The norm of W's columns.
    pub(super) fn norm(&self) -> partwise::Result<Option<Norm>> {
        match self.normalize.as_deref() {
            None => Ok((self.sparsity > 0.0).then_some(Norm::L2)),
            Some("none") => Ok(None),
            Some(norm) => norm.parse().map(Some),
        }
    }

    /// The objective before the first iteration, if it was computed.
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
                bail!("{option}: needs --method nmf2d");
            }
        }
        Ok(())
    }
}

/// The first objective of a run and an arrow to the last, for the text.
pub(super) fn before(first: Option<f64>) -> String {
    first.map_or_else(String::new, |first| format!("{first:.6e} -> "))
}
