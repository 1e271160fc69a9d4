// Looks up every number of a panel in a table: y = f(z).
//
// cubics: c (cells, 4), laws: below and above the cells (2), numbers: z (R, N), values: y (R, N). An invocation owns four
// columns of a row. lib/table.wgsl has the formulas.

@group(0) @binding(1) var<storage, read> cubics: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> laws: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> numbers: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> values: array<vec4<f32>>;

fn value_of(number: f32) -> f32 {
    let z = known_number(number);
    return tabulated(z, cubics[cell_of(z)], laws[0], laws[1]);
}

fn cells() -> u32 {
    return params.rows * params.chunk_quads;
}

fn work(cell: u32) {
    let z = numbers[cell];
    values[cell] = vec4<f32>(value_of(z.x), value_of(z.y), value_of(z.z), value_of(z.w));
}
