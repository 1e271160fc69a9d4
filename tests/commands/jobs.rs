//! Tests of jobs with many files by the built program: interrupted, in shards, with little memory, in the formats of
//! their inputs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::world::{RATE, World, json, mix, refused, stderr, stdout, sum_error};
use partwise::audio::{self, Format, Reader, Recording};

impl World {
    /// Writes a recording in a format.
    fn store(&self, name: &str, channels: &[Vec<f32>], format: Format) {
        let recording = Recording { channels: channels.to_vec(), sample_rate: RATE, warnings: Vec::new() };
        audio::write(&self.path(name), &recording, format).unwrap();
    }

    fn bits(&self, name: &str) -> Option<u32> {
        Reader::open(&self.path(name)).unwrap().bits()
    }
}

#[test]
fn outputs_keep_the_bit_depth_and_sum_to_the_input() {
    let world = World::trained();
    let stereo = [mix(1, 3000), mix(2, 3000)];
    for (name, format) in [
        ("a16.wav", Format::WavPcm16),
        ("a24.wav", Format::WavPcm24),
        ("a32.wav", Format::WavF32),
        ("f16.flac", Format::Flac16),
        ("f24.flac", Format::Flac24),
    ] {
        world.store(name, &stereo, format);
    }
    let inputs = ["a16.wav", "a24.wav", "a32.wav", "f16.flac", "f24.flac"];
    let output = world.separate(&inputs);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for (name, bits) in inputs.iter().zip([Some(16), Some(24), None, Some(16), Some(24)]) {
        let stem = name.split('.').next().unwrap();
        let outputs = ["tones", "hiss"].map(|source| format!("out/{stem}.{source}.wav"));
        assert!(outputs.iter().all(|output| world.bits(output) == bits), "{name}");
        let error = sum_error(&world.read(name), &outputs.map(|output| world.read(&output)));
        // f32 has 24 bits, so with 24-bit integers the estimates themselves are rounded.
        assert!(error <= if bits == Some(16) { 0.0 } else { 1e-6 }, "{name}: {error}");
    }
    // As FLAC: the same depths, and for floats the largest. A single source is rounded on its own.
    let output = world.separate(&["a16.wav", "a32.wav", "f24.flac", "--format", "flac", "--only", "hiss"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let bits = ["a16", "a32", "f24"].map(|stem| world.bits(&format!("out/{stem}.hiss.flac")));
    assert_eq!(bits, [Some(16), Some(24), Some(24)]);
    let exact = world.read("out/a32.hiss.wav");
    let rounded = world.read("out/a32.hiss.flac");
    let worst = exact.channels.iter().flatten().zip(rounded.channels.iter().flatten()).map(|(a, b)| (a - b).abs());
    assert!(worst.fold(0.0, f32::max) <= 0.51 / 8_388_608.0);
}

/// A recording at another rate is cut, resampled and joined piece by piece.
#[test]
fn outputs_of_long_resampled_recordings_sum_to_the_input() {
    let world = World::trained();
    let long = mix(1, 200_000);
    for rate in [5512, 11_025] {
        let name = format!("at{rate}.wav");
        world.record(&name, &[long.clone(), mix(2, 200_000)], rate);
        let output = world.separate(&[&name]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let sources = ["tones", "hiss"].map(|source| world.read(&format!("out/at{rate}.{source}.wav")));
        assert!(sources.iter().all(|source| source.frames() == 200_000 && source.sample_rate == rate));
        let error = sum_error(&world.read(&name), &sources);
        assert!(error <= 1e-5, "{rate}: {error}");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_job_finishes_started_files_and_resumes_the_rest() {
    let world = World::trained();
    let names: Vec<String> = (0..40).map(|index| format!("in/{index:02}.wav")).collect();
    names.iter().for_each(|name| world.record(name, &[mix(1, 30_000)], RATE));
    let job = ["separate", "in", "--model", "m.safetensors", "-o", "out", "--engine", "cpu", "--iterations", "300"];
    // Panels of the least width, so that the first file is done long before the last one is started.
    let job = [&job[..], &["--threads", "1", "--memory", "20M", "--json", "--resume"]].concat();
    let mut child = Command::new(env!("CARGO_BIN_EXE_partwise"));
    child.args(&job).current_dir(world.folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = child.spawn().unwrap();
    let (started, manifest) = (Instant::now(), world.path("out/manifest.jsonl"));
    while std::fs::metadata(&manifest).map_or(0, |meta| meta.len()) == 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "no file was finished");
        std::thread::sleep(Duration::from_millis(2));
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("interrupted"), "{}", stderr(&output));
    let summary = json(&output);
    let (done, left) = (summary["done"].as_u64().unwrap(), summary["left"].as_u64().unwrap());
    assert!(done >= 1 && left >= 1 && done + left == 40 && summary["interrupted"] == true, "{summary}");
    assert_eq!(world.files("out").len() as u64, 2 * done + 1, "started files are complete, and there are no others");

    let output = world.run(&job);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let summary = json(&output);
    assert_eq!((summary["resumed"].as_u64(), summary["done"].as_u64()), (Some(done), Some(left)));
    assert_eq!(world.files("out").len(), 81);
}

#[test]
fn the_summary_counts_resumed_and_failed_files() {
    let world = World::trained();
    world.record("in/a.wav", &[mix(1, 8000)], RATE);
    world.record("in/b.wav", &[mix(2, 4000)], RATE);
    std::fs::write(world.path("in/c.wav"), "no audio").unwrap();
    let output = world.separate(&["in", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let summary = json(&output);
    let count = |name: &str| summary[name].as_u64().unwrap();
    assert_eq!(["files", "done", "failed", "resumed", "left"].map(count), [3, 2, 1, 0, 0]);
    assert_eq!(summary["audio_seconds"], 1.5);
    let busy = summary["engine_busy"].as_f64().unwrap();
    assert!(busy > 0.0 && busy <= 1.0, "{busy}");
    let text = stdout(&world.separate(&["in", "--resume"]));
    assert!(text.contains("failed: in/c.wav  is not a wav"), "{text}");
    assert!(text.contains("0 of 3 files separated, 2 done before, 1 failed"), "{text}");
    assert!(text.contains("busy"), "{text}");
}

#[test]
fn memory_and_shards_are_checked_before_anything_is_written() {
    let world = World::trained();
    world.record("a.wav", &[mix(1, 3000)], RATE);
    refused(&world.separate(&["a.wav", "--memory", "1M"]), 2, &["--memory of 1.000 MiB", "needs at least"]);
    refused(&world.separate(&["a.wav", "--tolerance=-1"]), 2, &["tolerance"]);
    for (option, value, part) in [("--shard", "0/4", "from 1"), ("--shard", "5/4", "5/4"), ("--memory", "lots", "800M")]
    {
        let output = world.separate(&["a.wav", option, value]);
        assert!(output.status.code() == Some(2) && stderr(&output).contains(part), "{}", stderr(&output));
    }
    assert!(!world.path("out").exists());
    let shard = world.separate(&["a.wav", "--shard", "2/2"]);
    assert_eq!(shard.status.code(), Some(0), "a shard may have nothing to do: {}", stderr(&shard));
}

#[test]
fn early_stopping_saves_updates_and_reports_them() {
    let world = World::trained();
    world.record("a.wav", &[mix(1, 8000)], RATE);
    let iterations = |tolerance: &str| {
        let job = ["separate", "a.wav", "--model", "m.safetensors", "-o", "out", "--json", "--tolerance", tolerance];
        json(&world.run(&job))["results"][0]["iterations"].as_u64().unwrap()
    };
    assert_eq!(iterations("0"), 12);
    let few = iterations("0.01");
    assert!((5..12).contains(&few), "{few}");
}

#[cfg(target_os = "linux")]
#[test]
fn pipes_dangling_links_and_unwritable_folders_are_refused() {
    let world = World::trained();
    world.record("a.wav", &[mix(1, 3000)], RATE);
    std::os::unix::fs::symlink("nowhere.wav", world.path("dangling.wav")).unwrap();
    assert!(Command::new("mkfifo").arg(world.path("pipe.wav")).status().unwrap().success());
    let output = world.separate(&["a.wav", "dangling.wav", "pipe.wav", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(text.contains("dangling.wav: cannot open") && text.contains("pipe.wav: is a pipe"), "{text}");
    // A folder that nobody can write to: the kernel's own, because tests may run as root.
    let output = world.run(&["separate", "a.wav", "--model", "m.safetensors", "-o", "/proc/results"]);
    refused(&output, 2, &["/proc/results: cannot create"]);
}

#[test]
fn all_gpus_share_one_queue() {
    if crate::common::gpu().is_none() {
        return;
    }
    let world = World::trained();
    world.record("a.wav", &[mix(1, 3000)], RATE);
    world.record("b.wav", &[mix(2, 900)], RATE);
    let run = |out: &str, gpu: &[&str]| {
        let job = ["separate", "a.wav", "b.wav", "--engine", "gpu", "--model", "m.safetensors", "--iterations", "3"];
        let output = world.run(&[&job[..], &["-o", out], gpu].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let names = world.files(out).into_iter().filter(|name| name.ends_with("wav"));
        names.map(|name| std::fs::read(world.path(out).join(name)).unwrap()).collect::<Vec<_>>()
    };
    let one = run("one", &[]);
    assert!(one.len() == 4 && one == run("all", &["--gpu", "all"]));
    let train = world.run(&["train", "--source", "a=tones", "-o", "x", "--engine", "gpu", "--gpu", "all"]);
    refused(&train, 2, &["--gpu all", "separate"]);
}
