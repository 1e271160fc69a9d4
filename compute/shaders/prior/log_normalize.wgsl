// Log-normalizes the gains of one source: x = log(g'/n) with n = |max(g, GAIN_FLOOR)|, g' = max(g, GAIN_FLOOR, ρ n).
//
// gains: H (K', N), of which the rows first_row..first_row + rows are the source's. log_gains: x (K, N). norms: n (1,
// N).
// A workgroup owns 32 columns, see lib/lanes.wgsl; a lane takes every eighth row.

@group(0) @binding(1) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> log_gains: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> norms: array<vec4<f32>>;

fn work(quad: u32, place: u32, lane: u32) {
    var squares = vec4<f32>();
    for (var row = place; row < params.rows; row += ROW_LANES) {
        let gain = raised(gains[panel_cell(params.panel_rows, params.first_row + row, quad)], vec4<f32>());
        squares = fma(gain, gain, squares);
    }
    let norm = sqrt(lanes_sum(squares, lane));
    for (var row = place; row < params.rows; row += ROW_LANES) {
        let gain = raised(gains[panel_cell(params.panel_rows, params.first_row + row, quad)], norm);
        log_gains[panel_cell(params.rows, row, quad)] = log(gain / norm);
    }
    if (place == 0u) {
        norms[quad] = norm;
    }
}
