//! Training and separation in memory give what the commands give, to the bit.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::ops::ControlFlow::{self, Break, Continue};

use crate::common::world::{RATE, World, hiss, mix, stderr, sum_error, tones};
use partwise::job::{SeparationMethod, TrainingMethod};
use partwise::methods::{gain_prior, nmf2d};
use partwise::spectrogram::Length;
use partwise::{
    AnyEngine, EngineChoice, Error, Model, Recording, Separation, Training, audio, evaluate, separate, train,
};

fn go_on(_: f64) -> ControlFlow<()> {
    Continue(())
}

/// The engine of the commands of a [`World`].
fn engine() -> AnyEngine {
    EngineChoice::Cpu.open().unwrap()
}

fn recordings(world: &World, source: &str) -> Vec<Recording> {
    audio::read_folder(&world.path(source)).unwrap()
}

#[test]
fn a_model_that_is_trained_in_memory_is_the_one_that_the_command_writes() {
    let world = World::new();
    for (method, name) in [
        (TrainingMethod::default(), "nmf"),
        (TrainingMethod::GainPrior(gain_prior::Training { mixtures: 2 }), "gain-prior"),
        (TrainingMethod::Sparse, "sparse"),
    ] {
        let training = Training {
            method,
            rank: 3.into(),
            iterations: Some(6),
            window: Some(Length::Samples(256)),
            seed: 7,
            ..Training::default()
        };
        let (tones, hiss) = (recordings(&world, "tones"), recordings(&world, "hiss"));
        let mut shares = Vec::new();
        let mut note = |share: f64| {
            shares.push(share);
            Continue(())
        };
        let model = train(&engine(), &[("tones", &tones), ("hiss", &hiss)], &training, &mut note).unwrap();
        assert!(shares.is_sorted() && shares[0] > 0.0 && shares.last() == Some(&1.0), "{shares:?}");
        let config = serde_json::to_string(&training).unwrap();
        std::fs::write(world.path("job.json"), config).unwrap();
        let sources = ["train", "--source", "tones=tones", "--source", "hiss=hiss"];
        let output = world.run(&[&sources[..], &["--config", "job.json", "-o", name]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let written = Model::load(&world.path(name)).unwrap();
        assert_eq!((&model.sources, &model.parts), (&written.sources, &written.parts), "{name}");
        assert_eq!(model.options, written.options);
    }
}

#[test]
fn stems_in_memory_have_the_bits_of_the_command() {
    let world = World::trained();
    let model = Model::load(&world.path("m.safetensors")).unwrap();
    world.record("mono.wav", &[mix(5, 40_001)], RATE);
    world.record("stereo.wav", &[mix(5, 9_000), mix(6, 9_000)], RATE);
    world.record("high.wav", &[mix(7, 20_000)], 3 * RATE);
    world.record("low.wav", &[tones(0.2, 3_000)], RATE / 2);
    let separation = Separation { tolerance: 1e-3, iterations: Some(10), ..Separation::default() };
    for name in ["mono", "stereo", "high", "low"] {
        let file = format!("{name}.wav");
        let options = ["--tolerance", "1e-3", "--format", "wav-f32"];
        let output = world.separate(&[&[file.as_str()][..], &options].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let recording = world.read(&file);
        let stems = separate(&engine(), Some(&model), &recording, &separation, &mut go_on).unwrap();
        assert_eq!(stems.len(), 2);
        for stem in &stems {
            let written = world.read(&format!("out/{name}.{}.wav", stem.source));
            assert!(stem.recording.channels == written.channels, "{name}, {}", stem.source);
            assert_eq!(stem.recording.sample_rate, written.sample_rate);
        }
        let only = Separation { only: Some("hiss".into()), ..separation.clone() };
        let alone = separate(&engine(), Some(&model), &recording, &only, &mut go_on).unwrap();
        assert!(alone.len() == 1 && alone[0] == stems[1], "{name}");
    }
}

#[test]
fn a_model_keeps_its_bands_and_its_filter() {
    let world = World::new();
    let sources = ["train", "--source", "tones=tones", "--source", "hiss=hiss", "-o", "m.safetensors", "--rank", "4"];
    let bands = ["--method", "sparse", "--bands", "mel:20:0-3000", "--pre-emphasis", "0.9", "--window", "256"];
    let output = world.run(&[&sources[..], &bands].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let model = Model::load(&world.path("m.safetensors")).unwrap();
    assert_eq!((model.bands.to_string().as_str(), model.pre_emphasis), ("mel:20:0-3000", 0.9));
    assert_eq!((model.parts.method(), model.sources[0].bases.dim()), ("sparse", (20, 4)));
    world.record("mono.wav", &[mix(5, 40_001)], RATE);
    world.record("stereo.wav", &[mix(5, 9_000), mix(6, 9_000)], RATE);
    world.record("high.wav", &[mix(7, 20_000)], 3 * RATE);
    // Its bands end at 2 kHz.
    world.record("low.wav", &[mix(8, 3_000)], RATE / 2);
    let separation = Separation { iterations: Some(10), ..Separation::default() };
    for name in ["mono", "stereo", "high", "low"] {
        let file = format!("{name}.wav");
        let output = world.separate(&[&file, "--format", "wav-f32"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let recording = world.read(&file);
        let stems = separate(&engine(), Some(&model), &recording, &separation, &mut go_on).unwrap();
        for stem in &stems {
            let written = world.read(&format!("out/{name}.{}.wav", stem.source));
            assert!(stem.recording.channels == written.channels, "{name}, {}", stem.source);
        }
        let stems: Vec<Recording> = stems.into_iter().map(|stem| stem.recording).collect();
        assert!(sum_error(&recording, &stems) < 1e-5, "{name}");
    }
    let stems = separate(&engine(), Some(&model), &world.read("mono.wav"), &separation, &mut go_on).unwrap();
    let double = |signal: &[f32]| signal.iter().map(|&sample| f64::from(sample)).collect::<Vec<_>>();
    let (truth, mixture) = (double(&tones(200.0, 40_001)), double(&mix(5, 40_001)));
    let gained = evaluate::snr(&truth, &double(&stems[0].recording.channels[0])) - evaluate::snr(&truth, &mixture);
    assert!(gained > 5.0, "{gained} dB");
}

#[test]
fn a_method_without_a_model_separates_in_memory() {
    let world = World::new();
    world.record("mix.wav", &[mix(5, 6_000)], RATE);
    let own = nmf2d::Separation { starts: Some(2), pitch_lags: Some(4), seed: 3, ..nmf2d::Separation::default() };
    let method = Some(SeparationMethod::Nmf2d(own));
    let separation = Separation { method, iterations: Some(5), ..Separation::default() };
    let mut shares = Vec::new();
    let mut note = |share: f64| {
        shares.push(share);
        Continue(())
    };
    let stems = separate(&engine(), None, &world.read("mix.wav"), &separation, &mut note).unwrap();
    assert_eq!(shares, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
    let mut stop = |share: f64| if share < 0.5 { Continue(()) } else { Break(()) };
    let cancelled = separate(&engine(), None, &world.read("mix.wav"), &separation, &mut stop);
    assert!(matches!(cancelled, Err(Error::Cancelled)));
    let job = ["separate", "mix.wav", "--method", "nmf2d", "--starts", "2", "--pitch-lags", "4", "--iterations", "5"];
    let output = world.run(&[&job[..], &["--seed", "3", "--format", "wav-f32", "-o", "out"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for stem in stems {
        assert!(world.read(&format!("out/mix.{}.wav", stem.source)).channels == stem.recording.channels);
    }
}

#[test]
fn a_callback_cancels() {
    let world = World::trained();
    let model = Model::load(&world.path("m.safetensors")).unwrap();
    let recording = Recording::new(vec![mix(5, 40_000), hiss(3, 40_000)], RATE).unwrap();
    let mut calls = 0;
    let mut stop = |share: f64| {
        calls += 1;
        if share > 0.3 { Break(()) } else { Continue(()) }
    };
    let cancelled = separate(&engine(), Some(&model), &recording, &Separation::default(), &mut stop);
    assert!(matches!(cancelled, Err(Error::Cancelled)));
    assert!(calls >= 1, "nothing was reported");
    let tones = recordings(&world, "tones");
    let training = Training { rank: 2.into(), ..Training::default() };
    let cancelled = train(&engine(), &[("tones", &tones)], &training, &mut |_| Break(()));
    assert!(matches!(cancelled, Err(Error::Cancelled)));
}

#[test]
fn recordings_that_no_file_could_hold_are_refused() {
    let world = World::trained();
    let model = Model::load(&world.path("m.safetensors")).unwrap();
    let recording = |channels| Recording { channels, sample_rate: RATE, warnings: Vec::new() };
    for (channels, reason) in [
        (vec![vec![]], "0 samples"),
        (vec![], "0 channels"),
        (vec![vec![0.0, f32::INFINITY]], "not finite"),
        (vec![vec![0.0], vec![0.0, 0.1]], "channels of 1 and of 2 samples"),
    ] {
        let refused = separate(&engine(), Some(&model), &recording(channels), &Separation::default(), &mut go_on);
        let error = refused.unwrap_err().to_string();
        assert!(error.starts_with("recording: ") && error.contains(reason), "{error}");
    }
    let none = separate(&engine(), None, &recording(vec![vec![0.1; 99]]), &Separation::default(), &mut go_on);
    assert!(none.unwrap_err().to_string().contains("no model"));
}
