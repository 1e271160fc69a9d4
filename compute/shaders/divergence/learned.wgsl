// A learned weight ζ: d(v|λ) = -log r + ∫ ζ from 1 to r with r = v/λ, P = g/λ with g = r ζ(r), Q = 1/λ.
// r is floored at MODEL_FLOOR, and v in a term -log v.
//
// weight: the cubics of g, those of d, (cells, 4) each, then the laws of both. g is tabulated by SHARE_SCALE r and falls with
// r below its floor. The kernel's constant WEIGHT_BINDING is the binding after its others.

@group(0) @binding(WEIGHT_BINDING) var<storage, read> weight: array<vec4<f32>>;

// src/weight.rs
const SHARE_SCALE = 0.9094947017729282;
const WEIGHT_CELLS = LAST_CELL + 1u;

// Whether Q is 1 everywhere.
const UNIT_DENOMINATOR = false;

// Function 0, g, or 1, d.
fn weighed(function: u32, number: f32) -> f32 {
    let z = known_number(number);
    let laws = 2u * WEIGHT_CELLS + 2u * function;
    return tabulated(z, weight[function * WEIGHT_CELLS + cell_of(z)], weight[laws], weight[laws + 1u]);
}

fn weighed_by(function: u32, z: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(weighed(function, z.x), weighed(function, z.y), weighed(function, z.z), weighed(function, z.w));
}

fn numerator(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    let q = 1.0 / lambda;
    let share = weighed_by(0u, SHARE_SCALE * (v * q)) * q;
    return select(share, vec4<f32>(0.0), v == vec4<f32>(0.0));
}

fn denominator(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    return 1.0 / lambda;
}

fn cost(v: vec4<f32>, lambda: vec4<f32>) -> vec4<f32> {
    let floor = vec4<f32>(MODEL_FLOOR);
    let r = max(v / lambda, floor);
    // What the floors of r and v add.
    let known = (v >= floor) & (v >= floor * lambda);
    let missing = select(log(r * lambda / max(v, floor)), vec4<f32>(0.0), known);
    return weighed_by(1u, r) + missing;
}

fn rough_cost(v: vec4<f32>, lambda: vec4<f32>, p: vec4<f32>, q: vec4<f32>) -> vec4<f32> {
    return cost(v, lambda);
}
