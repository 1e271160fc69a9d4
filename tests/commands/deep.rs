//! Tests of learned costs and of denoising as a user runs them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::{Command, Stdio};

use crate::common::world::{RATE, World, json, refused, stderr, tones};
use partwise::methods::deep::noise::{impulsive, mixed};
use partwise::model::{Model, Parts};
use partwise::spectrogram::{Pad, Shape, Stft, StftParams};

const SMALL: [&str; 14] = [
    "--method",
    "deep",
    "--window",
    "128",
    "--components",
    "3",
    "--stacks",
    "6",
    "--truncation",
    "3",
    "--batch",
    "2",
    "--seconds",
    "0.4",
];
const CLEAN: [&str; 2] = ["--source", "clean=tones"];

fn train<'a>(output: &'a str, sources: &[&'a str], options: &[&'a str]) -> Vec<&'a str> {
    [&["train", "-o", output], sources, &SMALL, options].concat()
}

fn succeeds(world: &World, arguments: &[&str]) -> std::process::Output {
    let output = world.run(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    output
}

/// Tones in musical noise at −10 dB. Returns the noisy samples.
fn noisy(world: &World) -> Vec<f32> {
    let clean: Vec<f64> = tones(200.0, 12000).into_iter().map(f64::from).collect();
    let params = StftParams { window: 512, hop: 128, fft: 512, shape: Shape::Hamming, pad: Pad::Full };
    let noise = impulsive(&Stft::new(params).unwrap(), clean.len(), 3, "noise").unwrap();
    let (clean, sum) = mixed(&clean, &noise, -10.0);
    let [clean, sum] = [clean, sum].map(|samples| samples.into_iter().map(|x| x as f32).collect::<Vec<f32>>());
    world.record("noisy.wav", std::slice::from_ref(&sum), RATE);
    world.record("clean.wav", &[clean], RATE);
    sum
}

/// The SI-SDR of an estimate over that of the noisy recording.
fn gain(world: &World, estimate: &str) -> f64 {
    let scores = ["evaluate", "--json", "--reference", "clean.wav", "--estimate", estimate, "--mixture", "noisy.wav"];
    json(&world.run(&scores))["sources"][0]["improvement"]["si_sdr"].as_f64().unwrap_or(f64::NAN)
}

#[test]
fn denoising_takes_musical_noise_off_and_heavy_tails_do_it_better() {
    let world = World::new();
    noisy(&world);
    let by = |divergence: &str| {
        let out = divergence.replace(':', "-");
        succeeds(
            &world,
            &["denoise", "noisy.wav", "-o", &out, "--divergence", divergence, "--rank", "1", "--window", "512"],
        );
        assert_eq!(world.files(&out).iter().filter(|file| file.ends_with(".wav")).count(), 1);
        let name = format!("{out}/noisy.denoised.wav");
        assert_eq!(world.read(&name).channels[0].len(), 12000);
        gain(&world, &name)
    };
    let (t, ggd, is) = (by("t:0.73"), by("ggd:0.14"), by("is"));
    assert!(t > 4.0 && ggd > 4.0, "t {t}, ggd {ggd}");
    assert!(t > is + 2.0 && ggd > is + 2.0, "t {t}, ggd {ggd}, is {is}");
    // The default is t:0.73, and the job of `separate` has the same bytes.
    let options = ["--rank", "1", "--window", "512"];
    succeeds(&world, &[&["denoise", "noisy.wav", "-o", "usual"], &options[..]].concat());
    succeeds(&world, &[&["separate", "noisy.wav", "-o", "job", "--method", "denoise"], &options[..]].concat());
    let bytes = |folder: &str| std::fs::read(world.path(&format!("{folder}/noisy.denoised.wav"))).unwrap();
    assert!(bytes("usual") == bytes("t-0.73") && bytes("job") == bytes("usual"));
    // What is printed can be given back.
    let printed = succeeds(&world, &[&["denoise", "--print-config"], &options[..]].concat());
    assert_eq!((&json(&printed)["divergence"], &json(&printed)["rank"]), (&"t:0.73".into(), &1.into()));
    std::fs::write(world.path("job.json"), &printed.stdout).unwrap();
    succeeds(&world, &["denoise", "noisy.wav", "-o", "again", "--config", "job.json"]);
    assert!(bytes("again") == bytes("usual"));
}

#[test]
fn stereo_and_silence_come_out_whole_and_a_second_run_has_nothing_to_do() {
    let world = World::new();
    let noisy = noisy(&world);
    world.record("stereo.wav", &[noisy.clone(), noisy.iter().map(|x| -0.5 * x).collect()], RATE);
    world.record("silent.wav", &[vec![0.0; 5000]], RATE);
    let job = ["denoise", "stereo.wav", "silent.wav", "-o", "out", "--iterations", "20", "--json"];
    succeeds(&world, &job);
    let stereo = world.read("out/stereo.denoised.wav");
    assert_eq!((stereo.channels.len(), stereo.channels[1].len()), (2, 12000));
    // The channels have opposite signs, and so have their estimates.
    let product: f32 = stereo.channels[0].iter().zip(&stereo.channels[1]).map(|(a, b)| a * b).sum();
    assert!(product < -1e-3, "{product}");
    assert!(world.read("out/silent.denoised.wav").channels[0].iter().all(|&sample| sample == 0.0));
    let again = succeeds(&world, &[&job[..], &["--resume"]].concat());
    assert_eq!((json(&again)["resumed"].clone(), json(&again)["done"].clone()), (2.into(), 0.into()));
}

#[test]
fn a_cost_is_learned_kept_and_used() {
    let world = World::new();
    noisy(&world);
    for (phi, start) in [("t", "t:4"), ("ggd", "ggd:1.2"), ("network", "random")] {
        let options = ["--phi", phi, "--start", start, "--iterations", "8", "--json"];
        let output = succeeds(&world, &train(phi, &CLEAN, &options));
        let losses = json(&output)["sources"][0]["losses"].as_array().unwrap().len();
        assert_eq!(losses, 8, "{phi}");
        let model = Model::load(&world.path(phi)).unwrap();
        let Parts::Deep(learned) = &model.parts else { panic!("another part") };
        assert_eq!((model.sources.len(), learned.components, learned.curve.phi.to_string()), (0, 3, phi.into()));
        if let Some(number) = learned.curve.number() {
            assert!(number < if phi == "t" { 4.0 } else { 1.2 }, "{phi} went to {number}");
        }
        succeeds(&world, &["denoise", "noisy.wav", "-o", "out", "--model", phi, "--iterations", "20"]);
    }
    // A number of t is a divergence of its own.
    let model = Model::load(&world.path("t")).unwrap();
    let divergence = model.divergence.to_string();
    assert!(divergence.starts_with("t:"), "{divergence}");
    let read = |folder: &str| std::fs::read(world.path(&format!("{folder}/noisy.denoised.wav"))).unwrap();
    let of_model = ["denoise", "noisy.wav", "-o", "by-model", "--model", "t", "--iterations", "20"];
    succeeds(&world, &of_model);
    let window = ["--window", "128", "--window-shape", "sqrt-hann", "--rank", "3"];
    let by_name = ["denoise", "noisy.wav", "-o", "by-name", "--divergence", &divergence, "--iterations", "20"];
    succeeds(&world, &[&by_name[..], &window].concat());
    assert!(read("by-model") == read("by-name"));
}

#[test]
fn sources_are_separated_by_a_cost_that_was_learned_from_them() {
    let world = World::trained();
    let sources = ["--source", "tones=tones", "--source", "hiss=hiss"];
    let options = ["--task", "separate", "--phi", "network", "--iterations", "3"];
    succeeds(&world, &train("deep", &sources, &options));
    let mix: Vec<f32> = crate::common::world::mix(9, 8000);
    world.record("mix.wav", &[mix], RATE);
    succeeds(&world, &["separate", "mix.wav", "--model", "deep", "-o", "out"]);
    let parts = ["tones", "hiss"].map(|source| world.read(&format!("out/mix.{source}.wav")));
    assert!(crate::common::world::sum_error(&world.read("mix.wav"), &parts) <= 1e-5);
    let model = Model::load(&world.path("deep")).unwrap();
    assert_eq!((model.names(), model.divergence.to_string()), (vec!["tones", "hiss"], "learned".to_string()));
    refused(&world.run(&["denoise", "mix.wav", "-o", "no", "--model", "deep"]), 2, &["not to denoise"]);
}

#[test]
fn a_training_that_was_killed_goes_on_from_its_state() {
    let world = World::new();
    let options = ["--phi", "network", "--iterations", "40", "--state-every", "0"];
    succeeds(&world, &train("whole", &CLEAN, &options));
    let mut kills = 0;
    while !world.path("part").exists() {
        let mut command = Command::new(env!("CARGO_BIN_EXE_partwise"));
        command
            .current_dir(world.folder.path())
            .args(train("part", &CLEAN, &options))
            .args(["--resume", "--engine", "cpu"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let state = || std::fs::metadata(world.path("part.state")).and_then(|file| file.modified()).ok();
        let before = state();
        while state() == before && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        if kills < 3 {
            child.kill().unwrap();
            kills += 1;
        }
        child.wait().unwrap();
    }
    let bytes = |name: &str| std::fs::read(world.path(name)).unwrap();
    assert!(bytes("part") == bytes("whole") && !world.path("part.state").exists());
}

#[test]
fn input_that_cannot_be_used_is_refused_in_one_line() {
    let world = World::trained();
    world.record("short/a.wav", &[tones(200.0, 100)], RATE);
    let run = |sources: &[&str], options: &[&str]| world.run(&train("bad", sources, options));
    for (options, reason) in [
        (["--start", "t:0"], "ν must be between"),
        (["--start", "kl"], "use random, t:N or ggd:B"),
        (["--phi", "gauss"], "use t, ggd or network"),
        (["--task", "sing"], "use denoise or separate"),
        (["--clip", "0"], "--clip 0: must be above 0"),
        (["--learning-rate", "0"], "--learning-rate 0: must be above 0"),
        (["--snr", "100"], "--snr 100: must be between"),
        (["--divergence", "t:1"], "--divergence t:1: the method deep learns it"),
        (["--rank", "3"], "--rank"),
        (["--sparsity", "1"], "--sparsity 1: the method deep has none"),
    ] {
        refused(&run(&CLEAN, &options), 2, &[reason]);
    }
    refused(&run(&CLEAN, &["--phi", "t", "--start", "ggd:1"]), 2, &["--start ggd:1: does not go with phi t"]);
    refused(&run(&["--source", "clean=short"], &[]), 2, &["shorter than a window of 128"]);
    world.record("silent/a.wav", &[vec![0.0; 4000]], RATE);
    refused(&run(&["--source", "clean=silent"], &[]), 2, &["'clean': its recordings are silent"]);
    refused(&run(&CLEAN, &["--task", "separate"]), 2, &["at least two"]);
    refused(&run(&["--source", "tones=tones", "--source", "hiss=hiss"], &[]), 2, &["2 sources to denoise"]);
    let denoise = |options: &[&str]| world.run(&[&["denoise", "tones/a.wav", "-o", "out"], options].concat());
    for (options, reason) in [
        (["--divergence", "t:-1"], "ν must be between 0.001 and 1000000"),
        (["--divergence", "ggd:2.5"], "β must be between 0.01 and 2"),
        (["--rank", "0"], "--rank 0: use 1 to 4096"),
        (["--model", "m.safetensors"], "trained with the method nmf, and not to denoise"),
    ] {
        refused(&denoise(&options), 2, &[reason]);
    }
    succeeds(&world, &train("cost", &CLEAN, &["--iterations", "1"]));
    let separate = world.run(&["separate", "tones/a.wav", "-o", "out", "--model", "cost"]);
    refused(&separate, 2, &["was learned to denoise; use `partwise denoise`"]);
}

#[test]
fn a_training_whose_cost_leaves_its_range_ends_at_the_last_good_one() {
    let world = World::new();
    // Steps of 3 soon leave the range of β.
    let output =
        world.run(&train("m", &CLEAN, &["--phi", "ggd", "--learning-rate", "3", "--iterations", "50", "--json"]));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("the training ended early"), "{}", stderr(&output));
    let summary = json(&output);
    assert!(summary["sources"][0]["stopped"].as_str().unwrap().contains("cannot be used"));
    let steps = summary["sources"][0]["losses"].as_array().unwrap().len();
    assert!(steps < 50, "{steps}");
    Model::load(&world.path("m")).unwrap();
}
