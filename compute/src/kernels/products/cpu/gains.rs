//! Updates of gains: strip by strip, or under many bases block by block.

use rayon::prelude::*;

use super::super::Rule;
use super::blocks;
use super::fields::Fields;
use super::strip::{FinishJob, Space, Strip, Terms, TrialJob};
use crate::engine::{Cpu, CpuMatrix, CpuPanel, Place, STRIP, tile};

/// Updates H, with terms.
pub(super) fn update<F: Fields, T: Terms>(
    engine: &Cpu,
    fields: F,
    v: &CpuPanel,
    w: &CpuMatrix,
    h: &mut CpuPanel,
    rule: &Rule,
    terms: &T,
) {
    engine.install(|| {
        let packed = w.packed(engine.shelf());
        let (shelf, len, places) = (engine.shelf(), h.strip_len(), v.places());
        let space = || (Space::new(shelf, &packed[0], blocks::rows_at_once(&packed)), shelf.take(len));
        let of_terms = || terms.space(shelf);
        let strips = h.strips_mut().zip(v.strips()).zip(&places).enumerate();
        if blocks::pay(&packed) {
            strips.chunks(blocks::STRIPS).for_each(|group| {
                let mut spaces: Vec<_> = group.iter().map(|_| space()).collect();
                let (mut indices, mut strips) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
                for ((index, ((h, v), place)), (space, before)) in group.into_iter().zip(&mut spaces) {
                    before.copy_from_slice(h);
                    let w = &packed[0];
                    strips.push(Strip { fields, rule, w, v, h: before, next: h, columns: place.columns, space });
                    indices.push(index);
                }
                blocks::sums::<F, false>(&packed[0], &mut strips);
                strips.into_par_iter().zip(indices).for_each_init(of_terms, |of_terms, (strip, index)| {
                    strip.finish_with((terms, index), of_terms);
                });
            });
            return;
        }
        let space = || (space(), of_terms());
        strips.for_each_init(space, |((space, before), of_terms), (index, ((h, v), &Place { segment, columns }))| {
            before.copy_from_slice(h);
            let w = &packed[segment % packed.len()];
            let strip = Strip { fields, rule, w, v, h: before, next: h, columns, space };
            strip.update_with((terms, index), of_terms);
        });
    });
}

/// `next` ← the update of `trial`; `costs` ← the costs at `trial`.
#[expect(clippy::too_many_arguments, reason = "those of the trait's function, and what it found out")]
pub(super) fn attempt<F: Fields>(
    engine: &Cpu,
    fields: F,
    v: &CpuPanel,
    w: &CpuMatrix,
    trial: &CpuPanel,
    next: &mut CpuPanel,
    costs: &mut CpuPanel,
    rule: &Rule,
) {
    engine.install(|| {
        let packed = w.packed(engine.shelf());
        let places = v.places();
        let strips = next.strips_mut().zip(costs.strips_mut()).zip(trial.strips().zip(v.strips())).zip(&places);
        let space = || Space::new(engine.shelf(), &packed[0], blocks::rows_at_once(&packed));
        if blocks::pay(&packed) {
            strips.chunks(blocks::STRIPS).for_each(|group| {
                let mut spaces: Vec<_> = group.iter().map(|_| space()).collect();
                let (mut strips, mut to_costs) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
                for ((((next, costs), (h, v)), place), space) in group.into_iter().zip(&mut spaces) {
                    let w = &packed[0];
                    strips.push(Strip { fields, rule, w, v, h, next, columns: place.columns, space });
                    to_costs.push(&mut costs[..STRIP]);
                }
                let costs = blocks::sums::<F, true>(&packed[0], &mut strips);
                let strips = strips.into_par_iter().zip(to_costs).zip(&costs);
                strips.for_each(|((strip, costs), sums)| {
                    costs.copy_from_slice(sums);
                    tile::dispatch(FinishJob { strip, costs });
                });
            });
            return;
        }
        strips.for_each_init(space, |space, (((next, costs), (h, v)), &Place { segment, columns })| {
            let w = &packed[segment % packed.len()];
            let strip = Strip { fields, rule, w, v, h, next, columns, space };
            tile::dispatch(TrialJob { strip, costs: &mut costs[..STRIP] });
        });
    });
}
