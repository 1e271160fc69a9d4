//! Benchmarks of the kernels against the machine's peaks.

use std::cell::Cell;
use std::ops::Range;
use std::str::FromStr;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use ndarray::{Array1, Array2};
use partwise::Divergence;
use partwise::cubics::no_sums;
use partwise::engine::{Cpu, Engine, Median, Timing};
use partwise::kernels::{
    Adjoint, Bases, Density, GainPrior, Gig, Glue, Gradient, Lags, Mask, Mixture, Mixtures, Modulus, Order, Pairing,
    Pairs, Peak, Peaks, Prior, Rule, ShiftRule, Shifts, Spectra, Variational,
};
use partwise::random::Stream;
use partwise::report::Roof;
use partwise::weight::Weight;
use serde::Serialize;

use super::super::progress::advanced;

/// The least duration of a run that counts: many times the cost of submitting it.
const LONG_ENOUGH: Duration = Duration::from_millis(5);

/// Peaks are measured this many times as long as a kernel, because everything is compared with them.
const PEAK_TIMES: u32 = 4;

/// Components of the mixtures.
const MIXTURES: usize = 32;

/// The shape of the priors of variational Bayes.
const SHAPE: f64 = 0.2;

/// The degrees of freedom of the density whose updates are reversed.
const FREEDOM: f64 = 0.73;

/// Frames of the utterances that are mixed in pairs, about.
const UTTERANCE: usize = 500;

/// Bins per band of their spectra, if mixtures are formed. Each bin lies in two bands.
const BAND: usize = 6;

/// The plan: what is measured, and for how long.
pub(super) struct Plan {
    pub(super) shapes: Vec<Shape>,
    pub(super) divergences: Vec<Divergence>,
    pub(super) least: Duration,
}

/// The size of a problem: data F x N, rank K.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Shape {
    bins: usize,
    frames: usize,
    components: usize,
    /// T time lags and Φ pitch lags, for patterns that move.
    lags: Option<[usize; 2]>,
}

impl Shape {
    /// The lags; 1 and 1 for patterns that do not move.
    fn lags(self) -> Lags {
        let [time, pitch] = self.lags.unwrap_or([1, 1]);
        Lags { time, pitch }
    }

    /// Its numbers, joined by `between`.
    pub(super) fn joined(self, between: &str) -> String {
        let numbers = [self.bins, self.frames, self.components].into_iter().chain(self.lags.into_iter().flatten());
        numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(between)
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Option<Vec<usize>> = text.split('x').map(|number| number.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[bins @ 1..=65_536, frames @ 1..=16_777_216, components @ 2..=4096, ref lags @ ..])
                if bins * frames <= 1 << 31 =>
            {
                let lags = match *lags {
                    [] => None,
                    [time @ 1..=4096, pitch @ 1..=4096] => Some([time, pitch]),
                    _ => return Err("use two lags, of time and of pitch, such as 175x500x2x7x18".into()),
                };
                Ok(Self { bins, frames, components, lags })
            }
            _ => Err("use bins, frames and at least 2 components, such as 257x1000x64".into()),
        }
    }
}

/// The measurements of an engine.
#[derive(Serialize)]
pub(super) struct Measured {
    pub(super) engine: String,
    /// The peaks. None for the reference.
    pub(super) peaks: Option<PeakRates>,
    pub(super) kernels: Vec<KernelTime>,
}

#[derive(Clone, Copy, Serialize)]
pub(super) struct PeakRates {
    /// The rate of multiply-adds in registers.
    pub(super) gflops: f64,
    /// The rate of a copy, read and written bytes together.
    pub(super) gigabytes_per_second: f64,
}

impl PeakRates {
    /// The roofline of these peaks.
    pub(super) fn roof(self) -> Roof {
        Roof { flops: self.gflops * 1e9, bytes: self.gigabytes_per_second * 1e9 }
    }
}

#[derive(Serialize)]
pub(super) struct KernelTime {
    pub(super) kernel: &'static str,
    /// The divergence. None if the kernel has none.
    pub(super) divergence: Option<String>,
    #[serde(flatten)]
    pub(super) shape: Shape,
    /// Time by the wall clock.
    pub(super) milliseconds: f64,
    /// Time by the device's own clock, if it has one. The following members then use this clock.
    pub(super) device_milliseconds: Option<f64>,
    /// The operations that must be computed; below, the bytes that must be moved.
    pub(super) flop: f64,
    pub(super) bytes: f64,
    pub(super) flop_per_byte: f64,
    pub(super) gflops: f64,
    pub(super) gigabytes_per_second: f64,
    /// None without peaks, and where a busy machine made peak and kernel impossible to compare.
    pub(super) share_of_peak_flops: Option<f64>,
    /// The share of the roofline at this many flop per byte.
    pub(super) share_of_roofline: Option<f64>,
    /// The median time over the shortest.
    pub(super) spread: f64,
    /// The other engine's wall time divided by this one's.
    pub(super) times_faster: Option<f64>,
}

/// The operands of a kernel: V, W and H of two sources. For patterns that move, W has T bases and H has Φ times the
/// gains.
struct Problem<'a, E: Engine> {
    v: &'a E::Panel,
    w: E::Matrix,
    h: E::Panel,
    rule: Rule,
    shifts: ShiftRule,
    sources: [Range<usize>; 2],
    /// The priors of both sources, with [`MIXTURES`] components each.
    priors: Vec<Prior<E::Matrix>>,
    weights: E::Panel,
    pairs: Option<&'a [Paired<E>; 3]>,
    /// One order: W, fixed, and both means of H. Patterns that move have none.
    orders: Vec<Order<E>>,
    gig: &'a Gig<E>,
    weight: &'a Weight,
    /// The adjoints of W and H, and of the weight.
    of_w: E::Matrix,
    of_h: E::Panel,
    knots: E::Matrix,
}

/// Two sources whose utterances are mixed in pairs, and their models.
struct Paired<E: Engine> {
    pairing: Pairing<E>,
    models: Vec<E::Panel>,
}

/// The least cost of a kernel: its flop, and its bytes with each operand moved once.
struct Cost {
    flop: f64,
    bytes: f64,
}

/// A row of the table: a kernel, its function and its least cost.
struct Kernel<E: Engine> {
    name: &'static str,
    cost: fn(&Sizes) -> Cost,
    run: fn(&E, &mut Problem<'_, E>) -> partwise::Result<()>,
}

/// The parts of a cost: the flop of a product F x N x K at every pair of lags, and the bytes of the operands.
struct Sizes {
    product: f64,
    /// Products per update: Λ, Wᵀ P and Wᵀ Q or the like. If Q is 1, the last is only a sum.
    update: f64,
    v: f64,
    w: f64,
    h: f64,
    /// Cells of the mixtures of two sources in pairs.
    mixed: f64,
}

impl Sizes {
    fn of(shape: Shape, divergence: Option<Divergence>) -> Self {
        let (Shape { bins, frames, components, .. }, Lags { time, pitch }) = (shape, shape.lags());
        let bytes = |numbers: usize| (numbers * size_of::<f32>()) as f64;
        Self {
            product: 2.0 * [bins, frames, components, time, pitch].map(|size| size as f64).iter().product::<f64>(),
            update: if divergence == Some(Divergence::KullbackLeibler) { 2.0 } else { 3.0 },
            v: bytes(bins * frames),
            w: bytes(time * bins * components),
            h: bytes(pitch * components * frames),
            mixed: (bins * utterances(frames).len().pow(2) * utterances(frames)[0]) as f64,
        }
    }
}

/// The lengths of the utterances of each of two sources.
fn utterances(frames: usize) -> Vec<usize> {
    let count = (frames / 2 / UTTERANCE).max(1);
    vec![(frames / 2 / count).max(1); count]
}

/// The kernels that depend on the divergence.
fn updates<E: GainPrior>() -> Vec<Kernel<E>> {
    vec![
        Kernel {
            name: "gains",
            cost: |s| Cost { flop: s.update * s.product, bytes: s.v + s.w + 2.0 * s.h },
            run: |engine, p| engine.update_gains(p.v, &p.w, &mut p.h, &p.rule),
        },
        Kernel {
            name: "bases",
            cost: |s| Cost { flop: s.update * s.product, bytes: s.v + 2.0 * s.w + s.h },
            run: |engine, p| engine.update_bases(p.v, &mut p.w, &p.h, &p.rule),
        },
        Kernel {
            name: "iteration",
            cost: |s| Cost { flop: 2.0 * s.update * s.product, bytes: 2.0 * s.v + 3.0 * s.w + 3.0 * s.h },
            run: |engine, p| {
                engine.update_gains(p.v, &p.w, &mut p.h, &p.rule)?;
                engine.update_bases(p.v, &mut p.w, &p.h, &p.rule)
            },
        },
        Kernel {
            name: "gains, prior",
            // Four multiply-adds for every gain and component: a squared difference, and two products.
            cost: |s| Cost { flop: s.update * s.product + 2.0 * MIXTURES as f64 * s.h, bytes: s.v + s.w + 2.0 * s.h },
            run: |engine, p| engine.update_gains_under(p.v, &p.w, &mut p.h, &p.rule, &p.priors, &p.weights),
        },
        Kernel {
            name: "joint",
            cost: |s| Cost { flop: (2.0 * s.update - 1.0) * s.product, bytes: s.v + 2.0 * s.w + 2.0 * s.h },
            run: |engine, p| engine.update_both(p.v, &mut p.w, &mut p.h, &p.rule),
        },
    ]
}

/// The kernels without a divergence.
fn others<E: Glue + Pairs + Variational + Adjoint>() -> Vec<Kernel<E>> {
    vec![
        Kernel {
            name: "masks",
            cost: |s| Cost { flop: s.product, bytes: s.w + s.h + 2.0 * s.v },
            run: |engine, p| engine.masks(&p.w, &p.h, &p.sources, Mask::Ratio(1.0)).map(drop),
        },
        Kernel {
            name: "pairs, stored",
            // A sum of models, a maximum, a division and a sum of ratios.
            cost: |s| Cost { flop: 4.0 * s.mixed, bytes: 4.0 * s.mixed + 2.0 * s.v },
            run: |engine, p| shares(engine, p, 0),
        },
        Kernel { name: "pairs, magnitude", cost: formed, run: |engine, p| shares(engine, p, 1) },
        Kernel { name: "pairs, power", cost: formed, run: |engine, p| shares(engine, p, 2) },
        Kernel {
            name: "gains, variational",
            // ω and C, and two projections. The terms come back to the host.
            cost: |s| Cost { flop: 4.0 * s.product, bytes: s.v + s.w + 4.0 * s.h },
            run: |engine, p| engine.update_gain_posteriors(p.v, &mut p.orders, p.gig).map(drop),
        },
        Kernel {
            name: "adjoint of gains",
            cost: reversed,
            run: |engine, p| {
                let adjoints = (&mut p.of_w, &mut p.of_h, &mut p.knots);
                engine.adjoint_of_gains(p.v, &p.w, &p.h, p.weight, adjoints.0, adjoints.1, adjoints.2)
            },
        },
        Kernel {
            name: "adjoint of bases",
            cost: reversed,
            run: |engine, p| {
                let adjoints = (&mut p.of_w, &mut p.of_h, &mut p.knots);
                engine.adjoint_of_bases(p.v, &p.w, &p.h, p.weight, adjoints.0, adjoints.1, adjoints.2)
            },
        },
    ]
}

/// Of an update that is reversed: Λ, N, D and the products of their adjoints, and four more for those of both factors, which are
/// read and written.
fn reversed(s: &Sizes) -> Cost {
    Cost { flop: 9.0 * s.product, bytes: s.v + 3.0 * s.w + 3.0 * s.h }
}

/// Of mixtures that are formed. For a bin: two sums of spectra, a square, a multiply-add, and one more for each of two
/// bands. A root of magnitudes does not count: processors take it in a unit of its own.
fn formed(s: &Sizes) -> Cost {
    Cost { flop: (9.0 + 4.0 / BAND as f64) * s.mixed, bytes: (2.0 + 2.0 / BAND as f64) * s.v }
}

fn shares<E: Pairs>(engine: &E, problem: &Problem<E>, origin: usize) -> partwise::Result<()> {
    let Some(pairs) = problem.pairs else { return Ok(()) };
    engine.shares(&pairs[origin].pairing, &pairs[origin].models, 0).map(drop)
}

/// The updates of patterns that move.
fn shifted<E: Shifts>() -> Vec<Kernel<E>> {
    vec![
        Kernel {
            name: "shifted gains",
            cost: |s| Cost { flop: s.update * s.product, bytes: s.v + s.w + 2.0 * s.h },
            run: |engine, p| engine.update_shifted_gains(p.v, &p.w, &mut p.h, &p.shifts),
        },
        Kernel {
            name: "shifted bases",
            cost: |s| Cost { flop: s.update * s.product, bytes: s.v + 2.0 * s.w + s.h },
            run: |engine, p| engine.update_shifted_bases(p.v, &mut p.w, &p.h, &p.shifts),
        },
    ]
}

/// The kernels of a shape: those that depend on the divergence, and the others.
fn of_shape<E: GainPrior + Glue + Shifts + Pairs + Variational + Adjoint>(shape: Shape) -> [Vec<Kernel<E>>; 2] {
    if shape.lags.is_some() { [shifted(), Vec::new()] } else { [updates(), others()] }
}

/// The number of steps of the progress bar in [`measure`].
pub(super) fn steps(plan: &Plan) -> usize {
    let of_each = plan.shapes.iter().map(|&shape| {
        let [updates, others] = of_shape::<Cpu>(shape);
        updates.len() * plan.divergences.len() + others.len()
    });
    2 + of_each.sum::<usize>()
}

/// Measures the peaks and all kernels of an engine.
pub(super) fn measure<E: GainPrior + Glue + Shifts + Pairs + Peak + Variational + Adjoint>(
    engine: &E,
    plan: &Plan,
    bar: &ProgressBar,
) -> partwise::Result<Measured> {
    // Peaks are measured before and after the kernels, and the better one counts, so that other load does not lower
    // them.
    let before = advanced(bar, engine.peaks(PEAK_TIMES * plan.least)?);
    let mut kernels = Vec::new();
    for &shape in &plan.shapes {
        let given = Given::of(engine, shape)?;
        let [updates, others] = of_shape(shape);
        for divergence in &plan.divergences {
            for kernel in &updates {
                kernels.push(advanced(bar, time(engine, kernel, &given, Some(divergence.clone()), plan.least)?));
            }
        }
        for kernel in &others {
            kernels.push(advanced(bar, time(engine, kernel, &given, None, plan.least)?));
        }
    }
    let after = advanced(bar, engine.peaks(PEAK_TIMES * plan.least)?);
    let peaks = before.zip(after).map(|(before, after)| rates(before.max(after)));
    if let Some(peaks) = peaks {
        kernels.iter_mut().for_each(|time| share(time, peaks));
    }
    Ok(Measured { engine: engine.describe(), peaks, kernels })
}

/// Sets how many times faster each kernel is than on another engine.
pub(super) fn compare(kernels: &mut [KernelTime], others: &[KernelTime]) {
    for (time, other) in kernels.iter_mut().zip(others) {
        time.times_faster = Some(other.milliseconds / time.milliseconds);
    }
}

/// The start of every kernel of a shape: V on the engine, W and H to be uploaded anew for every run. Long series of
/// updates would otherwise lead to numbers for which arithmetic is slow.
struct Given<E: Engine> {
    shape: Shape,
    v: E::Panel,
    /// The bases, one per time lag.
    w: Vec<Array2<f32>>,
    h: Array2<f32>,
    /// Mixtures in pairs that are stored, and that are formed as magnitudes and as powers. None for patterns that move.
    pairs: Option<[Paired<E>; 3]>,
    gig: Gig<E>,
    weight: Weight,
}

impl<E: Pairs> Given<E> {
    fn of(engine: &E, shape: Shape) -> partwise::Result<Self> {
        let (Shape { bins, frames, components, .. }, Lags { time, pitch }) = (shape, shape.lags());
        Ok(Self {
            shape,
            v: engine.panel(numbers("v", bins, frames).view())?,
            w: vec![numbers("w", bins, components); time],
            h: numbers("h", pitch * components, frames),
            pairs: if shape.lags.is_some() { None } else { Some(paired(engine, bins, &utterances(frames))?) },
            gig: Gig::new(engine, SHAPE)?,
            weight: Weight::student(FREEDOM)?,
        })
    }
}

/// Two sources with utterances of these lengths. Mixtures that are stored have `bins` rows, and those that are formed one
/// for every [`BAND`] bins.
fn paired<E: Pairs>(engine: &E, bins: usize, lengths: &[usize]) -> partwise::Result<[Paired<E>; 3]> {
    let panel = |name: &str, rows: usize, lengths: &[usize]| {
        let parts: Vec<Array2<f32>> = lengths.iter().map(|&frames| numbers(name, rows, frames)).collect();
        engine.packed(&parts.iter().map(|part| part.view()).collect::<Vec<_>>())
    };
    let two = |name: &str, rows: usize| -> partwise::Result<Vec<E::Panel>> {
        Ok(vec![panel(name, rows, lengths)?, panel(name, rows, lengths)?])
    };
    let paired = |mixtures: Mixtures<E>, rows: usize| -> partwise::Result<Paired<E>> {
        let pairing = Pairing::new(engine, two("data", rows)?, mixtures)?;
        Ok(Paired { pairing, models: two("models", rows)? })
    };
    let pairs = vec![lengths[0]; lengths.len() * lengths.len()];
    let stored = paired(Mixtures::Stored(vec![panel("mixtures", bins, &pairs)?]), bins)?;
    // Triangles over 2 BAND bins.
    let bands = bins.div_ceil(BAND);
    let distance = |band: usize, bin: usize| (band * BAND).abs_diff(bin) as f32 / BAND as f32;
    let map = Array2::from_shape_fn((bands, bins), |(band, bin)| (1.0 - distance(band, bin)).max(0.0));
    let formed = |modulus| {
        paired(Mixtures::Formed(Spectra::new(engine, two("spectra", 2 * bins)?, Some(map.view()), modulus)?), bands)
    };
    Ok([stored, formed(Modulus::Magnitude)?, formed(Modulus::Power)?])
}

/// Numbers from 0.05 to 1.05.
pub(super) fn numbers(name: &str, rows: usize, columns: usize) -> Array2<f32> {
    let stream = Stream::new(0, name);
    let at = |(row, column)| (0.05 + stream.uniform((row * columns + column) as u64)) as f32;
    Array2::from_shape_fn((rows, columns), at)
}

/// One prior for each range of rows of the gains.
fn priors<E: Engine, const N: usize>(engine: &E, rows: [Range<usize>; N]) -> partwise::Result<Vec<Prior<E::Matrix>>> {
    let prior = |rows: Range<usize>| {
        let values = |name| numbers(name, MIXTURES, rows.len()).mapv(f64::from);
        let weights = Array1::from_elem(MIXTURES, 1.0 / MIXTURES as f64);
        let mixture = Mixture { weights, means: -values("means"), variances: values("variances") };
        let density = Density::new(engine, &mixture)?;
        Ok(Prior { rows, density, gradient: Gradient::Exact, floor: 1e-6 })
    };
    rows.into_iter().map(prior).collect()
}

/// The median time of a kernel, and its rates.
fn time<E: GainPrior + Pairs + Variational>(
    engine: &E,
    kernel: &Kernel<E>,
    given: &Given<E>,
    of: Option<Divergence>,
    least: Duration,
) -> partwise::Result<KernelTime> {
    let shape = given.shape;
    let middle = shape.components / 2;
    let divergence = of.clone().unwrap_or(Divergence::ItakuraSaito);
    let bases: Vec<_> = given.w.iter().map(|w| w.view()).collect();
    // A card lowers its clock while the host uploads a problem, and raises it again under load. So give it some work
    // first.
    let rests = Cell::new(false);
    let Median { timing, spread } = Timing::median(least, LONG_ENOUGH, |times| {
        let means = || engine.panel(given.h.view());
        let orders = match shape.lags {
            Some(_) => Vec::new(),
            None => vec![Order { bases: Bases::Fixed(engine.stack(&bases)?), mean: means()?, harmonic: means()? }],
        };
        let mut problem = Problem {
            v: &given.v,
            w: engine.stack(&bases)?,
            h: engine.panel(given.h.view())?,
            rule: Rule::of(divergence.clone()),
            shifts: ShiftRule::of(divergence.clone(), shape.lags()),
            sources: [0..middle, middle..shape.components],
            priors: priors(engine, [0..middle, middle..shape.components])?,
            weights: engine.panel(Array2::from_elem((2, shape.frames), 0.1f32).view())?,
            pairs: given.pairs.as_ref(),
            orders,
            gig: &given.gig,
            weight: &given.weight,
            of_w: engine.stack(&bases)?,
            of_h: engine.panel(given.h.view())?,
            knots: engine.matrix(no_sums().view())?,
        };
        let mut timed = || engine.timed(|| (0..times).try_for_each(|_| (kernel.run)(engine, &mut problem)));
        let started = Instant::now();
        while rests.get() && started.elapsed() < least {
            timed()?;
        }
        let timing = timed()?;
        rests.set(timing.device.is_some());
        Ok(timing)
    })?;
    let Cost { flop, bytes } = (kernel.cost)(&Sizes::of(shape, of.clone()));
    Ok(KernelTime {
        kernel: kernel.name,
        divergence: of.map(|divergence| divergence.to_string()),
        shape,
        milliseconds: timing.wall * 1e3,
        device_milliseconds: timing.device.map(|seconds| seconds * 1e3),
        flop,
        bytes,
        flop_per_byte: flop / bytes,
        gflops: flop / timing.computing() / 1e9,
        gigabytes_per_second: bytes / timing.computing() / 1e9,
        share_of_peak_flops: None,
        share_of_roofline: None,
        spread,
        times_faster: None,
    })
}

fn rates(Peaks { flops, bytes }: Peaks) -> PeakRates {
    PeakRates { gflops: flops / 1e9, gigabytes_per_second: bytes / 1e9 }
}

/// A kernel cannot be so many times as fast as its peaks: either was then measured while the machine was busy. Operands that stay in
/// caches are read faster than a copy in memory, so only arithmetic is a bound.
const IMPOSSIBLE: f64 = 1.1;

/// Kernels whose median time is so many times the shortest were measured while the machine was busy.
const BUSY: f64 = 1.3;

impl KernelTime {
    /// Whether the machine did other work meanwhile.
    pub(super) fn is_busy(&self, peaks: Option<PeakRates>) -> bool {
        self.spread > BUSY || peaks.is_some_and(|_| self.share_of_peak_flops.is_none())
    }
}

/// Compares a kernel with the peaks.
fn share(time: &mut KernelTime, peaks: PeakRates) {
    let of_flops = time.gflops / peaks.gflops;
    let of_roof = time.gflops * 1e9 / peaks.roof().at(time.flop_per_byte);
    let is_possible = of_flops <= IMPOSSIBLE;
    time.share_of_peak_flops = is_possible.then_some(of_flops);
    time.share_of_roofline = is_possible.then_some(of_roof);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_equal_hand_computed_ones() {
        // F 2, N 3, K 5: a product has 60 flop, V 24 bytes, W 40, H 60.
        let shape: Shape = "2x3x5".parse().unwrap();
        assert_eq!(
            [3, 999, 1000, 2000, 2600].map(utterances),
            [vec![1], vec![499], vec![500], vec![500; 2], vec![650; 2]]
        );
        let costs = |divergence: Option<Divergence>, kernels: Vec<Kernel<partwise::Cpu>>| -> Vec<(f64, f64)> {
            let costs = kernels.iter().map(|kernel| (kernel.cost)(&Sizes::of(shape, divergence.clone())));
            costs.map(|cost| (cost.flop, cost.bytes)).collect()
        };
        let is = costs(Some(Divergence::ItakuraSaito), updates());
        assert_eq!(is, [(180.0, 184.0), (180.0, 164.0), (360.0, 348.0), (4020.0, 184.0), (300.0, 224.0)]);
        let kl = costs(Some(Divergence::KullbackLeibler), updates());
        assert_eq!(kl, [(120.0, 184.0), (120.0, 164.0), (240.0, 348.0), (3960.0, 184.0), (180.0, 224.0)]);
        // One utterance of one frame for each source: two cells of a mixture.
        let of_others = costs(None, others());
        assert_eq!(of_others[..2], [(60.0, 148.0), (8.0, 56.0)]);
        assert!((of_others[3].0 - 2.0 * (9.0 + 4.0 / 6.0)).abs() < 1e-12 && (of_others[3].1 - 56.0).abs() < 1e-12);
        assert_eq!(of_others[4..], [(240.0, 304.0), (540.0, 324.0), (540.0, 324.0)]);
        // With 2 time lags and 4 pitch lags a product has 480 flop, W 80 bytes, H 240.
        let shape: Shape = "2x3x5x2x4".parse().unwrap();
        let shifted = |divergence: Divergence| {
            let costs =
                shifted::<partwise::Cpu>().into_iter().map(|k| (k.cost)(&Sizes::of(shape, Some(divergence.clone()))));
            costs.map(|cost| (cost.flop, cost.bytes)).collect::<Vec<_>>()
        };
        assert_eq!(shifted(Divergence::ItakuraSaito), [(1440.0, 584.0), (1440.0, 424.0)]);
        assert_eq!(shifted(Divergence::KullbackLeibler), [(960.0, 584.0), (960.0, 424.0)]);
    }

    #[test]
    fn roofline_shares_equal_hand_computed_ones() {
        let engine = partwise::Reference;
        let given = Given::of(&engine, "2x3x4".parse().unwrap()).unwrap();
        let mut time = time(&engine, &updates()[0], &given, Some(Divergence::Euclidean), Duration::ZERO).unwrap();
        (time.gflops, time.flop_per_byte) = (30.0, 4.0);
        share(&mut time, PeakRates { gflops: 100.0, gigabytes_per_second: 10.0 });
        assert_eq!((time.share_of_peak_flops, time.share_of_roofline), (Some(0.3), Some(0.75)));
        time.flop_per_byte = 50.0;
        share(&mut time, PeakRates { gflops: 100.0, gigabytes_per_second: 10.0 });
        assert_eq!(time.share_of_roofline, Some(0.3));
        time.spread = 1.0;
        assert!(!time.is_busy(Some(PeakRates { gflops: 100.0, gigabytes_per_second: 10.0 })));
        // A peak that was measured beside other work is no peak.
        let low = PeakRates { gflops: 0.0003, gigabytes_per_second: 10.0 };
        share(&mut time, low);
        assert_eq!((time.share_of_peak_flops, time.share_of_roofline), (None, None));
        assert!(time.is_busy(Some(low)) && !time.is_busy(None));
        time.spread = 1.5;
        assert!(time.is_busy(None));
    }

    #[test]
    fn a_shape_has_three_or_five_numbers() {
        let shape = Shape { bins: 257, frames: 1000, components: 64, lags: None };
        assert_eq!("257x1000x64".parse(), Ok(shape));
        let moving = Shape { lags: Some([7, 18]), ..shape };
        assert_eq!("257x1000x64x7x18".parse(), Ok(moving));
        assert_eq!([shape, moving].map(|shape| shape.joined("x")), ["257x1000x64", "257x1000x64x7x18"]);
        let wrong = ["", "257", "257x1000", "257x1000x", "0x10x3", "8x10x1", "8x10x3x2", "65536x1000000x2", "axbxc"];
        for wrong in wrong.into_iter().chain(["8x10x3x2x0", "8x10x3x5000x1", "8x10x3x2x2x2"]) {
            assert!(wrong.parse::<Shape>().is_err(), "{wrong}");
        }
    }
}
