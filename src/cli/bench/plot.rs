//! Plots the kernels under the roofline.

use partwise::report::{Point, roofline as drawn};

use super::kernels::{KernelTime, Measured, PeakRates};
use super::report::{figure, name, of_roof};

/// The plot as SVG.
pub(super) fn roofline(measured: &Measured, peaks: PeakRates) -> partwise::Result<String> {
    let points: Vec<Point> = measured.kernels.iter().map(point).collect();
    drawn(&measured.engine, peaks.roof(), &points)
}

fn point(time: &KernelTime) -> Point {
    let (name, shape) = (name(time), time.shape.joined("x"));
    Point {
        label: format!("{name} {shape}: {} GFLOP/s, {}", figure(time.gflops), of_roof(time.share_of_roofline)),
        series: time.kernel.into(),
        intensity: time.flop_per_byte,
        flops: time.gflops * 1e9,
    }
}
