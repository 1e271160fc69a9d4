// The cost of every column of one segment: Σ_f d(v[f, n] | λ[f, n]).
//
// bases: W^τ (F, D), gains: H (ΦD, N), data: V (F, N), costs: (1, N). A workgroup of 64 owns four columns; an invocation has
// every 64th row of them, and the 64 sums are added in order.

@group(0) @binding(3) var<storage, read> data: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> costs: array<vec4<f32>>;

var<workgroup> sh_costs: array<vec4<f32>, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quad = workgroup_index(group, groups);
    if (quad >= params.segment_pitch) {
        return;
    }
    var sum = vec4<f32>();
    for (var row = lane; row < params.rows; row += 64u) {
        let lambda = max(shifted_model(row, quad), vec4<f32>(MODEL_FLOOR));
        sum += cost(data[row * params.segment_pitch + quad], lambda);
    }
    sh_costs[lane] = sum;
    workgroupBarrier();
    if (lane == 0u) {
        var total = vec4<f32>();
        for (var other = 0u; other < 64u; other++) {
            total += sh_costs[other];
        }
        costs[quad] = total;
    }
}
