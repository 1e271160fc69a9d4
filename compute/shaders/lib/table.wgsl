// Functions of positive numbers as tables of cubics: f(z) = Σ_i c_i t^i in the cell of z, where t is −1/2 to 1/2.
//
// A cell is an eighth of an octave. The bits of z have the cell and t. Cells reach from 2^-64 to 2^40, and beyond them f
// continues by a law: value (z/e)^power + slope log(z/e) at the end e. A kernel reads the cubics of a cell, c (cells, 4),
// and the two laws, (value, power, slope, 0) of each.

// src/kernels/tables: the exponents' cells before the first, the ends, and the least number.
const FIRST_CELL = 504u;
const LAST_CELL = 831u;
const LOW_END = 5.421010862427522e-20;
const HIGH_END = 1099511627776.0;
const LEAST_NUMBER = 1.1754943508222875e-38;

fn known_number(z: f32) -> f32 {
    return max(z, LEAST_NUMBER);
}

fn cell_of(z: f32) -> u32 {
    return clamp(bitcast<u32>(z) >> 20u, FIRST_CELL, FIRST_CELL + LAST_CELL) - FIRST_CELL;
}

// The place t in the cell.
fn place_of(z: f32) -> f32 {
    return bitcast<f32>(((bitcast<u32>(z) & 0xfffffu) << 3u) | 0x3f800000u) - 1.5;
}

// The value of the cubic of the cell.
fn cubic_at(z: f32, cubic: vec4<f32>) -> f32 {
    let t = place_of(z);
    return fma(fma(fma(cubic.w, t, cubic.z), t, cubic.y), t, cubic.x);
}

// The value of the cubic, or of the law beyond the cells.
fn tabulated(z: f32, cubic: vec4<f32>, low: vec4<f32>, high: vec4<f32>) -> f32 {
    if (z >= LOW_END && z < HIGH_END) {
        return cubic_at(z, cubic);
    }
    let above = z >= HIGH_END;
    let law = select(low, high, above);
    let ratio = z / select(LOW_END, HIGH_END, above);
    return law.x * pow(ratio, law.y) + law.z * log(ratio);
}
