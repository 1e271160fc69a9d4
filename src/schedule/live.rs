//! Tests of live runs: files that come one after another, are dropped, or follow a run on the same stations.
#![cfg(test)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::faults::{Unwatched, World, alone, faulty};
use super::*;
use crate::{EngineError, Error};

const PATIENCE: Duration = Duration::from_millis(10);
/// Far longer than any of these runs.
const LONG: Duration = Duration::from_secs(30);

/// Files that a test sends, one of which may be dropped.
struct Inbox {
    files: Mutex<Receiver<File>>,
    /// The index of a file, and how many answers it gets that it is still wanted.
    dropped: Option<(usize, usize)>,
    asked: AtomicUsize,
    stopped: AtomicBool,
}

impl Inbox {
    fn new(dropped: Option<(usize, usize)>) -> (Sender<File>, Self) {
        let (send, files) = channel();
        let files = Mutex::new(files);
        (send, Self { files, dropped, asked: AtomicUsize::new(0), stopped: AtomicBool::new(false) })
    }
}

impl Files for Inbox {
    fn next(&self) -> Option<File> {
        self.files.lock().unwrap().recv().ok()
    }

    fn is_dropped(&self, index: usize) -> bool {
        self.dropped
            .is_some_and(|(dropped, wanted)| dropped == index && self.asked.fetch_add(1, Ordering::Relaxed) >= wanted)
    }

    fn stopped(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// Passes on how files end, and counts their bytes.
struct Ends {
    ends: Sender<(usize, FileReport)>,
    bytes: BTreeMap<usize, u64>,
}

impl Watch for Ends {
    fn advanced(&mut self, index: usize, bytes: u64, _: f64) {
        *self.bytes.entry(index).or_default() += bytes;
    }

    fn finished(&mut self, index: usize, report: &FileReport, _: Option<&Error>) {
        // A test that has failed receives no more.
        let _ = self.ends.send((index, report.clone()));
    }
}

/// What a test does with a live run: it sends files and hears how they end.
struct Caller<'a> {
    job: &'a Job<'a>,
    inputs: Vec<Input>,
    files: Sender<File>,
    ends: Receiver<(usize, FileReport)>,
}

impl Caller<'_> {
    /// Sends the recording of this index.
    fn send(&self, index: usize) {
        self.files.send(self.job.file(index, self.inputs[index].clone()).unwrap()).unwrap();
    }

    /// Waits for the next file to end.
    fn end(&self) -> (usize, FileReport) {
        self.ends.recv_timeout(LONG).unwrap()
    }
}

/// Makes a live run of what `work` sends. Returns the outcome and the bytes by file.
fn live(
    job: &Job,
    inputs: Vec<Input>,
    stations: &mut [Station],
    dropped: Option<(usize, usize)>,
    work: impl FnOnce(Caller),
) -> (Outcome, BTreeMap<usize, u64>) {
    let (files, inbox) = Inbox::new(dropped);
    let (send, ends) = channel();
    thread::scope(|scope| {
        let run = scope.spawn(move || {
            let mut watch = Ends { ends: send, bytes: BTreeMap::new() };
            let outcome = run_live(stations, job, &inbox, PATIENCE, &mut watch).unwrap();
            assert_eq!(inbox.stopped.into_inner(), outcome.failure.is_some());
            (outcome, watch.bytes)
        });
        work(Caller { job, inputs, files, ends });
        run.join().unwrap()
    })
}

fn is_done(report: &FileReport) -> bool {
    report.status == Status::Done
}

#[test]
fn a_live_run_gives_the_bytes_of_a_batch() {
    let world = World::new(&[3, 4000, 70_000, 900, 50_000]);
    let expected = world.undisturbed();
    // Every second file has a folder of its own.
    let below = |index: usize| if index.is_multiple_of(2) { PathBuf::new() } else { format!("own/{index}").into() };
    for threads in [1, 3] {
        let out = format!("live{threads}");
        let mut job = world.job(&out);
        job.threads = threads;
        let mut inputs = world.inputs();
        inputs.iter_mut().enumerate().for_each(|(index, input)| input.below = below(index));
        let sizes = inputs.iter().map(|input| std::fs::metadata(&input.path).unwrap().len()).enumerate().collect();
        let (outcome, bytes) = live(&job, inputs, &mut [alone(world.separator())], None, |caller| {
            [4, 0, 1, 2, 3].into_iter().for_each(|index| caller.send(index));
            let mut ended = [(); 5].map(|()| {
                let (index, report) = caller.end();
                assert!(is_done(&report) && report.input == caller.inputs[index].path, "{report:?}");
                assert!(report.outputs.iter().all(|output| output.starts_with(world.path(&out).join(below(index)))));
                index
            });
            ended.sort_unstable();
            assert_eq!(ended, [0, 1, 2, 3, 4]);
        });
        assert_eq!((outcome.reports.len(), outcome.left, bytes), (5, 0, sizes));
        let outputs = outcome.reports.iter().flat_map(|report| &report.outputs);
        let outputs = outputs.map(|output| (output.file_name().unwrap().into(), std::fs::read(output).unwrap()));
        assert!(outputs.collect::<BTreeMap<PathBuf, Vec<u8>>>() == expected, "{threads} threads");
    }
}

/// No file waits until another one fills its panel.
#[test]
fn files_that_come_one_by_one_are_done_one_by_one() {
    let world = World::new(&[4000, 5000, 9000]);
    for threads in [1, 2] {
        let mut job = world.job(&format!("live{threads}"));
        job.threads = threads;
        live(&job, world.inputs(), &mut [alone(world.separator())], None, |caller| {
            for index in 0..3 {
                caller.send(index);
                let (ended, report) = caller.end();
                assert!(ended == index && is_done(&report), "{report:?}");
            }
        });
        assert!(world.files(&format!("live{threads}")) == world.undisturbed());
    }
}

#[test]
fn a_run_can_follow_another_on_the_same_stations() {
    let world = World::new(&[4000, 9000]);
    let mut stations = [alone(world.separator())];
    for out in ["first", "second", "third"] {
        let job = world.job(out);
        let (outcome, _) =
            live(&job, world.inputs(), &mut stations, None, |caller| (0..2).for_each(|index| caller.send(index)));
        assert!(outcome.failure.is_none() && outcome.busy > 0.0 && outcome.busy <= 1.0);
        assert!(world.files(out) == world.undisturbed(), "{out}");
    }
    world.run("batch", &mut stations, &mut Unwatched, |_, _| ());
    assert!(world.files("batch") == world.undisturbed());
}

#[test]
fn a_long_file_does_not_hold_a_short_one_back() {
    let world = World::new(&[1_000_000, 4000]);
    let mut job = world.job("live");
    (job.memory, job.threads) = (world.room(256), 2);
    // Some sixty panels of the long file take a second or more.
    let slow = faulty(world.separator(), |_, _| {
        thread::sleep(Duration::from_millis(20));
        Ok(())
    });
    live(&job, world.inputs(), &mut [alone(slow)], None, |caller| {
        (0..2).for_each(|index| caller.send(index));
        assert_eq!([caller.end().0, caller.end().0], [1, 0]);
    });
}

/// A file is dropped at every moment at which the run asks: while it is read, decoded, computed and encoded.
#[test]
fn a_dropped_file_leaves_nothing_and_disturbs_no_other() {
    let world = World::new(&[6000, 200_000, 5000]);
    let mut expected = world.undisturbed();
    let all = expected.clone();
    expected.retain(|name, _| !name.to_string_lossy().starts_with("01."));
    let (mut panels, mut cancelled, mut unread) = (Vec::new(), 0, 0);
    for wanted in 0.. {
        let out = format!("live{wanted}");
        let mut job = world.job(&out);
        (job.memory, job.threads, job.on_error) = (world.room(300), 2, OnError::Stop);
        let computed = AtomicUsize::new(0);
        let counted = faulty(world.separator(), |_, _| {
            computed.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        let mut files = Vec::new();
        let (outcome, _) = live(&job, world.inputs(), &mut [alone(counted)], Some((1, wanted)), |caller| {
            (0..2).for_each(|index| caller.send(index));
            files.extend([caller.end(), caller.end()]);
            // Files that come later are done too.
            caller.send(2);
            files.push(caller.end());
            // Unfinished files are gone before the run ends.
            let names = world.files(&out).into_keys().filter(|name| !name.to_string_lossy().starts_with(".run-"));
            let dropped = files.iter().any(|(_, report)| report.error.is_some());
            assert!(names.eq(if dropped { &expected } else { &all }.keys().cloned()), "{wanted}");
        });
        assert_eq!((outcome.reports.len(), outcome.left), (3, 0));
        let FileReport { error, hash, .. } = files.iter().find(|(index, _)| *index == 1).unwrap().1.clone();
        assert!(files.iter().all(|(index, report)| *index == 1 || is_done(report)), "{files:?}");
        panels.push(computed.into_inner());
        if error.is_none() {
            assert!(world.files(&out) == all, "{wanted}");
            break;
        }
        assert_eq!(error.as_deref(), Some("cancelled"), "{wanted}");
        assert!(world.files(&out) == expected, "{wanted}");
        cancelled += 1;
        unread += usize::from(hash.is_none());
    }
    // The file is hashed in eight parts, read in four blocks, and then computed.
    assert!(unread > 8 && cancelled > unread && panels[0] <= 2, "{unread} unread, {panels:?}");
    assert!(panels[cancelled / 2] < panels[cancelled], "{panels:?}");
}

/// What is dropped while a panel is computed ends with it: its masks are not written, and no panel behind it is computed.
#[test]
fn files_dropped_while_they_are_computed_end_with_the_panel() {
    struct Drops<'a>(&'a AtomicBool, Mutex<Receiver<File>>);
    impl Files for Drops<'_> {
        fn next(&self) -> Option<File> {
            self.1.lock().unwrap().recv().ok()
        }

        fn is_dropped(&self, _: usize) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }
    for lengths in [&[4000][..], &[60_000, 60_000]] {
        let world = World::new(lengths);
        let (dropped, panels) = (AtomicBool::new(false), AtomicUsize::new(0));
        let slow = faulty(world.separator(), |_, _| {
            panels.fetch_add(1, Ordering::Relaxed);
            // By now the next panels are waiting.
            thread::sleep(Duration::from_millis(200));
            dropped.store(true, Ordering::Relaxed);
            Ok(())
        });
        let mut job = world.job("live");
        job.memory = world.room(200);
        let (send, files) = channel();
        for (index, input) in world.inputs().into_iter().enumerate() {
            send.send(job.file(index, input).unwrap()).unwrap();
        }
        drop(send);
        let files = Drops(&dropped, Mutex::new(files));
        let outcome = run_live(&mut [alone(slow)], &job, &files, PATIENCE, &mut Unwatched).unwrap();
        let errors: Vec<_> = outcome.reports.iter().map(|report| report.error.as_deref()).collect();
        assert_eq!((panels.load(Ordering::Relaxed), errors), (1, vec![Some("cancelled"); lengths.len()]));
        assert!(world.files("live").is_empty());
    }
}

/// The caller is told, because its next file may never come.
#[test]
fn a_run_without_an_engine_ends_though_files_are_awaited() {
    let world = World::new(&[4000, 5000]);
    let job = world.job("live");
    let dead = faulty(world.separator(), |_, _| Err(EngineError::Lost("it fell off the bus".into()).into()));
    struct Awaited(Mutex<Receiver<File>>, Mutex<Option<Sender<File>>>);
    impl Files for Awaited {
        fn next(&self) -> Option<File> {
            self.0.lock().unwrap().recv_timeout(LONG).ok()
        }

        fn stopped(&self) {
            assert!(self.1.lock().unwrap().take().is_some(), "told twice");
        }
    }
    let (send, files) = channel();
    send.send(job.file(0, world.inputs().remove(0)).unwrap()).unwrap();
    let files = Awaited(Mutex::new(files), Mutex::new(Some(send)));
    let outcome = run_live(&mut [alone(dead)], &job, &files, PATIENCE, &mut Unwatched).unwrap();
    assert!(files.1.into_inner().unwrap().is_none(), "not told");
    assert!(outcome.reports[0].error.as_ref().unwrap().contains("it fell off the bus") && outcome.failure.is_some());
}

#[test]
fn a_stopped_run_asks_for_no_more_files() {
    let world = World::new(&[4000; 3]);
    let stop = AtomicBool::new(false);
    let mut job = world.job("live");
    job.stop = &stop;
    let (outcome, _) = live(&job, world.inputs(), &mut [alone(world.separator())], None, |caller| {
        caller.send(0);
        assert_eq!(caller.end().0, 0);
        stop.store(true, Ordering::Relaxed);
        // If the decoder waits already, what wakes it is still done. Otherwise nobody receives these.
        for index in 1..3 {
            let _ = caller.files.send(job.file(index, caller.inputs[index].clone()).unwrap());
        }
    });
    assert!(outcome.reports.len() < 3 && outcome.reports.iter().all(is_done) && outcome.left == 0);
}
