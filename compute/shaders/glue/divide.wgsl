// Turns one source's weight into its mask: m_j = w_j / Σ_i w_i.
//
// total: Σ_i w_i (F, N), at least 1 up to rounding. mask: w_j before, m_j after (F, N).

@group(0) @binding(1) var<storage, read> total: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> mask: array<vec4<f32>>;

fn cells() -> u32 {
    return params.rows * params.chunk_quads;
}

fn work(cell: u32) {
    mask[cell] /= total[cell];
}
