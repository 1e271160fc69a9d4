//! What the service counts, in the text format of Prometheus.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::job::State;

/// Upper bounds of the answers' times, in seconds.
const BUCKETS: [f64; 8] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// Counters since the start.
#[derive(Default)]
pub(super) struct Metrics {
    accepted: AtomicU64,
    refused: AtomicU64,
    ended: [AtomicU64; 3],
    /// Milliseconds of audio of jobs that are done.
    audio: AtomicU64,
    /// By the first digit of the status, from 1 to 5.
    answers: [AtomicU64; 5],
    /// Answers up to each bound, and above all.
    times: [AtomicU64; BUCKETS.len() + 1],
    /// Microseconds of all answers.
    time: AtomicU64,
}

/// What is now.
pub(super) struct Gauges {
    pub(super) waiting: usize,
    pub(super) running: usize,
    pub(super) seconds: f64,
    pub(super) bytes: u64,
    pub(super) paused: bool,
}

const ENDS: [State; 3] = [State::Done, State::Failed, State::Cancelled];

fn one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Metrics {
    pub(super) fn accepted(&self) {
        one(&self.accepted);
    }

    /// A job found no room in the queue.
    pub(super) fn refused(&self) {
        one(&self.refused);
    }

    pub(super) fn ended(&self, state: State, seconds: f64) {
        if let Some(place) = ENDS.iter().position(|&end| end == state) {
            one(&self.ended[place]);
        }
        if state == State::Done {
            self.audio.fetch_add((seconds * 1e3) as u64, Ordering::Relaxed);
        }
    }

    pub(super) fn answered(&self, status: u16, time: Duration) {
        one(&self.answers[usize::from(status / 100).clamp(1, 5) - 1]);
        let seconds = time.as_secs_f64();
        one(&self.times[BUCKETS.iter().position(|&bound| seconds <= bound).unwrap_or(BUCKETS.len())]);
        self.time.fetch_add(time.as_micros() as u64, Ordering::Relaxed);
    }

    /// The text of `GET /metrics`.
    pub(super) fn text(&self, now: &Gauges, engine: &str) -> String {
        let mut text = String::new();
        let mut metric = |name: &str, kind: &str, help: &str, values: &[(String, f64)]| {
            text += &format!("# HELP partwise_{name} {help}\n# TYPE partwise_{name} {kind}\n");
            let family = if kind == "histogram" { "" } else { name };
            for (labels, value) in values {
                text += &format!("partwise_{family}{labels} {value}\n");
            }
        };
        let plain = |value: f64| [(String::new(), value)];
        let info = format!(
            "{{version=\"{}\",engine=\"{}\"}}",
            env!("CARGO_PKG_VERSION"),
            engine.replace(['"', '\\', '\n'], " ")
        );
        metric("info", "gauge", "The version and the engine.", &[(info, 1.0)]);
        metric("jobs_accepted_total", "counter", "Jobs that were accepted.", &plain(read(&self.accepted) as f64));
        metric(
            "jobs_refused_total",
            "counter",
            "Jobs that found no room in the queue.",
            &plain(read(&self.refused) as f64),
        );
        let ended = ENDS.iter().zip(&self.ended);
        let ended: Vec<_> =
            ended.map(|(end, count)| (format!("{{state=\"{}\"}}", end.word()), read(count) as f64)).collect();
        metric("jobs_ended_total", "counter", "Jobs that have ended.", &ended);
        let audio = read(&self.audio) as f64 / 1e3;
        metric("audio_seconds_total", "counter", "Seconds of audio of jobs that are done.", &plain(audio));
        metric("jobs_waiting", "gauge", "Jobs that wait.", &plain(now.waiting as f64));
        metric("jobs_running", "gauge", "Jobs in progress.", &plain(now.running as f64));
        metric("queue_seconds", "gauge", "Seconds of audio of jobs that have not ended.", &plain(now.seconds));
        metric("queue_bytes", "gauge", "Bytes of their recordings.", &plain(now.bytes as f64));
        metric("paused", "gauge", "1 while jobs wait for room on the disk.", &plain(f64::from(u8::from(now.paused))));
        let answers = self.answers.iter().enumerate();
        let answers: Vec<_> =
            answers.map(|(class, count)| (format!("{{status=\"{}xx\"}}", class + 1), read(count) as f64)).collect();
        metric("answers_total", "counter", "Answers by status.", &answers);
        let (mut sum, mut times) = (0, Vec::new());
        for (place, count) in self.times.iter().enumerate() {
            sum += read(count);
            let bound = BUCKETS.get(place).map_or("+Inf".into(), f64::to_string);
            times.push((format!("answer_seconds_bucket{{le=\"{bound}\"}}"), sum as f64));
        }
        times.push(("answer_seconds_sum".into(), read(&self.time) as f64 / 1e6));
        times.push(("answer_seconds_count".into(), sum as f64));
        metric("answer_seconds", "histogram", "Times from a request's head to its answer's head.", &times);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_what_was_counted() {
        let metrics = Metrics::default();
        metrics.accepted();
        metrics.ended(State::Done, 2.5);
        metrics.ended(State::Failed, 9.0);
        for (status, milliseconds) in [(200, 3), (202, 30), (404, 8000)] {
            metrics.answered(status, Duration::from_millis(milliseconds));
        }
        let gauges = Gauges { waiting: 3, running: 1, seconds: 8.5, bytes: 7, paused: false };
        let text = metrics.text(&gauges, "cpu \"x\"");
        for line in [
            "partwise_jobs_accepted_total 1",
            "partwise_jobs_ended_total{state=\"done\"} 1",
            "partwise_jobs_ended_total{state=\"cancelled\"} 0",
            "partwise_audio_seconds_total 2.5",
            "partwise_jobs_waiting 3",
            "partwise_answers_total{status=\"2xx\"} 2",
            "partwise_answer_seconds_bucket{le=\"0.005\"} 1",
            "partwise_answer_seconds_bucket{le=\"0.05\"} 2",
            "partwise_answer_seconds_bucket{le=\"+Inf\"} 3",
            "partwise_answer_seconds_count 3",
            "# TYPE partwise_answer_seconds histogram",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.contains("engine=\"cpu  x \""), "{text}");
    }
}
