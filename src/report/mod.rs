//! Turns results into images and pages: data in, bytes and text out. Nothing here reads or writes a file.

mod axis;
mod comparison;
mod figure;
mod grid;
mod heatmap;
pub mod html;
mod lines;
pub mod pictures;
mod raster;
mod roofline;
mod shapes;
mod spectrogram;
mod svg;

pub use axis::{Axis, Tick};
pub use comparison::Comparison;
pub use figure::{Panel, figure};
pub use grid::{Drawing, Strip, Tile, grid};
pub use heatmap::heatmap;
pub use lines::{Curve, lines};
pub use roofline::{Point, Roof, roofline};
pub use spectrogram::{Spectrogram, fewer_rows, spectrogram};
