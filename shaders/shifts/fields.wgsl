// The fields P and Q of one segment: P = numerator(V, Λ), Q = denominator(V, Λ), Λ = max(Λ, MODEL_FLOOR); 0 after the last column.
//
// bases: W^τ (F, D), gains: H (ΦD, N), data: V (F, N), numerators: P, denominators: Q (F, N). An invocation owns four columns of
// a row.

@group(0) @binding(3) var<storage, read> data: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> numerators: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> denominators: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = 64u * workgroup_index(group, groups) + lane;
    if (cell >= params.rows * params.segment_pitch) {
        return;
    }
    let quad = cell % params.segment_pitch;
    let lambda = max(shifted_model(cell / params.segment_pitch, quad), vec4<f32>(MODEL_FLOOR));
    let inside = entries(quad) < vec4<u32>(params.columns);
    numerators[cell] = select(vec4<f32>(0.0), numerator(data[cell], lambda), inside);
    denominators[cell] = select(vec4<f32>(0.0), denominator(data[cell], lambda), inside);
}
