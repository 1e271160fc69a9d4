// The Itakura-Saito divergence: d(v|λ) = v/λ - log(v/λ) - 1, P = v/λ², Q = 1/λ. v is floored at MODEL_FLOOR.

// Whether Q is 1 everywhere.
const UNIT_DENOMINATOR = false;

// (v r) r, never v (r r): r² leaves the range of f32 long before the product does.
fn numerator(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    let r = 1.0 / lambda;
    return (max(v, vec4<f32>(MODEL_FLOOR)) * r) * r;
}

fn denominator(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    return 1.0 / lambda;
}

// The cost from values that P and Q already computed, accurate up to rounding of terms near 1. For accepting or
// refusing a trial, not for reporting.
fn rough_cost(v: vec4<f32>, lambda: vec4<f32>, p: vec4<f32>, q: vec4<f32>) -> vec4<f32> {
    let ratio = max(v, vec4<f32>(MODEL_FLOOR)) * q;
    return ratio - 1.0 - log(ratio);
}

fn cost(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    let floored = max(v, vec4<f32>(MODEL_FLOOR));
    let x = (floored - lambda) / lambda;
    return select(x - log(floored / lambda), near_cost(x, 0.0), is_near(x));
}
