// Updates the bases from the sums of all splits, added in order: W ← rule(W, Σ_s N_s, Σ_s D_s).
//
// sums: (splits, N and D, pass_rows, K), from bases.wgsl. If the constant UNIT is 1, Q is 1, sums holds N alone, and
// column_sums: D (splits, K), from bases_denominator.wgsl. bases: W (F, K), of which pass_rows rows are updated.
// gains: Σ_n H (K), if a penalty affects the bases. If the constant SEGMENTS is 1, the bases of many problems are updated,
// and problems: the first split of each, and the split behind its last. An invocation owns four components of a row.
// If the constant SUMS is 1, N goes to the place of the bases, and D to denominators (F, K).

@group(0) @binding(1) var<storage, read> sums: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> bases: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> column_sums: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> problems: array<vec2<u32>>;
@group(0) @binding(6) var<storage, read_write> denominators: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = 64u * workgroup_index(group, groups) + lane;
    let cells = params.pass_rows * params.bases_pitch;
    let problem = index / cells;
    let cell = index % cells;
    let of_matrix = params.first_row * params.bases_pitch + cell;
    if (problem >= params.matrices || of_matrix >= params.rows * params.bases_pitch) {
        return;
    }
    var first_split = 0u;
    var end_split = params.end_split;
    if (SEGMENTS == 1u) {
        first_split = problems[problem].x;
        end_split = problems[problem].y;
    }
    let at = problem * params.bases_stride + of_matrix;
    let quad = cell % params.bases_pitch;
    var n = vec4<f32>();
    var d = vec4<f32>();
    for (var split = first_split; split < end_split; split++) {
        n += sums[(2u - UNIT) * split * cells + cell];
        if (UNIT == 1u) {
            d += column_sums[split * params.bases_pitch + quad];
        } else {
            d += sums[(2u * split + 1u) * cells + cell];
        }
    }
    let inside = entries(quad) < vec4<u32>(params.components);
    if (SUMS == 1u) {
        bases[at] = select(vec4<f32>(0.0), n, inside);
        denominators[at] = select(vec4<f32>(0.0), d, inside);
        return;
    }
    var of_gains = vec4<f32>();
    if (NORM > 0u) {
        of_gains = gains[problem * params.sums_stride + quad];
    }
    bases[at] = select(vec4<f32>(0.0), updated_bases(bases[at], n, d, of_gains), inside);
}
