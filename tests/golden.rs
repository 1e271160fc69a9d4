//! The golden vectors: cases computed by an independent f64 implementation, run on every engine from their files alone.
//!
//! A case is a folder with `case.json` and `data.npy`: the operation, its parameters, its input and expected arrays.
//! Cases are under `tests/golden/`, or under the folder in the environment variable `PARTWISE_GOLDEN`. An array passes
//! if max |a − b| / max |b| is within the engine's bound. For f32 engines the bound follows the error of an f32 run of
//! the independent implementation.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, Zip, concatenate, s};
use partwise::divergence::{DENOMINATOR_FLOOR, Divergence, MODEL_FLOOR};
use partwise::engine::{Cpu, Real, Reference};
use partwise::evaluate::{self, Mean};
use partwise::kernels::prior::GAIN_FLOOR;
use partwise::kernels::variational::{self, Bases, VARIANCE_FLOOR};
use partwise::kernels::{
    Adjoint, Density, Edges, GainPrior, Glue, Gradient, Lags, Mask, Mixture, Mixtures, Momentum, Norm, Pairing, Pairs,
    Prior, Products, Rule, ShiftRule, Shifts, Variational,
};
use partwise::methods::deep::stacks::{Operation, Stack};
use partwise::methods::deep::{Curve, Phi};
use partwise::methods::nmf::{self, Learn, Normalization, Options, Order};
use partwise::methods::{averaged, deep, discriminative, gain_prior, nmf2d, sparse};
use partwise::spectrogram::{Bands, Grouping, MelScale, Pad, PreEmphasis, Sample, Shape, Stft, StftParams, Triangle};
use partwise::weight::{self, RATIO_FLOOR, Weight};
use realfft::num_complex::Complex;
use serde_json::Value;

type Failure = Box<dyn std::error::Error>;
type Outcome<T> = Result<T, Failure>;
/// Named results of a case, real or complex.
type Arrays = BTreeMap<String, Vec<Complex<f64>>>;
/// The expected arrays of a case, each with the error of an f32 run.
type Expected = BTreeMap<String, (Vec<Complex<f64>>, f64)>;

/// An engine's bound on the error, as a function of an array's `f32_error.max`.
type Bound = fn(f64) -> f64;
const CPU_BOUND: Bound = |f32_error| (20.0 * f32_error).max(5e-6);
const GPU_BOUND: Bound = |f32_error| (50.0 * f32_error).max(2e-5);
const REFERENCE_BOUND: Bound = |_| 1e-9;

struct Case {
    op: String,
    params: Value,
    arrays: BTreeMap<String, (Value, Vec<f64>)>,
}

impl Case {
    fn load(folder: &Path) -> Outcome<Self> {
        let meta: Value = serde_json::from_reader(std::fs::File::open(folder.join("case.json"))?)?;
        let data: Array1<f64> = ndarray_npy::read_npy(folder.join("data.npy"))?;
        let mut arrays = BTreeMap::new();
        for (name, array) in meta["arrays"].as_object().ok_or("no arrays")? {
            let offset = array["offset"].as_u64().ok_or("no offset")? as usize;
            let len = dims(array)?.iter().product::<usize>();
            let values = data.as_slice().and_then(|data| data.get(offset..offset + len)).ok_or("array past the end")?;
            arrays.insert(name.clone(), (array.clone(), values.to_vec()));
        }
        let op = meta["op"].as_str().ok_or("no op")?.to_string();
        Ok(Self { op, params: meta["params"].clone(), arrays })
    }

    fn vector(&self, name: &str) -> Outcome<&[f64]> {
        Ok(&self.arrays.get(name).ok_or_else(|| format!("no array {name}"))?.1)
    }

    fn matrix(&self, name: &str) -> Outcome<Array2<f64>> {
        let (meta, values) = self.arrays.get(name).ok_or_else(|| format!("no array {name}"))?;
        let [rows, columns] = dims(meta)?[..] else { return Err(format!("{name} is not a matrix").into()) };
        Ok(Array2::from_shape_vec((rows, columns), values.clone())?)
    }

    fn cube(&self, name: &str) -> Outcome<Array3<f64>> {
        let (meta, values) = self.arrays.get(name).ok_or_else(|| format!("no array {name}"))?;
        let [depth, rows, columns] = dims(meta)?[..] else { return Err(format!("{name} is not a cube").into()) };
        Ok(Array3::from_shape_vec((depth, rows, columns), values.clone())?)
    }

    /// X from X.re and X.im.
    fn complex(&self, name: &str) -> Outcome<Vec<Complex<f64>>> {
        let [re, im] = [self.vector(&format!("{name}.re"))?, self.vector(&format!("{name}.im"))?];
        Ok(re.iter().zip(im).map(|(&re, &im)| Complex::new(re, im)).collect())
    }

    fn number(&self, name: &str) -> Outcome<f64> {
        self.params[name].as_f64().ok_or_else(|| format!("no number {name}").into())
    }

    fn count(&self, name: &str) -> Outcome<usize> {
        Ok(self.params[name].as_u64().ok_or_else(|| format!("no count {name}"))? as usize)
    }

    fn text(&self, name: &str) -> Outcome<&str> {
        self.params[name].as_str().ok_or_else(|| format!("no text {name}").into())
    }

    fn flag(&self, name: &str) -> Outcome<bool> {
        self.params[name].as_bool().ok_or_else(|| format!("no flag {name}").into())
    }

    fn numbers(&self, name: &str) -> Outcome<Vec<f64>> {
        let list = self.params[name].as_array().ok_or_else(|| format!("no list {name}"))?;
        list.iter().map(|value| value.as_f64().ok_or_else(|| format!("{name} holds no numbers").into())).collect()
    }

    /// Whether an array is τ or ρ of a factor, of which engines keep the moments, or E\[log y\], which no update needs.
    fn is_kept_by_no_engine(&self, name: &str) -> bool {
        match self.op.as_str() {
            "vb" => ["tW", "tH", "rW", "rH"].iter().any(|parameter| name.starts_with(parameter)),
            "gig" => name == "mean_log",
            _ => false,
        }
    }

    /// The expected arrays with the f32 error of each. X.re and X.im are joined.
    fn expected(&self) -> Outcome<Expected> {
        let mut expected = BTreeMap::new();
        for (name, (meta, values)) in &self.arrays {
            if meta["role"] != "expected" || name.ends_with(".im") || self.is_kept_by_no_engine(name) {
                continue;
            }
            let f32_error = meta["f32_error"]["max"].as_f64().unwrap_or(0.0);
            let (name, imaginary) = match name.strip_suffix(".re") {
                Some(name) => (name, self.vector(&format!("{name}.im"))?.to_vec()),
                None => (name.as_str(), vec![0.0; values.len()]),
            };
            let joined = values.iter().zip(imaginary).map(|(&re, im)| Complex::new(re, im)).collect();
            expected.insert(name.to_string(), (joined, f32_error));
        }
        if expected.is_empty() { Err("the case has no expected arrays".into()) } else { Ok(expected) }
    }
}

fn dims(array: &Value) -> Outcome<Vec<usize>> {
    let dims = array["shape"].as_array().ok_or("no shape")?;
    dims.iter().map(|dim| dim.as_u64().map(|dim| dim as usize).ok_or_else(|| "bad shape".into())).collect()
}

fn real<T: Real>(values: impl IntoIterator<Item = T>) -> Vec<Complex<f64>> {
    values.into_iter().map(|value| Complex::new(value.to_f64(), 0.0)).collect()
}

/// Runs a case. T is the host precision for the engine.
fn run<E: Adjoint + GainPrior + Momentum + Glue + Shifts + Pairs + Variational, T: Sample + Real>(
    engine: &E,
    case: &Case,
) -> Outcome<Arrays> {
    match case.op.as_str() {
        "nmf" => nmf_case(engine, case),
        "divergence" => divergence_case(engine, case),
        "gmm_em" => mixture_case(engine, case),
        "prior_grad" => gradient_case(engine, case),
        "gain_prior_separation" => gain_prior_case(engine, case),
        "nmf2d" => nmf2d_case(engine, case),
        "dnmf" => discriminative_case(engine, case),
        "stft" => stft_case::<T>(case),
        "metrics" => metrics_case(case),
        "logfreq" => bands_case::<T>(case),
        "mel" => mel_case::<T>(case),
        "snmf" => sparse_case(engine, case),
        "vb" => averaged_case(engine, case),
        "gig" => posterior_case(case),
        "phi" => weight_case(case),
        "stacks" => density_case(engine, case),
        "denoise" => denoising_case(engine, case),
        "separate_demua" => speakers_case(engine, case),
        "adam" => steps_case(case),
        op => Err(format!("unknown operation {op}").into()),
    }
}

fn nmf_case<E: Products + Momentum + Glue>(engine: &E, case: &Case) -> Outcome<Arrays> {
    if case.number("eps")? != MODEL_FLOOR || case.number("den_floor")? != DENOMINATOR_FLOOR {
        return Err("the case has other floors than this program".into());
    }
    let divergence = Divergence::beta(case.number("beta")?)?;
    let learn = match (case.flag("upd_W")?, case.flag("upd_H")?) {
        (true, true) => Learn::Both,
        (false, true) => Learn::Gains,
        (true, false) => Learn::Bases,
        (false, false) => return Err("the case updates nothing".into()),
    };
    let order = match case.text("order")? {
        "HW" => Order::GainsFirst,
        "WH" => Order::BasesFirst,
        order => return Err(format!("unknown order {order}").into()),
    };
    let norm = match case.text("norm")? {
        "none" => None,
        "L1" => Some(Norm::L1),
        "L2" => Some(Norm::L2),
        norm => return Err(format!("unknown norm {norm}").into()),
    };
    let compensate = case.flag("compensate")?;
    let mut options = Options {
        rule: Rule { exponent: case.number("exponent")?, ..Rule::of(divergence.clone()) },
        learn,
        order,
        normalization: norm.map(|norm| Normalization { norm, compensate }),
        ..Options::of(divergence, 0)
    };
    let v = engine.panel(case.matrix("V")?.view())?;
    let (mut w, mut h) = (engine.matrix(case.matrix("W0")?.view())?, engine.panel(case.matrix("H0")?.view())?);
    let (mut out, mut trace, mut done) = (Arrays::new(), Vec::new(), 0);
    for checkpoint in case.numbers("checkpoints")? {
        options.iterations = checkpoint as usize - done;
        done = checkpoint as usize;
        let fit = nmf::factorize(engine, &v, &mut w, &mut h, &options, |_| Ok(()))?;
        trace.extend_from_slice(if trace.is_empty() { &fit.objective } else { &fit.objective[1..] });
        out.insert(format!("W_{done}"), real(engine.read_matrix::<f64>(&w)?));
        // Iterate row-major, whatever the storage order.
        out.insert(format!("H_{done}"), real(engine.read_panel::<f64>(&h)?.iter().copied()));
    }
    out.insert("objective".into(), real(trace));
    Ok(out)
}

/// The divergence of a case, and what its cost lacks per datum.
fn density(case: &Case) -> Outcome<(Divergence, f64)> {
    let of_family = case.vector("theta")?[0].exp();
    Ok(match case.text("kind")? {
        "t" => (Divergence::student(of_family)?, 0.5 * (of_family + 2.0) * (2.0 / of_family).ln_1p()),
        "ggd" if of_family <= 2.0 => (Divergence::generalized_gaussian(of_family)?, 2.0 / of_family),
        // Itakura-Saito, from an exponent that rounding has made larger than 2.
        "ggd" => {
            (Divergence::learned(Weight::new(move |r| weight::generalized_gaussian(of_family, r))?), 2.0 / of_family)
        }
        "glu" => (learned_curve(case)?.divergence()?, 0.0),
        kind => return Err(format!("unknown weight {kind}").into()),
    })
}

fn weight_case(case: &Case) -> Outcome<Arrays> {
    let (r, curve) = (case.vector("r")?, learned_curve(case)?);
    let pairs: Vec<(f64, f64)> = r.iter().copied().zip(case.vector("g")?.iter().copied()).collect();
    Ok(Arrays::from([
        ("Phi".into(), real(r.iter().map(|&r| curve.at(r)[0]))),
        ("zeta".into(), real(r.iter().map(|&r| curve.at(r)[0].exp()))),
        ("grad_r".into(), real(pairs.iter().map(|&(r, g)| g * curve.at(r)[1] / r))),
        ("grad_theta".into(), real(curve.gradient(&pairs))),
    ]))
}

fn density_case<E: Products + Glue>(engine: &E, case: &Case) -> Outcome<Arrays> {
    check_floors(case)?;
    let (divergence, lacking) = density(case)?;
    let rule = Rule::of(divergence.clone());
    let data = case.matrix("Y")?;
    let known: f64 = data.iter().map(|&y| y.max(MODEL_FLOOR).ln() + lacking).sum();
    let v = engine.panel(data.view())?;
    let (mut w, mut h) = (engine.matrix(case.matrix("W0")?.view())?, engine.panel(case.matrix("H0")?.view())?);
    let cost = |w: &E::Matrix, h: &E::Panel| -> Outcome<f64> {
        Ok(engine.costs(&v, w, h, &divergence)?.iter().sum::<f64>() + known)
    };
    let (mut out, mut trace) = (Arrays::new(), vec![cost(&w, &h)?]);
    let checkpoints = case.numbers("checkpoints")?;
    for done in 1..=checkpoints.last().map_or(0, |&last| last as usize) {
        for step in case.text("order")?.chars() {
            match step {
                'W' => engine.update_bases(&v, &mut w, &h, &rule)?,
                'H' => engine.update_gains(&v, &w, &mut h, &rule)?,
                'N' => engine.normalize(&mut w, case.flag("compensate")?.then_some(&mut h), Norm::L1)?,
                step => return Err(format!("unknown step {step}").into()),
            }
        }
        trace.push(cost(&w, &h)?);
        if checkpoints.contains(&(done as f64)) {
            out.insert(format!("W_{done}"), real(engine.read_matrix::<f64>(&w)?));
            out.insert(format!("H_{done}"), real(engine.read_panel::<f64>(&h)?.iter().copied()));
        }
    }
    out.insert("cost".into(), real(trace));
    Ok(out)
}

/// The curve of a case, and the parameters of the transform.
fn learned_curve(case: &Case) -> Outcome<Curve> {
    let phi = match case.text("kind")? {
        "t" => Phi::T,
        "ggd" => Phi::Ggd,
        "glu" => Phi::Network,
        kind => return Err(format!("unknown weight {kind}").into()),
    };
    Ok(Curve { phi, theta: case.vector("theta")?.to_vec() })
}

/// The transform of a case of learned costs.
fn hamming(case: &Case) -> Outcome<Stft<f64>> {
    if (case.text("window")?, case.text("pad")?) != ("hamming", "full") {
        return Err("the case has another window or padding".into());
    }
    let (window, hop, fft) = (case.count("win_len")?, case.count("hop")?, case.count("n_fft")?);
    Ok(Stft::new(StftParams { window, hop, fft, shape: Shape::Hamming, pad: Pad::Full })?)
}

fn spectra(stft: &Stft<f64>, samples: &[f64]) -> Array2<Complex<f64>> {
    stft.forward(samples, 0, 0..stft.frames(samples.len()))
}

fn check_floors(case: &Case) -> Outcome<()> {
    let floors = [("eps", MODEL_FLOOR), ("r_eps", RATIO_FLOOR), ("den_floor", DENOMINATOR_FLOOR)];
    match floors.iter().all(|&(name, floor)| case.number(name).ok() == Some(floor)) {
        true => Ok(()),
        false => Err("the case has other floors than this program".into()),
    }
}

fn denoising_case<E: Adjoint + Momentum + Glue>(engine: &E, case: &Case) -> Outcome<Arrays> {
    check_floors(case)?;
    let (stft, curve) = (hamming(case)?, learned_curve(case)?);
    let operations: &[Operation] = match case.text("order")? {
        "WNH" => &[Operation::Bases, Operation::Norm, Operation::Gains],
        "WHN" => &[Operation::Bases, Operation::Gains, Operation::Norm],
        order => return Err(format!("unknown order {order}").into()),
    };
    let stack = Stack { operations, compensated: case.flag("compensate")? };
    let narrow = |name: &str| Ok::<_, Failure>(case.matrix(name)?.mapv(|x| x as f32));
    let example = deep::denoising::Noisy {
        clean: case.vector("s")?.to_vec(),
        spectra: spectra(&stft, case.vector("mix")?),
        w: narrow("W0")?,
        h: narrow("H0")?,
    };
    let stacks = (case.count("T")?, case.count("L")?);
    let examples = std::slice::from_ref(&example);
    let got = deep::denoising::evaluate(engine, &stft, examples, &curve, stack, stacks)?;
    let v = engine.panel(example.spectra.mapv(|bin| bin.norm_sqr()).t())?;
    let (mut w, mut h) = (engine.matrix(example.w.view())?, engine.panel(example.h.view())?);
    deep::stacks::forward(engine, &v, (&mut w, &mut h), &curve.divergence()?, stack, (stacks.0, 0))?;
    Ok(Arrays::from([
        ("loss".into(), real(got.losses)),
        ("grad_theta".into(), real(got.gradient)),
        ("estimate".into(), real(got.estimates.into_iter().flatten().flatten())),
        ("W".into(), real(engine.read_matrix::<f64>(&w)?)),
        ("H".into(), real(engine.read_panel::<f64>(&h)?.iter().copied())),
    ]))
}

fn speakers_case<E: Adjoint + Momentum + Glue>(engine: &E, case: &Case) -> Outcome<Arrays> {
    check_floors(case)?;
    let (stft, curve) = (hamming(case)?, learned_curve(case)?);
    if (case.text("order")?, case.flag("compensate")?) != ("WNH", true) {
        return Err("the case has stacks of another kind".into());
    }
    let (clean, training) = (case.matrix("s")?, case.matrix("train")?);
    let [w, h, u] = ["W0", "H0", "U0"].map(|name| case.cube(name));
    let (w, h, u) = (w?, h?, u?);
    let voice = |index: usize| {
        let narrow = |cube: &Array3<f64>| cube.index_axis(Axis(0), index).mapv(|x| x as f32);
        let power = spectra(&stft, &training.row(index).to_vec()).mapv(|bin| bin.norm_sqr());
        deep::pairs::Voice {
            clean: clean.row(index).to_vec(),
            training: power.reversed_axes(),
            w: narrow(&w),
            h: narrow(&h),
            u: narrow(&u),
        }
    };
    let voices: Vec<_> = (0..clean.nrows()).map(voice).collect();
    let mixture = clean.sum_axis(Axis(0)).to_vec();
    let example = deep::pairs::Mixed { spectra: spectra(&stft, &mixture), voices };
    let stages = deep::pairs::Stages {
        bases: (case.count("T1")?, case.count("L1")?),
        gains: (case.count("T2")?, case.count("L2")?),
    };
    let got = deep::pairs::evaluate(engine, &stft, std::slice::from_ref(&example), &curve, stages)?;
    let divergence = curve.divergence()?;
    let (mut bases, mut starts) = (Vec::new(), Vec::new());
    for voice in &example.voices {
        let v = engine.panel(voice.training.view())?;
        let (mut w, mut h) = (engine.matrix(voice.w.view())?, engine.panel(voice.h.view())?);
        deep::stacks::forward(engine, &v, (&mut w, &mut h), &divergence, deep::stacks::BOTH, (stages.bases.0, 0))?;
        bases.push(engine.read_matrix::<f64>(&w)?);
        starts.push(voice.u.view());
    }
    let w = concatenate(Axis(1), &bases.iter().map(|w| w.view()).collect::<Vec<_>>())?;
    let x = engine.panel(example.spectra.mapv(|bin| bin.norm_sqr()).t())?;
    let (mut on_engine, mut u) = (engine.matrix(w.view())?, engine.panel(concatenate(Axis(0), &starts)?.view())?);
    deep::stacks::forward(engine, &x, (&mut on_engine, &mut u), &divergence, deep::stacks::GAINS, (stages.gains.0, 0))?;
    Ok(Arrays::from([
        ("loss".into(), real(got.losses)),
        ("grad_theta".into(), real(got.gradient)),
        ("estimates".into(), real(got.estimates.into_iter().flatten().flatten())),
        ("W".into(), real(w)),
        ("U".into(), real(engine.read_panel::<f64>(&u)?.iter().copied())),
    ]))
}

fn steps_case(case: &Case) -> Outcome<Arrays> {
    let (mut theta, gradients) = (case.vector("theta")?.to_vec(), case.matrix("grads")?);
    let (mut adam, mut out) = (deep::adam::Adam::new(theta.len()), Arrays::new());
    for (step, gradient) in (1..).zip(gradients.rows()) {
        let mut gradient = gradient.to_vec();
        deep::adam::clip(&mut gradient, case.number("clip")?);
        adam.step(&mut theta, &gradient, case.number("lr")?);
        if [1, 2, 10].contains(&step) {
            out.insert(format!("theta_{step}"), real(theta.iter().copied()));
        }
    }
    Ok(out)
}

fn nmf2d_case<E: Shifts>(engine: &E, case: &Case) -> Outcome<Arrays> {
    if case.number("eps")? != MODEL_FLOOR || case.number("den_floor")? != DENOMINATOR_FLOOR {
        return Err("the case has other floors than this program".into());
    }
    // The cases' least squares lack the factor one half.
    let (divergence, scale) = match case.text("cost")? {
        "LS" => (Divergence::Euclidean, 2.0),
        "KL" => (Divergence::KullbackLeibler, 1.0),
        cost => return Err(format!("unknown cost {cost}").into()),
    };
    let edges = match case.text("edge")? {
        "exact" => Edges::Exact,
        "printed" => Edges::Printed,
        edge => return Err(format!("unknown edge {edge}").into()),
    };
    let (bases, gains) = (case.cube("W0")?, case.cube("H0")?);
    let lags = Lags { time: bases.len_of(Axis(0)), pitch: gains.len_of(Axis(0)) };
    let v = engine.panel(case.matrix("V")?.view())?;
    let mut w = engine.stack(&bases.outer_iter().collect::<Vec<_>>())?;
    let gains = gains.to_shape((gains.len() / gains.len_of(Axis(2)), gains.len_of(Axis(2))))?;
    let mut h = engine.panel(gains.view())?;
    let each: Vec<_> = (0..bases.len_of(Axis(2))).map(|d| d..d + 1).collect();
    let models = engine.shifted_models(&w, &h, &each, lags)?;
    let models = models.iter().map(|model| engine.read_panel::<f64>(model)).collect::<Result<Vec<_>, _>>()?;
    let model = models.into_iter().reduce(|sum, model| sum + model).ok_or("no components")?;
    let mut out = Arrays::from([("model_0".into(), real(model.iter().map(|&lambda| lambda.max(MODEL_FLOOR))))]);
    let mut options = nmf2d::Options {
        rule: ShiftRule { edges, ..ShiftRule::of(divergence.clone(), lags) },
        ..nmf2d::Options::of(divergence, lags, 0)
    };
    let (mut trace, mut done) = (Vec::new(), 0);
    for checkpoint in case.numbers("checkpoints")? {
        options.iterations = checkpoint as usize - done;
        done = checkpoint as usize;
        let fit = nmf2d::factorize(engine, &v, &mut w, &mut h, &options, |_| Ok(()))?;
        trace.extend(fit.objective.row(0).iter().skip(usize::from(!trace.is_empty())).map(|cost| scale * cost));
        out.insert(format!("W_{done}"), real(engine.read_matrix::<f64>(&w)?));
        out.insert(format!("H_{done}"), real(engine.read_panel::<f64>(&h)?.iter().copied()));
    }
    out.insert("objective".into(), real(trace));
    let values = |panels: Vec<E::Panel>| -> Outcome<_> {
        let read = panels.iter().map(|panel| engine.read_panel::<f64>(panel)).collect::<Result<Vec<_>, _>>()?;
        Ok(real(read.iter().flatten().copied()))
    };
    out.insert("component_models".into(), values(engine.shifted_models(&w, &h, &each, lags)?)?);
    for (name, mask) in [("hard", Mask::Hard), ("soft1", Mask::Ratio(1.0)), ("soft2", Mask::Ratio(2.0))] {
        out.insert(format!("mask_{name}"), values(engine.shifted_masks(&w, &h, &each, lags, mask)?)?);
    }
    Ok(out)
}

/// A part of an array: the last two axes at these places on the others.
fn matrix_at(case: &Case, name: &str, at: &[usize]) -> Outcome<Array2<f64>> {
    let (meta, values) = case.arrays.get(name).ok_or_else(|| format!("no array {name}"))?;
    let dims = dims(meta)?;
    let (outer, inner) = dims.split_at_checked(at.len()).ok_or("too few axes")?;
    let [rows, columns] = inner[..] else { return Err(format!("{name} has other axes").into()) };
    let place = outer.iter().zip(at).fold(0, |place, (dim, at)| place * dim + at);
    Ok(Array2::from_shape_vec((rows, columns), values[place * rows * columns..][..rows * columns].to_vec())?)
}

fn discriminative_case<E: Products + Glue + Pairs>(engine: &E, case: &Case) -> Outcome<Arrays> {
    if case.number("eps")? != MODEL_FLOOR || case.number("den_floor")? != DENOMINATOR_FLOOR {
        return Err("the case has other floors than this program".into());
    }
    let [sources, utterances, ..] = dims(&case.arrays.get("S").ok_or("no data")?.0)?[..] else {
        return Err("data without axes".into());
    };
    let panel = |parts: Vec<Array2<f64>>| engine.packed(&parts.iter().map(|part| part.view()).collect::<Vec<_>>());
    let of_source = |name: &str, source: usize| -> Outcome<E::Panel> {
        let parts = (0..utterances).map(|i| matrix_at(case, name, &[source, i])).collect::<Outcome<_>>()?;
        Ok(panel(parts)?)
    };
    let mut stored = Vec::new();
    for (first, second) in (1..sources).flat_map(|second| (0..second).map(move |first| (first, second))) {
        let pairs = (0..utterances).flat_map(|i| (0..utterances).map(move |j| (i, j)));
        let mixed = pairs.map(|(i, j)| matrix_at(case, "Smix", &[first, second, i, j])).collect::<Outcome<_>>()?;
        stored.push(panel(mixed)?);
    }
    let data = (0..sources).map(|source| of_source("S", source)).collect::<Outcome<_>>()?;
    let pairing = Pairing::new(engine, data, Mixtures::Stored(stored))?;
    let mut factors = discriminative::Factors {
        bases: (0..sources)
            .map(|source| Ok(engine.matrix(matrix_at(case, "W0", &[source])?.view())?))
            .collect::<Outcome<_>>()?,
        gains: (0..sources).map(|source| of_source("H0", source)).collect::<Outcome<_>>()?,
    };
    factors.bases.iter_mut().try_for_each(|w| engine.normalize(w, None, Norm::L2))?;
    let sparsity = case.number("lambda")?;
    let mut options = discriminative::Options {
        sparsity,
        rounds: 0,
        updates: case.count("n_inner")?,
        tolerance: 0.0,
        trace_every: 1,
    };
    let (mut out, mut trace, mut done) = (Arrays::new(), Vec::new(), 0);
    // J counts every mixture once, the printed objective twice: the difference is J without the utterances alone.
    let alone = |factors: &discriminative::Factors<E>| -> Outcome<f64> {
        let mut sum = 0.0;
        for (source, (w, h)) in factors.bases.iter().zip(&factors.gains).enumerate() {
            let costs = engine.costs(&pairing.data()[source], w, h, &Divergence::KullbackLeibler)?;
            let penalty = sparsity * pairing.utterances() as f64 * engine.read_panel::<f64>(h)?.sum();
            sum += utterances as f64 * costs.iter().sum::<f64>() + penalty;
        }
        Ok(sum)
    };
    let alone = alone(&factors)?;
    for checkpoint in case.numbers("checkpoints")? {
        options.rounds = checkpoint as usize - done;
        done = checkpoint as usize;
        let fit = discriminative::factorize(engine, &pairing, &mut factors, &options, &mut |_| Ok(()))?;
        trace.extend_from_slice(if trace.is_empty() { &fit.objective } else { &fit.objective[1..] });
        let bases = factors.bases.iter().map(|w| engine.read_matrix::<f64>(w)).collect::<Result<Vec<_>, _>>()?;
        out.insert(format!("W_{done}"), real(bases.iter().flatten().copied()));
        let mut gains = Vec::new();
        for h in &factors.gains {
            let all = engine.read_panel::<f64>(h)?;
            let columns = all.ncols() / utterances;
            gains.extend(all.axis_chunks_iter(Axis(1), columns).flat_map(|h| h.iter().copied().collect::<Vec<_>>()));
        }
        out.insert(format!("H_{done}"), real(gains));
    }
    let first = *trace.first().ok_or("no trace")?;
    out.insert("objective_ordered_0".into(), real([2.0 * first - alone]));
    out.insert("objective".into(), real(trace));
    Ok(out)
}

/// Each cell becomes a 1 x N problem with W = 1 and H = R, so that column costs are element costs.
fn divergence_case<E: Products>(engine: &E, case: &Case) -> Outcome<Arrays> {
    let row = |name| -> Outcome<Array2<f64>> {
        Ok(Array2::from_shape_vec((1, case.vector(name)?.len()), case.vector(name)?.to_vec())?)
    };
    let (v, h) = (engine.panel(row("V")?.view())?, engine.panel(row("R")?.view())?);
    let w = engine.matrix(Array2::<f64>::ones((1, 1)).view())?;
    let mut out = Arrays::new();
    for beta in case.numbers("betas")? {
        let costs = engine.costs(&v, &w, &h, &Divergence::beta(beta)?)?;
        out.insert(format!("d_beta{beta}"), real(costs));
    }
    Ok(out)
}

fn mixture(case: &Case, weights: &str, means: &str, variances: &str) -> Outcome<Mixture> {
    let weights = Array1::from(case.vector(weights)?.to_vec());
    Ok(Mixture { weights, means: case.matrix(means)?, variances: case.matrix(variances)? })
}

/// r and L of every column.
fn responsibilities<E: GainPrior>(engine: &E, x: &E::Panel, mixture: &Mixture) -> Outcome<[Vec<Complex<f64>>; 2]> {
    let (r, likelihoods) = engine.responsibilities(x, &Density::new(engine, mixture)?)?;
    let [r, likelihoods] = [engine.read_panel::<f64>(&r)?, engine.read_panel(&likelihoods)?];
    Ok([real(r.iter().copied()), real(likelihoods)])
}

fn mixture_case<E: GainPrior>(engine: &E, case: &Case) -> Outcome<Arrays> {
    let (x, floor) = (engine.panel(case.matrix("X")?.view())?, case.number("var_floor")?);
    let mut mixture = mixture(case, "w0", "mu0", "var0")?;
    let [r, likelihoods] = responsibilities(engine, &x, &mixture)?;
    let mut out = Arrays::from([("resp_0".into(), r), ("loglik_frame_0".into(), likelihoods)]);
    let (mut trace, checkpoints) = (Vec::new(), case.numbers("checkpoints")?);
    let last = checkpoints.iter().copied().fold(0.0, f64::max);
    for done in 0..=last as usize {
        if checkpoints.contains(&(done as f64)) {
            out.insert(format!("w_{done}"), real(mixture.weights.iter().copied()));
            out.insert(format!("mu_{done}"), real(mixture.means.iter().copied()));
            out.insert(format!("var_{done}"), real(mixture.variances.iter().copied()));
        }
        let (likelihood, next) = gain_prior::step(engine, &x, &mixture, floor)?;
        trace.push(likelihood);
        mixture = next;
    }
    out.insert("loglik".into(), real(trace));
    Ok(out)
}

/// A prior without a floor relative to the norm, as in the cases.
fn prior<E: GainPrior>(
    engine: &E,
    case: &Case,
    mixture: &Mixture,
    rows: std::ops::Range<usize>,
    gradient: &str,
) -> Outcome<Prior<E::Matrix>> {
    if case.number("g_floor")? != GAIN_FLOOR {
        return Err("the case has other floors than this program".into());
    }
    let density = Density::new(engine, mixture)?;
    Ok(Prior { rows, density, gradient: gradient.parse()?, floor: 0.0 })
}

fn gradient_case<E: GainPrior>(engine: &E, case: &Case) -> Outcome<Arrays> {
    let (g, mixture) = (case.matrix("G")?, mixture(case, "gmm_w", "gmm_mu", "gmm_var")?);
    let x = engine.log_normalized(&engine.panel(g.view())?, 0..g.nrows(), 0.0)?;
    let [r, likelihoods] = responsibilities(engine, &x, &mixture)?;
    let values = |panel: &E::Panel| -> Outcome<_> { Ok(real(engine.read_panel::<f64>(panel)?.iter().copied())) };
    let mut out = Arrays::from([("x".into(), values(&x)?), ("resp".into(), r), ("loglik_frame".into(), likelihoods)]);
    for gradient in [Gradient::Exact, Gradient::Paper] {
        let prior = prior(engine, case, &mixture, 0..g.nrows(), &gradient.to_string())?;
        let zeros = || engine.panel(Array2::<f64>::zeros(g.dim()).view());
        let (mut h, mut n, mut d) = (engine.panel(g.view())?, zeros()?, zeros()?);
        let weights = engine.panel(Array2::<f64>::ones((1, g.ncols())).view())?;
        engine.add_priors(&mut h, &[prior], &weights, &mut n, &mut d)?;
        out.insert(format!("grad_plus_{gradient}"), values(&n)?);
        out.insert(format!("grad_minus_{gradient}"), values(&d)?);
    }
    Ok(out)
}

fn gain_prior_case<E: GainPrior + Glue>(engine: &E, case: &Case) -> Outcome<Arrays> {
    if case.number("eps")? != MODEL_FLOOR || case.number("den_floor")? != DENOMINATOR_FLOOR {
        return Err("the case has other floors than this program".into());
    }
    let (mut priors, mut sources, mut first) = (Vec::new(), Vec::new(), 0);
    for (index, size) in case.numbers("sizes")?.into_iter().enumerate() {
        let rows = first..first + size as usize;
        first = rows.end;
        let [weights, means, variances] = ["w", "mu", "var"].map(|part| format!("gmm_{part}_{index}"));
        let mixture = mixture(case, &weights, &means, &variances)?;
        priors.push(prior(engine, case, &mixture, rows.clone(), case.text("variant")?)?);
        sources.push(rows);
    }
    let (v, w) = (engine.panel(case.matrix("Y")?.view())?, engine.matrix(case.matrix("B")?.view())?);
    let alphas = case.numbers("alphas")?;
    let of_columns = |(prior, _)| alphas[prior];
    let weights = engine.panel(Array2::from_shape_fn((alphas.len(), engine.shape(&v).1), of_columns).view())?;
    let rule = Rule::of(Divergence::ItakuraSaito);
    let gains = |updates| -> Outcome<E::Panel> {
        let start = engine.panel(case.matrix("G0")?.view())?;
        Ok(gain_prior::update_gains(engine, &v, &w, start, &rule, &priors, &weights, updates)?)
    };
    let values = |panel: &E::Panel| -> Outcome<_> { Ok(real(engine.read_panel::<f64>(panel)?.iter().copied())) };
    let (mut out, mut trace) = (Arrays::new(), Vec::new());
    let checkpoints = case.numbers("checkpoints")?;
    let last = checkpoints.iter().copied().fold(0.0, f64::max) as usize;
    for done in 0..=last {
        let h = gains(done + 1)?;
        let mut cost: f64 = engine.costs(&v, &w, &h, &rule.divergence)?.iter().sum();
        for (prior, alpha) in priors.iter().zip(&alphas) {
            cost -= alpha * gain_prior::log_likelihood(engine, &h, prior)?;
        }
        trace.push(cost);
        if done == 0 {
            out.insert("G_plain".into(), values(&h)?);
        }
        if checkpoints.contains(&(done as f64)) {
            out.insert(format!("G_{done}"), values(&h)?);
        }
        if done == last {
            let spectrum: Vec<Complex<f64>> = case.complex("Yc")?;
            let masks: Vec<_> = engine.masks(&w, &h, &sources, Mask::Ratio(1.0))?.iter().map(values).collect();
            let masks = masks.into_iter().collect::<Outcome<Vec<_>>>()?.concat();
            let cells = masks.iter().zip(spectrum.iter().cycle());
            out.insert("S".into(), cells.map(|(mask, cell)| mask * cell).collect());
            out.insert("masks".into(), masks);
        }
    }
    out.insert("cost".into(), real(trace));
    Ok(out)
}

fn stft_case<T: Sample + Real>(case: &Case) -> Outcome<Arrays> {
    let shape: Shape = match case.text("window")? {
        "sqrthann" => Shape::SqrtHann,
        name => name.parse()?,
    };
    let pad = match case.text("pad")? {
        "full" => Pad::Full,
        "none" => Pad::None,
        pad => return Err(format!("unknown padding {pad}").into()),
    };
    let params =
        StftParams { window: case.count("win_len")?, hop: case.count("hop")?, fft: case.count("n_fft")?, shape, pad };
    let window = params.shape.samples(params.window).into_iter().map(<T as Real>::from_f64);
    let signal: Vec<T> = case.vector("x")?.iter().map(|&x| <T as Real>::from_f64(x)).collect();
    let stft = Stft::<T>::new(params.clone())?;
    let frames = stft.forward(&signal, 0, 0..stft.frames(signal.len()));
    let mask = case.matrix("mask")?.reversed_axes();
    let mut masked = frames.clone();
    masked.zip_mut_with(&mask, |x, &m| *x = x.scale(<T as Real>::from_f64(m)));
    let back = |frames: ArrayView2<Complex<T>>| -> Outcome<Vec<Complex<f64>>> {
        let (mut inverse, mut out) = (stft.overlap_add(signal.len()), Vec::new());
        // Push two blocks, to test streaming too.
        let (first, second) = frames.split_at(Axis(0), frames.nrows() / 2);
        inverse.push(first, &mut out)?;
        inverse.push(second, &mut out)?;
        inverse.finish(&mut out)?;
        Ok(real(out))
    };
    let spectrum = frames.t().iter().map(|x| Complex::new(x.re.to_f64(), x.im.to_f64())).collect();
    Ok(Arrays::from([
        ("window".into(), real(window)),
        ("X".into(), spectrum),
        ("back".into(), back(frames.view())?),
        ("masked_back".into(), back(masked.view())?),
    ]))
}

fn metrics_case(case: &Case) -> Outcome<Arrays> {
    let rows =
        |name| -> Outcome<Vec<Vec<f64>>> { Ok(case.matrix(name)?.outer_iter().map(|row| row.to_vec()).collect()) };
    let (sources, estimates) = (rows("sources")?, rows("estimates")?);
    let pairs = || sources.iter().zip(&estimates);
    let bss = evaluate::bss_eval(&sources, &estimates, case.count("taps")?)?;
    Ok(Arrays::from([
        ("snr".into(), real(pairs().map(|(s, e)| evaluate::snr(s, e)))),
        ("si_sdr".into(), real(pairs().map(|(s, e)| evaluate::si_sdr(s, e, Mean::Kept)))),
        ("si_sdr_zero_mean".into(), real(pairs().map(|(s, e)| evaluate::si_sdr(s, e, Mean::Removed)))),
        ("bss_eval".into(), real(bss.iter().flat_map(|bss| [bss.sdr, bss.sir, bss.sar]))),
    ]))
}

fn bands_case<T: Sample + Real>(case: &Case) -> Outcome<Arrays> {
    let grouping = match case.text("kind")? {
        "overlap" => Grouping::Overlap,
        "centre" => Grouping::Centre,
        kind => return Err(format!("unknown grouping {kind}").into()),
    };
    let range = case.number("fmin")?..case.number("fmax")?;
    let bands =
        Bands::log_grouped(grouping, case.count("sr")? as u32, case.count("n_fft")?, case.count("per_octave")?, range)?;
    let frames = case.matrix("X")?.reversed_axes().mapv(<T as Real>::from_f64);
    let map = bands.matrix();
    let entries = || map.indexed_iter().filter(|(_, weight)| **weight > 0.0);
    let (masks, mut masks_linear) = (case.vector("masks")?, Vec::new());
    for mask in masks.chunks(bands.bands() * frames.nrows()) {
        let mask = ArrayView2::from_shape((bands.bands(), frames.nrows()), mask)?.mapv(<T as Real>::from_f64);
        masks_linear.extend(real(bands.spread(mask.t())?.t().iter().copied()));
    }
    Ok(Arrays::from([
        ("edges".into(), real(bands.edges().iter().copied())),
        ("logspec".into(), real(bands.group(frames.view())?.t().iter().copied())),
        ("matrix_rows".into(), real(entries().map(|((band, _), _)| band as f64))),
        ("matrix_cols".into(), real(entries().map(|((_, bin), _)| bin as f64))),
        ("matrix_values".into(), real(entries().map(|(_, &weight)| weight))),
        ("masks_linear".into(), masks_linear),
    ]))
}

fn mel_case<T: Sample + Real>(case: &Case) -> Outcome<Arrays> {
    let scale = match case.text("scale")? {
        "htk" => MelScale::Htk,
        "slaney" => MelScale::Slaney,
        scale => return Err(format!("unknown scale {scale}").into()),
    };
    let triangle = match case.text("norm")? {
        "none" => Triangle::Peak,
        "slaney" => Triangle::Area,
        norm => return Err(format!("unknown norm {norm}").into()),
    };
    let pad = match case.text("pad")? {
        "full" => Pad::Full,
        pad => return Err(format!("unknown padding {pad}").into()),
    };
    let (fft, shape) = (case.count("n_fft")?, case.text("window")?.parse()?);
    let range = case.number("fmin")?..case.number("fmax")?;
    let bands = Bands::mel(case.count("sr")? as u32, fft, case.count("n_mels")?, range, (scale, triangle))?;
    let signal: Vec<T> = case.vector("x")?.iter().map(|&x| <T as Real>::from_f64(x)).collect();
    let (mut filter, mut filtered) = (PreEmphasis::new(case.number("pre")?), Vec::new());
    let (first, second) = signal.split_at(signal.len() / 3);
    filter.push(first, &mut filtered);
    filter.push(second, &mut filtered);
    let stft = Stft::<T>::new(StftParams { window: case.count("win_len")?, hop: case.count("hop")?, fft, shape, pad })?;
    let powers = stft.forward(&filtered, 0, 0..stft.frames(filtered.len())).mapv(|bin| bin.norm_sqr());
    let mel = bands.group(powers.view())?;
    // The models of two sources: S, and S with its bands in reverse.
    let other = <T as Real>::from_f64(case.vector("other_scale")?[0]);
    let models = [mel.clone(), mel.slice(s![.., ..;-1]).mapv(|level| level * other)];
    let levels = &models[0] + &models[1];
    let mut masks = Vec::new();
    for model in &models {
        let share = |&model: &T, &level: &T| if level > T::zero() { model / level } else { <T as Real>::from_f64(0.5) };
        let mask = Zip::from(model).and(&levels).map_collect(share);
        let mask = bands.spread_models(mask.view(), levels.view(), 0.5)?;
        masks.extend(real(mask.slice(s![..2, ..]).t().iter().copied()));
    }
    let double = |frames: &Array2<T>| frames.mapv(|level| level.to_f64());
    let (reference, gain) = (double(&mel), case.vector("gain")?[0]);
    let mut arrays = Arrays::from([
        ("preemphasised".into(), real(filtered)),
        ("mel".into(), real(mel.t().iter().copied())),
        ("snr_mel".into(), real([evaluate::snr_mel(reference.view(), (&reference * gain).view())])),
        ("masks".into(), masks),
    ]);
    if case.flag("save_fb")? {
        arrays.insert("filterbank".into(), real(bands.matrix()));
    }
    Ok(arrays)
}

fn sparse_case<E: Products + Glue>(engine: &E, case: &Case) -> Outcome<Arrays> {
    if case.number("eps")? != MODEL_FLOOR || case.number("den_floor")? != DENOMINATOR_FLOOR {
        return Err("the case has other floors than this program".into());
    }
    let learn = if case.flag("upd_W")? { Learn::Both } else { Learn::Gains };
    let mut options = Options { learn, ..Options::of(Divergence::KullbackLeibler, 0) };
    options.rule.sparsity = case.number("lambda")?;
    let v = engine.panel(case.matrix("S")?.view())?;
    let (mut w, mut h) = (engine.matrix(case.matrix("W0")?.view())?, engine.panel(case.matrix("H0")?.view())?);
    let (mut out, mut trace, mut done) = (Arrays::new(), Vec::new(), 0);
    for checkpoint in case.numbers("checkpoints")? {
        options.iterations = checkpoint as usize - done;
        done = checkpoint as usize;
        let fit = sparse::factorize(engine, &v, &mut w, &mut h, &options, |_| Ok(()))?;
        trace.extend_from_slice(if trace.is_empty() { &fit.objective } else { &fit.objective[1..] });
        out.insert(format!("W_{done}"), real(engine.read_matrix::<f64>(&w)?));
        out.insert(format!("H_{done}"), real(engine.read_panel::<f64>(&h)?.iter().copied()));
    }
    out.insert("objective".into(), real(trace));
    Ok(out)
}

/// Moments of generalized inverse Gaussians: host arithmetic, which the tables of all engines are made of.
fn posterior_case(case: &Case) -> Outcome<Arrays> {
    let [tau, rho] = [case.vector("tau")?, case.vector("rho")?];
    let mut out = Arrays::new();
    for shape in case.numbers("gammas")? {
        for (&tau, &rho) in tau.iter().zip(rho) {
            let of = variational::posterior(tau, rho, shape);
            let arrays = [("mean", of.mean), ("harmonic_mean", of.harmonic), ("log_norm", of.log_normalizer)];
            for (name, value) in arrays {
                out.entry(name.into()).or_default().push(Complex::new(value, 0.0));
            }
        }
    }
    Ok(out)
}

fn averaged_case<E: Variational>(engine: &E, case: &Case) -> Outcome<Arrays> {
    if case.number("vfloor")? != VARIANCE_FLOOR {
        return Err("the case has another floor than this program".into());
    }
    let spectrum = case.complex("X")?;
    let dims = case.matrix("X.re")?.dim();
    let power = Array2::from_shape_vec(dims, spectrum.iter().map(|x| x.norm_sqr()).collect())?;
    let x = engine.panel(power.view())?;
    let learned = case.params["learn_W"].as_array().ok_or("no list learn_W")?;
    let mut sources = Vec::new();
    for (j, count) in case.numbers("orders")?.into_iter().enumerate() {
        let mut orders = Vec::new();
        for m in 0..count as usize {
            let named = |name: &str| case.matrix(&format!("{name}{}_{m}", j + 1));
            let bases = match learned.get(j).and_then(Value::as_bool).ok_or("learn_W is too short")? {
                true => Bases::Learned {
                    mean: engine.matrix(named("W")?.view())?,
                    harmonic: engine.matrix(named("IW")?.view())?,
                },
                false => Bases::Fixed(engine.matrix(named("W")?.view())?),
            };
            let (mean, harmonic) = (engine.panel(named("EH")?.view())?, engine.panel(named("IH")?.view())?);
            orders.push(variational::Order { bases, mean, harmonic });
        }
        let log_prior = case.vector(&format!("pi{}", j + 1))?.iter().map(|pi| pi.ln()).collect();
        let posterior = case.vector(&format!("q{}", j + 1))?.to_vec();
        sources.push(averaged::Source { orders, log_prior, posterior, log_evidence: Vec::new() });
    }
    let of_bases = variational::Gig::new(engine, case.number("a")?)?;
    let of_gains = variational::Gig::new(engine, case.number("b")?)?;
    let mut options = averaged::Options {
        noise: case.number("sigma2")?,
        temperature: case.number("beta")?,
        iterations: 0,
        trace_every: 1,
    };
    let checkpoints = case.numbers("checkpoints")?;
    let (mut out, mut trace, mut done) = (Arrays::new(), Vec::new(), 0);
    for (index, &checkpoint) in checkpoints.iter().enumerate() {
        options.iterations = checkpoint as usize - done;
        done = checkpoint as usize;
        trace.extend(averaged::infer(engine, &x, &mut sources, [&of_bases, &of_gains], &options, |_| Ok(()))?);
        let variances = averaged::variances(engine, &x, &sources)?;
        let variances = variances.iter().map(|c| engine.read_panel::<f64>(c)).collect::<Result<Vec<_>, _>>()?;
        let all = variances.iter().fold(Array2::<f64>::zeros(dims), |sum, c| sum + c);
        for (j, (source, c)) in sources.iter().zip(&variances).enumerate() {
            let total = all.mapv(|all| all + options.noise);
            let others = &all - c;
            let share = c / &total;
            let name = |quantity: &str| format!("{quantity}{}_{done}", j + 1);
            out.insert(name("mu"), share.iter().zip(&spectrum).map(|(share, x)| share * x).collect());
            out.insert(name("var"), real(c * &others.mapv(|others| others + options.noise) / &total));
            out.insert(name("q"), real(source.posterior.iter().copied()));
            if source.orders.len() > 1 {
                out.insert(name("logq"), real(source.log_evidence.iter().copied()));
            }
            for (m, order) in source.orders.iter().enumerate() {
                let name = |quantity: &str| format!("{quantity}{}_{m}_at_{done}", j + 1);
                let gains = [&order.mean, &order.harmonic].map(|gains| engine.read_panel::<f64>(gains));
                let (mean, harmonic) = match &order.bases {
                    Bases::Fixed(w) => (w, w),
                    Bases::Learned { mean, harmonic } => (mean, harmonic),
                };
                let bases = [mean, harmonic].map(|bases| engine.read_matrix::<f64>(bases));
                for ((gains, bases), [of_gains, of_bases, product]) in
                    gains.into_iter().zip(bases).zip([["EH", "EW", "omega"], ["IH", "IW", "C"]])
                {
                    let (gains, bases) = (gains?, bases?);
                    if index == 0 {
                        let floored = bases.dot(&gains).mapv(|variance| variance.max(VARIANCE_FLOOR));
                        out.insert(name(product), real(floored));
                    }
                    out.insert(name(of_gains), real(gains.iter().copied()));
                    if let Bases::Learned { .. } = order.bases {
                        out.insert(name(of_bases), real(bases));
                    }
                }
            }
        }
    }
    out.insert("free_energy".into(), real(trace));
    Ok(out)
}

/// One line per array that is missing, unexpected, of the wrong shape or inaccurate.
fn compare(got: &Arrays, expected: &Expected, bound: Bound) -> Vec<String> {
    let mut faults: Vec<String> =
        got.keys().filter(|name| !expected.contains_key(*name)).map(|name| format!("{name} is not expected")).collect();
    for (name, (expected, f32_error)) in expected {
        match got.get(name) {
            None => faults.push(format!("{name} was not computed")),
            Some(got) if got.len() != expected.len() => {
                faults.push(format!("{name} has {} numbers, not {}", got.len(), expected.len()))
            }
            Some(got) => {
                let scale = expected.iter().map(|x| x.norm()).fold(0.0, f64::max);
                let errors =
                    got.iter().zip(expected).map(|(a, b)| (a - b).norm() / if scale > 0.0 { scale } else { 1.0 });
                let worst =
                    errors.fold(0.0, |worst: f64, error| if error.is_nan() { f64::INFINITY } else { worst.max(error) });
                // Every engine gathers gradients of a cost at the nodes of cubics, the reference too.
                let gathered = if name == "grad_theta" { CPU_BOUND(*f32_error) } else { 0.0 };
                let allowed = bound(*f32_error).max(gathered);
                if worst > allowed {
                    faults.push(format!("{name} is off by {worst:.1e}, allowed {allowed:.1e}"));
                }
            }
        }
    }
    faults
}

/// All case folders under `root`, sorted.
fn cases(root: &Path) -> Outcome<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        if folder.join("case.json").exists() {
            found.push(folder);
        } else {
            for entry in std::fs::read_dir(&folder).map_err(|cause| format!("{}: {cause}", folder.display()))? {
                let path = entry?.path();
                if path.is_dir() {
                    open.push(path);
                }
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Runs every case under `root`. Returns the number of cases, or the faults, one per line.
fn check<E: Adjoint + GainPrior + Momentum + Glue + Shifts + Pairs + Variational, T: Sample + Real>(
    engine: &E,
    root: &Path,
    bound: Bound,
) -> Result<usize, String> {
    let cases = cases(root).map_err(|cause| cause.to_string())?;
    if cases.is_empty() {
        return Err(format!("{}: no cases", root.display()));
    }
    let mut faults = Vec::new();
    for folder in &cases {
        let verdict = || -> Outcome<Vec<String>> {
            let case = Case::load(folder)?;
            Ok(compare(&run::<E, T>(engine, &case)?, &case.expected()?, bound))
        };
        let found = verdict().unwrap_or_else(|failure| vec![failure.to_string()]);
        faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", folder.display())));
    }
    if faults.is_empty() { Ok(cases.len()) } else { Err(faults.join("\n")) }
}

fn own_cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn root() -> PathBuf {
    std::env::var_os("PARTWISE_GOLDEN").map_or_else(own_cases, PathBuf::from)
}

fn pass<E: Adjoint + GainPrior + Momentum + Glue + Shifts + Pairs + Variational, T: Sample + Real>(
    engine: &E,
    bound: Bound,
) {
    match check::<E, T>(engine, &root(), bound) {
        Ok(count) => eprintln!("{count} golden cases pass on {}", engine.describe()),
        Err(faults) => panic!("{}\n{faults}", engine.describe()),
    }
}

#[test]
fn golden_cases_on_the_reference() {
    pass::<_, f64>(&Reference, REFERENCE_BOUND);
}

#[test]
fn golden_cases_on_the_cpu() {
    pass::<_, f32>(&Cpu::new(Some(2)).unwrap(), CPU_BOUND);
}

#[test]
fn golden_cases_on_the_gpu() {
    if let Some(gpu) = common::gpu() {
        pass::<_, f32>(&gpu, GPU_BOUND);
    }
}

/// A copy of one case in a folder of its own, changed by `spoil`.
fn spoiled(case: &str, spoil: impl Fn(&mut Value, &mut Array1<f64>)) -> tempfile::TempDir {
    let (from, to) = (own_cases().join(case), tempfile::tempdir().unwrap());
    let mut meta: Value = serde_json::from_reader(std::fs::File::open(from.join("case.json")).unwrap()).unwrap();
    let mut data: Array1<f64> = ndarray_npy::read_npy(from.join("data.npy")).unwrap();
    spoil(&mut meta, &mut data);
    std::fs::write(to.path().join("case.json"), meta.to_string()).unwrap();
    ndarray_npy::write_npy(to.path().join("data.npy"), &data).unwrap();
    to
}

#[test]
fn a_number_changed_by_one_percent_is_detected() {
    let cpu = Cpu::new(Some(1)).unwrap();
    for (case, array) in [
        ("nmf/is_wh", "W_1"),
        ("nmf/kl_hw_l2", "objective"),
        ("nmf2d/kl", "H_2"),
        ("audio/stft_odd", "X.im"),
        ("audio/metrics_3src", "snr"),
        ("nmf2d/logfreq_small", "logspec"),
        ("dnmf/mel_htk_none", "masks"),
        ("dnmf/snmf_lam01", "H_2"),
        ("vb/fusion_beta1e4", "EH1_1_at_2"),
        ("vb/both_learned", "free_energy"),
        ("demua/phi_glu", "grad_r"),
        ("demua/stacks_t", "W_2"),
        ("demua/stacks_ggd_alg1", "cost"),
        ("demua/denoise_glu_T6_L6_WNH", "grad_theta"),
        ("demua/separate_t", "loss"),
        ("demua/adam", "theta_10"),
    ] {
        let untouched = spoiled(case, |_, _| ());
        assert_eq!(check::<_, f64>(&Reference, untouched.path(), REFERENCE_BOUND), Ok(1));
        let folder = spoiled(case, |meta, data| {
            let array = &meta["arrays"][array];
            let (offset, len) =
                (array["offset"].as_u64().unwrap() as usize, dims(array).unwrap().iter().product::<usize>());
            let largest = (offset..offset + len).max_by(|&a, &b| data[a].abs().total_cmp(&data[b].abs())).unwrap();
            data[largest] *= 1.01;
        });
        let fault = check::<_, f64>(&Reference, folder.path(), REFERENCE_BOUND).unwrap_err();
        assert!(fault.contains(array.trim_end_matches(".im")) && fault.lines().count() == 1, "{fault}");
        assert!(check::<_, f32>(&cpu, folder.path(), CPU_BOUND).is_err(), "{case} on the cpu");
        assert!(check::<_, f32>(&cpu, folder.path(), GPU_BOUND).is_err(), "{case} within the gpu's bound");
    }
}

#[test]
fn a_case_that_cannot_run_is_detected() {
    let fault = |folder: &Path| check::<_, f64>(&Reference, folder, REFERENCE_BOUND).unwrap_err();
    let unknown = spoiled("nmf/is_wh", |meta, _| meta["op"] = "fold".into());
    assert!(fault(unknown.path()).contains("unknown operation fold"));
    let surplus = spoiled("nmf/is_wh", |meta, _| meta["arrays"]["W_3"] = meta["arrays"]["W_2"].clone());
    assert!(fault(surplus.path()).contains("W_3 was not computed"));
    let floors = spoiled("nmf/is_wh", |meta, _| meta["params"]["eps"] = 1e-9.into());
    assert!(fault(floors.path()).contains("floors"));
    let empty = tempfile::tempdir().unwrap();
    assert!(fault(empty.path()).contains("no cases"));
    assert!(check::<_, f64>(&Reference, &empty.path().join("absent"), REFERENCE_BOUND).is_err());
}
