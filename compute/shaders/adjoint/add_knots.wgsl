// Adds the partial sums of knots, in order: knots[c] += Σ_g partials[g, c].
//
// partials: (first_split to end_split, the chunk_quads cells), knots: (cells). An invocation owns the four knots of a cell.

@group(0) @binding(1) var<storage, read> partials: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> knots: array<vec4<f32>>;

fn cells() -> u32 {
    return params.chunk_quads;
}

fn work(cell: u32) {
    var sum = vec4<f32>(0.0);
    for (var part = params.first_split; part < params.end_split; part++) {
        sum += partials[part * params.chunk_quads + cell];
    }
    knots[cell] += sum;
}
