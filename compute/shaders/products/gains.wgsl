// Updates the gains in one pass over the data: H ← rule(H, Wᵀ P, Wᵀ Q).
//
// data: V (F, N), bases: W (F, K), gains: H (K, N), new_gains: H after the update (K, N), denominators: D (K, N),
// costs: (1, N). row_sums: D by split where Q is 1 (splits, K), from gains_denominator.wgsl.
// If the constant COSTS is 1, costs receives the columns' costs before the update, including λ Σ_k H. If SUMS is 1,
// new_gains receives N and denominators receives D, so that a prior can be added before the rule.
// The rows are summed in splits of split_tiles tiles, and the splits' sums are added in order. Their number depends on
// F alone. If PART is 0, a workgroup walks down all splits and keeps the running sums in new_gains and denominators. If
// PART is 1, a workgroup handles one split, so that narrow panels fill a card, and leaves its sums for
// gains_reduce.wgsl: new_gains: (splits, N and D, K, N), costs: (splits, N).
// A workgroup owns 4 QUADS columns and 4 LANES BLOCKS components. It takes P and Q of a tile, formed or loaded, and
// back-projects them at once. Invocation (x, y) sums N and D for the columns of quad x and the components of the quads
// y, y + LANES, ..., one 4 x 4 block each. The blocks are separate variables, not an array, because some compilers
// leave an indexed array in memory, which would slow the kernel down. Sums run over f in order, and columns do not
// affect each other.

@group(0) @binding(2) var<storage, read> bases: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> new_gains: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> denominators: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> costs: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> row_sums: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read> places: array<vec2<u32>>;

const WALKS_ROWS = true;

fn add_denominator(sum: mat4x4<f32>, w: vec4<f32>, q: vec4<f32>) -> mat4x4<f32> {
    if (UNIT_DENOMINATOR) {
        return sum;
    }
    return add_outer(sum, w, q);
}

// Adds a row of the tile. Blocks past the last component read the padding after W; their sums are not kept.
fn project(before: Sums, first_row: u32, row: u32, component_quad: u32, x: u32) -> Sums {
    var blocks = before;
    let p = sh_left[row * PITCH + x];
    let q = sh_right[row * PITCH + x];
    let w0 = bases_quad(first_row, row, component_quad);
    blocks.n0 = add_outer(blocks.n0, w0, p);
    blocks.d0 = add_denominator(blocks.d0, w0, q);
    if (BLOCKS > 1u) {
        let w1 = bases_quad(first_row, row, component_quad + LANES);
        blocks.n1 = add_outer(blocks.n1, w1, p);
        blocks.d1 = add_denominator(blocks.d1, w1, q);
    }
    if (BLOCKS > 2u) {
        let w2 = bases_quad(first_row, row, component_quad + 2u * LANES);
        blocks.n2 = add_outer(blocks.n2, w2, p);
        blocks.d2 = add_denominator(blocks.d2, w2, q);
    }
    if (BLOCKS > 3u) {
        let w3 = bases_quad(first_row, row, component_quad + 3u * LANES);
        blocks.n3 = add_outer(blocks.n3, w3, p);
        blocks.d3 = add_denominator(blocks.d3, w3, q);
    }
    return blocks;
}

fn keep_row(split: u32, component: u32, quad: u32, n: vec4<f32>, d: vec4<f32>) {
    if (component >= params.components || !in_window(quad)) {
        return;
    }
    let cell = panel_cell(params.components, component, quad);
    if (PART == 1u) {
        let cells = params.components * params.chunk_quads;
        new_gains[2u * split * cells + cell] = n;
        new_gains[(2u * split + 1u) * cells + cell] = d;
        return;
    }
    var all_n = n;
    var all_d = d;
    if (split > 0u) {
        all_n += new_gains[cell];
        all_d += denominators[cell];
    }
    if (SUMS == 0u && split + 1u == params.end_split) {
        new_gains[cell] = updated(gains[cell], all_n, all_d);
    } else {
        new_gains[cell] = all_n;
        denominators[cell] = all_d;
    }
}

fn keep(split: u32, component_quad: u32, quad: u32, n: mat4x4<f32>, d: mat4x4<f32>) {
    var rows = d;
    if (UNIT_DENOMINATOR) {
        let split_sums = matrix * params.sums_stride + split * params.bases_pitch;
        let sum = row_sums[split_sums + min(component_quad, params.bases_pitch - 1u)];
        rows = mat4x4<f32>(sum.xxxx, sum.yyyy, sum.zzzz, sum.wwww);
    }
    keep_row(split, 4u * component_quad, quad, n[0], rows[0]);
    keep_row(split, 4u * component_quad + 1u, quad, n[1], rows[1]);
    keep_row(split, 4u * component_quad + 2u, quad, n[2], rows[2]);
    keep_row(split, 4u * component_quad + 3u, quad, n[3], rows[3]);
}

// λ times the sum of the components at one position of their TILE.
fn penalty(place: u32, quad: u32) -> vec4<f32> {
    var sum = vec4<f32>();
    for (var component = place; component < params.components; component += TILE) {
        sum += gains[panel_cell(params.components, component, quad)];
    }
    return params.sparsity * sum;
}

fn keep_costs(split: u32, sums: mat4x4<f32>, first_quad: u32, lane: u32) {
    let quad = window_quad(first_quad + lane_x(lane));
    let place = lane_y(lane);
    var with_penalty = sums;
    if (params.sparsity > 0.0 && split + 1u == params.end_split) {
        with_penalty[0] += penalty(place, quad);
        if (HEIGHT > 1u) {
            with_penalty[1] += penalty(place + LANES, quad);
        }
        if (HEIGHT > 2u) {
            with_penalty[2] += penalty(place + 2u * LANES, quad);
            with_penalty[3] += penalty(place + 3u * LANES, quad);
        }
    }
    var total = column_sums(with_penalty, lane);
    if (place == 0u && in_window(first_quad + lane_x(lane))) {
        let at = PART * split * params.chunk_quads + quad;
        if (PART == 0u && split > 0u) {
            total += costs[at];
        }
        costs[at] = total;
    }
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tiles = (params.window_quads + QUADS - 1u) / QUADS;
    let index = workgroup_index(group, groups);
    let first_quad = params.first_quad + index % tiles * QUADS;
    // The workgroups of a column differ in their components first, and then in their split.
    let shares = (params.components + 4u * LANES * BLOCKS - 1u) / (4u * LANES * BLOCKS);
    let first_component = index / tiles % shares * 4u * LANES * BLOCKS;
    let first_split = index / tiles / shares;
    if (first_split >= select(1u, params.end_split, PART == 1u)) {
        return;
    }
    find_segment(first_quad);
    let x = lane_x(lane);
    let component_quad = first_component / 4u + lane_y(lane);
    let split_rows = params.split_tiles * TILE;
    var split = first_split;
    var end_of_split = min((split + 1u) * split_rows, params.rows);
    let end_row = select(params.rows, end_of_split, PART == 1u);
    var blocks = Sums();
    var cost_sums = mat4x4<f32>();
    hold_gains(first_quad, lane);
    for (var first_row = first_split * split_rows; first_row < end_row; first_row += TILE) {
        let tile_costs = take_fields(first_row, first_quad, lane);
        if (COSTS == 1u) {
            cost_sums += tile_costs;
        }
        // Invocations past the last component only take part in the barriers.
        let rows = select(0u, min(TILE, params.rows - first_row), component_quad < params.bases_pitch);
        var row = 0u;
        for (; row + 4u <= rows; row += 4u) {
            blocks = project(blocks, first_row, row, component_quad, x);
            blocks = project(blocks, first_row, row + 1u, component_quad, x);
            blocks = project(blocks, first_row, row + 2u, component_quad, x);
            blocks = project(blocks, first_row, row + 3u, component_quad, x);
        }
        for (; row < rows; row++) {
            blocks = project(blocks, first_row, row, component_quad, x);
        }
        if (first_row + TILE < end_of_split) {
            continue;
        }
        // The added term is 0, because no panel has 4,096 rows above the last tile, but a compiler cannot know that.
        // Without it, the compiler computes all output addresses before the loop and uses over half as many registers
        // again (206 instead of 128 on sm_90, with two blocks).
        let quad = first_quad + x + first_row / 4096u;
        keep(split, component_quad, quad, blocks.n0, blocks.d0);
        if (BLOCKS > 1u) {
            keep(split, component_quad + LANES, quad, blocks.n1, blocks.d1);
        }
        if (BLOCKS > 2u) {
            keep(split, component_quad + 2u * LANES, quad, blocks.n2, blocks.d2);
        }
        if (BLOCKS > 3u) {
            keep(split, component_quad + 3u * LANES, quad, blocks.n3, blocks.d3);
        }
        // All workgroups that share the components of a column have formed its costs. One writes them.
        if (COSTS == 1u && first_component == 0u) {
            keep_costs(split, cost_sums, first_quad, lane);
        }
        blocks = Sums();
        cost_sums = mat4x4<f32>();
        split++;
        end_of_split = min(end_of_split + split_rows, params.rows);
    }
}
