// Updates bases of norm 1: W ← W ∘ (N + (1 (D∘W)) ∘ W) / max(D + (1 (N∘W)) ∘ W, DENOMINATOR_FLOOR).
//
// numerators: N (F, K), denominators: D (F, K), bases: W (F, K).
// A workgroup owns four columns, because the two sums run along them.

@group(0) @binding(1) var<storage, read> numerators: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> denominators: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> bases: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quad = workgroup_index(group, groups);
    if (quad >= params.bases_pitch) {
        return;
    }
    var of_n = vec4<f32>();
    var of_d = vec4<f32>();
    for (var row = lane; row < params.rows; row += 64u) {
        let at = row * params.bases_pitch + quad;
        of_n = fma(numerators[at], bases[at], of_n);
        of_d = fma(denominators[at], bases[at], of_d);
    }
    of_n = workgroup_sum(of_n, lane);
    of_d = workgroup_sum(of_d, lane);
    for (var row = lane; row < params.rows; row += 64u) {
        let at = row * params.bases_pitch + quad;
        let w = bases[at];
        let down = fma(of_n, w, denominators[at]);
        bases[at] = w * (fma(of_d, w, numerators[at]) / max(down, vec4<f32>(DENOMINATOR_FLOOR)));
    }
}
