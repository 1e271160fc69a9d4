// Adds a sum to an adjoint: X ← X + S.
//
// sum: S, adjoint: X, both of one shape, as rows times chunk_quads vec4s. An invocation owns one vec4.

@group(0) @binding(1) var<storage, read> sum: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> adjoint: array<vec4<f32>>;

fn cells() -> u32 {
    return params.rows * params.chunk_quads;
}

fn work(cell: u32) {
    adjoint[cell] += sum[cell];
}
