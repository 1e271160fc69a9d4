// The floors of src/divergence.rs. They suppose data near 1. They and their squares are normal f32 numbers.

// Floor on the model Λ, and on the data of divergences that are infinite at zero.
const MODEL_FLOOR = 1e-12;
// Floor on the denominator of a multiplicative ratio. It makes 0/0 zero.
const DENOMINATOR_FLOOR = 1e-30;
// Floor on r = v/λ, the argument of a weight.
const RATIO_FLOOR = 1e-12;
