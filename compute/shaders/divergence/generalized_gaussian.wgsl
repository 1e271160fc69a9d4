// The generalized Gaussian: d(v|λ) = 2/β (r^(β/2) - 1) - log r with r = v/λ, P = ζ v/λ², ζ = r^((β-2)/2), Q = 1/λ.
// β comes from the uniform. r is floored at MODEL_FLOOR, and v in a term -log v.

// Whether Q is 1 everywhere.
const UNIT_DENOMINATOR = false;

fn numerator(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    let q = 1.0 / lambda;
    let r = v * q;
    return pow(max(r, vec4<f32>(MODEL_FLOOR)), vec4<f32>(0.5 * params.beta - 1.0)) * r * q;
}

fn denominator(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    return 1.0 / lambda;
}

// With u = β/2 log r: 2/β (e^u - 1 - u). Near a perfect fit, log r = x - (x - log(1 + x)) for x = r - 1.
fn cost(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    let floor = vec4<f32>(MODEL_FLOOR);
    let x = (v - lambda) / lambda;
    let r = max(v / lambda, floor);
    let log_r = select(log(r), x - near_cost(x, 0.0), is_near(x));
    // What the floors of r and v add.
    let known = (v >= floor) & (v >= floor * lambda);
    let missing = select(log(r * lambda / max(v, floor)), vec4<f32>(0.0), known);
    return 2.0 / params.beta * excess(0.5 * params.beta * log_r) + missing;
}

// e^u - 1 - u
fn excess(u: vec4<f32>) -> vec4<f32> {
    var series = vec4<f32>(1.0);
    for (var m = 10.0; m >= 3.0; m -= 1.0) {
        series = fma(u / m, series, vec4<f32>(1.0));
    }
    return select(exp(u) - 1.0 - u, 0.5 * u * u * series, abs(u) < vec4<f32>(0.75));
}

fn rough_cost(v: vec4<f32>, lambda: vec4<f32>, p: vec4<f32>, q: vec4<f32>) -> vec4<f32> {
    return cost(v, lambda);
}
