// The floors of src/divergence.rs. They suppose data near 1; they and their squares are ordinary numbers of f32.

// Least value of the model Λ, and of data where a divergence cannot take a zero.
const MODEL_FLOOR = 1e-12;
// Least denominator of a multiplicative ratio, so that 0/0 is 0.
const DENOMINATOR_FLOOR = 1e-30;
