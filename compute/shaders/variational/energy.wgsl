// Sums the energy over every 32 rows, Σ_j log c_j − log t − x σ²/t² − Σ c/t with t = σ² + Σ c, or the log likelihood,
// −log t − x/t, if the constant FIT is 1.
//
// data: x (F, N), sum: Σ c (F, N), logs: Σ log c (F, N), not read for the likelihood, sums: (F/32, N). exponent: σ². An invocation owns four columns of 32
// rows.

@group(0) @binding(1) var<storage, read> data: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> sum: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> logs: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> sums: array<vec4<f32>>;

const ROWS = 32u;

fn blocks() -> u32 {
    return (params.rows + ROWS - 1u) / ROWS;
}

fn cells() -> u32 {
    return blocks() * params.chunk_quads;
}

fn work(cell: u32) {
    let block = cell / params.chunk_quads;
    let quad = cell % params.chunk_quads;
    var total = vec4<f32>(0.0);
    for (var row = ROWS * block; row < min(ROWS * (block + 1u), params.rows); row++) {
        let at = panel_cell(params.rows, row, quad);
        let t = params.exponent + sum[at];
        if (FIT == 1u) {
            total -= log(t) + min(data[at] / t, vec4<f32>(QUOTIENT_CEILING));
            continue;
        }
        // x (σ²/t) is at most x, also where σ² is 0.
        let rest = min((data[at] * (params.exponent / t)) / t, vec4<f32>(QUOTIENT_CEILING));
        total += (logs[at] - log(t)) - (rest + sum[at] / t);
    }
    sums[panel_cell(blocks(), block, quad)] = total;
}
