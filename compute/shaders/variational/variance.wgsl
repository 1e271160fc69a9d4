// Adds an order to the variance of a source, and finishes it with the LAST one: Σ_m q_m/C_m, c = 1 / Σ_m q_m/C_m.
//
// bases: I_W (F, K), gains: I_H (K, N), weights: q (M, N) of which row weights_row is the order's, variance: (F, N), not read
// for the FIRST order. A workgroup of 64 owns a tile of 32 rows by 32 columns of the window.

@group(0) @binding(1) var<storage, read> bases: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> variance: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> places: array<vec2<u32>>;

fn store_row(row: u32, quad: u32, product: vec4<f32>) {
    if (row < params.rows) {
        let at = panel_cell(params.rows, row, quad);
        var sum = weights[panel_cell(params.weights_rows, params.weights_row, quad)] / floored(product);
        if (FIRST == 0u) {
            sum += variance[at];
        }
        if (LAST == 1u) {
            sum = 1.0 / floored(sum);
        }
        variance[at] = sum;
    }
}
