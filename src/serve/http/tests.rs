//! The API without a socket.
#![cfg(test)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::app;
use crate::audio::{self, Format, Recording};
use crate::engines::{EngineChoice, Engines};
use crate::schedule::OnWhich;
use crate::serve::dispatch;
use crate::serve::server::Server;
use crate::serve::service::Service;
use crate::serve::settings::{Limits, Settings};
use crate::serve::tokens::Tokens;

/// A service of its own.
struct World {
    folder: tempfile::TempDir,
    service: Arc<Service>,
    app: Router,
    runtime: tokio::runtime::Runtime,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.body)))
    }

    fn header(&self, name: header::HeaderName) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// Checks an error, and returns its sentence.
    fn refused(&self, status: u16, code: &str) -> String {
        let body = self.json();
        assert_eq!((self.status.as_u16(), &body["error"]["code"]), (status, &json!(code)), "{body}");
        body["error"]["message"].as_str().unwrap().to_owned()
    }
}

/// A part of a form: its name, the name of its file if it is one, and its content.
type Part<'a> = (&'a str, Option<&'a str>, &'a [u8]);

fn settings(folder: &Path) -> Settings {
    Settings {
        models: folder.join("models"),
        data: folder.join("data"),
        inputs: Vec::new(),
        tokens: None,
        engines: Engines { threads: Some(2), ..Engines::default() },
        engine: OnWhich::One(EngineChoice::Cpu),
        stage_threads: 1,
        memory: Some(64 << 20),
        limits: Limits::default(),
    }
}

impl World {
    fn new() -> Self {
        Self::with(|_, _| {})
    }

    fn with(change: impl FnOnce(&Path, &mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(folder.path());
        change(folder.path(), &mut settings);
        let service = Service::open(settings).unwrap();
        let app = app(&service);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { folder, service, app, runtime }
    }

    /// Begins to work at jobs.
    fn begin(&self) -> &Self {
        dispatch::start(&self.service).unwrap();
        self
    }

    fn send(&self, request: Request<Body>) -> Answer {
        self.runtime.block_on(async {
            let response = self.app.clone().oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
            Answer { status: parts.status, headers: parts.headers, body }
        })
    }

    fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap())
    }

    fn post(&self, path: &str) -> Answer {
        self.send(Request::post(path).body(Body::empty()).unwrap())
    }

    /// Creates a job.
    fn create(&self, headers: &[(&str, &str)], parts: &[Part]) -> Answer {
        let mut body = Vec::new();
        for (name, file, content) in parts {
            let file = file.map_or(String::new(), |file| format!("; filename=\"{file}\""));
            body.extend(format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").into_bytes());
            body.extend(*content);
            body.extend(b"\r\n");
        }
        body.extend(b"--XX--\r\n");
        let mut request = Request::post("/v1/jobs").header(header::CONTENT_TYPE, "multipart/form-data; boundary=XX");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body)).unwrap())
    }

    /// Waits for the end of a job.
    fn end(&self, id: &str) -> Value {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let job = self.get(&format!("/v1/jobs/{id}")).json();
            if !["queued", "running"].contains(&job["state"].as_str().unwrap()) {
                return job;
            }
            assert!(Instant::now() < until, "{job}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Trains a model of a low and a high tone by the API.
    fn train(&self) -> Value {
        let options = br#"{"rank": 2, "iterations": 5}"#;
        let (low, high) = (tone(0.1, 4000), tone(1.1, 4000));
        let job = self.create(
            &[],
            &[
                ("kind", None, b"train"),
                ("name", None, b"tones"),
                ("options", None, options),
                ("source:low", Some("low.wav"), &low),
                ("source:high", Some("high.wav"), &high),
            ],
        );
        assert_eq!(job.status, StatusCode::ACCEPTED, "{}", job.json());
        self.end(id(&job))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        assert!(self.service.drain(Duration::from_secs(60)));
    }
}

fn id(answer: &Answer) -> &'static str {
    answer.json()["id"].as_str().unwrap().to_owned().leak()
}

/// A tone at 8 kHz, as the bytes of a WAV file.
fn tone(step: f32, samples: usize) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let samples = (0..samples).map(|n| 0.5 * (n as f32 * step).sin()).collect();
    audio::write(file.path(), &Recording::new(vec![samples], 8000).unwrap(), Format::WavPcm16).unwrap();
    std::fs::read(file.path()).unwrap()
}

#[test]
fn from_recordings_to_a_model_and_from_an_upload_to_stems() {
    let world = World::new();
    world.begin();
    let trained = world.train();
    assert_eq!(
        (&trained["state"], &trained["name"], &trained["progress"]),
        (&json!("done"), &json!("tones"), &json!(1.0)),
        "{trained}"
    );
    let models = world.get("/v1/models").json();
    assert_eq!(models["models"][0]["sources"], json!(["low", "high"]), "{models}");
    assert_eq!(world.get("/v1/models/tones").json()["options"]["rank"], 2);

    let mixture = tone(0.1, 6000);
    let form: &[Part] = &[
        ("model", None, b"tones"),
        ("options", None, br#"{"format": "wav-f32", "iterations": 3}"#),
        ("recording", Some("../my s\u{f6}ng.wav"), &mixture),
    ];
    let created = world.create(&[], form);
    assert_eq!(
        (created.status, created.header(header::LOCATION)),
        (StatusCode::ACCEPTED, &*format!("/v1/jobs/{}", id(&created)))
    );
    let job = world.end(id(&created));
    assert_eq!((&job["state"], &job["recording"]["name"]), (&json!("done"), &json!("my s\u{f6}ng.wav")), "{job}");
    assert_eq!(job["recording"]["seconds"], 0.75);
    assert_eq!(job["results"][1]["file"], "my s\u{f6}ng.high.wav");

    let path = format!("/v1/jobs/{}", id(&created));
    let stem = world.get(&format!("{path}/results/low"));
    assert_eq!((stem.status, stem.header(header::CONTENT_TYPE)), (StatusCode::OK, "audio/wav"));
    assert!(stem.header(header::CONTENT_DISPOSITION).contains("filename*=UTF-8''my%20s%C3%B6ng.low.wav"));
    assert_eq!(json!(stem.body.len()), job["results"][0]["bytes"]);
    let part = world.send(
        Request::get(format!("{path}/results/low")).header(header::RANGE, "bytes=10-19").body(Body::empty()).unwrap(),
    );
    assert_eq!((part.status, &part.body[..]), (StatusCode::PARTIAL_CONTENT, &stem.body[10..20]));

    // The stems are those of the library.
    let model = crate::Model::load(&world.folder.path().join("models/tones.safetensors")).unwrap();
    let file = world.folder.path().join("x");
    std::fs::write(&file, &mixture).unwrap();
    let separation = serde_json::from_value(json!({"iterations": 3})).unwrap();
    let engine = EngineChoice::Cpu.open().unwrap();
    let go = &mut |_| std::ops::ControlFlow::Continue(());
    let stems = crate::separate(&engine, Some(&model), &audio::read(&file).unwrap(), &separation, go).unwrap();
    std::fs::write(&file, &stem.body).unwrap();
    assert!(audio::read(&file).unwrap().channels == stems[0].recording.channels);

    let archive = world.get(&format!("{path}/results"));
    assert!(archive.header(header::CONTENT_DISPOSITION).contains("my%20s%C3%B6ng.zip"));
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(archive.body)).unwrap();
    let mut found = Vec::new();
    std::io::Read::read_to_end(&mut zip.by_name("my s\u{f6}ng.low.wav").unwrap(), &mut found).unwrap();
    assert!(found == stem.body && zip.len() == 2);

    for picture in ["results/low/spectrogram", "recording/spectrogram"] {
        let picture = world.get(&format!("{path}/{picture}"));
        assert!(picture.body.starts_with(b"\x89PNG") && picture.header(header::CONTENT_TYPE) == "image/png");
    }
    assert!(world.get(&format!("{path}/recording")).body == mixture);
    assert!(world.get(&format!("{path}/recording?format=wav")).body.starts_with(b"RIFF"));
    world.get(&format!("{path}/recording?format=mp3")).refused(400, "bad-request");
    assert_eq!(world.send(Request::delete(&path).body(Body::empty()).unwrap()).status, StatusCode::NO_CONTENT);
    world.get(&path).refused(404, "not-found");
    assert!(!world.service.folders.job(id(&created)).exists());
}

#[test]
fn what_cannot_be_used_is_refused_with_the_reason() {
    let world = World::with(|_, settings| {
        settings.limits.recording_seconds = 2.0;
        settings.limits.upload_bytes = 100_000;
    });
    let wav = tone(0.1, 800);
    let nmf2d: Part = ("options", None, br#"{"method": "nmf2d"}"#);
    let of = |parts: &[Part], status: u16, code: &str, says: &str| {
        let message = world.create(&[], parts).refused(status, code);
        assert!(message.contains(says), "{message}");
    };
    let recording: Part = ("recording", Some("a.wav"), &wav);
    of(&[nmf2d], 400, "bad-request", "recording: send the file");
    of(&[nmf2d, recording, recording], 400, "bad-request", "recording: is sent twice");
    of(&[recording, ("modle", None, b"x")], 400, "bad-request", "there is no part 'modle'");
    of(&[recording, ("kind", None, b"sing")], 400, "bad-request", "kind: cannot be 'sing'");
    of(&[recording, ("options", None, b"{")], 400, "bad-request", "options: is not JSON");
    of(&[recording, ("options", None, b"\xff")], 400, "bad-request", "options: is not UTF-8");
    of(&[recording, nmf2d, ("name", None, b"x")], 400, "bad-request", "name: is for trainings");
    of(&[recording], 422, "unusable", "name a model, or a method that needs none: nmf2d or denoise");
    of(&[recording, ("model", None, b"absent")], 404, "not-found", "there is no such model");
    of(&[recording, ("options", None, b"[]")], 422, "unusable", "must be a JSON object");
    of(&[recording, ("options", None, br#"{"method": "nmf2d", "seeds": 1}"#)], 422, "unusable", "the nearest is seed");
    of(&[recording, nmf2d, ("source:a", Some("b.wav"), b"RIFF")], 422, "unusable", "b.wav: ");
    of(&[nmf2d, ("recording", Some("x/garbage.wav"), b"garbage")], 422, "unusable", "garbage.wav: is not a wav, flac");
    of(&[nmf2d, ("recording", Some("long.wav"), &tone(0.1, 17_000))], 413, "too-large", "long.wav: is longer than 2 s");
    of(&[nmf2d, ("recording", Some("big.wav"), &tone(0.1, 60_000))], 413, "too-large", "more than 100000 bytes");
    of(&[("kind", None, b"train"), ("source:a", Some("a.wav"), &wav)], 400, "bad-request", "needs a name");
    of(
        &[("kind", None, b"train"), ("name", None, b"../x"), ("source:a", Some("a.wav"), &wav)],
        422,
        "unusable",
        "name '../x'",
    );
    of(&[("kind", None, b"train"), ("name", None, b"x")], 422, "unusable", "no source to learn");
    of(&[("kind", None, b"train"), ("name", None, b"x"), recording], 400, "bad-request", "a training learns from");
    of(
        &[("kind", None, b"train"), ("name", None, b"x"), ("source:a/b", Some("a.wav"), &wav)],
        422,
        "unusable",
        "'a/b'",
    );
    let body = Request::post("/v1/jobs").header(header::CONTENT_TYPE, "text/plain").body(Body::from("x")).unwrap();
    world.send(body).refused(415, "unsupported-media-type");
    world.create(&[("idempotency-key", "a b")], &[nmf2d, recording]).refused(400, "bad-request");
    world.get("/v1/jobs?state=lost").refused(400, "bad-request");
    world.get("/v1/jobs?limit=0").refused(400, "bad-request");
    world.get("/v1/jobs/none").refused(404, "not-found");
    world.get("/v2").refused(404, "not-found");
    world.post("/v1/models").refused(405, "method-not-allowed");
    // Nothing of all this is left.
    assert_eq!(std::fs::read_dir(world.folder.path().join("data/uploads")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(world.folder.path().join("data/jobs")).unwrap().count(), 0);
    assert_eq!(world.service.queue.load(), (0, 0, 0.0, 0));
}

#[test]
fn paths_on_the_server_are_those_below_the_allowed_folders() {
    let world = World::with(|folder, settings| {
        std::fs::create_dir_all(folder.join("in/deep")).unwrap();
        std::fs::write(folder.join("in/deep/a.wav"), tone(0.1, 800)).unwrap();
        std::fs::write(folder.join("secret.wav"), tone(0.1, 800)).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.join("secret.wav"), folder.join("in/link.wav")).unwrap();
        settings.inputs = vec![folder.join("in")];
    });
    let create = |path: &str| {
        let body = json!({"options": {"method": "nmf2d", "iterations": 2}, "path": world.folder.path().join(path)});
        let request = Request::post("/v1/jobs").header(header::CONTENT_TYPE, "application/json");
        world.send(request.body(Body::from(body.to_string())).unwrap())
    };
    for path in ["secret.wav", "in/../secret.wav", "in/link.wav", "in/absent.wav", "in", "in/deep"] {
        create(path).refused(403, "forbidden");
    }
    let job = create("in/deep/a.wav");
    assert_eq!(job.json()["recording"]["name"], "a.wav");
    assert_eq!(world.begin().end(id(&job))["state"], "done");
    // The recording is another's: it stays when the job goes.
    world.send(Request::delete(format!("/v1/jobs/{}", id(&job))).body(Body::empty()).unwrap());
    assert!(world.folder.path().join("in/deep/a.wav").exists());
    let request = Request::post("/v1/jobs").header(header::CONTENT_TYPE, "application/json");
    let message = world.send(request.body(Body::from(r#"{"pth": "x"}"#)).unwrap()).refused(400, "bad-request");
    assert!(message.contains("pth"), "{message}");
}

#[test]
fn a_key_makes_one_job() {
    let world = World::new();
    let (one, other) = (tone(0.1, 800), tone(0.2, 800));
    let create = |wav: &[u8], order: bool| {
        let (first, second): (Part, Part) =
            (("options", None, br#"{"method": "nmf2d"}"#), ("recording", Some("a.wav"), wav));
        world.create(&[("idempotency-key", "k")], &if order { [first, second] } else { [second, first] })
    };
    let first = create(&one, true);
    let again = create(&one, false);
    assert_eq!((first.status, again.status, id(&first)), (StatusCode::ACCEPTED, StatusCode::OK, id(&again)));
    assert!(create(&other, true).refused(409, "conflict").contains("take a new key"));
    assert_eq!(world.get("/v1/jobs").json()["jobs"].as_array().unwrap().len(), 1);
}

#[test]
fn jobs_wait_in_order_and_can_be_cancelled() {
    let world = World::new();
    let wav = tone(0.1, 800);
    let create = || {
        world.create(
            &[],
            &[("options", None, br#"{"method": "nmf2d", "iterations": 2}"#), ("recording", Some("a.wav"), &wav)],
        )
    };
    let [first, second, third] = [(); 3].map(|()| create());
    let job = |answer: &Answer| world.get(&format!("/v1/jobs/{}", id(answer))).json();
    assert_eq!((job(&third)["position"].clone(), job(&third)["state"].clone()), (json!(2), json!("queued")));
    let cancelled = world.post(&format!("/v1/jobs/{}/cancel", id(&second)));
    assert_eq!((cancelled.status, &cancelled.json()["state"]), (StatusCode::OK, &json!("cancelled")));
    assert!(world.post(&format!("/v1/jobs/{}/cancel", id(&second))).refused(409, "conflict").contains("is cancelled"));
    assert_eq!(job(&third)["position"], 1);
    world.get(&format!("/v1/jobs/{}/results", id(&second))).refused(409, "conflict");
    world.get(&format!("/v1/jobs/{}/results/x", id(&first))).refused(409, "conflict");
    let list = |query: &str| {
        let list = world.get(&format!("/v1/jobs{query}")).json();
        let ids: Vec<String> =
            list["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().into()).collect();
        (ids, list["next"].as_str().map(str::to_owned))
    };
    let ids: Vec<String> = [&third, &second, &first].map(|answer| id(answer).to_owned()).into();
    assert_eq!(list("").0, ids);
    assert_eq!(list("?state=cancelled").0, ids[1..2]);
    let (page, next) = list("?limit=2");
    assert_eq!(page, ids[..2]);
    assert_eq!(list(&format!("?limit=2&after={}", next.unwrap())), (ids[2..].to_vec(), None));
    assert_eq!(list("?limit=3"), (ids.clone(), None));
    world.begin();
    // Events end with the job.
    let events = world.get(&format!("/v1/jobs/{}/events", id(&third)));
    let events = String::from_utf8(events.body).unwrap();
    let last = events.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap();
    assert_eq!(serde_json::from_str::<Value>(last).unwrap()["state"], "done", "{events}");
    assert_eq!(world.end(id(&first))["state"], "done");
    assert_eq!(world.end(id(&second))["results"], json!([]));
}

#[test]
fn a_token_shows_its_own_jobs_alone() {
    let mut tokens = Vec::new();
    let world = World::with(|folder, settings| {
        let path = folder.join("tokens");
        tokens = ["ada", "ben"].map(|name| Tokens::add(&path, name).unwrap()).into();
        settings.tokens = Some(Tokens::read(&path).unwrap());
    });
    let wav = tone(0.1, 800);
    let parts: &[Part] = &[("options", None, br#"{"method": "nmf2d"}"#), ("recording", Some("a.wav"), &wav)];
    let refused = world.create(&[], parts);
    refused.refused(401, "unauthorized");
    assert_eq!(refused.header(header::WWW_AUTHENTICATE), "Bearer");
    world.create(&[("authorization", "Bearer pw_0")], parts).refused(401, "unauthorized");
    let bearer = |token: &String| format!("Bearer {token}");
    let created = world.create(&[("authorization", &bearer(&tokens[0]))], parts);
    let get = |token: &String, path: &str| {
        world.send(Request::get(path).header(header::AUTHORIZATION, bearer(token)).body(Body::empty()).unwrap())
    };
    let path = format!("/v1/jobs/{}", id(&created));
    assert_eq!(get(&tokens[0], &path).status, StatusCode::OK);
    for path in [path.clone(), format!("{path}/events"), format!("{path}/recording"), format!("{path}/results")] {
        get(&tokens[1], &path).refused(404, "not-found");
    }
    assert_eq!(get(&tokens[1], "/v1/jobs").json()["jobs"], json!([]));
    for path in ["/v1/jobs", "/v1/models", "/v1/options", "/v1/limits", "/metrics"] {
        world.get(path).refused(401, "unauthorized");
    }
    for path in ["/", "/healthz", "/readyz", "/v1/openapi.json", "/v1/docs"] {
        assert_eq!(world.get(path).status, StatusCode::OK, "{path}");
    }
}

#[test]
fn a_full_queue_and_a_stopping_service_say_when_to_come_again() {
    let world = World::with(|_, settings| settings.limits.queue_seconds = 0.15);
    let wav = tone(0.1, 800);
    let parts: &[Part] = &[("options", None, br#"{"method": "nmf2d"}"#), ("recording", Some("a.wav"), &wav)];
    assert_eq!(world.create(&[], parts).status, StatusCode::ACCEPTED);
    let full = world.create(&[], parts);
    full.refused(429, "queue-full");
    assert!(full.header(header::RETRY_AFTER).parse::<u64>().unwrap() >= 1);
    assert!(world.get("/readyz").json()["ready"] == true);
    world.service.queue.stop();
    assert!(world.create(&[], parts).refused(503, "not-ready").contains("about to stop"));
    assert_eq!(world.get("/readyz").status, StatusCode::SERVICE_UNAVAILABLE);
    let metrics = String::from_utf8(world.get("/metrics").body).unwrap();
    assert!(
        metrics.contains("partwise_jobs_accepted_total 1\n") && metrics.contains("partwise_jobs_refused_total 1\n"),
        "{metrics}"
    );
}

#[test]
fn jobs_are_there_after_a_restart() {
    let world = World::new();
    let wav = tone(0.1, 800);
    let created = world.create(
        &[],
        &[("options", None, br#"{"method": "nmf2d", "iterations": 2}"#), ("recording", Some("a.wav"), &wav)],
    );
    let folders = world.folder.path().join("data");
    // As after a kill: results without their row, and a folder of a job that was never accepted.
    std::fs::create_dir_all(folders.join(format!("jobs/{}/results", id(&created)))).unwrap();
    std::fs::create_dir_all(folders.join("jobs/lost")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copied = folder.path().join("data");
    assert!(std::process::Command::new("cp").arg("-r").args([&folders, &copied]).status().unwrap().success());
    let again = World::with(|_, settings| settings.data = copied.clone());
    assert!(!copied.join("jobs/lost").exists() && !copied.join(format!("jobs/{}/results", id(&created))).exists());
    assert_eq!(again.begin().end(id(&created))["state"], "done");
}

#[test]
fn other_pages_and_other_names_of_this_machine_are_refused() {
    let world = World::new();
    let with = |name: header::HeaderName, value: &str| {
        world.send(
            Request::get("/v1/jobs")
                .header(header::HOST, "localhost:1")
                .header(name, value)
                .body(Body::empty())
                .unwrap(),
        )
    };
    assert_eq!(with(header::ORIGIN, "http://localhost:1").status, StatusCode::OK);
    with(header::ORIGIN, "https://example.org").refused(403, "forbidden");
    let rebound = Request::get("/v1/jobs").header(header::HOST, "example.org").body(Body::empty()).unwrap();
    world.send(rebound).refused(403, "forbidden");
    let page = world.get("/");
    let policy = page.header(header::CONTENT_SECURITY_POLICY);
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    assert!(page.headers.contains_key("x-request-id"));
    world.get("/assets/..%2fmod.rs").refused(404, "not-found");
}

#[test]
fn the_document_has_every_call_and_the_page_shows_it() {
    let world = World::new();
    let document = world.get("/v1/openapi.json").json();
    let paths = document["paths"].as_object().unwrap();
    for (path, method) in [
        ("/v1/jobs", "post"),
        ("/v1/jobs", "get"),
        ("/v1/jobs/{id}", "delete"),
        ("/v1/jobs/{id}/cancel", "post"),
        ("/v1/jobs/{id}/events", "get"),
        ("/v1/jobs/{id}/results/{source}/spectrogram", "get"),
        ("/v1/models/{name}", "get"),
        ("/metrics", "get"),
    ] {
        assert!(paths[path][method]["responses"].is_object(), "{method} {path}");
    }
    let page = String::from_utf8(world.get("/v1/docs").body).unwrap();
    for path in paths.keys() {
        assert!(page.contains(path), "{path}");
    }
    assert!(page.contains("JobView") && page.contains("eta_seconds"));
}

#[test]
fn an_address_that_others_reach_needs_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let address: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let error = Server::open(settings(folder.path()), address).err().unwrap().to_string();
    assert!(error.contains("--token-file"), "{error}");
}
