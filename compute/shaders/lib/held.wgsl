// Factors held in workgroup memory, with all components of a tile. They serve both Λ and the back-projection. The
// factor along which the kernel does not walk is loaded only once.
//
// The kernel's constant WALKS_ROWS says which one: a kernel that walks down the rows loads W for each tile and H once.

const HELD = LANES * BLOCKS / SLICE;
const FIELDS_SIZE = TILE * PITCH;
const BASES_AT = FIELDS_SIZE;
const GAINS_AT = FIELDS_SIZE;
const MASKS_BASES = !WALKS_ROWS;
// Quads of columns per turn of the loop of bases.wgsl.
const STEPS = 2u;

// P and Q of the kernel, or less, followed by the slices of W and of H.
var<workgroup> sh_left: array<vec4<f32>, FIELDS_SIZE + HELD * BASES_SLICE>;
var<workgroup> sh_right: array<vec4<f32>, FIELDS_SIZE + HELD * GAINS_SLICE>;

fn slices() -> u32 {
    return (params.components + 4u * SLICE - 1u) / (4u * SLICE);
}

fn hold_bases(first_row: u32, lane: u32) {
    for (var slice = 0u; slice < slices(); slice++) {
        stage_bases(BASES_AT + slice * BASES_SLICE, first_row, slice * SLICE, lane);
    }
}

fn hold_gains(first_quad: u32, lane: u32) {
    for (var slice = 0u; slice < slices(); slice++) {
        stage_gains(GAINS_AT + slice * GAINS_SLICE, first_quad, slice * SLICE, lane);
    }
}

fn model_tile(first_row: u32, first_quad: u32, lane: u32) -> mat4x4<f32> {
    workgroupBarrier();
    if (WALKS_ROWS) {
        hold_bases(first_row, lane);
    } else {
        hold_gains(first_quad, lane);
    }
    workgroupBarrier();
    if (is_low(first_row)) {
        return add_slices(true, lane);
    }
    return add_slices(false, lane);
}

fn add_slices(low: bool, lane: u32) -> mat4x4<f32> {
    var lambda = mat4x4<f32>();
    for (var slice = 0u; slice < slices(); slice++) {
        let bases_at = BASES_AT + slice * BASES_SLICE;
        lambda = add_slice(lambda, bases_at, GAINS_AT + slice * GAINS_SLICE, low, lane);
    }
    return lambda;
}

// Four components of a row of the tile.
fn bases_quad(first_row: u32, row: u32, component_quad: u32) -> vec4<f32> {
    return sh_left[BASES_AT + component_quad / SLICE * BASES_SLICE + row * SLICE_PITCH + component_quad % SLICE];
}

// Four columns of four components, one component per row. Components may exceed K; their sums are not used.
fn gains_block(first_quad: u32, quad: u32, component_quad: u32) -> mat4x4<f32> {
    let at = GAINS_AT + 4u * component_quad * PITCH + quad;
    return mat4x4<f32>(sh_right[at], sh_right[at + PITCH], sh_right[at + 2u * PITCH], sh_right[at + 3u * PITCH]);
}
