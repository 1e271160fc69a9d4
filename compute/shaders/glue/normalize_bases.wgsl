// Scales every column of stacks of bases to unit norm: W^τ[:, k] ← W^τ[:, k] / s_k, s_k = (Σ_{τ,f} W^τ[f, k]^NORM)^(1 / NORM).
//
// bases: the W^τ (F, K) of every stack, one after another. sizes: s of every stack (K), with sums_stride vec4s
// for each, 1 for a zero column, which is left unchanged. NORM is 1 or 2.
// A workgroup owns four columns. It first divides by the largest entry, because squares of small bases leave the range
// of f32.

@group(0) @binding(1) var<storage, read_write> bases: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> sizes: array<vec4<f32>>;

// The position of row f of W^τ, given τF + f, in the workgroup's stack and columns.
fn place(row: u32, index: u32) -> u32 {
    let matrix = index / params.bases_pitch * params.time_lags + row / params.rows;
    return matrix * params.bases_stride + row % params.rows * params.bases_pitch + index % params.bases_pitch;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = workgroup_index(group, groups);
    if (index >= params.matrices / params.time_lags * params.bases_pitch) {
        return;
    }
    let rows = params.time_lags * params.rows;
    var largest = vec4<f32>();
    for (var row = lane; row < rows; row += 64u) {
        largest = max(largest, bases[place(row, index)]);
    }
    let unit = max(workgroup_max(largest, lane), vec4<f32>(DENOMINATOR_FLOOR));
    var sum = vec4<f32>();
    for (var row = lane; row < rows; row += 64u) {
        let w = bases[place(row, index)] / unit;
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
        bases[place(row, index)] /= scale;
    }
    if (lane == 0u) {
        sizes[index / params.bases_pitch * params.sums_stride + index % params.bases_pitch] = scale;
    }
}
