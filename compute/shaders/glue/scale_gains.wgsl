// Multiplies every row of the gains by the previous norm of its basis: H[k, :] ← s_k H[k, :], where k is the row number
// modulo K.
//
// sizes: s (K), gains: H (a multiple of K, N), of which the window is scaled. An invocation owns four columns of a row.

@group(0) @binding(1) var<storage, read> sizes: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> gains: array<vec4<f32>>;

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
        gains[panel_cell(params.rows, row, quad)] *= sizes[component / 4u][component % 4u];
    }
}
