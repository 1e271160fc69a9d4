// Measures arithmetic throughput: repeats x ← x a + b in registers.
//
// counts: (invocations), the x of every invocation after `rounds` rounds of 32 steps. With a = b = 1, each x counts its
// steps. The compiler cannot know that a and b are 1, and all x of an invocation or workgroup start with different
// values.

struct Rounds {
    rounds: u32,
    a: f32,
    b: f32,
}

@group(0) @binding(0) var<uniform> params: Rounds;
@group(0) @binding(1) var<storage, read_write> counts: array<vec4<f32>>;

// Twelve independent chains. With the other resident invocations, they are more than any device needs, and they still
// fit the registers of a CPU that emulates a device. They are separate variables because an array in a loop might not
// be in registers.
var<private> x0: vec4<f32>;
var<private> x1: vec4<f32>;
var<private> x2: vec4<f32>;

fn step() {
    let a = vec4<f32>(params.a);
    let b = vec4<f32>(params.b);
    x0 = fma(x0, a, b);
    x1 = fma(x1, a, b);
    x2 = fma(x2, a, b);
}

fn eight_steps() {
    step();
    step();
    step();
    step();
    step();
    step();
    step();
    step();
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    x0 = f32(lane) + vec4<f32>(0.0, 1.0, 2.0, 3.0);
    x1 = x0 + 4.0;
    x2 = x0 + 8.0;
    for (var round = 0u; round < params.rounds; round++) {
        // Enough steps to make the cost of the loop itself negligible.
        eight_steps();
        eight_steps();
        eight_steps();
        eight_steps();
    }
    counts[64u * workgroup_index(group, groups) + lane] = x0 + x1 + x2;
}
