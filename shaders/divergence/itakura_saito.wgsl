// The Itakura-Saito divergence: d(v|λ) = v/λ - log(v/λ) - 1, P = v/λ², Q = 1/λ, with v floored at MODEL_FLOOR.

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

fn cost(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    let floored = max(v, vec4<f32>(MODEL_FLOOR));
    let x = (floored - lambda) / lambda;
    return select(x - log(floored / lambda), near_cost(x, 0.0), is_near(x));
}
