//! Measures a stream: its share of a processor, its delay, and the time that the samples of one block take.
//!
//!     cargo bench --bench streams -- [SECONDS] [BLOCK]        (default: 60 s of audio, in blocks of 10 ms)
//!
//! Trains models of speech and piano with 64 components each at 16 kHz and at 48 kHz from `examples/audio`, and pushes a mixture of
//! other recordings block by block, as fast as it goes: with stretches of one frame and with the usual ones, on one thread and on
//! all, and at another rate than the model's.
//!
//! A line has the seconds of processor time for a second of audio; the delay, the most samples that were pushed and not returned;
//! and the wall time of those blocks that complete a stretch, median and 99th percentile.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]

use std::ops::ControlFlow::Continue;
use std::time::{Duration, Instant};

use partwise::engines::Engines;
use partwise::separate::Plan;
use partwise::{AnyEngine, EngineChoice, Model, Recording, Separation, Stream, Training, audio, train};

fn main() {
    // Cargo adds `--bench`.
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse::<f64>().ok());
    let (seconds, block) = (numbers.next().unwrap_or(60.0), numbers.next().unwrap_or(10.0));
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    println!(
        "{:<10}{:<10}{:<10}{:>8}{:>10}{:>10}{:>11}{:>9}",
        "stream", "model", "stretch", "threads", "cpu s/s", "delay ms", "median ms", "p99 ms"
    );
    for (rate, of_model) in [(16_000, 16_000), (48_000, 48_000), (48_000, 16_000)] {
        let (model, samples) = (model(of_model), mixture(rate, seconds));
        for follow in [true, false] {
            for threads in [1, cores] {
                // Transforms share the pool that the call runs in.
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let engine = Engines { threads: Some(threads), ..Engines::default() }.open(&EngineChoice::Cpu).unwrap();
                let size = (block * 1e-3 * f64::from(rate)).round() as usize;
                let found = pool.install(|| stream(&engine, &model, &samples, (rate, size), follow));
                let stretch = if follow { "1 frame" } else { "usual" };
                let at =
                    |share: f64| 1e3 * found.times[((found.times.len() - 1) as f64 * share) as usize].as_secs_f64();
                println!(
                    "{rate:<10}{of_model:<10}{stretch:<10}{threads:>8}{:>10.4}{:>10.1}{:>11.2}{:>9.2}",
                    found.cpu.as_secs_f64() / seconds,
                    1e3 * found.delay as f64 / f64::from(rate),
                    at(0.5),
                    at(0.99)
                );
            }
        }
    }
}

/// What was found of a stream.
struct Found {
    /// Processor time.
    cpu: Duration,
    /// Samples that were pushed and not returned, at most.
    delay: usize,
    /// The wall time of blocks that complete a stretch, in order of size.
    times: Vec<Duration>,
}

fn stream(engine: &AnyEngine, model: &Model, samples: &[f32], (rate, size): (u32, usize), follow: bool) -> Found {
    let separation = Separation { follow, only: Some("speech".into()), ..Separation::default() };
    let plan = Plan::new(Some(model), &separation, &mut |_| Ok(())).unwrap();
    let separator = plan.on_borrowed(engine);
    let mut stream = Stream::new(&plan, &*separator, 1, rate).unwrap();
    let (mut pushed, mut given, mut delay, mut times) = (0, 0, 0, Vec::new());
    let begun = processor_time();
    for block in samples.chunks(size) {
        let started = Instant::now();
        let ready = stream.push(&[block]).unwrap()[0].recording.frames();
        if ready > 0 {
            times.push(started.elapsed());
        }
        (pushed, given) = (pushed + block.len(), given + ready);
        delay = delay.max(pushed - given);
    }
    stream.finish().unwrap();
    let cpu = processor_time() - begun;
    times.sort_unstable();
    Found { cpu, delay, times }
}

fn recordings(folder: &str, rate: u32) -> Vec<Recording> {
    let own = audio::read_folder(format!("examples/audio/{folder}").as_ref()).unwrap();
    let at_rate = |recording: &Recording| {
        let samples = audio::resample(&recording.channels[0], recording.sample_rate, rate).unwrap();
        Recording::new(vec![samples], rate).unwrap()
    };
    own.iter().map(at_rate).collect()
}

fn model(rate: u32) -> Model {
    let engine = EngineChoice::Cpu.open().unwrap();
    let (speech, piano) = (recordings("speech/train", rate), recordings("piano/train", rate));
    let training = Training { rank: 64.into(), ..Training::default() };
    train(&engine, &[("speech", &speech), ("piano", &piano)], &training, &mut |_| Continue(())).unwrap()
}

/// Recordings that the model does not know, over and over.
fn mixture(rate: u32, seconds: f64) -> Vec<f32> {
    let all = |folder| {
        recordings(folder, rate).into_iter().flat_map(|recording| recording.channels.concat()).collect::<Vec<f32>>()
    };
    let (speech, piano) = (all("speech/test"), all("piano/test"));
    let sum = speech.iter().cycle().zip(piano.iter().cycle()).map(|(a, b)| 0.5 * (a + b));
    sum.take((seconds * f64::from(rate)) as usize).collect()
}

/// The processor time of all threads of this process.
#[cfg(unix)]
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to the structure that it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// Elsewhere, wall time: right with one thread on a machine that does nothing else.
#[cfg(not(unix))]
fn processor_time() -> Duration {
    use std::sync::OnceLock;
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    BEGUN.get_or_init(Instant::now).elapsed()
}
