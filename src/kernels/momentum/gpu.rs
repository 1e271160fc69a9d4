//! Extrapolation on the gpu engine.

use super::{Momentum, Track};
use crate::Result;
use crate::engine::{Gpu, GpuMatrix, GpuPanel};

impl Momentum for Gpu {
    fn lead_gains(&self, _to: &GpuPanel, _from: &GpuPanel, _share: f64) -> Result<GpuPanel> {
        Err(crate::Error::input("not there yet"))
    }

    fn lead_bases(&self, _to: &GpuMatrix, _from: &GpuMatrix, _share: f64) -> Result<GpuMatrix> {
        Err(crate::Error::input("not there yet"))
    }

    fn advance(&self, _track: &mut Track<GpuPanel>, _majorizing: f64) -> Result<()> {
        Err(crate::Error::input("not there yet"))
    }
}
