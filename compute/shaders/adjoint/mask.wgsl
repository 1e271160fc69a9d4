// Keeps the adjoint of a model where WH > 1e-12, and stores it for a window: the adjoint of WH.
//
// data: the adjoint of max(WH, 1e-12) (F, N), bases: W (F, K), gains: H (K, N). stored: (F, the window) in strips, 0 outside the
// matrix. A workgroup of 64 owns a tile of 32 rows by 32 columns of the window.

@group(0) @binding(1) var<storage, read> data: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bases: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> stored: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> places: array<vec2<u32>>;

fn store_row(row: u32, quad: u32, product: vec4<f32>) {
    if (row < params.rows) {
        let kept = (entries(quad) < vec4<u32>(end_column)) & (product > vec4<f32>(MODEL_FLOOR));
        let at = panel_cell(params.rows, row, quad - params.first_quad);
        stored[at] = select(vec4<f32>(0.0), data[panel_cell(params.rows, row, quad)], kept);
    }
}
