// A gain as a prior uses it: g' = max(g, GAIN_FLOOR, ρ n), where n is the norm of its column, or 0 before it is known.

// GAIN_FLOOR of src/kernels/prior.
const GAIN_FLOOR = 1e-12;

fn raised(gain: vec4<f32>, norm: vec4<f32>) -> vec4<f32> {
    return max(gain, max(vec4<f32>(GAIN_FLOOR), params.floor * norm));
}
