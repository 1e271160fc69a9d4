// The multiplicative rule: X ← max(X, floor) ∘ (N / max(D + λ, DENOMINATOR_FLOOR))^γ.

fn updated(x: vec4<f32>, numerator: vec4<f32>, denominator: vec4<f32>) -> vec4<f32> {
    return grown(max(x, vec4<f32>(params.floor)), numerator / divisor(denominator + params.sparsity));
}

fn divisor(denominator: vec4<f32>) -> vec4<f32> {
    return max(denominator, vec4<f32>(DENOMINATOR_FLOOR));
}

fn grown(x: vec4<f32>, ratio: vec4<f32>) -> vec4<f32> {
    if (params.exponent == 1.0) {
        return x * ratio;
    }
    if (params.exponent == 0.5) {
        return x * sqrt(ratio);
    }
    return x * power(ratio, params.exponent);
}
