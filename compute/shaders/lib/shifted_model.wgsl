// A tile of Λ of shifted factors, unfloored: Λ[f, n] = Σ_{τ,φ,d} W^τ[f − φ, d] H^φ[d, n − τ]. Shifts bring in zeros.
//
// bases: W^τ (F, D), one after another. gains: H (ΦD, N) of one segment. d is in first_component..end_component.
// Eight lags of time, eight of pitch and four components are staged at a time. A strip of W has the tile's rows and the
// PITCHES − 1 rows before them, with four lags of time per vec4. A strip of H has the tile's columns and the two quads
// before them.

const PITCHES = 8u;
const LAG_QUADS = 2u;
const BASES_STRIP = TILE + PITCHES - 1u;
const GAINS_STRIP = TILE_QUADS + LAG_QUADS;

var<workgroup> sh_bases: array<vec4<f32>, LAG_QUADS * 4u * BASES_STRIP>;
var<workgroup> sh_gains: array<vec4<f32>, 4u * PITCHES * GAINS_STRIP>;

@group(0) @binding(1) var<storage, read> bases: array<vec4<f32>>;

// Four components of a row of W^τ. A row above the first wraps to a large number.
fn shifted_bases(time: u32, row: u32, component_quad: u32) -> vec4<f32> {
    if (time >= params.time_lags || row >= params.rows) {
        return vec4<f32>(0.0);
    }
    return bases[time * params.bases_stride + row * params.bases_pitch + component_quad];
}

fn stage(first_row: u32, first_quad: u32, first_pitch: u32, lag_quad: u32, component_quad: u32, lane: u32) {
    workgroupBarrier();
    for (var cell = lane; cell < LAG_QUADS * BASES_STRIP; cell += INVOCATIONS) {
        let lag = cell / BASES_STRIP;
        let time = 4u * (lag_quad + lag);
        let row = first_row + cell % BASES_STRIP - (PITCHES - 1u) - first_pitch;
        let of_components = transpose(mat4x4<f32>(
            shifted_bases(time, row, component_quad),
            shifted_bases(time + 1u, row, component_quad),
            shifted_bases(time + 2u, row, component_quad),
            shifted_bases(time + 3u, row, component_quad),
        ));
        let at = 4u * lag * BASES_STRIP + cell % BASES_STRIP;
        sh_bases[at] = of_components[0];
        sh_bases[at + BASES_STRIP] = of_components[1];
        sh_bases[at + 2u * BASES_STRIP] = of_components[2];
        sh_bases[at + 3u * BASES_STRIP] = of_components[3];
    }
    let pitches = min(PITCHES, params.pitch_lags - first_pitch);
    for (var cell = lane; cell < 4u * pitches * GAINS_STRIP; cell += INVOCATIONS) {
        let component = 4u * component_quad + cell / GAINS_STRIP % 4u;
        let pitch = cell / GAINS_STRIP / 4u;
        let quad = first_quad + cell % GAINS_STRIP - LAG_QUADS - lag_quad;
        if (component < params.components) {
            sh_gains[cell] = shifted_gains((first_pitch + pitch) * params.components + component, quad);
        }
    }
    workgroupBarrier();
}

// The rows y, y + 8, y + 16, y + 24 of the tile, in its quad x.
fn model_tile(first_row: u32, first_quad: u32, x: u32, y: u32) -> mat4x4<f32> {
    var lambda = mat4x4<f32>();
    for (var component_quad = params.first_component / 4u; 4u * component_quad < params.end_component; component_quad++) {
        let begin = max(params.first_component, 4u * component_quad) - 4u * component_quad;
        let end = min(params.end_component - 4u * component_quad, 4u);
        for (var first_pitch = 0u; first_pitch < params.pitch_lags; first_pitch += PITCHES) {
            let pitches = min(PITCHES, params.pitch_lags - first_pitch);
            for (var lag_quad = 0u; 4u * lag_quad < params.time_lags; lag_quad += LAG_QUADS) {
                stage(first_row, first_quad, first_pitch, lag_quad, component_quad, y * LANES + x);
                for (var component = begin; component < end; component++) {
                    for (var pitch = 0u; pitch < pitches; pitch++) {
                        let right = (4u * pitch + component) * GAINS_STRIP + LAG_QUADS + x;
                        var here = sh_gains[right];
                        for (var lag = 0u; lag < LAG_QUADS; lag++) {
                            let before = sh_gains[right - lag - 1u];
                            let h = shifted_right(before, here);
                            let left = (4u * lag + component) * BASES_STRIP + PITCHES - 1u - pitch + y;
                            lambda[0] = add_row(lambda[0], sh_bases[left], h);
                            lambda[1] = add_row(lambda[1], sh_bases[left + LANES], h);
                            lambda[2] = add_row(lambda[2], sh_bases[left + 2u * LANES], h);
                            lambda[3] = add_row(lambda[3], sh_bases[left + 3u * LANES], h);
                            here = before;
                        }
                    }
                }
            }
        }
    }
    return lambda;
}
