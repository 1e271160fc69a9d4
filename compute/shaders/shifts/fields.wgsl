// Forms the fields P and Q of one segment: P = numerator(V, Λ), Q = denominator(V, Λ), with Λ floored at MODEL_FLOOR.
// They are 0 after the last column.
//
// bases: W^τ (F, D), gains: H (ΦD, N), data: V (F, N). numerators: P, denominators: Q (F, N), stored row by row.

@group(0) @binding(3) var<storage, read> data: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> numerators: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> denominators: array<vec4<f32>>;

fn keep(row: u32, quad: u32, product: vec4<f32>) {
    let v = data[panel_cell(params.rows, row, params.first_quad + quad)];
    let lambda = max(product, vec4<f32>(MODEL_FLOOR));
    let inside = entries(quad) < vec4<u32>(params.columns);
    let at = row * params.window_quads + quad;
    numerators[at] = select(vec4<f32>(0.0), numerator(v, lambda), inside);
    denominators[at] = select(vec4<f32>(0.0), denominator(v, lambda), inside);
}
