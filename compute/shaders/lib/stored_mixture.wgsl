// Loads four columns of a row of a mixture from where pairs/add.wgsl stored it.
//
// mixtures: S_ab (F, the mixtures).

@group(0) @binding(5) var<storage, read> mixtures: array<vec4<f32>>;

fn mixture(row: u32, own_quad: u32, other_quad: u32, mixed_quad: u32) -> vec4<f32> {
    return mixtures[panel_cell(params.rows, row, mixed_quad)];
}
