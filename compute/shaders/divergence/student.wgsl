// Student's t: d(v|λ) = (ν+2)/2 log((ν + 2r)/(ν+2)) - log r with r = v/λ, P = ζ v/λ², ζ = (ν+2)/(ν + 2r), Q = 1/λ.
// ν comes from the uniform, as β. r is floored at MODEL_FLOOR, and v in a term -log v.

// Whether Q is 1 everywhere.
const UNIT_DENOMINATOR = false;

// The floor of r is too small to change ζ.
fn numerator(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    let q = 1.0 / lambda;
    let r = v * q;
    return ((params.beta + 2.0) / (params.beta + 2.0 * r)) * r * q;
}

fn denominator(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    return 1.0 / lambda;
}

// With x = r - 1 and h = (ν+2)/2: h log(1 + x/h) - log(1 + x). Near a perfect fit, the terms x of both logarithms cancel.
fn cost(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    let floor = vec4<f32>(MODEL_FLOOR);
    let exact = (v - lambda) / lambda;
    let x = max(exact, floor - 1.0);
    let h = 0.5 * params.beta + 1.0;
    let y = x / h;
    let rest = near_cost(y, 0.0);
    let far = select(h * log(1.0 + y), x - h * rest, is_near(y)) - log(max(v, floor) / lambda);
    return select(far, near_cost(x, 0.0) - h * rest, is_near(exact) & (v >= floor));
}

fn rough_cost(v: vec4<f32>, lambda: vec4<f32>, p: vec4<f32>, q: vec4<f32>) -> vec4<f32> {
    return cost(v, lambda);
}
