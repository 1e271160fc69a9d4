// Powers that are defined at zero.

// x^e for x ≥ 0 and e > 0. pow alone may take the logarithm of 0.
fn power(x: vec4<f32>, e: f32) -> vec4<f32> {
    return select(pow(max(x, vec4<f32>(1.2e-38)), vec4<f32>(e)), vec4<f32>(0.0), x == vec4<f32>(0.0));
}
