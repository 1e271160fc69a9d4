// Half the squared Euclidean distance: d(v|λ) = (v - λ)² / 2, P = v, Q = λ.

// Whether Q is 1 everywhere.
const UNIT_DENOMINATOR = false;

fn numerator(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    return v;
}

fn denominator(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    return lambda;
}

fn cost(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    return 0.5 * (v - lambda) * (v - lambda);
}

// A squared difference loses no digits.
fn rough_cost(v: vec4<f32>, lambda: vec4<f32>, p: vec4<f32>, q: vec4<f32>) -> vec4<f32> {
    return cost(v, lambda);
}
