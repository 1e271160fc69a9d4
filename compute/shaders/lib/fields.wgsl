// Forms the fields P and Q of a tile and leaves them in workgroup memory for the back-projections.
//
// P = numerator(V, Λ), Q = denominator(V, Λ), Λ = max(WH, MODEL_FLOOR). Both are 0 outside the matrix.
// data: V (F, N). After take_fields, sh_left holds P and sh_right holds Q, each in TILE rows of PITCH vec4s.
// If Q is 1 everywhere (UNIT_DENOMINATOR), it is not formed: the kernels sum the other factor instead.

@group(0) @binding(1) var<storage, read> data: array<vec4<f32>>;

// If the constant COSTS is 1, returns the costs of the invocation's cells, one row of the matrix per row of the tile.
// V is loaded before Λ is formed, so the products hide the memory latency.
fn take_fields(first_row: u32, first_quad: u32, lane: u32) -> mat4x4<f32> {
    let quad = window_quad(first_quad + lane_x(lane));
    let row = first_row + lane_y(lane);
    var v = mat4x4<f32>();
    v[0] = datum(row, quad);
    if (HEIGHT > 1u) {
        v[1] = datum(row + LANES, quad);
    }
    if (HEIGHT > 2u) {
        v[2] = datum(row + 2u * LANES, quad);
        v[3] = datum(row + 3u * LANES, quad);
    }
    let lambda = model_tile(first_row, first_quad, lane);
    // Most tiles lie entirely inside the matrix. All their invocations know it and mask nothing.
    let whole = first_row + TILE <= params.rows && 4u * (first_quad + QUADS) <= end_column;
    var costs: mat4x4<f32>;
    if (whole) {
        costs = form_rows(row, quad, lane, true, v, lambda);
    } else {
        costs = form_rows(row, quad, lane, false, v, lambda);
    }
    workgroupBarrier();
    return costs;
}

fn form_rows(row: u32, quad: u32, lane: u32, whole: bool, v: mat4x4<f32>, lambda: mat4x4<f32>) -> mat4x4<f32> {
    let at = lane_y(lane) * PITCH + lane_x(lane);
    var costs = mat4x4<f32>();
    costs[0] = form_row(at, row, quad, whole, v[0], lambda[0]);
    if (HEIGHT > 1u) {
        costs[1] = form_row(at + LANES * PITCH, row + LANES, quad, whole, v[1], lambda[1]);
    }
    if (HEIGHT > 2u) {
        costs[2] = form_row(at + 2u * LANES * PITCH, row + 2u * LANES, quad, whole, v[2], lambda[2]);
        costs[3] = form_row(at + 3u * LANES * PITCH, row + 3u * LANES, quad, whole, v[3], lambda[3]);
    }
    return costs;
}

fn datum(row: u32, quad: u32) -> vec4<f32> {
    return data[panel_cell(params.rows, min(row, params.rows - 1u), quad)];
}

fn form_row(at: u32, row: u32, quad: u32, whole: bool, v: vec4<f32>, product: vec4<f32>) -> vec4<f32> {
    let lambda = max(product, vec4<f32>(MODEL_FLOOR));
    var p = numerator(v, lambda);
    var q = denominator(v, lambda);
    var cost = vec4<f32>(0.0);
    if (COSTS == 1u) {
        cost = rough_cost(v, lambda, p, q);
    }
    if (!whole) {
        let inside = (entries(quad) < vec4<u32>(end_column)) & vec4<bool>(row < params.rows);
        p = select(vec4<f32>(0.0), p, inside);
        q = select(vec4<f32>(0.0), q, inside);
        cost = select(vec4<f32>(0.0), cost, inside);
    }
    sh_left[at] = p;
    if (!UNIT_DENOMINATOR) {
        sh_right[at] = q;
    }
    return cost;
}
