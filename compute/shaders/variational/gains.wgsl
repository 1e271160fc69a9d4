// Updates the posteriors of gains from their sums: E_H and I_H of GIG(I_H² N, p + D, p), and their terms.
//
// numerators: N (K, N), denominators: D (K, N), mean: E_H (K, N), harmonic: I_H (K, N), terms: their sums over every 8 components
// (K/8, N). ratio, level, prior: see lib/posterior.wgsl. An invocation owns four columns of 8 components.

@group(0) @binding(1) var<storage, read> numerators: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> denominators: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> mean: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> harmonic: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> terms: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> ratio: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> level: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read> prior: array<vec4<f32>>;

const ROWS = 8u;

fn blocks() -> u32 {
    return (params.components + ROWS - 1u) / ROWS;
}

fn cells() -> u32 {
    return blocks() * params.chunk_quads;
}

fn work(cell: u32) {
    let block = cell / params.chunk_quads;
    let quad = cell % params.chunk_quads;
    var sum = vec4<f32>(0.0);
    for (var component = ROWS * block; component < min(ROWS * (block + 1u), params.components); component++) {
        let at = panel_cell(params.components, component, quad);
        let updated = posteriors(numerators[at], denominators[at], harmonic[at]);
        mean[at] = updated[0];
        harmonic[at] = updated[1];
        sum += updated[2];
    }
    terms[panel_cell(blocks(), block, quad)] = sum;
}
