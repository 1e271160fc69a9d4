// Index maths: where a workgroup stands in its grid, which entries four neighbours are, and where a panel keeps them.

// vec4s of a row of a strip: a panel's columns stand in strips of 32.
const STRIP_QUADS = 8u;

// Grids are laid over x and y, since a dimension holds at most 65,535 workgroups; the last row may overshoot.
fn workgroup_index(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.y * groups.x + group.x;
}

// The four entries that a vec4 holds.
fn entries(quad: u32) -> vec4<u32> {
    return 4u * quad + vec4<u32>(0u, 1u, 2u, 3u);
}

// Where a panel of so many rows keeps four columns of a row: strip after strip, and row after row in each. A tile is one run of
// memory, and no distance depends on how wide the panel is.
fn panel_cell(rows: u32, row: u32, quad: u32) -> u32 {
    return (quad / STRIP_QUADS * rows + row) * STRIP_QUADS + quad % STRIP_QUADS;
}

// The four columns that a cell of a panel of so many rows holds.
fn quad_of_cell(rows: u32, cell: u32) -> u32 {
    return cell / (rows * STRIP_QUADS) * STRIP_QUADS + cell % STRIP_QUADS;
}
