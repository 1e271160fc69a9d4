// Index maths: where a workgroup stands in its grid, and which entries four neighbours are.

// Grids are laid over x and y, since a dimension holds at most 65,535 workgroups; the last row may overshoot.
fn workgroup_index(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.y * groups.x + group.x;
}

// The four entries that a vec4 holds.
fn entries(quad: u32) -> vec4<u32> {
    return 4u * quad + vec4<u32>(0u, 1u, 2u, 3u);
}
