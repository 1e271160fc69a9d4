// Sums the gains of every component: Σ_n over the rows k, k + K, ... of H.
//
// gains: H (a multiple of K, N). partials: each invocation's sum for each component (4 bases_pitch, 64), not read at
// the FIRST window. totals: (4 bases_pitch), written at the LAST window.
// A workgroup owns a component. Its invocations take the vec4s of a segment in turn, counted from the segment's start,
// so the order of a sum does not depend on how windows cut the segment.

@group(0) @binding(1) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> partials: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> totals: array<f32>;

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
            let at = params.first_quad + quad;
            let inside = entries(at) < vec4<u32>(params.columns);
            for (var row = component; row < params.rows; row += params.components) {
                sum += select(vec4<f32>(), gains[panel_cell(params.rows, row, at)], inside);
            }
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
