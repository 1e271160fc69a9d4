// Index arithmetic: a workgroup's index in the grid, the entries of a vec4, and the memory layout of panels.

// vec4s per row of a strip. A panel stores its columns in strips of 32.
const STRIP_QUADS = 8u;

// Grids use x and y, because a dimension has at most 65,535 workgroups. The last row may overshoot.
fn workgroup_index(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.y * groups.x + group.x;
}

// The indices of the four entries of a vec4.
fn entries(quad: u32) -> vec4<u32> {
    return 4u * quad + vec4<u32>(0u, 1u, 2u, 3u);
}

// The position of four columns of a row in a panel of `rows` rows. Panels store strip after strip, and the rows in
// order within each. So a tile is contiguous, and no stride depends on the panel's width.
fn panel_cell(rows: u32, row: u32, quad: u32) -> u32 {
    return (quad / STRIP_QUADS * rows + row) * STRIP_QUADS + quad % STRIP_QUADS;
}

// The column quad of a cell in a panel of `rows` rows.
fn quad_of_cell(rows: u32, cell: u32) -> u32 {
    return cell / (rows * STRIP_QUADS) * STRIP_QUADS + cell % STRIP_QUADS;
}
