// Adds the sums of one segment's splits in order, and updates the bases at the LAST segment that contributes to them:
// W^τ ← rule(W^τ, Σ N, Σ D).
//
// sums: from bases.wgsl. The first slot holds the sums of the segments before, and is not read at the FIRST segment.
// bases: W^τ (F, D), one after another. gains: Σ_{φ,n} H^φ (D), if a penalty affects the bases. An invocation owns four
// lags of a row and a component.

@group(0) @binding(1) var<storage, read_write> sums: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> bases: array<f32>;
@group(0) @binding(3) var<storage, read> gains: array<f32>;

fn cells() -> u32 {
    return params.components * ((params.time_lags + 3u) / 4u) * params.rows;
}

fn work(cell: u32) {
    var n = vec4<f32>();
    var d = vec4<f32>();
    for (var slot = FIRST; slot <= params.end_split; slot++) {
        n += sums[2u * slot * cells() + cell];
        d += sums[(2u * slot + 1u) * cells() + cell];
    }
    if (LAST == 0u) {
        sums[cell] = n;
        sums[cells() + cell] = d;
        return;
    }
    let pair = cell / params.rows;
    let times = entries(pair / params.components);
    let inside = times < vec4<u32>(params.time_lags);
    // Lags past the last read the last one again. It belongs to this invocation, and no other writes it meanwhile.
    let lags = min(times, vec4<u32>(params.time_lags - 1u));
    let row = lags * params.bases_stride + cell % params.rows * params.bases_pitch;
    let component = pair % params.components;
    var of_gains = 0.0;
    if (NORM > 0u) {
        of_gains = gains[component];
    }
    let at = 4u * row + component;
    let before = vec4<f32>(bases[at.x], bases[at.y], bases[at.z], bases[at.w]);
    let factor = updated_bases(before, n, d, vec4<f32>(of_gains));
    for (var lag = 0u; lag < 4u; lag++) {
        if (inside[lag]) {
            bases[at[lag]] = factor[lag];
        }
    }
}
