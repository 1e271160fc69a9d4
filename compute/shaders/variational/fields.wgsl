// Forms and stores one of the fields of a window: P/C² with C = I_W I_H, or 1/ω with ω = E_W E_H if the constant INVERSE is 1.
//
// data: P (F, N), not read for 1/ω. bases: I_W or E_W (F, K), gains: I_H or E_H (K, N). stored: (F, the window) in strips, twice
// if the constant SECOND is 1; then the field is the second. It is 0 outside the matrix. A workgroup of 64 owns a tile of 32 rows
// by 32 columns of the window.

@group(0) @binding(1) var<storage, read> data: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bases: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> stored: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> places: array<vec2<u32>>;

fn store_row(row: u32, quad: u32, product: vec4<f32>) {
    if (row < params.rows) {
        var field = 1.0 / floored(product);
        if (INVERSE == 0u) {
            let power = data[panel_cell(params.rows, row, quad)];
            field = min((power * field) * field, vec4<f32>(FIELD_CEILING));
        }
        let inside = entries(quad) < vec4<u32>(end_column);
        let at = panel_cell(params.rows, row, quad - params.first_quad);
        stored[SECOND * params.rows * params.window_quads + at] = select(vec4<f32>(0.0), field, inside);
    }
}
