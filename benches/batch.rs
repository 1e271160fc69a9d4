//! Benchmarks whole jobs of the built program: many short clips against one recording of the same length, and a
//! recording of many hours.
//!
//!     cargo bench --bench batch -- [CLIPS] [SECONDS] [HOURS]        (default: 2000 clips of 2 s, and 10 hours)
//!
//! The recordings are noise with a beat, at 16 kHz in 16 bits. The model has rank 64 for each of two sources and the
//! default transform. Prints a row per job: the speed relative to real time, the engine's busy share, the peak memory
//! (Linux). The last line is the ratio of the clips' throughput to the one recording's.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]

use std::path::Path;
use std::process::{Command, Stdio};

use partwise::audio::{Format, Writer};
use partwise::random::Stream;

const RATE: u32 = 16_000;

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let number = |place: usize, usual| numbers.get(place).copied().unwrap_or(usual);
    let (clips, seconds, hours) = (number(0, 2000), number(1, 2), number(2, 10));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("clips")).unwrap();
    for source in 0..2 {
        record(&path(&format!("source{source}.wav")), source, 20);
    }
    for clip in 0..clips {
        record(&path(&format!("clips/{clip:06}.wav")), clip, seconds);
    }
    record(&path("one.wav"), 0, clips * seconds);
    let run = |arguments: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_partwise"));
        program.args(arguments).current_dir(folder.path()).stdout(Stdio::piped());
        let child = program.spawn().unwrap();
        let process = child.id();
        let watch = std::thread::spawn(move || peak_of_memory(process));
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        (output.stdout, watch.join().unwrap())
    };
    run(&["train", "--source", "a=source0.wav", "--source", "b=source1.wav", "-o", "model.safetensors"]);
    let separate = |input: &str| {
        let (summary, peak) = run(&["separate", input, "--model", "model.safetensors", "-o", "out", "--json"]);
        std::fs::remove_dir_all(path("out")).unwrap();
        let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
        let factor = summary["real_time_factor"].as_f64().unwrap();
        let busy = 100.0 * summary["engine_busy"].as_f64().unwrap();
        let (files, audio) = (&summary["files"], summary["audio_seconds"].as_f64().unwrap());
        let peak = peak.map_or_else(|| "unknown".into(), |kib| format!("{} MiB", kib >> 10));
        println!("{files:>6} files  {audio:>8.0} s  {factor:>6.1} times real time  busy {busy:>5.1} %  memory {peak}");
        factor
    };
    let (one, many) = (separate("one.wav"), separate("clips"));
    println!("clips against one recording: {:.3}", many / one);
    if hours > 0 {
        record(&path("long.wav"), 1, hours * 3600);
        separate("long.wav");
    }
}

fn record(path: &Path, seed: u64, seconds: u64) {
    let noise = Stream::new(seed, "noise");
    let beat = |n: u64| 0.3 + 0.2 * (n as f32 * (0.0007 + 0.0001 * (seed % 7) as f32)).sin();
    let mut writer = Writer::create(path, Format::WavPcm16, 1, RATE, seconds * u64::from(RATE)).unwrap();
    for second in 0..seconds {
        let first = second * u64::from(RATE);
        let samples = (first..first + u64::from(RATE)).map(|n| beat(n) * (noise.uniform(n) - 0.5) as f32);
        writer.write(&[samples.collect::<Vec<f32>>()]).unwrap();
    }
    writer.finish().unwrap();
}

/// The most memory that a process has used, in KiB, by its last report from the system.
fn peak_of_memory(process: u32) -> Option<u64> {
    let mut peak = None;
    while let Ok(status) = std::fs::read_to_string(format!("/proc/{process}/status")) {
        let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) else { break };
        peak = line.trim().trim_end_matches(" kB").parse().ok();
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    peak
}
