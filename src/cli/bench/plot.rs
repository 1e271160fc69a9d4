//! The kernels under the roofline.

use partwise::report::{Point, roofline as drawn};

use super::kernels::{KernelTime, Measured, PeakRates};
use super::text::name;

/// The picture, as SVG.
pub(super) fn roofline(measured: &Measured, peaks: PeakRates) -> partwise::Result<String> {
    let points: Vec<Point> = measured.kernels.iter().map(point).collect();
    drawn(&measured.engine, peaks.roof(), &points)
}

fn point(time: &KernelTime) -> Point {
    let (shape, share) = (time.shape, time.share_of_roofline.unwrap_or_default());
    Point {
        label: format!(
            "{} {}x{}x{}: {:.0} GFLOP/s, {:.0} %",
            name(time),
            shape.bins,
            shape.frames,
            shape.components,
            time.gflops,
            100.0 * share
        ),
        series: time.kernel.into(),
        intensity: time.flop_per_byte,
        flops: time.gflops * 1e9,
    }
}
