//! Pictures of recordings and of their factors, with axes, colour scales and notes: matrices in, SVG and PNG out.

mod curves;
mod factors;
mod image;
mod picture;
mod rows;
mod sound;

pub use curves::{Values, costs, objective};
pub use factors::{bases, by_centroid, gains, mean_frames, patterns};
pub use image::Matrix;
pub use picture::{Picture, sheet, sheet_as_png};
pub use rows::Rows;
pub use sound::{masks, shares, spectrograms};
