// Forms and stores the fields of a window: A = ζ(r) v/λ² and B = 1/λ with λ = max(WH, 1e-12) and r = v/λ.
//
// data: V (F, N), bases: W (F, K), gains: H (K, N). stored: A and B (F, the window) in strips, one after the other, 0 outside the
// matrix. curve: see lib/curve.wgsl. A workgroup of 64 owns a tile of 32 rows by 32 columns of the window.

@group(0) @binding(1) var<storage, read> data: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bases: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> stored: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> places: array<vec2<u32>>;
@group(0) @binding(6) var<storage, read> curve: array<vec4<f32>>;

fn store_row(row: u32, quad: u32, product: vec4<f32>) {
    if (row < params.rows) {
        let b = 1.0 / max(product, vec4<f32>(MODEL_FLOOR));
        let a = weighed(data[panel_cell(params.rows, row, quad)], b);
        let inside = entries(quad) < vec4<u32>(end_column);
        let at = panel_cell(params.rows, row, quad - params.first_quad);
        stored[at] = select(vec4<f32>(0.0), a, inside);
        stored[params.rows * params.window_quads + at] = select(vec4<f32>(0.0), b, inside);
    }
}
