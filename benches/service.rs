//! Loads the service as many clients do at the same time, and compares its throughput with that of `partwise separate`.
//!
//!     cargo bench --bench service -- [CLIENTS] [SECONDS] [PROGRAM]        (default: 200 clients for 60 s, and the built program)
//!
//! Each client posts a clip of 2 s (16 kHz, 16 bits, bursts of noise; no two are the same) to a service on this machine, asks for
//! the job every 200 ms until it is done, fetches one of every 20 results, and posts the next clip. A client that is refused with
//! 429 comes back after the time that it was told. The model has rank 64 for each of two sources and the default transform. Then
//! the command separates the same clips, from files to files, with the same model and options.
//!
//! Prints what the service answered and how fast, its memory over time (Linux), and the ratio of the two throughputs. A job that is
//! lost, doubled or not done, and an answer of 500 or above, end the program with an error.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]

#[path = "../tests/common/http.rs"]
#[allow(dead_code, reason = "tests need more of it")]
mod http;
#[path = "../tests/common/server.rs"]
#[allow(dead_code, reason = "tests need more of it")]
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use http::{Form, Http};
use partwise::audio::{Format, Writer};
use partwise::random::Stream;
use server::Server;

const RATE: u32 = 16_000;
const SECONDS: usize = 2;
/// A client asks for its job this often.
const POLL: Duration = Duration::from_millis(200);
/// One of so many results is fetched.
const FETCHED: usize = 20;
/// Clients share two cores with the service, so noise is made before, and clips are put together from it.
const BASES: usize = 16;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let number = |place: usize, usual: u64| arguments.get(place).map_or(usual, |number| number.parse().unwrap());
    let (clients, seconds) = (number(0, 200) as usize, number(1, 60));
    let program = arguments.get(2).map_or(env!("CARGO_BIN_EXE_partwise"), String::as_str);

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("models")).unwrap();
    for source in 0..2 {
        std::fs::write(path(&format!("source{source}.wav")), wav(&noise(source, 20))).unwrap();
    }
    let run = |arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).args(["--engine", "cpu"]).current_dir(folder.path()).stdout(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        assert!(output.status.success());
        output.stdout
    };
    run(&["train", "--source", "a=source0.wav", "--source", "b=source1.wav", "-o", "models/m.safetensors"]);
    let bases: Vec<Vec<u8>> = (0..BASES as u64).map(|base| wav(&noise(base, SECONDS))).collect();

    let server = Server::start(program, folder.path(), &[]);
    let load = load(&server, &bases, clients, Duration::from_secs(seconds));
    let same = load.print(clients, seconds);
    let (doubled, missing) = check(server.address, &load);
    println!("jobs lost {missing}, doubled {doubled}, not done {}", load.failed);
    server.kill();

    std::fs::create_dir(path("clips")).unwrap();
    for (client, number) in load.jobs.values() {
        std::fs::write(path(&format!("clips/{client:03}-{number:05}.wav")), clip(&bases, *client, *number)).unwrap();
    }
    let summary = run(&["separate", "clips", "--model", "models/m.safetensors", "-o", "out", "--json"]);
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
    let factor = summary["real_time_factor"].as_f64().unwrap();
    let audio = load.in_time as f64 * SECONDS as f64 / seconds as f64;
    println!(
        "service {audio:.1} times real time, command {factor:.1} ({} files), ratio {:.3}",
        summary["files"],
        audio / factor
    );
    let odd = load.statuses.keys().any(|&status| status >= 500);
    assert!(!odd && same && doubled + missing + load.failed == 0, "the service failed");
}

/// What the clients saw.
#[derive(Default)]
struct Load {
    /// By id: the client and the number of the clip.
    jobs: BTreeMap<String, (usize, usize)>,
    /// Jobs that were done before the end of the time.
    in_time: usize,
    failed: usize,
    statuses: BTreeMap<u16, usize>,
    /// Connections that broke.
    broken: usize,
    /// Jobs that two answers gave two ids, or whose progress went back from running to waiting.
    back: usize,
    /// Seconds that each call took.
    creates: Vec<f32>,
    looks: Vec<f32>,
    fetches: Vec<f32>,
    /// Seconds from the first try to the end of the job.
    jobs_took: Vec<f32>,
    /// Seconds since the start, and KiB.
    memory: Vec<(u64, u64)>,
    /// Seconds of processor time of the service and of the clients.
    processor: (f64, f64),
}

fn load(server: &Server, bases: &[Vec<u8>], clients: usize, time: Duration) -> Load {
    let (address, process) = (server.address, server.process().to_string());
    let (served, own) = (processor(&process), processor("self"));
    let since = Instant::now();
    let mut all = Load::default();
    thread::scope(|scope| {
        let spawn = |client| {
            let small = thread::Builder::new().stack_size(128 << 10);
            small.spawn_scoped(scope, move || work(address, bases, client, since, time)).unwrap()
        };
        let clients: Vec<_> = (0..clients).map(spawn).collect();
        for second in (0..=time.as_secs()).filter(|second| second % 10 == 0 && *second > 0) {
            thread::sleep((Duration::from_secs(second) - Duration::from_millis(100)).saturating_sub(since.elapsed()));
            all.memory.extend(memory(&process).map(|kib| (second, kib)));
        }
        thread::sleep(time.saturating_sub(since.elapsed()));
        all.processor = (processor(&process) - served, processor("self") - own);
        for client in clients {
            all.add(client.join().unwrap());
        }
    });
    all
}

/// One client.
fn work(address: SocketAddr, bases: &[Vec<u8>], client: usize, since: Instant, time: Duration) -> Load {
    let (mut http, mut load) = (Http::new(address), Load::default());
    // Not all of them at once.
    thread::sleep(Duration::from_millis(client as u64 * 2));
    for number in 0.. {
        if since.elapsed() >= time {
            break;
        }
        let clip = clip(bases, client, number);
        let form = Form::default().field("model", "m").file("recording", &format!("{number}.wav"), &clip);
        let key = format!("{client}-{number}");
        let first = Instant::now();
        let id = loop {
            let begun = Instant::now();
            let Ok(answer) = http.create(&form, &key) else {
                load.broken += 1;
                thread::sleep(POLL);
                continue;
            };
            load.creates.push(begun.elapsed().as_secs_f32());
            *load.statuses.entry(answer.status).or_default() += 1;
            match answer.status {
                200 | 202 => break answer.json()["id"].as_str().unwrap().to_owned(),
                429 | 503 | 507 => {
                    let wait = answer.header("retry-after").and_then(|seconds| seconds.parse().ok()).unwrap_or(1);
                    thread::sleep(Duration::from_secs(wait));
                }
                _ => panic!("{} {}", answer.status, answer.text()),
            }
        };
        load.jobs.insert(id.clone(), (client, number));
        let (path, mut running) = (format!("/v1/jobs/{id}"), false);
        loop {
            thread::sleep(POLL);
            let begun = Instant::now();
            let Ok(answer) = http.get(&path) else {
                load.broken += 1;
                continue;
            };
            load.looks.push(begun.elapsed().as_secs_f32());
            *load.statuses.entry(answer.status).or_default() += 1;
            let is = |state: &str| {
                let word = format!("\"state\":\"{state}\"");
                answer.body.windows(word.len()).any(|part| part == word.as_bytes())
            };
            if is("done") {
                load.in_time += usize::from(since.elapsed() < time);
                load.jobs_took.push(first.elapsed().as_secs_f32());
                break;
            }
            load.back += usize::from(running && is("queued"));
            running |= is("running");
            if !running && !is("queued") {
                load.failed += 1;
                eprintln!("{} {}", answer.status, answer.text());
                break;
            }
        }
        if (number + client).is_multiple_of(FETCHED) {
            let begun = Instant::now();
            match http.get(&format!("{path}/results/a")) {
                Ok(answer) => {
                    load.fetches.push(begun.elapsed().as_secs_f32());
                    *load.statuses.entry(answer.status).or_default() += 1;
                    assert_eq!(answer.body.len(), clip.len());
                }
                Err(_) => load.broken += 1,
            }
        }
    }
    load
}

/// Compares the list of all jobs with those that were accepted. Returns how many are there without, and accepted without being there.
fn check(address: SocketAddr, load: &Load) -> (usize, usize) {
    let (mut http, mut listed, mut after) = (Http::new(address), BTreeSet::new(), String::new());
    let mut doubled = 0;
    loop {
        let page = http.get(&format!("/v1/jobs?limit=200{after}")).unwrap().json();
        for job in page["jobs"].as_array().unwrap() {
            let id = job["id"].as_str().unwrap().to_owned();
            doubled += usize::from(!load.jobs.contains_key(&id));
            listed.insert(id);
        }
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    (doubled, load.jobs.keys().filter(|id| !listed.contains(*id)).count())
}

impl Load {
    fn add(&mut self, other: Self) {
        self.jobs.extend(other.jobs);
        self.in_time += other.in_time;
        self.failed += other.failed;
        self.broken += other.broken;
        self.back += other.back;
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.creates.extend(other.creates);
        self.looks.extend(other.looks);
        self.fetches.extend(other.fetches);
        self.jobs_took.extend(other.jobs_took);
    }

    /// Returns whether no client saw anything odd.
    fn print(&self, clients: usize, seconds: u64) -> bool {
        println!(
            "{clients} clients, {seconds} s: {} jobs accepted, {} done in this time",
            self.jobs.len(),
            self.in_time
        );
        println!("answers by status {:?}, broken connections {}, steps back {}", self.statuses, self.broken, self.back);
        for (what, times) in [
            ("create", &self.creates),
            ("status", &self.looks),
            ("result", &self.fetches),
            ("job, from post to done", &self.jobs_took),
        ] {
            let mut times = times.clone();
            times.sort_by(f32::total_cmp);
            let at = |share: f32| {
                times.get((share * (times.len().max(1) - 1) as f32) as usize).map_or(0.0, |time| 1e3 * time)
            };
            let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
            println!("{what:<23} {:>6} calls, p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms", times.len());
        }
        let memory = self.memory.iter().map(|(second, kib)| format!("{} MiB at {second} s", kib >> 10));
        println!("memory of the service: {}", memory.collect::<Vec<_>>().join(", "));
        println!("processor time: service {:.1} s, clients {:.1} s", self.processor.0, self.processor.1);
        self.broken + self.back == 0
    }
}

/// Samples of bursts of noise, about as many as speech has syllables.
fn noise(seed: u64, seconds: usize) -> Vec<i16> {
    let noise = Stream::new(seed, "noise");
    let burst = |n: u64| (n as f64 * (0.0011 + 0.0002 * (seed % 7) as f64)).sin().max(0.02);
    let sample = |n: u64| 20_000.0 * burst(n) * (noise.uniform(n) - 0.5);
    (0..seconds as u64 * u64::from(RATE)).map(|n| sample(n) as i16).collect()
}

fn wav(samples: &[i16]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path: &Path = &folder.path().join("x.wav");
    let mut writer = Writer::create(path, Format::WavPcm16, 1, RATE, samples.len() as u64).unwrap();
    writer.write(&[samples.iter().map(|&sample| f32::from(sample) / 32_768.0).collect::<Vec<_>>()]).unwrap();
    writer.finish().unwrap();
    std::fs::read(path).unwrap()
}

/// A clip that nothing else has: two halves of noise, and its own number in its last samples.
fn clip(bases: &[Vec<u8>], client: usize, number: usize) -> Vec<u8> {
    let mut clip = bases[(client + number) % bases.len()].clone();
    let (half, end) = (clip.len() / 4 * 2, clip.len());
    clip[half..].copy_from_slice(&bases[(3 * client + 5 * number + 1) % bases.len()][half..]);
    for (place, part) in [client, number >> 7, number & 127].into_iter().enumerate() {
        clip[end - 6 + 2 * place..][..2].copy_from_slice(&(part as i16).to_le_bytes());
    }
    clip
}

/// Memory of a process now, in KiB.
fn memory(process: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Processor time of a process, in seconds: Linux counts hundredths for programs, whatever its own clock.
fn processor(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|ticks| ticks.parse().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
