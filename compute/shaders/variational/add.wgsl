// Adds the variance of a source to a sum of variances, and its logarithm to another if the constant LOGS is 1: Σ c, Σ log c.
//
// variance: c (F, N), sum: (F, N), which begins with the noise for the FIRST source, logs: (F, N), which begins with 0.
// exponent: the noise. An invocation owns four columns of a row.

@group(0) @binding(1) var<storage, read> variance: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> sum: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> logs: array<vec4<f32>>;

fn cells() -> u32 {
    return params.rows * params.chunk_quads;
}

fn work(cell: u32) {
    let c = floored(variance[cell]);
    var before = vec4<f32>(params.exponent);
    if (FIRST == 0u) {
        before = sum[cell];
    }
    sum[cell] = before + c;
    if (LOGS == 1u) {
        var logs_before = vec4<f32>(0.0);
        if (FIRST == 0u) {
            logs_before = logs[cell];
        }
        logs[cell] = logs_before + log(c);
    }
}
