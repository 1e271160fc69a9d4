//! A job that is killed and resumed repeatedly must end like one that was never killed.
//!
//! `PARTWISE_RESUME_FILES` and `PARTWISE_RESUME_KILLS` set its length: 200 and 50 make a long test.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use partwise::audio::{self, Format, Recording};
use partwise::random::Stream;
use partwise::schedule::{MANIFEST, Status, read_manifest};

const RATE: u32 = 8000;

/// A folder with recordings, a model, and a results folder for each series of runs.
struct World(tempfile::TempDir);

impl World {
    /// Creates recordings of 0.2, 0.35 and 0.5 s, two of them broken, and a model of their sources.
    fn new(files: usize) -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        for folder in ["in", "hum", "hiss"] {
            std::fs::create_dir(world.path(folder)).unwrap();
        }
        world.record("hum/a.wav", hum(4000));
        world.record("hiss/a.wav", hiss(1, 4000));
        for index in 0..files {
            let name = format!("in/{index:05}.wav");
            let samples = [1600, 2800, 4000][index % 3];
            let mixed = hum(samples).iter().zip(hiss(index as u64 + 2, samples)).map(|(a, b)| a + b).collect();
            world.record(&name, mixed);
        }
        std::fs::write(world.path(&format!("in/{:05}.wav", files / 3)), "no audio").unwrap();
        std::fs::write(world.path(&format!("in/{:05}.wav", files / 2)), "").unwrap();
        let train = ["train", "--source", "hum=hum", "--source", "hiss=hiss", "-o", "m.safetensors"];
        let small = ["--rank", "4", "--window", "256", "--iterations", "5", "--engine", "cpu"];
        let trained = world.command().args(train).args(small).output().unwrap();
        assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn record(&self, name: &str, samples: Vec<f32>) {
        let recording = Recording { channels: vec![samples], sample_rate: RATE, warnings: Vec::new() };
        audio::write(&self.path(name), &recording, Format::WavF32).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_partwise"));
        command.current_dir(self.0.path()).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Starts to separate everything into `out`.
    fn separate(&self, out: &str, options: &[&str]) -> Child {
        let job = ["separate", "in", "--model", "m.safetensors", "-o", out, "--engine", "cpu", "--threads", "2"];
        self.command().args(job).args(options).spawn().unwrap()
    }

    /// Separates everything into `out`. Returns the exit status.
    fn finish(&self, out: &str, options: &[&str]) -> Option<i32> {
        self.separate(out, options).wait().unwrap().code()
    }

    /// The bytes of all files in `out` except the manifest, including hidden files.
    fn outputs(&self, out: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = files(&self.path(out)).into_iter().filter(|file| !file.ends_with(MANIFEST));
        files.map(|file| (file.strip_prefix(self.path(out)).unwrap().into(), std::fs::read(&file).unwrap())).collect()
    }

    /// The modification times of all files in `out` except the manifest.
    fn times(&self, out: &str) -> Vec<(PathBuf, SystemTime)> {
        let files = files(&self.path(out)).into_iter().filter(|file| !file.ends_with(MANIFEST));
        files.map(|file| (file.clone(), std::fs::metadata(&file).unwrap().modified().unwrap())).collect()
    }

    /// The status of each input by its last line. Every complete line must be valid.
    fn ends(&self, out: &str) -> BTreeMap<PathBuf, Status> {
        let manifest = self.path(out).join(MANIFEST);
        let lines = if manifest.exists() { read_manifest(&manifest).unwrap() } else { Vec::new() };
        lines.into_iter().map(|line| (line.input, line.status)).collect()
    }

    /// Checks the invariants after a kill: a file with its final name is complete, and a finished input's outputs
    /// exist.
    fn check_after_a_kill(&self, out: &str, whole: &BTreeMap<PathBuf, Vec<u8>>) {
        let outputs = self.outputs(out);
        for (name, bytes) in &outputs {
            let partial = name.to_str().unwrap().ends_with(".partial");
            assert!(partial || whole.get(name) == Some(bytes), "{} is not complete", name.display());
        }
        for (input, _) in self.ends(out).iter().filter(|(_, status)| **status == Status::Done) {
            let stem = input.file_stem().unwrap().to_str().unwrap();
            for source in ["hum", "hiss"] {
                let name = PathBuf::from(format!("{stem}.{source}.wav"));
                assert!(outputs.contains_key(&name), "{} is missing", name.display());
            }
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn hum(samples: usize) -> Vec<f32> {
    (0..samples).map(|n| 0.3 * (n as f32 * 220.0 * std::f32::consts::TAU / RATE as f32).sin()).collect()
}

fn hiss(seed: u64, samples: usize) -> Vec<f32> {
    let noise = Stream::new(seed, "hiss");
    (0..samples).map(|n| 0.3 * (noise.uniform(n as u64) - 0.5) as f32).collect()
}

fn from_environment(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

#[test]
fn a_killed_and_resumed_job_ends_like_an_undisturbed_one() {
    let (number, kills) = (from_environment("PARTWISE_RESUME_FILES", 24), from_environment("PARTWISE_RESUME_KILLS", 3));
    let world = World::new(number);
    let started = Instant::now();
    let status = world.finish("whole", &[]);
    let length = started.elapsed();
    let (whole, ends) = (world.outputs("whole"), world.ends("whole"));
    assert_eq!(status, Some(1), "two recordings are broken");
    assert_eq!((whole.len(), ends.len()), (2 * (number - 2), number));

    let moments = Stream::new(7, "moments");
    let (mut landed, mut midway) = (0, 0);
    // A series ends when its job ends. If a kill came too late, another series starts. On a busy machine, all kills may
    // come before the first recording ends; then more of them follow.
    let enough = |landed: usize, midway: usize| landed >= kills && (midway > 0 || landed >= 10 * kills);
    for series in 0..10 * kills {
        if enough(landed, midway) {
            break;
        }
        let out = format!("killed{series}");
        let mut attempt = 0;
        let status = loop {
            let mut job = world.separate(&out, &["--resume"]);
            if enough(landed, midway) {
                break job.wait().unwrap().code();
            }
            let share = moments.uniform(1000 * series as u64 + attempt);
            attempt += 1;
            std::thread::sleep(Duration::from_secs_f64(share * length.as_secs_f64()));
            if let Some(status) = job.try_wait().unwrap() {
                break status.code();
            }
            job.kill().unwrap();
            // The job may have ended between the check and the kill.
            if let Some(code) = job.wait().unwrap().code() {
                break Some(code);
            }
            landed += 1;
            world.check_after_a_kill(&out, &whole);
            midway += usize::from((1..number).contains(&world.ends(&out).len()));
        };
        assert_eq!(status, Some(1), "{out}, after {attempt} attempts");
        assert!(world.outputs(&out) == whole, "{out}: other files, or other bytes in them");
        assert_eq!(world.ends(&out), ends, "{out}");

        // Finished files are not repeated, and failures still count.
        let times = world.times(&out);
        assert_eq!(world.finish(&out, &["--resume"]), Some(1), "{out}, resumed once more");
        assert!(world.times(&out) == times, "{out}: finished files were written again");
    }
    assert!(landed >= kills, "of {} series too few kills met a running job", 10 * kills);
    assert!(midway > 0, "no kill met a job that had begun and not ended");
}
