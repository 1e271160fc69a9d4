// Λ of shifted factors, four columns of a row: Σ_{τ,φ,d} W^τ[f − φ, d] H^φ[d, n − τ], where shifts bring in zeros.
//
// bases: W^τ (F, D), one after another; gains: H (ΦD, N) of one segment; d is in first_component..end_component.

@group(0) @binding(1) var<storage, read> bases: array<f32>;
@group(0) @binding(2) var<storage, read> gains: array<f32>;

fn shifted_model(row: u32, quad: u32) -> vec4<f32> {
    var sum = vec4<f32>();
    for (var time = 0u; time < params.time_lags; time++) {
        for (var pitch = 0u; pitch < min(params.pitch_lags, row + 1u); pitch++) {
            let basis = 4u * (time * params.bases_stride + (row - pitch) * params.bases_pitch);
            for (var component = params.first_component; component < params.end_component; component++) {
                let h = shifted_gains(pitch * params.components + component, quad, time);
                sum = fma(vec4<f32>(bases[basis + component]), h, sum);
            }
        }
    }
    return sum;
}

fn shifted_gains(row: u32, quad: u32, lag: u32) -> vec4<f32> {
    let column = entries(quad) - lag;
    // Below 0 a column wraps around to a large number.
    let inside = column < vec4<u32>(params.columns);
    let at = 4u * row * params.segment_pitch + select(vec4<u32>(0u), column, inside);
    return select(vec4<f32>(0.0), vec4<f32>(gains[at.x], gains[at.y], gains[at.z], gains[at.w]), inside);
}
