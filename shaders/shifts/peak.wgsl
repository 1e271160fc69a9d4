// Floors the model of one source, and finds the largest of the models so far: Λ_j = max(Λ_j, floor), peak = max(peak, Λ_j).
//
// model: Λ_j (F, N), peak: (F, N), whose content is not read where this source is FIRST.

@group(0) @binding(1) var<storage, read_write> model: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> peak: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = 64u * workgroup_index(group, groups) + lane;
    if (cell >= params.rows * params.panel_pitch) {
        return;
    }
    let lambda = max(model[cell], vec4<f32>(params.floor));
    model[cell] = lambda;
    if (FIRST == 1u) {
        peak[cell] = lambda;
    } else {
        peak[cell] = max(peak[cell], lambda);
    }
}
