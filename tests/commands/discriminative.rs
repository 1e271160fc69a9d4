//! Tests of discriminative training as a user runs it: models, states, and input that cannot be used.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::world::{RATE, World, hiss, json, mix, refused, stderr, sum_error, tones};

/// Two recordings of each of two sources.
fn world() -> World {
    let world = World::new();
    world.record("hiss/b.wav", &[hiss(2, 7000)], RATE);
    world
}

const SOURCES: [&str; 4] = ["--source", "tones=tones", "--source", "hiss=hiss"];
const SMALL: [&str; 8] = ["--method", "discriminative", "--rank", "4", "--window", "256", "--engine", "cpu"];

/// The arguments that train a model `output` on both sources.
fn train<'a>(output: &'a str, options: &[&'a str]) -> Vec<&'a str> {
    [&["train", "-o", output], SOURCES.as_slice(), &SMALL, options].concat()
}

#[test]
fn both_objectives_train_models_that_separate() {
    let world = world();
    world.record("mix.wav", &[mix(5, 7001)], RATE);
    world.record("true/tones.wav", &[tones(200.0, 7001)], RATE);
    world.record("true/hiss.wav", &[hiss(5, 7001)], RATE);
    for objective in ["separation", "paper"] {
        let (model, out) = (format!("{objective}.safetensors"), format!("out-{objective}"));
        let output = world.run(&train(&model, &["--objective", objective, "--iterations", "20", "--json"]));
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let mixtures = &json(&output)["sources"][0]["mixtures"];
        assert_eq!(mixtures["used"], 4, "{mixtures}");
        assert_eq!(world.files(".").iter().filter(|file| file.ends_with(".state")).count(), 0);
        let output = world.run(&["separate", "mix.wav", "--model", &model, "-o", &out]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let stems = ["tones", "hiss"].map(|source| format!("{out}/mix.{source}.wav"));
        let sources = stems.each_ref().map(|stem| world.read(stem));
        assert!(sum_error(&world.read("mix.wav"), &sources) <= 1e-5);
        let references = ["--reference", "true/tones.wav", "true/hiss.wav", "--mixture", "mix.wav"];
        let scores = json(
            &world
                .run(&[&["evaluate", "--json"], references.as_slice(), &["--estimate", &stems[0], &stems[1]]].concat()),
        );
        for source in 0..2 {
            let gain = scores["sources"][source]["improvement"]["sdr"].as_f64().unwrap();
            assert!(gain > 5.0, "{gain} dB for source {source}, {objective}");
        }
    }
}

#[test]
fn memory_does_not_change_a_model() {
    let world = world();
    for (output, memory) in [("stored", "1G"), ("formed", "1250K")] {
        let options = ["--objective", "paper", "--iterations", "3", "--memory", memory, "--json"];
        let output = world.run(&train(output, &options));
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(json(&output)["sources"][1]["mixtures"]["in_memory"], memory == "1G");
    }
    let bases = |name: &str| -> Vec<_> {
        let model = partwise::Model::load(&world.path(name)).unwrap();
        model.sources.into_iter().map(|source| source.bases).collect()
    };
    assert_eq!(bases("stored"), bases("formed"));
}

#[test]
fn a_training_that_was_killed_goes_on_from_its_state() {
    let world = world();
    let options = ["--objective", "paper", "--iterations", "300", "--state-every", "0"];
    let whole = world.run(&train("whole.safetensors", &options));
    assert_eq!(whole.status.code(), Some(0), "{}", stderr(&whole));
    let mut kills = 0;
    while !world.path("m.safetensors").exists() {
        let mut command = Command::new(env!("CARGO_BIN_EXE_partwise"));
        command.current_dir(world.folder.path()).args(train("m.safetensors", &options)).arg("--resume");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let state = || std::fs::metadata(world.path("m.safetensors.state")).and_then(|file| file.modified()).ok();
        let (before, started) = (state(), Instant::now());
        // Let it keep at least one state, or end.
        while state() == before && child.try_wait().unwrap().is_none() && started.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if kills < 3 {
            child.kill().unwrap();
            kills += 1;
        }
        child.wait().unwrap();
    }
    assert!(!world.path("m.safetensors.state").exists());
    let bytes = |name: &str| std::fs::read(world.path(name)).unwrap();
    assert!(bytes("m.safetensors") == bytes("whole.safetensors"));
}

#[test]
fn a_state_of_something_else_is_refused() {
    let world = world();
    let options = ["--objective", "paper", "--iterations", "100000", "--state-every", "0"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_partwise"));
    command.current_dir(world.folder.path()).args(train("m.safetensors", &options));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !world.path("m.safetensors.state").exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let resumed = |options: &[&str]| world.run(&train("m.safetensors", &[options, &["--resume"]].concat()));
    let other = resumed(&["--objective", "paper", "--iterations", "100000", "--sparsity", "0.2"]);
    refused(&other, 2, &["m.safetensors.state", "other recordings or other options"]);
    world.record("hiss/b.wav", &[hiss(3, 7000)], RATE);
    refused(&resumed(&options), 2, &["m.safetensors.state", "other recordings or other options"]);
    std::fs::write(world.path("m.safetensors.state"), "damaged").unwrap();
    refused(&resumed(&options), 2, &["m.safetensors.state", "not a safetensors file"]);
    refused(&resumed(&["--objective", "separation"]), 2, &["--resume"]);
}

#[test]
fn input_that_cannot_be_used_is_refused_in_one_line() {
    let world = world();
    let run = |sources: &[&str], options: &[&str]| {
        world.run(&[&["train", "-o", "m.safetensors"], sources, &SMALL, options].concat())
    };
    for objective in [["--objective", "paper"], ["--objective", "separation"]] {
        refused(&run(&SOURCES[..2], &objective), 2, &["two or more sources"]);
        refused(
            &run(&["--source", "tones=tones/a.wav", "--source", "hiss=hiss"], &objective),
            2,
            &["'tones'", "one utterance"],
        );
        let little = [objective.as_slice(), &["--memory", "10K"]].concat();
        refused(&run(&SOURCES, &little), 2, &["--memory", "need at least"]);
        let slow = [objective.as_slice(), &["--divergence", "is"]].concat();
        refused(&run(&SOURCES, &slow), 2, &["--divergence", "discriminative is under kl"]);
    }
    let paper = ["--objective", "paper"];
    for (options, objective, part) in [
        (["--objective", "best"], &[][..], "use separation or paper"),
        (["--pairs", "0"], &[], "must be at least 1"),
        (["--pairs", "9"], &paper, "is an option of the objective separation"),
        (["--round-updates", "0"], &paper, "must be between 1 and 1000"),
        (["--round-updates", "2"], &[], "is an option of the objective paper"),
    ] {
        refused(&run(&SOURCES, &[&options[..], objective].concat()), 2, &[options[0], part]);
    }
    world.record("hiss/short.wav", &[hiss(4, 200)], RATE);
    refused(&run(&SOURCES, &[]), 2, &["short.wav", "200 samples", "a window of 256"]);
    let plain = ["train", "-o", "m.safetensors", "--rank", "4", "--window", "256", "--memory", "1G"];
    refused(&world.run(&[plain.as_slice(), &SOURCES].concat()), 2, &["--memory"]);
}

#[test]
fn a_long_recording_is_several_utterances() {
    let world = World::new();
    // 25 s become three utterances of each.
    world.record("long/tones.wav", &[tones(200.0, 25 * RATE as usize)], RATE);
    world.record("long/hiss.wav", &[hiss(7, 25 * RATE as usize)], RATE);
    let sources = ["--source", "tones=long/tones.wav", "--source", "hiss=long/hiss.wav"];
    let options = ["--iterations", "2", "--json"];
    let output = world.run(&[&["train", "-o", "m.safetensors"], sources.as_slice(), &SMALL, &options].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(json(&output)["sources"][0]["mixtures"]["of"], 9);
}
