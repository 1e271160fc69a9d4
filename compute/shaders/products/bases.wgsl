// Sums for an update of the bases over one split of the columns: N = P Hᵀ and D = Q Hᵀ.
//
// data: V (F, N), bases: W (F, K), gains: H (K, N), sums: (splits, N and D, pass_rows, K), with K in rows of
// bases_pitch vec4s.
// weights: (K, N), which multiply Q instead of H if the constant WEIGHED is 1.
// If the constant SEGMENTS is 1, splits: the first tile of every split in the window, and the tile behind its last.
// If Q is 1, D is the same for all rows. bases_denominator.wgsl forms it, and sums holds N alone.
// A workgroup owns TILE rows and 4 LANES BLOCKS components of one split, and walks along the split in tiles of 4 QUADS
// columns. Invocation (x, y) sums the rows x, x + QUADS, ... of the components of the quads y, y + LANES, ..., one 4 x
// 4 block each. The blocks are separate variables for the reason that gains.wgsl gives.
// A split that began in an earlier window continues from the sums of that window. So the order of a sum does not depend
// on how chunks and windows cut the panel.

@group(0) @binding(2) var<storage, read> bases: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> sums: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> places: array<vec2<u32>>;
@group(0) @binding(7) var<storage, read> splits: array<vec2<u32>>;

const WALKS_ROWS = false;
// N, and D if it is formed here.
const PARTS = 2u - u32(UNIT_DENOMINATOR);

fn block_of(at: u32, pitch: u32) -> vec4<u32> {
    return vec4<u32>(at, at + pitch, at + 2u * pitch, at + 3u * pitch);
}

// Blocks past the last component have no sums.
fn kept_sums(component_quad: u32, at: vec4<u32>) -> mat4x4<f32> {
    if (component_quad >= params.bases_pitch) {
        return mat4x4<f32>();
    }
    return mat4x4<f32>(sums[at.x], sums[at.y], sums[at.z], sums[at.w]);
}

fn finish(component_quad: u32, at_n: vec4<u32>, at_d: vec4<u32>, n: mat4x4<f32>, d: mat4x4<f32>) {
    if (component_quad < params.bases_pitch) {
        store(at_n, n);
        if (!UNIT_DENOMINATOR) {
            store(at_d, d);
        }
    }
}

fn store(at: vec4<u32>, sum: mat4x4<f32>) {
    sums[at.x] = sum[0];
    sums[at.y] = sum[1];
    sums[at.z] = sum[2];
    sums[at.w] = sum[3];
}

// Four columns of H, one per row of the block, by four components.
fn gains_columns(first_quad: u32, step: u32, component_quad: u32) -> mat4x4<f32> {
    return transpose(gains_block(first_quad, step, component_quad));
}

// The same block of the weights of Q.
fn weights_columns(first_quad: u32, step: u32, component_quad: u32, h: mat4x4<f32>) -> mat4x4<f32> {
    if (WEIGHED == 0u) {
        return h;
    }
    let first = panel_cell(params.components, 4u * component_quad, first_quad + step);
    let at = block_of(first, STRIP_QUADS);
    return transpose(mat4x4<f32>(weights[at.x], weights[at.y], weights[at.z], weights[at.w]));
}

fn add_denominator(sum: mat4x4<f32>, q: mat4x4<f32>, h: mat4x4<f32>, low: bool) -> mat4x4<f32> {
    if (UNIT_DENOMINATOR) {
        return sum;
    }
    return add_rows(sum, q, h, low);
}

// sum + left right, or its first row alone.
fn add_rows(sum: mat4x4<f32>, left: mat4x4<f32>, right: mat4x4<f32>, low: bool) -> mat4x4<f32> {
    if (low) {
        return mat4x4<f32>(add_row(sum[0], left[0], right), sum[1], sum[2], sum[3]);
    }
    return add_product(sum, left, right);
}

// Adds the contribution of four columns of the tile, to the first row of every block alone if `low`.
fn project(before: Sums, first_quad: u32, step: u32, component_quad: u32, x: u32, low: bool) -> Sums {
    var blocks = before;
    let at = block_of(x * PITCH + step, QUADS * PITCH);
    let p = mat4x4<f32>(sh_left[at.x], sh_left[at.y], sh_left[at.z], sh_left[at.w]);
    let q = mat4x4<f32>(sh_right[at.x], sh_right[at.y], sh_right[at.z], sh_right[at.w]);
    let h0 = gains_columns(first_quad, step, component_quad);
    let weights0 = weights_columns(first_quad, step, component_quad, h0);
    blocks.n0 = add_rows(blocks.n0, p, h0, low);
    blocks.d0 = add_denominator(blocks.d0, q, weights0, low);
    if (BLOCKS > 1u && component_quad + LANES < params.bases_pitch) {
        let h1 = gains_columns(first_quad, step, component_quad + LANES);
        let weights1 = weights_columns(first_quad, step, component_quad + LANES, h1);
        blocks.n1 = add_rows(blocks.n1, p, h1, low);
        blocks.d1 = add_denominator(blocks.d1, q, weights1, low);
    }
    if (BLOCKS > 2u && component_quad + 2u * LANES < params.bases_pitch) {
        let h2 = gains_columns(first_quad, step, component_quad + 2u * LANES);
        let weights2 = weights_columns(first_quad, step, component_quad + 2u * LANES, h2);
        blocks.n2 = add_rows(blocks.n2, p, h2, low);
        blocks.d2 = add_denominator(blocks.d2, q, weights2, low);
    }
    if (BLOCKS > 3u && component_quad + 3u * LANES < params.bases_pitch) {
        let h3 = gains_columns(first_quad, step, component_quad + 3u * LANES);
        let weights3 = weights_columns(first_quad, step, component_quad + 3u * LANES, h3);
        blocks.n3 = add_rows(blocks.n3, p, h3, low);
        blocks.d3 = add_denominator(blocks.d3, q, weights3, low);
    }
    return blocks;
}

// The split's sums from an earlier window.
fn taken_up(component_quad: u32, at_n: vec4<u32>, at_d: vec4<u32>) -> Sums {
    var blocks = Sums();
    blocks.n0 = kept_sums(component_quad, at_n);
    blocks.d0 = kept_sums(component_quad, at_d);
    if (BLOCKS > 1u) {
        blocks.n1 = kept_sums(component_quad + LANES, at_n + LANES);
        blocks.d1 = kept_sums(component_quad + LANES, at_d + LANES);
    }
    if (BLOCKS > 2u) {
        blocks.n2 = kept_sums(component_quad + 2u * LANES, at_n + 2u * LANES);
        blocks.d2 = kept_sums(component_quad + 2u * LANES, at_d + 2u * LANES);
    }
    if (BLOCKS > 3u) {
        blocks.n3 = kept_sums(component_quad + 3u * LANES, at_n + 3u * LANES);
        blocks.d3 = kept_sums(component_quad + 3u * LANES, at_d + 3u * LANES);
    }
    return blocks;
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row_tiles = params.pass_rows / TILE;
    let shares = (params.components + 4u * LANES * BLOCKS - 1u) / (4u * LANES * BLOCKS);
    let index = workgroup_index(group, groups);
    let split = params.first_split + index / (row_tiles * shares);
    if (split >= params.end_split) {
        return;
    }
    let pass_row = index % row_tiles * TILE;
    let x = lane_x(lane);
    let component_quad = index / row_tiles % shares * LANES * BLOCKS + lane_y(lane);
    let tiles = params.window_quads / QUADS;
    let begin = split * params.split_tiles;
    var first_tile = max(begin, params.first_tile) - params.first_tile;
    var end_tile = min(begin + params.split_tiles - params.first_tile, tiles);
    if (SEGMENTS == 1u) {
        first_tile = splits[split].x;
        end_tile = splits[split].y;
    }
    find_segment(params.first_quad + first_tile * QUADS);
    // Rows of a block are QUADS apart. The sums of D follow those of N.
    let block_pitch = QUADS * params.bases_pitch;
    let at_n = block_of((PARTS * split * params.pass_rows + pass_row + x) * params.bases_pitch + component_quad, block_pitch);
    let at_d = at_n + params.pass_rows * params.bases_pitch;

    var blocks = Sums();
    if (SEGMENTS == 0u && begin < params.first_tile) {
        blocks = taken_up(component_quad, at_n, at_d);
    }
    hold_bases(params.first_row + pass_row, lane);
    for (var tile = first_tile; tile < end_tile; tile++) {
        let first_quad = params.first_quad + tile * QUADS;
        take_fields(params.first_row + pass_row, first_quad, lane);
        // Invocations past the last component only take part in the barriers.
        if (component_quad >= params.bases_pitch) {
            continue;
        }
        // Only the first row of every block is inside the matrix.
        if (params.first_row + pass_row + QUADS >= params.rows) {
            for (var step = 0u; step < QUADS; step++) {
                blocks = project(blocks, first_quad, step, component_quad, x, true);
            }
            continue;
        }
        for (var step = 0u; step < QUADS; step += STEPS) {
            blocks = project(blocks, first_quad, step, component_quad, x, false);
            if (STEPS > 1u) {
                blocks = project(blocks, first_quad, step + 1u, component_quad, x, false);
            }
        }
    }
    finish(component_quad, at_n, at_d, blocks.n0, blocks.d0);
    if (BLOCKS > 1u) {
        finish(component_quad + LANES, at_n + LANES, at_d + LANES, blocks.n1, blocks.d1);
    }
    if (BLOCKS > 2u) {
        finish(component_quad + 2u * LANES, at_n + 2u * LANES, at_d + 2u * LANES, blocks.n2, blocks.d2);
    }
    if (BLOCKS > 3u) {
        finish(component_quad + 3u * LANES, at_n + 3u * LANES, at_d + 3u * LANES, blocks.n3, blocks.d3);
    }
}
