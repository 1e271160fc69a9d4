// Forms D of an update of the bases where Q is 1, by split of the columns: D = Σ_n H.
//
// gains: H (K, N), or its weights. column_sums: (splits, K), with K in rows of 4 bases_pitch numbers. If the constant
// SEGMENTS is 1, splits: as in bases.wgsl.
// The columns of a split are added in fours, and these sums in order. A split that began in an earlier window
// continues. An invocation owns a component of a split.

@group(0) @binding(1) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> column_sums: array<f32>;
@group(0) @binding(3) var<storage, read> splits: array<vec2<u32>>;

fn cells() -> u32 {
    return params.components * (params.end_split - params.first_split);
}

fn work(cell: u32) {
    let component = cell % params.components;
    let split = params.first_split + cell / params.components;
    let at = 4u * split * params.bases_pitch + component;
    let begin = split * params.split_tiles;
    var first_tile = max(begin, params.first_tile) - params.first_tile;
    var end_tile = min(begin + params.split_tiles - params.first_tile, params.window_quads / STRIP_QUADS);
    var sum = 0.0;
    if (SEGMENTS == 1u) {
        first_tile = splits[split].x;
        end_tile = splits[split].y;
    } else if (begin < params.first_tile) {
        sum = column_sums[at];
    }
    for (var quad = first_tile * STRIP_QUADS; quad < end_tile * STRIP_QUADS; quad++) {
        // Padding columns have no gains.
        let h = gains[panel_cell(params.components, component, params.first_quad + quad)];
        sum += (h.x + h.y) + (h.z + h.w);
    }
    column_sums[at] = sum;
}
