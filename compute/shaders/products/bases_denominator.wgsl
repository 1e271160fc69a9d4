// Forms D of an update of the bases where Q is 1, by split of the columns: D = Σ_n H.
//
// gains: H (K, N), or its weights. column_sums: (splits, K), with K in rows of 4 bases_pitch numbers.
// The columns of a split are added in fours, and these sums in order. A split that began in an earlier window
// continues. An invocation owns a component of a split.

@group(0) @binding(1) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> column_sums: array<f32>;

fn cells() -> u32 {
    return params.components * (params.end_split - params.first_split);
}

fn work(cell: u32) {
    let component = cell % params.components;
    let split = params.first_split + cell / params.components;
    let at = 4u * split * params.bases_pitch + component;
    let split_quads = params.split_tiles * STRIP_QUADS;
    let begin = split * split_quads;
    // The window, counted from the start of the sum.
    let before = params.first_tile * STRIP_QUADS;
    let end = min(begin + split_quads - before, params.window_quads);
    var sum = 0.0;
    if (begin < before) {
        sum = column_sums[at];
    }
    for (var quad = max(begin, before) - before; quad < end; quad++) {
        // Padding columns have no gains.
        let h = gains[panel_cell(params.components, component, params.first_quad + quad)];
        sum += (h.x + h.y) + (h.z + h.w);
    }
    column_sums[at] = sum;
}
