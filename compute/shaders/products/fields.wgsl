// Forms and stores the fields of a window, for back-projections that would otherwise form them repeatedly.
//
// data: V (F, N), bases: W (F, K), gains: H (K, N). stored: P, Q and, if the constant COSTS is 1, the cells' costs (F,
// the window), one after another, for the rows first_row..first_row + pass_rows. Q is not written if it is 1
// everywhere.
// A workgroup owns a tile.

@group(0) @binding(2) var<storage, read> bases: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> stored: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> places: array<vec2<u32>>;

fn keep_row(at: u32, row: u32, quad: u32, costs: vec4<f32>) {
    if (row < params.rows && in_window(quad)) {
        let cell = panel_cell(params.rows, row, quad - params.first_quad);
        let cells = params.rows * params.window_quads;
        stored[cell] = sh_left[at];
        if (!UNIT_DENOMINATOR) {
            stored[cells + cell] = sh_right[at];
        }
        if (COSTS == 1u) {
            stored[2u * cells + cell] = costs;
        }
    }
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = workgroup_index(group, groups);
    let tiles = (params.window_quads + QUADS - 1u) / QUADS;
    if (index / tiles * TILE >= params.pass_rows) {
        return;
    }
    let first_row = params.first_row + index / tiles * TILE;
    let first_quad = params.first_quad + index % tiles * QUADS;
    find_segment(first_quad);
    let costs = take_fields(first_row, first_quad, lane);
    let quad = first_quad + lane_x(lane);
    let row = first_row + lane_y(lane);
    let at = lane_y(lane) * PITCH + lane_x(lane);
    keep_row(at, row, quad, costs[0]);
    if (HEIGHT > 1u) {
        keep_row(at + LANES * PITCH, row + LANES, quad, costs[1]);
    }
    if (HEIGHT > 2u) {
        keep_row(at + 2u * LANES * PITCH, row + 2u * LANES, quad, costs[2]);
        keep_row(at + 3u * LANES * PITCH, row + 3u * LANES, quad, costs[3]);
    }
}
