// Computes the mean power of a source, x (c/t)² + c o/t with t = c + o, or its mask c/t if the constant MASK is 1.
//
// data: x (F, N), not read for the mask. variance: c (F, N), others: o (F, N), the noise and the variances of the other sources;
// not read if the source is ALONE. exponent: the noise. result: (F, N). An invocation owns four columns of a row.

@group(0) @binding(1) var<storage, read> data: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> variance: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> others: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> result: array<vec4<f32>>;

fn cells() -> u32 {
    return params.rows * params.chunk_quads;
}

fn work(cell: u32) {
    let c = floored(variance[cell]);
    var o = vec4<f32>(params.exponent);
    if (ALONE == 0u) {
        o = others[cell];
    }
    let share = c / (c + o);
    if (MASK == 1u) {
        result[cell] = share;
    } else {
        result[cell] = (data[cell] * share) * share + share * o;
    }
}
