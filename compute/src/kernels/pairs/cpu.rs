//! Mixtures in pairs on the CPU engine. A task owns one strip of time of a few utterances, and walks through the same
//! strip of all utterances of the other sources. What it reads of another utterance serves all of its own.

use pulp::Simd;
use rayon::prelude::*;

use super::{Mixtures, Modulus, Pairing, Pairs, Spectra, check_mix, pair_index};
use crate::Result;
use crate::divergence::MODEL_FLOOR;
use crate::engine::tile::{self, StripJob, rows, rows_mut};
use crate::engine::{Cpu, CpuMatrix, CpuPanel, STRIP, padded};
use crate::kernels::glue::check_factors;
use crate::kernels::products::{Fields, ModelJob, fields, shape_of};

/// Utterances of a task. Spectra of other utterances come from memory, four times less often than for each utterance
/// alone; more utterances would not stay in the cache.
const GROUP: usize = 4;

/// Forms a strip of a mixture: S = M |X_a + X_b|^p.
struct FormJob<'a> {
    map: &'a Map,
    modulus: Modulus,
    /// X_a and X_b, real parts above imaginary parts.
    own: &'a [f32],
    other: &'a [f32],
    mixture: &'a mut [f32],
}

impl StripJob for FormJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        match self.modulus {
            Modulus::Magnitude => self.form::<S, V, true>(simd),
            Modulus::Power => self.form::<S, V, false>(simd),
        }
    }
}

impl FormJob<'_> {
    #[inline(always)]
    fn form<S: Simd, const V: usize, const ROOT: bool>(self, simd: S) {
        let bins = self.map.bins();
        let (own, other) = (rows::<S, V>(self.own), rows::<S, V>(self.other));
        let (own_re, own_im) = (&own[..bins], &own[bins..2 * bins]);
        let (other_re, other_im) = (&other[..bins], &other[bins..2 * bins]);
        self.mixture.fill(0.0);
        let mixture = rows_mut::<S, V>(self.mixture);
        for bin in 0..bins {
            let mut modulus = [simd.splat_f32s(0.0); V];
            for (v, modulus) in modulus.iter_mut().enumerate() {
                let re = simd.add_f32s(own_re[bin][v], other_re[bin][v]);
                let im = simd.add_f32s(own_im[bin][v], other_im[bin][v]);
                let square = tile::multiply_add(simd, re, re, simd.mul_f32s(im, im));
                *modulus = if ROOT { simd.sqrt_f32s(square) } else { square };
            }
            for &(band, weight) in self.map.of(bin) {
                let weight = simd.splat_f32s(weight);
                for (sum, &modulus) in mixture[band as usize].iter_mut().zip(&modulus) {
                    *sum = tile::multiply_add(simd, weight, modulus, *sum);
                }
            }
        }
    }
}

/// The map from bins to bands: for each bin, its bands and weights.
struct Map {
    starts: Vec<usize>,
    entries: Vec<(u32, f32)>,
}

impl Map {
    fn of_spectra(spectra: &Spectra<Cpu>) -> Self {
        let mut of_bins = vec![Vec::new(); spectra.shape.1];
        for (band, row) in (0..).zip(spectra.bands.iter().flat_map(|packed| packed.rows())) {
            let weights = row.iter().skip(2).take(row[1] as usize);
            weights.zip(row[0] as usize..).for_each(|(&weight, bin)| of_bins[bin].push((band, weight)));
        }
        let starts = std::iter::once(0).chain(of_bins.iter().scan(0, |end, of_bin| {
            *end += of_bin.len();
            Some(*end)
        }));
        Self { starts: starts.collect(), entries: of_bins.concat() }
    }

    fn bins(&self) -> usize {
        self.starts.len() - 1
    }

    #[inline(always)]
    fn of(&self, bin: usize) -> &[(u32, f32)] {
        &self.entries[self.starts[bin]..self.starts[bin + 1]]
    }
}

/// Begins the sums of a strip with the data of its source alone: c S/Λ, or c d(S | Λ) if `COSTS`.
struct BeginJob<'a> {
    costs: bool,
    /// c, one row.
    alone: &'a [f32],
    data: &'a [f32],
    model: &'a [f32],
    sums: &'a mut [f32],
}

impl StripJob for BeginJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let (data, model, floor) = (rows::<S, V>(self.data), rows::<S, V>(self.model), floor(simd));
        let alone = &rows::<S, V>(self.alone)[0];
        for ((sums, data), model) in rows_mut::<S, V>(self.sums).iter_mut().zip(data).zip(model) {
            for v in 0..V {
                let model = simd.max_f32s(model[v], floor);
                let term = if self.costs {
                    fields::KullbackLeibler.cost(simd, data[v], model)
                } else {
                    simd.div_f32s(data[v], model)
                };
                sums[v] = simd.mul_f32s(alone[v], term);
            }
        }
    }
}

/// Adds S/(Λ + Λ_b) of a mixture to the sums of a strip. Data after the mixture's columns are zeros.
struct AddJob<'a> {
    mixture: &'a [f32],
    own: &'a [f32],
    other: &'a [f32],
    sums: &'a mut [f32],
}

impl StripJob for AddJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let (own, other, floor) = (rows::<S, V>(self.own), rows::<S, V>(self.other), floor(simd));
        let cells = rows::<S, V>(self.mixture).iter().zip(own).zip(other).zip(rows_mut::<S, V>(self.sums));
        for (((mixture, own), other), sums) in cells {
            for v in 0..V {
                let model = simd.max_f32s(simd.add_f32s(own[v], other[v]), floor);
                sums[v] = simd.add_f32s(sums[v], simd.div_f32s(mixture[v], model));
            }
        }
    }
}

/// Adds d(S | Λ + Λ_b) of a mixture to the sums of a strip.
struct AddCostsJob<'a> {
    mixture: &'a [f32],
    own: &'a [f32],
    other: &'a [f32],
    /// 1 for each of the mixture's columns, then 0.
    inside: &'a [f32],
    sums: &'a mut [f32],
}

impl StripJob for AddCostsJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let (own, other, floor) = (rows::<S, V>(self.own), rows::<S, V>(self.other), floor(simd));
        let inside = &rows::<S, V>(self.inside)[0];
        let cells = rows::<S, V>(self.mixture).iter().zip(own).zip(other).zip(rows_mut::<S, V>(self.sums));
        for (((mixture, own), other), sums) in cells {
            for v in 0..V {
                let model = simd.max_f32s(simd.add_f32s(own[v], other[v]), floor);
                let cost = fields::KullbackLeibler.cost(simd, mixture[v], model);
                sums[v] = tile::multiply_add(simd, inside[v], cost, sums[v]);
            }
        }
    }
}

/// Turns the sums of a strip into shares: X = Λ sums / U.
struct FinishJob<'a> {
    share: f32,
    model: &'a [f32],
    sums: &'a mut [f32],
}

impl StripJob for FinishJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let (share, floor) = (simd.splat_f32s(self.share), floor(simd));
        for (sums, model) in rows_mut::<S, V>(self.sums).iter_mut().zip(rows::<S, V>(self.model)) {
            for v in 0..V {
                let model = simd.max_f32s(model[v], floor);
                sums[v] = simd.mul_f32s(simd.mul_f32s(sums[v], share), model);
            }
        }
    }
}

#[inline(always)]
fn floor<S: Simd>(simd: S) -> S::f32s {
    simd.splat_f32s(MODEL_FLOOR as f32)
}

/// A strip of sums: its utterance, its index in the panel, and its columns.
struct Strip<'a> {
    utterance: usize,
    index: usize,
    columns: usize,
    sums: &'a mut [f32],
}

/// The strips of a panel in tasks: those of a few segments at one place in time, and the place.
fn tasks(panel: &mut CpuPanel) -> Vec<(usize, Vec<Strip<'_>>)> {
    let (len, lengths) = (panel.strip_len(), panel.segments().to_vec());
    let places = lengths.iter().enumerate().flat_map(|(utterance, &length)| {
        (0..length.div_ceil(STRIP)).map(move |time| (utterance, time, (length - time * STRIP).min(STRIP)))
    });
    let mut by_time: Vec<Vec<Strip>> = Vec::new();
    for ((index, sums), (utterance, time, columns)) in panel.values_mut().chunks_exact_mut(len).enumerate().zip(places)
    {
        by_time.resize_with(by_time.len().max(time + 1), Vec::new);
        by_time[time].push(Strip { utterance, index, columns, sums });
    }
    let mut tasks = Vec::new();
    for (time, mut strips) in by_time.into_iter().enumerate() {
        while !strips.is_empty() {
            let rest = strips.split_off(strips.len().min(GROUP));
            tasks.push((time, strips));
            strips = rest;
        }
    }
    tasks
}

/// Where the strips of a mixture come from.
enum Origin<'a> {
    /// A panel for every pair of sources, and the first strip of each of its segments.
    Stored(&'a [CpuPanel], Vec<Vec<usize>>),
    /// The spectra, and the first strip of each utterance of every source.
    Formed(&'a Spectra<Cpu>, Map, Vec<Vec<usize>>),
}

fn first_strips(panels: &[CpuPanel]) -> Vec<Vec<usize>> {
    panels.iter().map(|panel| panel.strips_of_segments().map(|strips| strips.start).collect()).collect()
}

impl Origin<'_> {
    fn of(mixtures: &Mixtures<Cpu>) -> Origin<'_> {
        match mixtures {
            Mixtures::Stored(panels) => Origin::Stored(panels, first_strips(panels)),
            Mixtures::Formed(spectra) => {
                Origin::Formed(spectra, Map::of_spectra(spectra), first_strips(&spectra.sources))
            }
        }
    }
}

/// The sums of a source over all its mixtures, unfinished.
struct Pass<'a> {
    pairing: &'a Pairing<Cpu>,
    models: &'a [CpuPanel],
    /// The first strip of each utterance of every source.
    firsts: Vec<Vec<usize>>,
    origin: Origin<'a>,
    source: usize,
    costs: bool,
}

impl Pass<'_> {
    /// Computes the sums of some strips. `space` is of one strip, `inside` of one row.
    fn run(&self, time: usize, strips: &mut [Strip], (space, inside): (&mut [f32], &mut [f32])) {
        let Self { pairing, models, source, costs, .. } = *self;
        for Strip { index, sums, .. } in &mut *strips {
            let (alone, data) = (pairing.alone[source].strip(*index), pairing.data[source].strip(*index));
            tile::dispatch(BeginJob { costs, alone, data, model: models[source].strip(*index), sums });
        }
        let first = if costs { source + 1 } else { 0 };
        for (b, lengths) in pairing.lengths.iter().enumerate().skip(first).filter(|(b, _)| *b != source) {
            for (j, &length) in lengths.iter().enumerate().filter(|(_, length)| **length > time * STRIP) {
                let other = models[b].strip(self.firsts[b][j] + time);
                for Strip { utterance, index, columns, sums } in &mut *strips {
                    let columns = (*columns).min(length - time * STRIP);
                    let pair = (*utterance, *index, columns);
                    let mixture = self.mixture(pair, (b, j), time, space);
                    let own = models[source].strip(*index);
                    if costs {
                        inside[..columns].fill(1.0);
                        inside[columns..].fill(0.0);
                        tile::dispatch(AddCostsJob { mixture, own, other, inside, sums });
                    } else {
                        tile::dispatch(AddJob { mixture, own, other, sums });
                    }
                }
            }
        }
    }

    /// The strip of a mixture, with zeros after its columns. `own`: the utterance, its strip, and the columns.
    fn mixture<'s>(
        &'s self,
        (i, index, columns): (usize, usize, usize),
        (b, j): (usize, usize),
        time: usize,
        space: &'s mut [f32],
    ) -> &'s [f32] {
        let a = self.source;
        match &self.origin {
            Origin::Stored(panels, firsts) => {
                let (pair, segment) = match a < b {
                    true => (pair_index(a, b), i * self.pairing.lengths[b].len() + j),
                    false => (pair_index(b, a), j * self.pairing.lengths[a].len() + i),
                };
                panels[pair].strip(firsts[pair][segment] + time)
            }
            Origin::Formed(spectra, map, firsts) => {
                let (own, other) = (spectra.sources[a].strip(index), spectra.sources[b].strip(firsts[b][j] + time));
                tile::dispatch(FormJob { map, modulus: spectra.modulus, own, other, mixture: space });
                tile::clear_after(columns, space);
                space
            }
        }
    }
}

impl Cpu {
    /// The sums of a source over all its mixtures: of ratios, or of costs.
    fn pair_sums(&self, pairing: &Pairing<Self>, models: &[CpuPanel], source: usize, costs: bool) -> Result<CpuPanel> {
        pairing.check(self, models, source)?;
        let (rows, segments) = pairing.data[source].extent();
        let mut sums = CpuPanel::any(self.shelf(), rows, segments.to_vec());
        let len = sums.strip_len();
        let origin = Origin::of(&pairing.mixtures);
        let pass = Pass { pairing, models, firsts: first_strips(models), origin, source, costs };
        let share = 1.0 / pairing.utterances() as f32;
        self.install(|| {
            let space = || (self.shelf().take(len), self.shelf().take(STRIP));
            tasks(&mut sums).into_par_iter().for_each_init(space, |(space, inside), (time, mut strips)| {
                pass.run(time, &mut strips, (space, inside));
                for Strip { index, columns, sums, .. } in &mut strips {
                    if !costs {
                        tile::dispatch(FinishJob { share, model: models[source].strip(*index), sums });
                    }
                    tile::clear_after(*columns, sums);
                }
            });
        });
        Ok(sums)
    }
}

impl Pairs for Cpu {
    fn model(&self, w: &CpuMatrix, h: &CpuPanel) -> Result<CpuPanel> {
        check_factors((w.len(), shape_of(w)), (h.rows(), h.segments().len()))?;
        let (rows, components) = shape_of(w);
        let len = padded(rows) * components;
        let mut model = CpuPanel::any(self.shelf(), rows, h.segments().to_vec());
        let places = h.places();
        self.install(|| {
            let packed = w.by_rows(self.shelf());
            model.strips_mut().zip(h.strips()).zip(&places).for_each(|((lambda, h), place)| {
                let bases_rows = &packed[place.segment % w.len() * len..][..len];
                tile::dispatch(ModelJob { bases_rows, h: &h[..components * STRIP], lambda });
            });
        });
        Ok(model)
    }

    fn shares(&self, pairing: &Pairing<Self>, models: &[CpuPanel], source: usize) -> Result<CpuPanel> {
        self.pair_sums(pairing, models, source, false)
    }

    fn pair_costs(&self, pairing: &Pairing<Self>, models: &[CpuPanel], source: usize) -> Result<Vec<f64>> {
        let sums = self.pair_sums(pairing, models, source, true)?;
        let places = sums.places();
        let of_strip = |(index, columns): (usize, usize)| {
            let mut costs = vec![0.0; columns];
            for row in sums.strip(index).chunks_exact(STRIP).take(sums.rows()) {
                costs.iter_mut().zip(row).for_each(|(cost, &of_cell)| *cost += f64::from(of_cell));
            }
            costs
        };
        Ok(places.iter().enumerate().flat_map(|(index, place)| of_strip((index, place.columns))).collect())
    }

    fn mix(
        &self,
        spectra: &Spectra<Self>,
        (first, second): (usize, usize),
        pairs: &[(usize, usize)],
    ) -> Result<CpuPanel> {
        let lengths = check_mix(self, spectra, (first, second), pairs)?;
        let map = Map::of_spectra(spectra);
        let [first, second] = [first, second].map(|source| &spectra.sources[source]);
        let starts = |panel: &CpuPanel| panel.strips_of_segments().map(|strips| strips.start).collect::<Vec<_>>();
        let (of_first, of_second) = (starts(first), starts(second));
        let mut mixed = CpuPanel::any(self.shelf(), spectra.rows(), lengths);
        self.install(|| {
            tasks(&mut mixed).par_iter_mut().for_each(|(time, strips)| {
                for Strip { utterance: pair, columns, sums: mixture, .. } in strips {
                    let (i, j) = pairs[*pair];
                    let (own, other) = (first.strip(of_first[i] + *time), second.strip(of_second[j] + *time));
                    tile::dispatch(FormJob { map: &map, modulus: spectra.modulus, own, other, mixture });
                    tile::clear_after(*columns, mixture);
                }
            });
        });
        Ok(mixed)
    }
}
