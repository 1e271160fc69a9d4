// Λ of one segment, of the components first_component..end_component, before any floor.
//
// bases: W^τ (F, D), gains: H (ΦD, N), model: (F, N). An invocation owns four columns of a row.

@group(0) @binding(3) var<storage, read_write> model: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = 64u * workgroup_index(group, groups) + lane;
    if (cell < params.rows * params.segment_pitch) {
        model[cell] = shifted_model(cell / params.segment_pitch, cell % params.segment_pitch);
    }
}
