// Turns the sums of a source into its shares of all data: X = Λ sums / U. They are 0 after the end of an utterance.
//
// model: Λ (F, T), alone: c (1, T), which is 0 after the end of an utterance, sums: (F, T). exponent: 1/U.
// An invocation owns four columns of a row.

@group(0) @binding(1) var<storage, read> model: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> alone: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec4<f32>>;

fn cells() -> u32 {
    return params.rows * params.chunk_quads;
}

fn work(cell: u32) {
    let inside = alone[quad_of_cell(params.rows, cell)] > vec4<f32>(0.0);
    let share = params.exponent * sums[cell] * max(model[cell], vec4<f32>(MODEL_FLOOR));
    sums[cell] = select(vec4<f32>(0.0), share, inside);
}
