// Products of 4 x 4 blocks in registers, with explicit fma. All kernels that form the same sum round it alike.
//
// A block is stored row by row: column i of the WGSL matrix is row i of the block.

fn add_row(sum: vec4<f32>, left: vec4<f32>, right: mat4x4<f32>) -> vec4<f32> {
    let two = fma(left.yyyy, right[1], fma(left.xxxx, right[0], sum));
    return fma(left.wwww, right[3], fma(left.zzzz, right[2], two));
}

// sum + left right
fn add_product(sum: mat4x4<f32>, left: mat4x4<f32>, right: mat4x4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        add_row(sum[0], left[0], right),
        add_row(sum[1], left[1], right),
        add_row(sum[2], left[2], right),
        add_row(sum[3], left[3], right),
    );
}

// sum + left rightᵀ, of two vectors
fn add_outer(sum: mat4x4<f32>, left: vec4<f32>, right: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        fma(left.xxxx, right, sum[0]),
        fma(left.yyyy, right, sum[1]),
        fma(left.zzzz, right, sum[2]),
        fma(left.wwww, right, sum[3]),
    );
}
