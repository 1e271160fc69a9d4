//! Tests of the built program as a user runs it: its files, its messages, its exit status.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::world::{
    RATE, SCORING, TRAINING, World, hiss, json, mix, refused, stderr, stdout, sum_error, tones,
};
use ndarray::{Array1, Array2, Array3};
use ndarray_npy::{NpzReader, NpzWriter};
use partwise::audio::{self, Format, Recording};
use partwise::kernels::Lags;
use partwise::methods::nmf2d::random_start;
use partwise::random::Stream;

#[test]
fn train_separate_evaluate_from_end_to_end() {
    let world = World::trained();
    world.record("mix.wav", &[mix(5, 7001)], RATE);
    world.record("true/tones.wav", &[tones(200.0, 7001)], RATE);
    world.record("true/hiss.wav", &[hiss(5, 7001)], RATE);
    let output = world.separate(&["mix.wav", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(world.files("out"), ["manifest.jsonl", "mix.hiss.wav", "mix.tones.wav"]);
    let sources = [world.read("out/mix.tones.wav"), world.read("out/mix.hiss.wav")];
    assert!(sources.iter().all(|source| source.frames() == 7001 && source.sample_rate == RATE));
    assert!(sum_error(&world.read("mix.wav"), &sources) <= 1e-5);

    let report = &json(&output)["results"][0];
    let line = std::fs::read_to_string(world.path("out/manifest.jsonl")).unwrap();
    assert_eq!(*report, serde_json::from_str::<serde_json::Value>(&line).unwrap());
    assert_eq!((&report["status"], &report["iterations"]), (&"done".into(), &10.into()));
    assert_eq!(report["hash"].as_str().unwrap().len(), 64);
    assert!(report["objective"].as_f64().unwrap() > 0.0 && report["seconds"].as_f64().unwrap() > 0.87);

    let output = world.run(&SCORING);
    let scores = json(&output);
    for source in 0..2 {
        let gain = scores["sources"][source]["improvement"]["sdr"].as_f64().unwrap();
        assert!(gain > 5.0, "{gain} dB for source {source}");
    }
    let swapped = [
        "evaluate",
        "--json",
        "--permute",
        "--reference",
        "true/hiss.wav",
        "true/tones.wav",
        "--estimate",
        "out/mix.tones.wav",
        "out/mix.hiss.wav",
    ];
    assert_eq!(json(&world.run(&swapped))["sources"][0]["estimate"], 1);
}

#[test]
fn results_do_not_depend_on_batch_order_threads_or_run() {
    let world = World::trained();
    let names: Vec<String> = (0..5).map(|i| format!("m{i}.wav")).collect();
    for (i, name) in names.iter().enumerate() {
        world.record(name, &[mix(i as u64, 900 + 1777 * i)], RATE);
    }
    let bytes = |out: &str, source: &str| std::fs::read(world.path(out).join(format!("m3.{source}.wav"))).unwrap();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let reversed: Vec<&str> = all.iter().rev().copied().collect();
    world.separate(&all);
    for (out, inputs, threads) in [("o1", &all[..], "3"), ("o2", &reversed[..], "1"), ("o3", &["m3.wav"][..], "2")] {
        let output = world.run(
            &[&["separate", "--model", "m.safetensors", "-o", out, "--iterations", "10", "--threads", threads], inputs]
                .concat(),
        );
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        for source in ["tones", "hiss"] {
            assert_eq!(bytes(out, source), bytes("out", source), "{out}, {source}");
        }
    }
    let train = |options: &[&str]| world.run(&[&["train"], options, &TRAINING, &["--threads", "1"]].concat());
    train(&["--source", "hiss=hiss", "tones=tones/b.wav", "tones/a.wav", "-o", "n.safetensors"]);
    let again = ["--source", "hiss=hiss", "--source", "tones=tones", "-o", "o.safetensors"];
    train(&again);
    let model = |name: &str| std::fs::read(world.path(name)).unwrap();
    assert_eq!(model("n.safetensors"), model("o.safetensors"), "the order of training files");
    train(&[&again[..], &["--seed", "1"]].concat());
    assert_ne!(model("n.safetensors"), model("o.safetensors"), "the seed");
}

#[test]
fn scaling_the_input_scales_the_outputs() {
    let world = World::trained();
    let loud = mix(9, 5000);
    for (name, gain) in [("loud.wav", 1.0), ("quiet.wav", 1e-3), ("faint.wav", 1e-9)] {
        world.record(name, &[loud.iter().map(|x| x * gain).collect()], RATE);
    }
    // IS on powers reaches the floors first: 1e-9 squared is far below them.
    let is = ["train", "--divergence", "is", "--source", "tones=tones", "--source", "hiss=hiss", "--rank", "4"];
    world.run(&[&is[..], &["--iterations", "20", "-o", "is.safetensors"]].concat());
    for model in ["m.safetensors", "is.safetensors"] {
        let job =
            ["separate", "loud.wav", "quiet.wav", "faint.wav", "--iterations", "10", "-o", "out", "--model", model];
        let output = world.run(&job);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        for (name, gain) in [("quiet", 1e-3), ("faint", 1e-9)] {
            for source in ["tones", "hiss"] {
                let read = |name: &str| world.read(&format!("out/{name}.{source}.wav"));
                let (a, b) = (read("loud"), read(name));
                let differences = a.channels[0].iter().zip(&b.channels[0]).map(|(a, b)| (a - b / gain).abs());
                let worst = differences.fold(0.0, f32::max);
                assert!(worst <= 1e-4 * a.peak(), "{model}, {name}, {source}: {worst}");
            }
        }
    }
}

#[test]
fn recordings_are_separated_under_densities() {
    let world = World::trained();
    let (first, second) = (tones(200.0, 9001), hiss(5, 9001));
    world.record("mix.wav", &[mix(5, 9001)], RATE);
    for (divergence, updates) in [("t:0.73", "extrapolated"), ("ggd:0.5", "alternating"), ("t:0.73", "joint")] {
        let train = ["train", "--source", "tones=tones", "--source", "hiss=hiss", "--rank", "4", "-o", "d.safetensors"];
        let options = ["--divergence", divergence, "--updates", updates, "--tolerance", "1e-3"];
        let output = world.run(&[&train[..], &options].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let separate = ["separate", "mix.wav", "--model", "d.safetensors", "-o", "out", "--json"];
        let output = world.run(&separate);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(json(&output)["results"][0]["objective"].as_f64().unwrap().is_finite());
        let estimate = world.read("out/mix.tones.wav");
        let error: f32 = estimate.channels[0].iter().zip(&first).map(|(a, b)| (a - b) * (a - b)).sum();
        let noise: f32 = second.iter().map(|b| b * b).sum();
        assert!(error < 0.3 * noise, "{divergence}, {updates}: {error} of {noise}");
    }
}

#[test]
fn outputs_have_the_length_rate_and_channels_of_the_input() {
    let world = World::trained();
    let mut cases: Vec<(String, usize, usize, u32)> = Vec::new();
    for (samples, channels, rate) in [
        (1, 1, RATE),
        (137, 1, RATE),
        (2000, 2, RATE),
        (1500, 6, RATE),
        (4001, 1, 11025),
        (6007, 2, 16000),
        (3001, 1, 4000),
        (1, 1, 44100),
        (300, 1, 4000),
    ] {
        let name = format!("{samples}-{channels}-{rate}.wav");
        let channel = |c: usize| mix(c as u64, samples);
        world.record(&name, &(0..channels).map(channel).collect::<Vec<_>>(), rate);
        cases.push((name, samples, channels, rate));
    }
    let names: Vec<&str> = cases.iter().map(|(name, ..)| name.as_str()).collect();
    let output = world.separate(&names);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for (name, samples, channels, rate) in &cases {
        let stem = name.trim_end_matches(".wav");
        let sources = ["tones", "hiss"].map(|source| world.read(&format!("out/{stem}.{source}.wav")));
        for source in &sources {
            assert_eq!(
                (source.frames(), source.channels.len(), source.sample_rate),
                (*samples, *channels, *rate),
                "{name}"
            );
        }
        let error = sum_error(&world.read(name), &sources);
        assert!(error <= 1e-5, "{name}: {error}");
    }
    // Each channel is separated by its own spectrogram: a silent one stays silent, and equal ones stay equal.
    world.record("lr.wav", &[mix(3, 3000), vec![0.0; 3000], mix(3, 3000)], RATE);
    world.separate(&["lr.wav"]);
    let channels = world.read("out/lr.tones.wav").channels;
    assert!(channels[1].iter().all(|&x| x == 0.0) && channels[0].iter().any(|&x| x != 0.0));
    assert_eq!(channels[0], channels[2]);
    world.record("l.wav", &[tones(310.0, 3000)], RATE);
    world.record("r.wav", &[hiss(4, 3000)], RATE);
    world.record("both.wav", &[tones(310.0, 3000), hiss(4, 3000)], RATE);
    world.separate(&["l.wav", "r.wav", "both.wav"]);
    for (channel, name) in ["l", "r"].into_iter().enumerate() {
        let (alone, both) = (world.read(&format!("out/{name}.tones.wav")), world.read("out/both.tones.wav"));
        let differences = alone.channels[0].iter().zip(&both.channels[channel]).map(|(a, b)| (a - b).abs());
        assert!(differences.fold(0.0, f32::max) < 1e-4, "channel {channel} is not what it is alone");
    }
}

/// In a recording at half the model's rate, the upper half of the bins is empty. IS must not weight them.
#[test]
fn a_recording_at_a_lower_rate_is_separated_by_its_nonempty_bins() {
    let world = World::new();
    let is = ["train", "--divergence", "is", "--source", "tones=tones", "--source", "hiss=hiss", "--rank", "4"];
    world.run(&[&is[..], &["--window", "256", "--iterations", "20", "-o", "m.safetensors"]].concat());
    // At half the rate, a tone of 200 Hz has the samples of one of 400 Hz.
    let (truth, noise) = (tones(400.0, 4000), hiss(8, 4000));
    world.record("low.wav", &[truth.iter().zip(&noise).map(|(a, b)| a + b).collect()], RATE / 2);
    world.separate(&["low.wav"]);
    let wide = |samples: &[f32]| samples.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    let estimate = wide(&world.read("out/low.tones.wav").channels[0]);
    let (truth, mixture) = (wide(&truth), wide(&world.read("low.wav").channels[0]));
    let gain = partwise::evaluate::snr(&truth, &estimate) - partwise::evaluate::snr(&truth, &mixture);
    assert!(gain > 7.0, "{gain} dB");
}

#[test]
fn masks_formats_names_and_only() {
    let world = World::trained();
    world.record("in/x.wav", &[mix(2, 3000)], RATE);
    world.record("in/deep/x.wav", &[mix(3, 2000)], RATE);
    let output = world.separate(&["in", "--mask", "hard", "--format", "flac", "--name", "{source}_{stem}.{ext}"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        world.files("out"),
        ["deep/hiss_x.flac", "deep/tones_x.flac", "hiss_x.flac", "manifest.jsonl", "tones_x.flac"]
    );
    assert_eq!(world.read("out/deep/hiss_x.flac").frames(), 2000);
    let output = world.run(&[
        "separate",
        "in/x.wav",
        "--model",
        "m.safetensors",
        "-o",
        "only",
        "--only",
        "hiss",
        "--mask",
        "ratio:0.5",
        "--format",
        "wav-pcm16",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(world.files("only"), ["manifest.jsonl", "x.hiss.wav"]);
    // At another sample rate all sources are needed to compute the remainder, but only one is written.
    world.record("y.wav", &[mix(2, 3000)], 11025);
    world.separate(&["y.wav"]);
    world.run(&["separate", "y.wav", "--model", "m.safetensors", "-o", "only", "--only", "hiss", "--iterations", "10"]);
    assert_eq!(
        std::fs::read(world.path("only/y.hiss.wav")).unwrap(),
        std::fs::read(world.path("out/y.hiss.wav")).unwrap()
    );
}

#[test]
fn one_bad_file_among_many_fails_alone() {
    let world = World::trained();
    world.record("a.wav", &[mix(1, 2000)], RATE);
    world.record("z.wav", &[mix(2, 2000)], RATE);
    world.record("empty.wav", &[vec![]], RATE);
    std::fs::write(world.path("text.wav"), "this is no audio at all").unwrap();
    let output = world.separate(&["a.wav", "text.wav", "absent.wav", "empty.wav", "z.wav", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(world.files("out"), ["a.hiss.wav", "a.tones.wav", "manifest.jsonl", "z.hiss.wav", "z.tones.wav"]);
    for name in ["text.wav", "absent.wav", "empty.wav"] {
        assert_eq!(stderr(&output).lines().filter(|line| line.contains(name)).count(), 1, "{}", stderr(&output));
    }
    let manifest = std::fs::read_to_string(world.path("out/manifest.jsonl")).unwrap();
    let failed: Vec<serde_json::Value> = manifest
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &serde_json::Value| line["status"] == "failed")
        .collect();
    assert_eq!((manifest.lines().count(), failed.len()), (5, 3));
    assert!(failed.iter().all(|line| line["error"].as_str().unwrap().contains(line["input"].as_str().unwrap())));

    let output = world.run(&[
        "separate",
        "text.wav",
        "a.wav",
        "--model",
        "m.safetensors",
        "-o",
        "stop",
        "--on-error",
        "stop",
        "--threads",
        "1",
    ]);
    assert_eq!(world.files("stop"), ["manifest.jsonl"]);
    refused(&output, 2, &["1 of 2 inputs"]);
}

#[test]
fn a_list_may_come_from_standard_input() {
    let world = World::trained();
    world.record("a.wav", &[mix(1, 2000)], RATE);
    world.record("odd\nname.wav", &[mix(2, 2000)], RATE);
    let separate = ["separate", "@-", "--model", "m.safetensors", "-o", "out", "--iterations", "2"];
    let output = world.run_on(b"./odd\nname.wav\0./a.wav\0", &separate);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let names = ["a.hiss.wav", "a.tones.wav", "manifest.jsonl", "odd\nname.hiss.wav", "odd\nname.tones.wav"];
    assert_eq!(world.files("out"), names);
    let output = world.run_on(b"{\"input\": \"a.wav\"}\n", &["denoise", "@-", "-o", "clean", "--iterations", "2"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let train = ["train", "--source", "tones=@-", "--rank", "2", "--iterations", "2", "-o", "n.safetensors"];
    let output =
        world.run_on(b"tones/a.wav\ntones/b.wav\n", &[&train[..], &["--source", "hiss=hiss", "--json"]].concat());
    assert_eq!(json(&output)["sources"][0]["files"].as_u64(), Some(2), "{}", stderr(&output));
    let evaluate = ["evaluate", "--reference", "@-", "--estimate"];
    let output = world.run_on(b"tones/a.wav", &[&evaluate[..], &["tones/a.wav"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    refused(&world.run_on(b"tones/a.wav", &[&evaluate[..], &["@-"]].concat()), 2, &["@-: ", "named twice"]);
    refused(&world.run_on(b"", &separate), 2, &["no input files"]);
    refused(&world.run_on(b"{\"input\": 3}", &separate), 2, &["standard input, line 1"]);
}

#[test]
fn unusable_input_is_refused_in_one_line_and_nothing_is_written() {
    let world = World::trained();
    world.record("x.wav", &[mix(1, 2000)], RATE);
    std::fs::create_dir(world.path("nothing")).unwrap();
    std::fs::write(world.path("file"), "x").unwrap();
    // The writer refuses NaN, so the last sample is overwritten by hand.
    let mut bytes = std::fs::read(world.path("x.wav")).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(world.path("nan.wav"), bytes).unwrap();

    refused(&world.separate(&["nan.wav"]), 2, &["1 of 1 inputs"]);
    let nan = world.separate(&["nan.wav"]);
    assert!(stderr(&nan).contains("nan.wav: sample 1999 of channel 0"));
    assert!(stdout(&nan).contains("failed: nan.wav  sample 1999") && stdout(&nan).contains(": 0.0 s of audio"));
    refused(&world.separate(&["nothing"]), 2, &["nothing", "no audio files"]);
    refused(&world.separate(&["*.mp3"]), 2, &["*.mp3", "matches no file"]);
    let none = world.run(&["separate", "x.wav", "--model", "m.safetensors", "-o", "o", "--iterations", "0"]);
    refused(&none, 2, &["0 iterations"]);
    let joint = world.run(&["separate", "x.wav", "--model", "m.safetensors", "-o", "o", "--updates", "joint"]);
    refused(&joint, 2, &["--updates joint", "use extrapolated or alternating"]);
    refused(&world.separate(&["x.wav", "--only", "drums"]), 2, &["drums", "tones, hiss"]);
    refused(&world.separate(&["out"]), 2, &["out", "folder of the results"]);
    assert_eq!(world.files("out"), ["manifest.jsonl"], "nothing but the failed file's line");

    let with = |model: &str, out: &str| world.run(&["separate", "x.wav", "--model", model, "-o", out]);
    refused(&with("absent.safetensors", "o"), 2, &["absent.safetensors", "cannot read"]);
    refused(&with("x.wav", "o"), 2, &["x.wav", "not a safetensors file"]);
    refused(&with("m.safetensors", "file/out"), 2, &["file/out", "cannot create"]);
    std::fs::copy(world.path("x.wav"), world.path("x.tones.wav")).unwrap();
    let over = world.run(&["separate", "x.wav", "x.tones.wav", "--model", "m.safetensors", "-o", "."]);
    refused(&over, 2, &["x.tones.wav", "overwrite an input"]);
    assert!(!world.path("o").exists() && !world.path("x.hiss.wav").exists());

    for (arguments, parts) in [
        (vec!["--source", "tones"], vec!["--source tones", "NAME=PATH"]),
        (vec!["--source", "a=absent.wav"], vec!["source 'a'", "absent.wav", "no such file"]),
        (vec!["--source", "a=nothing"], vec!["source 'a'", "nothing"]),
        (vec!["--source", "a/b=tones"], vec!["a/b", "file name"]),
        (vec!["--source", "a=tones", "--rank", "0"], vec!["rank 0"]),
        (vec!["--source", "a=tones", "--rank", "9999"], vec!["rank 9999"]),
        (vec!["--source", "a=tones", "--rank", "b=3"], vec!["no such source; there are a"]),
        (vec!["--source", "a=tones", "--hop", "2000"], vec!["hop"]),
        (vec!["--source", "a=tones", "--tolerance", "nan"], vec!["tolerance"]),
    ] {
        let output = world.run(&[&["train", "-o", "new.safetensors"], &arguments[..]].concat());
        refused(&output, 2, &parts);
    }
    world.record("silence.wav", &[vec![0.0; 4000]], RATE);
    refused(&world.run(&["train", "-o", "new.safetensors", "--source", "a=silence.wav"]), 2, &["'a'", "silent"]);
    refused(
        &world.run(&["train", "-o", "file/new.safetensors", "--source", "a=tones", "--iterations", "1"]),
        2,
        &["cannot write"],
    );
    assert!(!world.path("new.safetensors").exists());
    let over = world.run(&["train", "--source", "a=tones", "-o", "tones/../tones/a.wav", "--iterations", "1"]);
    refused(&over, 2, &["a.wav", "overwrite an input"]);
    assert_eq!(world.read("tones/a.wav").frames(), 6000);
}

#[test]
fn files_of_one_name_are_all_separated_and_results_are_not_inputs() {
    let world = World::trained();
    for name in ["set/one/mix.wav", "set/two/mix.wav", "set/two/other.wav"] {
        world.record(name, &[mix(1, 1000)], RATE);
    }
    let recording = Recording { channels: vec![mix(2, 1000)], sample_rate: RATE, warnings: Vec::new() };
    audio::write(&world.path("set/two/other.flac"), &recording, Format::Flac16).unwrap();
    let expected = [
        "manifest.jsonl",
        "one/mix.hiss.wav",
        "one/mix.tones.wav",
        "other.flac.hiss.wav",
        "other.flac.tones.wav",
        "other.wav.hiss.wav",
        "other.wav.tones.wav",
        "two/mix.hiss.wav",
        "two/mix.tones.wav",
    ];
    // The second run replaces the first one's results: one line before each replacement, and one after.
    for lines in [4, 12] {
        let output =
            world.run(&["separate", "set/*/*", "--model", "m.safetensors", "-o", "set/out", "--iterations", "5"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(world.files("set/out"), expected);
        assert_eq!(std::fs::read_to_string(world.path("set/out/manifest.jsonl")).unwrap().lines().count(), lines);
    }
}

#[test]
fn manifests_of_shards_are_merged() {
    let world = World::trained();
    for name in ["a.wav", "b.wav", "c.wav"] {
        world.record(name, &[mix(1, 1000)], RATE);
    }
    std::fs::write(world.path("bad.wav"), "no audio").unwrap();
    let separate = |out: &str, inputs: &[&str]| {
        world.run(&[&["separate", "--model", "m.safetensors", "--iterations", "5", "-o", out], inputs].concat());
        std::fs::read_to_string(world.path(out).join("manifest.jsonl")).unwrap()
    };
    separate("one", &["c.wav", "bad.wav"]);
    separate("two", &["b.wav", "a.wav"]);
    let merge = |arguments: &[&str]| world.run(&[&["manifest", "merge"], arguments].concat());
    let output = merge(&["one", "two/manifest.jsonl", "-o", "all.jsonl"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    let rows: Vec<Vec<&str>> = text.lines().take(2).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows, [vec!["files", "done", "failed", "audio", "hours"], vec!["4", "3", "1", "0.00"]]);
    assert!(text.lines().nth(2).unwrap().starts_with("failed: bad.wav: ") && text.lines().count() == 4, "{text}");
    let all = || std::fs::read_to_string(world.path("all.jsonl")).unwrap();
    let inputs = |text: &str| -> Vec<String> {
        let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        text.lines().map(|text| format!("{} {}", line(text)["input"], line(text)["status"]).replace('"', "")).collect()
    };
    assert_eq!(inputs(&all()), ["a.wav done", "b.wav done", "bad.wav failed", "c.wav done"]);

    // Merging onto itself and to stdout gives the same lines.
    let once = all();
    assert_eq!(merge(&["all.jsonl", "all.jsonl", "-o", "all.jsonl"]).status.code(), Some(0));
    assert_eq!((all(), stdout(&merge(&["all.jsonl"]))), (once.clone(), once.clone()));

    // A later success replaces an earlier failure. The order of the arguments decides which is later.
    std::fs::copy(world.path("a.wav"), world.path("bad.wav")).unwrap();
    let failed = std::fs::read_to_string(world.path("one/manifest.jsonl")).unwrap();
    std::fs::write(world.path("old.jsonl"), &failed).unwrap();
    std::fs::remove_file(world.path("one/manifest.jsonl")).unwrap();
    separate("one", &["bad.wav"]);
    for (manifests, status) in [(["old.jsonl", "one"], "bad.wav done"), (["one", "old.jsonl"], "bad.wav failed")] {
        let merged = inputs(&stdout(&merge(&manifests)));
        assert_eq!(merged, [status, "c.wav done"], "{manifests:?}");
    }
    let summary = json(&merge(&["all.jsonl", "one", "-o", "all.jsonl", "--json"]));
    assert_eq!((&summary["files"], &summary["done"], &summary["failed"]), (&4.into(), &4.into(), &0.into()));
    assert!((summary["audio_hours"].as_f64().unwrap() * 3600.0 - 0.5).abs() < 1e-9, "{summary}");
    assert_eq!(summary["failures"], serde_json::json!([]));

    refused(&merge(&["one", "--json"]), 2, &["--json", "-o"]);
    refused(&merge(&["absent.jsonl"]), 2, &["absent.jsonl", "cannot read"]);
    refused(&merge(&["hiss"]), 2, &["hiss/manifest.jsonl", "cannot read"]);
    std::fs::write(world.path("old.jsonl"), format!("no line\n{failed}")).unwrap();
    refused(&merge(&["one", "old.jsonl", "-o", "new.jsonl"]), 2, &["old.jsonl, line 1", "damaged"]);
    assert!(!world.path("new.jsonl").exists());
}

#[test]
fn a_gain_prior_is_trained_and_separates() {
    let world = World::trained();
    world.record("mix.wav", &[mix(5, 7001)], RATE);
    let train = |options: &[&str]| {
        let sources = ["train", "--source", "tones=tones", "--source", "hiss=hiss", "--method", "gain-prior"];
        let as_trained = ["--rank", "4", "--window", "256", "--iterations", "20"];
        world.run(&[&sources, options, &as_trained].concat())
    };
    let trained = train(&["-o", "p.safetensors", "--mixtures", "3", "--json"]);
    assert_eq!(trained.status.code(), Some(0), "{}", stderr(&trained));
    assert_eq!(json(&trained)["sources"][0]["mixture"]["components"], 3);
    let again = train(&["-o", "q.safetensors", "--mixtures", "3"]);
    assert!(
        stdout(&again).contains("tones, mixture: components 3, ") && stdout(&again).contains("hiss, mixture: comp")
    );
    let bytes = |name: &str| std::fs::read(world.path(name)).unwrap();
    assert!(bytes("p.safetensors") == bytes("q.safetensors"));
    let separate = |model: &str, out: &str, options: &[&str]| {
        let job = ["separate", "mix.wav", "--model", model, "-o", out, "--format", "wav-f32", "--json"];
        let output = world.run(&[&job, options].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        (bytes(&format!("{out}/mix.tones.wav")), json(&output)["results"][0]["parameters"].clone())
    };
    // With weight 0 the priors have no effect.
    let alternating = ["--updates", "alternating", "--iterations", "9"];
    let (plain, parameters) = separate("m.safetensors", "plain", &alternating);
    assert!(parameters["method"] == "nmf" && parameters.get("prior_weight").is_none(), "{parameters}");
    let weightless = separate("p.safetensors", "weightless", &[&alternating[..], &["--prior-weight", "0"]].concat());
    assert!(plain == weightless.0);
    // With a weight they have, also by default, and separately per source.
    let (usual, parameters) = separate("p.safetensors", "usual", &["--iterations", "9"]);
    assert_eq!((&parameters["updates"], &parameters["prior_gradient"]), (&"alternating".into(), &"paper".into()));
    assert_eq!(parameters["prior_weight"], "auto");
    let by_name = ["--iterations", "9", "--prior-weight", "0.1", "--prior-weight", "hiss=2"];
    let (other, parameters) = separate("p.safetensors", "other", &by_name);
    assert_eq!(parameters["prior_weight"], serde_json::json!({"tones": 0.1, "hiss": 2.0}));
    assert_eq!(parameters["prior_gradient"], "exact");
    let (exact, parameters) = separate("p.safetensors", "exact", &["--iterations", "9", "--prior-gradient", "exact"]);
    assert_eq!(parameters["prior_gradient"], "exact");
    let (half, parameters) = separate("p.safetensors", "half", &["--iterations", "9", "--prior-weight", "hiss=0"]);
    assert_eq!(parameters["prior_weight"], serde_json::json!({"tones": "auto", "hiss": 0.0}));
    let results = [&plain, &usual, &other, &exact, &half];
    assert!((0..5).all(|a| (0..a).all(|b| results[a] != results[b])));
    // A weight found from a recording depends on that recording alone.
    world.record("loud.wav", &[mix(6, 9000)], RATE);
    let (among, _) = separate("p.safetensors", "among", &["--iterations", "9", "loud.wav", "--threads", "1"]);
    assert!(among == usual);
    let sources = ["tones", "hiss"].map(|source| world.read(&format!("usual/mix.{source}.wav")));
    assert!(sum_error(&world.read("mix.wav"), &sources) <= 1e-5);

    for (model, options, parts) in [
        ("p.safetensors", ["--updates", "extrapolated"], ["extrapolated", "use alternating"]),
        ("p.safetensors", ["--tolerance", "1e-3"], ["tolerance", "gain prior"]),
        ("p.safetensors", ["--prior-weight", "drums=1"], ["--prior-weight drums=1", "there are tones, hiss"]),
        ("p.safetensors", ["--prior-weight", "hiss=much"], ["--prior-weight hiss=much", "use auto, or a number"]),
        ("p.safetensors", ["--prior-weight", "-1"], ["--prior-weight -1", "not negative"]),
        ("m.safetensors", ["--prior-weight", "0.1"], ["trained with the method nmf", "--method gain-prior"]),
    ] {
        let weight = options.join("=");
        let options = if weight.ends_with("=-1") { vec![weight.as_str()] } else { options.to_vec() };
        let output = world.run(&[&["separate", "mix.wav", "--model", model, "-o", "none"], &options[..]].concat());
        refused(&output, 2, &parts);
    }
    assert!(!world.path("none").exists());
    let steep = ["separate", "mix.wav", "--model", "p.safetensors", "-o", "none", "--prior-gradient", "steep"];
    let steep = world.run(&steep);
    assert!(steep.status.code() == Some(2) && stderr(&steep).contains("use exact or paper"));
    refused(&train(&["-o", "n.safetensors", "--mixtures", "4000"]), 2, &["source 'tones'", "4000 mixtures"]);
    refused(&train(&["-o", "n.safetensors", "--mixtures", "0"]), 2, &["--mixtures 0", "at least 1"]);
    let plain = ["train", "--source", "a=tones", "-o", "n.safetensors", "--mixtures", "3"];
    refused(&world.run(&plain), 2, &["--mixtures is an option of the method gain-prior"]);
}

#[test]
fn training_skips_a_bad_file_with_a_warning() {
    let world = World::new();
    std::fs::write(world.path("hiss/bad.wav"), "no audio").unwrap();
    let output = world.run(&[
        "train",
        "--source",
        "hiss=hiss",
        "-o",
        "m.safetensors",
        "--rank",
        "2",
        "--iterations",
        "3",
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("bad.wav") && stderr(&output).contains("left out"));
    assert_eq!(json(&output)["sources"][0]["files"], 1);
    assert!(world.path("m.safetensors").exists());
}

fn factors(path: &Path) -> (Array2<f32>, Array2<f32>, Array1<f64>) {
    let mut archive = NpzReader::new(std::fs::File::open(path).unwrap()).unwrap();
    (archive.by_name("W").unwrap(), archive.by_name("H").unwrap(), archive.by_name("objective").unwrap())
}

/// Where Mesa keeps compiled shaders by itself.
fn cache_of_mesa() -> Option<PathBuf> {
    let own = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    own.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
}

#[test]
fn a_kept_tuning_does_not_change_the_results() {
    let Some(gpu) = crate::common::gpu() else { return };
    let world = World { folder: tempfile::tempdir().unwrap() };
    let v = Array2::from_shape_fn((7, 90), |(f, n)| 0.1 + ((3 * f + 5 * n) % 11) as f32);
    ndarray_npy::write_npy(world.path("v.npy"), &v).unwrap();
    let factorize = |output: &str, options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_partwise"));
        for variable in ["XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"] {
            command.env(variable, world.path("cache"));
        }
        // Mesa keeps the shaders that it has compiled. It looks in the same folders, and compiling them anew takes 20 s.
        if let Some(cache) = cache_of_mesa() {
            command.env("MESA_SHADER_CACHE_DIR", cache);
        }
        command.args(["factorize", "v.npy", "--rank", "3", "--iterations", "5", "--engine", "gpu", "-o", output]);
        let run = command.args(options).current_dir(world.folder.path()).output().unwrap();
        assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
        std::fs::read(world.path(output)).unwrap()
    };
    let below = if cfg!(target_os = "macos") { "cache/Library/Caches/partwise" } else { "cache/partwise" };
    let file = world.path(below).join("tuning.json");
    let plain = factorize("a.npz", &[]);
    assert_eq!(file.exists(), !gpu.adapter().is_software(), "a software driver is only measured on request");
    // An unreadable file is measured and written again.
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "{").unwrap();
    assert_eq!(factorize("b.npz", &["--retune"]), plain);
    let kept = std::fs::read_to_string(&file).unwrap();
    let devices: serde_json::Value = serde_json::from_str(&kept).unwrap();
    assert!(devices.as_object().unwrap().keys().all(|key| key.contains(env!("CARGO_PKG_VERSION"))), "{kept}");
    assert_eq!(factorize("c.npz", &[]), plain);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), kept, "a kept tuning was measured again");
}

#[test]
fn factorize_writes_factors_and_objectives_of_a_matrix() {
    let world = World { folder: tempfile::tempdir().unwrap() };
    let noise = Stream::new(4, "v");
    let v = Array2::from_shape_fn((7, 11), |(f, n)| (noise.uniform((11 * f + n) as u64) + 0.01) as f32);
    ndarray_npy::write_npy(world.path("v.npy"), &v).unwrap();
    ndarray_npy::write_npy(world.path("v64.npy"), &v.mapv(f64::from)).unwrap();
    let run =
        |arguments: &[&str]| world.run(&[&["factorize", "--rank", "3", "--iterations", "20"], arguments].concat());
    let output = run(&["v.npy", "-o", "a.npz", "--normalize", "l1", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let (w, h, objective) = factors(&world.path("a.npz"));
    assert_eq!((w.dim(), h.dim(), objective.len()), ((7, 3), (3, 11), 21));
    assert!(w.columns().into_iter().all(|column| (column.sum() - 1.0).abs() < 1e-5));
    assert!(objective.windows(2).into_iter().all(|pair| pair[1] <= pair[0] * (1.0 + 1e-6)));
    assert_eq!(json(&output)["final_objective"].as_f64(), objective.last().copied());
    // KL preserves the sum of the data, so W H has the same sum.
    assert!((w.dot(&h).sum() / v.sum() - 1.0).abs() < 1e-4);

    run(&["v64.npy", "-o", "b.npz", "--normalize", "l1"]);
    assert_eq!(factors(&world.path("b.npz")), (w.clone(), h, objective.clone()));
    run(&["v.npy", "-o", "c.npz", "--init", "a.npz", "--fix", "w"]);
    let (kept, _, further) = factors(&world.path("c.npz"));
    assert_eq!(kept, w);
    assert!((further[0] / objective[20] - 1.0).abs() < 1e-5, "continues where the first run stopped");
    let output = run(&["v.npy", "-o", "d.npz", "--normalize", "l1", "--trace-every", "0", "--json"]);
    assert!(json(&output)["first_objective"].is_null(), "no objective is computed before the first iteration");
    assert_eq!(json(&output)["final_objective"].as_f64(), Some(objective[20]));
    let text = stdout(&run(&["v.npy", "-o", "d.npz", "--trace-every", "0"]));
    assert!(text.contains("objective") && !text.contains("->"), "{text}");
    run(&["v.npy", "-o", "r.npz", "--normalize", "l1", "--engine", "reference"]);
    let (.., reference) = factors(&world.path("r.npz"));
    assert!(reference.iter().zip(&objective).all(|(a, b)| (a / b - 1.0).abs() < 1e-5));

    // The level of the data has no effect, however far from 1.
    for (name, gain) in [("faint", 1e-20), ("loud", 1e12)] {
        ndarray_npy::write_npy(world.path("level.npy"), &v.mapv(|x| f64::from(x) * gain)).unwrap();
        run(&["level.npy", "-o", "level.npz", "--normalize", "l1", "--divergence", "kl"]);
        let (.., scaled) = factors(&world.path("level.npz"));
        let worst = scaled.iter().zip(&objective).map(|(a, b)| (a / (b * gain) - 1.0).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-4, "{name}: {worst}");
    }

    let write = |name: &str, at: (usize, usize), value: f32| {
        let mut bad = v.clone();
        bad[at] = value;
        ndarray_npy::write_npy(world.path(name), &bad).unwrap();
    };
    write("negative.npy", (2, 3), -0.5);
    write("nan.npy", (0, 1), f32::NAN);
    ndarray_npy::write_npy(world.path("empty.npy"), &Array2::<f32>::zeros((0, 4))).unwrap();
    ndarray_npy::write_npy(world.path("cube.npy"), &ndarray::Array3::<f32>::zeros((2, 2, 2))).unwrap();
    std::fs::write(world.path("text.npy"), "no matrix").unwrap();
    refused(&run(&["negative.npy", "-o", "x.npz"]), 2, &["negative.npy", "-0.5 at row 2, column 3"]);
    refused(&run(&["nan.npy", "-o", "x.npz"]), 2, &["nan.npy", "NaN at row 0, column 1"]);
    refused(&run(&["empty.npy", "-o", "x.npz"]), 2, &["empty.npy", "nothing to factorize"]);
    refused(&run(&["cube.npy", "-o", "x.npz"]), 2, &["cube.npy: has 3 axes; a matrix has 2"]);
    ndarray_npy::write_npy(world.path("row.npy"), &ndarray::Array1::<f32>::zeros(4)).unwrap();
    refused(&run(&["row.npy", "-o", "x.npz"]), 2, &["row.npy: has 1 axis; a matrix has 2"]);
    refused(&run(&["text.npy", "-o", "x.npz"]), 2, &["text.npy: is not an .npy file"]);
    std::fs::write(world.path("none.npy"), "").unwrap();
    refused(&run(&["none.npy", "-o", "x.npz"]), 2, &["none.npy: is empty"]);
    refused(&run(&["a.npz", "-o", "x.npz"]), 2, &["a.npz: is an .npz with W, H, objective"]);
    // A header that claims more than the file contains gives a one-line error.
    let mut bytes = std::fs::read(world.path("v.npy")).unwrap();
    let (at, claim) = (bytes.windows(7).position(|part| part == b"(7, 11)").unwrap(), b"(2000000, 1000000), }");
    bytes.splice(at..at + claim.len(), claim.iter().copied());
    std::fs::write(world.path("huge.npy"), bytes).unwrap();
    refused(&run(&["huge.npy", "-o", "x.npz"]), 2, &["2000000 x 1000000", "bytes follow"]);
    // If threads cannot start, their number is reported.
    let crowd = run(&["v.npy", "-o", "t.npz", "--engine", "cpu", "--threads", "1000"]);
    assert!(
        stderr(&crowd).contains("--threads 1000") && !stdout(&crowd).contains("1000 threads"),
        "{}",
        stderr(&crowd)
    );
    // All number types give the same matrix.
    let counts = Array2::from_shape_fn((7, 11), |(f, n)| (f * n % 5) as u8);
    ndarray_npy::write_npy(world.path("u1.npy"), &counts).unwrap();
    ndarray_npy::write_npy(world.path("i8.npy"), &counts.mapv(i64::from)).unwrap();
    ndarray_npy::write_npy(world.path("f8.npy"), &counts.mapv(f64::from)).unwrap();
    let of = |name: &str| {
        run(&[name, "-o", "k.npz"]);
        factors(&world.path("k.npz"))
    };
    assert!(of("u1.npy") == of("f8.npy") && of("i8.npy") == of("f8.npy"));
    // Data beyond the range of f32 are refused, and only those.
    for (gain, options, fits) in [
        (1e-100, &[][..], false),
        (1e100, &[], false),
        (1e300, &[], false),
        (1e-60, &[], true),
        (1e60, &[], true),
        (1e-60, &["--normalize", "l2"], false),
        (1e-60, &["--method", "nmf2d"], false),
        (1e-30, &["--normalize", "l2"], true),
        (1e-30, &["--method", "nmf2d"], true),
    ] {
        ndarray_npy::write_npy(world.path("level.npy"), &v.mapv(|x| f64::from(x) * gain)).unwrap();
        let output = run(&[&["level.npy", "-o", "level.npz"], options].concat());
        if !fits {
            refused(&output, 2, &["level.npy", "largest entry", "f32", "scale the data"]);
            continue;
        }
        assert!(output.status.success(), "{gain} {options:?}: {}", stderr(&output));
    }
    refused(&run(&["absent.npy", "-o", "x.npz"]), 2, &["absent.npy", "cannot open"]);
    refused(&run(&["v.npy", "-o", "no/x.npz"]), 2, &["no/x.npz", "cannot write"]);
    refused(&run(&["v.npy", "-o", "x.npz", "--init", "v.npy"]), 2, &["v.npy", "npz"]);
    refused(&world.run(&["factorize", "v.npy", "--rank", "0", "-o", "x.npz"]), 2, &["rank 0"]);
    refused(&world.run(&["factorize", "v.npy", "--rank", "4", "-o", "x.npz", "--init", "a.npz"]), 2, &["W is 7 x 3"]);
    assert!(!world.path("x.npz").exists());
    refused(&run(&["v.npy", "-o", "v.npy"]), 2, &["v.npy", "overwrite an input"]);
    refused(&run(&["v.npy", "-o", "a.npz", "--init", "a.npz"]), 2, &["a.npz", "overwrite an input"]);
}

#[test]
fn factorize_nmf2d_writes_patterns_and_objectives() {
    let world = World { folder: tempfile::tempdir().unwrap() };
    let noise = Stream::new(4, "v");
    let v = Array2::from_shape_fn((7, 11), |(f, n)| noise.uniform((11 * f + n) as u64) + 0.01);
    ndarray_npy::write_npy(world.path("v.npy"), &v).unwrap();
    let job = ["factorize", "v.npy", "--method", "nmf2d", "--rank", "2", "--iterations", "20"];
    let run = |output: &str, options: &[&str]| {
        let lags = ["--time-lags", "3", "--pitch-lags", "4", "-o", output, "--json"];
        let run = world.run(&[&job, &lags[..], options].concat());
        assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
        let mut archive = NpzReader::new(std::fs::File::open(world.path(output)).unwrap()).unwrap();
        let w: Array3<f32> = archive.by_name("W").unwrap();
        let h: Array3<f32> = archive.by_name("H").unwrap();
        let objective: Array1<f64> = archive.by_name("objective").unwrap();
        (w, h, objective, json(&run))
    };
    let (w, h, objective, summary) = run("a.npz", &["--starts", "3", "--divergence", "eu"]);
    assert_eq!((w.dim(), h.dim(), objective.len()), ((3, 7, 2), (4, 2, 11), 21));
    assert!(objective.windows(2).into_iter().all(|pair| pair[1] <= pair[0] * (1.0 + 1e-6)));
    // The written factors have the written cost.
    let mut model = Array2::<f64>::zeros((7, 11));
    for ((time, row, d), &w) in w.indexed_iter() {
        for ((pitch, _, n), &h) in h.indexed_iter().filter(|((_, of, _), _)| *of == d) {
            if row + pitch < 7 && n + time < 11 {
                model[(row + pitch, n + time)] += f64::from(w) * f64::from(h);
            }
        }
    }
    let cost = (&v - &model).mapv(|error| error * error).sum() / 2.0;
    assert!((cost / objective[20] - 1.0).abs() < 1e-4, "{cost} for {}", objective[20]);
    // The best start is kept. Each start equals a run with its own seed.
    let finals: Vec<f64> =
        summary["final_objectives"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    let start = summary["start"].as_u64().unwrap() as usize;
    assert!(finals.len() == 3 && finals.iter().all(|&last| last >= finals[start]) && finals[start] == objective[20]);
    for (seed, &last) in finals.iter().enumerate() {
        let (alone_w, alone_h, alone, _) = run("b.npz", &["--divergence", "eu", "--seed", &seed.to_string()]);
        assert_eq!(alone[20], last);
        assert_eq!((alone_w, alone_h) == (w.clone(), h.clone()), seed == start);
    }
    let sparse = ["--sparsity", "0.1", "--divergence", "eu"];
    for (norm, power, options) in
        [("l1", 1, &["--normalize", "l1"][..]), ("l2", 2, &["--normalize", "l2"]), ("l2", 2, &[])]
    {
        let (w, _, objective, _) = run("n.npz", &[&sparse, options].concat());
        assert!(objective.windows(2).into_iter().all(|pair| pair[1] <= pair[0] * (1.0 + 1e-6)), "{norm}: {objective}");
        for pattern in w.axis_iter(ndarray::Axis(2)) {
            let size: f64 = pattern.iter().map(|&w| f64::from(w).powi(power)).sum();
            assert!((size - 1.0).abs() < 1e-5, "{norm}: {size}");
        }
    }
    // The level has no effect.
    let (.., kl, _) = run("c.npz", &[]);
    ndarray_npy::write_npy(world.path("v.npy"), &(&v * 1e-20)).unwrap();
    let (.., faint, _) = run("d.npz", &[]);
    assert!(faint.iter().zip(&kl).all(|(a, b)| (a / (b * 1e-20) - 1.0).abs() < 1e-4), "{faint} for {kl}");

    for (options, parts) in
        [(&["--time-lags", "0"][..], ["--time-lags 0", "use 1 to"]), (&["--starts", "0"], ["--starts 0", "use 1 to"])]
    {
        refused(&world.run(&[&job, options, &["-o", "x.npz"]].concat()), 2, &parts);
    }
    let plain = ["factorize", "v.npy", "--rank", "2", "-o", "x.npz", "--pitch-lags", "3"];
    refused(&world.run(&plain), 2, &["--pitch-lags", "--method nmf2d"]);
}

#[test]
fn factorize_nmf2d_starts_from_given_factors() {
    let world = World { folder: tempfile::tempdir().unwrap() };
    let noise = Stream::new(4, "v");
    let v = Array2::from_shape_fn((7, 11), |(f, n)| 1e-6 * (noise.uniform((11 * f + n) as u64) + 0.01));
    ndarray_npy::write_npy(world.path("v.npy"), &v).unwrap();
    let job = ["factorize", "v.npy", "--method", "nmf2d", "--rank", "2", "--json"];
    let run = |output: &str, options: &[&str]| {
        let run = world.run(&[&job, &["-o", output][..], options].concat());
        assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
        let mut archive = NpzReader::new(std::fs::File::open(world.path(output)).unwrap()).unwrap();
        let w: Array3<f32> = archive.by_name("W").unwrap();
        let h: Array3<f32> = archive.by_name("H").unwrap();
        let objective: Array1<f64> = archive.by_name("objective").unwrap();
        (w, h, objective, json(&run))
    };
    let init = |name: &str, w: Option<&Array3<f64>>, h: Option<&Array3<f64>>| {
        let mut archive = NpzWriter::new(std::fs::File::create(world.path(name)).unwrap());
        for (name, factor) in [("W", w), ("H", h)] {
            if let Some(factor) = factor {
                archive.add_array(name, factor).unwrap();
            }
        }
        archive.finish().unwrap();
    };
    let lags = ["--time-lags", "3", "--pitch-lags", "4"];
    let (w, h, objective, _) = run("a.npz", &[&lags[..], &["--iterations", "20"]].concat());
    // The lags are those of the factors, in f32 and f64, and the run continues where the first one stopped.
    init("wh.npz", Some(&w.mapv(f64::from)), Some(&h.mapv(f64::from)));
    let first = run("b.npz", &["--init", "a.npz", "--iterations", "5"]);
    let second = run("c.npz", &["--init", "wh.npz", "--iterations", "5", "--starts", "1", "--pitch-lags", "4"]);
    assert_eq!((&first.0, &first.1, &first.2), (&second.0, &second.1, &second.2));
    assert!((first.2[0] / objective[20] - 1.0).abs() < 1e-5 && first.2[5] < objective[20], "{}", first.2);
    let fixed_w = run("d.npz", &["--init", "a.npz", "--iterations", "5", "--fix", "w"]);
    assert_eq!((&fixed_w.0, fixed_w.1 == h), (&w, false));
    let fixed_h = run("e.npz", &["--init", "a.npz", "--iterations", "5", "--fix", "h"]);
    let near = |a: &Array3<f32>, b: &Array3<f32>| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-6 * b);
    assert!(near(&fixed_h.1, &h) && !near(&fixed_h.0, &w), "H is scaled and scaled back");

    // A missing factor gets the random start of the seed. The data are divided by 2^-20 for the computation.
    let scale = 2f64.powi(-20);
    let (bases, gains) = random_start(&[(&v / scale).view()], 2, Lags { time: 3, pitch: 4 }, 7);
    let bases: Vec<_> = bases.iter().map(|w| w.view()).collect();
    init("w.npz", Some(&ndarray::stack(ndarray::Axis(0), &bases).unwrap()), None);
    init("h.npz", None, Some(&(&gains[0] * scale).into_shape_with_order((4, 2, 11)).unwrap()));
    let (seeded_w, seeded_h, ..) = run("f.npz", &[&lags[..], &["--iterations", "5", "--seed", "7"]].concat());
    for (file, missing) in [("w.npz", ["--pitch-lags", "4"]), ("h.npz", ["--time-lags", "3"])] {
        let started = run("g.npz", &[&["--init", file, "--iterations", "5", "--seed", "7"][..], &missing].concat());
        assert_eq!((started.0, started.1), (seeded_w.clone(), seeded_h.clone()), "{file}");
    }

    // Without an objective before the first iteration, `first_objective` is missing.
    let options = ["--init", "a.npz", "--iterations", "5", "--trace-every", "0"];
    let (.., last, summary) = run("k.npz", &options);
    assert_eq!((last.len(), last[0]), (1, first.2[5]));
    assert!(summary["first_objective"].is_null(), "{summary}");
    assert_eq!(first.3["first_objective"].as_f64(), Some(first.2[0]));

    let mut negative = w.mapv(f64::from);
    negative[(2, 3, 1)] = -0.5;
    init("negative.npz", Some(&negative), None);
    init("neither.npz", None, None);
    init("flat.npz", Some(&Array3::zeros((3, 6, 2))), None);
    init("none.npz", Some(&Array3::zeros((0, 7, 2))), None);
    for (options, parts) in [
        (&["--init", "a.npz", "--starts", "2"][..], ["--starts 2", "--init"]),
        (&["--init", "a.npz", "--time-lags", "4"], ["--time-lags 4", "has 3"]),
        (&["--init", "a.npz", "--pitch-lags", "3"], ["--pitch-lags 3", "has 4"]),
        (&["--init", "a.npz", "--rank", "3"], ["a.npz: W is 3 x 7 x 2", "must be T x 7 x 3"]),
        (&["--init", "flat.npz"], ["flat.npz: W is 3 x 6 x 2", "must be T x 7 x 2"]),
        (&["--init", "none.npz"], ["--time-lags 0", "use 1 to"]),
        (&["--init", "w.npz", "--fix", "h"], ["--fix h", "--init"]),
        (&["--fix", "w"], ["--fix w", "--init"]),
        (&["--init", "negative.npz"], ["negative.npz: W", "-0.5 at lag 2, row 3, component 1"]),
        (&["--init", "neither.npz"], ["neither.npz", "neither W nor H"]),
        (&["--init", "v.npy"], ["v.npy", "npz"]),
        (&["--init", "absent.npz"], ["absent.npz", "cannot open"]),
    ] {
        let command = [&["factorize", "v.npy", "--method", "nmf2d", "-o", "x.npz"], options].concat();
        let rank = if options.contains(&"--rank") { &[][..] } else { &["--rank", "2"] };
        refused(&world.run(&[&command, rank].concat()), 2, &parts);
    }
    assert!(!world.path("x.npz").exists());
}

#[test]
fn factorize_supports_every_kind_of_update() {
    let world = World { folder: tempfile::tempdir().unwrap() };
    let noise = Stream::new(5, "v");
    let v = Array2::from_shape_fn((20, 40), |(f, n)| (noise.uniform((40 * f + n) as u64) + 0.01) as f32);
    ndarray_npy::write_npy(world.path("v.npy"), &v).unwrap();
    let run = |iterations: &str, arguments: &[&str]| {
        let command = ["factorize", "v.npy", "--rank", "4", "-o", "o.npz", "--iterations", iterations];
        world.run(&[&command, arguments].concat())
    };
    let objective = |iterations: &str, arguments: &[&str]| {
        let output = run(iterations, &[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(json(&output)["seconds"].as_f64().unwrap() > 0.0);
        factors(&world.path("o.npz")).2
    };
    for divergence in ["kl", "is"] {
        let plain = objective("40", &["--divergence", divergence]);
        let random = factors(&world.path("o.npz"));
        for updates in ["joint", "extrapolated"] {
            let trace = objective("40", &["--divergence", divergence, "--updates", updates]);
            assert_eq!(trace.len(), 41);
            assert!((trace[0] / plain[0] - 1.0).abs() < 1e-5, "the same start");
            assert!(trace.windows(2).into_iter().all(|pair| pair[1] <= pair[0] * (1.0 + 1e-6)), "{updates}: {trace}");
            assert!(updates == "joint" || trace[40] < plain[40], "{} is not below {}", trace[40], plain[40]);
        }
        // With fixed bases, every column has its own steps.
        let mut init = ndarray_npy::NpzWriter::new(std::fs::File::create(world.path("w.npz")).unwrap());
        init.add_array("W", &random.0).unwrap();
        init.finish().unwrap();
        let fixed = ["--divergence", divergence, "--init", "w.npz", "--fix", "w"];
        let plain = objective("40", &fixed);
        let trace = objective("16", &[&fixed[..], &["--updates", "extrapolated"]].concat());
        assert_eq!(trace.len(), 17);
        assert!(trace.windows(2).into_iter().all(|pair| pair[1] <= pair[0] * (1.0 + 1e-6)), "{trace}");
        assert!(trace[16] < plain[40], "{} after 16 is not below {} after 40", trace[16], plain[40]);
    }
    for (every, looks) in [("5", 9), ("7", 7), ("0", 1)] {
        for updates in ["alternating", "extrapolated"] {
            assert_eq!(
                objective("40", &["--trace-every", every, "--updates", updates]).len(),
                looks,
                "{every}, {updates}"
            );
        }
    }
    let mut init = NpzWriter::new(std::fs::File::create(world.path("h.npz")).unwrap());
    init.add_array("H", &factors(&world.path("o.npz")).1).unwrap();
    init.finish().unwrap();
    refused(&run("40", &["--updates", "joint", "--init", "w.npz", "--fix", "w"]), 2, &["joint", "both factors"]);
    refused(
        &run("40", &["--updates", "extrapolated", "--init", "h.npz", "--fix", "h"]),
        2,
        &["extrapolated", "use alternating"],
    );
    for updates in ["alternating", "joint", "extrapolated"] {
        let sparse = objective("40", &["--updates", updates, "--sparsity", "0.1"]);
        assert!(sparse[40] < sparse[0] && sparse.windows(2).into_iter().all(|pair| pair[1] <= pair[0] * (1.0 + 1e-6)));
        let scaled = ["--updates", updates, "--sparsity", "0.1", "--normalize", "l1", "--divergence", "kl"];
        refused(&run("40", &scaled), 2, &["sparsity", "kl", "l1", "l2"]);
    }
    assert_eq!(run("40", &["--updates", "faster"]).status.code(), Some(2));
}

#[test]
fn training_with_a_sparsity_makes_sparser_gains_and_other_bases() {
    let world = World::new();
    let train = |options: &[&str]| {
        let job = ["train", "--source", "hiss=hiss", "-o", "s.safetensors", "--rank", "4", "--window", "256"];
        world.run(&[&job, options].concat())
    };
    let bases = |options: &[&str]| {
        let output = train(&[&["--json", "--iterations", "40"], options].concat());
        let summary = json(&output)["sources"][0].clone();
        let objective = |name: &str| summary[name].as_f64().unwrap();
        assert!(objective("final_objective") < objective("first_objective"), "{options:?}: {summary}");
        let model = partwise::Model::load(&world.path("s.safetensors")).unwrap();
        model.sources[0].bases.clone()
    };
    let plain = bases(&["--normalize", "l2"]);
    for updates in ["extrapolated", "joint", "alternating"] {
        let sparse = bases(&["--sparsity", "20", "--updates", updates]);
        let norms = sparse.columns().into_iter().map(|column| column.mapv(|w| w * w).sum());
        assert!(norms.into_iter().all(|norm| norm < 1e-6 || (norm - 1.0).abs() < 1e-4));
        assert!(
            (&sparse - &plain).iter().any(|difference| difference.abs() > 0.05),
            "{updates}: the bases equal those without sparsity"
        );
    }
    refused(&train(&["--sparsity", "20", "--normalize", "l1"]), 2, &["sparsity", "kl", "l1", "l2"]);
}

#[test]
fn options_that_do_not_go_with_bands_or_a_method_are_refused() {
    let world = World::new();
    let train = |options: &[&str]| {
        let job = ["train", "--source", "hiss=hiss", "-o", "s.safetensors", "--rank", "4", "--window", "256"];
        world.run(&[&job, options].concat())
    };
    for (options, parts) in [
        (&["--bands", "mel:20"][..], &["--bands", "'mel:20' are unknown", "mel:80:0-4000"][..]),
        (&["--bands", "mel:20:0-4001"], &["up to 4001 Hz", "sample rate of 8000"]),
        (&["--bands", "mel:200:0-4000"], &["mel band 1 of 200", "has no bin of an fft of 256 points", "longer fft"]),
        (&["--pre-emphasis", "1.5"], &["--pre-emphasis 1.5", "between 0 and 1"]),
        (&["--spectrum", "loudness"], &["--spectrum", "use power or magnitude"]),
        (&["--method", "sparse", "--divergence", "is"], &["--divergence is", "under kl"]),
        (&["--method", "sparse", "--updates", "joint"], &["--updates joint", "alternating"]),
        (&["--method", "sparse", "--normalize", "l1"], &["--normalize l1", "l2"]),
    ] {
        refused(&train(options), 2, parts);
        assert!(!world.path("s.safetensors").exists());
    }
}

#[test]
fn separation_under_a_sparse_model_takes_its_penalty() {
    let world = World::new();
    world.record("mix.wav", &[mix(5, 7001)], RATE);
    let job = ["train", "--source", "tones=tones", "--source", "hiss=hiss", "-o", "s.safetensors", "--rank", "4"];
    let output = world.run(&[&job[..], &["--method", "sparse", "--sparsity", "0.5", "--window", "256"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let separate = |options: &[&str]| {
        let job = ["separate", "mix.wav", "--model", "s.safetensors", "-o", "out", "--json", "--format", "wav-f32"];
        let output = world.run(&[&job[..], options].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let parameters = json(&output)["results"][0]["parameters"].clone();
        (parameters, std::fs::read(world.path("out/mix.tones.wav")).unwrap())
    };
    let (usual, bytes) = separate(&[]);
    assert_eq!((&usual["method"], &usual["sparsity"]), (&"sparse".into(), &0.5.into()));
    assert!(separate(&["--method", "sparse", "--sparsity", "0.5"]) == (usual, bytes.clone()));
    assert!(separate(&["--method", "sparse", "--sparsity", "9"]).1 != bytes);
    let (plain, without) = separate(&["--method", "nmf"]);
    assert!(without == separate(&["--method", "sparse", "--sparsity", "0"]).1 && without != bytes);
    assert!(plain.get("sparsity").is_none());
}

#[test]
fn check_reports_every_kernel() {
    let world = World { folder: tempfile::tempdir().unwrap() };
    let verdict = json(&world.run(&["check", "--json"]));
    assert_eq!(verdict["passed"], true);
    assert!(verdict["kernels"].as_array().unwrap().len() >= 23);
    let table = stdout(&world.run(&["check", "--engine", "reference"]));
    assert!(table.contains("products/gains is") && table.contains("reference (f64)") && !table.contains("WRONG"));
}

#[test]
fn evaluate_refuses_recordings_that_cannot_be_compared() {
    let world = World::new();
    world.record("short.wav", &[hiss(1, 500)], RATE);
    world.record("fast.wav", &[hiss(1, 9000)], 16000);
    let run = |arguments: &[&str]| world.run(&[&["evaluate"], arguments].concat());
    refused(&run(&["--reference", "hiss/a.wav", "--estimate", "short.wav"]), 2, &["9000", "500"]);
    refused(&run(&["--reference", "hiss/a.wav", "--estimate", "fast.wav"]), 2, &["fast.wav", "16000 Hz"]);
    refused(&run(&["--reference", "hiss/a.wav", "--estimate", "hiss/a.wav", "short.wav"]), 2, &["1 references and 2"]);
    let table = stdout(&run(&["--reference", "hiss/a.wav", "--estimate", "hiss/a.wav"]));
    assert!(table.contains("SI-SDR") && table.contains("inf"), "{table}");
    let csv = stdout(&run(&["--reference", "hiss/a.wav", "--estimate", "hiss/a.wav", "--csv"]));
    assert_eq!(csv.lines().count(), 2);
}

#[test]
fn evaluate_channels_silent_sources_and_infinite_scores() {
    let world = World { folder: tempfile::tempdir().unwrap() };
    let (a, b) = (hiss(1, 4000), mix(2, 4000));
    let sum = |a: &[f32], b: &[f32], share: f32| a.iter().zip(b).map(|(a, b)| a + share * b).collect::<Vec<f32>>();
    world.record("a.wav", std::slice::from_ref(&a), RATE);
    world.record("silent.wav", &[vec![0.0; 4000]], RATE);
    world.record("good.wav", &[sum(&a, &b, 0.05)], RATE);
    world.record("bad.wav", &[sum(&b, &a, 0.05)], RATE);
    world.record("stereo.wav", &[a.clone(), b.clone()], RATE);
    world.record("swapped.wav", &[b.clone(), a.clone()], RATE);
    world.record("turned.wav", &[a.clone(), a.iter().map(|x| -x).collect()], RATE);
    let run = |arguments: &[&str]| world.run(&[&["evaluate"], arguments].concat());
    // If only one reference is not silent, every SIR is infinite, and SDR decides.
    let best = ["--reference", "a.wav", "silent.wav", "--estimate", "bad.wav", "good.wav", "--permute"];
    let report = json(&run(&[&best[..], &["--json"]].concat()));
    assert_eq!(report["sources"][0]["estimate"], 1);
    // The report says what a mean leaves out. A mean over only infinite values is infinite.
    assert_eq!((&report["left_out"]["SDR"], &report["mean"]["sir"]), (&1.into(), &"inf".into()));
    assert!(
        stdout(&run(&best))
            .contains("leave out what is infinite or undefined: 1 of SAR, 1 of SDR, 1 of SI-SDR, 1 of SNR")
    );
    let perfect = json(&run(&["--json", "--reference", "a.wav", "a.wav", "--estimate", "a.wav", "a.wav"]));
    assert_eq!(perfect["mean"]["snr"], "inf");
    // Swapped channels score differently, and opposite phases are not silence.
    let sdr = |reference: &str, estimate: &str| {
        let report = json(&run(&["--json", "--reference", reference, "--estimate", estimate]));
        assert_eq!(report["channels"], 2);
        report["sources"][0]["sdr"].as_f64().unwrap()
    };
    assert!(sdr("stereo.wav", "stereo.wav") > 100.0 && sdr("turned.wav", "turned.wav") > 100.0);
    assert!(sdr("stereo.wav", "swapped.wav") < 20.0);
    assert!(stdout(&run(&["--reference", "stereo.wav", "--estimate", "swapped.wav"])).contains("2 channels"));
    for pair in [["stereo.wav", "a.wav"], ["a.wav", "stereo.wav"]] {
        refused(&run(&["--reference", pair[0], "--estimate", pair[1]]), 2, &[pair[1], "channel"]);
    }
    refused(&run(&["--reference", "a.wav", "--estimate", "a.wav", "--mixture", "stereo.wav"]), 2, &["stereo.wav"]);
}

/// No file may exceed 8 KiB, as on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_fails_a_file_and_leaves_no_partial_output() {
    let world = World::trained();
    world.record("short.wav", &[mix(1, 1000)], RATE);
    world.record("long.wav", &[mix(1, 9000)], RATE);
    let binary = env!("CARGO_BIN_EXE_partwise");
    let script = format!(
        "trap '' XFSZ; ulimit -f 16; exec {binary} separate short.wav long.wav --model m.safetensors -o out --engine cpu"
    );
    let output = Command::new("bash").args(["-c", &script]).current_dir(world.folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("long.") && stderr(&output).contains("cannot write"), "{}", stderr(&output));
    assert_eq!(world.files("out"), ["manifest.jsonl", "short.hiss.wav", "short.tones.wav"]);
}

/// GPU results differ from CPU results, but they too depend only on the file.
#[test]
fn gpu_results_do_not_depend_on_the_batch() {
    if crate::common::gpu().is_none() {
        return;
    }
    let world = World::trained();
    for i in 0..3 {
        world.record(&format!("m{i}.wav"), &[mix(i as u64, 700 + 1777 * i)], RATE);
    }
    let run = |out: &str, inputs: &[&str]| {
        let job = ["separate", "--engine", "gpu", "--model", "m.safetensors", "--iterations", "5", "-o", out];
        let output = world.run(&[&job[..], inputs].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        ["tones", "hiss"].map(|source| std::fs::read(world.path(out).join(format!("m1.{source}.wav"))).unwrap())
    };
    let together = run("o1", &["m0.wav", "m1.wav", "m2.wav"]);
    assert_eq!(run("o2", &["m2.wav", "m1.wav"]), together);
    assert_eq!(run("o3", &["m1.wav"]), together);
    let sources = ["tones", "hiss"].map(|source| world.read(&format!("o3/m1.{source}.wav")));
    assert!(sum_error(&world.read("m1.wav"), &sources) <= 1e-5);
}

/// Checks the general properties of a `bench` report, and returns its rows.
fn bench_kernels(report: &serde_json::Value) -> Vec<serde_json::Value> {
    let positive = |value: &serde_json::Value, name: &str| {
        let number = value[name].as_f64().unwrap_or_else(|| panic!("{name} of {value}"));
        assert!(number > 0.0 && number.is_finite(), "{name} of {value}");
        number
    };
    let positives = |value, names: &[&str]| {
        for name in names {
            positive(value, name);
        }
    };
    positives(report, &["cores"]);
    positives(&report["peaks"], &["gflops", "gigabytes_per_second"]);
    let kernels = report["kernels"].as_array().unwrap().clone();
    for row in &kernels {
        positives(row, &["milliseconds", "flop", "bytes", "flop_per_byte", "gflops", "gigabytes_per_second"]);
        // Above 1 if other load slowed the measurement of the peaks; far above if the peaks are wrong.
        assert!(positive(row, "share_of_peak_flops") < 1.5 && positive(row, "share_of_roofline") < 1.5, "{row}");
    }
    for row in report["transforms"].as_array().unwrap() {
        positives(row, &["frames", "milliseconds", "frames_per_second", "real_time_factor"]);
    }
    for row in report["jobs"].as_array().unwrap() {
        positives(row, &["cold_seconds", "warm_seconds", "cold_real_time_factor", "warm_real_time_factor"]);
    }
    kernels
}

#[test]
fn bench_measures_and_plots_peaks_kernels_transforms_and_jobs() {
    let world = World { folder: tempfile::tempdir().unwrap() };
    let tiny = ["bench", "--shape", "8x10x3", "8x10x2x3x4", "--divergence", "eu", "kl", "--seconds", "0.01", "--json"];
    let output = world.run(&[&tiny[..], &["--clips", "1", "--against", "reference", "--plot", "roof.svg"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = json(&output);
    let kernels = bench_kernels(&report);
    let names: Vec<String> = kernels.iter().map(|row| format!("{} {}", row["kernel"], row["divergence"])).collect();
    let updates = ["gains", "bases", "iteration", "gains, prior", "joint"];
    let mut expected: Vec<String> =
        ["eu", "kl"].iter().flat_map(|d| updates.map(|update| format!("{update} {d} 8x10x3"))).collect();
    let others = ["masks", "pairs, stored", "pairs, magnitude", "pairs, power", "gains, variational"];
    let reversed = ["adjoint of gains", "adjoint of bases"];
    expected.extend(others.into_iter().chain(reversed).map(|kernel| format!("{kernel} 8x10x3")));
    let shifted = ["shifted gains", "shifted bases"];
    expected.extend(["eu", "kl"].iter().flat_map(|d| shifted.map(|update| format!("{update} {d} 8x10x2x3x4"))));
    let svg = std::fs::read_to_string(world.path("roof.svg")).unwrap();
    for (name, expected) in names.iter().zip(&expected) {
        let name = name.replace('"', "");
        assert!(expected.starts_with(name.trim_end_matches(" null")), "{name} for {expected}");
        assert!(svg.contains(&format!(">{expected}: ")), "{expected} in {svg}");
    }
    assert_eq!((names.len(), svg.matches("<circle").count()), (expected.len(), expected.len()));
    // 2 flop per multiply-add; three products of 8 x 10 x 3 under EU, two under KL.
    assert_eq!((kernels[0]["flop"].as_f64(), kernels[5]["flop"].as_f64()), (Some(1440.0), Some(960.0)));
    // With 3 time lags and 4 pitch lags 12 times as many, with two components.
    let shifted = |row: usize| (kernels[row]["flop"].as_f64(), &kernels[row]["lags"]);
    assert_eq!(shifted(17), (Some(11_520.0), &serde_json::json!([3, 4])));
    assert_eq!((shifted(19).0, kernels[0]["lags"].is_null()), (Some(7680.0), true));
    let against = &report["against"];
    assert!(against["engine"].as_str().unwrap().starts_with("reference") && against["peaks"].is_null(), "{against}");
    for (row, other) in kernels.iter().zip(against["kernels"].as_array().unwrap()) {
        let ratio = other["milliseconds"].as_f64().unwrap() / row["milliseconds"].as_f64().unwrap();
        assert!((row["times_faster"].as_f64().unwrap() / ratio - 1.0).abs() < 1e-9, "{row}, {other}");
        assert!(row["device_milliseconds"].is_null() && other["share_of_roofline"].is_null(), "{row}, {other}");
    }
    let job = &report["jobs"][0];
    assert_eq!((job["clips"].as_u64(), job["audio_seconds"].as_f64()), (Some(1), Some(10.0)));
}

#[test]
fn bench_uses_the_gpus_own_clock() {
    if crate::common::gpu().is_none() {
        return;
    }
    let world = World { folder: tempfile::tempdir().unwrap() };
    let tiny = ["bench", "--engine", "gpu", "--shape", "8x10x3", "8x10x2x3x4"];
    let tiny = [&tiny[..], &["--divergence", "is", "--seconds", "0.01"]].concat();
    let output = world.run(&[&tiny[..], &["--clips", "0", "--against", "none", "--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = json(&output);
    for row in bench_kernels(&report) {
        if let Some(device) = row["device_milliseconds"].as_f64() {
            assert!(device > 0.0 && device <= row["milliseconds"].as_f64().unwrap(), "{row}");
        }
    }
    assert!(report["adapter"]["name"].is_string() && report["against"].is_null(), "{report}");
    assert_eq!(report["jobs"].as_array().unwrap().len(), 0);
}

#[test]
fn bench_refuses_invalid_options() {
    let world = World { folder: tempfile::tempdir().unwrap() };
    for (arguments, part) in [
        (&["--shape", "8x10"][..], "8x10"),
        (&["--divergence", "euclid"], "euclid"),
        (&["--against", "auto"], "use cpu, gpu, reference or none"),
        (&["--seconds", "0"], "--seconds 0"),
        (&["--engine", "reference", "--plot", "roof.svg"], "--plot: the reference engine"),
    ] {
        let output = world.run(&[&["bench"], arguments].concat());
        assert!(output.status.code() == Some(2) && stderr(&output).contains(part), "{}", stderr(&output));
    }
}

#[test]
fn usage_is_explained_and_wrong_usage_exits_2() {
    let world = World { folder: tempfile::tempdir().unwrap() };
    let help = world.run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for command in ["train", "separate", "evaluate", "factorize", "check", "devices", "bench", "demo", "manifest"] {
        let listed = |line: &str| line.split_whitespace().next() == Some(command);
        assert!(stdout(&help).lines().any(listed), "{command}");
    }
    for wrong in [&["separate"][..], &["seperate"], &["check", "--engine", "tpu"], &["train", "--source", "a=b"]] {
        assert_eq!(world.run(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn unwritable_outputs_are_refused_before_the_work() {
    let world = World::trained();
    let v = Array2::from_shape_fn((20, 30), |(f, n)| (f * n % 7 + 1) as f32);
    ndarray_npy::write_npy(world.path("v.npy"), &v).unwrap();
    std::fs::create_dir(world.path("folder")).unwrap();
    let endless = ["--iterations", "1000000", "--rank", "3"];
    let factorize = ["factorize", "v.npy"];
    let shifted = ["factorize", "v.npy", "--method", "nmf2d"];
    let train = ["train", "--source", "tones=tones", "--source", "hiss=hiss"];
    for job in [&factorize[..], &shifted, &train] {
        for (output, reason) in [
            ("none/o", "none/o: cannot write"),
            (".", ".: is a folder; name a file"),
            ("folder", "folder: is a folder; name a file"),
            ("new/", "new/: cannot write"),
            ("v.npy/o", "v.npy/o: cannot write"),
            ("/dev/null", "/dev/null: is a pipe or a device"),
            ("/proc/o", "/proc/o: cannot write"),
        ] {
            refused(&world.run(&[job, &endless, &["-o", output]].concat()), 2, &[reason]);
        }
    }
    assert_eq!(world.files("folder"), [""; 0]);
}

#[test]
fn a_job_that_exceeds_the_machines_memory_is_refused() {
    let world = World::trained();
    // A sparse file of zeros, which takes no disk space.
    let columns = 4_000_000_u64;
    let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': (2, {columns}), }}");
    header.extend(std::iter::repeat_n(' ', 117 - header.len()));
    let bytes = [b"\x93NUMPY\x01\x00\x76\x00", header.as_bytes(), b"\n"].concat();
    std::fs::write(world.path("wide.npy"), &bytes).unwrap();
    let file = std::fs::File::options().write(true).open(world.path("wide.npy")).unwrap();
    file.set_len(bytes.len() as u64 + 2 * 8 * columns).unwrap();
    let job = ["factorize", "wide.npy", "-o", "o.npz", "--iterations", "1"];
    refused(&world.run(&[&job[..], &["--rank", "4096"]].concat()), 2, &["would take about 43", "MiB", "lower --rank"]);
    let nmf2d = ["--rank", "400", "--method", "nmf2d", "--pitch-lags", "2", "--starts", "9"];
    refused(&world.run(&[&job[..], &nmf2d].concat()), 2, &["would take about", "fewer --starts"]);
    let little = world.run(&["evaluate", "-v", "--reference", "tones/a.wav", "--estimate", "tones/a.wav"]);
    assert!(stderr(&little).contains("this takes about"), "{}", stderr(&little));
}

#[test]
fn training_warns_about_duplicate_and_low_rate_recordings() {
    let world = World::trained();
    std::fs::copy(world.path("tones/a.wav"), world.path("again.wav")).unwrap();
    let train = |sources: &[&str]| {
        let job = ["train", "-o", "odd.safetensors", "--rank", "2", "--iterations", "2"];
        let output = world.run(&[&job[..], sources].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stderr(&output)
    };
    assert_eq!(train(&["--source", "a=tones", "--source", "b=hiss"]), "");
    let text = train(&["--source", "a=tones", "--source", "b=again.wav"]);
    assert!(text.contains("again.wav: source 'a' has the same recording (tones/a.wav)"), "{text}");
    world.record("memo.wav", &[tones(100.0, 1000)], RATE / 2);
    let text = train(&["--source", "a=tones", "memo.wav", "--source", "b=hiss"]);
    assert!(text.contains("memo.wav: is at 4000 Hz") && text.contains("left out"), "{text}");
    let model = partwise::Model::load(&world.path("odd.safetensors")).unwrap();
    assert_eq!((model.sample_rate, model.training.sources[0].files), (RATE, 2));
}

#[test]
fn an_invalid_argument_gives_an_error_with_option_value_and_range() {
    let world = World::trained();
    let v = Array2::from_shape_fn((20, 30), |(f, n)| (f * n % 7 + 1) as f32);
    ndarray_npy::write_npy(world.path("v.npy"), &v).unwrap();
    world.record("a.wav", &[mix(1, 3000)], RATE);
    let factorize = &["factorize", "v.npy", "--rank", "2", "-o", "o.npz"][..];
    let train = &["train", "--source", "tones=tones", "-o", "o.safetensors"][..];
    let separate = &["separate", "a.wav", "--model", "m.safetensors", "-o", "out"][..];
    for (job, options, parts) in [
        (factorize, &["--sparsity", "-0.5"][..], ["sparsity -0.5", "not negative"]),
        (factorize, &["--tolerance", "-1"], ["tolerance -1", "not negative"]),
        (factorize, &["--tolerance", "-1e-3"], ["tolerance -0.001", "not negative"]),
        (factorize, &["--sparsity", "-inf"], ["sparsity -inf", "finite"]),
        (factorize, &["--seed", "-1"], ["--seed -1", "whole number from 0 on"]),
        (factorize, &["--iterations", "-3"], ["--iterations -3", "whole number from 0 on"]),
        (factorize, &["--threads", "-1"], ["--threads -1", "1..=1024"]),
        (factorize, &["--divergence", "-1"], ["--divergence -1", "eu, kl, is"]),
        (factorize, &["--divergence", "t:0"], ["t:0", "between 0.001 and 1000000"]),
        (factorize, &["--divergence", "ggd:3"], ["ggd:3", "between 0.01 and 2"]),
        (factorize, &["--updates", "sideways"], ["--updates sideways", "extrapolated"]),
        (factorize, &["--normalize", "l3"], ["--normalize l3", "none, l1, l2"]),
        (factorize, &["--fix", "w"], ["--fix w", "--init"]),
        (train, &["--rank", "-1"], ["--rank -1", "whole number"]),
        (train, &["--divergence", "t:0"], ["t:0", "between 0.001 and 1000000"]),
        (train, &["--divergence", "ggd:3"], ["ggd:3", "between 0.01 and 2"]),
        (train, &["--window", "0.01ms"], ["--window 0.01ms", "use 1 to 1048576 samples"]),
        (train, &["--window", "10000000"], ["--window 10000000", "use 1 to 1048576 samples"]),
        (train, &["--window", "-5ms"], ["--window -5ms", "use 1 to 1048576 samples"]),
        (train, &["--hop", "0.01ms"], ["--hop 0.01ms", "use 1 to"]),
        (separate, &["--memory", "1K"], ["--memory", "needs at least"]),
        (separate, &["--memory", "-1G"], ["--memory -1G", "800M"]),
        (separate, &["--shard", "-1/2"], ["--shard -1/2", "use I/N"]),
    ] {
        let output = world.run(&[job, options].concat());
        refused(&output, 2, &parts);
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
        assert!(!stderr(&output).contains("-- -"), "{}", stderr(&output));
    }
    refused(&world.run(&["factorize", "v.npy", "--rank", "-1", "-o", "o.npz"]), 2, &["--rank -1", "whole number"]);
    refused(&world.run(&["separate", "x.wav", "-o", "out", "--model"]), 2, &["--model: needs a value"]);
    refused(&world.run(&["factorize", "v.npy", "--rank", "0", "-o", "o.npz"]), 2, &["--rank 0", "use 1 to 4096"]);
    let nothing = Command::new(env!("CARGO_BIN_EXE_partwise")).output().unwrap();
    assert!(nothing.status.code() == Some(2) && stderr(&nothing).contains("Usage"), "{}", stderr(&nothing));
}
