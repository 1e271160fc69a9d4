// The floor and the ceilings of src/kernels/variational: they keep the numbers of a dead order finite.

// Floor on the variances ω, C and c.
const VARIANCE_FLOOR = 1e-30;
// The most that P/C² may be.
const FIELD_CEILING = 1e30;
// The most that P/C and the like may be.
const QUOTIENT_CEILING = 1e36;

fn floored(variance: vec4<f32>) -> vec4<f32> {
    return max(variance, vec4<f32>(VARIANCE_FLOOR));
}
