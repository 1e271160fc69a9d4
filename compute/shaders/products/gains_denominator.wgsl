// Forms D of an update of gains where Q is 1, by split of the rows: D = Σ_f W.
//
// bases: W (F, K) of every matrix of a stack. row_sums: (matrices, splits, K), with sums_stride vec4s per matrix.
// The rows of a split are added in order. An invocation owns four components of a split.

@group(0) @binding(1) var<storage, read> bases: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> row_sums: array<vec4<f32>>;

fn cells() -> u32 {
    return params.matrices * params.sums_stride;
}

fn work(cell: u32) {
    let split = cell % params.sums_stride / params.bases_pitch;
    if (split >= params.end_split) {
        return;
    }
    let quad = cell % params.sums_stride % params.bases_pitch;
    let first = cell / params.sums_stride * params.bases_stride + quad;
    let end_row = min((split + 1u) * params.split_tiles * 32u, params.rows);
    var sum = vec4<f32>();
    for (var row = split * params.split_tiles * 32u; row < end_row; row++) {
        sum += bases[first + row * params.bases_pitch];
    }
    row_sums[cell] = sum;
}
