// Floors the model of one source, and finds the largest of the models so far: Λ_j = max(Λ_j, floor), peak = max(peak,
// Λ_j).
//
// model: Λ_j (F, N). peak: (F, N), not read for the FIRST source. A cell is four columns of a row.

@group(0) @binding(1) var<storage, read_write> model: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> peak: array<vec4<f32>>;

fn cells() -> u32 {
    return params.rows * params.chunk_quads;
}

fn work(cell: u32) {
    let lambda = max(model[cell], vec4<f32>(params.floor));
    model[cell] = lambda;
    if (FIRST == 1u) {
        peak[cell] = lambda;
    } else {
        peak[cell] = max(peak[cell], lambda);
    }
}
