// The gains of one segment, with zeros before and after them. Its padding columns are zero too.
//
// gains: H (ΦD, N), the segment's columns from first_quad on.

@group(0) @binding(2) var<storage, read> gains: array<vec4<f32>>;

// Four columns of a row. A quad before the first wraps to a large number.
fn shifted_gains(row: u32, quad: u32) -> vec4<f32> {
    if (quad >= params.window_quads) {
        return vec4<f32>(0.0);
    }
    return gains[panel_cell(params.pitch_lags * params.components, row, params.first_quad + quad)];
}
