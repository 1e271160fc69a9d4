// A tile of the model: how its cells lie over a workgroup, and what a slice of both factors adds to it.
//
// Λ[f, n] = Σ_k W[f, k] H[k, n] over the components first_component..end_component, not floored
// bases: W (F, K), row-major in vec4s; gains: H (K, N), in strips; a tile is TILE rows by QUADS vec4s of columns.
//
// A workgroup is QUADS x LANES invocations, by the generated constant TILING = 64 QUADS + LANES. Invocation (x, y) forms
// the rows y, y + LANES, ... of the four columns of quad x: HEIGHT rows, so that a step of four components is 16 HEIGHT
// multiply-adds for 4 + HEIGHT loads. Every entry is one chain of fma over k in order, whatever the tiling and the place
// of the tile in its panel: so are the sums over f of the kernels, and the tiling changes no bit of a column.
//
// Slices of the factors stand in sh_left, W from BASES_AT on, and sh_right, H from GAINS_AT on. Two files declare them and fill
// in model_tile: lib/passing.wgsl holds one slice at a time, lib/held.wgsl all of them.

const TILE = 32u;
const QUADS = TILING / 64u;
const LANES = TILING % 64u;
const INVOCATIONS = QUADS * LANES;
const HEIGHT = TILE / LANES;
// Quads that stand side by side in a subgroup.
const WIDTH = QUADS - QUADS / 16u * 8u;
// vec4s of a slice of the components.
const SLICE = 8u;
// A row of a slice of W is one vec4 longer than its 32 numbers, and so is a row of a tile of 32 columns or fewer, so that
// reads down a column meet different banks. A tile of 64 columns has no room for it: two of them fill 16 KiB.
const SLICE_PITCH = SLICE + 1u;
const PITCH = QUADS + 1u - QUADS / 16u;
// vec4s of a slice of each factor in workgroup memory.
const BASES_SLICE = TILE * SLICE_PITCH;
const GAINS_SLICE = 4u * SLICE * PITCH;

// N and D of the blocks that an invocation of a back-projection sums.
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

// Neighbours share a quad and differ in y, those two apart share y and differ in x: every load of a vec4 from workgroup memory
// is the same for some neighbours. On an H200 such loads took two clocks where neighbours wanted the same, and four where not.
fn lane_x(lane: u32) -> u32 {
    return lane / 2u % WIDTH + WIDTH * (lane / (WIDTH * LANES));
}

fn lane_y(lane: u32) -> u32 {
    return lane % 2u + 2u * (lane % (WIDTH * LANES) / (2u * WIDTH));
}

// A tile may reach over the end of the window: what stands there repeats the last quad, and is not written.
fn in_window(quad: u32) -> bool {
    return quad < params.first_quad + params.window_quads;
}

fn window_quad(quad: u32) -> u32 {
    return min(quad, params.first_quad + params.window_quads - 1u);
}

// Brings 32 components of a tile's rows of W, zero outside the range of Λ; rows past the last repeat it, their Λ is not used. A
// slice may reach past the end of W, into what the host leaves there for it.
fn stage_bases(at: u32, first_row: u32, slice: u32, lane: u32) {
    // An invocation keeps to its quad and steps down the rows, a constant number of times: the loop is unrolled.
    let quad = lane % SLICE;
    let component = entries(slice + quad);
    let inside = (component >= vec4<u32>(params.first_component)) & (component < vec4<u32>(params.end_component));
    for (var turn = 0u; turn < TILE * SLICE / INVOCATIONS; turn++) {
        let row = lane / SLICE + turn * (INVOCATIONS / SLICE);
        let w = bases[min(first_row + row, params.rows - 1u) * params.bases_pitch + slice + quad];
        sh_left[at + row * SLICE_PITCH + quad] = select(vec4<f32>(0.0), w, inside);
    }
}

// Brings 32 components of a tile's columns of H. Components out of the range meet a zero of W, they need only be finite.
fn stage_gains(at: u32, first_quad: u32, slice: u32, lane: u32) {
    for (var turn = 0u; turn < 4u * SLICE * QUADS / INVOCATIONS; turn++) {
        let cell = turn * INVOCATIONS + lane;
        let component = min(4u * slice + cell / QUADS, params.end_component - 1u);
        let quad = window_quad(first_quad + cell % QUADS);
        sh_right[at + cell / QUADS * PITCH + cell % QUADS] = gains[panel_cell(params.components, component, quad)];
    }
}

// Λ of the invocation's cells and what 32 components add to it.
fn add_slice(lambda: mat4x4<f32>, bases_at: u32, gains_at: u32, x: u32, y: u32) -> mat4x4<f32> {
    var sum = lambda;
    for (var step = 0u; step < SLICE; step++) {
        let left = bases_at + y * SLICE_PITCH + step;
        let right = gains_at + 4u * step * PITCH + x;
        let h = mat4x4<f32>(
            sh_right[right], sh_right[right + PITCH], sh_right[right + 2u * PITCH], sh_right[right + 3u * PITCH],
        );
        sum[0] = add_row(sum[0], sh_left[left], h);
        if (HEIGHT > 1u) {
            sum[1] = add_row(sum[1], sh_left[left + LANES * SLICE_PITCH], h);
        }
        if (HEIGHT > 2u) {
            sum[2] = add_row(sum[2], sh_left[left + 2u * LANES * SLICE_PITCH], h);
            sum[3] = add_row(sum[3], sh_left[left + 3u * LANES * SLICE_PITCH], h);
        }
    }
    return sum;
}
