// Extrapolates along a path in log space: lead(x, x', b) = y (y/y')^b with y = max(x, LEAST), y' = max(x', LEAST). 0
// where x is 0.
//
// For b > 0 the ratio is clipped to 1/REACH..REACH. No division can leave the range of f32.

// LEAST and REACH of src/kernels/momentum. A device may flush numbers below LEAST to 0, or divide by them to infinity.
const LEAST = 1.2e-38;
const REACH = 2.0;

fn lead(x: vec4<f32>, x_behind: vec4<f32>, share: vec4<f32>) -> vec4<f32> {
    let ahead = max(x, vec4<f32>(LEAST));
    let behind = max(x_behind, vec4<f32>(LEAST));
    let far = ahead >= REACH * behind;
    let near = REACH * ahead <= behind;
    let between = ahead / select(behind, vec4<f32>(1.0), far | near);
    let ratio = select(select(between, vec4<f32>(REACH), far), vec4<f32>(1.0 / REACH), near);
    let onward = ahead * pow(ratio, max(share, vec4<f32>(0.0)));
    // y^(1+b) y'^-b. A step back is not clipped, and both powers are between 0 and 1.
    let back = pow(ahead, max(1.0 + share, vec4<f32>(0.0))) * pow(behind, max(-share, vec4<f32>(0.0)));
    // Where x is 0 or NaN, keep it. A compiler may assume that no number is NaN, but not that its bits are not.
    let bits = bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu);
    let stays = (bits == vec4<u32>(0u)) | (bits > vec4<u32>(0x7f800000u));
    return select(select(back, onward, share >= vec4<f32>(0.0)), x, stays);
}
