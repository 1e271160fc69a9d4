//! Tests of the order, of fair shares and of what fits.
#![cfg(test)]

use std::thread;

use serde_json::Value;

use super::*;
use crate::serve::job::{File, Kind, Outcome, Request, State};

const BOUNDS: Bounds = Bounds { seconds: 100.0, bytes: 1000, share: 1.0, running: 1, loaded: 2 };

fn record(id: &str, client: &str, desk: &str, seconds: f64) -> Record {
    let recording =
        File { name: id.into(), path: "recording".into(), bytes: 10, seconds, channels: 1, sample_rate: 8000 };
    let request = Request {
        kind: if desk == TRAINING { Kind::Train } else { Kind::Separate },
        model: None,
        given: Value::Null,
        options: Value::Null,
        recording: Some(recording),
        sources: Vec::new(),
        name: None,
        replace: false,
        desk: desk.into(),
    };
    Record {
        id: id.into(),
        client: client.into(),
        state: State::Queued,
        created: 0,
        started: None,
        ended: None,
        bytes: 10,
        request,
        outcome: Outcome::default(),
    }
}

/// The ids of the jobs that a desk is given, in order, until it would have to wait.
fn order(queue: &Queue, desk: &str) -> String {
    let mut order = String::new();
    while queue.lines().waits(desk) {
        order += &queue.take(desk, Instant::now()).unwrap().id;
    }
    order
}

#[test]
fn clients_take_turns_by_what_they_were_given() {
    let queue = Queue::new(BOUNDS);
    for id in ["1", "2", "3", "4"] {
        queue.push(&record(id, "busy", "a", 2.0), None);
    }
    queue.push(&record("x", "other", "a", 3.0), None);
    queue.push(&record("y", "other", "a", 3.0), None);
    assert_eq!(order(&queue, "a"), "1x2y34");
    // Who comes late was not given less: it has no claim on the past.
    for id in ["5", "6", "7"] {
        queue.push(&record(id, "busy", "a", 2.0), None);
    }
    queue.push(&record("z", "late", "a", 2.0), None);
    queue.push(&record("w", "late", "a", 2.0), None);
    assert_eq!(order(&queue, "a"), "5z6w7");
}

#[test]
fn what_does_not_fit_is_refused_until_there_is_room() {
    let queue = Arc::new(Queue::new(Bounds { share: 0.5, ..BOUNDS }));
    let mut one = queue.reserve("a", 600).unwrap();
    assert!(queue.reserve("b", 500).err().unwrap().retry_after.is_some());
    let large = queue.reserve("b", 1001).err().unwrap();
    assert!(large.reason.contains("more than 1000 bytes") && large.retry_after.is_none(), "{large:?}");
    one.add_seconds(50.0).unwrap();
    let full = queue.reserve("a", 0).unwrap().add_seconds(1.0).unwrap_err();
    assert!(full.reason.contains("of one client") && full.retry_after >= Some(1), "{full:?}");
    let mut two = queue.reserve("b", 0).unwrap();
    let large = two.add_seconds(50.5).unwrap_err();
    assert!(large.reason.contains("more than 50 seconds") && large.retry_after.is_none(), "{large:?}");
    two.add_seconds(50.0).unwrap();
    let reason = queue.reserve("c", 0).unwrap().add_seconds(1.0).unwrap_err().reason;
    assert!(reason.contains("seconds of audio as it may"), "{reason}");
    // An upload that was given up holds nothing.
    drop(two);
    assert_eq!(queue.load(), (0, 0, 50.0, 600));
    let ticket = queue.push(&record("1", "a", "d", 20.0), Some(one));
    assert_eq!(queue.load(), (1, 0, 20.0, 10));
    queue.take("d", Instant::now()).unwrap();
    assert_eq!(queue.load(), (0, 1, 20.0, 10));
    queue.end(&ticket);
    queue.end(&ticket);
    assert_eq!(queue.load(), (0, 0, 0.0, 0));
}

#[test]
fn the_desk_that_rested_longest_makes_room() {
    let queue = Queue::new(BOUNDS);
    let open = |id: &str, desk: &str| {
        let ticket = queue.push(&record(id, "a", desk, 1.0), None);
        assert_eq!(queue.wait_desk().unwrap().id, id);
        assert_eq!(queue.wait_turn(desk), Turn::Run);
        queue.take(desk, Instant::now()).unwrap();
        queue.rest(desk);
        queue.end(&ticket);
    };
    open("1", "a");
    open("2", "b");
    let again = queue.push(&record("3", "a", "a", 1.0), None);
    assert_eq!((queue.wait_turn("a"), queue.take("a", Instant::now()).unwrap().id.as_str()), (Turn::Run, "3"));
    queue.rest("a");
    queue.end(&again);
    open("4", "c");
    assert_eq!(queue.wait_turn("b"), Turn::Leave);
    queue.leave("b");
    // The trainings' desk takes no place.
    open("5", TRAINING);
    assert!(!queue.lines().desks["a"].leaves);
}

#[test]
fn a_run_gives_way_to_a_desk_that_waits() {
    let queue = Queue::new(BOUNDS);
    queue.push(&record("1", "a", "a", 1.0), None);
    queue.push(&record("2", "a", "a", 1.0), None);
    queue.wait_desk().unwrap();
    assert_eq!(queue.wait_turn("a"), Turn::Run);
    let began = Instant::now();
    assert_eq!(queue.take("a", began).unwrap().id, "1");
    queue.push(&record("3", "a", "b", 1.0), None);
    queue.wait_desk().unwrap();
    // One run at a time: the other desk waits, at first for the rest of a slice.
    assert_eq!(queue.take("a", began).unwrap().id, "2");
    let asked = Instant::now();
    assert!(queue.take("a", began).is_none() && asked.elapsed() < IDLE);
    queue.push(&record("4", "a", "a", 1.0), None);
    assert!(queue.take("a", began.checked_sub(SLICE).unwrap()).is_none(), "the slice is over");
    thread::scope(|scope| {
        let turn = scope.spawn(|| queue.wait_turn("b"));
        queue.rest("a");
        assert_eq!(turn.join().unwrap(), Turn::Run);
    });
}

#[test]
fn a_cancelled_job_is_not_begun_and_a_job_that_is_put_back_keeps_its_place() {
    let queue = Queue::new(BOUNDS);
    for id in ["1", "2", "3"] {
        queue.push(&record(id, "a", "d", 1.0), None);
    }
    assert_eq!(["1", "2", "3", "4"].map(|id| queue.position(id)), [Some(0), Some(1), Some(2), None]);
    assert!(matches!(queue.cancel("2"), Some(Cancelled::Waiting(ticket)) if ticket.id == "2"));
    let first = queue.take("d", Instant::now()).unwrap();
    assert!(matches!(queue.cancel("1"), Some(Cancelled::Running(_))) && first.is_cancelled());
    assert!(queue.cancel("9").is_none());
    queue.advance(&first, 0.5, 1);
    queue.put_back(&first);
    assert_eq!((queue.position("1"), first.progress()), (Some(0), 0.0));
    assert_eq!(order(&queue, "d"), "13");
}

#[test]
fn a_stop_wakes_everybody() {
    let queue = Queue::new(BOUNDS);
    thread::scope(|scope| {
        let opens = scope.spawn(|| queue.wait_desk().is_none());
        let waits = scope.spawn(|| queue.wait_turn("a"));
        let sleeps = scope.spawn(|| queue.sleep(Duration::from_secs(600)));
        let takes = scope.spawn(|| queue.take("a", Instant::now()).is_none());
        queue.stop();
        assert!(opens.join().unwrap() && takes.join().unwrap());
        sleeps.join().unwrap();
        assert_eq!(waits.join().unwrap(), Turn::Leave);
    });
}

#[test]
fn the_time_that_is_left_follows_the_progress() {
    let queue = Queue::new(BOUNDS);
    let ticket = queue.push(&record("1", "a", "d", 10.0), None);
    assert_eq!(queue.eta(&ticket, 0), None, "nothing is known of the speed");
    queue.take("d", Instant::now()).unwrap();
    ticket.started.store(1000, Ordering::Relaxed);
    queue.advance(&ticket, 0.25, 3000);
    assert_eq!([3000, 5000, 99_000].map(|now| queue.eta(&ticket, now)), [Some(6.0), Some(4.0), Some(0.0)]);
    queue.lines().speed.known = Some(4.0);
    let second = queue.push(&record("2", "a", "d", 10.0), None);
    assert_eq!(queue.eta(&second, 3000), Some((7.5 + 10.0) / 4.0));
}
