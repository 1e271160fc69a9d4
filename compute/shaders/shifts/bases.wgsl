// Sums for an update of shifted bases over the splits of one segment's columns: N^τ = Σ_φ (↑φ P) (→τ H^φ)ᵀ, and D^τ
// with Q.
//
// sums: (slots, N and D, D and the lags by four, F), with four lags per vec4. Split s uses slot s + 1. gains: H (ΦD,
// N). numerators: P, denominators: Q (F, N), stored row by row. Values outside the matrix are 0, except that Q below
// the last row is 1 if PRINTED.
// A workgroup owns 32 rows of eight pairs of a component and four lags, in one split. Invocation (x, y) has the rows x,
// x + 8, x + 16, x + 24 of pair y. Eight lags of pitch and 16 columns are staged at a time. A strip of P or Q has the
// tile's rows and the PITCHES − 1 rows after them. A strip of H has one quad more than the columns. Each staging is
// summed separately.

@group(0) @binding(1) var<storage, read_write> sums: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> numerators: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> denominators: array<vec4<f32>>;

const PITCHES = 8u;
const COLUMN_QUADS = 4u;
const FIELDS_STRIP = TILE + PITCHES - 1u;
// A row of a fields strip has an extra vec4, so that reads down a column hit different banks.
const PITCH = COLUMN_QUADS + 1u;
const GAINS_STRIP = COLUMN_QUADS + 1u;

var<workgroup> sh_p: array<vec4<f32>, FIELDS_STRIP * PITCH>;
var<workgroup> sh_q: array<vec4<f32>, FIELDS_STRIP * PITCH>;
var<workgroup> sh_gains: array<vec4<f32>, LANES * PITCHES * GAINS_STRIP>;

fn pairs() -> u32 {
    return params.components * ((params.time_lags + 3u) / 4u);
}

fn stage(first_row: u32, first_quad: u32, first_pitch: u32, first_pair: u32, lane: u32) {
    workgroupBarrier();
    for (var cell = lane; cell < FIELDS_STRIP * COLUMN_QUADS; cell += INVOCATIONS) {
        let row = first_row + first_pitch + cell / COLUMN_QUADS;
        let quad = first_quad + cell % COLUMN_QUADS;
        let within = row < params.rows;
        let at = select(0u, row * params.window_quads + quad, within);
        let outside = select(vec4<f32>(0.0), vec4<f32>(f32(PRINTED)), entries(quad) < vec4<u32>(params.columns));
        let staged = cell / COLUMN_QUADS * PITCH + cell % COLUMN_QUADS;
        sh_p[staged] = select(vec4<f32>(0.0), numerators[at], within);
        sh_q[staged] = select(outside, denominators[at], within);
    }
    for (var cell = lane; cell < LANES * PITCHES * GAINS_STRIP; cell += INVOCATIONS) {
        let pair = first_pair + cell / GAINS_STRIP / PITCHES;
        let pitch = first_pitch + cell / GAINS_STRIP % PITCHES;
        let quad = first_quad + cell % GAINS_STRIP - 1u - pair / params.components;
        var h = vec4<f32>();
        if (pair < pairs() && pitch < params.pitch_lags) {
            h = shifted_gains(pitch * params.components + pair % params.components, quad);
        }
        sh_gains[cell] = h;
    }
    workgroupBarrier();
}

fn keep(split: u32, pair: u32, row: u32, n: vec4<f32>, d: vec4<f32>) {
    if (pair < pairs() && row < params.rows) {
        let cells = pairs() * params.rows;
        let at = 2u * (split + 1u) * cells + pair * params.rows + row;
        sums[at] = n;
        sums[at + cells] = d;
    }
}

fn row_tiles() -> u32 {
    return (params.rows + TILE - 1u) / TILE;
}

fn pair_tiles() -> u32 {
    return (pairs() + LANES - 1u) / LANES;
}

fn workgroups() -> u32 {
    return params.end_split * row_tiles() * pair_tiles();
}

fn work(index: u32, x: u32, y: u32) {
    let first_row = index % row_tiles() * TILE;
    let first_pair = index / row_tiles() % pair_tiles() * LANES;
    let split = index / row_tiles() / pair_tiles();
    let begin = split * params.split_tiles * TILE_QUADS;
    let end = min(begin + params.split_tiles * TILE_QUADS, params.window_quads);
    var n = mat4x4<f32>();
    var d = mat4x4<f32>();
    for (var first_pitch = 0u; first_pitch < params.pitch_lags; first_pitch += PITCHES) {
        let pitches = min(PITCHES, params.pitch_lags - first_pitch);
        for (var first_quad = begin; first_quad < end; first_quad += COLUMN_QUADS) {
            stage(first_row, first_quad, first_pitch, first_pair, y * LANES + x);
            var staged_n = mat4x4<f32>();
            var staged_d = mat4x4<f32>();
            for (var pitch = 0u; pitch < pitches; pitch++) {
                let right = (y * PITCHES + pitch) * GAINS_STRIP;
                var before = sh_gains[right];
                for (var quad = 0u; quad < COLUMN_QUADS; quad++) {
                    let here = sh_gains[right + quad + 1u];
                    let h = transpose(shifted_right(before, here));
                    let left = (x + pitch) * PITCH + quad;
                    staged_n[0] = add_row(staged_n[0], sh_p[left], h);
                    staged_n[1] = add_row(staged_n[1], sh_p[left + LANES * PITCH], h);
                    staged_n[2] = add_row(staged_n[2], sh_p[left + 2u * LANES * PITCH], h);
                    staged_n[3] = add_row(staged_n[3], sh_p[left + 3u * LANES * PITCH], h);
                    staged_d[0] = add_row(staged_d[0], sh_q[left], h);
                    staged_d[1] = add_row(staged_d[1], sh_q[left + LANES * PITCH], h);
                    staged_d[2] = add_row(staged_d[2], sh_q[left + 2u * LANES * PITCH], h);
                    staged_d[3] = add_row(staged_d[3], sh_q[left + 3u * LANES * PITCH], h);
                    before = here;
                }
            }
            n += staged_n;
            d += staged_d;
        }
    }
    keep(split, first_pair + y, first_row + x, n[0], d[0]);
    keep(split, first_pair + y, first_row + x + LANES, n[1], d[1]);
    keep(split, first_pair + y, first_row + x + 2u * LANES, n[2], d[2]);
    keep(split, first_pair + y, first_row + x + 3u * LANES, n[3], d[3]);
}
