// The β-divergence: d(v|λ) = (v^β + (β-1) λ^β - β v λ^(β-1)) / (β (β-1)), P = v λ^(β-2), Q = λ^(β-1),
// with v floored at MODEL_FLOOR where β ≤ 0. The uniform says β, which is none of 0, 1 and 2.

fn numerator(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    return seen(v) * (denominator(v, lambda) / lambda);
}

fn denominator(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    return pow(lambda, vec4<f32>(params.beta - 1.0));
}

fn cost(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    let beta = params.beta;
    let datum = seen(v);
    let x = (datum - lambda) / lambda;
    let q = denominator(v, lambda);
    let data_power = select(pow(max(datum, vec4<f32>(1.2e-38)), vec4<f32>(beta)), vec4<f32>(0.0), datum == vec4<f32>(0.0));
    let far = (data_power + ((beta - 1.0) * lambda - beta * datum) * q) / (beta * (beta - 1.0));
    return select(far, lambda * q * near_cost(x, beta), is_near(x));
}

fn seen(v: vec4<f32>) -> vec4<f32> {
    return select(v, max(v, vec4<f32>(MODEL_FLOOR)), params.beta <= 0.0);
}
