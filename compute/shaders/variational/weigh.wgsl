// Adds a panel of an order to a sum, weighed by the order's q: Σ_m q_m P_m.
//
// panel: P_m (F, N), weights: q (M, N) of which row weights_row is the order's, sum: (F, N), not read for the FIRST order. An
// invocation owns four columns of a row.

@group(0) @binding(1) var<storage, read> panel: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> sum: array<vec4<f32>>;

fn cells() -> u32 {
    return params.rows * params.chunk_quads;
}

fn work(cell: u32) {
    let row = cell / params.chunk_quads;
    let quad = cell % params.chunk_quads;
    let at = panel_cell(params.rows, row, quad);
    var before = vec4<f32>(0.0);
    if (FIRST == 0u) {
        before = sum[at];
    }
    sum[at] = fma(weights[panel_cell(params.weights_rows, params.weights_row, quad)], panel[at], before);
}
