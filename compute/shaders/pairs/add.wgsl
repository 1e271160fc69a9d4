// Walks through the mixtures of a source. By the constant TERM it
//   0: adds the ratios of data and model to the sums: Σ S_ab / (Λ_a + Λ_b)
//   1: adds the costs: Σ d(S_ab | Λ_a + Λ_b)
//   2: stores the data of the mixtures, S_ab, and reads no models
//
// table: a row for each of window_quads tiles: its index in the chunk, its place in time, and the first row of its list
// and the row after it. A row of a list: the first frame and the frame after the last that an utterance has in the other
// chunk, and how many tiles further it lies there, and in the mixtures, than its place in time.
// own: Λ_a (F, T_a), other: Λ_b (F, T_b), sums: (F, T_a) or S_ab (F, the mixtures). A workgroup owns 8 rows of a tile, an
// invocation four columns of a row. lib/stored_mixture.wgsl or lib/formed_mixture.wgsl has mixture().

@group(0) @binding(1) var<storage, read> table: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> own: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> other: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> sums: array<vec4<f32>>;

const ROWS = 8u;

fn term_of(data: vec4<f32>, model: vec4<f32>) -> vec4<f32> {
    if (TERM == 1u) {
        return cost(data, model);
    }
    return data / model;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = workgroup_index(group, groups);
    let blocks = (params.rows + ROWS - 1u) / ROWS;
    let row = index % blocks * ROWS + lane / STRIP_QUADS;
    if (index / blocks >= params.window_quads || row >= params.rows) {
        return;
    }
    let tile = table[index / blocks];
    let quad = lane % STRIP_QUADS;
    let own_quad = STRIP_QUADS * u32(tile.x) + quad;
    let at = panel_cell(params.rows, row, own_quad);
    let frame = 4.0 * f32(STRIP_QUADS) * tile.y;
    let frames = frame + 4.0 * f32(quad) + vec4<f32>(0.0, 1.0, 2.0, 3.0);
    var lambda = vec4<f32>(0.0);
    var sum = vec4<f32>(0.0);
    if (TERM < 2u) {
        lambda = own[at];
        sum = sums[at];
    }
    for (var entry = u32(tile.z); entry < u32(tile.w); entry++) {
        let utterance = table[entry];
        if (frame >= utterance.x && frame < utterance.y) {
            let other_quad = STRIP_QUADS * u32(tile.y + utterance.z) + quad;
            let mixed_quad = STRIP_QUADS * u32(tile.y + utterance.w) + quad;
            let inside = frames < vec4<f32>(utterance.y);
            let data = mixture(row, own_quad, other_quad, mixed_quad);
            if (TERM == 2u) {
                sums[panel_cell(params.rows, row, mixed_quad)] = select(vec4<f32>(0.0), data, inside);
            } else {
                let model = max(lambda + other[panel_cell(params.rows, row, other_quad)], vec4<f32>(MODEL_FLOOR));
                sum += select(vec4<f32>(0.0), term_of(data, model), inside);
            }
        }
    }
    if (TERM < 2u) {
        sums[at] = sum;
    }
}
