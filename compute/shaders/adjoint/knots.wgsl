// Sums the knots of a window: Σ gΦ t^i over the data whose r lies in a cell of the tables at the place t.
//
// stored: g(WH), gΦ and r (F, the window) in strips, one after another. partials: (GROUPS, cells), not read at the FIRST window.
// Tiles of 32 rows by 32 columns are counted over the panel, strip by strip. A workgroup takes every GROUPS-th of them, in order:
// so the order of a sum does not depend on how chunks and windows cut the panel. Of the data in workgroup memory, an invocation
// adds those in the cells of its own, which are every 64th. Without atomics, their order is the same in every run.

@group(0) @binding(1) var<storage, read> stored: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> partials: array<vec4<f32>>;

const GROUPS = 128u;
const CELLS = LAST_CELL + 1u;
const TILE_ROWS = 32u;
// Rows that a workgroup loads at once, four columns for each invocation.
const ROWS = 64u / STRIP_QUADS;
// The last number in the cells.
const LAST_NUMBER = 1099511562240.0;

var<workgroup> sh_knots: array<vec4<f32>, CELLS>;
var<workgroup> sh_cells: array<vec4<u32>, 64>;
var<workgroup> sh_places: array<vec4<f32>, 64>;
var<workgroup> sh_terms: array<vec4<f32>, 64>;

fn load(row: u32, tile: u32, lane: u32) {
    let at = (tile * params.rows + min(row, params.rows - 1u)) * STRIP_QUADS + lane % STRIP_QUADS;
    let field = params.rows * params.window_quads;
    let z = clamp(stored[2u * field + at], vec4<f32>(RATIO_FLOOR), vec4<f32>(LAST_NUMBER));
    sh_cells[lane] = vec4<u32>(cell_of(z.x), cell_of(z.y), cell_of(z.z), cell_of(z.w));
    sh_places[lane] = vec4<f32>(place_of(z.x), place_of(z.y), place_of(z.z), place_of(z.w));
    sh_terms[lane] = select(vec4<f32>(0.0), stored[field + at], vec4<bool>(row < params.rows));
}

fn add(cell: u32, place: f32, term: f32) {
    let square = place * place;
    let powers = vec4<f32>(1.0, place, square, square * place);
    sh_knots[cell] = fma(vec4<f32>(term), powers, sh_knots[cell]);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = workgroup_index(group, groups);
    if (index >= GROUPS) {
        return;
    }
    for (var cell = lane; cell < CELLS; cell += 64u) {
        var before = vec4<f32>(0.0);
        if (FIRST == 0u) {
            before = partials[index * CELLS + cell];
        }
        sh_knots[cell] = before;
    }
    let row_tiles = (params.rows + TILE_ROWS - 1u) / TILE_ROWS;
    let begin = params.first_tile * row_tiles;
    let end = begin + params.window_quads / STRIP_QUADS * row_tiles;
    for (var unit = begin + (index + GROUPS - begin % GROUPS) % GROUPS; unit < end; unit += GROUPS) {
        let tile = (unit - begin) / row_tiles;
        let first_row = unit % row_tiles * TILE_ROWS;
        for (var row = first_row; row < min(first_row + TILE_ROWS, params.rows); row += ROWS) {
            workgroupBarrier();
            load(row + lane / STRIP_QUADS, tile, lane);
            workgroupBarrier();
            for (var turn = 0u; turn < 64u; turn++) {
                let cells = sh_cells[turn];
                let own = cells % vec4<u32>(64u) == vec4<u32>(lane);
                if (any(own)) {
                    let places = sh_places[turn];
                    let terms = sh_terms[turn];
                    if (own.x) {
                        add(cells.x, places.x, terms.x);
                    }
                    if (own.y) {
                        add(cells.y, places.y, terms.y);
                    }
                    if (own.z) {
                        add(cells.z, places.z, terms.z);
                    }
                    if (own.w) {
                        add(cells.w, places.w, terms.w);
                    }
                }
            }
        }
    }
    for (var cell = lane; cell < CELLS; cell += 64u) {
        partials[index * CELLS + cell] = sh_knots[cell];
    }
}
