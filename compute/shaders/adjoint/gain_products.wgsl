// Sums the products of the gains and their adjoints for every component: Σ_n gH ∘ H.
//
// gains: H (K, N), adjoint: gH (K, N). partials: each invocation's sum for each component (4 bases_pitch, 64), not read at the
// FIRST window. totals: (4 bases_pitch), written at the LAST window.
// A workgroup owns a component. Its invocations take the vec4s of a problem in turn, counted from the problem's start, so the
// order of a sum does not depend on how windows cut it.

@group(0) @binding(1) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> adjoint: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> partials: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> totals: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let component = workgroup_index(group, groups);
    if (component >= 4u * params.bases_pitch) {
        return;
    }
    var sum = vec4<f32>();
    if (FIRST == 0u) {
        sum = partials[64u * component + lane];
    }
    if (component < params.components) {
        let turn = (lane + 64u - STRIP_QUADS * params.first_tile % 64u) % 64u;
        for (var quad = turn; quad < params.window_quads; quad += 64u) {
            let inside = entries(params.first_quad + quad) < vec4<u32>(params.columns);
            let at = panel_cell(params.components, component, params.first_quad + quad);
            sum = fma(select(vec4<f32>(), gains[at], inside), select(vec4<f32>(), adjoint[at], inside), sum);
        }
    }
    if (LAST == 0u) {
        partials[64u * component + lane] = sum;
        return;
    }
    sum = workgroup_sum(sum, lane);
    if (lane == 0u) {
        totals[component] = (sum.x + sum.y) + (sum.z + sum.w);
    }
}
