// What arithmetic costs by itself: x ← x a + b, over and over, in registers.
//
// counts: (invocations), the x of every invocation once 32 steps have been taken `rounds` times; with a = b = 1 each has
// counted them. No compiler can know that a and b are 1, and no two x of an invocation or workgroup begin alike.

struct Rounds {
    rounds: u32,
    a: f32,
    b: f32,
}

@group(0) @binding(0) var<uniform> params: Rounds;
@group(0) @binding(1) var<storage, read_write> counts: array<vec4<f32>>;

// Twelve chains that do not wait for each other: more than any device needs, with the other invocations it holds, and few
// enough for the registers of a processor that plays one. Written out, since an array in a loop might not be in registers.
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
        // So many that the loop itself costs next to nothing.
        eight_steps();
        eight_steps();
        eight_steps();
        eight_steps();
    }
    counts[64u * workgroup_index(group, groups) + lane] = x0 + x1 + x2;
}
