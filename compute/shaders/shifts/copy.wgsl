// Copies the part of a segment in one chunk to the segment's gathered rows or, if BACK, from there to the chunk.
//
// source, copied: a chunk of a panel and the rows of one segment, or the reverse. A cell is four columns of a row.

@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> copied: array<vec4<f32>>;

fn cells() -> u32 {
    return params.rows * params.window_quads;
}

fn work(cell: u32) {
    let row = cell / params.window_quads;
    let quad = cell % params.window_quads;
    let in_chunk = panel_cell(params.rows, row, params.first_quad + quad);
    let in_segment = panel_cell(params.rows, row, params.segment_quad + quad);
    if (BACK == 1u) {
        copied[in_chunk] = source[in_segment];
    } else {
        copied[in_segment] = source[in_chunk];
    }
}
