// Updates the posteriors of bases from their sums: E_W and I_W of GIG(I_W² N, p + D, p), and their terms.
//
// numerators: N (F, K), denominators: D (F, K), mean: E_W (F, K), harmonic: I_W (F, K), terms: their sums over every 8 rows
// (F/8, K). ratio, level, prior: see lib/posterior.wgsl. An invocation owns four components of 8 rows.

@group(0) @binding(1) var<storage, read> numerators: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> denominators: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> mean: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> harmonic: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> terms: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> ratio: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> level: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read> prior: array<vec4<f32>>;

const ROWS = 8u;

fn cells() -> u32 {
    return (params.rows + ROWS - 1u) / ROWS * params.bases_pitch;
}

fn work(cell: u32) {
    let block = cell / params.bases_pitch;
    let quad = cell % params.bases_pitch;
    let inside = entries(quad) < vec4<u32>(params.components);
    let zero = vec4<f32>(0.0);
    var sum = zero;
    for (var row = ROWS * block; row < min(ROWS * (block + 1u), params.rows); row++) {
        let at = row * params.bases_pitch + quad;
        let updated = posteriors(numerators[at], denominators[at], harmonic[at]);
        mean[at] = select(zero, updated[0], inside);
        harmonic[at] = select(zero, updated[1], inside);
        sum += updated[2];
    }
    terms[cell] = select(zero, sum, inside);
}
