//! Tests of the service as a process: it is killed and stopped, its disk is full, and it has more to do than it can.

#![cfg(all(unix, feature = "serve"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::http::{Answer, Form, Http};
use crate::common::server::{Server, spawn};
use crate::common::world::{RATE, World, mix, stderr};
use partwise::random::Stream;
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_partwise");
const SOURCES: [&str; 2] = ["tones", "hiss"];
/// All that is waited for comes sooner.
const PATIENCE: Duration = Duration::from_secs(100);

/// Recordings, a model, and what `partwise separate` makes of them.
struct Stage {
    world: World,
    clips: Vec<Clip>,
    iterations: usize,
}

struct Clip {
    name: String,
    bytes: Vec<u8>,
    /// In the order of `SOURCES`.
    stems: Vec<Vec<u8>>,
}

impl Stage {
    /// With clips of half a second to a second and a half.
    fn new(clips: usize, iterations: usize) -> Self {
        let world = World::trained();
        std::fs::create_dir(world.path("models")).unwrap();
        std::fs::rename(world.path("m.safetensors"), world.path("models/m.safetensors")).unwrap();
        for clip in 0..clips {
            let samples = RATE as usize / 2 + clip * RATE as usize / clips;
            world.record(&format!("clips/{clip:02}.wav"), &[mix(clip as u64, samples)], RATE);
        }
        let count = iterations.to_string();
        let job = ["separate", "clips", "--model", "models/m.safetensors", "-o", "out", "--iterations", &count];
        let output = world.run(&job);
        assert!(output.status.success(), "{}", stderr(&output));
        let read = |path: String| std::fs::read(world.path(&path)).unwrap();
        let clip = |clip| Clip {
            name: format!("{clip:02}.wav"),
            bytes: read(format!("clips/{clip:02}.wav")),
            stems: SOURCES.map(|source| read(format!("out/{clip:02}.{source}.wav"))).to_vec(),
        };
        Self { clips: (0..clips).map(clip).collect(), iterations, world }
    }

    fn start(&self, arguments: &[&str]) -> Server {
        Server::start(PROGRAM, self.world.folder.path(), arguments)
    }

    fn form(&self, clip: usize) -> Form {
        let Clip { name, bytes, .. } = &self.clips[clip];
        let options = format!("{{\"iterations\": {}}}", self.iterations);
        Form::default().field("model", "m").field("options", &options).file("recording", name, bytes)
    }

    /// Waits until a job has ended well, and compares its stems.
    fn check_done(&self, http: &mut Http, job: &Made) {
        let done = wait_done(http, &job.id);
        assert_eq!(done["results"].as_array().unwrap().len(), SOURCES.len(), "{done}");
        for (source, expected) in SOURCES.iter().zip(&self.clips[job.clip].stems) {
            let answer = http.get(&format!("/v1/jobs/{}/results/{source}", job.id)).unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(answer.body == *expected, "{}: {source} differs from what the command writes", job.id);
        }
    }
}

/// A job that was accepted.
#[derive(Debug)]
struct Made {
    id: String,
    clip: usize,
}

/// The id of an accepted job.
fn id(answer: &Answer) -> String {
    assert!(matches!(answer.status, 200 | 202), "{} {}", answer.status, answer.text());
    answer.json()["id"].as_str().unwrap().into()
}

fn job(http: &mut Http, id: &str) -> Value {
    let answer = http.get(&format!("/v1/jobs/{id}")).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn wait_done(http: &mut Http, id: &str) -> Value {
    let since = Instant::now();
    loop {
        let job = job(http, id);
        match job["state"].as_str().unwrap() {
            "done" => return job,
            "queued" | "running" => assert!(since.elapsed() < PATIENCE, "{job}"),
            _ => panic!("{job}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// The ids of all jobs, page by page.
fn all(http: &mut Http) -> Vec<String> {
    let (mut ids, mut after) = (Vec::new(), String::new());
    loop {
        let page = http.get(&format!("/v1/jobs?limit=50{after}")).unwrap().json();
        ids.extend(page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { return ids };
        after = format!("&after={next}");
    }
}

/// What all clients of the killed service share.
struct Scene {
    stage: Stage,
    address: Mutex<SocketAddr>,
    over: AtomicBool,
}

impl Scene {
    fn client(&self) -> Http {
        Http::new(*self.address.lock().unwrap())
    }

    /// Creates jobs, each under its key, until the service is killed no more. Returns all that were accepted.
    fn create(&self, client: usize) -> Vec<Made> {
        let chance = Stream::new(client as u64, "client");
        let (mut http, mut made, mut ended) = (self.client(), Vec::new(), HashMap::new());
        for number in 0.. {
            if self.over.load(Ordering::Relaxed) {
                break;
            }
            let clip = (3 * client + number) % self.stage.clips.len();
            let (form, key) = (self.stage.form(clip), format!("{client}-{number}"));
            if number % 4 == 0 {
                // A client that sends a job and never reads the answer, and sends it again below.
                let (media_type, body) = (form.media_type(), form.body());
                let headers = [("content-type", media_type.as_str()), ("idempotency-key", &key)];
                let _ = http.send("POST", "/v1/jobs", &headers, &body);
                http.hang_up();
            }
            let first = self.insist(&mut http, &form, &key);
            if number % 3 == 0 {
                assert_eq!(self.insist(&mut http, &form, &key), first, "the same key made two jobs");
            }
            made.push(Made { id: first, clip });
            let earlier = &made[(chance.uniform(2 * number as u64) * made.len() as f64) as usize];
            self.look(&mut http, &earlier.id, &mut ended);
            thread::sleep(Duration::from_secs_f64(0.03 * chance.uniform(2 * number as u64 + 1)));
        }
        made
    }

    /// Sends a job until an answer comes.
    fn insist(&self, http: &mut Http, form: &Form, key: &str) -> String {
        let since = Instant::now();
        loop {
            match http.create(form, key) {
                Ok(answer) => return id(&answer),
                Err(cause) => assert!(since.elapsed() < PATIENCE, "{cause}"),
            }
            thread::sleep(Duration::from_millis(5));
            *http = self.client();
        }
    }

    /// Looks at an accepted job: it is there, and once it has ended, this never changes.
    fn look(&self, http: &mut Http, id: &str, ended: &mut HashMap<String, Value>) {
        let Ok(answer) = http.get(&format!("/v1/jobs/{id}")) else { return };
        assert_eq!(answer.status, 200, "{}", answer.text());
        let job = answer.json();
        let end = Value::from(vec![job["state"].clone(), job["ended"].clone()]);
        if let Some(before) = ended.get(id) {
            assert_eq!(*before, end);
        }
        if job["state"] == "done" {
            ended.insert(id.into(), end);
        }
        assert!(job["error"].is_null(), "{job}");
    }
}

/// With `PARTWISE_CYCLES`, as often as that.
#[test]
fn a_service_that_is_killed_again_and_again_loses_nothing_and_doubles_nothing() {
    let cycles = std::env::var("PARTWISE_CYCLES").map_or(4, |cycles| cycles.parse().unwrap());
    let stage = Stage::new(8, 60);
    let mut server = stage.start(&[]);
    let scene = Scene { stage, address: Mutex::new(server.address), over: AtomicBool::new(false) };
    let chance = Stream::new(u64::from(std::process::id()), "kills");
    let (_server, made): (Server, Vec<Made>) = thread::scope(|scope| {
        let scene = &scene;
        let clients: Vec<_> = (0..4).map(|client| scope.spawn(move || scene.create(client))).collect();
        for cycle in 0..cycles {
            thread::sleep(Duration::from_secs_f64(0.8 * chance.uniform(2 * cycle)));
            server.kill();
            if cycle % 3 == 2 {
                // One that is killed while it starts.
                let mut process = spawn(PROGRAM, scene.stage.world.folder.path(), &[]);
                thread::sleep(Duration::from_secs_f64(0.1 * chance.uniform(2 * cycle + 1)));
                process.kill().unwrap();
                process.wait().unwrap();
            }
            server = scene.stage.start(&[]);
            *scene.address.lock().unwrap() = server.address;
        }
        thread::sleep(Duration::from_millis(300));
        scene.over.store(true, Ordering::Relaxed);
        (server, clients.into_iter().flat_map(|client| client.join().unwrap()).collect())
    });
    let mut http = scene.client();
    let ids: BTreeSet<&str> = made.iter().map(|job| job.id.as_str()).collect();
    assert_eq!(ids.len(), made.len(), "two keys have one job");
    let listed = all(&mut http);
    assert_eq!(listed.len(), made.len(), "the list has other jobs than those that were accepted");
    assert_eq!(listed.iter().map(String::as_str).collect::<BTreeSet<_>>(), ids);
    made.iter().for_each(|job| scene.stage.check_done(&mut http, job));
    // Nothing is left of what was killed.
    let data = scene.stage.world.path("data");
    let folders = |name: &str| std::fs::read_dir(data.join(name)).unwrap().count();
    assert_eq!((folders("jobs"), folders("uploads")), (made.len(), 0));
    let _ = writeln!(std::io::stderr(), "killed {cycles} times: {} jobs, all done once", made.len());
}

#[test]
fn a_service_that_is_asked_to_end_finishes_what_it_has_begun_and_keeps_the_rest() {
    let stage = Stage::new(12, 400);
    let mut made = Vec::new();
    for (round, drain) in ["60", "0.001"].iter().enumerate() {
        let server = stage.start(&["--drain", drain]);
        let mut http = Http::new(server.address);
        let first = made.len();
        for clip in 0..stage.clips.len() {
            let answer = http.create(&stage.form(clip), &format!("{round} {clip}").replace(' ', "-")).unwrap();
            made.push(Made { id: id(&answer), clip });
        }
        let since = Instant::now();
        while job(&mut http, &made[first].id)["state"] == "queued" {
            assert!(since.elapsed() < PATIENCE);
        }
        assert!(server.stop().success());
    }
    let server = stage.start(&[]);
    let mut http = Http::new(server.address);
    made.iter().for_each(|job| stage.check_done(&mut http, job));
    assert_eq!(all(&mut http).len(), made.len());
}

#[test]
fn a_data_folder_belongs_to_one_service() {
    let stage = Stage::new(1, 10);
    let server = stage.start(&[]);
    let mut second = spawn(PROGRAM, stage.world.folder.path(), &[]);
    assert_eq!(second.wait().unwrap().code(), Some(2));
    // The first one does not notice.
    let mut http = Http::new(server.address);
    let answer = http.create(&stage.form(0), "key").unwrap();
    stage.check_done(&mut http, &Made { id: id(&answer), clip: 0 });
}

#[test]
fn results_go_when_their_time_is_over() {
    let stage = Stage::new(1, 10);
    let server = stage.start(&["--keep", "1s"]);
    let mut http = Http::new(server.address);
    let id = id(&http.create(&stage.form(0), "key").unwrap());
    let (since, path) = (Instant::now(), format!("/v1/jobs/{id}"));
    while http.get(&path).unwrap().status != 404 {
        assert!(since.elapsed() < Duration::from_secs(10), "it is still there");
        thread::sleep(Duration::from_millis(50));
    }
    assert!(since.elapsed() >= Duration::from_secs(1), "it went too early");
    assert_eq!(std::fs::read_dir(stage.world.path("data/jobs")).unwrap().count(), 0);
    let again = self::id(&http.create(&stage.form(0), "key").unwrap());
    assert_ne!(again, id, "the key went with its job");
}

#[test]
fn a_client_that_goes_away_leaves_nothing() {
    let stage = Stage::new(1, 10);
    let server = stage.start(&[]);
    let (form, mut http) = (stage.form(0), Http::new(server.address));
    let (media_type, body) = (form.media_type(), form.body());
    let length = body.len().to_string();
    let headers = [("content-type", media_type.as_str()), ("content-length", &length)];
    for count in 0..300 {
        http.send("POST", "/v1/jobs", &headers, &body[..count * (body.len() - 1) / 300]).unwrap();
        http.hang_up();
    }
    let (uploads, since) = (stage.world.path("data/uploads"), Instant::now());
    let left = || std::fs::read_dir(&uploads).unwrap().count();
    while left() > 0 {
        assert!(since.elapsed() < Duration::from_secs(10), "{} folders are left", left());
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(all(&mut http).len(), 0);
}

#[test]
fn a_full_queue_says_when_to_come_back() {
    let stage = Stage::new(4, 4000);
    let server = stage.start(&["--queue-seconds", "5"]);
    let mut http = Http::new(server.address);
    let (mut made, mut refused, since) = (Vec::new(), 0, Instant::now());
    while refused < 3 || made.len() < 12 {
        assert!(since.elapsed() < PATIENCE, "{} accepted, {refused} refused", made.len());
        let clip = made.len() % stage.clips.len();
        let answer = http.create(&stage.form(clip), &format!("key-{}", made.len())).unwrap();
        if answer.status == 429 {
            refused += 1;
            let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=600).contains(&seconds));
            assert_eq!(answer.json()["error"]["code"], "queue-full");
            thread::sleep(Duration::from_millis(200));
        } else {
            made.push(Made { id: id(&answer), clip });
        }
    }
    made.iter().for_each(|job| stage.check_done(&mut http, job));
}

#[test]
fn a_client_with_one_recording_does_not_wait_for_another_ones_hundred() {
    let stage = Stage::new(4, 1500);
    let token = |name: &str| {
        let output = stage.world.run(&["serve", "--token-file", "tokens", "--add-client", name]);
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let (ada, ben) = (token("ada"), token("ben"));
    // Panels of the least width, so that not all of a client's recordings are in one.
    let server = stage.start(&["--token-file", "tokens", "--memory", "20M", "--threads", "1"]);
    assert_eq!(Http::new(server.address).get("/v1/jobs").unwrap().status, 401);
    let mut ada = Http::with_token(server.address, &ada);
    let mut ben = Http::with_token(server.address, &ben);
    let many: Vec<Made> = (0..100)
        .map(|number| {
            let clip = number % stage.clips.len();
            Made { id: id(&ada.create(&stage.form(clip), &format!("{number}")).unwrap()), clip }
        })
        .collect();
    // Both have a key of this name: keys are those of one client.
    let one = Made { id: id(&ben.create(&stage.form(0), "0").unwrap()), clip: 0 };
    stage.check_done(&mut ben, &one);
    let done = many.iter().filter(|made| job(&mut ada, &made.id)["state"] == "done").count();
    assert!(done < 70, "{done} of another client's 100 recordings were done before");
    assert_eq!(ben.get(&format!("/v1/jobs/{}", many[0].id)).unwrap().status, 404, "another client's job");
    assert_eq!((all(&mut ada).len(), all(&mut ben).len()), (100, 1));
    many.iter().step_by(9).for_each(|job| stage.check_done(&mut ada, job));
}

/// A file system of its own in memory.
struct Disk(PathBuf);

impl Disk {
    /// `None`, and a word about it, where it cannot be made.
    fn new(folder: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir(&folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(&folder).stderr(Stdio::null());
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        let test = thread::current();
        let _ = writeln!(std::io::stderr(), "SKIPPED: {}: cannot mount a tmpfs", test.name().unwrap_or("a test"));
        None
    }

    /// Takes all room but so many bytes.
    fn fill(&self, but: u64) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = std::fs::File::create(&path).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(but)).unwrap();
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn with_a_full_disk_new_jobs_are_refused_and_accepted_ones_wait() {
    let stage = Stage::new(6, 40);
    let Some(disk) = Disk::new(stage.world.path("disk"), "4M") else { return };
    let server = stage.start(&["--data", path(&disk.0)]);
    let mut http = Http::new(server.address);
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    let mut made = vec![Made { id: id(&http.create(&stage.form(0), "first").unwrap()), clip: 0 }];
    stage.check_done(&mut http, &made[0]);
    // Rooms of all sizes, so that the disk is full at all steps of a job.
    for room in [0_u64, 20, 60, 100, 140, 180, 220, 300, 400] {
        let filler = disk.fill(room << 10);
        for number in 0..8 {
            let clip = (number + 1) % stage.clips.len();
            let answer = http.create(&stage.form(clip), &format!("{room}-{number}")).unwrap();
            *statuses.entry(answer.status).or_default() += 1;
            match answer.status {
                507 => {
                    assert_eq!(answer.json()["error"]["code"], "disk-full");
                    assert!(answer.header("retry-after").is_some());
                }
                _ => made.push(Made { id: id(&answer), clip }),
            }
        }
        for made in &made {
            let job = job(&mut http, &made.id);
            assert!(job["error"].is_null(), "{job}");
        }
        std::fs::remove_file(filler).unwrap();
    }
    assert!(statuses.get(&507).is_some_and(|&refused| refused > 8), "{statuses:?}");
    made.iter().for_each(|job| stage.check_done(&mut http, job));
    assert_eq!(all(&mut http).len(), made.len());
    assert_eq!(http.get("/readyz").unwrap().status, 200);
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A job that takes far longer than this test.
fn endless(stage: &Stage) -> Form {
    let Clip { name, bytes, .. } = &stage.clips[0];
    Form::default().field("model", "m").field("options", "{\"iterations\": 1000000}").file("recording", name, bytes)
}

#[test]
fn a_running_job_is_cancelled_and_deleted_at_once_and_not_begun_again() {
    let stage = Stage::new(1, 2);
    let server = stage.start(&[]);
    let mut http = Http::new(server.address);
    let [cancelled, deleted] = ["cancel", "delete"].map(|key| id(&http.create(&endless(&stage), key).unwrap()));
    let until = Instant::now() + PATIENCE;
    while [&cancelled, &deleted].iter().any(|id| job(&mut http, id)["state"] != "running") {
        assert!(Instant::now() < until);
        thread::sleep(Duration::from_millis(20));
    }
    let asked = Instant::now();
    let answer = http.call("POST", &format!("/v1/jobs/{cancelled}/cancel"), &[], &[]).unwrap();
    assert_eq!((answer.status, &answer.json()["state"]), (200, &"cancelled".into()));
    assert_eq!(http.call("POST", &format!("/v1/jobs/{cancelled}/cancel"), &[], &[]).unwrap().status, 409);
    assert_eq!(http.call("DELETE", &format!("/v1/jobs/{deleted}"), &[], &[]).unwrap().status, 204);
    assert_eq!(http.get(&format!("/v1/jobs/{deleted}")).unwrap().status, 404);
    assert!(asked.elapsed() < Duration::from_secs(5), "it took {:?}", asked.elapsed());
    server.kill();
    let server = stage.start(&[]);
    let mut http = Http::new(server.address);
    assert_eq!(all(&mut http), std::slice::from_ref(&cancelled));
    assert_eq!(job(&mut http, &cancelled)["state"], "cancelled");
    let load = http.get("/v1/limits").unwrap().json();
    assert_eq!(load["queued_seconds"], 0.0, "{load}");
    assert!(!stage.world.path(&format!("data/jobs/{deleted}")).exists());
}

#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let stage = Stage::new(1, 2);
    let server = stage.start(&["--max-upload", "10K"]);
    let mut http = Http::new(server.address);
    // More than the system keeps for a connection.
    let form = Form::default().file("recording", "large.wav", &vec![0; 30_000_000]);
    let headers = [("content-type", &*form.media_type())];
    http.send("POST", "/v1/jobs", &headers, &form.body()).unwrap();
    http.hang_up();
    let answer = http.create(&form, "large").unwrap();
    assert_eq!(answer.status, 413, "{}", answer.text());
}
