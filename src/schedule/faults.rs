//! Tests with injected faults: which files fail, which continue, and what is left on disk.
#![cfg(test)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ndarray::{Array2, ArrayView2};

use super::*;
use crate::audio::{FormatChoice, Recording, write};
use crate::engine::Cpu;
use crate::engine::testing::gpu;
use crate::job::{Separation, SeparationMethod};
use crate::methods::nmf2d;
use crate::model::{Model, Parts, Source, Summary};
use crate::random::Stream;
use crate::separate::{Plan, Request, Scheme, Separated, Separator, Wanted};
use crate::spectrogram::{BandMap, Pad, Shape, Spectrum, StftParams};
use crate::{Divergence, EngineError, Error, Result};

const RATE: u32 = 8000;
/// Updates that stop early.
fn separation() -> Separation {
    Separation { iterations: Some(12), tolerance: 0.01, ..Separation::default() }
}

fn noise(name: &str, count: usize) -> Vec<f32> {
    let stream = Stream::new(5, name);
    (0..count).map(|n| (stream.uniform(n as u64) - 0.5) as f32).collect()
}

/// A folder of recordings, and a plan for them.
pub(super) struct World {
    folder: tempfile::TempDir,
    plan: Plan<'static>,
    scheme: Scheme,
}

impl World {
    /// `lengths`: the number of samples of each recording.
    pub(super) fn new(lengths: &[usize]) -> Self {
        Self::of(lengths, |_| ())
    }

    /// The same, with a change to the model.
    fn of(lengths: &[usize], change: impl FnOnce(&mut Model)) -> Self {
        let stft = StftParams { window: 128, hop: 64, fft: 128, shape: Shape::SqrtHann, pad: Pad::Full };
        let bases = |name: &str| {
            let values = noise(name, 65 * 2).into_iter().map(|value| value + 0.6).collect();
            Array2::from_shape_vec((65, 2), values).unwrap()
        };
        let mut model = Model {
            divergence: Divergence::KullbackLeibler,
            sample_rate: RATE,
            spectrum: Spectrum::Magnitude,
            bands: BandMap::Linear,
            pre_emphasis: 0.0,
            sources: ["one", "other"].map(|name| Source { name: name.into(), bases: bases(name) }).into(),
            parts: Parts::Nmf,
            normalize: None,
            options: None,
            training: Summary { seed: 0, engine: String::new(), version: String::new(), sources: Vec::new() },
            stft,
        };
        change(&mut model);
        let plan = Plan::new(Some(Box::leak(Box::new(model))), &separation(), &mut |_| Ok(())).unwrap();
        let scheme = plan.scheme.clone();
        let world = Self { folder: tempfile::tempdir().unwrap(), plan, scheme };
        for (index, &length) in lengths.iter().enumerate() {
            world.record(&format!("{index:02}.wav"), length, RATE);
        }
        world
    }

    pub(super) fn record(&self, name: &str, length: usize, sample_rate: u32) {
        self.record_channels(name, vec![noise(name, length)], sample_rate);
    }

    fn record_channels(&self, name: &str, channels: Vec<Vec<f32>>, sample_rate: u32) {
        let recording = Recording { channels, sample_rate, warnings: Vec::new() };
        std::fs::create_dir_all(self.path("in")).unwrap();
        write(&self.path("in").join(name), &recording, FormatChoice::Same.of(Some(16))).unwrap();
    }

    /// The memory for panels of `columns` columns, with one of them on an engine.
    pub(super) fn room(&self, columns: usize) -> u64 {
        let panels = memory::at_once(&self.scheme, 1, std::fs::read_dir(self.path("in")).map_or(0, Iterator::count));
        memory::bytes_for(columns, &self.scheme, &self.scheme.view(RATE).unwrap(), panels)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn separator(&self) -> Box<dyn Separator + '_> {
        self.plan.on(Cpu::new(Some(1)).unwrap().into())
    }

    /// A job with default parameters.
    pub(super) fn job(&self, out: &str) -> Job<'_> {
        static GO_ON: AtomicBool = AtomicBool::new(false);
        Job {
            scheme: &self.scheme,
            naming: Naming { folder: self.path(out), pattern: PATTERN.into(), format: FormatChoice::Same },
            wanted: Wanted::all(self.scheme.sources.len()),
            parameters: Parameters {
                version: "tests".into(),
                model: "tests".into(),
                separation: self.plan.separation.clone(),
            },
            on_error: OnError::Continue,
            threads: 1,
            memory: self.room(1024),
            stop: &GO_ON,
        }
    }

    /// All recordings.
    pub(super) fn inputs(&self) -> Vec<Input> {
        list(&[self.path("in").display().to_string()], None).unwrap().inputs
    }

    /// Runs a batch of all recordings after `change` has modified its default parameters.
    pub(super) fn run<'a>(
        &'a self,
        out: &str,
        stations: &mut [Station],
        watch: &mut dyn Watch,
        change: impl FnOnce(&mut Job<'a>, &mut Batch),
    ) -> Outcome {
        let inputs = self.inputs();
        let (mut job, mut batch) = (self.job(out), Batch { inputs: &inputs, shard: None, resume: false });
        change(&mut job, &mut batch);
        run(stations, &job, &batch, watch).unwrap()
    }

    /// The output files by name of a job without faults.
    pub(super) fn undisturbed(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let outcome = self.run("undisturbed", &mut [alone(self.separator())], &mut Unwatched, |_, _| ());
        assert!(outcome.reports.iter().all(|report| report.status == Status::Done) && outcome.failure.is_none());
        self.files("undisturbed")
    }

    /// All files of a results folder except its manifest, by name.
    pub(super) fn files(&self, out: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = std::fs::read_dir(self.path(out)).unwrap().map(|entry| entry.unwrap().path());
        let name = |path: &Path| PathBuf::from(path.file_name().unwrap());
        files
            .filter(|path| !path.ends_with(MANIFEST))
            .map(|path| (name(&path), std::fs::read(&path).unwrap()))
            .collect()
    }

    /// The result of every file by the manifest: its name, and the error if it failed.
    fn ends(&self, out: &str) -> BTreeMap<String, Option<String>> {
        let lines = read_manifest(&self.path(out).join(MANIFEST)).unwrap();
        let name = |report: &FileReport| report.input.file_name().unwrap().to_str().unwrap().to_string();
        lines.into_iter().map(|report| (name(&report), report.error)).collect()
    }
}

pub(super) struct Unwatched;

impl Watch for Unwatched {
    fn advanced(&mut self, _: usize, _: u64, _: f64) {}
    fn finished(&mut self, _: usize, _: &FileReport, _: Option<&Error>) {}
}

/// A separator that first calls a function with the number of earlier panels and this panel's columns.
struct Faulty<'a, F> {
    then: Box<dyn Separator + 'a>,
    first: F,
    panels: AtomicUsize,
}

impl<F: Fn(usize, usize) -> Result<()> + Send + Sync> Separator for Faulty<'_, F> {
    fn describe(&self) -> String {
        format!("faulty {}", self.then.describe())
    }

    fn separate_as(&self, data: ArrayView2<f32>, segments: &[usize], request: &mut Request) -> Result<Separated> {
        (self.first)(self.panels.fetch_add(1, Ordering::Relaxed), data.nrows())?;
        self.then.separate_as(data, segments, request)
    }

    fn by_segment(&self) -> bool {
        self.then.by_segment()
    }
}

pub(super) fn faulty<'a>(
    then: Box<dyn Separator + 'a>,
    first: impl Fn(usize, usize) -> Result<()> + Send + Sync + 'a,
) -> Box<dyn Separator + 'a> {
    Box::new(Faulty { then, first, panels: AtomicUsize::new(0) })
}

fn lost() -> Result<()> {
    Err(EngineError::Lost("it fell off the bus".into()).into())
}

/// A station with one engine and no successor.
pub(super) fn alone<'a>(first: Box<dyn Separator + 'a>) -> Station<'a> {
    Station::new(vec![Relay::new(first, |_| None)])
}

#[test]
fn outputs_do_not_depend_on_panels_engines_or_order() {
    let world = World::new(&[3, 4000, 70_000, 900, 200_000]);
    let expected = world.undisturbed();
    for (out, columns, threads) in [("narrow", 1, 1), ("wide", 1 << 20, 1), ("threads", 700, 3)] {
        let change = |job: &mut Job, _: &mut Batch| (job.memory, job.threads) = (world.room(columns), threads);
        world.run(out, &mut [alone(world.separator())], &mut Unwatched, change);
        assert!(world.files(out) == expected, "{out}");
    }
    // One of two engines is slow, so its first panel finishes last.
    let taking = |milliseconds| {
        move |_, _| {
            std::thread::sleep(Duration::from_millis(milliseconds));
            Ok(())
        }
    };
    let slow = faulty(world.separator(), taking(60));
    let fast = faulty(faulty(world.separator(), taking(20)), taking(0));
    let outcome = world.run("two", &mut [alone(slow), alone(fast)], &mut Unwatched, |_, _| ());
    assert!(world.files("two") == expected);
    assert!(outcome.reports.iter().any(|report| report.engine.contains(", then ")), "no file was on both engines");
}

#[test]
fn a_panel_that_does_not_fit_is_halved() {
    let world = World::new(&[30_000, 4000, 50_000]);
    let widest = Mutex::new(Vec::new());
    let small = |_, columns: usize| {
        widest.lock().unwrap().push(columns);
        let full = columns > 300;
        if full { Err(EngineError::OutOfMemory("300 columns are too many".into()).into()) } else { Ok(()) }
    };
    let outcome = world.run("out", &mut [alone(faulty(world.separator(), small))], &mut Unwatched, |_, _| ());
    assert!(outcome.failure.is_none() && world.files("out") == world.undisturbed());
    // The engine remembers the limit: it does not try wide panels again.
    let widest = widest.into_inner().unwrap();
    assert!(widest[0] > 500 && widest.iter().filter(|&&columns| columns > 300).count() <= 2, "{widest:?}");
}

#[test]
fn a_lost_device_is_reopened_and_then_another_engine_takes_over() {
    let world = World::new(&[30_000, 60_000, 80_000, 50_000]);
    let expected = world.undisturbed();
    // The panels that each opened device computes before it is lost, and how often the other engine must take over.
    for (out, lives, others) in [("once", vec![1, 99], 0), ("often", vec![1, 1, 1, 99], 0), ("for good", vec![1, 0], 1)]
    {
        let opened = AtomicUsize::new(0);
        let device = || {
            let life = lives[opened.fetch_add(1, Ordering::Relaxed)];
            faulty(world.separator(), move |panel, _| if panel < life { Ok(()) } else { lost() })
        };
        let taken = AtomicUsize::new(0);
        let relay = Relay::new(device(), |successor| {
            Some(Ok(match successor {
                Successor::Reopened => device(),
                Successor::Other => {
                    taken.fetch_add(1, Ordering::Relaxed);
                    world.separator()
                }
            }))
        });
        let outcome = world.run(out, &mut [Station::new(vec![relay])], &mut Unwatched, |_, _| ());
        assert!(outcome.failure.is_none() && world.files(out) == expected, "{out}");
        assert_eq!((opened.into_inner(), taken.into_inner()), (lives.len(), others), "{out}");
        let engines: Vec<&str> = outcome.reports.iter().map(|report| report.engine.as_str()).collect();
        let other = engines.iter().any(|engine| engine.starts_with("cpu") || engine.contains("then cpu"));
        assert_eq!(other, others > 0, "{out}: {engines:?}");
    }
}

/// A real device of this machine is lost in the middle of a job.
#[test]
fn no_file_is_lost_if_the_gpu_is_destroyed() {
    let Some(first) = gpu() else { return };
    let world = World::new(&[30_000, 4000, 60_000]);
    let device = |gpu: crate::Gpu| world.plan.on(gpu.into());
    world.run("well", &mut [alone(device(first))], &mut Unwatched, |job, _| job.memory = world.room(128));
    let dying = |panel: usize| {
        let Some(gpu) = gpu() else { panic!("there was a gpu") };
        let destroy = gpu.destroyer();
        faulty(device(gpu), move |at, _| {
            if at == panel {
                destroy();
            }
            Ok(())
        })
    };
    let opened = AtomicUsize::new(0);
    let relay = Relay::new(dying(0), |successor| {
        assert_eq!(successor, Successor::Reopened);
        opened.fetch_add(1, Ordering::Relaxed);
        Some(Ok(if opened.load(Ordering::Relaxed) == 1 { dying(1) } else { device(gpu()?) }))
    });
    let outcome =
        world.run("dying", &mut [Station::new(vec![relay])], &mut Unwatched, |job, _| job.memory = world.room(128));
    assert!(outcome.failure.is_none() && outcome.reports.iter().all(|report| report.status == Status::Done));
    assert!(world.files("dying") == world.files("well"));
    assert_eq!(opened.into_inner(), 2);
}

#[test]
fn a_refused_shader_is_not_retried() {
    let world = World::new(&[4000, 9000]);
    let tried = AtomicUsize::new(0);
    let refused = |_, _| {
        tried.fetch_add(1, Ordering::Relaxed);
        Err(EngineError::Refused("no such instruction".into()).into())
    };
    let relay = Relay::new(faulty(world.separator(), refused), |successor| {
        assert_eq!(successor, Successor::Other, "a driver that refuses a shader refuses it again");
        Some(Ok(world.separator()))
    });
    let outcome = world.run("out", &mut [Station::new(vec![relay])], &mut Unwatched, |_, _| ());
    assert!(outcome.failure.is_none() && world.files("out") == world.undisturbed());
    assert_eq!(tried.into_inner(), 1);
}

#[test]
fn without_a_successor_finished_files_stay_and_the_rest_is_listed() {
    let world = World::new(&[4000; 30]);
    let expected = world.undisturbed();
    let device = faulty(world.separator(), |panel, _| if panel < 2 { Ok(()) } else { lost() });
    let outcome = world.run("out", &mut [alone(device)], &mut Unwatched, |job, _| job.memory = world.room(200));
    assert!(matches!(outcome.failure, Some(crate::Error::Engine(EngineError::Lost(_)))));
    let ends = world.ends("out");
    let failed: Vec<_> = ends.values().flatten().collect();
    assert!(!failed.is_empty() && failed.iter().all(|reason| reason.contains("it fell off the bus")));
    assert!(ends.len() > failed.len() && outcome.left == 30 - ends.len());
    let files = world.files("out");
    assert_eq!(files.len(), 2 * (ends.len() - failed.len()));
    assert!(files.iter().all(|(name, bytes)| expected[name] == *bytes));
    // Later, on a working machine.
    let outcome = world.run("out", &mut [alone(world.separator())], &mut Unwatched, |_, batch| batch.resume = true);
    assert_eq!((outcome.resumed.len(), outcome.reports.len()), (files.len() / 2, 30 - files.len() / 2));
    assert!(world.files("out") == expected);
}

#[test]
fn non_finite_gains_fail_only_their_files() {
    let world = World::of(&[4000, 5000], |model| {
        for source in &mut model.sources {
            source.bases.slice_mut(ndarray::s![40.., ..]).fill(f32::MAX);
        }
    });
    world.record("broad.wav", 4000, RATE);
    // A recording at half the rate lacks the upper bins, where this model's bases are as large as f32 can hold.
    world.record("narrow.wav", 4000, RATE / 2);
    let outcome = world.run("out", &mut [alone(world.separator())], &mut Unwatched, |_, _| ());
    let ends = world.ends("out");
    assert_eq!((outcome.reports.len(), ends["narrow.wav"].as_ref()), (4, None));
    for name in ["00.wav", "01.wav", "broad.wav"] {
        assert!(ends[name].as_ref().unwrap().contains("no finite gains"), "{ends:?}");
    }
    assert_eq!(world.files("out").len(), 2);
}

#[test]
fn a_file_that_changes_while_being_read_fails_alone() {
    // It is too long for the first pass to keep its samples for the second.
    let world = World::new(&[4000, 5_000_000, 6000]);
    let expected = world.undisturbed();
    let long = world.path("in/01.wav");
    let whole = std::fs::read(&long).unwrap();
    let shrink = || std::fs::File::options().write(true).open(&long).unwrap().set_len(5_000_000).unwrap();
    let grow = || std::fs::write(&long, [&whole[..], &[0; 100]].concat()).unwrap();
    let vanish = || std::fs::remove_file(&long).unwrap();
    let changes: [(&str, &(dyn Fn() + Sync)); 3] = [("shrinks", &shrink), ("grows", &grow), ("vanishes", &vanish)];
    for (out, change) in changes {
        let change = |panel, _| {
            if panel == 1 {
                change();
            }
            Ok(())
        };
        world.run(out, &mut [alone(faulty(world.separator(), change))], &mut Unwatched, |_, _| ());
        let ends = world.ends(out);
        assert!(ends["00.wav"].is_none() && ends["02.wav"].is_none(), "{ends:?}");
        let reason = ends["01.wav"].as_ref().unwrap();
        assert!(reason.contains("01.wav: changed while it was read"), "{out}: {reason}");
        let files = world.files(out);
        assert!(files.len() == 4 && files.iter().all(|(name, bytes)| expected[name] == *bytes), "{out}");
        std::fs::write(&long, &whole).unwrap();
    }
}

/// Stops the job once a file is finished.
struct StopAfterOne<'a>(&'a AtomicBool);

impl Watch for StopAfterOne<'_> {
    fn advanced(&mut self, _: usize, _: u64, _: f64) {}
    fn finished(&mut self, _: usize, _: &FileReport, _: Option<&Error>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn an_interrupted_job_finishes_started_files_and_can_resume() {
    let world = World::new(&[4000; 60]);
    let stop = Box::leak(Box::new(AtomicBool::new(false)));
    let narrow = |job: &mut Job| (job.memory, job.threads) = (world.room(1), 1);
    let outcome = world.run("out", &mut [alone(world.separator())], &mut StopAfterOne(stop), |job, _| {
        narrow(job);
        job.stop = stop;
    });
    let done = outcome.reports.len();
    assert!(done >= 1 && outcome.left == 60 - done && outcome.left > 0, "{done} done");
    assert!(outcome.reports.iter().all(|report| report.status == Status::Done));
    assert_eq!(world.files("out").len(), 2 * done);
    let outcome = world.run("out", &mut [alone(world.separator())], &mut Unwatched, |_, batch| batch.resume = true);
    assert_eq!((outcome.resumed.len(), outcome.reports.len(), outcome.left), (done, 60 - done, 0));
    assert!(world.files("out") == world.undisturbed());
}

#[test]
fn a_resumed_job_repeats_files_whose_results_do_not_match_the_manifest() {
    let world = World::new(&[4000, 5000, 6000, 7000]);
    let resume = |parameters: Option<&str>| {
        let mut stations = [alone(world.separator())];
        let outcome = world.run("out", &mut stations, &mut Unwatched, |job, batch| {
            batch.resume = true;
            if let Some(model) = parameters {
                job.parameters.model = model.into();
            }
        });
        let names =
            outcome.reports.iter().map(|report| report.input.file_name().unwrap().to_str().unwrap().to_string());
        let mut names: Vec<String> = names.collect();
        names.sort();
        assert_eq!(outcome.resumed.len() + names.len(), 4);
        names
    };
    let all = ["00.wav", "01.wav", "02.wav", "03.wav"];
    assert_eq!(resume(None), all);
    assert!(resume(None).is_empty());
    // A missing output, a truncated output, and a changed input.
    std::fs::remove_file(world.path("out/00.one.wav")).unwrap();
    std::fs::File::options().write(true).open(world.path("out/01.other.wav")).unwrap().set_len(100).unwrap();
    world.record("02.wav", 6001, RATE);
    assert_eq!(resume(None), all[..3]);
    assert_eq!(resume(Some("another model")), all);
    assert!(resume(Some("another model")).is_empty());
    assert_eq!(resume(None), all);
}

#[test]
fn shards_together_give_the_outputs_of_the_whole_job() {
    let world = World::new(&[4000, 5000, 6000, 7000, 8000]);
    let expected = world.undisturbed();
    let mut names = Vec::new();
    for shard in ["1/3", "2/3", "3/3"] {
        let change = |_: &mut Job, batch: &mut Batch| batch.shard = Some(shard.parse().unwrap());
        let outcome = world.run("out", &mut [alone(world.separator())], &mut Unwatched, change);
        names.extend(outcome.reports.into_iter().map(|report| report.input));
    }
    names.sort();
    assert_eq!(names, (0..5).map(|index| world.path(&format!("in/{index:02}.wav"))).collect::<Vec<_>>());
    assert!(world.files("out") == expected);
}

#[test]
fn the_engine_s_time_is_counted_once() {
    let world = World::new(&[4000; 12]);
    let slow = |_, _| {
        std::thread::sleep(Duration::from_millis(30));
        Ok(())
    };
    let lane = || Relay::new(faulty(world.separator(), slow), |_| None);
    let mut stations = [Station::new(vec![lane(), lane()])];
    let busy = world.run("out", &mut stations, &mut Unwatched, |job, _| job.memory = world.room(100)).busy;
    assert!(busy > 0.3 && busy <= 1.0, "{busy}");
    let idle = world.run("again", &mut stations, &mut Unwatched, |_, batch| batch.resume = true);
    assert!(idle.busy <= 1.0, "the time of the first job is counted again: {}", idle.busy);
}

/// A recording that is separated as a whole is a panel of its own, with its channels as segments, however narrow other
/// panels must be. It is not halved, and one that does not fit in memory fails alone.
#[test]
fn a_recording_separated_as_a_whole_is_not_divided() {
    let mut world = World::new(&[30_000, 5_000, 4_000]);
    world.record_channels("00.wav", vec![noise("left", 40_000), noise("right", 40_000)], RATE);
    world.record("02.wav", 9_000, 2 * RATE);
    world.scheme.stretch = None;
    world.scheme.sample_rate = None;
    let own =
        nmf2d::Separation { time_lags: Some(3), pitch_lags: Some(2), starts: Some(2), ..nmf2d::Separation::default() };
    let method = Some(SeparationMethod::Nmf2d(own));
    let separation = Separation { method, iterations: Some(5), ..Separation::default() };
    let plan = Plan::new(None, &separation, &mut |_| Ok(())).unwrap();
    let blind = |threads| plan.on(Cpu::new(Some(threads)).unwrap().into());
    let panels = Mutex::new(Vec::new());
    let noted = |_, columns: usize| {
        panels.lock().unwrap().push(columns);
        Ok(())
    };
    let outcome =
        world.run("out", &mut [alone(faulty(blind(2), noted))], &mut Unwatched, |job, _| job.memory = world.room(2000));
    assert!(outcome.failure.is_none() && outcome.reports.iter().all(|report| report.status == Status::Done));
    let frames = |samples: usize| (samples + 64).div_ceil(64);
    let mut panels = std::mem::take(&mut *panels.lock().unwrap());
    panels.sort_unstable();
    assert_eq!(panels, [frames(5_000), frames(9_000), 2 * frames(40_000)]);

    // On one thread, with a device that is too small for the longest recording.
    let small = |_, columns: usize| {
        let full = columns > 300;
        if full { Err(EngineError::OutOfMemory("300 columns are too many".into()).into()) } else { Ok(()) }
    };
    let relay = Relay::new(faulty(blind(1), small), |successor| {
        assert_eq!(successor, Successor::Other);
        Some(Ok(blind(1)))
    });
    let outcome = world.run("small", &mut [Station::new(vec![relay])], &mut Unwatched, |job, _| {
        (job.memory, job.threads) = (world.room(2000), 3);
    });
    assert!(outcome.failure.is_none() && world.files("small") == world.files("out"));
    assert!(outcome.reports.iter().any(|report| report.engine.starts_with("cpu")));

    let outcome = world.run("less", &mut [alone(blind(1))], &mut Unwatched, |job, _| job.memory = world.room(1000));
    let errors: Vec<&str> = outcome.reports.iter().filter_map(|report| report.error.as_deref()).collect();
    assert_eq!((outcome.reports.len(), errors.len()), (3, 1));
    assert!(errors[0].contains("00.wav") && errors[0].contains("separated as a whole, which takes"), "{}", errors[0]);
    let files = world.files("out").into_iter().filter(|(name, _)| !name.to_string_lossy().contains("00."));
    assert!(world.files("less") == files.collect());
}
