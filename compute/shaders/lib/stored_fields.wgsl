// Loads the fields P and Q of a tile into workgroup memory from where products/fields.wgsl stored them.
//
// stored: P, Q and the cells' costs (F, the window), each in strips, one after another. Replaces the file fields.wgsl,
// which documents what take_fields leaves and returns.

@group(0) @binding(1) var<storage, read> stored: array<vec4<f32>>;

fn take_fields(first_row: u32, first_quad: u32, lane: u32) -> mat4x4<f32> {
    let quad = window_quad(first_quad + lane_x(lane)) - params.first_quad;
    let row = first_row + lane_y(lane);
    let at = lane_y(lane) * PITCH + lane_x(lane);
    workgroupBarrier();
    var costs = mat4x4<f32>();
    costs[0] = bring_row(at, row, quad);
    if (HEIGHT > 1u) {
        costs[1] = bring_row(at + LANES * PITCH, row + LANES, quad);
    }
    if (HEIGHT > 2u) {
        costs[2] = bring_row(at + 2u * LANES * PITCH, row + 2u * LANES, quad);
        costs[3] = bring_row(at + 3u * LANES * PITCH, row + 3u * LANES, quad);
    }
    workgroupBarrier();
    return costs;
}

fn bring_row(at: u32, row: u32, quad: u32) -> vec4<f32> {
    let inside = vec4<bool>(row < params.rows);
    let cell = panel_cell(params.rows, min(row, params.rows - 1u), quad);
    let cells = params.rows * params.window_quads;
    sh_left[at] = select(vec4<f32>(0.0), stored[cell], inside);
    if (!UNIT_DENOMINATOR) {
        sh_right[at] = select(vec4<f32>(0.0), stored[cells + cell], inside);
    }
    if (COSTS == 1u) {
        return select(vec4<f32>(0.0), stored[2u * cells + cell], inside);
    }
    return vec4<f32>(0.0);
}
