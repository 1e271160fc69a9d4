// Makes gains of the sums that a prior was added to: H ← rule(H, N, D).
//
// gains: H, numerators: N, denominators: D, all (K', N). An invocation owns four columns of a row.

@group(0) @binding(1) var<storage, read_write> gains: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> numerators: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> denominators: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = 64u * workgroup_index(group, groups) + lane;
    if (cell < params.components * params.window_quads) {
        let quad = params.first_quad + cell % params.window_quads;
        let at = cell / params.window_quads * params.panel_pitch + quad;
        gains[at] = updated(gains[at], numerators[at], denominators[at]);
    }
}
