// The generalized Kullback-Leibler divergence: d(v|λ) = v log(v/λ) - v + λ with 0 log 0 = 0, P = v/λ, Q = 1.

// Whether Q is 1 everywhere.
const UNIT_DENOMINATOR = true;

fn numerator(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    return v / lambda;
}

fn denominator(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(1.0);
}

// The cost from values that P and Q already computed, accurate up to rounding of terms near 1. For accepting or
// refusing a trial, not for reporting.
fn rough_cost(v: vec4<f32>, lambda: vec4<f32>, p: vec4<f32>, q: vec4<f32>) -> vec4<f32> {
    return v * log(max(p, vec4<f32>(1.2e-38))) - (v - lambda);
}

fn cost(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    let x = (v - lambda) / lambda;
    let far = v * log(max(v / lambda, vec4<f32>(1.2e-38))) - (v - lambda);
    return select(far, lambda * near_cost(x, 1.0), is_near(x));
}
