// Extrapolates a factor along its last step: led = lead(x, x', b), see shaders/lib/lead.wgsl.
//
// ahead: x, behind: x', led. All are (K, N) of a chunk, or (F, K). An invocation owns four entries.

@group(0) @binding(1) var<storage, read> ahead: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> behind: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> led: array<vec4<f32>>;

fn cells() -> u32 {
    return params.rows * params.chunk_quads;
}

fn work(cell: u32) {
    led[cell] = lead(ahead[cell], behind[cell], vec4<f32>(params.exponent));
}
