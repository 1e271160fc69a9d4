// Turns the adjoints of the fields of a window into that of WH: gΦ = gA A, g(WH) = −B (gB B + gΦ (2 + s)) where WH > 1e-12.
//
// data: V (F, N), bases: W (F, K), gains: H (K, N). stored: gA, gB and a third field (F, the window) in strips, one after another,
// which become g(WH), gΦ and r. g(WH) and gΦ are 0 outside the matrix. a, b: A and B (F, the window), written if the constant
// KEEP is 1. curve: see lib/curve.wgsl. A workgroup of 64 owns a tile of 32 rows by 32 columns of the window.

@group(0) @binding(1) var<storage, read> data: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bases: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> stored: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> a: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> b: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> places: array<vec2<u32>>;
@group(0) @binding(8) var<storage, read> curve: array<vec4<f32>>;

fn store_row(row: u32, quad: u32, product: vec4<f32>) {
    if (row >= params.rows) {
        return;
    }
    let zero = vec4<f32>(0.0);
    let floor = vec4<f32>(MODEL_FLOOR);
    let inside = entries(quad) < vec4<u32>(end_column);
    let at = panel_cell(params.rows, row, quad - params.first_quad);
    let field = params.rows * params.window_quads;
    let v = data[panel_cell(params.rows, row, quad)];
    let inverse = 1.0 / max(product, floor);
    let share = weighed(v, inverse);
    let of_phi = stored[at] * share;
    let r = v * inverse;
    let of_model = -inverse * fma(stored[field + at], inverse, of_phi * (2.0 + slopes(r)));
    stored[at] = select(zero, of_model, inside & (product > floor));
    stored[field + at] = select(zero, of_phi, inside);
    stored[2u * field + at] = r;
    if (KEEP == 1u) {
        a[at] = select(zero, share, inside);
        b[at] = select(zero, inverse, inside);
    }
}
