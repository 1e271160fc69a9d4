// The uniform of all kernels. A kernel reads the members it needs.

struct Params {
    rows: u32,             // F
    columns: u32,          // the chunk's columns up to the end of the window's segment; for shifted factors, the segment's columns
    components: u32,       // K
    bases_pitch: u32,      // vec4s per row of the bases
    chunk_quads: u32,      // vec4s per row of the panels' chunk, over all strips
    panel_rows: u32,       // rows of the gains of all sources, for kernels that work on one source's rows
    first_quad: u32,       // the window (the columns to process): vec4s first_quad..first_quad + window_quads of a row
    window_quads: u32,
    first_component: u32,  // Λ sums the components first_component..end_component
    end_component: u32,
    first_row: u32,        // rows first_row..first_row + pass_rows of the bases are updated in this pass
    pass_rows: u32,        // a multiple of TILE
    first_tile: u32,       // tiles of TILE columns before the window in the sum
    split_tiles: u32,      // tiles per split, a part of the columns that is summed separately
    first_split: u32,      // splits first_split..end_split have columns in the window
    end_split: u32,        // for shifted factors, the number of splits
    beta: f32,             // β of the divergence
    exponent: f32,         // γ of the rule, p of the mask, or the power of a gain ratio
    sparsity: f32,         // λ of the rule
    floor: f32,            // floor of the updated factor or of a source's model; for priors, ρ, relative to the gains' norm
    weights_row: u32,      // row of a prior's α in the weights, and their number of rows
    weights_rows: u32,
    time_lags: u32,        // T of shifted factors
    pitch_lags: u32,       // Φ
    bases_stride: u32,     // vec4s from one matrix of a stack, such as W^τ, to the next
    segment_quad: u32,     // start of the window in a gathered segment
    matrices: u32,         // matrices of a stack of bases
    sums_stride: u32,      // vec4s from one matrix's sums of rows to the next
}

@group(0) @binding(0) var<uniform> params: Params;
