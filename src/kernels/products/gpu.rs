//! The products in WGSL.
