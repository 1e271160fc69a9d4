// A tile of the model, formed from slices of both factors staged in workgroup memory.
//
// Λ[f, n] = Σ_k W[f, k] H[k, n] over the components first_component..end_component, not floored
// bases: W (F, K), gains: H (K, N), both row-major in vec4s; a tile is TILE rows by TILE columns.
//
// A workgroup is 8 x 8 invocations. Invocation (x, y) forms the rows y, y + 8, y + 16 and y + 24 of the four columns of
// quad x: 64 multiply-adds for 8 loads. Rows are interleaved, and a row of workgroup memory is one vec4 longer than its
// 32 numbers, so that the invocations of a subgroup read neighbouring banks. Sums run over k in order, whatever the
// place of the tile in its panel.

const TILE = 32u;
const LANES = 8u;
const INVOCATIONS = 64u;
const PITCH = 9u;

// W (TILE, 32 components) and H (32 components, TILE) while Λ is formed; the kernel's own between two tiles.
var<workgroup> sh_left: array<vec4<f32>, TILE * PITCH>;
var<workgroup> sh_right: array<vec4<f32>, TILE * PITCH>;

// Four components of a row of W, zero outside the range of Λ; rows past the last repeat it, their Λ is not used.
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
    let x = lane % LANES;
    let y = lane / LANES;
    var lambda = mat4x4<f32>();
    for (var slice = params.first_component / 4u; 4u * slice < params.end_component; slice += LANES) {
        workgroupBarrier();
        for (var row = y; row < TILE; row += LANES) {
            sh_left[row * PITCH + x] = staged_bases(first_row + row, slice + x);
            sh_right[row * PITCH + x] = staged_gains(4u * slice + row, first_quad + x);
        }
        workgroupBarrier();
        for (var step = 0u; step < LANES; step++) {
            let left = y * PITCH + step;
            let right = 4u * step * PITCH + x;
            let w = mat4x4<f32>(
                sh_left[left], sh_left[left + 8u * PITCH], sh_left[left + 16u * PITCH], sh_left[left + 24u * PITCH],
            );
            let h = mat4x4<f32>(
                sh_right[right], sh_right[right + PITCH], sh_right[right + 2u * PITCH], sh_right[right + 3u * PITCH],
            );
            lambda = add_product(lambda, w, h);
        }
    }
    return lambda;
}
