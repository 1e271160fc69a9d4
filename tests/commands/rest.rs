//! Tests of sources that nobody recorded alone, of residuals, and of models that come with the program, as a user runs them.

use crate::common::world::{RATE, World, hiss, json, refused, stderr, sum_error, tones};

/// A world with a mixture in two channels, its sources, and models of the tones alone and of both sources. The tones stop now and
/// then, as speech does, so that the hiss can be heard by itself.
fn world() -> World {
    let world = World::new();
    let gated = |(n, tone): (usize, f32)| if n / 1000 % 2 == 0 { tone } else { 0.0 };
    let (tones, hiss) = (tones(200.0, 9000).into_iter().enumerate().map(gated).collect::<Vec<f32>>(), hiss(5, 9000));
    let mix: Vec<f32> = tones.iter().zip(&hiss).map(|(tone, hiss)| tone + hiss).collect();
    world.record("mix.wav", std::slice::from_ref(&mix), RATE);
    world.record("inputs/a.wav", &[mix.clone(), tones.clone()], RATE);
    world.record("inputs/b.wav", std::slice::from_ref(&mix), RATE);
    world.record("other.wav", &[mix], RATE * 3 / 2);
    world.record("true/tones.wav", &[tones], RATE);
    world.record("true/hiss.wav", &[hiss], RATE);
    for (name, sources) in [("one", &["tones=tones"][..]), ("both", &["tones=tones", "--source", "hiss=hiss"])] {
        let words = [&["train", "-o", name, "--window", "256", "--rank", "8", "--engine", "cpu", "--source"], sources];
        done(&world, &words.concat());
    }
    world
}

fn done(world: &World, words: &[&str]) {
    let output = world.run(words);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {}", stderr(&output));
}

fn separate(world: &World, input: &str, out: &str, options: &[&str]) {
    done(world, &[&["separate", input, "-o", out, "--engine", "cpu"], options].concat());
}

/// The gain of a stem in SI-SDR, in dB.
fn gain(world: &World, truth: &str, stem: &str) -> f64 {
    let scores = ["evaluate", "--json", "--reference", truth, "--estimate", stem, "--mixture", "mix.wav"];
    json(&world.run(&scores))["sources"][0]["improvement"]["si_sdr"].as_f64().unwrap_or(f64::NAN)
}

#[test]
fn a_rest_is_learned_from_each_channel_of_each_recording() {
    let world = world();
    separate(&world, "mix.wav", "out", &["--model", "one", "--rest", "4:hiss", "--format", "wav-f32"]);
    let stems = ["tones", "hiss"].map(|source| world.read(&format!("out/mix.{source}.wav")));
    assert!(sum_error(&world.read("mix.wav"), &stems) <= 1e-5);
    for source in ["tones", "hiss"] {
        let gain = gain(&world, &format!("true/{source}.wav"), &format!("out/mix.{source}.wav"));
        assert!(gain > 5.0, "{gain} dB for {source}");
    }
    // In company, and beside another channel, a recording has the same bytes as alone.
    separate(&world, "inputs", "together", &["--model", "one", "--rest", "4:hiss", "--format", "wav-f32"]);
    let bytes = |path: &str| std::fs::read(world.path(path)).unwrap();
    assert!(bytes("out/mix.tones.wav") == bytes("together/b.tones.wav"));
    let [alone, beside] = ["out/mix.tones.wav", "together/a.tones.wav"].map(|path| world.read(path).channels);
    assert_eq!(alone[0], beside[0]);
    // Other seeds start elsewhere, and --rest without a name is called rest.
    separate(&world, "mix.wav", "seed", &["--model", "one", "--rest", "4", "--seed", "3", "--format", "wav-f32"]);
    assert!(bytes("out/mix.tones.wav") != bytes("seed/mix.tones.wav") && world.path("seed/mix.rest.wav").exists());
    // Beside both sources there is little left to learn.
    separate(&world, "mix.wav", "third", &["--model", "both", "--rest", "1", "--format", "wav-f32"]);
    let third = ["tones", "hiss", "rest"].map(|source| world.read(&format!("third/mix.{source}.wav")));
    assert!(sum_error(&world.read("mix.wav"), &third) <= 1e-5);
}

#[test]
fn a_silent_recording_gives_silent_stems() {
    let world = world();
    world.record("silent.wav", &[vec![0.0; 6000]], RATE);
    separate(&world, "silent.wav", "out", &["--model", "one", "--rest", "4"]);
    for source in ["tones", "rest"] {
        assert!(world.read(&format!("out/silent.{source}.wav")).channels.iter().flatten().all(|&sample| sample == 0.0));
    }
}

#[test]
fn a_residual_is_the_recording_minus_what_is_written() {
    let world = world();
    for (input, format) in [("mix", "wav-f32"), ("mix", "wav-pcm16"), ("other", "wav-pcm16")] {
        let out = format!("{input}-{format}");
        let path = format!("{input}.wav");
        separate(&world, &path, &out, &["--model", "both", "--only", "tones", "--residual", "--format", format]);
        let mut files = world.files(&out);
        files.sort();
        assert_eq!(files, ["manifest.jsonl".into(), format!("{input}.residual.wav"), format!("{input}.tones.wav")]);
        let (mix, stems) =
            (world.read(&path), ["tones", "residual"].map(|source| world.read(&format!("{out}/{input}.{source}.wav"))));
        let (error, step) =
            (sum_error(&mix, &stems) * mix.peak(), if format == "wav-f32" { 1e-6 } else { 0.51 / 32768.0 });
        assert!(error <= step, "{out}: {error}");
    }
    // It is what the other sources have, and the written stem is the one of a job without it.
    separate(&world, "mix.wav", "all", &["--model", "both", "--format", "wav-f32"]);
    let [hiss, residual] = ["all/mix.hiss.wav", "mix-wav-f32/mix.residual.wav"].map(|path| world.read(path).channels);
    assert!(hiss[0].iter().zip(&residual[0]).all(|(a, b)| (a - b).abs() < 1e-5));
    let bytes = |path: &str| std::fs::read(world.path(path)).unwrap();
    assert!(bytes("all/mix.tones.wav") == bytes("mix-wav-f32/mix.tones.wav"));
    // What denoising takes off.
    done(&world, &["denoise", "mix.wav", "-o", "clean", "--residual", "--iterations", "3", "--engine", "cpu"]);
    let stems = ["denoised", "residual"].map(|source| world.read(&format!("clean/mix.{source}.wav")));
    let mix = world.read("mix.wav");
    assert!(sum_error(&mix, &stems) * mix.peak() <= 0.51 / 32768.0);
}

#[test]
fn options_that_cannot_be_used_are_refused() {
    let world = world();
    done(
        &world,
        &["train", "-o", "named", "--window", "256", "--rank", "2", "--engine", "cpu", "--source", "rest=tones"],
    );
    for (options, expected) in [
        (&["--model", "one"][..], &["one source, 'tones'", "--rest 10"][..]),
        (&["--model", "one", "--rest", "0"], &["--rest 0", "10:noise"]),
        (&["--model", "one", "--rest", "4:tones"], &["--rest 4:tones", "has a source of this name"]),
        (&["--model", "named", "--rest", "4"], &["--rest 4:rest", "has a source of this name"]),
        (&["--model", "one", "--rest", "4:a/b"], &["--rest 4:a/b", "does not fit"]),
        (&["--model", "one", "--rest", "4", "--updates", "extrapolated"], &["--updates extrapolated", "rest"]),
        (&["--model", "both", "--residual"], &["--residual: all sources sum to the recording", "only"]),
        (&["--rest", "4"], &["--method", "rest", "needs a model"]),
    ] {
        refused(&world.run(&[&["separate", "mix.wav", "-o", "out", "--engine", "cpu"], options].concat()), 2, expected);
    }
}

#[test]
fn models_come_with_the_program() {
    let world = world();
    let listed = json(&world.run(&["models", "--json"]));
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"speech+noise") && names.contains(&"speech"), "{names:?}");
    let card = world.run(&["models", "speech"]);
    assert!(String::from_utf8_lossy(&card.stdout).contains("LibriSpeech"));
    separate(&world, "mix.wav", "out", &["--model", "speech+noise", "--format", "wav-f32"]);
    let stems = ["speech", "noise"].map(|source| world.read(&format!("out/mix.{source}.wav")));
    assert!(sum_error(&world.read("mix.wav"), &stems) <= 1e-5);
    // A file of the same name goes before it.
    std::fs::copy(world.path("both"), world.path("speech")).unwrap();
    separate(&world, "mix.wav", "mine", &["--model", "speech"]);
    assert!(world.path("mine/mix.tones.wav").exists());
    refused(&world.run(&["models", "speach"]), 2, &["speach", "partwise models"]);
    refused(
        &world.run(&["separate", "mix.wav", "--model", "speach", "-o", "out"]),
        2,
        &["speach", "speech+noise, speech+piano"],
    );
}
