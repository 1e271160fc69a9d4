// Computes one source's weight and the sum of the weights so far: w_j = (Λ_j / peak)^p, total = total + w_j.
//
// HARD: w_j = 1 if Λ_j is the peak and no earlier source reached it, otherwise 0. total then counts the winner.
// peak: (F, N), weight: Λ_j before, w_j after (F, N), total: (F, N), not read for the FIRST source.
// The quotient by the largest model is in (0, 1] at any level, so its powers stay in range.

@group(0) @binding(1) var<storage, read> peak: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> total: array<vec4<f32>>;

fn cells() -> u32 {
    return params.rows * params.chunk_quads;
}

fn work(cell: u32) {
    var before = vec4<f32>();
    if (FIRST == 0u) {
        before = total[cell];
    }
    var share: vec4<f32>;
    if (HARD == 1u) {
        let wins = (weight[cell] == peak[cell]) & (before == vec4<f32>(0.0));
        share = select(vec4<f32>(0.0), vec4<f32>(1.0), wins);
    } else {
        share = weight[cell] / peak[cell];
        if (params.exponent != 1.0) {
            share = power(share, params.exponent);
        }
    }
    weight[cell] = share;
    total[cell] = before + share;
}
