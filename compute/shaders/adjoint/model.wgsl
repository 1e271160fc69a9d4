// Forms the model: Λ = max(WH, 1e-12).
//
// bases: W (F, K), gains: H (K, N), model: (F, N). A workgroup of 64 owns a tile of 32 rows by 32 columns of the window.

@group(0) @binding(1) var<storage, read> bases: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> model: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> places: array<vec2<u32>>;

fn store_row(row: u32, quad: u32, product: vec4<f32>) {
    if (row < params.rows) {
        model[panel_cell(params.rows, row, quad)] = max(product, vec4<f32>(MODEL_FLOOR));
    }
}
