// Workgroups of 64 that own a tile of what shifted factors make, and four neighbours at four shifts.
//
// A kernel fills in workgroups(), how many there are, and work(index, x, y), what the invocation at (x, y) of 8 x 8 does. It
// keeps strips of its factors in workgroup memory, longer than the tile by a halo, and reads all shifts from there. Lags of time
// are taken four at a time, as the entries of a vec4 and of the rows of a 4 x 4 block.

// Rows or columns of a tile, and the vec4s of a row of it.
const TILE = 32u;
const TILE_QUADS = 8u;
// The rows of a tile are dealt out to the 8 invocations of a column.
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

// Row j holds x_{k−j}, k the four of `here`.
fn shifted_right(before: vec4<f32>, here: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        here,
        vec4<f32>(before.w, here.xyz),
        vec4<f32>(before.zw, here.xy),
        vec4<f32>(before.yzw, here.x),
    );
}

// Row j holds x_{k+j}, k the four of `here`.
fn shifted_left(here: vec4<f32>, after: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        here,
        vec4<f32>(here.yzw, after.x),
        vec4<f32>(here.zw, after.xy),
        vec4<f32>(here.w, after.xyz),
    );
}
