// The multiplicative rule: X ← max(X, floor) ∘ (N / max(D + λ, DENOMINATOR_FLOOR))^γ.

fn updated(x: vec4<f32>, numerator: vec4<f32>, denominator: vec4<f32>) -> vec4<f32> {
    let ratio = numerator / max(denominator + params.sparsity, vec4<f32>(DENOMINATOR_FLOOR));
    let floored = max(x, vec4<f32>(params.floor));
    if (params.exponent == 1.0) {
        return floored * ratio;
    }
    if (params.exponent == 0.5) {
        return floored * sqrt(ratio);
    }
    return floored * power(ratio, params.exponent);
}
