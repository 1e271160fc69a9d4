// The reverse of W' = W / n with n_k = Σ_f w_fk: gW = gW' / n + gn, gn = −Σ_f gW' ∘ W / n² and what the gains add.
//
// bases: W (F, K), adjoint: gW' (F, K), which becomes gW, of every matrix of a stack. of_norms: what the gains add to gn (K), if
// the constant COMPENSATED is 1, and sizes: n (K), 1 for a basis of zeros, which was not normalized; both with sums_stride vec4s
// for each matrix. A workgroup owns four columns.

@group(0) @binding(1) var<storage, read> bases: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> of_norms: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> adjoint: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> sizes: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = workgroup_index(group, groups);
    if (index >= params.matrices * params.bases_pitch) {
        return;
    }
    let matrix = index / params.bases_pitch;
    let quad = index % params.bases_pitch;
    let first = matrix * params.bases_stride + quad;
    var sum = vec4<f32>();
    for (var row = lane; row < params.rows; row += 64u) {
        sum += bases[first + row * params.bases_pitch];
    }
    sum = workgroup_sum(sum, lane);
    let one = vec4<f32>(1.0);
    let live = sum > vec4<f32>(DENOMINATOR_FLOOR);
    let norm = select(one, sum, live);
    var along = vec4<f32>();
    for (var row = lane; row < params.rows; row += 64u) {
        let at = first + row * params.bases_pitch;
        along = fma(adjoint[at], bases[at] / norm, along);
    }
    along = workgroup_sum(along, lane);
    var of_norm = -along / norm;
    if (COMPENSATED == 1u) {
        of_norm += of_norms[matrix * params.sums_stride + quad];
    }
    of_norm = select(vec4<f32>(), of_norm, live);
    for (var row = lane; row < params.rows; row += 64u) {
        let at = first + row * params.bases_pitch;
        adjoint[at] = adjoint[at] / norm + of_norm;
    }
    if (lane == 0u) {
        sizes[matrix * params.sums_stride + quad] = norm;
    }
}
