// The posterior GIG(τ, ρ, p) with τ = I² n, ρ = p + d of an entry with the harmonic mean I: E = (p + B)/ρ, I = D/ρ, and its term
// G − p (log(ρ/p) + E − 1).
//
// With z = 2 √ρ √τ, B and D are (z/2) T(z) and (z/2)/T(z), if p is at least 1/2, or the other way round.
// src/kernels/variational/gig.rs has the formulas. ratio, level: the cubics of T and G (cells, 4), see lib/table.wgsl.
// prior: the laws of T and of G (4), and p, log p, D at z = 0, and whether p is at least 1/2.

// E, I and the term.
fn posterior(n: f32, d: f32, before: f32) -> vec3<f32> {
    let p = prior[4].x;
    // I (I n), because I² may be too small for f32.
    let tau = min(before * (before * min(n, QUOTIENT_CEILING)), QUOTIENT_CEILING);
    let rho = min(p + d, QUOTIENT_CEILING);
    let half = sqrt(rho) * sqrt(tau);
    let z = known_number(2.0 * half);
    let cell = cell_of(z);
    let t = tabulated(z, ratio[cell], prior[0], prior[1]);
    let g = tabulated(z, level[cell], prior[2], prior[3]);
    let rises = prior[4].w > 0.0;
    var b = select(half / t, half * t, rises);
    var of_harmonic = select(half * t, half / t, rises);
    if (half == 0.0) {
        b = 0.0;
        of_harmonic = prior[4].z;
    }
    let mean = (p + b) / rho;
    return vec3<f32>(mean, of_harmonic / rho, g - p * ((log(rho) - prior[4].y) + (mean - 1.0)));
}

// The same of four entries: E, I and the terms.
fn posteriors(n: vec4<f32>, d: vec4<f32>, before: vec4<f32>) -> mat3x4<f32> {
    return transpose(mat4x3<f32>(
        posterior(n.x, d.x, before.x),
        posterior(n.y, d.y, before.y),
        posterior(n.z, d.z, before.z),
        posterior(n.w, d.w, before.w),
    ));
}
