// Updates the shifted gains of one segment: H^φ ← rule(H^φ, Σ_τ (↓φ W^τ)ᵀ (←τ P), Σ_τ (↓φ W^τ)ᵀ (←τ Q)).
//
// bases: W^τ (F, D), gains: H (ΦD, N). numerators: P, denominators: Q (F, N), stored row by row. Values outside the
// matrix are 0, except that Q is 1 there if PRINTED.
// A workgroup owns 32 rows of H by 32 columns. BINS rows of the fields and eight lags are staged at a time. A strip of
// P or Q has the tile's columns and the two quads after them. Each row of H has a pitch of its own, so the matching
// values of W are staged per row of H, with four lags per vec4. Each staging is summed separately.

@group(0) @binding(1) var<storage, read> bases: array<f32>;
@group(0) @binding(2) var<storage, read_write> gains: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> numerators: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> denominators: array<vec4<f32>>;

const BINS = 8u;
const LAG_QUADS = 2u;
const STRIP = TILE_QUADS + LAG_QUADS;

var<workgroup> sh_bases: array<vec4<f32>, LAG_QUADS * BINS * TILE>;
var<workgroup> sh_p: array<vec4<f32>, BINS * STRIP>;
var<workgroup> sh_q: array<vec4<f32>, BINS * STRIP>;

// W^τ[bin − φ, d] at four lags, for the row of H that is row d of H^φ.
fn shifted_bases(gains_row: u32, bin: u32, lag_quad: u32) -> vec4<f32> {
    let pitch = gains_row / params.components;
    let times = entries(lag_quad);
    let within = pitch < params.pitch_lags && bin >= pitch && bin < params.rows;
    let inside = (times < vec4<u32>(params.time_lags)) & vec4<bool>(within);
    let row = times * params.bases_stride + (bin - pitch) * params.bases_pitch;
    let at = select(vec4<u32>(0u), 4u * row + gains_row % params.components, inside);
    return select(vec4<f32>(0.0), vec4<f32>(bases[at.x], bases[at.y], bases[at.z], bases[at.w]), inside);
}

fn stage(first_row: u32, first_quad: u32, first_bin: u32, lag_quad: u32, lane: u32) {
    workgroupBarrier();
    for (var cell = lane; cell < LAG_QUADS * BINS * TILE; cell += INVOCATIONS) {
        let bin = first_bin + cell / TILE % BINS;
        sh_bases[cell] = shifted_bases(first_row + cell % TILE, bin, lag_quad + cell / TILE / BINS);
    }
    for (var cell = lane; cell < BINS * STRIP; cell += INVOCATIONS) {
        let bin = first_bin + cell / STRIP;
        let quad = first_quad + lag_quad + cell % STRIP;
        let inside = (entries(quad) < vec4<u32>(params.columns)) & vec4<bool>(bin < params.rows);
        let at = select(0u, bin * params.window_quads + quad, any(inside));
        sh_p[cell] = select(vec4<f32>(0.0), numerators[at], inside);
        sh_q[cell] = select(vec4<f32>(f32(PRINTED)), denominators[at], inside);
    }
    workgroupBarrier();
}

fn update(row: u32, quad: u32, n: vec4<f32>, d: vec4<f32>) {
    if (row < params.pitch_lags * params.components) {
        let at = panel_cell(params.pitch_lags * params.components, row, params.first_quad + quad);
        // N is 0 in a segment's padding columns, so they stay 0.
        gains[at] = updated(gains[at], n, d);
    }
}

fn row_tiles() -> u32 {
    return (params.pitch_lags * params.components + TILE - 1u) / TILE;
}

fn workgroups() -> u32 {
    return row_tiles() * (params.window_quads / TILE_QUADS);
}

fn work(index: u32, x: u32, y: u32) {
    let first_row = index % row_tiles() * TILE;
    let first_quad = index / row_tiles() * TILE_QUADS;
    var n = mat4x4<f32>();
    var d = mat4x4<f32>();
    for (var lag_quad = 0u; 4u * lag_quad < params.time_lags; lag_quad += LAG_QUADS) {
        for (var first_bin = 0u; first_bin < params.rows; first_bin += BINS) {
            stage(first_row, first_quad, first_bin, lag_quad, y * LANES + x);
            var staged_n = mat4x4<f32>();
            var staged_d = mat4x4<f32>();
            for (var bin = 0u; bin < BINS; bin++) {
                var p = sh_p[bin * STRIP + x];
                var q = sh_q[bin * STRIP + x];
                for (var lag = 0u; lag < LAG_QUADS; lag++) {
                    let after_p = sh_p[bin * STRIP + x + lag + 1u];
                    let after_q = sh_q[bin * STRIP + x + lag + 1u];
                    let left = (lag * BINS + bin) * TILE + y;
                    let w = mat4x4<f32>(
                        sh_bases[left],
                        sh_bases[left + LANES],
                        sh_bases[left + 2u * LANES],
                        sh_bases[left + 3u * LANES],
                    );
                    staged_n = add_product(staged_n, w, shifted_left(p, after_p));
                    staged_d = add_product(staged_d, w, shifted_left(q, after_q));
                    p = after_p;
                    q = after_q;
                }
            }
            n += staged_n;
            d += staged_d;
        }
    }
    update(first_row + y, first_quad + x, n[0], d[0]);
    update(first_row + y + LANES, first_quad + x, n[1], d[1]);
    update(first_row + y + 2u * LANES, first_quad + x, n[2], d[2]);
    update(first_row + y + 3u * LANES, first_quad + x, n[3], d[3]);
}
