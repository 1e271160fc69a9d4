//! Plots the kernels under the roofline.

use partwise::report::{Point, roofline as drawn};

use super::kernels::{KernelTime, Measured, PeakRates};
use super::report::name;

/// The plot as SVG.
pub(super) fn roofline(measured: &Measured, peaks: PeakRates) -> partwise::Result<String> {
    let points: Vec<Point> = measured.kernels.iter().map(point).collect();
    drawn(&measured.engine, peaks.roof(), &points)
}

fn point(time: &KernelTime) -> Point {
    let share = time.share_of_roofline.unwrap_or_default();
    let (name, shape) = (name(time), time.shape.joined("x"));
    Point {
        label: format!("{name} {shape}: {:.0} GFLOP/s, {:.0} %", time.gflops, 100.0 * share),
        series: time.kernel.into(),
        intensity: time.flop_per_byte,
        flops: time.gflops * 1e9,
    }
}
