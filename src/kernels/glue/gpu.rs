//! Normalisation and masks in WGSL.
