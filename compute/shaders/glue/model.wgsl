// Forms the model of one source, and the largest of the models so far: Λ_j = max(W_j H_j, floor), peak = max(peak,
// Λ_j).
//
// bases: W (F, K), gains: H (K, N), model: Λ_j (F, N), peak: (F, N), not read for the FIRST source.
// A workgroup of 64 owns a tile of 32 rows by 32 columns of the window.

@group(0) @binding(1) var<storage, read> bases: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> model: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> peak: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> places: array<vec2<u32>>;

fn store_row(row: u32, quad: u32, product: vec4<f32>) {
    if (row < params.rows) {
        let at = panel_cell(params.rows, row, quad);
        let lambda = max(product, vec4<f32>(params.floor));
        model[at] = lambda;
        if (FIRST == 1u) {
            peak[at] = lambda;
        } else {
            peak[at] = max(peak[at], lambda);
        }
    }
}
