//! Extrapolation on the native engine.

use super::{Momentum, Track};
use ndarray::Array2;

use crate::Result;
use crate::engine::{Cpu, CpuPanel};

impl Momentum for Cpu {
    fn lead_gains(&self, _to: &CpuPanel, _from: &CpuPanel, _share: f64) -> Result<CpuPanel> {
        Err(crate::Error::input("not there yet"))
    }

    fn lead_bases(&self, _to: &Array2<f32>, _from: &Array2<f32>, _share: f64) -> Result<Array2<f32>> {
        Err(crate::Error::input("not there yet"))
    }

    fn advance(&self, _track: &mut Track<CpuPanel>, _majorizing: f64) -> Result<()> {
        Err(crate::Error::input("not there yet"))
    }
}
