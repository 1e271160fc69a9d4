// Log-normalises the gains of one source: x = log(g'/n) with n = |max(g, GAIN_FLOOR)|, g' = max(g, GAIN_FLOOR, ρ n).
//
// gains: H (K', N), of which the rows first_row..first_row + rows are the source's, log_gains: x (K, N), norms: n (1, N).
// A workgroup owns 32 columns; a lane takes every eighth row.

@group(0) @binding(1) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> log_gains: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> norms: array<vec4<f32>>;

// Of src/kernels/prior.
const GAIN_FLOOR = 1e-12;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = COLUMN_QUADS * workgroup_index(group, groups);
    if (first >= params.window_quads) {
        return;
    }
    let quad = params.first_quad + first + lane % COLUMN_QUADS;
    let place = lane / COLUMN_QUADS;
    var squares = vec4<f32>();
    for (var row = place; row < params.rows; row += ROW_LANES) {
        let gain = max(gains[(params.first_row + row) * params.panel_pitch + quad], vec4<f32>(GAIN_FLOOR));
        squares = fma(gain, gain, squares);
    }
    let norm = sqrt(lanes_sum(squares, lane));
    let least = max(vec4<f32>(GAIN_FLOOR), params.floor * norm);
    for (var row = place; row < params.rows; row += ROW_LANES) {
        let gain = max(gains[(params.first_row + row) * params.panel_pitch + quad], least);
        log_gains[row * params.panel_pitch + quad] = log(gain / norm);
    }
    if (place == 0u) {
        norms[quad] = norm;
    }
}
