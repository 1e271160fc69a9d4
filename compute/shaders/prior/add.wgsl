// Adds a prior to N and D of an update of gains: N ← N + α (b/g' + g'/n² A), D ← D + α (a/g' + g'/n² B), and H ← g'.
//
// a = Σ_c r_c (−μ_c/σ²_c), b = −x Σ_c r_c /σ²_c. If the constant EXACT is 1, A = Σ_k a and B = Σ_k b; otherwise A = a
// and B = b.
// gains: H, numerators: N, denominators: D (K', N), of which the rows first_row..first_row + rows are the source's.
// norms: n (1, N). weights: α in the row weights_row. responsibilities: r (C, N). precisions: 1/σ², pulls: −μ/σ² (K,
// C).
// A workgroup owns 32 columns, see lib/lanes.wgsl; a lane takes every eighth row. Columns of weight 0, such as a
// segment's padding, are left unchanged.

@group(0) @binding(1) var<storage, read_write> gains: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> norms: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> responsibilities: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> precisions: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> pulls: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> numerators: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> denominators: array<vec4<f32>>;

struct Terms {
    a: vec4<f32>,
    b: vec4<f32>,
}

fn responsibility(component: u32, quad: u32) -> vec4<f32> {
    let at = panel_cell(params.components, min(component, params.components - 1u), quad);
    return responsibilities[at];
}

// Components past the last meet zeros in both matrices.
fn terms(row: u32, quad: u32, log_gain: vec4<f32>) -> Terms {
    var a = vec4<f32>();
    var b = vec4<f32>();
    for (var block = 0u; block < params.bases_pitch; block++) {
        let at = row * params.bases_pitch + block;
        let r = mat4x4<f32>(
            responsibility(4u * block, quad),
            responsibility(4u * block + 1u, quad),
            responsibility(4u * block + 2u, quad),
            responsibility(4u * block + 3u, quad),
        );
        a = add_row(a, pulls[at], r);
        b = add_row(b, precisions[at], r);
    }
    return Terms(a, -log_gain * b);
}

fn work(quad: u32, place: u32, lane: u32) {
    let norm = norms[quad];
    let weight = weights[panel_cell(params.weights_rows, params.weights_row, quad)];
    var all = Terms(vec4<f32>(), vec4<f32>());
    if (EXACT == 1u) {
        for (var row = place; row < params.rows; row += ROW_LANES) {
            let gain = raised(gains[panel_cell(params.panel_rows, params.first_row + row, quad)], norm);
            let one = terms(row, quad, log(gain / norm));
            all.a += one.a;
            all.b += one.b;
        }
        all.a = lanes_sum(all.a, lane);
        all.b = lanes_sum(all.b, lane);
    }
    for (var row = place; row < params.rows; row += ROW_LANES) {
        let at = panel_cell(params.panel_rows, params.first_row + row, quad);
        let gain = raised(gains[at], norm);
        let one = terms(row, quad, log(gain / norm));
        if (EXACT == 0u) {
            all = one;
        }
        let share = gain / norm / norm;
        numerators[at] += weight * (one.b / gain + share * all.a);
        denominators[at] += weight * (one.a / gain + share * all.b);
        gains[at] = select(gains[at], gain, weight > vec4<f32>());
    }
}
