//! A desk: a thread that has a model and an engine, and separates all jobs with the same options. Jobs that wait at the same time
//! share panels.

use std::collections::HashMap;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::clock::now;
use super::folders;
use super::job::{Outcome, State};
use super::options;
use super::queue::{Ticket, Turn};
use super::refusal::INTERNAL;
use super::service::{Service, stems};
use crate::schedule::{
    self, File, FileReport, Files, Input, Job, Naming, OnError, PATTERN, Parameters, Station, Status, Watch,
};
use crate::separate::Plan;
use crate::{Error, Result};

/// How long a panel that is not full waits for more frames. Jobs that arrive together share it, and one that is alone hardly waits.
const PATIENCE: Duration = Duration::from_millis(10);
/// A run reports every file when it ends, so it ends after so many.
const MOST_FILES: usize = 4096;

/// Runs the desk of a job until its place is needed or the service ends.
pub(super) fn run(service: &Arc<Service>, first: &Ticket) {
    let desk = &first.request.desk;
    if let Err(error) = work(service, first) {
        log::warn!("no job of this kind can be done: {error}");
        for ticket in service.queue.drain(desk) {
            service.fail(&ticket, service.spoken(&ticket.id, &ticket.request, &error.to_string()));
        }
    }
    service.queue.leave(desk);
}

fn work(service: &Arc<Service>, first: &Ticket) -> Result<()> {
    let (request, settings) = (&first.request, &service.settings);
    let model = request.model.as_ref().map(|model| service.models.load(&model.name, &model.sha256)).transpose()?;
    let separation = options::separation(&request.given, &options::named(&service.sources(first)))?;
    let plan = options::plan(model.as_ref(), &separation)?;
    let mut stations = schedule::stations(&plan, &settings.engines, settings.engine.open(&settings.engines)?)?;
    let memory = settings.memory.unwrap_or_else(|| schedule::usual_memory(&stations, plan.scheme.stretch.is_none()));
    schedule::check_memory(memory, &plan.scheme, stations.iter().map(Station::lanes).sum())?;
    while service.queue.wait_turn(&request.desk) == Turn::Run {
        let folder = service.folders.run();
        let job = Job {
            scheme: &plan.scheme,
            naming: Naming { folder: folder.clone(), pattern: PATTERN.into(), format: plan.separation.format },
            wanted: plan.wanted()?,
            parameters: Parameters {
                version: env!("CARGO_PKG_VERSION").into(),
                model: request.model.as_ref().map(|model| model.sha256.clone()).unwrap_or_default(),
                separation: plan.separation.clone(),
            },
            on_error: OnError::Continue,
            threads: settings.stage_threads,
            memory,
            stop: service.queue.stop_flag(),
        };
        let ended = serve(service, &request.desk, &plan, &mut stations, &job);
        service.queue.rest(&request.desk);
        give_back();
        if let Err(cause) = folders::remove(&folder) {
            log::warn!("{cause}");
        }
        if !ended? {
            break;
        }
    }
    Ok(())
}

/// Gives freed memory back to the system. The threads of a run take theirs from pools that the C library keeps, and those of the next
/// run from others, so a busy service would come to hold the panels of many runs.
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes no pointer, and any thread may call it at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// One run. Returns whether the engines can go on.
fn serve(service: &Arc<Service>, desk: &str, plan: &Plan, stations: &mut [Station], job: &Job) -> Result<bool> {
    let run = Run { service, desk, job, since: Instant::now(), given: Mutex::default() };
    let sources = job.wanted.names(&plan.scheme.sources).into_iter().map(String::from).collect();
    let follow = &mut Follow { run: &run, sources };
    // A panic is a fault of this program that some recording has found. It must not take the other jobs with it.
    let ended = panic::catch_unwind(AssertUnwindSafe(|| schedule::run_live(stations, job, &run, PATIENCE, follow)));
    let left: Vec<Arc<Ticket>> = run.given().tickets.drain().map(|(_, ticket)| ticket).collect();
    let Ok(outcome) = ended else {
        after_panic(service, &left);
        return Ok(false);
    };
    // Jobs that were begun and not ended wait again.
    if outcome.as_ref().is_ok_and(|outcome| outcome.full) || outcome.as_ref().is_err_and(Error::is_full) {
        log::error!("there is no room for results; jobs wait until there is");
        service.queue.pause();
    }
    for ticket in left {
        if ticket.is_cancelled() {
            service.end(&ticket, State::Cancelled, Outcome::default());
        } else {
            service.queue.put_back(&ticket);
        }
    }
    match outcome {
        Err(error) if error.is_full() => Ok(true),
        Err(error) => Err(error),
        Ok(outcome) => match outcome.failure {
            Some(error @ Error::Engine(_)) => {
                log::error!("{error}; the engine is opened again");
                Ok(false)
            }
            Some(error) if !error.is_full() => Err(error),
            _ => Ok(true),
        },
    }
}

/// The jobs in progress when a run panicked: each is done again alone, and the one that panics alone has failed.
fn after_panic(service: &Service, left: &[Arc<Ticket>]) {
    log::error!("a run with {} jobs in progress panicked; the engine is opened again", left.len());
    for ticket in left {
        if left.len() == 1 {
            service.fail(ticket, INTERNAL.into());
        } else {
            ticket.alone.store(true, Ordering::Relaxed);
            service.queue.put_back(ticket);
        }
    }
}

/// A run's files: the jobs of the desk as they come.
struct Run<'a> {
    service: &'a Service,
    desk: &'a str,
    job: &'a Job<'a>,
    since: Instant,
    given: Mutex<Given>,
}

#[derive(Default)]
struct Given {
    /// Jobs in progress, by the index of their file.
    tickets: HashMap<usize, Arc<Ticket>>,
    count: usize,
    /// The run begins no more.
    stopped: bool,
}

impl Run<'_> {
    fn given(&self) -> MutexGuard<'_, Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The job of a file, which is not in progress any more.
    fn take(&self, index: usize) -> Option<Arc<Ticket>> {
        self.given().tickets.remove(&index)
    }
}

impl Files for Run<'_> {
    fn next(&self) -> Option<File> {
        loop {
            if self.given().stopped || self.given().count >= MOST_FILES {
                return None;
            }
            let ticket = self.service.queue.take(self.desk, self.since)?;
            let Some(file) = &ticket.request.recording else {
                self.service.fail(&ticket, "the job has no recording".into());
                continue;
            };
            let index = {
                let mut given = self.given();
                given.count += 1;
                let index = given.count;
                if ticket.alone.load(Ordering::Relaxed) {
                    given.count = MOST_FILES;
                }
                given.tickets.insert(index, Arc::clone(&ticket));
                index
            };
            let path = self.service.path(&ticket.id, file);
            ticket.started.store(now(), Ordering::Relaxed);
            match self.job.file(index, Input { path, below: ticket.id.clone().into(), problem: None }) {
                Ok(file) => return Some(file),
                Err(error) => {
                    self.take(index);
                    self.service.fail(&ticket, error.to_string());
                }
            }
        }
    }

    fn is_dropped(&self, index: usize) -> bool {
        self.given().tickets.get(&index).is_some_and(|ticket| ticket.is_cancelled())
    }

    fn stopped(&self) {
        self.given().stopped = true;
    }
}

/// Hears of the run's files.
struct Follow<'a, 'r> {
    run: &'r Run<'a>,
    /// The names of the stems.
    sources: Vec<String>,
}

impl Watch for Follow<'_, '_> {
    fn advanced(&mut self, index: usize, bytes: u64, _: f64) {
        let ticket = self.run.given().tickets.get(&index).cloned();
        if let Some(ticket) = ticket {
            let of = ticket.request.recording.as_ref().map_or(0, |file| file.bytes).max(1);
            self.run.service.queue.advance(&ticket, bytes as f64 / of as f64, now());
        }
    }

    fn finished(&mut self, index: usize, report: &FileReport, error: Option<&Error>) {
        let service = self.run.service;
        // A file that met a full disk is done again, with all others that the run leaves.
        if error.is_some_and(Error::is_full) {
            return;
        }
        let Some(ticket) = self.run.take(index) else { return };
        let spoken = |message: &String| service.spoken(&ticket.id, &ticket.request, message);
        match report.status {
            Status::Done => {
                let outcome = Outcome {
                    error: None,
                    warnings: report.warnings.iter().map(spoken).collect(),
                    stems: stems(&self.sources, &report.outputs, &report.bytes),
                };
                let folder = report.outputs.first().and_then(|output| output.parent()).unwrap_or(Path::new(""));
                service.done(&ticket, folder, outcome);
            }
            Status::Begun | Status::Failed => {
                let error = report.error.as_ref().map(spoken);
                service.fail(&ticket, error.unwrap_or_else(|| "it failed without a reason".into()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, ArrayView2};
    use serde_json::json;

    use super::super::job::{self, Kind, Record, Request};
    use super::super::settings::{Limits, Settings};
    use super::super::store::Identity;
    use super::*;
    use crate::audio::{Format, Recording, write};
    use crate::engine::Cpu;
    use crate::engines::{EngineChoice, Engines};
    use crate::model::{Model, Parts, Source, Summary};
    use crate::schedule::{OnWhich, Relay};
    use crate::separate::{self, Separated, Separator};
    use crate::spectrogram::{BandMap, Pad, Shape, Spectrum, StftParams};
    use crate::{Divergence, Result};

    const RATE: u32 = 8000;
    /// A panel with as many frames as this recording makes the engine panic.
    const ODD: usize = 3000;

    fn model() -> Model {
        let stft = StftParams { window: 128, hop: 64, fft: 128, shape: Shape::SqrtHann, pad: Pad::Full };
        let bases = |seed: usize| Array2::from_shape_fn((65, 2), |(f, k)| 0.1 + ((f * (k + seed)) % 7) as f32);
        Model {
            divergence: Divergence::KullbackLeibler,
            sample_rate: RATE,
            spectrum: Spectrum::Magnitude,
            bands: BandMap::Linear,
            pre_emphasis: 0.0,
            sources: [("one", 2), ("other", 3)]
                .map(|(name, seed)| Source { name: name.into(), bases: bases(seed) })
                .into(),
            parts: Parts::Nmf,
            normalize: None,
            options: None,
            training: Summary { seed: 0, engine: String::new(), version: String::new(), sources: Vec::new() },
            stft,
        }
    }

    struct Faulty<'a>(Box<dyn Separator + 'a>);

    impl Separator for Faulty<'_> {
        fn describe(&self) -> String {
            self.0.describe()
        }

        fn separate_as(
            &self,
            data: ArrayView2<f32>,
            segments: &[usize],
            request: &mut separate::Request,
        ) -> Result<Separated> {
            let odd = ODD.div_ceil(64)..ODD.div_ceil(64) + 4;
            assert!(!segments.iter().any(|frames| odd.contains(frames)), "a fault that a recording has found");
            self.0.separate_as(data, segments, request)
        }

        fn by_segment(&self) -> bool {
            self.0.by_segment()
        }
    }

    fn record(service: &Service, id: &str, samples: usize) -> Record {
        let folder = service.folders.job(id);
        std::fs::create_dir_all(&folder).unwrap();
        let channel = (0..samples).map(|n| (n as f32 * 0.3).sin()).collect();
        let recording = Recording { channels: vec![channel], sample_rate: RATE, warnings: Vec::new() };
        write(&folder.join("recording"), &recording, Format::WavPcm16).unwrap();
        let file = job::File {
            name: format!("{id}.wav"),
            path: "recording".into(),
            bytes: 2 * samples as u64,
            seconds: samples as f64 / f64::from(RATE),
            channels: 1,
            sample_rate: RATE,
        };
        let request = Request {
            kind: Kind::Separate,
            model: None,
            given: json!({}),
            options: json!({}),
            recording: Some(file),
            sources: Vec::new(),
            name: None,
            replace: false,
            desk: "a desk".into(),
        };
        Record {
            id: id.into(),
            client: "a client".into(),
            state: State::Queued,
            created: 0,
            started: None,
            ended: None,
            bytes: 0,
            request,
            outcome: Outcome::default(),
        }
    }

    #[test]
    fn a_recording_that_makes_a_run_panic_fails_alone() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            models: folder.path().join("models"),
            data: folder.path().join("data"),
            inputs: Vec::new(),
            tokens: None,
            engines: Engines::default(),
            engine: OnWhich::One(EngineChoice::Cpu),
            stage_threads: 2,
            memory: None,
            limits: Limits::default(),
        };
        let service = Service::open(settings).unwrap();
        let jobs = [("1", 2000), ("2", ODD), ("3", 5000), ("4", 9000)];
        for (id, samples) in jobs {
            let record = record(&service, id, samples);
            service.store.add(&record, Identity::default()).unwrap();
            service.queue.push(&record, None);
        }
        let model = model();
        let plan = options::plan(Some(&model), &options::separation(&json!({}), &[]).unwrap()).unwrap();
        let state = |id: &str| service.store.get("a client", id).unwrap().unwrap().state;
        let mut runs = 0;
        while jobs.iter().any(|(id, _)| !state(id).is_final()) {
            let separator: Box<dyn Separator> = Box::new(Faulty(plan.on(Cpu::new(Some(1)).unwrap().into())));
            let mut stations = vec![Station::new(vec![Relay::new(separator, |_| None)])];
            let folder = service.folders.run();
            let job = Job {
                scheme: &plan.scheme,
                naming: Naming { folder, pattern: PATTERN.into(), format: plan.separation.format },
                wanted: plan.wanted().unwrap(),
                parameters: Parameters {
                    version: String::new(),
                    model: String::new(),
                    separation: plan.separation.clone(),
                },
                on_error: OnError::Continue,
                threads: 2,
                memory: schedule::usual_memory(&stations, false),
                stop: service.queue.stop_flag(),
            };
            serve(&service, "a desk", &plan, &mut stations, &job).unwrap();
            runs += 1;
            assert!(runs < 9, "it does not end");
        }
        assert_eq!(jobs.map(|(id, _)| state(id)), [State::Done, State::Failed, State::Done, State::Done]);
        let failed = service.store.get("a client", "2").unwrap().unwrap();
        assert_eq!(failed.outcome.error.as_deref(), Some(INTERNAL));
    }
}
