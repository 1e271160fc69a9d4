// Updates the gains from the sums of all splits, added in order: H ← rule(H, Σ_s N_s, Σ_s D_s).
//
// sums: (splits, N and D, K, N), split_costs: (splits, N), both from gains.wgsl with PART 1. gains: H (K, N).
// new_gains, denominators and costs: as there. An invocation owns four columns of a component.

@group(0) @binding(1) var<storage, read> sums: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> split_costs: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> new_gains: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> denominators: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> costs: array<vec4<f32>>;

fn cells() -> u32 {
    return params.components * params.window_quads;
}

fn work(cell: u32) {
    let component = cell / params.window_quads;
    let quad = params.first_quad + cell % params.window_quads;
    let at = panel_cell(params.components, component, quad);
    let pitch = params.components * params.chunk_quads;
    var n = sums[at];
    var d = sums[pitch + at];
    for (var split = 1u; split < params.end_split; split++) {
        n += sums[2u * split * pitch + at];
        d += sums[(2u * split + 1u) * pitch + at];
    }
    if (SUMS == 1u) {
        new_gains[at] = n;
        denominators[at] = d;
    } else {
        new_gains[at] = updated(gains[at], n, d);
    }
    if (COSTS == 1u && component == 0u) {
        var cost = split_costs[quad];
        for (var split = 1u; split < params.end_split; split++) {
            cost += split_costs[split * params.chunk_quads + quad];
        }
        costs[quad] = cost;
    }
}
