// Forms all of Λ of shifted factors, one tile per workgroup.
//
// A kernel defines keep(row, quad, product), which handles four columns of a row.

fn workgroups() -> u32 {
    return (params.rows + TILE - 1u) / TILE * (params.window_quads / TILE_QUADS);
}

fn keep_inside(row: u32, quad: u32, product: vec4<f32>) {
    if (row < params.rows) {
        keep(row, quad, product);
    }
}

fn work(index: u32, x: u32, y: u32) {
    let tiles = params.window_quads / TILE_QUADS;
    let first_row = index / tiles * TILE;
    let first_quad = index % tiles * TILE_QUADS;
    let product = model_tile(first_row, first_quad, x, y);
    keep_inside(first_row + y, first_quad + x, product[0]);
    keep_inside(first_row + y + LANES, first_quad + x, product[1]);
    keep_inside(first_row + y + 2u * LANES, first_quad + x, product[2]);
    keep_inside(first_row + y + 3u * LANES, first_quad + x, product[3]);
}
