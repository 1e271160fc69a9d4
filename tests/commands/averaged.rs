//! Tests of averaging over orders as a user runs it: models, backgrounds, and input that cannot be used.

use crate::common::world::{RATE, World, hiss, json, refused, stderr, sum_error, tones};

const SMALL: [&str; 8] = ["--method", "averaged", "--orders", "1,2,4", "--window", "256", "--engine", "cpu"];

/// The arguments that train a model `output` on these sources.
fn train<'a>(output: &'a str, sources: &[&'a str], options: &[&'a str]) -> Vec<&'a str> {
    [&["train", "-o", output], sources, &SMALL, options].concat()
}

const TONES: [&str; 2] = ["--source", "tones=tones"];
const BOTH: [&str; 4] = ["--source", "tones=tones", "--source", "hiss=hiss"];

/// A world with a mixture, its sources, and a model of each kind: of the tones alone, and of both sources. The tones stop now
/// and then, as speech does, so that the background can be heard by itself.
fn world() -> World {
    let world = World::new();
    let gated = |(n, tone): (usize, f32)| if n / 1000 % 2 == 0 { tone } else { 0.0 };
    let (tones, hiss) = (tones(200.0, 7001).into_iter().enumerate().map(gated).collect::<Vec<f32>>(), hiss(5, 7001));
    let mix: Vec<f32> = tones.iter().zip(&hiss).map(|(tone, hiss)| tone + hiss).collect();
    world.record("mix.wav", &[mix], RATE);
    world.record("true/tones.wav", &[tones], RATE);
    world.record("true/hiss.wav", &[hiss], RATE);
    for (name, sources) in [("one", TONES.as_slice()), ("both", &BOTH)] {
        let output = world.run(&train(name, sources, &[]));
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    world
}

/// Separates the mixture, checks that the stems sum to it and are near the sources, and returns their samples.
fn separate(world: &World, model: &str, other: &str, options: &[&str]) -> [Vec<f32>; 2] {
    let out = format!("out-{}", options.join("-"));
    let output = world.run(&[&["separate", "mix.wav", "--model", model, "-o", &out], options].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let stems = ["tones", other].map(|source| world.read(&format!("{out}/mix.{source}.wav")));
    assert!(sum_error(&world.read("mix.wav"), &stems) <= 1e-5);
    for (source, truth) in [("tones", "true/tones.wav"), (other, "true/hiss.wav")] {
        let stem = format!("{out}/mix.{source}.wav");
        let scores = ["evaluate", "--json", "--reference", truth, "--estimate", &stem, "--mixture", "mix.wav"];
        let gain = json(&world.run(&scores))["sources"][0]["improvement"]["si_sdr"].as_f64().unwrap_or(f64::NAN);
        assert!(gain > 5.0, "{gain} dB for {source} by {model} {options:?}");
    }
    stems.map(|stem| stem.channels[0].clone())
}

#[test]
fn every_choice_of_orders_separates() {
    let world = world();
    let by = |choice: &str| separate(&world, "one", "background", &["--orders-by", choice, "--background-rank", "2"]);
    let all = ["fusion", "joint", "selection", "mean", "4"].map(by);
    for (index, one) in all.iter().enumerate() {
        assert!(all[..index].iter().all(|other| other != one), "two choices give the same stems");
    }
    separate(&world, "both", "hiss", &[]);
    separate(&world, "both", "hiss", &["--orders-by", "selection"]);
}

#[test]
fn a_cold_posterior_is_that_of_one_order() {
    let world = world();
    let cold = separate(&world, "both", "hiss", &["--temperature", "1e-9", "--iterations", "3"]);
    let warm = separate(&world, "both", "hiss", &["--temperature", "1e9", "--iterations", "3"]);
    assert!(cold != warm);
}

#[test]
fn a_silent_recording_gives_silent_stems_and_a_model_keeps_its_orders() {
    let world = world();
    world.record("silent.wav", &[vec![0.0; 6000]], RATE);
    let output = world.run(&["separate", "silent.wav", "--model", "one", "-o", "out"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for source in ["tones", "background"] {
        assert!(world.read(&format!("out/silent.{source}.wav")).channels.iter().flatten().all(|&sample| sample == 0.0));
    }
    let model = partwise::Model::load(&world.path("one")).unwrap();
    assert_eq!((model.parts.method(), model.sources[0].bases.ncols()), ("averaged", 7));
    let partwise::model::Parts::Averaged(learned) = model.parts else { panic!("another part") };
    assert_eq!(learned.orders, [1, 2, 4]);
}

#[test]
fn unsuitable_input_is_refused_in_one_line() {
    let world = world();
    for (orders, reason) in [
        ("2,4,2", "2 is given twice"),
        ("0,2", "0 is not between 1 and 4096"),
        ("2,4097", "4097 is not between 1 and 4096"),
        ("2,x", "'x' is not a number of components"),
    ] {
        let words = ["train", "-o", "bad", "--method", "averaged", "--orders", orders];
        refused(&world.run(&[words.as_slice(), &TONES].concat()), 2, &["--orders", reason]);
    }
    for (options, reason) in [
        (["--divergence", "kl"], "--divergence kl: the method averaged is under is"),
        (["--rank", "3"], "--rank"),
        (["--normalize", "l2"], "--normalize"),
    ] {
        refused(&world.run(&train("bad", &TONES, &options)), 2, &[reason]);
    }
    for (options, reason) in [
        (["--temperature", "0"], "--temperature 0: must be above 0"),
        (["--orders-by", "3"], "the model has the orders 1, 2, 4"),
        (["--orders-by", "most"], "fusion, joint, selection, mean or an order"),
        (["--background-rank", "0"], "the model has one source"),
        (["--background-rank", "5000"], "must be between 0 and 4096"),
        (["--noise-variance=-1", "--iterations=5"], "--noise-variance -1: must be 0 or more"),
        (["--mask", "hard"], "--mask"),
        (["--tolerance", "0.1"], "--tolerance"),
    ] {
        let words = ["separate", "mix.wav", "--model", "one", "-o", "out"];
        refused(&world.run(&[words.as_slice(), &options].concat()), 2, &[reason]);
    }
}

#[test]
fn a_recording_shorter_than_the_background_fails_alone() {
    let world = world();
    world.record("short.wav", &[tones(200.0, 200)], RATE);
    let output = world.run(&["separate", "short.wav", "mix.wav", "--model", "one", "-o", "out"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("fewer than the 16 components of the background"), "{}", stderr(&output));
    assert!(world.path("out/mix.tones.wav").exists() && !world.path("out/short.tones.wav").exists());
}
