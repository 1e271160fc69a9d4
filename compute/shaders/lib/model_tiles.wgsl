// The entry point of kernels that form a model tile by tile: Λ = W H, unfloored.
//
// A kernel binds bases, gains and places, and defines store_row(row, quad, product), which keeps four columns of a row. The row
// may exceed F. A workgroup of 64 owns a tile of 32 rows by 32 columns of the window.

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = workgroup_index(group, groups);
    let tiles = params.window_quads / QUADS;
    let first_row = index / tiles * TILE;
    if (first_row >= params.rows) {
        return;
    }
    let first_quad = params.first_quad + index % tiles * QUADS;
    find_segment(first_quad);
    let product = model_tile(first_row, first_quad, lane);
    let row = first_row + lane_y(lane);
    let quad = first_quad + lane_x(lane);
    store_row(row, quad, product[0]);
    store_row(row + LANES, quad, product[1]);
    store_row(row + 2u * LANES, quad, product[2]);
    store_row(row + 3u * LANES, quad, product[3]);
}
