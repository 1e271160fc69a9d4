//! Tests of separation without a model by the built program: patterns found in the recording, and patterns from
//! one-shots.

use crate::common::world::{RATE, World, hiss, json, refused, stderr, sum_error, tones};
use partwise::audio::Recording;
use partwise::evaluate::{Mean, si_sdr};

/// Decaying notes of `length` samples, each with its pitch in Hz.
fn melody(pitches: &[f32], length: usize) -> Vec<f32> {
    let note = |&pitch: &f32| {
        let tone = tones(pitch, length).into_iter().enumerate();
        tone.map(move |(n, x)| x * (-4.0 * n as f32 / length as f32).exp()).collect::<Vec<_>>()
    };
    pitches.iter().flat_map(note).collect()
}

/// A stroke repeated at the given samples.
fn strokes(stroke: &[f32], at: &[usize], samples: usize) -> Vec<f32> {
    let mut track = vec![0.0; samples];
    for &start in at {
        track[start..].iter_mut().zip(stroke).for_each(|(x, s)| *x += s);
    }
    track
}

fn kick() -> Vec<f32> {
    (0..2400).map(|n| 0.6 * (n as f32 * 0.05).sin() * (-(n as f32) / 600.0).exp()).collect()
}

fn snare() -> Vec<f32> {
    hiss(7, 2400).iter().enumerate().map(|(n, x)| 1.5 * x * (-(n as f32) / 400.0).exp()).collect()
}

fn sum(parts: &[Vec<f32>]) -> Vec<f32> {
    (0..parts[0].len()).map(|n| parts.iter().map(|part| part[n]).sum()).collect()
}

/// How much closer to a source the estimate is than the mixture, in dB.
fn gain(source: &[f32], estimate: &Recording, mixture: &[f32]) -> f64 {
    let double = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    let of = |x: &[f32]| si_sdr(&double(source), &double(x), Mean::Kept);
    of(&estimate.channels[0]) - of(mixture)
}

const BLIND: [&str; 10] =
    ["--method", "nmf2d", "--time-lags", "3", "--pitch-lags", "10", "--starts", "3", "--iterations", "60"];

#[test]
fn two_melodies_are_separated() {
    let world = World::new();
    let low = melody(&[110.0, 130.8, 123.5, 110.0, 130.8, 123.5], 3000);
    let high: Vec<f32> = strokes(&snare(), &[700, 4400, 9200, 13_900], 18_000).iter().map(|x| 0.2 * x).collect();
    let mixture = sum(&[low.clone(), high.clone()]);
    let other: Vec<f32> = low.iter().zip(&high).map(|(a, b)| 0.3 * a + 0.9 * b).collect();
    world.record("mix.wav", &[mixture.clone(), other], RATE);
    world.record("mono.wav", std::slice::from_ref(&mixture), 2 * RATE);
    let run = |out: &str, options: &[&str]| {
        let output =
            world.run(&[&["separate", "mix.wav", "mono.wav", "-o", out, "--json"], &BLIND[..], options].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        json(&output)
    };
    let summary = run("out", &[]);
    let names = ["mix.source1.wav", "mix.source2.wav", "mono.source1.wav", "mono.source2.wav"];
    assert_eq!(world.files("out"), [&["manifest.jsonl"], &names[..]].concat());
    for name in ["mix", "mono"] {
        let input = world.read(&format!("{name}.wav"));
        let sources = [1, 2].map(|source| world.read(&format!("out/{name}.source{source}.wav")));
        for source in &sources {
            let shape = |r: &Recording| (r.channels.len(), r.frames(), r.sample_rate);
            assert_eq!(shape(source), shape(&input), "{name}");
        }
        assert!(sum_error(&input, &sources) < 1e-5, "{name}");
    }
    // The loudest source is the first, in both channels, for any seed.
    let first = world.read("out/mix.source1.wav");
    let found = gain(&low, &first, &mixture);
    assert!(found > 5.0, "{found} dB");

    // The manifest records the parameters.
    let parameters = &summary["results"][0]["parameters"];
    assert_eq!((&parameters["method"], &parameters["pitch_lags"]), (&"nmf2d".into(), &10.into()));
    assert_eq!((&parameters["starts"], &parameters["mask"]), (&3.into(), &"ratio:2".into()));

    // No byte depends on the threads or on other inputs; another seed changes the result.
    run("threads", &["--threads", "1"]);
    let bytes = |out: &str, name: &str| std::fs::read(world.path(&format!("{out}/{name}"))).unwrap();
    let alone = world.run(&[&["separate", "mono.wav", "-o", "alone"], &BLIND[..]].concat());
    assert_eq!(alone.status.code(), Some(0), "{}", stderr(&alone));
    for name in names {
        assert!(bytes("out", name) == bytes("threads", name), "{name}");
        assert!(name.starts_with("mix") || bytes("out", name) == bytes("alone", name), "{name}");
    }
    assert_eq!(run("out", &["--resume"])["resumed"], 2);
    assert_eq!(run("out", &["--resume", "--seed", "5"])["resumed"], 0);
    assert!(bytes("out", names[0]) != bytes("threads", names[0]));
    assert_eq!(run("out", &["--resume", "--seed", "5", "--sparsity", "0.5"])["resumed"], 0);
}

#[test]
fn drums_are_separated_with_one_shots() {
    let world = World::new();
    world.record("shots/kick.wav", &[kick()], RATE);
    world.record("shots/snare.wav", &[snare()], RATE);
    let kicks = strokes(&kick(), &[100, 6000, 9100, 12_200], 16_000);
    let snares = strokes(&snare(), &[3000, 6300, 12_200], 16_000);
    let mixture = sum(&[kicks.clone(), snares.clone()]);
    world.record("mix.wav", std::slice::from_ref(&mixture), RATE);
    let run = |out: &str, options: &[&str]| {
        let shots = ["--init-bases", "kick=shots/kick.wav", "snare=shots/snare.wav", "--window", "256"];
        let output =
            world.run(&[&["separate", "mix.wav", "-o", out, "--method", "nmf2d"], &shots[..], options].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let gains = [("kick", &kicks), ("snare", &snares)]
            .map(|(name, source)| gain(source, &world.read(&format!("{out}/mix.{name}.wav")), &mixture));
        assert!(gains.iter().all(|&gain| gain > 6.0), "{out}: {gains:?}");
        gains
    };
    let gains = run("out", &[]);
    // With few lags per pattern, a stroke gets as many patterns as it needs.
    run("short", &["--time-lags", "5"]);
    let adapted = run("adapted", &["--adapt", "--iterations", "20"]);
    assert_ne!(gains, adapted);
}

#[test]
fn conflicting_options_are_refused() {
    let world = World::trained();
    world.record("mix.wav", &[tones(200.0, 4000)], RATE);
    world.record("silent.wav", &[vec![0.0; 900]], RATE);
    let run = |options: &[&str]| world.run(&[&["separate", "mix.wav", "-o", "out"], options].concat());
    let blind = |options: &[&str]| run(&[&["--method", "nmf2d"], options].concat());
    for (options, parts) in [
        (&["--sources", "0"][..], ["--sources 0", "use 1 to"]),
        (&["--pitch-lags", "0"], ["--pitch-lags 0", "use 1 to"]),
        (&["--starts", "100000"], ["--starts 100000", "use 1 to"]),
        (&["--sparsity=-1"], ["sparsity", "-1"]),
        (&["--prior-weight", "1"], ["--prior-weight is an option of the method gain-prior", "nmf2d"]),
        (&["--updates", "alternating"], ["--updates alternating", "method nmf2d"]),
        (&["--tolerance", "0.1"], ["--tolerance 0.1", "method nmf2d"]),
        (&["--init-bases", "kick"], ["--init-bases kick", "NAME=PATH"]),
        (&["--init-bases", "a=mix.wav", "--sources", "2"], ["--sources 2", "--init-bases"]),
        (&["--init-bases", "a=mix.wav", "--starts", "2"], ["--starts 2", "--init-bases"]),
        (&["--init-bases", "a=silent.wav"], ["source 'a'", "silent"]),
        (&["--init-bases", "a=absent.wav"], ["absent.wav: there is no such file", "source 'a'"]),
        (&["--only", "kick"], ["--only kick", "source1, source2"]),
    ] {
        refused(&blind(options), 2, &parts);
    }
    // An error that depends on the recording fails that recording.
    let output = blind(&["--bands", "log:24:50-8000"]);
    refused(&output, 2, &["1 of 1 inputs cannot be used"]);
    assert!(
        stderr(&output).contains("mix.wav: bands up to 8000 Hz do not fit a sample rate of 8000"),
        "{}",
        stderr(&output)
    );
    refused(&blind(&["--memory", "1K"]), 2, &["1 of 1 inputs cannot be used"]);

    for option in [["--sources", "2"], ["--method", "nmf2d"]] {
        let output = run(&[&["--model", "m.safetensors"][..], &option].concat());
        refused(&output, 2, &["method nmf2d", "takes no model"]);
    }
    let output = run(&["--model", "m.safetensors", "--window", "256"]);
    refused(&output, 2, &["--window is an option of the methods nmf2d and denoise; name one as method"]);
    refused(&run(&[]), 2, &["--model", "--method nmf2d"]);
    assert!(world.files("out").iter().all(|name| name == "manifest.jsonl"));
}
