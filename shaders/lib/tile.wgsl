// A tile of the model, formed from slices of both factors staged in workgroup memory.
//
// Λ[f, n] = Σ_k W[f, k] H[k, n] over the components first_component..end_component, not floored
// bases: W (F, K), gains: H (K, N), both row-major in vec4s; a tile is TILE rows by QUADS vec4s of columns.
//
// A workgroup is QUADS x LANES invocations, by the generated constant TILING = 64 QUADS + LANES. Invocation (x, y) forms
// the rows y, y + LANES, ... of the four columns of quad x: HEIGHT rows, so that a step of four components is 16 HEIGHT
// multiply-adds for 4 + HEIGHT loads. Every entry is one chain of fma over k in order, whatever the tiling and the place
// of the tile in its panel: so are the sums over f of the kernels, and the tiling changes no bit of a column.

const TILE = 32u;
const QUADS = TILING / 64u;
const LANES = TILING % 64u;
const INVOCATIONS = QUADS * LANES;
const HEIGHT = TILE / LANES;
// Neighbouring invocations stand WIDTH side by side: a subgroup of 32 reads 8 vec4s of a row, all banks of workgroup
// memory once, and 4 rows.
const WIDTH = QUADS - QUADS / 16u * 8u;
// vec4s of a slice of the components.
const SLICE = 8u;
// A row of a slice of W is one vec4 longer than its 32 numbers, and so is a row of a tile of 32 columns or fewer, so that
// reads down a column meet different banks. Nothing reads down a tile of 64, and two of them fill 16 KiB as they are.
const SLICE_PITCH = 9u;
const PITCH = 9u + 7u * (QUADS / 16u);

// W (TILE, a slice) and H (a slice, QUADS) while Λ is formed; the kernel's own between two tiles.
var<workgroup> sh_left: array<vec4<f32>, TILE * PITCH>;
var<workgroup> sh_right: array<vec4<f32>, TILE * PITCH>;

fn lane_x(lane: u32) -> u32 {
    return lane % WIDTH + WIDTH * (lane / (WIDTH * LANES));
}

fn lane_y(lane: u32) -> u32 {
    return lane / WIDTH % LANES;
}

// A tile may reach over the end of the window: what stands there repeats the last quad, and is not written.
fn in_window(quad: u32) -> bool {
    return quad < params.first_quad + params.window_quads;
}

fn window_quad(quad: u32) -> u32 {
    return min(quad, params.first_quad + params.window_quads - 1u);
}

// Four components of a row of W, zero outside the range of Λ; rows past the last repeat it, their Λ is not used. A slice
// may reach past the end of W, into what the host leaves there for it.
fn staged_bases(row: u32, quad: u32) -> vec4<f32> {
    let component = entries(quad);
    let inside = (component >= vec4<u32>(params.first_component)) & (component < vec4<u32>(params.end_component));
    return select(vec4<f32>(0.0), bases[min(row, params.rows - 1u) * params.bases_pitch + quad], inside);
}

// Four columns of a component of H. Components out of the range meet a zero of W, they need only be finite.
fn staged_gains(component: u32, quad: u32) -> vec4<f32> {
    return gains[min(component, params.end_component - 1u) * params.panel_pitch + quad];
}

fn model_tile(first_row: u32, first_quad: u32, lane: u32) -> mat4x4<f32> {
    let x = lane_x(lane);
    let y = lane_y(lane);
    var lambda = mat4x4<f32>();
    for (var slice = params.first_component / 4u; 4u * slice < params.end_component; slice += SLICE) {
        workgroupBarrier();
        for (var cell = lane; cell < TILE * SLICE; cell += INVOCATIONS) {
            let row = cell / SLICE;
            let quad = cell % SLICE;
            sh_left[row * SLICE_PITCH + quad] = staged_bases(first_row + row, slice + quad);
        }
        for (var cell = lane; cell < TILE * QUADS; cell += INVOCATIONS) {
            let component = cell / QUADS;
            let quad = cell % QUADS;
            sh_right[component * PITCH + quad] = staged_gains(4u * slice + component, window_quad(first_quad + quad));
        }
        workgroupBarrier();
        for (var step = 0u; step < SLICE; step++) {
            let left = y * SLICE_PITCH + step;
            let right = 4u * step * PITCH + x;
            let h = mat4x4<f32>(
                sh_right[right], sh_right[right + PITCH], sh_right[right + 2u * PITCH], sh_right[right + 3u * PITCH],
            );
            lambda[0] = add_row(lambda[0], sh_left[left], h);
            if (HEIGHT > 1u) {
                lambda[1] = add_row(lambda[1], sh_left[left + LANES * SLICE_PITCH], h);
            }
            if (HEIGHT > 2u) {
                lambda[2] = add_row(lambda[2], sh_left[left + 2u * LANES * SLICE_PITCH], h);
                lambda[3] = add_row(lambda[3], sh_left[left + 3u * LANES * SLICE_PITCH], h);
            }
        }
    }
    return lambda;
}
