// Computes the cost of every column of one segment: Σ_f d(v[f, n] | λ[f, n]).
//
// bases: W^τ (F, D), gains: H (ΦD, N), data: V (F, N), costs: (1, N).
// A workgroup owns 32 columns and walks down the rows in tiles. An invocation adds its rows as they come; then the sums
// of a column's 8 invocations are added in order.

@group(0) @binding(3) var<storage, read> data: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> costs: array<vec4<f32>>;

var<workgroup> sh_costs: array<vec4<f32>, INVOCATIONS>;

fn row_cost(row: u32, quad: u32, product: vec4<f32>) -> vec4<f32> {
    if (row >= params.rows) {
        return vec4<f32>(0.0);
    }
    let v = data[panel_cell(params.rows, row, params.first_quad + quad)];
    return cost(v, max(product, vec4<f32>(MODEL_FLOOR)));
}

fn workgroups() -> u32 {
    return params.window_quads / TILE_QUADS;
}

fn work(index: u32, x: u32, y: u32) {
    let first_quad = index * TILE_QUADS;
    var sums = mat4x4<f32>();
    for (var first_row = 0u; first_row < params.rows; first_row += TILE) {
        let product = model_tile(first_row, first_quad, x, y);
        let row = first_row + y;
        sums += mat4x4<f32>(
            row_cost(row, first_quad + x, product[0]),
            row_cost(row + LANES, first_quad + x, product[1]),
            row_cost(row + 2u * LANES, first_quad + x, product[2]),
            row_cost(row + 3u * LANES, first_quad + x, product[3]),
        );
    }
    sh_costs[y * LANES + x] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    workgroupBarrier();
    if (y == 0u) {
        var total = vec4<f32>();
        for (var lane = x; lane < INVOCATIONS; lane += LANES) {
            total += sh_costs[lane];
        }
        costs[params.first_quad + first_quad + x] = total;
    }
}
