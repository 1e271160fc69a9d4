// Computes gains from the sums with priors: H ← rule(H, N, D).
//
// gains: H, numerators: N, denominators: D, all (K', N). An invocation owns four columns of a row.

@group(0) @binding(1) var<storage, read_write> gains: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> numerators: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> denominators: array<vec4<f32>>;

fn cells() -> u32 {
    return params.components * params.window_quads;
}

fn work(cell: u32) {
    let quad = params.first_quad + cell % params.window_quads;
    let at = panel_cell(params.components, cell / params.window_quads, quad);
    gains[at] = updated(gains[at], numerators[at], denominators[at]);
}
