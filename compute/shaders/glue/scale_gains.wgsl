// Multiplies every row of the gains by the previous norm of its basis: H[k, :] ← s_k H[k, :], where k is the row number
// modulo K.
//
// sizes: s of each stack of bases (K), with sums_stride vec4s for each. gains: H (a multiple of K, N), of which the window is scaled. If the
// constant SEGMENTS is 1, places: the stack of every tile of the window. An invocation owns four columns of a row.

@group(0) @binding(1) var<storage, read> sizes: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> gains: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> places: array<vec2<u32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = 64u * workgroup_index(group, groups) + lane;
    if (index < params.rows * params.window_quads) {
        let row = index / params.window_quads;
        let component = row % params.components;
        let quad = params.first_quad + index % params.window_quads;
        var stack = 0u;
        if (SEGMENTS == 1u) {
            stack = places[(quad - params.first_quad) / STRIP_QUADS].x;
        }
        gains[panel_cell(params.rows, row, quad)] *= sizes[stack * params.sums_stride + component / 4u][component % 4u];
    }
}
