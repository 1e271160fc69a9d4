// Forms Λ of one segment, unfloored, from the components first_component..end_component.
//
// bases: W^τ (F, D), gains: H (ΦD, N), model: (F, N).

@group(0) @binding(3) var<storage, read_write> model: array<vec4<f32>>;

fn keep(row: u32, quad: u32, product: vec4<f32>) {
    model[panel_cell(params.rows, row, params.first_quad + quad)] = product;
}
