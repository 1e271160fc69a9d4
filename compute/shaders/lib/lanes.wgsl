// A workgroup of 64 that owns 32 columns: 8 quads side by side, and 8 lanes that share the rows of each quad. Also sums
// and maxima over these lanes.
//
// A kernel defines work(quad, place, lane), where `place` is the lane's index among the quad's 8.

const COLUMN_QUADS = 8u;
const ROW_LANES = 8u;

var<workgroup> sh_lanes: array<vec4<f32>, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = COLUMN_QUADS * workgroup_index(group, groups);
    if (first < params.window_quads) {
        work(params.first_quad + first + lane % COLUMN_QUADS, lane / COLUMN_QUADS, lane);
    }
}

fn gather(value: vec4<f32>, lane: u32) {
    workgroupBarrier();
    sh_lanes[lane] = value;
    workgroupBarrier();
}

// The sum over the lanes of a quad, in order.
fn lanes_sum(value: vec4<f32>, lane: u32) -> vec4<f32> {
    gather(value, lane);
    var sum = sh_lanes[lane % COLUMN_QUADS];
    for (var row = 1u; row < ROW_LANES; row++) {
        sum += sh_lanes[row * COLUMN_QUADS + lane % COLUMN_QUADS];
    }
    return sum;
}

fn lanes_max(value: vec4<f32>, lane: u32) -> vec4<f32> {
    gather(value, lane);
    var most = sh_lanes[lane % COLUMN_QUADS];
    for (var row = 1u; row < ROW_LANES; row++) {
        most = max(most, sh_lanes[row * COLUMN_QUADS + lane % COLUMN_QUADS]);
    }
    return most;
}
