//! Mixtures in pairs on the GPU. A dispatch takes one chunk of a source and one chunk of another, and, if mixtures are
//! stored, one chunk of these. A table says which utterances are in both, and where.

use std::collections::BTreeMap;

use super::{Mixtures, Modulus, Pairing, Pairs, Spectra, check_mix, pair_index};
use crate::Result;
use crate::engine::Engine;
use crate::engine::gpu::shader::{Access, Kernel, Uniform, source};
use crate::engine::gpu::{Chunk, Gpu, GpuMatrix, GpuPanel, Piece, QUAD, Run, Storage, TILE, Tiling};
use crate::kernels::glue::check_factors;
use crate::kernels::gpu::{
    CELLS, FLOORS, FORMED_MIXTURE, INDEX, KULLBACK_LEIBLER, MODEL_TILES, PARAMS, Params, Part, STORED_MIXTURE,
};

/// Workgroup size of all kernels.
const INVOCATIONS: usize = 64;
/// Rows of a tile that a workgroup of [`ADD_STORED`] and [`ADD_FORMED`] owns.
const ROWS: usize = 8;

static MODEL: Kernel = Kernel {
    source: source!("pairs/model.wgsl", MODEL_TILES),
    storages: &[Access::Read, Access::Read, Access::Write, Access::Read],
    constants: &[("TILING", &[Tiling::SMALLEST.code()]), ("SEGMENTS", &[0, 1])],
    uniform: Params::MEMBERS,
};
static BEGIN: Kernel = Kernel {
    source: source!("pairs/begin.wgsl", PARAMS, INDEX, CELLS, FLOORS, KULLBACK_LEIBLER),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write],
    constants: &[("COSTS", &[0, 1])],
    uniform: Params::MEMBERS,
};
static ADD_STORED: Kernel = Kernel {
    source: source!("pairs/add.wgsl", FLOORS, KULLBACK_LEIBLER, STORED_MIXTURE),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write, Access::Read],
    constants: &[("TERM", &[0, 1])],
    uniform: Params::MEMBERS,
};
static ADD_FORMED: Kernel = Kernel {
    source: source!("pairs/add.wgsl", FLOORS, KULLBACK_LEIBLER, FORMED_MIXTURE),
    storages: &[Access::Read, Access::Read, Access::Read, Access::Write, Access::Read, Access::Read, Access::Read],
    constants: &[("TERM", &[0, 1, 2]), ("ROOT", &[0, 1])],
    uniform: Params::MEMBERS,
};
static FINISH: Kernel = Kernel {
    source: source!("pairs/finish.wgsl", PARAMS, INDEX, CELLS, FLOORS),
    storages: &[Access::Read, Access::Read, Access::Write],
    constants: &[],
    uniform: Params::MEMBERS,
};

/// What [`ADD_STORED`] and [`ADD_FORMED`] do with a mixture: their constant TERM.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Term {
    Ratio = 0,
    Cost = 1,
    Data = 2,
}

/// A row of a table.
type Row = [f32; QUAD];

/// The pieces of a panel by chunk.
fn by_chunk(panel: &GpuPanel) -> Vec<Vec<Piece>> {
    let mut chunks = vec![Vec::new(); panel.chunks.len()];
    panel.pieces().into_iter().for_each(|piece| chunks[piece.chunk].push(piece));
    chunks
}

/// How many tiles further a piece lies in its chunk than in time.
fn shift(piece: &Piece) -> f32 {
    piece.tile as f32 - (piece.first / TILE) as f32
}

/// The lists of utterances that a dispatch walks through: one for every utterance of the source, or one for all.
enum Lists {
    All(Vec<Row>),
    Own(BTreeMap<usize, Vec<Row>>),
}

impl Lists {
    /// All utterances of a chunk.
    fn all(pieces: &[Piece]) -> Self {
        let row = |piece: &Piece| [piece.first as f32, (piece.first + piece.columns) as f32, shift(piece), 0.0];
        Self::All(pieces.iter().map(row).collect())
    }

    /// The mixtures of a chunk with utterances of another chunk. `pair`: the utterances of a segment of mixtures.
    fn of_mixtures(mixtures: &[Piece], others: &[Piece], pair: impl Fn(usize) -> (usize, usize)) -> Self {
        let by_utterance: BTreeMap<usize, &Piece> = others.iter().map(|piece| (piece.segment, piece)).collect();
        let mut lists: BTreeMap<usize, Vec<Row>> = BTreeMap::new();
        for mixture in mixtures {
            let (own, other) = pair(mixture.segment);
            let Some(other) = by_utterance.get(&other) else { continue };
            let first = mixture.first.max(other.first);
            let end = (mixture.first + mixture.columns).min(other.first + other.columns);
            if first < end {
                lists.entry(own).or_default().push([first as f32, end as f32, shift(other), shift(mixture)]);
            }
        }
        Self::Own(lists)
    }

    /// The utterances in the longest list.
    fn longest(&self) -> usize {
        match self {
            Self::All(list) => list.len(),
            Self::Own(lists) => lists.values().map(Vec::len).max().unwrap_or(0),
        }
    }

    /// A table for some tiles: their rows, and then the lists. Also, how many tiles it has. `tiles`: the utterance, the
    /// index in the chunk, and the place in time.
    fn table(&self, tiles: &[(usize, usize, usize)]) -> (Vec<Row>, usize) {
        let listed = |&&(own, ..): &&(usize, usize, usize)| match self {
            Self::All(list) => !list.is_empty(),
            Self::Own(lists) => lists.contains_key(&own),
        };
        let tiles: Vec<_> = tiles.iter().filter(listed).collect();
        let (mut rows, mut places) = (Vec::new(), BTreeMap::new());
        let mut keep = |own: usize, list: &[Row]| {
            let first = tiles.len() + rows.len();
            rows.extend_from_slice(list);
            places.insert(own, (first as f32, (first + list.len()) as f32));
        };
        match self {
            Self::All(list) => keep(0, list),
            Self::Own(lists) => lists.iter().for_each(|(&own, list)| keep(own, list)),
        }
        let of_tile = |&&(own, tile, time): &&(usize, usize, usize)| {
            let (first, end) = places[if matches!(self, Self::All(_)) { &0 } else { &own }];
            [tile as f32, time as f32, first, end]
        };
        (tiles.iter().map(of_tile).chain(rows.iter().copied()).collect(), tiles.len())
    }
}

/// The chunks that a dispatch reads beside the table, and the one that it writes.
#[derive(Clone, Copy)]
struct Operands<'a> {
    own: &'a Storage,
    other: &'a Storage,
    sums: &'a Storage,
    mixtures: Origin<'a>,
}

/// Where a dispatch has mixtures from.
#[derive(Clone, Copy)]
enum Origin<'a> {
    Stored(&'a Storage),
    Formed(&'a Spectra<Gpu>, &'a Storage, &'a Storage),
}

impl Gpu {
    /// Walks through the mixtures of the utterances in a chunk.
    fn walk(&self, rows: usize, own: &[Piece], lists: &Lists, term: Term, operands: &Operands) -> Result<()> {
        let of_piece = |piece: &Piece| {
            let (utterance, tile, time) = (piece.segment, piece.tile, piece.first / TILE);
            (0..piece.columns.div_ceil(TILE)).map(move |more| (utterance, tile + more, time + more))
        };
        let tiles: Vec<(usize, usize, usize)> = own.iter().flat_map(of_piece).collect();
        // A ratio takes about as long as four multiply-adds, and so does a modulus.
        let (weights, uniform) = match operands.mixtures {
            Origin::Stored(_) => (1, Params { rows: rows as u32, ..Params::default() }),
            Origin::Formed(spectra, ..) => {
                let (bins, bands) = (spectra.shape.1, &spectra.bands);
                let (components, bases_pitch) = (bins as u32, bands.pitch() as u32);
                (2 * bins.div_ceil(rows), Params { rows: rows as u32, components, bases_pitch, ..Params::default() })
            }
        };
        let work = 4 * rows * (1 + weights) * lists.longest();
        if work == 0 {
            return Ok(());
        }
        let at_once = self.columns_at_once(tiles.len() * TILE, work)?.div_ceil(TILE);
        for tiles in tiles.chunks(at_once) {
            let (table, tiles) = lists.table(tiles);
            if tiles == 0 {
                continue;
            }
            let table = self.table(&table)?;
            let Operands { own, other, sums, mixtures } = *operands;
            let all = [&table, own, other, sums];
            let uniform = Params { window_quads: tiles as u32, ..uniform };
            let (workgroups, work) = (tiles * rows.div_ceil(ROWS), tiles * TILE * work);
            match mixtures {
                Origin::Stored(mixtures) => self.run(Run {
                    kernel: &ADD_STORED,
                    filling: None,
                    constants: &[term as u32],
                    uniform,
                    storages: &[all.as_slice(), &[mixtures]].concat(),
                    workgroups,
                    work,
                })?,
                Origin::Formed(spectra, own, other) => self.run(Run {
                    kernel: &ADD_FORMED,
                    filling: None,
                    constants: &[term as u32, u32::from(spectra.modulus == Modulus::Magnitude)],
                    uniform,
                    storages: &[all.as_slice(), &[own, other, &spectra.bands.storage]].concat(),
                    workgroups,
                    work,
                })?,
            }
        }
        Ok(())
    }

    /// Runs a kernel over all cells of a chunk of `rows` rows.
    fn over_cells(
        &self,
        kernel: &'static Kernel,
        constants: &[u32],
        (rows, chunk): (usize, &Chunk),
        exponent: f32,
        storages: &[&Storage],
    ) -> Result<()> {
        let cells = rows * chunk.quads();
        self.run(Run {
            kernel,
            filling: None,
            constants,
            uniform: Params { rows: rows as u32, chunk_quads: chunk.quads() as u32, exponent, ..Params::default() },
            storages,
            workgroups: cells.div_ceil(INVOCATIONS),
            work: cells * QUAD,
        })
    }

    /// Adds the mixtures of source `a` with source `b` to the sums.
    fn add_source(
        &self,
        pairing: &Pairing<Self>,
        models: &[GpuPanel],
        (a, b): (usize, usize),
        term: Term,
        sums: &GpuPanel,
    ) -> Result<()> {
        let (rows, own, others) = (sums.rows, by_chunk(&models[a]), by_chunk(&models[b]));
        let [mine, theirs] = [a, b].map(|source| pairing.lengths[source].len());
        for (index, own) in own.iter().enumerate() {
            for (place, pieces) in others.iter().enumerate() {
                let operands = |mixtures| Operands {
                    own: &models[a].chunks[index].storage,
                    other: &models[b].chunks[place].storage,
                    sums: &sums.chunks[index].storage,
                    mixtures,
                };
                match &pairing.mixtures {
                    Mixtures::Formed(spectra) => {
                        let [own_bins, other_bins] = [(a, index), (b, place)]
                            .map(|(source, chunk)| &spectra.sources[source].chunks[chunk].storage);
                        let from = Origin::Formed(spectra, own_bins, other_bins);
                        self.walk(rows, own, &Lists::all(pieces), term, &operands(from))?;
                    }
                    Mixtures::Stored(panels) => {
                        let panel = &panels[pair_index(a.min(b), a.max(b))];
                        let pair = |segment: usize| match a < b {
                            true => (segment / theirs, segment % theirs),
                            false => (segment % mine, segment / mine),
                        };
                        for (mixtures, chunk) in by_chunk(panel).iter().zip(&panel.chunks) {
                            let lists = Lists::of_mixtures(mixtures, pieces, pair);
                            self.walk(rows, own, &lists, term, &operands(Origin::Stored(&chunk.storage)))?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The sums of a source over all its mixtures: of ratios, or of costs.
    fn pair_sums(&self, pairing: &Pairing<Self>, models: &[GpuPanel], source: usize, term: Term) -> Result<GpuPanel> {
        pairing.check(self, models, source)?;
        let (rows, segments) = pairing.data[source].extent();
        let sums = self.new_panel(rows, segments.to_vec())?;
        for (index, chunk) in sums.chunks.iter().enumerate() {
            let [data, model, alone] = [&pairing.data[source], &models[source], &pairing.alone[source]]
                .map(|panel| &panel.chunks[index].storage);
            let storages = [data, model, alone, &chunk.storage];
            self.over_cells(&BEGIN, &[u32::from(term == Term::Cost)], (rows, chunk), 0.0, &storages)?;
        }
        let first = if term == Term::Cost { source + 1 } else { 0 };
        for other in (first..pairing.sources()).filter(|&other| other != source) {
            self.add_source(pairing, models, (source, other), term, &sums)?;
        }
        Ok(sums)
    }
}

impl Pairs for Gpu {
    fn model(&self, w: &GpuMatrix, h: &GpuPanel) -> Result<GpuPanel> {
        check_factors(w.extent(), (h.rows, h.segments.len()))?;
        let model = self.new_panel(w.rows, h.segments.clone())?;
        for part in Part::in_time(self, h, w, w.rows * w.columns)? {
            let Part { window, w, places } = &part;
            self.run(Run {
                kernel: &MODEL,
                filling: None,
                constants: &[Tiling::SMALLEST.code(), part.segments()],
                uniform: window.params(Params {
                    rows: w.rows as u32,
                    components: w.columns as u32,
                    end_component: w.columns as u32,
                    bases_pitch: w.pitch() as u32,
                    bases_stride: w.stride() as u32,
                    ..Params::default()
                }),
                storages: &[
                    &w.storage,
                    &window.chunk.storage,
                    &model.chunks[window.index].storage,
                    places.as_ref().unwrap_or(&w.storage),
                ],
                workgroups: w.rows.div_ceil(TILE) * window.tiles,
                work: w.rows * window.columns * w.columns,
            })?;
        }
        Ok(model)
    }

    fn shares(&self, pairing: &Pairing<Self>, models: &[GpuPanel], source: usize) -> Result<GpuPanel> {
        let sums = self.pair_sums(pairing, models, source, Term::Ratio)?;
        let share = 1.0 / pairing.utterances() as f32;
        for (index, chunk) in sums.chunks.iter().enumerate() {
            let [model, alone] = [&models[source], &pairing.alone[source]].map(|panel| &panel.chunks[index].storage);
            self.over_cells(&FINISH, &[], (sums.rows, chunk), share, &[model, alone, &chunk.storage])?;
        }
        Ok(sums)
    }

    fn pair_costs(&self, pairing: &Pairing<Self>, models: &[GpuPanel], source: usize) -> Result<Vec<f64>> {
        let sums = self.pair_sums(pairing, models, source, Term::Cost)?;
        let costs = self.read_panel::<f64>(&sums)?;
        Ok(costs.columns().into_iter().map(|column| column.sum()).collect())
    }

    fn mix(
        &self,
        spectra: &Spectra<Self>,
        (first, second): (usize, usize),
        pairs: &[(usize, usize)],
    ) -> Result<GpuPanel> {
        let mixed = self.new_panel(spectra.rows(), check_mix(self, spectra, (first, second), pairs)?)?;
        let mixtures = by_chunk(&mixed);
        let [first, second] = [first, second].map(|source| &spectra.sources[source]);
        for (pieces, own_bins) in by_chunk(first).iter().zip(&first.chunks) {
            for (others, other_bins) in by_chunk(second).iter().zip(&second.chunks) {
                let origin = Origin::Formed(spectra, &own_bins.storage, &other_bins.storage);
                for (mixtures, chunk) in mixtures.iter().zip(&mixed.chunks) {
                    let lists = Lists::of_mixtures(mixtures, others, |segment| pairs[segment]);
                    // No models are read, so any storages may take their places.
                    let (own, other, sums) = (&own_bins.storage, &other_bins.storage, &chunk.storage);
                    let operands = Operands { own, other, sums, mixtures: origin };
                    self.walk(spectra.rows(), pieces, &lists, Term::Data, &operands)?;
                }
            }
        }
        Ok(mixed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shaders_match_the_host_declarations() {
        let kernels = [&MODEL, &BEGIN, &ADD_STORED, &ADD_FORMED, &FINISH];
        crate::engine::gpu::shader_check::check_family("pairs", &[], &[], &kernels);
    }
}
