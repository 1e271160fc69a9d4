//! Tests of `partwise info`: models, recordings and results, for people and for programs.

use crate::common::world::{RATE, World, hiss, json, refused, stderr, tones};

fn told(world: &World, words: &[&str]) -> String {
    let output = world.run(&[&["info"], words].concat());
    assert_eq!(output.status.code(), Some(0), "{words:?}: {}", stderr(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn models_recordings_and_results_say_what_they_hold() {
    let world = World::new();
    let mix: Vec<f32> = tones(200.0, 9000).iter().zip(hiss(5, 9000)).map(|(tone, hiss)| tone + hiss).collect();
    world.record("inputs/mix.wav", &[mix.clone(), mix], RATE * 2);
    std::fs::write(world.path("inputs/broken.wav"), "RIFF").unwrap();

    let model = told(&world, &["speech+noise"]);
    for part in ["gain to expect", "16000 Hz", "method committee", "set 1 of bases", "--quality fast", "seed 0"] {
        assert!(model.contains(part), "{part}: {model}");
    }
    let model = json(&world.run(&["info", "speech+noise", "--json"]));
    assert_eq!((&model["sources"][1]["name"], &model["sample_rate"]), (&"noise".into(), &16_000.into()));
    assert!(model["training"]["sources"][0]["expected"][1]["gain_db"].as_f64().unwrap() > 0.0);

    let recording = told(&world, &["inputs/mix.wav", "--model", "speech+noise"]);
    for part in ["2 channels", "Hz", "writes mix.speech.wav, mix.noise.wav", "each of the 2 channels"] {
        assert!(recording.contains(part), "{part}: {recording}");
    }
    let recording = json(&world.run(&["info", "inputs/mix.wav", "--json"]));
    assert_eq!((&recording["recording"]["frames"], &recording["separate"]), (&9000.into(), &serde_json::Value::Null));

    world.run(&["separate", "inputs", "--model", "speech+noise", "-o", "out", "--engine", "cpu"]);
    let results = told(&world, &["out"]);
    for part in ["failed: ", "broken.wav", "method committee", "on cpu"] {
        assert!(results.contains(part), "{part}: {results}");
    }
    let results = json(&world.run(&["info", "out", "--json"]));
    assert_eq!((&results["summary"]["done"], &results["summary"]["failed"]), (&1.into(), &1.into()));
    assert_eq!(results["parameters"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_nothing_of_these_is_told() {
    let world = World::new();
    for (words, parts) in [
        (&["tones"][..], &["tones", "manifest.jsonl"][..]),
        (&["nothing"], &["nothing", "speech+noise"]),
        (&["missing.wav"], &["missing.wav"]),
        (&["speech", "--model", "piano"], &["--model", "speech"]),
    ] {
        refused(&world.run(&[&["info"], words].concat()), 2, parts);
    }
}
