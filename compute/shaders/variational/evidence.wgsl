// Sums a part of the evidence for an order over every 32 rows: −log ω with ω = E_W E_H, or plus −P/C with C = I_W I_H if the
// constant QUOTIENT is 1.
//
// data: P (F, N), not read for −log ω. bases: E_W or I_W (F, K), gains: E_H or I_H (K, N), sums: (F/32, N), not read for −log ω.
// A workgroup of 64 owns a tile of 32 rows by 32 columns of the window.

@group(0) @binding(1) var<storage, read> data: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bases: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> sums: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> places: array<vec2<u32>>;

fn term(row: u32, quad: u32, product: vec4<f32>) -> vec4<f32> {
    if (row >= params.rows) {
        return vec4<f32>(0.0);
    }
    let variance = floored(product);
    if (QUOTIENT == 1u) {
        return -min(data[panel_cell(params.rows, row, quad)] / variance, vec4<f32>(QUOTIENT_CEILING));
    }
    return -log(variance);
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = workgroup_index(group, groups);
    let tiles = params.window_quads / QUADS;
    let row_tile = index / tiles;
    let first_row = row_tile * TILE;
    if (first_row >= params.rows) {
        return;
    }
    let first_quad = params.first_quad + index % tiles * QUADS;
    find_segment(first_quad);
    let product = model_tile(first_row, first_quad, lane);
    let row = first_row + lane_y(lane);
    let quad = first_quad + lane_x(lane);
    let total = column_sums(mat4x4<f32>(
        term(row, quad, product[0]),
        term(row + LANES, quad, product[1]),
        term(row + 2u * LANES, quad, product[2]),
        term(row + 3u * LANES, quad, product[3]),
    ), lane);
    if (lane_y(lane) == 0u) {
        let at = panel_cell((params.rows + TILE - 1u) / TILE, row_tile, quad);
        if (QUOTIENT == 1u) {
            sums[at] += total;
        } else {
            sums[at] = total;
        }
    }
}
