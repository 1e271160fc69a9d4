// Factors staged through workgroup memory in slices of 32 components. The back-projections read theirs from global
// memory. This works for any number of components with 16 KiB of workgroup memory.

const FIELDS_SIZE = TILE * PITCH;
const BASES_AT = 0u;
const GAINS_AT = 0u;
// A row of H is one component, so its mask takes a single comparison.
const MASKS_BASES = false;
// Quads of columns per turn of the loop of bases.wgsl. Two would keep twice as many loaded numbers in registers.
const STEPS = 1u;

// W and H of a slice while Λ is formed. Between tiles, P and Q of the kernel, or less.
var<workgroup> sh_left: array<vec4<f32>, max(BASES_SLICE, FIELDS_SIZE)>;
var<workgroup> sh_right: array<vec4<f32>, max(GAINS_SLICE, FIELDS_SIZE)>;

fn hold_bases(first_row: u32, lane: u32) {}

fn hold_gains(first_quad: u32, lane: u32) {}

fn model_tile(first_row: u32, first_quad: u32, lane: u32) -> mat4x4<f32> {
    if (is_low(first_row)) {
        return add_slices(first_row, first_quad, true, lane);
    }
    return add_slices(first_row, first_quad, false, lane);
}

fn add_slices(first_row: u32, first_quad: u32, low: bool, lane: u32) -> mat4x4<f32> {
    var lambda = mat4x4<f32>();
    for (var slice = params.first_component / 4u; 4u * slice < params.end_component; slice += SLICE) {
        workgroupBarrier();
        stage_bases(BASES_AT, first_row, slice, lane);
        stage_gains(GAINS_AT, first_quad, slice, lane);
        workgroupBarrier();
        lambda = add_slice(lambda, BASES_AT, GAINS_AT, low, lane);
    }
    workgroupBarrier();
    return lambda;
}

// Four components of a row of the tile that begins at first_row.
fn bases_quad(first_row: u32, row: u32, component_quad: u32) -> vec4<f32> {
    return bases[bases_start + (first_row + row) * params.bases_pitch + component_quad];
}

// Four columns of four components, one component per row. Components may exceed K; their sums are not used.
fn gains_block(first_quad: u32, quad: u32, component_quad: u32) -> mat4x4<f32> {
    let at = panel_cell(params.components, 4u * component_quad, first_quad + quad);
    return mat4x4<f32>(gains[at], gains[at + STRIP_QUADS], gains[at + 2u * STRIP_QUADS], gains[at + 3u * STRIP_QUADS]);
}
