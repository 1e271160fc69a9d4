//! What a separation tells of itself: the masks follow from the factors, which explain the data, and no bit of the stems depends on
//! whether anybody asks.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::ops::ControlFlow::Continue;
use std::ops::Range;

use crate::common::world::{RATE, World, hiss, json, mix, refused, stderr, stdout, tones};
use ndarray_npy::NpzReader;
use partwise::divergence::Divergence;
use partwise::job::{SeparationMethod, TrainingMethod};
use partwise::kernels::Mask;
use partwise::methods::{averaged, committee, deep, discriminative, gain_prior, nmf2d, rest};
use partwise::ndarray::{Array2, ArrayD, Ix1, Ix2, Ix3, OwnedRepr, s};
use partwise::separate::{Detail, Explained, Factors, Plan, Request, STRETCH, explain, whole};
use partwise::spectrogram::{BandMap, Length};
use partwise::{Cpu, Model, Recording, Reference, Separation, Training, train};

/// A model of tones and hiss by a method.
fn trained(method: TrainingMethod, training: Training) -> Model {
    let sounds = |all: [Vec<f32>; 2]| all.map(|samples| Recording::new(vec![samples], RATE).unwrap());
    let (tones, hiss) = (sounds([tones(200.0, 6000), tones(310.0, 4000)]), sounds([hiss(1, 6000), hiss(2, 3000)]));
    let training = Training { method, iterations: Some(5), window: Some(Length::Samples(64)), ..training };
    let engine = partwise::AnyEngine::Cpu(Cpu::new(Some(2)).unwrap());
    train(&engine, &[("tones", &tones), ("hiss", &hiss)], &training, &mut |_| Continue(())).unwrap()
}

fn rank(rank: usize) -> Training {
    Training { rank: rank.into(), ..Training::default() }
}

fn stereo(samples: usize) -> Recording {
    Recording::new(vec![mix(5, samples), mix(6, samples)], RATE).unwrap()
}

fn plan<'a>(model: Option<&'a Model>, separation: &Separation) -> Plan<'a> {
    Plan::new(model, separation, &mut |_| Ok(())).unwrap()
}

/// Explains a recording on the CPU, after it was separated there without: masks and stems have the same bits.
fn explained(plan: &Plan, recording: &Recording) -> Explained {
    let separator = plan.on(Cpu::new(Some(2)).unwrap().into());
    let stems = whole(plan, &*separator, recording, &mut |_| Continue(())).unwrap();
    let explained = explain(plan, &*separator, recording, Detail::Cells, &mut |_| Continue(())).unwrap();
    assert!(whole(plan, &*separator, recording, &mut |_| Continue(())).unwrap() == stems);

    let data = explained.data[0].slice(s![.., ..STRETCH.min(explained.data[0].ncols())]);
    let segments = [data.ncols()];
    let alone = separator.separate(data.t(), &segments).unwrap();
    assert!(alone.factors.is_empty());
    let mut shares = Vec::new();
    let mut watch = |share| {
        shares.push(share);
        Ok(())
    };
    let mut request = Request { watch: Some(&mut watch), factors: true };
    let told = separator.separate_as(data.t(), &segments, &mut request).unwrap();
    assert!(!told.factors.is_empty() && (told.masks == alone.masks, told.costs == alone.costs) == (true, true));
    assert!(shares.is_sorted() && shares.last() == Some(&1.0), "{shares:?}");
    explained
}

/// The model of some components of a channel (F, N), by the definition of [`Factors`].
fn model(factors: &Factors, channel: usize, components: Range<usize>, (rows, frames): (usize, usize)) -> Array2<f64> {
    let bases = &factors.bases[channel % factors.bases.len()];
    let gains = &factors.gains[channel];
    let count = bases.ncols();
    assert_eq!((bases.nrows(), gains.nrows()), (factors.context * rows, factors.pitches * count));
    assert_eq!(gains.ncols(), frames.div_ceil(factors.stride));
    let mut model = Array2::zeros((rows, frames));
    for (column, lag) in (0..gains.ncols()).flat_map(|column| (0..factors.context).map(move |lag| (column, lag))) {
        let frame = column * factors.stride + lag;
        if frame >= frames {
            continue;
        }
        for (k, pitch) in components.clone().flat_map(|k| (0..factors.pitches).map(move |pitch| (k, pitch))) {
            let gain = f64::from(gains[(pitch * count + k, column)]);
            for row in pitch..rows {
                model[(row, frame)] += f64::from(bases[(lag * rows + row - pitch, k)]) * gain;
            }
        }
    }
    model
}

/// The masks of a channel by one set of factors.
fn shares(explained: &Explained, factors: &Factors, channel: usize) -> Vec<Array2<f64>> {
    let Some(Mask::Ratio(power)) = explained.mask else { panic!("{:?}", explained.mask) };
    let of = |range: &Range<usize>| {
        model(factors, channel, range.clone(), explained.data[channel].dim()).mapv(|x| x.max(1e-12).powf(power))
    };
    let models: Vec<_> = factors.components.iter().map(of).collect();
    let sum = models.iter().fold(Array2::<f64>::zeros(models[0].dim()), |sum, model| sum + model);
    models.into_iter().map(|model| model / &sum).collect()
}

/// Asserts that the masks are the mean of those by all sets of factors, but for the first frames of every stretch.
fn assert_masks_follow(explained: &Explained, name: &str) {
    let context = explained.factors.iter().map(|factors| factors.context).max().unwrap();
    for channel in 0..explained.data.len() {
        let each: Vec<_> = explained.factors.iter().map(|factors| shares(explained, factors, channel)).collect();
        for (source, masks) in explained.masks.iter().enumerate() {
            let mask = &masks[channel];
            for ((row, frame), &share) in mask.indexed_iter().filter(|((_, frame), _)| frame % 480 >= context - 1) {
                let mean = each.iter().map(|shares| shares[source][(row, frame)]).sum::<f64>() / each.len() as f64;
                let error = (mean - f64::from(share)).abs();
                assert!(
                    error < 2e-4,
                    "{name}: source {source}, channel {channel}, bin {row}, frame {frame}: {error:e}"
                );
            }
        }
    }
}

/// Asserts that the costs are those of the model of all components.
fn assert_costs_follow(explained: &Explained, divergence: &Divergence) {
    for (channel, data) in explained.data.iter().enumerate() {
        let factors = &explained.factors[0];
        let model = model(factors, channel, 0..factors.components.last().unwrap().end, data.dim());
        for (frame, (data, model)) in data.columns().into_iter().zip(model.columns()).enumerate() {
            let pairs = data.iter().zip(model);
            let cost: f64 = pairs.map(|(&v, &model)| divergence.cost(f64::from(v), model)).sum();
            let told = explained.costs[(channel, frame)];
            assert!((cost - told).abs() <= 1e-3 * cost + 1e-4, "channel {channel}, frame {frame}: {cost} and {told}");
        }
    }
}

#[test]
fn the_factors_of_one_set_of_bases_give_its_masks_and_costs() {
    let recording = stereo(40_000);
    let kl = Divergence::KullbackLeibler;
    let plain = trained(TrainingMethod::default(), rank(3));
    let own = gain_prior::Training { mixtures: 2 };
    let (priors, sparse) = (trained(TrainingMethod::GainPrior(own), rank(3)), trained(TrainingMethod::Sparse, rank(3)));
    let under_is = Training { divergence: Some(Divergence::ItakuraSaito), ..rank(3) };
    let powers = trained(TrainingMethod::default(), under_is);
    let beside = rest::Separation { rest: "2:more".parse().unwrap(), ..rest::Separation::default() };
    let with_rest = Separation { method: Some(SeparationMethod::Rest(beside)), ..Separation::default() };
    let hop = explained(&plan(Some(&plain), &Separation::default()), &recording).hop;
    assert_eq!(hop, 16);
    for (name, model, separation, divergence, shared) in [
        ("nmf", &plain, Separation::default(), &kl, true),
        ("early stopping", &plain, Separation { tolerance: 1e-2, ..Separation::default() }, &kl, true),
        ("priors", &priors, Separation { iterations: Some(4), ..Separation::default() }, &kl, true),
        ("sparse", &sparse, Separation::default(), &kl, true),
        ("powers", &powers, Separation::default(), &Divergence::ItakuraSaito, true),
        ("rest", &plain, Separation { iterations: Some(3), ..with_rest }, &kl, false),
    ] {
        let plan = plan(Some(model), &separation);
        let explained = explained(&plan, &recording);
        assert_eq!((explained.factors.len(), explained.data.len()), (1, 2), "{name}");
        // More than one panel of each channel.
        assert!(explained.costs.ncols() == explained.data[0].ncols() && explained.costs.ncols() > 2048, "{name}");
        assert_eq!(explained.factors[0].bases.len(), if shared { 1 } else { 2 }, "{name}");
        assert_eq!((explained.rows.len(), explained.bins.len(), explained.bins[1]), (33, 33, 125.0));
        // The first window covers 16 samples of the recording after 48 zeros.
        assert!((explained.start - -16.0 / f64::from(RATE)).abs() < 1e-9 && explained.sample_rate == RATE);
        assert_masks_follow(&explained, name);
        assert_costs_follow(&explained, divergence);
        assert_eq!(explained.sources.len(), explained.factors[0].components.len(), "{name}");
    }
}

#[test]
fn engines_tell_the_same_and_factors_may_come_alone() {
    let (model, recording) = (trained(TrainingMethod::default(), rank(3)), stereo(3000));
    let plan = plan(Some(&model), &Separation::default());
    let (fast, slow) = (explained(&plan, &recording), {
        let separator = plan.on(Reference.into());
        explain(&plan, &*separator, &recording, Detail::Cells, &mut |_| Continue(())).unwrap()
    });
    assert_masks_follow(&slow, "reference");
    assert_costs_follow(&slow, &Divergence::KullbackLeibler);
    assert_eq!(fast.factors[0].bases, slow.factors[0].bases);
    let near = |a: &Array2<f32>, b: &Array2<f32>| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3 * (1.0 + b.abs()));
    assert!(fast.factors[0].gains.iter().zip(&slow.factors[0].gains).all(|(a, b)| near(a, b)));
    let separator = plan.on(Cpu::new(Some(2)).unwrap().into());
    let alone = explain(&plan, &*separator, &recording, Detail::Factors, &mut |_| Continue(())).unwrap();
    assert_eq!((&alone.factors, &alone.costs), (&fast.factors, &fast.costs));
    assert!(alone.data.is_empty() && alone.masks.iter().all(Vec::is_empty));
}

#[test]
fn a_committee_has_the_factors_of_every_member() {
    let own = committee::Training { members: Some(3), quality: Some(committee::Quality::Best), context: None };
    let trained = trained(TrainingMethod::Nmf(own), rank(4));
    let quality = committee::Separation { quality: Some(committee::Quality::Best) };
    let separation = Separation { method: Some(SeparationMethod::Committee(quality)), ..Separation::default() };
    // More than a stretch of 480 frames.
    let explained = explained(&plan(Some(&trained), &separation), &stereo(12_000));
    let shapes: Vec<_> = explained.factors.iter().map(|factors| (factors.context, factors.stride)).collect();
    assert_eq!(shapes.len(), 3);
    assert!(shapes.iter().any(|(_, stride)| *stride > 1), "{shapes:?}");
    assert_masks_follow(&explained, "committee");
}

#[test]
fn masks_follow_from_the_bases_that_were_learned_for_them() {
    let own = discriminative::Training::default();
    let trained = trained(TrainingMethod::Discriminative(own), rank(3));
    let explained = explained(&plan(Some(&trained), &Separation::default()), &stereo(3000));
    assert_masks_follow(&explained, "discriminative");
}

#[test]
fn an_average_over_orders_has_the_factors_of_each() {
    let own = averaged::Training { orders: "1,2,3".parse().unwrap() };
    let trained = trained(TrainingMethod::Averaged(own), Training::default());
    let recording = stereo(3000);
    let explained_by = |orders_by: &str, background: usize| {
        let own = averaged::Separation {
            orders_by: orders_by.parse().unwrap(),
            background_rank: Some(background),
            ..averaged::Separation::default()
        };
        let method = Some(SeparationMethod::Averaged(own));
        explained(
            &plan(Some(&trained), &Separation { method, iterations: Some(4), ..Separation::default() }),
            &recording,
        )
    };
    for background in [0, 2] {
        let fixed = explained_by("2", background);
        assert_eq!((fixed.factors.len(), fixed.factors[0].components.len()), (1, if background > 0 { 3 } else { 2 }));
        assert_masks_follow(&fixed, "fixed");
        assert_masks_follow(&explained_by("mean", background), "mean");
        assert_masks_follow(&explained_by("selection", background), "selection");
        for several in ["fusion", "joint"] {
            let explained = explained_by(several, background);
            let counts: Vec<usize> = explained.factors.iter().map(|factors| factors.components[0].len()).collect();
            assert_eq!(counts, [1, 2, 3], "{several}");
        }
        // At the level of the data: the model explains about as much as there is.
        let factors = &fixed.factors[0];
        let all = model(factors, 0, 0..factors.components.last().unwrap().end, fixed.data[0].dim()).sum();
        let sum: f64 = fixed.data[0].iter().map(|&v| f64::from(v)).sum();
        assert!(all > 0.2 * sum && all < 2.0 * sum, "{all} of {sum}");
    }
}

#[test]
fn patterns_that_move_are_factors_of_several_frames_and_pitches() {
    let own = nmf2d::Separation {
        time_lags: Some(3),
        pitch_lags: Some(4),
        starts: Some(2),
        window: Some(Length::Samples(64)),
        bands: Some(BandMap::Linear),
        ..nmf2d::Separation::default()
    };
    let separation = |own| {
        let method = Some(SeparationMethod::Nmf2d(own));
        Separation { method, iterations: Some(5), ..Separation::default() }
    };
    let explained_by = |own| explained(&plan(None, &separation(own)), &stereo(1500));
    let found = explained_by(own.clone());
    assert_eq!((found.factors[0].context, found.factors[0].stride, found.factors[0].pitches), (3, 1, 4));
    assert_masks_follow(&found, "nmf2d");
    assert_costs_follow(&found, &Divergence::KullbackLeibler);
    // Masks of bands apply to bins.
    let bands = Some("log:12:100-4000".parse().unwrap());
    let banded = explained_by(nmf2d::Separation { bands, ..own });
    assert!(banded.rows.is_sorted() && banded.rows[0] > 100.0 && banded.rows.len() == banded.data[0].nrows());
    assert_eq!((banded.bins.len(), banded.masks[1][1].dim()), (33, (33, banded.costs.ncols())));
}

#[test]
fn what_is_denoised_is_the_model_and_no_share() {
    let own = deep::Denoising { rank: Some(3), window: Some(Length::Samples(64)), ..deep::Denoising::default() };
    let method = Some(SeparationMethod::Denoise(own));
    let separation = Separation { method, iterations: Some(4), ..Separation::default() };
    let explained = explained(&plan(None, &separation), &stereo(1500));
    assert_eq!((explained.mask, explained.sources.len()), (None, 1));
    for channel in 0..2 {
        let data = &explained.data[channel];
        let model = model(&explained.factors[0], channel, 0..3, data.dim());
        for ((at, &mask), &v) in explained.masks[0][channel].indexed_iter().zip(data) {
            let share = (model[at] / f64::from(v)).sqrt();
            assert!((f64::from(mask) - share).abs() < 1e-3 * share.max(1.0), "{at:?}: {mask} and {share}");
        }
    }
}

/// An array of an .npz.
fn array<T: ndarray_npy::ReadableElement>(world: &World, file: &str, name: &str) -> ArrayD<T> {
    let file = std::fs::File::open(world.path(file)).unwrap();
    NpzReader::new(file).unwrap().by_name::<OwnedRepr<T>, _>(name).unwrap_or_else(|cause| panic!("{name}: {cause}"))
}

fn number(world: &World, file: &str, name: &str) -> i64 {
    array::<i64>(world, file, name).first().copied().unwrap()
}

#[test]
fn gains_and_bases_in_a_file_give_the_stems() {
    let world = World::trained();
    world.record("mix.wav", &[mix(5, 9000), mix(6, 9000)], RATE);
    let plainly = ["mix.wav", "--format", "wav-f32"];
    assert_eq!(world.separate(&plainly).status.code(), Some(0));
    let stems = ["tones", "hiss"].map(|source| world.read(&format!("out/mix.{source}.wav")));
    let output = world.separate(&[&plainly[..], &["--gains", "found.npz"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("wrote bases and gains in found.npz\n"), "{}", stdout(&output));
    for (source, stem) in ["tones", "hiss"].iter().zip(&stems) {
        assert!(world.read(&format!("out/mix.{source}.wav")).channels == stem.channels);
    }

    let load = |name: &str| array::<f32>(&world, "found.npz", name);
    let bases = load("bases").into_dimensionality::<Ix2>().unwrap();
    let gains = load("gains").into_dimensionality::<Ix3>().unwrap();
    let counts = array::<i64>(&world, "found.npz", "components").into_dimensionality::<Ix1>().unwrap();
    let costs = array::<f64>(&world, "found.npz", "costs");
    assert_eq!((bases.dim(), counts.to_vec(), costs.shape()), ((129, 8), vec![4, 4], [2, gains.dim().2].as_slice()));
    assert_eq!(["sample_rate", "hop", "context"].map(|name| number(&world, "found.npz", name)), [8000, 64, 1]);
    let power = array::<f64>(&world, "found.npz", "mask_power").first().copied().unwrap() as f32;

    let model = Model::load(&world.path("m.safetensors")).unwrap();
    let view = plan(Some(&model), &Separation::default()).scheme.view(RATE).unwrap();
    let recording = world.read("mix.wav");
    for (channel, samples) in recording.channels.iter().enumerate() {
        let spectra = view.spectra(samples);
        let gains = gains.index_axis(partwise::ndarray::Axis(0), channel);
        let of = |source: usize| {
            let range = s![.., 4 * source..4 * source + 4];
            bases.slice(range).dot(&gains.slice(s![4 * source..4 * source + 4, ..])).mapv(|x| x.powf(power))
        };
        for (source, stem) in stems.iter().enumerate() {
            let mask = &of(source) / &(of(0) + of(1)).mapv(|sum| sum.max(1e-30));
            let (mut inverse, mut estimate) = (view.stft.overlap_add(samples.len()), Vec::new());
            inverse.push_masked(spectra.view(), mask.t(), 0.5, &mut estimate).unwrap();
            inverse.finish(&mut estimate).unwrap();
            let worst = estimate.iter().zip(&stem.channels[channel]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-4, "channel {channel}, source {source}: {worst}");
        }
    }
}

#[test]
fn files_of_gains_have_an_axis_for_what_there_is_several_of() {
    let world = World::trained();
    world.record("mix.wav", &[mix(5, 6000), mix(6, 6000)], RATE);
    let write = |options: &[&str]| {
        let output =
            world.run(&[&["separate", "mix.wav", "-o", "out", "--json", "--gains", "g.npz"], options].concat());
        assert_eq!(output.status.code(), Some(0), "{options:?}: {}", stderr(&output));
        assert_eq!(json(&output)["gains"], "g.npz");
    };
    let shape = |name: &str| array::<f32>(&world, "g.npz", name).shape().to_vec();
    write(&["--model", "m.safetensors", "--rest", "3", "--iterations", "3"]);
    let frames = shape("gains")[2];
    assert_eq!((shape("bases"), shape("gains")), (vec![2, 129, 11], vec![2, 11, frames]));
    let patterns = ["--time-lags", "3", "--pitch-lags", "4", "--starts", "1", "--iterations", "2"];
    write(&[&["--method", "nmf2d", "--bands", "log:12:100-4000"][..], &patterns].concat());
    let (bases, gains) = (shape("bases"), shape("gains"));
    assert_eq!((bases.len(), bases[0], bases[2], &gains[..3]), (3, 3, 2, [2, 4, 2].as_slice()));
    assert_eq!(array::<f64>(&world, "g.npz", "frequencies").len(), bases[1]);
    assert_eq!([number(&world, "g.npz", "context"), number(&world, "g.npz", "pitches")], [3, 4]);

    let train = ["train", "--source", "tones=tones", "--source", "hiss=hiss", "-o", "two", "--window", "256"];
    let output = world.run(&[&train[..], &["--rank", "4", "--members", "2", "--iterations", "5"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    write(&["--model", "two"]);
    assert_eq!((shape("bases1").len(), shape("gains2").len()), (2, 3));
    // A member whose bases are stacks of frames.
    let context = usize::try_from(number(&world, "g.npz", "context2")).unwrap();
    assert_eq!(shape("bases2"), [context, 129, shape("gains2")[1]]);
}

#[test]
fn a_file_of_gains_is_of_one_recording_that_was_separated() {
    let world = World::trained();
    world.record("a.wav", &[mix(5, 3000)], RATE);
    world.record("b.wav", &[mix(6, 3000)], RATE);
    refused(&world.separate(&["a.wav", "b.wav", "--gains", "g.npz"]), 2, &["--gains g.npz", "2 inputs"]);
    refused(&world.separate(&["a.wav", "--gains", "a.wav"]), 2, &["a.wav", "overwrite an input"]);
    refused(&world.separate(&["a.wav", "--gains", "g.npz", "--shard", "1/2"]), 2, &["--gains", "--shard"]);
    std::fs::write(world.path("c.wav"), "no audio").unwrap();
    refused(&world.separate(&["c.wav", "--gains", "g.npz"]), 2, &["1 of 1 inputs cannot be used"]);
    assert!(!world.path("g.npz").exists());
    // One that was done before is done.
    for _ in 0..2 {
        let output = world.separate(&["a.wav", "--gains", "g.npz", "--resume"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        std::fs::remove_file(world.path("g.npz")).unwrap();
    }
}
