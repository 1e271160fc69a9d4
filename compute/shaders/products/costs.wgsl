// Computes the cost of every column: Σ_f d(v[f, n] | λ[f, n]).
//
// data: V (F, N), bases: W (F, K), gains: H (K, N), costs: (1, N).
// A workgroup of 64 owns 32 columns of the window and walks down the rows in tiles.

@group(0) @binding(1) var<storage, read> data: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bases: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> costs: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> places: array<vec2<u32>>;

fn row_cost(row: u32, quad: u32, product: vec4<f32>) -> vec4<f32> {
    if (row >= params.rows) {
        return vec4<f32>(0.0);
    }
    return cost(data[panel_cell(params.rows, row, quad)], max(product, vec4<f32>(MODEL_FLOOR)));
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first_quad = params.first_quad + workgroup_index(group, groups) * QUADS;
    if (!in_window(first_quad)) {
        return;
    }
    find_segment(first_quad);
    let quad = first_quad + lane_x(lane);
    var sums = mat4x4<f32>();
    for (var first_row = 0u; first_row < params.rows; first_row += TILE) {
        let product = model_tile(first_row, first_quad, lane);
        let row = first_row + lane_y(lane);
        sums += mat4x4<f32>(
            row_cost(row, quad, product[0]),
            row_cost(row + LANES, quad, product[1]),
            row_cost(row + 2u * LANES, quad, product[2]),
            row_cost(row + 3u * LANES, quad, product[3]),
        );
    }
    let total = column_sums(sums, lane);
    if (lane_y(lane) == 0u) {
        costs[quad] = total;
    }
}
