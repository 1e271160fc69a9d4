// The rule for bases: N / D, or under the penalty λ Σ_k ‖w_k‖ Σ_n h_kn, with w_k of norm 1, the rule of
// src/kernels/products/rule.rs.
//
// NORM: 0 if no penalty affects the bases, otherwise their norm, 1 or 2.

fn updated_bases(x: vec4<f32>, numerator: vec4<f32>, denominator: vec4<f32>, gains: vec4<f32>) -> vec4<f32> {
    let floored = max(x, vec4<f32>(params.floor));
    if (NORM == 0u) {
        return grown(floored, numerator / divisor(denominator));
    }
    let pull = params.sparsity * gains;
    if (NORM == 1u) {
        return grown(floored, numerator / divisor(denominator + pull));
    }
    let curvature = pull * floored;
    let linear = divisor(denominator + 0.5 * curvature);
    let ratio = numerator / linear;
    return grown(floored, 2.0 * ratio / (1.0 + sqrt(1.0 + 2.0 * (curvature / linear) * ratio)));
}
