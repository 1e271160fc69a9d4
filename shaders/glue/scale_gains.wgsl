// Multiplies every row of the gains by the size its basis had: H[k, :] ← s_k H[k, :].
//
// sizes: s (K), gains: H (K, N). An invocation owns four columns of a row.

@group(0) @binding(1) var<storage, read> sizes: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> gains: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = 64u * workgroup_index(group, groups) + lane;
    if (cell < params.components * params.panel_pitch) {
        let component = cell / params.panel_pitch;
        gains[cell] *= sizes[component / 4u][component % 4u];
    }
}
