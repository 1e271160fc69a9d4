// Updates the gains: H ← rule(H, Wᵀ P, Wᵀ Q), in one pass over the data.
//
// data: V (F, N), bases: W (F, K), gains: H (K, N), new_gains: H after the update (K, N).
// beside: (1, N), the columns' costs before the update, λ Σ_k H with them, if the constant COSTS is 1. If the constant SUMS is
// 1, new_gains is Wᵀ P and beside is Wᵀ Q (K, N), for a prior to be added before the rule is applied.
// A workgroup owns 4 QUADS columns and 4 LANES BLOCKS components. It walks down the rows a tile at a time, takes P and Q
// there, formed anew or stored, and back-projects them at once. Invocation (x, y) sums N and D of the columns of quad x and of the components of the
// quads y, y + LANES, ..., one 4 x 4 block each. The blocks are named, not an array: a compiler that left an indexed array
// in memory would spoil the kernel. Sums run over f in order, and no column sees another.

@group(0) @binding(2) var<storage, read> bases: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> new_gains: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> beside: array<vec4<f32>>;

const WALKS_ROWS = true;

// Where Q is 1, row 0 of D's block gathers Σ_f W of the block's four components.
fn add_denominator(sum: mat4x4<f32>, w: vec4<f32>, q: vec4<f32>) -> mat4x4<f32> {
    if (UNIT_DENOMINATOR) {
        return mat4x4<f32>(sum[0] + w, sum[1], sum[2], sum[3]);
    }
    return add_outer(sum, w, q);
}

fn finish_row(component: u32, quad: u32, n: vec4<f32>, d: vec4<f32>) {
    if (component < params.components && in_window(quad)) {
        let at = panel_cell(params.components, component, quad);
        if (SUMS == 1u) {
            new_gains[at] = n;
            beside[at] = d;
        } else {
            new_gains[at] = updated(gains[at], n, d);
        }
    }
}

fn finish(component_quad: u32, quad: u32, n: mat4x4<f32>, d: mat4x4<f32>) {
    var rows = d;
    if (UNIT_DENOMINATOR) {
        rows = mat4x4<f32>(d[0].xxxx, d[0].yyyy, d[0].zzzz, d[0].wwww);
    }
    finish_row(4u * component_quad, quad, n[0], rows[0]);
    finish_row(4u * component_quad + 1u, quad, n[1], rows[1]);
    finish_row(4u * component_quad + 2u, quad, n[2], rows[2]);
    finish_row(4u * component_quad + 3u, quad, n[3], rows[3]);
}

// λ H summed over the components that stand at one place of their TILE.
fn penalty(place: u32, quad: u32) -> vec4<f32> {
    var sum = vec4<f32>();
    for (var component = place; component < params.components; component += TILE) {
        sum += gains[panel_cell(params.components, component, quad)];
    }
    return params.sparsity * sum;
}

fn finish_costs(sums: mat4x4<f32>, first_quad: u32, lane: u32) {
    let quad = window_quad(first_quad + lane_x(lane));
    let place = lane_y(lane);
    var with_penalty = sums;
    if (params.sparsity > 0.0) {
        with_penalty[0] += penalty(place, quad);
        if (HEIGHT > 1u) {
            with_penalty[1] += penalty(place + LANES, quad);
        }
        if (HEIGHT > 2u) {
            with_penalty[2] += penalty(place + 2u * LANES, quad);
            with_penalty[3] += penalty(place + 3u * LANES, quad);
        }
    }
    let total = column_sums(with_penalty, lane);
    if (place == 0u && in_window(first_quad + lane_x(lane))) {
        beside[quad] = total;
    }
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = workgroup_index(group, groups);
    let tiles = (params.window_quads + QUADS - 1u) / QUADS;
    let first_quad = params.first_quad + index % tiles * QUADS;
    let first_component = index / tiles * 4u * LANES * BLOCKS;
    if (first_component >= params.components) {
        return;
    }
    let x = lane_x(lane);
    let component_quad = first_component / 4u + lane_y(lane);
    var cost_sums = mat4x4<f32>();
    var n0 = mat4x4<f32>();
    var n1 = mat4x4<f32>();
    var n2 = mat4x4<f32>();
    var n3 = mat4x4<f32>();
    var d0 = mat4x4<f32>();
    var d1 = mat4x4<f32>();
    var d2 = mat4x4<f32>();
    var d3 = mat4x4<f32>();
    hold_gains(first_quad, lane);
    // Blocks past the last component read on, within what stands after W, and are not written.
    for (var first_row = 0u; first_row < params.rows; first_row += TILE) {
        cost_sums += take_fields(first_row, first_quad, lane);
        // Invocations past the last component wait for the others.
        let rows = select(0u, min(TILE, params.rows - first_row), component_quad < params.bases_pitch);
        for (var row = 0u; row < rows; row++) {
            let p = sh_left[row * PITCH + x];
            let q = sh_right[row * PITCH + x];
            let w0 = bases_quad(first_row, row, component_quad);
            n0 = add_outer(n0, w0, p);
            d0 = add_denominator(d0, w0, q);
            if (BLOCKS > 1u) {
                let w1 = bases_quad(first_row, row, component_quad + LANES);
                n1 = add_outer(n1, w1, p);
                d1 = add_denominator(d1, w1, q);
            }
            if (BLOCKS > 2u) {
                let w2 = bases_quad(first_row, row, component_quad + 2u * LANES);
                n2 = add_outer(n2, w2, p);
                d2 = add_denominator(d2, w2, q);
            }
            if (BLOCKS > 3u) {
                let w3 = bases_quad(first_row, row, component_quad + 3u * LANES);
                n3 = add_outer(n3, w3, p);
                d3 = add_denominator(d3, w3, q);
            }
        }
    }
    finish(component_quad, first_quad + x, n0, d0);
    if (BLOCKS > 1u) {
        finish(component_quad + LANES, first_quad + x, n1, d1);
    }
    if (BLOCKS > 2u) {
        finish(component_quad + 2u * LANES, first_quad + x, n2, d2);
    }
    if (BLOCKS > 3u) {
        finish(component_quad + 3u * LANES, first_quad + x, n3, d3);
    }
    // Workgroups that share the components of a column have all formed its costs.
    if (COSTS == 1u && first_component == 0u) {
        finish_costs(cost_sums, first_quad, lane);
    }
}
