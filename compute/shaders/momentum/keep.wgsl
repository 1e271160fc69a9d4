// Copies some columns of gains into others, on the device.
//
// kept ← gains where chosen > 0, else kept.
// chosen: (1, N). gains, kept: (K, N). An invocation owns four columns of a row.

@group(0) @binding(1) var<storage, read> chosen: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> kept: array<vec4<f32>>;

fn cells() -> u32 {
    return params.rows * params.chunk_quads;
}

fn work(cell: u32) {
    let copied = chosen[quad_of_cell(params.rows, cell)] > vec4<f32>(0.0);
    kept[cell] = select(kept[cell], gains[cell], copied);
}
