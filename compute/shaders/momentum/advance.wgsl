// Moves every column to its next trial, with the shares from judge.wgsl.
//
// Accepted, b > 0: safe ← trial, trial ← lead(next, previous, b), previous ← next. Refused: trial ← lead(previous,
// safe, b).
// shares: b (1, N). next, trial, previous, safe: (K, N). An invocation owns four columns of a row.

@group(0) @binding(1) var<storage, read> shares: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> next: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> trial: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> previous: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> safe: array<vec4<f32>>;

fn cells() -> u32 {
    return params.rows * params.chunk_quads;
}

fn work(cell: u32) {
    let share = shares[quad_of_cell(params.rows, cell)];
    let accepted = share > vec4<f32>(0.0);
    let update = next[cell];
    let tried = trial[cell];
    let before = previous[cell];
    let kept = safe[cell];
    trial[cell] = lead(select(before, update, accepted), select(kept, before, accepted), share);
    previous[cell] = select(before, update, accepted);
    safe[cell] = select(kept, tried, accepted);
}
