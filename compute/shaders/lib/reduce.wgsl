// Sums and maxima over a workgroup of 64 invocations, always in the same order.

var<workgroup> sh_reduce: array<vec4<f32>, 64>;

fn workgroup_sum(value: vec4<f32>, lane: u32) -> vec4<f32> {
    workgroupBarrier();
    sh_reduce[lane] = value;
    for (var half = 32u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) {
            sh_reduce[lane] += sh_reduce[lane + half];
        }
    }
    workgroupBarrier();
    return sh_reduce[0];
}

fn workgroup_max(value: vec4<f32>, lane: u32) -> vec4<f32> {
    workgroupBarrier();
    sh_reduce[lane] = value;
    for (var half = 32u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) {
            sh_reduce[lane] = max(sh_reduce[lane], sh_reduce[lane + half]);
        }
    }
    workgroupBarrier();
    return sh_reduce[0];
}
