//! A folder of recordings for tests of the built program.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use partwise::audio::{self, Format, Recording};
use partwise::random::Stream;

/// A folder with recordings of two sources and a model of them.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) const RATE: u32 = 8000;

/// The commands that take an engine, of those that tests run in a world.
const COMPUTING: [&str; 8] = ["train", "separate", "denoise", "plot", "factorize", "check", "bench", "reproduce"];

/// What keeps the training of a world short.
pub(crate) const TRAINING: [&str; 6] = ["--rank", "4", "--window", "256", "--iterations", "20"];

/// The command that scores the stems of mix.wav in a world.
#[rustfmt::skip]
pub(crate) const SCORING: [&str; 10] = [
    "evaluate", "--json", "--reference", "true/tones.wav", "true/hiss.wav",
    "--estimate", "out/mix.tones.wav", "out/mix.hiss.wav", "--mixture", "mix.wav",
];

impl World {
    /// Low tones and hiss, which are easy to separate.
    pub(crate) fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        for (name, pitch) in [("a", 200.0), ("b", 310.0)] {
            world.record(&format!("tones/{name}.wav"), &[tones(pitch, 6000)], RATE);
        }
        world.record("hiss/a.wav", &[hiss(1, 9000)], RATE);
        world
    }

    pub(crate) fn trained() -> Self {
        let world = Self::new();
        let sources = ["--source", "tones=tones", "--source", "hiss=hiss", "-o", "m.safetensors"];
        let output = world.run(&[&["train"], &sources[..], &TRAINING].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn record(&self, name: &str, channels: &[Vec<f32>], sample_rate: u32) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        let recording = Recording { channels: channels.to_vec(), sample_rate, warnings: Vec::new() };
        audio::write(&self.path(name), &recording, Format::WavF32).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Recording {
        audio::read(&self.path(name)).unwrap()
    }

    /// Runs the program in the folder, on the CPU engine unless the arguments name another.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The same, with this on standard input.
    pub(crate) fn run_on(&self, input: &[u8], arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that is refused reads nothing.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_partwise"));
        command.args(arguments).current_dir(self.folder.path()).env_remove("RUST_LOG");
        let computes = arguments.first().is_some_and(|command| COMPUTING.contains(command));
        if computes && !arguments.contains(&"--engine") {
            command.args(["--engine", "cpu"]);
        }
        command
    }

    /// Separates with the trained model into `out`.
    pub(crate) fn separate(&self, arguments: &[&str]) -> Output {
        self.run(&[&["separate", "--model", "m.safetensors", "-o", "out", "--iterations", "10"], arguments].concat())
    }

    /// All files in and below a folder, including hidden ones.
    pub(crate) fn files(&self, name: &str) -> Vec<String> {
        fn walk(folder: &Path, root: &Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, root, found);
                } else {
                    found.push(path.strip_prefix(root).unwrap().to_str().unwrap().into());
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.path(name), &self.path(name), &mut found);
        found.sort();
        found
    }
}

pub(crate) fn tones(pitch: f32, samples: usize) -> Vec<f32> {
    let tone = |n: usize, k: f32| (n as f32 * k * pitch * std::f32::consts::TAU / RATE as f32).sin() / k;
    (0..samples).map(|n| 0.2 * (tone(n, 1.0) + tone(n, 2.0) + tone(n, 3.0))).collect()
}

pub(crate) fn hiss(seed: u64, samples: usize) -> Vec<f32> {
    let noise = Stream::new(seed, "hiss");
    (0..samples).map(|n| 0.3 * (noise.uniform(n as u64) - 0.5) as f32).collect()
}

pub(crate) fn mix(seed: u64, samples: usize) -> Vec<f32> {
    tones(200.0, samples).iter().zip(hiss(seed, samples)).map(|(a, b)| a + b).collect()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|cause| panic!("{cause}: {}{}", stdout(output), stderr(output)))
}

/// The largest difference between the sum of the sources and the input, relative to the input's peak.
pub(crate) fn sum_error(input: &Recording, sources: &[Recording]) -> f32 {
    let mut worst = 0.0f32;
    for (c, channel) in input.channels.iter().enumerate() {
        for (n, sample) in channel.iter().enumerate() {
            let sum: f32 = sources.iter().map(|source| source.channels[c][n]).sum();
            worst = worst.max((sum - sample).abs());
        }
    }
    worst / input.peak()
}

/// Asserts that a command failed with this exit status and one line on stderr that contains all `parts`, without a
/// panic.
pub(crate) fn refused(output: &Output, status: i32, parts: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(status), "{text}");
    let last = text.trim_end().lines().last().unwrap_or_default();
    assert!(last.starts_with("partwise: ") && !text.contains("panicked"), "{text}");
    assert!(last.matches("os error").count() < 2, "the cause appears twice: {text}");
    for part in parts {
        assert!(last.contains(part), "'{part}' is not in: {text}");
    }
}
