// Workgroups of 64 that own a tile of a shifted product, and vec4s at four shifts.
//
// A kernel defines workgroups(), their number, and work(index, x, y), the work of invocation (x, y) of 8 x 8. It keeps
// strips of its factors in workgroup memory, extended beyond the tile by a halo, and reads all shifts from there. Lags
// of time are processed four at a time, as the entries of a vec4 and as the rows of a 4 x 4 block.

// Rows or columns of a tile, and vec4s per row.
const TILE = 32u;
const TILE_QUADS = 8u;
// The 8 invocations of a column share the rows of a tile.
const LANES = 8u;
const INVOCATIONS = 64u;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = workgroup_index(group, groups);
    if (index < workgroups()) {
        work(index, lane % LANES, lane / LANES);
    }
}

// Row j holds x_{k−j} for the four k of `here`.
fn shifted_right(before: vec4<f32>, here: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        here,
        vec4<f32>(before.w, here.xyz),
        vec4<f32>(before.zw, here.xy),
        vec4<f32>(before.yzw, here.x),
    );
}

// Row j holds x_{k+j} for the four k of `here`.
fn shifted_left(here: vec4<f32>, after: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        here,
        vec4<f32>(here.yzw, after.x),
        vec4<f32>(here.zw, after.xy),
        vec4<f32>(here.w, after.xyz),
    );
}
