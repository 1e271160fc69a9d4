//! Compares every kernel of an engine with the f64 reference, on awkward shapes and numbers. `partwise check` runs this
//! on a user's machine, and the tests run it too.

mod adjoint;
mod cases;
mod glue;
mod momentum;
mod pairs;
mod prior;
mod products;
mod row;
mod shifts;
mod tables;
mod variational;

pub use row::Row;

use self::adjoint::{Step, reverse};
use self::cases::{ALONE, BATCH, bent, compare};
use self::glue::{masks, normalize, turn};
use self::momentum::{advance, keep, lead};
use self::pairs::{From, mix, model, pair_costs, shares};
use self::prior::{add_priors, log_normalize, moments, responsibilities, under};
use self::products::{base_sums, bases, both, costs, gains, trial};
use self::shifts::{shifted_bases, shifted_costs, shifted_gains, shifted_models, shifted_norms};
use self::variational::Priors;
use crate::divergence::Divergence;
use crate::engines::AnyEngine;
use crate::kernels::{
    Adjoint, Edges, GainPrior, Glue, Gradient, Mask, Modulus, Momentum, Norm, Pairs, Shifts, Tables, Variational,
};
use crate::weight::Weight;
use crate::{Result, with_engine};

/// The number of rows in the table.
pub const KERNELS: usize = 9 * 5
    + 5 * 2
    + 3
    + 2
    + 3
    + 2
    + 7
    + 6 * 3
    + 2
    + 2
    + 2
    + 2
    + 3 * 7
    + 3
    + 1
    + 3
    + 2
    + 9
    + 1
    + 1
    + 2
    + 3 * 3
    + 4
    + 2 * 3
    + 3
    + 4;

/// Compares every kernel of `engine` with the reference. `bound` depends on the engine: 5e-6 for exact f32 arithmetic,
/// 2e-5 for shaders, whose division, exp and log are less accurate. `watch` is called with each finished row.
///
/// # Errors
/// The engine's errors. A wrong number is not an error but a row that did not pass.
pub fn run(engine: &AnyEngine, bound: f64, watch: &mut dyn FnMut(&Row)) -> Result<Vec<Row>> {
    with_engine!(engine, |engine| rows(engine, bound, watch))
}

fn rows<E: GainPrior + Momentum + Glue + Shifts + Pairs + Tables + Variational + Adjoint>(
    engine: &E,
    bound: f64,
    watch: &mut dyn FnMut(&Row),
) -> Result<Vec<Row>> {
    let densities = [Divergence::student(0.73)?, Divergence::generalized_gaussian(0.14)?, bent()?];
    let divergences = [
        Divergence::Euclidean,
        Divergence::KullbackLeibler,
        Divergence::ItakuraSaito,
        Divergence::Beta(0.5),
        Divergence::Beta(3.0),
        Divergence::Beta(-1.0),
    ];
    let mut rows = Vec::with_capacity(KERNELS);
    let mut add = |row: Result<Row>| -> Result<()> {
        let row = row?;
        watch(&row);
        rows.push(row);
        Ok(())
    };
    for divergence in divergences.iter().chain(&densities) {
        add(compare(format!("products/gains {divergence}"), bound, ALONE, |case| gains(engine, case, divergence)))?;
        add(compare(format!("products/bases {divergence}"), bound, ALONE, |case| {
            bases(engine, case, (divergence.clone(), None))
        }))?;
        add(compare(format!("products/try {divergence}"), bound, ALONE, |case| trial(engine, &case[0], divergence)))?;
        add(compare(format!("products/both {divergence}"), bound, ALONE, |case| {
            both(engine, case, (divergence.clone(), None))
        }))?;
        add(compare(format!("products/costs {divergence}"), bound, ALONE, |case| costs(engine, case, divergence)))?;
    }
    for (divergence, norm) in [
        (Divergence::Euclidean, Norm::L1),
        (Divergence::Euclidean, Norm::L2),
        (Divergence::KullbackLeibler, Norm::L2),
        (Divergence::ItakuraSaito, Norm::L2),
        (Divergence::Beta(-1.0), Norm::L2),
    ] {
        let (name, kind) = (format!("{divergence} {norm}"), (divergence, Some(norm)));
        add(compare(format!("products/sparse bases {name}"), bound, ALONE, |case| bases(engine, case, kind.clone())))?;
        add(compare(format!("products/sparse both {name}"), bound, ALONE, |case| both(engine, case, kind.clone())))?;
    }
    for divergence in [Divergence::KullbackLeibler, Divergence::ItakuraSaito] {
        add(compare(format!("products/base sums {divergence}"), bound, ALONE, |case| {
            base_sums(engine, case, &divergence)
        }))?;
    }
    add(compare("glue/turn".into(), bound, ALONE, |case| turn(engine, case)))?;
    for norm in [Norm::L1, Norm::L2] {
        add(compare(format!("glue/normalize {norm}"), bound, ALONE, |case| normalize(engine, case, norm)))?;
    }
    for (name, mask) in [("ratio:1", Mask::Ratio(1.0)), ("ratio:2", Mask::Ratio(2.0)), ("hard", Mask::Hard)] {
        add(compare(format!("glue/masks {name}"), bound, ALONE, |case| masks(engine, case, mask)))?;
    }
    add(compare("momentum/lead".into(), bound, ALONE, |case| lead(engine, &case[0])))?;
    add(compare("momentum/advance".into(), bound, ALONE, |case| advance(engine, &case[0])))?;
    add(compare("momentum/keep".into(), bound, ALONE, |case| keep(engine, &case[0])))?;
    add(compare("prior/log-normalize".into(), bound, ALONE, |case| log_normalize(engine, case)))?;
    add(compare("prior/responsibilities".into(), bound, ALONE, |case| responsibilities(engine, case)))?;
    add(compare("prior/moments".into(), bound, ALONE, |case| moments(engine, &case[0])))?;
    for gradient in [Gradient::Exact, Gradient::Paper] {
        add(compare(format!("prior/add {gradient}"), bound, ALONE, |case| add_priors(engine, &case[0], gradient)))?;
    }
    for divergence in [Divergence::KullbackLeibler, Divergence::ItakuraSaito] {
        add(compare(format!("prior/gains {divergence}"), bound, ALONE, |case| under(engine, case, &divergence)))?;
    }
    let exact = [Divergence::Euclidean, Divergence::KullbackLeibler, Divergence::ItakuraSaito];
    for divergence in exact.into_iter().chain(densities.clone()) {
        let (exact, plain, name) =
            ((divergence.clone(), Edges::Exact), (divergence.clone(), Edges::Exact, None), divergence.to_string());
        add(compare(format!("shifts/gains {name}"), bound, ALONE, |case| shifted_gains(engine, case, exact.clone())))?;
        add(compare(format!("shifts/bases {name}"), bound, ALONE, |case| shifted_bases(engine, case, plain.clone())))?;
        add(compare(format!("shifts/costs {name}"), bound, ALONE, |case| shifted_costs(engine, case, &divergence)))?;
    }
    let printed = (Divergence::KullbackLeibler, Edges::Printed);
    add(compare("shifts/gains kl printed".into(), bound, ALONE, |case| shifted_gains(engine, case, printed.clone())))?;
    add(compare("shifts/bases kl printed".into(), bound, ALONE, |case| {
        shifted_bases(engine, case, (Divergence::KullbackLeibler, Edges::Printed, None))
    }))?;
    for norm in [Norm::L1, Norm::L2] {
        let kind = (Divergence::ItakuraSaito, Edges::Exact, Some(norm));
        add(compare(format!("shifts/sparse bases is {norm}"), bound, ALONE, |case| {
            shifted_bases(engine, case, kind.clone())
        }))?;
    }
    add(compare("shifts/models".into(), bound, ALONE, |case| shifted_models(engine, case, None)))?;
    add(compare("shifts/masks ratio:2".into(), bound, ALONE, |case| {
        shifted_models(engine, case, Some(Mask::Ratio(2.0)))
    }))?;
    for norm in [Norm::L1, Norm::L2] {
        add(compare(format!("shifts/normalize {norm}"), bound, ALONE, |case| shifted_norms(engine, case, norm)))?;
    }
    let [.., learned] = densities.clone();
    for divergence in [Divergence::KullbackLeibler, Divergence::ItakuraSaito, learned] {
        add(compare(format!("segments/gains {divergence}"), bound, BATCH, |batch| gains(engine, batch, &divergence)))?;
        add(compare(format!("segments/bases {divergence}"), bound, BATCH, |batch| {
            bases(engine, batch, (divergence.clone(), None))
        }))?;
        add(compare(format!("segments/both {divergence}"), bound, BATCH, |batch| {
            both(engine, batch, (divergence.clone(), None))
        }))?;
        let sparse = (divergence.clone(), Some(Norm::L2));
        add(compare(format!("segments/sparse bases {divergence}"), bound, BATCH, |batch| {
            bases(engine, batch, sparse.clone())
        }))?;
        add(compare(format!("segments/sparse both {divergence}"), bound, BATCH, |batch| {
            both(engine, batch, sparse.clone())
        }))?;
        add(compare(format!("segments/base sums {divergence}"), bound, BATCH, |batch| {
            base_sums(engine, batch, &divergence)
        }))?;
        add(compare(format!("segments/costs {divergence}"), bound, BATCH, |batch| costs(engine, batch, &divergence)))?;
    }
    let shifted = (Divergence::ItakuraSaito, Edges::Exact);
    add(compare("segments/shifted gains is".into(), bound, BATCH, |batch| {
        shifted_gains(engine, batch, shifted.clone())
    }))?;
    add(compare("segments/shifted bases is".into(), bound, BATCH, |batch| {
        shifted_bases(engine, batch, (Divergence::ItakuraSaito, Edges::Exact, None))
    }))?;
    let sparse = (Divergence::KullbackLeibler, Edges::Exact, Some(Norm::L2));
    add(compare("segments/shifted sparse bases kl".into(), bound, BATCH, |batch| {
        shifted_bases(engine, batch, sparse.clone())
    }))?;
    add(compare("segments/shifted norms l2".into(), bound, BATCH, |batch| shifted_norms(engine, batch, Norm::L2)))?;
    add(compare("pairs/model".into(), bound, BATCH, |batch| model(engine, batch)))?;
    let formed = [Modulus::Magnitude, Modulus::Power];
    for (name, from) in
        [("stored", From::Stored), ("magnitude", From::Formed(formed[0])), ("power", From::Formed(formed[1]))]
    {
        add(compare(format!("pairs/shares {name}"), bound, BATCH, |batch| shares(engine, batch, from)))?;
        add(compare(format!("pairs/costs {name}"), bound, BATCH, |batch| pair_costs(engine, batch, from)))?;
    }
    for (name, modulus) in [("magnitude", formed[0]), ("power", formed[1])] {
        add(compare(format!("pairs/mix {name}"), bound, BATCH, |batch| mix(engine, batch, modulus)))?;
    }
    add(compare("tables/apply".into(), bound, ALONE, |case| tables::apply(engine, &case[0])))?;
    add(compare("variational/variances".into(), bound, ALONE, |case| variational::variances(engine, case)))?;
    for (name, noise) in [("noise", 1e-3), ("no noise", 0.0)] {
        add(compare(format!("variational/sources, {name}"), bound, ALONE, |case| {
            variational::sources(engine, case, noise)
        }))?;
    }
    for shape in variational::SHAPES {
        let priors = Priors::new(engine, shape)?;
        for (name, learned) in [("fixed", false), ("learned", true)] {
            add(compare(format!("variational/gains {name} {shape}"), bound, ALONE, |case| {
                variational::gains(engine, case, learned, &priors)
            }))?;
        }
        add(compare(format!("variational/bases {shape}"), bound, ALONE, |case| {
            variational::bases(engine, case, &priors)
        }))?;
    }
    let priors = Priors::new(engine, 0.2)?;
    add(compare("segments/variances".into(), bound, BATCH, |batch| variational::variances(engine, batch)))?;
    for (name, learned) in [("fixed", false), ("learned", true)] {
        add(compare(format!("segments/posterior gains {name}"), bound, BATCH, |batch| {
            variational::gains(engine, batch, learned, &priors)
        }))?;
    }
    add(compare("segments/posterior bases".into(), bound, BATCH, |batch| variational::bases(engine, batch, &priors)))?;
    let weights: Vec<&Weight> = densities.iter().filter_map(Divergence::weight).collect();
    for (weight, density) in weights.iter().zip(&densities) {
        for (kind, step) in [("gains", Step::Gains(weight)), ("bases", Step::Bases(weight))] {
            add(compare(format!("adjoint/{kind} {density}"), bound, ALONE, |case| reverse(engine, case, step)))?;
        }
    }
    for (name, step) in
        [("norm", Step::Norm(true)), ("norm, not compensated", Step::Norm(false)), ("model", Step::Model)]
    {
        add(compare(format!("adjoint/{name}"), bound, ALONE, |case| reverse(engine, case, step)))?;
    }
    for (name, step) in [
        ("gains", Step::Gains(weights[0])),
        ("bases", Step::Bases(weights[0])),
        ("norm", Step::Norm(true)),
        ("model", Step::Model),
    ] {
        add(compare(format!("segments/adjoint {name}"), bound, BATCH, |batch| reverse(engine, batch, step)))?;
    }
    add(compare("segments/prior is".into(), bound, BATCH, |batch| under(engine, batch, &Divergence::ItakuraSaito)))?;
    add(compare("segments/normalize l2".into(), bound, BATCH, |batch| normalize(engine, batch, Norm::L2)))?;
    add(compare("segments/turn".into(), bound, BATCH, |batch| turn(engine, batch)))?;
    add(compare("segments/masks ratio:1".into(), bound, BATCH, |batch| masks(engine, batch, Mask::Ratio(1.0))))?;
    Ok(rows)
}
