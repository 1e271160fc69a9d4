// The reverse of X' = X ∘ N / D: gN = g ∘ X / D, gD = −gN ∘ N / D, and g ∘ N / D. Where D ≤ 1e-30, N / D is a constant.
//
// factor: X, numerators: N, which becomes gN, denominators: D, which becomes gD, adjoint: g, which becomes g ∘ N / D; all of one
// shape, as rows times chunk_quads vec4s. An invocation owns one vec4.

@group(0) @binding(1) var<storage, read> factor: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> numerators: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> denominators: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> adjoint: array<vec4<f32>>;

fn cells() -> u32 {
    return params.rows * params.chunk_quads;
}

fn work(cell: u32) {
    let floor = vec4<f32>(DENOMINATOR_FLOOR);
    let d = denominators[cell];
    let change = adjoint[cell];
    let divisor = max(d, floor);
    let ratio = numerators[cell] / divisor;
    let of_n = select(vec4<f32>(0.0), (change * factor[cell]) / divisor, d > floor);
    numerators[cell] = of_n;
    denominators[cell] = -(of_n * ratio);
    adjoint[cell] = change * ratio;
}
