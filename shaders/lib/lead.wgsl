// A place further along a path, in log space: lead(x, x', b) = x (x/x')^b, 0 where x is.
//
// A ratio counts for 1/REACH to REACH where b > 0. Nothing is divided that could leave the range of f32.

// REACH of src/kernels/momentum.
const REACH = 2.0;

fn lead(ahead: vec4<f32>, behind: vec4<f32>, share: vec4<f32>) -> vec4<f32> {
    let far = ahead >= REACH * behind;
    let near = REACH * ahead <= behind;
    let between = ahead / select(behind, vec4<f32>(1.0), far | near);
    let ratio = select(select(between, vec4<f32>(REACH), far), vec4<f32>(1.0 / REACH), near);
    let onward = ahead * pow(ratio, max(share, vec4<f32>(0.0)));
    // x^(1+b) x'^-b: nothing is clipped on the way back, and both powers lie between 0 and 1.
    let back = weighted(ahead, 1.0 + share) * weighted(behind, -share);
    return select(select(back, onward, share >= vec4<f32>(0.0)), vec4<f32>(0.0), ahead == vec4<f32>(0.0));
}

// x^e for x ≥ 0 and 0 ≤ e ≤ 1, with 0^e = 0.
fn weighted(x: vec4<f32>, e: vec4<f32>) -> vec4<f32> {
    return select(pow(max(x, vec4<f32>(1.2e-38)), max(e, vec4<f32>(0.0))), vec4<f32>(0.0), x == vec4<f32>(0.0));
}
