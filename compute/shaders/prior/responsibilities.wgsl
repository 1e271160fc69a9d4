// Computes the responsibilities of a mixture's components for every column: r_c = exp l_c / Σ_c exp l_c, L = highest +
// log Σ_c exp l_c, with l_c = level_c − ½ Σ_k (x_k − μ_kc)² / σ²_kc.
//
// log_gains: x (K, N). means: μ (K, C). precisions: 1/σ² (K, C). levels (2, C): log w − ½ Σ_k log 2πσ² minus the
// highest of them, and the highest. responsibilities: r (C, N). likelihoods: L (1, N).
// A workgroup owns 32 columns, see lib/lanes.wgsl; a lane takes every eighth block of four components, over all rows in
// order.

@group(0) @binding(1) var<storage, read> log_gains: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> means: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> precisions: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> levels: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> responsibilities: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> likelihoods: array<vec4<f32>>;

fn add_square(sum: vec4<f32>, x: vec4<f32>, mean: f32, sharpness: f32) -> vec4<f32> {
    let away = x - mean;
    return fma(away * sharpness, away, sum);
}

fn keep(component: u32, quad: u32, value: vec4<f32>, most: vec4<f32>) -> vec4<f32> {
    if (component >= params.components) {
        return most;
    }
    responsibilities[panel_cell(params.components, component, quad)] = value;
    return max(most, value);
}

fn work(quad: u32, place: u32, lane: u32) {
    var most = vec4<f32>(-3e38);
    for (var block = place; block < params.bases_pitch; block += ROW_LANES) {
        var sums = mat4x4<f32>();
        for (var row = 0u; row < params.rows; row++) {
            let x = log_gains[panel_cell(params.rows, row, quad)];
            let mean = means[row * params.bases_pitch + block];
            let sharpness = precisions[row * params.bases_pitch + block];
            sums[0] = add_square(sums[0], x, mean.x, sharpness.x);
            sums[1] = add_square(sums[1], x, mean.y, sharpness.y);
            sums[2] = add_square(sums[2], x, mean.z, sharpness.z);
            sums[3] = add_square(sums[3], x, mean.w, sharpness.w);
        }
        let level = levels[block];
        most = keep(4u * block, quad, level.x - 0.5 * sums[0], most);
        most = keep(4u * block + 1u, quad, level.y - 0.5 * sums[1], most);
        most = keep(4u * block + 2u, quad, level.z - 0.5 * sums[2], most);
        most = keep(4u * block + 3u, quad, level.w - 0.5 * sums[3], most);
    }
    most = lanes_max(most, lane);
    // A lane reads only what it wrote itself.
    var sum = vec4<f32>();
    for (var block = place; block < params.bases_pitch; block += ROW_LANES) {
        for (var component = 4u * block; component < min(4u * block + 4u, params.components); component++) {
            let at = panel_cell(params.components, component, quad);
            let value = exp(responsibilities[at] - most);
            responsibilities[at] = value;
            sum += value;
        }
    }
    let total = lanes_sum(sum, lane);
    for (var block = place; block < params.bases_pitch; block += ROW_LANES) {
        for (var component = 4u * block; component < min(4u * block + 4u, params.components); component++) {
            let at = panel_cell(params.components, component, quad);
            responsibilities[at] = responsibilities[at] / total;
        }
    }
    if (place == 0u) {
        likelihoods[quad] = most + log(total) + levels[params.bases_pitch].x;
    }
}
