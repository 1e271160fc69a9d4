// Scales every column of a stack of bases to unit norm: W^τ[:, k] ← W^τ[:, k] / s_k, s_k = (Σ_{τ,f} W^τ[f, k]^NORM)^(1 / NORM).
//
// bases: W^τ (F, K), one after another. sizes: s (K), 1 for a zero column, which is left unchanged. NORM is 1 or 2.
// A workgroup owns four columns. It first divides by the largest entry, because squares of small bases leave the range
// of f32.

@group(0) @binding(1) var<storage, read_write> bases: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> sizes: array<vec4<f32>>;

// The position of row f of W^τ, given τF + f.
fn place(row: u32, quad: u32) -> u32 {
    return row / params.rows * params.bases_stride + row % params.rows * params.bases_pitch + quad;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quad = workgroup_index(group, groups);
    if (quad >= params.bases_pitch) {
        return;
    }
    let rows = params.time_lags * params.rows;
    var largest = vec4<f32>();
    for (var row = lane; row < rows; row += 64u) {
        largest = max(largest, bases[place(row, quad)]);
    }
    let unit = max(workgroup_max(largest, lane), vec4<f32>(DENOMINATOR_FLOOR));
    var sum = vec4<f32>();
    for (var row = lane; row < rows; row += 64u) {
        let w = bases[place(row, quad)] / unit;
        if (NORM == 2u) {
            sum = fma(w, w, sum);
        } else {
            sum += w;
        }
    }
    sum = workgroup_sum(sum, lane);
    if (NORM == 2u) {
        sum = sqrt(sum);
    }
    let size = unit * sum;
    let scale = select(vec4<f32>(1.0), size, size > vec4<f32>(DENOMINATOR_FLOOR));
    for (var row = lane; row < rows; row += 64u) {
        bases[place(row, quad)] /= scale;
    }
    if (lane == 0u) {
        sizes[quad] = scale;
    }
}
