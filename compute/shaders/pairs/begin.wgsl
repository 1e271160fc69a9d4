// Begins the sums of a source with its data alone: c S/Λ, or c d(S | Λ) if the constant COSTS is 1.
//
// data: S (F, T), model: Λ (F, T), alone: c (1, T), sums: (F, T). An invocation owns four columns of a row.

@group(0) @binding(1) var<storage, read> data: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> model: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> alone: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> sums: array<vec4<f32>>;

fn cells() -> u32 {
    return params.rows * params.chunk_quads;
}

fn work(cell: u32) {
    let lambda = max(model[cell], vec4<f32>(MODEL_FLOOR));
    var term = data[cell] / lambda;
    if (COSTS == 1u) {
        term = cost(data[cell], lambda);
    }
    sums[cell] = alone[quad_of_cell(params.rows, cell)] * term;
}
