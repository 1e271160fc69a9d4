// What the gains weigh in the sums of a joint update: H̃ ∘ (H / H̃)^e, 0 where either is.
//
// before: H̃ (K, N), after: H (K, N), weights: (K, N), of which the window is written. An invocation owns four columns of a
// row.

@group(0) @binding(1) var<storage, read> before: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> after: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> weights: array<vec4<f32>>;

// The powers of two that a weight may be above or below the gain that was: products with it stay in the range of f32.
const REACH = 80.0;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = 64u * workgroup_index(group, groups) + lane;
    if (index < params.components * params.window_quads) {
        let quad = params.first_quad + index % params.window_quads;
        let cell = panel_cell(params.components, index / params.window_quads, quad);
        let old = before[cell];
        let now = after[cell];
        let zero = (old == vec4<f32>(0.0)) | (now == vec4<f32>(0.0));
        let ratio = select(now / old, vec4<f32>(1.0), zero);
        let growth = exp2(clamp(params.exponent * log2(ratio), vec4<f32>(-REACH), vec4<f32>(REACH)));
        weights[cell] = select(old * growth, vec4<f32>(0.0), zero);
    }
}
