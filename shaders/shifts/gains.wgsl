// Updates the shifted gains of one segment: H^φ ← rule(H^φ, Σ_τ (↓φ W^τ)ᵀ (←τ P), Σ_τ (↓φ W^τ)ᵀ (←τ Q)).
//
// bases: W^τ (F, D), numerators: P, denominators: Q (F, N), gains: H (ΦD, N). What is outside the matrix is 0; in Q it is 1 where
// PRINTED. An invocation owns four columns of a row of H.

@group(0) @binding(1) var<storage, read> bases: array<f32>;
@group(0) @binding(2) var<storage, read> numerators: array<f32>;
@group(0) @binding(3) var<storage, read> denominators: array<f32>;
@group(0) @binding(4) var<storage, read_write> gains: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = 64u * workgroup_index(group, groups) + lane;
    if (cell >= params.pitch_lags * params.components * params.segment_pitch) {
        return;
    }
    let columns = entries(cell % params.segment_pitch);
    let pitch = cell / params.segment_pitch / params.components;
    let component = cell / params.segment_pitch % params.components;
    let outside = vec4<f32>(f32(PRINTED));
    var n = vec4<f32>();
    var d = vec4<f32>();
    for (var row = pitch; row < params.rows; row++) {
        // The lags of a row are summed by themselves.
        var row_n = vec4<f32>();
        var row_d = vec4<f32>();
        for (var time = 0u; time < params.time_lags; time++) {
            let basis = time * params.bases_stride + (row - pitch) * params.bases_pitch;
            let w = vec4<f32>(bases[4u * basis + component]);
            let inside = columns + time < vec4<u32>(params.columns);
            let at = 4u * row * params.segment_pitch + select(vec4<u32>(0u), columns + time, inside);
            let p = vec4<f32>(numerators[at.x], numerators[at.y], numerators[at.z], numerators[at.w]);
            let q = vec4<f32>(denominators[at.x], denominators[at.y], denominators[at.z], denominators[at.w]);
            row_n = fma(w, select(vec4<f32>(0.0), p, inside), row_n);
            row_d = fma(w, select(outside, q, inside), row_d);
        }
        n += row_n;
        d += row_d;
    }
    gains[cell] = select(vec4<f32>(0.0), updated(gains[cell], n, d), columns < vec4<u32>(params.columns));
}
