// Forms and stores a product of signed factors over a window, such as gA = W gN.
//
// bases: (F, K), gains: (K, N). stored: (F, the window) in strips, twice if the constant SECOND is 1; then the product is the
// second. A workgroup of 64 owns a tile of 32 rows by 32 columns of the window.

@group(0) @binding(1) var<storage, read> bases: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> stored: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> places: array<vec2<u32>>;

fn store_row(row: u32, quad: u32, product: vec4<f32>) {
    if (row < params.rows) {
        let at = panel_cell(params.rows, row, quad - params.first_quad);
        stored[SECOND * params.rows * params.window_quads + at] = product;
    }
}
