// A weight from its tables: g(r) = r ζ(r), the slope s(r) = dΦ/d log r, and A = ζ(r) v/λ² from v and B = 1/λ.
//
// curve: the cubics of g (cells, 4), those of s (cells, 4), and the laws of both (4), see lib/table.wgsl. g is tabulated by
// SHARE_SCALE r. r = v/λ is floored at RATIO_FLOOR: below it ζ is constant, and g falls with r.

// src/weight.rs
const SHARE_SCALE = 0.9094947017729282;
const CURVE_CELLS = LAST_CELL + 1u;

fn share(r: f32) -> f32 {
    let z = known_number(SHARE_SCALE * r);
    return tabulated(z, curve[cell_of(z)], curve[2u * CURVE_CELLS], curve[2u * CURVE_CELLS + 1u]);
}

fn slope(r: f32) -> f32 {
    let z = known_number(r);
    return tabulated(z, curve[CURVE_CELLS + cell_of(z)], curve[2u * CURVE_CELLS + 2u], curve[2u * CURVE_CELLS + 3u]);
}

// A of four cells.
fn weighed(v: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    let r = v * b;
    let a = vec4<f32>(share(r.x), share(r.y), share(r.z), share(r.w)) * b;
    return select(a, vec4<f32>(0.0), v == vec4<f32>(0.0));
}

// s of four cells, or 0 where r has its floor.
fn slopes(r: vec4<f32>) -> vec4<f32> {
    let z = max(r, vec4<f32>(RATIO_FLOOR));
    let s = vec4<f32>(slope(z.x), slope(z.y), slope(z.z), slope(z.w));
    return select(vec4<f32>(0.0), s, r > vec4<f32>(RATIO_FLOOR));
}
