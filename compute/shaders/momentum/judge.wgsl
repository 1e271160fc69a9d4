// Compares the cost c of every column's trial with its last accepted cost c̄, and sets the share of the next step.
//
// costs: c (1, N). state: c̄ and the steps k since the start or the last refusal (2, N). shares: b of the next step (1,
// N), above 0 if the trial was accepted and at most 0 if it was refused. An invocation owns four columns.

@group(0) @binding(1) var<storage, read> costs: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> state: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> shares: array<vec4<f32>>;

// Constants of src/kernels/momentum.
const LONGEST = 0.9;
const DELAY = 3.0;
const SLACK = 1e-6;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quad = 64u * workgroup_index(group, groups) + lane;
    if (quad >= params.chunk_quads) {
        return;
    }
    let cost = costs[quad];
    let at_cost = panel_cell(2u, 0u, quad);
    let at_steps = panel_cell(2u, 1u, quad);
    let accepted_cost = state[at_cost];
    // A compiler may assume that no number is NaN, but not that its bits are not.
    let finite = (bitcast<vec4<u32>>(cost) & vec4<u32>(0x7f800000u)) != vec4<u32>(0x7f800000u);
    let bound = max(accepted_cost * (1.0 + SLACK), accepted_cost * (1.0 - SLACK));
    let accepted = finite & (cost <= bound);
    let steps = select(vec4<f32>(0.0), state[at_steps] + 1.0, accepted);
    state[at_cost] = select(accepted_cost, min(cost, accepted_cost), accepted);
    state[at_steps] = steps;
    // b(k) = k / (k + DELAY), or the step back for a refused trial.
    shares[quad] = select(vec4<f32>(params.exponent), min(steps / (steps + DELAY), vec4<f32>(LONGEST)), accepted);
}
