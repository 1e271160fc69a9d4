// Computes the sums of one step of expectation-maximization, per split: Σ_n r (x − μ) and Σ_n r (x − μ)² for every
// entry of the means. One extra row holds Σ_n r.
//
// log_gains: x (K, N), responsibilities: r (C, N), means: μ (K, C), sums: (splits, two powers, K + 1, C).
// An invocation owns four components of a row in one split. It adds the split's columns in the window, tile by tile, to
// the split's previous sums, if any.

@group(0) @binding(1) var<storage, read> log_gains: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> responsibilities: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> means: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> sums: array<vec4<f32>>;

const TILE_QUADS = 8u;

fn responsibility(component: u32, quad: u32) -> vec4<f32> {
    let at = panel_cell(params.components, min(component, params.components - 1u), quad);
    return select(vec4<f32>(0.0), responsibilities[at], entries(quad) < vec4<u32>(params.columns));
}

// The distance of four columns of x from a component's mean. Ones in the extra row.
fn away(row: u32, quad: u32, mean: f32) -> vec4<f32> {
    let x = log_gains[panel_cell(params.rows, min(row, params.rows - 1u), quad)];
    return select(x - mean, vec4<f32>(1.0), row == params.rows);
}

fn total(sums: vec4<f32>) -> f32 {
    return (sums.x + sums.y) + (sums.z + sums.w);
}

fn totals(sums: mat4x4<f32>) -> vec4<f32> {
    return vec4<f32>(total(sums[0]), total(sums[1]), total(sums[2]), total(sums[3]));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cells = (params.rows + 1u) * params.bases_pitch;
    let index = 64u * workgroup_index(group, groups) + lane;
    let split = params.first_split + index / cells;
    if (split >= params.end_split) {
        return;
    }
    let cell = index % cells;
    let row = cell / params.bases_pitch;
    let block = cell % params.bases_pitch;
    let mean = means[min(row, params.rows - 1u) * params.bases_pitch + block];
    // The tiles of the split inside the window, which begins with tile first_tile.
    let end = min((split + 1u) * params.split_tiles, params.first_tile + params.window_quads / TILE_QUADS);
    var tile = max(split * params.split_tiles, params.first_tile);
    let at = 2u * split * cells + cell;
    var first = vec4<f32>();
    var second = vec4<f32>();
    if (tile > split * params.split_tiles) {
        first = sums[at];
        second = sums[at + cells];
    }
    for (; tile < end; tile++) {
        var firsts = mat4x4<f32>();
        var seconds = mat4x4<f32>();
        for (var step = 0u; step < TILE_QUADS; step++) {
            let quad = params.first_quad + (tile - params.first_tile) * TILE_QUADS + step;
            for (var i = 0u; i < 4u; i++) {
                let distance = away(row, quad, mean[i]);
                let part = responsibility(4u * block + i, quad) * distance;
                firsts[i] += part;
                seconds[i] = fma(part, distance, seconds[i]);
            }
        }
        first += totals(firsts);
        second += totals(seconds);
    }
    sums[at] = first;
    sums[at + cells] = second;
}
