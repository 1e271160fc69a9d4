//! Factorizations from one or several starts, of which the best result is kept.

use std::time::Instant;

use ndarray::{Array2, ArrayView2, Axis, s};

use super::factorize::{Fit, Options, factorize};
use crate::Result;
use crate::engine::Real;
use crate::kernels::{Lags, Shifts};
use crate::random::Stream;

/// The start of a factorization.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// Both factors at random, several times.
    Random {
        /// D.
        components: usize,
        /// How many starts; the result with the least objective is kept.
        starts: usize,
        /// The seed of the first start. Each further start adds 1.
        seed: u64,
    },
    /// Once, from the given factors.
    Given {
        /// W^τ (F x D), T of them.
        bases: &'a [Array2<f64>],
        /// H (ΦD x N) of every matrix of the data; if they are missing, all gains start equal.
        gains: Option<&'a [Array2<f64>]>,
    },
}

/// W^τ (F x D), T of them, and H (ΦD x N) of every matrix of the data.
pub type Factors = (Vec<Array2<f64>>, Vec<Array2<f64>>);

/// The result that was kept.
#[derive(Debug, Clone)]
pub struct Found {
    /// W^τ (F x D), T of them.
    pub bases: Vec<Array2<f64>>,
    /// H (ΦD x N) of every matrix of the data; row φD + d is row d of H^φ.
    pub gains: Vec<Array2<f64>>,
    /// The course of all starts: (starts, checks).
    pub fit: Fit,
    /// The start that was kept.
    pub start: usize,
    /// The time of the iterations and of their objectives, without the way to the device.
    pub seconds: f64,
}

/// Factorizes matrices V (F x N, each with its own N) that share their bases, from `start`. Several starts are factorized side by
/// side. The result of each is the one that it has alone, to the bit.
///
/// # Errors
/// Those of [`factorize`].
pub fn search<E: Shifts, T: Real>(
    engine: &E,
    data: &[ArrayView2<T>],
    start: Start,
    options: &Options,
    watch: impl FnMut(usize) -> Result<()> + Send,
) -> Result<Found> {
    let lags = options.rule.lags;
    let begun: Vec<Factors> = match start {
        Start::Random { components, starts, seed } => {
            (0..starts).map(|start| random_start(data, components, lags, seed.wrapping_add(start as u64))).collect()
        }
        Start::Given { bases, gains } => {
            vec![(bases.to_vec(), gains.map_or_else(|| flat_gains(data, bases, lags), <[_]>::to_vec))]
        }
    };
    let bases: Vec<_> = begun.iter().flat_map(|(bases, _)| bases).map(|w| w.view()).collect();
    let gains: Vec<_> = begun.iter().flat_map(|(_, gains)| gains).map(|h| h.view()).collect();
    let v: Vec<_> = begun.iter().flat_map(|_| data.iter().copied()).collect();
    let v = engine.packed(&v)?;
    let (mut w, mut h) = (engine.stack(&bases)?, engine.packed(&gains)?);
    // Reading a factor back waits for the device: here for the data to arrive, and below for the last update.
    engine.read_matrix::<f32>(&w)?;
    let started = Instant::now();
    let fit = factorize(engine, &v, &mut w, &mut h, options, watch)?;
    let w: Array2<f64> = engine.read_matrix(&w)?;
    let seconds = started.elapsed().as_secs_f64();
    let h: Array2<f64> = engine.read_panel(&h)?;
    let (start, rows) = (fit.best(), data.first().map_or(0, ArrayView2::nrows));
    let bases = w.axis_chunks_iter(Axis(0), rows).skip(start * lags.time).take(lags.time);
    let mut column = start * data.iter().map(ArrayView2::ncols).sum::<usize>();
    let of_matrix = |matrix: &ArrayView2<T>| {
        let gains = h.slice(s![.., column..column + matrix.ncols()]).to_owned();
        column += matrix.ncols();
        gains
    };
    let gains = data.iter().map(of_matrix).collect();
    Ok(Found { bases: bases.map(|w| w.to_owned()).collect(), gains, fit, start, seconds })
}

/// The mean of all cells.
fn mean<T: Real>(data: &[ArrayView2<T>]) -> f64 {
    let sum: f64 = data.iter().map(|v| v.fold(0.0, |sum, &v| sum + v.to_f64())).sum();
    sum / data.iter().map(ArrayView2::len).sum::<usize>().max(1) as f64
}

/// Random bases (T of F x D) and gains (ΦD x N) for matrices V (F x N), the same for every engine: uniform in (0.1, 1.1), scaled
/// so that Λ has about the mean of V.
pub fn random_start<T: Real>(data: &[ArrayView2<T>], components: usize, lags: Lags, seed: u64) -> Factors {
    let terms = (components * lags.time * lags.pitch).max(1) as f64;
    let scale = (mean(data) / (terms * 0.36)).sqrt();
    let fill = |name: &str, rows: usize, columns: usize| {
        let stream = Stream::new(seed, name);
        let at = |(row, column)| (0.1 + stream.uniform((row * columns + column) as u64)) * scale;
        Array2::from_shape_fn((rows, columns), at)
    };
    let rows = data.first().map_or(0, ArrayView2::nrows);
    let bases = (0..lags.time).map(|time| fill(&format!("bases {time}"), rows, components)).collect();
    let of_matrix =
        |(index, v): (usize, &ArrayView2<T>)| fill(&format!("gains {index}"), lags.pitch * components, v.ncols());
    (bases, data.iter().enumerate().map(of_matrix).collect())
}

/// Equal gains, with which Λ has the mean of V.
fn flat_gains<T: Real>(data: &[ArrayView2<T>], bases: &[Array2<f64>], lags: Lags) -> Vec<Array2<f64>> {
    let (rows, components) = bases.first().map_or((0, 0), Array2::dim);
    let of_model = bases.iter().map(|w| w.sum()).sum::<f64>() * lags.pitch as f64 / rows.max(1) as f64;
    let gain = if of_model > 0.0 { mean(data) / of_model } else { 0.0 };
    data.iter().map(|v| Array2::from_elem((lags.pitch * components, v.ncols()), gain)).collect()
}
