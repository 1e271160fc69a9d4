// The entry point of kernels in which each invocation owns one cell and shares nothing.
//
// A kernel defines cells(), the number of cells, and work(cell).

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = 64u * workgroup_index(group, groups) + lane;
    if (cell < cells()) {
        work(cell);
    }
}
