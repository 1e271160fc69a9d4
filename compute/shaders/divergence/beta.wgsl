// The β-divergence: d(v|λ) = (v^β + (β-1) λ^β - β v λ^(β-1)) / (β (β-1)), P = v λ^(β-2), Q = λ^(β-1).
// v is floored at MODEL_FLOOR if β ≤ 0. β comes from the uniform and is not 0, 1 or 2.

// Whether Q is 1 everywhere.
const UNIT_DENOMINATOR = false;

fn numerator(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    return seen(v) * (denominator(v, lambda) / lambda);
}

fn denominator(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    return pow(lambda, vec4<f32>(params.beta - 1.0));
}

// Far from a perfect fit, divide by the larger of v and λ: powers of numbers near 1 are accurate to the last digits.
fn cost(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    let beta = params.beta;
    let datum = seen(v);
    let x = (datum - lambda) / lambda;
    let unit = max(datum, lambda);
    let a = datum / unit;
    let b = lambda / unit;
    let a_power = select(pow(max(a, vec4<f32>(1.2e-38)), vec4<f32>(beta)), vec4<f32>(0.0), a == vec4<f32>(0.0));
    let b_power = pow(b, vec4<f32>(beta - 1.0));
    let far = pow(unit, vec4<f32>(beta)) * (a_power + ((beta - 1.0) * b - beta * a) * b_power) / (beta * (beta - 1.0));
    return select(far, pow(lambda, vec4<f32>(beta)) * near_cost(x, beta), is_near(x));
}

// The terms are large for large β, so even a rough cost needs the careful difference.
fn rough_cost(v: vec4<f32>, lambda: vec4<f32>, p: vec4<f32>, q: vec4<f32>) -> vec4<f32> {
    return cost(v, lambda);
}

fn seen(v: vec4<f32>) -> vec4<f32> {
    return select(v, max(v, vec4<f32>(MODEL_FLOOR)), params.beta <= 0.0);
}
