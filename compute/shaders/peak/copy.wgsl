// Measures memory bandwidth: a copy.
//
// source, copied: (quads) vec4s. An invocation copies four vec4s.

struct Copy {
    quads: u32,
}

@group(0) @binding(0) var<uniform> params: Copy;
@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> copied: array<vec4<f32>>;

fn copy(quad: u32) {
    if (quad < params.quads) {
        copied[quad] = source[quad];
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = 1024u * workgroup_index(group, groups) + lane;
    copy(first);
    copy(first + 256u);
    copy(first + 512u);
    copy(first + 768u);
}
