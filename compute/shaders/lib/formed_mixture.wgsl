// Forms four columns of a row of a mixture: S_ab = M |X_a + X_b|^p. The constant ROOT is 1 for p = 1, and 0 for p = 2.
//
// own_bins, other_bins: X_a and X_b, real parts above imaginary parts (2B, T), B = components. bands: for each row of M the
// first bin, the number of bins, and their weights, with a pitch of bases_pitch. Replaces the file stored_mixture.wgsl.

@group(0) @binding(5) var<storage, read> own_bins: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> other_bins: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> bands: array<vec4<f32>>;

fn mixture(row: u32, own_quad: u32, other_quad: u32, mixed_quad: u32) -> vec4<f32> {
    let bins = params.components;
    let at = row * params.bases_pitch;
    let first = u32(bands[at].x);
    let count = u32(bands[at].y);
    var sum = vec4<f32>(0.0);
    for (var place = 0u; place < count; place++) {
        let re = bin(first + place, own_quad, other_quad);
        let im = bin(bins + first + place, own_quad, other_quad);
        var modulus = fma(re, re, im * im);
        if (ROOT == 1u) {
            modulus = sqrt(modulus);
        }
        sum = fma(vec4<f32>(bands[at + (place + 2u) / 4u][(place + 2u) % 4u]), modulus, sum);
    }
    return sum;
}

fn bin(row: u32, own_quad: u32, other_quad: u32) -> vec4<f32> {
    let rows = 2u * params.components;
    return own_bins[panel_cell(rows, row, own_quad)] + other_bins[panel_cell(rows, row, other_quad)];
}
