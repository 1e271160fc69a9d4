// A tile of the model: its layout over a workgroup, and the contribution of a slice of both factors.
//
// Λ[f, n] = Σ_k W[f, k] H[k, n] over the components first_component..end_component, unfloored.
// bases: W (F, K), row-major in vec4s. gains: H (K, N), in strips. A tile is TILE rows by QUADS vec4s of columns.
//
// A workgroup is QUADS x LANES invocations; the generated constant TILING = 64 QUADS + LANES sets both. Invocation (x,
// y) forms the rows y, y + LANES, ... of the four columns of quad x. These are HEIGHT rows, so a step of four
// components takes 16 HEIGHT multiply-adds and 4 + HEIGHT loads.
// Every entry is one chain of fma over k in order, for any tiling and any place of the tile in its panel. The kernels'
// sums over f are ordered alike. So the tiling changes no bit of a column.
//
// A dispatch processes tiles of one segment, or of many with the constant SEGMENTS = 1. Then the binding `places` of the
// kernel tells, for every tile of 32 columns of the window, which matrix it uses and where the columns of its segment
// end. Tiles of the model are not wider then.
//
// sh_left and sh_right hold slices of the factors, W from BASES_AT on and H from GAINS_AT on. Two files declare them
// and define model_tile: lib/passing.wgsl holds one slice at a time, lib/held.wgsl all of them.

const TILE = 32u;
const QUADS = TILING / 64u;
const LANES = TILING % 64u;
const INVOCATIONS = QUADS * LANES;
const HEIGHT = TILE / LANES;
// Quads side by side in a subgroup.
const WIDTH = QUADS - QUADS / 16u * 8u;
// vec4s per slice of the components.
const SLICE = 8u;
// A row of a slice of W has one vec4 more than its 32 numbers, and so has a row of a tile of 32 columns or fewer. Reads
// down a column then hit different banks. A tile of 64 columns has no room for it: two of them fill 16 KiB.
const SLICE_PITCH = SLICE + 1u;
const PITCH = QUADS + 1u - QUADS / 16u;
// vec4s of a slice of each factor in workgroup memory.
const BASES_SLICE = TILE * SLICE_PITCH;
const GAINS_SLICE = 4u * SLICE * PITCH;

// The matrix of the workgroup's segment, and the end of its columns.
var<private> matrix: u32;
var<private> bases_start: u32;
var<private> end_column: u32;

fn find_segment(first_quad: u32) {
    matrix = 0u;
    end_column = params.columns;
    if (SEGMENTS == 1u) {
        let place = places[(first_quad - params.first_quad) / STRIP_QUADS];
        matrix = place.x;
        end_column = place.y;
    }
    bases_start = matrix * params.bases_stride;
}

// N and D of the blocks that an invocation sums in a back-projection.
struct Sums {
    n0: mat4x4<f32>,
    n1: mat4x4<f32>,
    n2: mat4x4<f32>,
    n3: mat4x4<f32>,
    d0: mat4x4<f32>,
    d1: mat4x4<f32>,
    d2: mat4x4<f32>,
    d3: mat4x4<f32>,
}

// Adjacent lanes share a quad and differ in y. Lanes at distance two share y and differ in x. So for every vec4 load
// from workgroup memory, some adjacent lanes load the same address. On an H200, such loads took two clocks where
// adjacent lanes shared the address, and four where not.
fn lane_x(lane: u32) -> u32 {
    return lane / 2u % WIDTH + WIDTH * (lane / (WIDTH * LANES));
}

fn lane_y(lane: u32) -> u32 {
    return lane % 2u + 2u * (lane % (WIDTH * LANES) / (2u * WIDTH));
}

// A tile may exceed the window. The excess repeats the last quad and is not written.
fn in_window(quad: u32) -> bool {
    return quad < params.first_quad + params.window_quads;
}

fn window_quad(quad: u32) -> u32 {
    return min(quad, params.first_quad + params.window_quads - 1u);
}

// Components outside the range of Λ are zero in one of the factors, and finite in the other. The constant MASKS_BASES
// says which one is masked: the one that is loaded less often.

// Stages 32 components of a tile's rows of W. Rows past the last repeat it; their Λ is not used.
fn stage_bases(at: u32, first_row: u32, slice: u32, lane: u32) {
    // Each invocation keeps its quad and steps down the rows a constant number of times, so the loop is unrolled.
    let quad = lane % SLICE;
    let from_quad = min(slice + quad, params.bases_pitch - 1u);
    let component = entries(slice + quad);
    let inside = (component >= vec4<u32>(params.first_component)) & (component < vec4<u32>(params.end_component));
    for (var turn = 0u; turn < TILE * SLICE / INVOCATIONS; turn++) {
        let row = lane / SLICE + turn * (INVOCATIONS / SLICE);
        var w = bases[bases_start + min(first_row + row, params.rows - 1u) * params.bases_pitch + from_quad];
        if (MASKS_BASES) {
            w = select(vec4<f32>(0.0), w, inside);
        }
        sh_left[at + row * SLICE_PITCH + quad] = w;
    }
}

// Stages 32 components of a tile's columns of H.
fn stage_gains(at: u32, first_quad: u32, slice: u32, lane: u32) {
    for (var turn = 0u; turn < 4u * SLICE * QUADS / INVOCATIONS; turn++) {
        let cell = turn * INVOCATIONS + lane;
        let component = 4u * slice + cell / QUADS;
        let quad = window_quad(first_quad + cell % QUADS);
        var h = gains[panel_cell(params.components, min(component, params.end_component - 1u), quad)];
        if (!MASKS_BASES) {
            let inside = component >= params.first_component && component < params.end_component;
            h = select(vec4<f32>(0.0), h, inside);
        }
        sh_right[at + cell / QUADS * PITCH + cell % QUADS] = h;
    }
}

// Whether only the first row of each invocation can be inside the matrix. With 2^m + 1 bins, this is so in the last tile.
fn is_low(first_row: u32) -> bool {
    return HEIGHT > 1u && first_row + LANES >= params.rows;
}

// Adds the contribution of four components to Λ of the invocation's cells, or of its first row alone if `low`.
fn add_step(lambda: mat4x4<f32>, left: u32, right: u32, low: bool) -> mat4x4<f32> {
    var sum = lambda;
    let h = mat4x4<f32>(
        sh_right[right], sh_right[right + PITCH], sh_right[right + 2u * PITCH], sh_right[right + 3u * PITCH],
    );
    sum[0] = add_row(sum[0], sh_left[left], h);
    if (HEIGHT > 1u && !low) {
        sum[1] = add_row(sum[1], sh_left[left + LANES * SLICE_PITCH], h);
    }
    if (HEIGHT > 2u && !low) {
        sum[2] = add_row(sum[2], sh_left[left + 2u * LANES * SLICE_PITCH], h);
        sum[3] = add_row(sum[3], sh_left[left + 3u * LANES * SLICE_PITCH], h);
    }
    return sum;
}

// Adds the contribution of 32 components.
fn add_slice(lambda: mat4x4<f32>, bases_at: u32, gains_at: u32, low: bool, lane: u32) -> mat4x4<f32> {
    var sum = lambda;
    let left = bases_at + lane_y(lane) * SLICE_PITCH;
    let right = gains_at + lane_x(lane);
    if (low) {
        for (var step = 0u; step < SLICE; step++) {
            sum = add_step(sum, left + step, right + 4u * step * PITCH, true);
        }
        return sum;
    }
    for (var step = 0u; step < SLICE; step += 4u) {
        sum = add_step(sum, left + step, right + 4u * step * PITCH, false);
        sum = add_step(sum, left + step + 1u, right + 4u * (step + 1u) * PITCH, false);
        sum = add_step(sum, left + step + 2u, right + 4u * (step + 2u) * PITCH, false);
        sum = add_step(sum, left + step + 3u, right + 4u * (step + 3u) * PITCH, false);
    }
    return sum;
}
