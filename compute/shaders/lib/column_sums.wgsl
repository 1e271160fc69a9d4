// Sums down the columns of a tile, from values that its invocations accumulated row by row.
//
// There is one partial sum per row position in the tile. The TILE partial sums are added in order at the end, so the
// order of a sum is the same for every tiling.

// The sums of the invocation's column quad, given its partial sums. Only invocations with y = 0 get the result.
fn column_sums(sums: mat4x4<f32>, lane: u32) -> vec4<f32> {
    let at = lane_y(lane) * PITCH + lane_x(lane);
    workgroupBarrier();
    sh_left[at] = sums[0];
    if (HEIGHT > 1u) {
        sh_left[at + LANES * PITCH] = sums[1];
    }
    if (HEIGHT > 2u) {
        sh_left[at + 2u * LANES * PITCH] = sums[2];
        sh_left[at + 3u * LANES * PITCH] = sums[3];
    }
    workgroupBarrier();
    var total = vec4<f32>();
    if (lane_y(lane) == 0u) {
        for (var row = 0u; row < TILE; row++) {
            total += sh_left[row * PITCH + lane_x(lane)];
        }
    }
    return total;
}
