// The cost near a perfect fit, where the closed forms subtract nearly equal numbers.
//
// With x = (v - λ) / λ: d(v|λ) / λ^β = Σ_{m ≥ 2} C(β, m) x^m / (β (β - 1)). β = 1 (KL) and β = 0 (IS) are limits of
// this.

// Where the series is used. At |x| = 3/8 the closed forms still have an error of about 1e-5, and the omitted terms of
// the series are below 1e-7 of it.
fn is_near(x: vec4<f32>) -> vec4<bool> {
    return abs(x) < vec4<f32>(0.375);
}

// The sum over m in 2..=17, by Horner's scheme.
fn near_cost(x: vec4<f32>, beta: f32) -> vec4<f32> {
    var series = vec4<f32>(1.0);
    for (var m = 16.0; m >= 2.0; m -= 1.0) {
        series = fma((beta - m) / (m + 1.0) * x, series, vec4<f32>(1.0));
    }
    return 0.5 * x * x * series;
}
