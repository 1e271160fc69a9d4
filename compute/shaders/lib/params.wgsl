// What a kernel is told. One struct for all; a kernel reads the members it needs.

struct Params {
    rows: u32,             // F
    columns: u32,          // the chunk's columns up to the end of the window's segment; of shifted factors, the segment's own
    components: u32,       // K
    bases_pitch: u32,      // vec4s from one row of the bases to the next
    chunk_quads: u32,      // vec4s of a row of the panels' chunk, all strips together
    panel_rows: u32,       // of the gains of all sources, where a kernel works on the rows of one
    first_quad: u32,       // the window, the columns worked on: vec4s first_quad..first_quad + window_quads of a row
    window_quads: u32,
    first_component: u32,  // Λ is formed of the components first_component..end_component
    end_component: u32,
    first_row: u32,        // rows first_row..first_row + pass_rows of the bases are updated in this pass
    pass_rows: u32,        // a multiple of TILE
    first_tile: u32,       // tiles of TILE columns that stand before the window in what is summed
    split_tiles: u32,      // tiles in a split, the share of them that is summed by itself
    first_split: u32,      // splits first_split..end_split have columns in the window
    end_split: u32,        // of shifted factors, how many there are
    beta: f32,             // of the divergence
    exponent: f32,         // γ of the rule, p of the mask, or the power of a ratio of gains
    sparsity: f32,         // λ of the rule
    floor: f32,            // least value of what is updated, or of a source's model; least share of the gains' norm
    weights_row: u32,      // α of a prior: the row of the weights, and how many they have
    weights_rows: u32,
    time_lags: u32,        // T of shifted factors
    pitch_lags: u32,       // Φ
    bases_stride: u32,     // vec4s from one W^τ to the next
    segment_quad: u32,     // where the window begins in a segment that was brought together
}

@group(0) @binding(0) var<uniform> params: Params;
