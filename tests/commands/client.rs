//! Tests of `partwise client` against a service: what it sends and saves, and how it fails.
#![cfg(all(feature = "serve", unix))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::service::{Service, client};
use crate::common::world::{RATE, World, json, mix, refused, stderr, stdout};
use serde_json::Value;

/// Runs the client, which must succeed.
fn done(service: &Service, world: &World, arguments: &[&str]) -> String {
    let output = service.client(world, arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stdout(&output)
}

fn jobs(service: &Service, world: &World) -> Vec<Value> {
    let listed: Value = serde_json::from_str(&done(service, world, &["status", "--json"])).unwrap();
    listed["jobs"].as_array().unwrap().clone()
}

#[test]
fn files_are_separated_as_by_the_command() {
    let (world, service) = Service::trained(&[]);
    for (index, name) in ["mixes/a.wav", "mixes/deep/a.wav", "mixes/b \"2\".wav"].iter().enumerate() {
        world.record(name, &[mix(index as u64, 5000 + 700 * index), mix(9, 5000 + 700 * index)], RATE);
    }
    let options = ["mixes", "--iterations", "10", "--mask", "hard", "--format", "wav-f32", "-o"];
    let separated = world.run(&[&["separate", "--model", "m.safetensors"], &options[..], &["reference"]].concat());
    assert_eq!(separated.status.code(), Some(0), "{}", stderr(&separated));
    let waited = ["submit", "--model", "m", "--wait", "--json"];
    let output = service.client(&world, &[&waited, &options[..], &["out"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told = json(&output);
    assert_eq!((&told["files"], &told["done"], &told["failed"]), (&3.into(), &3.into(), &0.into()));
    let files: Vec<String> = world.files("reference").into_iter().filter(|name| name != "manifest.jsonl").collect();
    assert_eq!(files.len(), 6);
    assert_eq!(world.files("out"), files);
    let bytes = |folder: &str, name: &str| std::fs::read(world.path(folder).join(name)).unwrap();
    for name in &files {
        assert!(bytes("out", name) == bytes("reference", name), "{name}");
    }

    // The same by single steps.
    let ids = done(&service, &world, &["submit", "mixes/a.wav", "--model", "m", "--iterations", "10"]);
    let id = ids.trim_end();
    assert!(!id.contains('\n') && id.len() == 36, "{ids}");
    while json(&service.client(&world, &["status", id, "--json"]))["jobs"][0]["state"] != "done" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let table = done(&service, &world, &["status"]);
    assert!(table.lines().count() == 5 && table.contains("b \"2\".wav") && table.contains("done"), "{table}");
    let fetched = done(&service, &world, &["fetch", id, "-o", "single"]);
    assert_eq!(fetched, "single/a.tones.wav\nsingle/a.hiss.wav\n");
    world.separate(&["mixes/a.wav"]);
    for name in ["a.tones.wav", "a.hiss.wav"] {
        assert!(bytes("single", name) == bytes("out", name), "{name}");
    }
    assert_eq!(world.files("single"), ["a.hiss.wav", "a.tones.wav"], "nothing is left beside the stems");

    // What is there is kept, and another file is not replaced unasked, whether its length differs or its bytes.
    done(&service, &world, &["fetch", id, "-o", "single"]);
    let whole = bytes("single", "a.hiss.wav");
    let mut other = whole.clone();
    *other.last_mut().unwrap() ^= 1;
    for other in [&other[..], b"mine"] {
        std::fs::write(world.path("single/a.hiss.wav"), other).unwrap();
        let output = service.client(&world, &["fetch", id, "-o", "single"]);
        refused(&output, 2, &["single/a.hiss.wav", "another file of this name", "--replace"]);
        assert!(bytes("single", "a.hiss.wav") == other);
    }
    done(&service, &world, &["fetch", id, "-o", "single", "--replace"]);
    assert!(bytes("single", "a.hiss.wav") == whole);

    refused(&service.client(&world, &["cancel", id]), 2, &[id, "the job has ended: it is done"]);
    assert_eq!(done(&service, &world, &["delete", id]), format!("{id}: deleted\n"));
    refused(&service.client(&world, &["status", id]), 2, &[id, "there is no such job"]);
    let known = jobs(&service, &world)[0]["id"].as_str().unwrap().to_owned();
    let output = service.client(&world, &["fetch", &known, id, "-o", "again"]);
    refused(&output, 1, &[id, "there is no such job"]);
    assert_eq!(world.files("again").len(), 2);
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn a_job_is_cancelled_while_it_runs() {
    let (world, service) = Service::trained(&[]);
    world.record("long.wav", &[mix(1, 1_600_000)], RATE);
    let id = done(&service, &world, &["submit", "long.wav", "--model", "m", "--iterations", "5000"]);
    let id = id.trim_end();
    refused(&service.client(&world, &["fetch", id, "-o", "out"]), 2, &[id, "fetch its results once it is done"]);
    done(&service, &world, &["cancel", id]);
    while json(&service.client(&world, &["status", id, "--json"]))["jobs"][0]["state"] != "cancelled" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    refused(&service.client(&world, &["fetch", id, "-o", "out"]), 2, &[id, "is cancelled"]);
}

#[test]
fn recordings_of_an_option_go_with_the_job() {
    let (world, service) = Service::trained(&[]);
    world.record("mix.wav", &[mix(3, 4000)], RATE);
    let options =
        ["mix.wav", "--method", "nmf2d", "--init-bases", "tones=tones", "hiss=hiss/a.wav", "--iterations", "5", "-o"];
    let separated = world.run(&[&["separate"], &options[..], &["reference"]].concat());
    assert_eq!(separated.status.code(), Some(0), "{}", stderr(&separated));
    done(&service, &world, &[&["submit", "--wait"], &options[..], &["out"]].concat());
    for name in ["mix.tones.wav", "mix.hiss.wav"] {
        let bytes = |folder: &str| std::fs::read(world.path(folder).join(name)).unwrap();
        assert!(bytes("out") == bytes("reference"), "{name}");
    }
}

#[test]
fn one_bad_file_fails_alone() {
    let (world, service) = Service::trained(&["--max-upload", "40K"]);
    world.record("mixes/a.wav", &[mix(1, 4000)], RATE);
    world.record("mixes/large.wav", &[mix(1, 40_000)], RATE);
    std::fs::write(world.path("mixes/no\u{1b}[31maudio.wav"), "no audio").unwrap();
    std::fs::write(world.path("text.wav"), "no audio").unwrap();
    let submit = ["submit", "mixes", "--model", "m", "--wait", "-o", "out"];
    let output = service.client(&world, &submit);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("large.wav: has 160058 bytes, and the service takes 40960 at most"), "{told}");
    assert!(!told.contains('\u{1b}') && told.contains("audio.wav: "), "{told}");
    let summary = format!("1 of 3 files separated, 2 failed by {}\nwrote 2 files in out\n", service.url);
    assert!(stdout(&output).ends_with(&summary), "{output:?}");
    assert_eq!(world.files("out"), ["a.hiss.wav", "a.tones.wav"]);
    refused(&service.client(&world, &["submit", "mixes/large.wav", "--model", "m"]), 2, &["large.wav: has 160058"]);
    refused(
        &service.client(&world, &["submit", "mixes/a.wav", "--model", "n"]),
        2,
        &["--model n", "no such model", "client models"],
    );
    let output = service.client(&world, &["submit", "text.wav", "--model", "m"]);
    refused(&output, 2, &["partwise: error: text.wav: is not a wav"]);
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    refused(&service.client(&world, &["submit", "mixes/a.wav"]), 2, &["mixes/a.wav: ", "name a model"]);
    refused(&service.client(&world, &["submit", "none.wav", "--model", "m"]), 2, &["none.wav"]);
    std::fs::write(world.path("models/broken.safetensors"), "no model").unwrap();
    let table = done(&service, &world, &["models"]);
    assert!(table.contains("m      tones, hiss     nmf  8000\n"), "{table}");
    assert!(table.contains("cannot be used: broken  "), "{table}");
}

#[test]
fn a_token_is_needed_and_kept() {
    let world = World::new();
    let token = |name: &str| {
        let output = world.run(&["serve", "--token-file", "tokens", "--add-client", name]);
        let token = stdout(&output).trim().to_owned();
        std::fs::write(world.path(name), format!("{token}\n")).unwrap();
        token
    };
    let (ada, _) = (token("ada"), token("ben"));
    let service = Service::start(&world, &["--token-file", "tokens"]);
    world.record("mix.wav", &[mix(3, 4000)], RATE);
    let submit = ["submit", "mix.wav", "--method", "denoise", "--token-file", "ada"];
    let id = done(&service, &world, &submit);
    let id = id.trim_end();
    let run = |arguments: &[&str], token: Option<&str>| {
        client(world.folder.path(), &[&["--server", &service.url][..], arguments].concat(), token)
    };
    assert!(stdout(&run(&["status"], Some(&ada))).contains(id));
    assert!(!stdout(&run(&["status", "--token-file", "ben"], Some(&ada))).contains(id), "the file is taken first");
    refused(&run(&["status", id, "--token-file", "ben"], None), 2, &["there is no such job"]);
    refused(&run(&["status"], None), 2, &["needs a token", "--token-file", "PARTWISE_TOKEN"]);
    refused(&run(&["status"], Some("pw_0000")), 2, &["does not know this token"]);
    refused(&run(&["status"], Some("two words")), 2, &["PARTWISE_TOKEN: must hold the token alone"]);
    let output = run(&["status", "--token", &ada], None);
    refused(&output, 2, &["--token: other users of this machine see arguments", "--token-file"]);
    assert!(!stderr(&output).contains(&ada));
    // It is not shown to a network: this address is nobody's, and is not even tried.
    let elsewhere = ["--server", "http://192.0.2.1:7878", "status", "--token-file", "ada"];
    refused(
        &client(world.folder.path(), &elsewhere, None),
        2,
        &["http://192.0.2.1:7878", "would show the token", "ssh"],
    );
    assert!(!run(&["--help"], Some(&ada)).stdout.windows(ada.len()).any(|window| window == ada.as_bytes()));
}

#[test]
fn what_is_no_service_is_told_in_one_line() {
    let world = World::new();
    let run = |server: &str| client(world.folder.path(), &["--server", server, "status"], None);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    refused(&run(&format!("http://{closed}")), 2, &[&closed.to_string(), "cannot be reached", "--server"]);
    refused(&run("https://127.0.0.1:7878"), 2, &["https://127.0.0.1:7878", "speaks http alone", "ssh -L", "curl"]);
    for wrong in ["", "127.0.0.1:7878", "ftp://127.0.0.1", "http://", "http://a b"] {
        refused(&run(wrong), 2, &["--server", "use a URL such as http://127.0.0.1:7878"]);
    }
    for (answer, part) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "not as a partwise service"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "it answered 404"),
        ("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "it answered 302"),
        ("SSH-2.0-OpenSSH\r\n", "the connection broke"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"jobs\":", "the connection broke"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"jobs\": [{}]}", "its version is another one"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            head(&mut stream);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        refused(&run(&server), 2, &[&server, part]);
        answering.join().unwrap();
    }
}

/// The head of a request, or what comes until the connection ends.
fn head(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Stands between client and service. The first job is refused with 429, the answer to the second is lost.
fn awkward(service: &Service) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (url, address) = (format!("http://{}", listener.local_addr().unwrap()), service.address().to_owned());
    let count = Arc::new(AtomicUsize::new(0));
    let posts = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head = head(&mut stream);
            let post = if head.starts_with("POST") { posts.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
            if post == 1 {
                let body = "{\"error\": {\"code\": \"queue-full\", \"message\": \"the queue is full\"}}";
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).unwrap();
                continue;
            }
            let mut service = TcpStream::connect(&address).unwrap();
            let head = head.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
            service.write_all(head.as_bytes()).unwrap();
            let (mut from, mut to) = (stream.try_clone().unwrap(), service.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            if post == 2 {
                service.read_to_end(&mut Vec::new()).unwrap();
            } else {
                let _ = std::io::copy(&mut service, &mut stream);
            }
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    });
    (url, count)
}

#[test]
fn a_full_queue_and_a_lost_answer_make_one_job() {
    let (world, service) = Service::trained(&[]);
    world.record("mix.wav", &[mix(3, 4000)], RATE);
    let (url, posts) = awkward(&service);
    let submit = ["--server", &url, "submit", "mix.wav", "--model", "m", "--iterations", "10", "--wait", "-o", "out"];
    let output = client(world.folder.path(), &submit, None);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(posts.load(Ordering::SeqCst), 3);
    assert_eq!(jobs(&service, &world).len(), 1);
    assert_eq!(world.files("out"), ["mix.hiss.wav", "mix.tones.wav"]);

    let (url, posts) = awkward(&service);
    let submit = ["--server", &url, "submit", "mix.wav", "mix.wav", "tones", "--model", "m", "--patience", "0"];
    refused(&client(world.folder.path(), &submit, None), 2, &["none of 3 inputs was accepted"]);
    assert_eq!((posts.load(Ordering::SeqCst), jobs(&service, &world).len()), (1, 1), "the others would meet the same");
}
