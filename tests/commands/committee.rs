//! Tests of committees and exemplars as a user runs them: what is chosen, what is told, and input that cannot be used.

use crate::common::world::{RATE, SCORING, World, hiss, json, refused, stderr, sum_error, tones};

const BOTH: [&str; 4] = ["--source", "tones=tones", "--source", "hiss=hiss"];
const SMALL: [&str; 4] = ["--window", "256", "--engine", "cpu"];

/// A world with recordings of two sources that are long enough to hold a half back, and mixtures of others.
fn world() -> World {
    let world = World::new();
    for (name, sound) in [("tones/long.wav", tones(310.0, 50_000)), ("hiss/long.wav", hiss(9, 50_000))] {
        world.record(name, &[sound], RATE);
    }
    let (tones, hiss) = (tones(200.0, 30_000), hiss(5, 30_000));
    let mix: Vec<f32> = tones.iter().zip(&hiss).map(|(tone, hiss)| tone + hiss).collect();
    world.record("mix.wav", std::slice::from_ref(&mix), RATE);
    world.record("mixes/a.wav", &[mix[..9000].to_vec(), mix[9000..18_000].to_vec()], RATE);
    world.record("mixes/b.wav", std::slice::from_ref(&mix), RATE);
    world.record("mixes/c.wav", &[mix[..700].to_vec()], RATE);
    world.record("quiet.wav", &[mix.iter().map(|sample| sample * 1e-4).collect()], RATE);
    world.record("true/tones.wav", &[tones], RATE);
    world.record("true/hiss.wav", &[hiss], RATE);
    world
}

fn done(world: &World, words: &[&str]) -> std::process::Output {
    let output = world.run(words);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {}", stderr(&output));
    output
}

fn train(world: &World, model: &str, options: &[&str]) -> std::process::Output {
    done(world, &[&["train", "-o", model], BOTH.as_slice(), &SMALL, options].concat())
}

/// The mean gain of both sources in SI-SDR.
fn gain(world: &World, model: &str, options: &[&str]) -> f64 {
    done(world, &[&["separate", "mix.wav", "--model", model, "-o", "out", "--engine", "cpu"], options].concat());
    let stems = ["tones", "hiss"].map(|source| world.read(&format!("out/mix.{source}.wav")));
    assert!(sum_error(&world.read("mix.wav"), &stems) <= 1e-5);
    let scores = done(world, &SCORING);
    let scores = json(&scores);
    let of = |source: usize| scores["sources"][source]["improvement"]["si_sdr"].as_f64().unwrap_or(f64::NAN);
    (of(0) + of(1)) / 2.0
}

#[test]
fn every_quality_separates_and_the_gain_to_expect_is_near() {
    let world = world();
    for (quality, members) in [("fast", 1), ("normal", 2), ("best", 2)] {
        let output = train(&world, quality, &["--quality", quality, "--json"]);
        let summary = json(&output);
        let expected = |source: usize| -> Vec<f64> {
            let gains = summary["sources"][source]["expected"].as_array().unwrap();
            gains.iter().map(|gain| gain["gain_db"].as_f64().unwrap()).collect()
        };
        assert_eq!([0, 1].map(|source| expected(source).len()), [3, 3]);
        let model = partwise::Model::load(&world.path(quality)).unwrap();
        let partwise::model::Parts::Committee(learned) = &model.parts else { panic!("no committee") };
        assert_eq!(learned.manners().count(), members);
        let (gain, foretold) = (gain(&world, quality, &[]), (expected(0)[1] + expected(1)[1]) / 2.0);
        assert!(gain > 5.0 && foretold > 3.0 && foretold < gain + 6.0, "{quality}: {gain} dB, foretold {foretold}");
    }
    // A part of a model separates too, and differently.
    let all = world.read("out/mix.tones.wav");
    assert!(gain(&world, "best", &["--quality", "fast"]) > 5.0);
    assert_ne!(all.channels, world.read("out/mix.tones.wav").channels);
}

#[test]
fn stems_have_the_same_bytes_in_any_company_and_memory() {
    let world = world();
    train(&world, "model", &["--quality", "best", "--iterations", "2"]);
    let separate = |input: &str, out: &str, options: &[&str]| {
        done(&world, &[&["separate", input, "--model", "model", "-o", out, "--engine", "cpu"], options].concat());
    };
    separate("mixes", "together", &[]);
    separate("mixes", "narrow", &["--memory", "1G", "--threads", "1"]);
    for name in ["a", "b", "c"] {
        separate(&format!("mixes/{name}.wav"), "alone", &["--threads", "2"]);
        for source in ["tones", "hiss"] {
            let bytes = |folder: &str| std::fs::read(world.path(&format!("{folder}/{name}.{source}.wav"))).unwrap();
            assert!(bytes("together") == bytes("alone") && bytes("together") == bytes("narrow"), "{name}, {source}");
        }
    }
    separate("mix.wav", "level", &["--format", "wav-f32"]);
    separate("quiet.wav", "level", &["--format", "wav-f32"]);
    let [loud, quiet] = ["mix", "quiet"].map(|name| world.read(&format!("level/{name}.tones.wav")).channels);
    let peak = loud[0].iter().fold(0.0, |peak: f32, sample| peak.max(sample.abs()));
    let error = loud[0].iter().zip(&quiet[0]).map(|(loud, quiet)| (loud - quiet * 1e4).abs()).fold(0.0, f32::max);
    assert!(error <= 1e-4 * peak, "{error} of {peak}");
}

#[test]
fn exemplars_and_contexts_are_as_asked() {
    let world = world();
    train(&world, "exemplars", &["--method", "exemplars", "--exemplars", "20", "--context", "4"]);
    let model = partwise::Model::load(&world.path("exemplars")).unwrap();
    let bins = model.stft.fft / 2 + 1;
    assert_eq!(model.parts.context(), 4);
    assert!(model.sources.iter().all(|source| source.bases.nrows() == 4 * bins && source.bases.ncols() <= 20));
    assert!(gain(&world, "exemplars", &[]) > 5.0);
    train(&world, "context", &["--context", "3", "--rank", "6"]);
    let model = partwise::Model::load(&world.path("context")).unwrap();
    assert_eq!((model.sources[0].bases.dim(), model.parts.context()), ((3 * bins, 6), 3));
    assert!(gain(&world, "context", &[]) > 5.0);
    train(&world, "members", &["--members", "3", "--rank", "4"]);
    let model = partwise::Model::load(&world.path("members")).unwrap();
    let partwise::model::Parts::Committee(learned) = &model.parts else { panic!("no committee") };
    assert_eq!(learned.others.len(), 2);
    assert!(gain(&world, "members", &[]) > 5.0);
    // A number of components and nothing else is one plain model, as ever.
    train(&world, "plain", &["--rank", "4"]);
    let model = partwise::Model::load(&world.path("plain")).unwrap();
    assert_eq!((model.parts, model.sources[0].bases.ncols()), (partwise::model::Parts::Nmf, 4));
}

#[test]
fn too_little_sound_to_hold_a_half_back_is_told() {
    let world = world();
    world.record("short.wav", &[tones(250.0, 20_000)], RATE);
    let sources = ["--source", "tones=short.wav", "--source", "hiss=hiss"];
    let output = done(&world, &[&["train", "-o", "model"], sources.as_slice(), &SMALL].concat());
    let told = stderr(&output);
    assert!(
        told.contains("less than 5 s of sound, too little to hold a half back; the gain to expect is not known"),
        "{told}"
    );
    let model = partwise::Model::load(&world.path("model")).unwrap();
    assert!(model.training.sources.iter().all(|source| source.expected.is_empty()));
}

#[test]
fn a_half_that_is_silent_is_no_reason_to_give_up() {
    let world = world();
    world.record("half.wav", &[[tones(250.0, 30_000), vec![0.0; 30_000]].concat()], RATE);
    let sources = ["--source", "tones=half.wav", "--source", "hiss=hiss"];
    let output = done(&world, &[&["train", "-o", "model"], sources.as_slice(), &SMALL].concat());
    assert!(stderr(&output).contains("a source is silent in one half of its recordings"), "{}", stderr(&output));
    assert!(gain(&world, "model", &[]) > 5.0);
}

#[test]
fn a_quality_goes_with_a_model_of_one_set_and_not_with_other_methods() {
    let world = world();
    train(&world, "plain", &["--rank", "4", "--iterations", "5"]);
    train(&world, "priors", &["--method", "gain-prior", "--rank", "4", "--mixtures", "2", "--iterations", "5"]);
    assert_eq!(gain(&world, "plain", &["--quality", "best"]), gain(&world, "plain", &[]));
    let words = ["separate", "mix.wav", "--model", "priors", "-o", "y", "--quality", "fast"];
    refused(&world.run(&words), 2, &["trained with the method gain-prior", "train a model with --method nmf"]);
    // A rank by name leaves the others at the usual one, as ever.
    train(&world, "named", &["--rank", "tones=3", "--iterations", "5"]);
    let model = partwise::Model::load(&world.path("named")).unwrap();
    let ranks: Vec<usize> = model.sources.iter().map(|source| source.bases.ncols()).collect();
    assert_eq!((ranks, model.parts), (vec![3, 64], partwise::model::Parts::Nmf));
}

#[test]
fn sources_that_sound_alike_are_told() {
    let world = world();
    world.record("one.wav", &[hiss(21, 50_000)], RATE);
    world.record("other.wav", &[hiss(22, 50_000)], RATE);
    let sources = ["--source", "one=one.wav", "--source", "other=other.wav"];
    let output = done(&world, &[&["train", "-o", "model"], sources.as_slice(), &SMALL].concat());
    assert!(stderr(&output).contains("these sources sound alike to this model"), "{}", stderr(&output));
}

#[test]
fn unsuitable_options_are_refused_in_one_line() {
    let world = world();
    train(&world, "model", &["--quality", "fast"]);
    let refused = |words: &[&str], reason: &str| refused(&world.run(words), 2, &[reason]);
    let train = |options: &'static [&'static str]| [&["train", "-o", "x"], BOTH.as_slice(), &SMALL, options].concat();
    refused(&train(&["--members", "0"]), "--members 0: must be between 1 and 64");
    refused(&train(&["--context", "65"]), "--context 65: must be between 1 and 64 frames");
    refused(&train(&["--quality", "good"]), "use fast, normal or best");
    refused(&train(&["--rank", "many"]), "use a whole number, or auto");
    refused(&train(&["--exemplars", "3"]), "is an option of the method exemplars");
    refused(&train(&["--method", "exemplars", "--exemplars", "0"]), "--exemplars 0: must be between 1 and 16384");
    refused(&train(&["--method", "exemplars", "--rank", "3"]), "the method exemplars has exemplars");
    refused(&train(&["--normalize", "l1"]), "--normalize l1: the bases of committees and exemplars have norm l2");
    refused(&train(&["--method", "sparse", "--members", "3"]), "is an option of the method nmf");
    let long = [&["train", "-o", "x"], BOTH.as_slice(), &["--context", "60", "--window", "20000"]].concat();
    refused(&long, "use a smaller --context or longer recordings");
    refused(&["separate", "mix.wav", "--model", "model", "-o", "y", "--memory", "1K"], "this model needs at least");
}
