// Sums N and D of shifted bases over one segment, and updates the bases at the LAST that has a share in them:
// W^τ ← rule(W^τ, Σ_φ (↑φ P) (→τ H^φ)ᵀ, Σ_φ (↑φ Q) (→τ H^φ)ᵀ).
//
// gains: H (ΦD, N), numerators: P, denominators: Q (F, N), sums_n: N, sums_d: D, bases: W^τ (F, D), one after another. N and D
// begin anew at the FIRST segment. What is outside the matrix is 0; in Q it is 1 where PRINTED. An invocation owns four
// components of a row of one W^τ.

@group(0) @binding(1) var<storage, read> gains: array<f32>;
@group(0) @binding(2) var<storage, read> numerators: array<f32>;
@group(0) @binding(3) var<storage, read> denominators: array<f32>;
@group(0) @binding(4) var<storage, read_write> sums_n: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> sums_d: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> bases: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = 64u * workgroup_index(group, groups) + lane;
    if (cell >= params.time_lags * params.rows * params.bases_pitch) {
        return;
    }
    let quad = cell % params.bases_pitch;
    let row = cell / params.bases_pitch % params.rows;
    let time = cell / params.bases_pitch / params.rows;
    let components = entries(quad);
    let inside = components < vec4<u32>(params.components);
    let width = 4u * params.segment_pitch;
    let gains_rows = select(vec4<u32>(0u), components, inside) * width;
    var n = vec4<f32>();
    var d = vec4<f32>();
    for (var pitch = 0u; pitch < params.pitch_lags; pitch++) {
        let within = row + pitch < params.rows;
        let fields = select(0u, row + pitch, within) * width;
        let first = gains_rows + pitch * params.components * width;
        // The columns of a pitch are summed by themselves.
        var pitch_n = vec4<f32>();
        var pitch_d = vec4<f32>();
        for (var column = time; column < params.columns; column++) {
            let at = first + (column - time);
            let h = vec4<f32>(gains[at.x], gains[at.y], gains[at.z], gains[at.w]);
            let p = select(0.0, numerators[fields + column], within);
            let q = select(f32(PRINTED), denominators[fields + column], within);
            pitch_n = fma(vec4<f32>(p), h, pitch_n);
            pitch_d = fma(vec4<f32>(q), h, pitch_d);
        }
        n += pitch_n;
        d += pitch_d;
    }
    if (FIRST == 0u) {
        n += sums_n[cell];
        d += sums_d[cell];
    }
    if (LAST == 1u) {
        let at = time * params.bases_stride + row * params.bases_pitch + quad;
        bases[at] = select(vec4<f32>(0.0), updated(bases[at], n, d), inside);
    } else {
        sums_n[cell] = n;
        sums_d[cell] = d;
    }
}
