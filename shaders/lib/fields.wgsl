// The fields P and Q of a tile, left in workgroup memory for the back-projections.
//
// P = numerator(V, Λ), Q = denominator(V, Λ), Λ = max(WH, MODEL_FLOOR); both are 0 outside the matrix.
// data: V (F, N); after form_fields sh_left holds P and sh_right Q, TILE rows of PITCH vec4s.
// Where Q is 1 everywhere (UNIT_DENOMINATOR) it is not formed: the kernels sum the other factor instead.

// V is asked for before Λ is formed, so that its way from memory is hidden behind the products.
fn form_fields(first_row: u32, first_quad: u32, lane: u32) {
    let quad = first_quad + lane % LANES;
    let row = first_row + lane / LANES;
    let v = mat4x4<f32>(
        datum(row, quad), datum(row + LANES, quad), datum(row + 2u * LANES, quad), datum(row + 3u * LANES, quad),
    );
    let lambda = model_tile(first_row, first_quad, lane);
    workgroupBarrier();
    store_fields(lane, row, quad, v[0], lambda[0]);
    store_fields(lane + LANES * LANES, row + LANES, quad, v[1], lambda[1]);
    store_fields(lane + 2u * LANES * LANES, row + 2u * LANES, quad, v[2], lambda[2]);
    store_fields(lane + 3u * LANES * LANES, row + 3u * LANES, quad, v[3], lambda[3]);
    workgroupBarrier();
}

fn datum(row: u32, quad: u32) -> vec4<f32> {
    return data[min(row, params.rows - 1u) * params.panel_pitch + quad];
}

fn store_fields(cell: u32, row: u32, quad: u32, v: vec4<f32>, product: vec4<f32>) {
    let at = cell / LANES * PITCH + cell % LANES;
    let lambda = max(product, vec4<f32>(MODEL_FLOOR));
    let inside = (entries(quad) < vec4<u32>(params.columns)) & vec4<bool>(row < params.rows);
    sh_left[at] = select(vec4<f32>(0.0), numerator(v, lambda), inside);
    if (!UNIT_DENOMINATOR) {
        sh_right[at] = select(vec4<f32>(0.0), denominator(v, lambda), inside);
    }
}
