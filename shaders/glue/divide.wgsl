// The mask of one source from its weight: m_j = w_j / Σ_i w_i.
//
// total: Σ_i w_i (F, N), at least 1 up to rounding; mask: w_j before and m_j after (F, N).

@group(0) @binding(1) var<storage, read> total: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> mask: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = 64u * workgroup_index(group, groups) + lane;
    if (cell < params.rows * params.panel_pitch) {
        mask[cell] /= total[cell];
    }
}
