//! Tests of runs in difficult environments: concurrent runs, a full disk, signals, closed streams, odd file names.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::common::world::{RATE, World, json, mix, refused, stderr, stdout};
use partwise::schedule::{MANIFEST, Status, read_manifest};

const JOB: [&str; 7] = ["separate", "in", "--model", "m.safetensors", "--engine", "cpu", "--no-progress"];

impl World {
    fn inputs(&self, count: usize, samples: usize) {
        for index in 0..count {
            self.record(&format!("in/{index:02}.wav"), &[mix(index as u64, samples)], RATE);
        }
    }

    /// The program in this folder, started by a line of shell such as "ulimit -f 9; exec \"$@\"".
    fn behind(&self, line: &str, arguments: &[&str]) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", line, "sh", env!("CARGO_BIN_EXE_partwise")]).args(arguments);
        shell.current_dir(self.folder.path()).env_remove("RUST_LOG").stdin(Stdio::null());
        shell
    }

    /// The program in this folder as a user with limited read permission, if the tests run as root. The program is
    /// copied to where that user can reach it.
    fn as_nobody(&self, arguments: &[&str]) -> Command {
        let program = self.path("partwise");
        if !program.exists() {
            std::fs::copy(env!("CARGO_BIN_EXE_partwise"), &program).unwrap();
        }
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path()).env_remove("RUST_LOG").stdin(Stdio::null());
        let id = Command::new("id").arg("-u").output().unwrap();
        if stdout(&id).trim() == "0" {
            let open = Command::new("chmod").args(["-R", "a+rwX", "."]).current_dir(self.folder.path()).status();
            assert!(open.unwrap().success());
            command.uid(65534).gid(65534);
        }
        command
    }

    fn hidden(&self, out: &str) -> Vec<String> {
        self.files(out).into_iter().filter(|name| name.rsplit('/').next().unwrap().starts_with('.')).collect()
    }
}

fn kill(signal: &str, child: &Child) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn signals_ignored_at_the_start_stay_ignored() {
    let world = World::trained();
    world.inputs(20, 30_000);
    let slow = [&JOB[..], &["--iterations", "600", "--threads", "1", "--memory", "20M"]].concat();
    let run = |ignored: &str, out: &str, signals: &[&str]| {
        let mut child = world.behind(&format!("trap '' {ignored}; exec \"$@\""), &[&slow[..], &["-o", out]].concat());
        let child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let manifest = world.path(out).join(MANIFEST);
        until("no file was finished", || std::fs::metadata(&manifest).map_or(0, |manifest| manifest.len()) > 0);
        signals.iter().for_each(|signal| kill(signal, &child));
        child.wait_with_output().unwrap()
    };
    let output = run("HUP INT TERM", "out", &["-HUP", "-INT", "-TERM", "-INT"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(world.files("out").len(), 41);
    // With one signal ignored, another still takes effect.
    let output = run("HUP", "other", &["-HUP", "-TERM"]);
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    let files = world.files("other").len();
    assert!((3..41).contains(&files) && files % 2 == 1, "{files}");
}

#[test]
fn an_interrupted_run_says_how_many_files_it_still_finishes() {
    let world = World::trained();
    world.inputs(20, 30_000);
    let slow = [&JOB[..], &["--iterations", "600", "--threads", "1", "--memory", "20M", "-o", "out"]].concat();
    let child = world.behind("exec \"$@\"", &slow).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let manifest = world.path("out").join(MANIFEST);
    until("no file was finished", || std::fs::metadata(&manifest).map_or(0, |manifest| manifest.len()) > 0);
    kill("-INT", &child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let text = stderr(&output);
    let count = text.strip_prefix("partwise: warning: interrupted: finishing ").and_then(|rest| rest.split(' ').next());
    let promised: usize = count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{text}"));
    assert!((1..20).contains(&promised) && text.contains(" in progress; interrupt again"), "{text}");
    assert!(stdout(&output).contains("the same command with --resume does what is left"), "{output:?}");
}

/// Two runs with different options start together in one folder, are killed at random moments and restarted. Outputs of
/// finished inputs must exist and come from a single run.
#[test]
fn two_runs_in_one_folder_do_not_mix_their_outputs() {
    let world = World::trained();
    world.inputs(10, 8000);
    let masks = ["wiener", "hard"];
    let job = [&JOB[..], &["--iterations", "150", "--threads", "1"]].concat();
    let whole = masks.map(|mask| {
        let output = world.run(&[&job[..], &["-o", mask, "--mask", mask]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let files = world.files(mask).into_iter().filter(|name| name.ends_with(".wav"));
        files.map(|name| (name.clone(), std::fs::read(world.path(mask).join(&name)).unwrap())).collect()
    });
    let whole: BTreeMap<&str, BTreeMap<String, Vec<u8>>> = masks.into_iter().zip(whole).collect();
    let mut random = 1_u64;
    let mut chance = |of: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % of
    };
    let rounds = std::env::var("PARTWISE_ROUNDS").map_or(12, |rounds| rounds.parse().unwrap());
    let started = Instant::now();
    let alone = {
        let output = world.run(&[&job[..], &["-o", "timed"]].concat());
        assert!(output.status.success());
        started.elapsed().as_millis() as u64
    };
    let (mut killed, mut ended) = (0, 0);
    for round in 0..rounds {
        let spawn = |mask: &str, resume: bool| {
            let job = [&job[..], &["-o", "out", "--mask", mask], if resume { &["--resume"] } else { &[] }].concat();
            let mut command = world.behind("exec \"$@\"", &job);
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let resume = [chance(2) == 0, chance(2) == 0];
        let first = spawn(masks[round % 2], resume[0]);
        std::thread::sleep(Duration::from_millis(chance(alone / 2 + 1)));
        let second = spawn(masks[usize::from(chance(3) > 0) ^ (round % 2)], resume[1]);
        let mut runs = [first, second];
        for run in &mut runs {
            if chance(2) == 0 {
                std::thread::sleep(Duration::from_millis(chance(alone / 2 + 1)));
                run.kill().unwrap();
            }
        }
        for run in runs {
            let output = run.wait_with_output().unwrap();
            match output.status.code() {
                None => killed += 1,
                code => {
                    assert_eq!(code, Some(0), "round {round}: {}", stderr(&output));
                    ended += 1;
                }
            }
        }
        check(&world, &whole, round);
    }
    assert!(rounds < 12 || (killed > 3 && ended > 3), "{killed} killed, {ended} ended");
    // The next completed run removes the remains of killed runs.
    let output = world.run(&[&job[..], &["-o", "out", "--resume"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    check(&world, &whole, rounds);
    assert_eq!(world.hidden("out"), [""; 0]);
    assert_eq!(world.files("out").len(), 21);
}

/// Asserts that every output comes from one run, and that the outputs of a finished input come from the run that wrote
/// its last line.
fn check(world: &World, whole: &BTreeMap<&str, BTreeMap<String, Vec<u8>>>, round: usize) {
    let manifest = world.path("out").join(MANIFEST);
    let lines = if manifest.exists() { read_manifest(&manifest).unwrap() } else { Vec::new() };
    let last: BTreeMap<PathBuf, _> = lines.into_iter().map(|line| (line.input.clone(), line)).collect();
    for name in world.files("out").iter().filter(|name| name.ends_with(".wav")) {
        let bytes = std::fs::read(world.path("out").join(name)).unwrap();
        assert!(whole.values().any(|run| run[name] == bytes), "round {round}: {name} is a mix");
    }
    for line in last.values().filter(|line| line.status == Status::Done) {
        let parameters = serde_json::to_value(&line.parameters).unwrap();
        let mask = if parameters["mask"] == "hard" { "hard" } else { "wiener" };
        assert_eq!(line.outputs.len(), 2);
        for output in &line.outputs {
            let name = output.file_name().unwrap().to_str().unwrap();
            let bytes = std::fs::read(world.path("out").join(name));
            let bytes = bytes.unwrap_or_else(|cause| panic!("round {round}: {name} is reported done: {cause}"));
            assert!(whole[mask][name] == bytes, "round {round}: {name} is not what its line says");
        }
    }
}

#[test]
fn the_manifest_of_another_program_is_not_changed() {
    let world = World::trained();
    world.inputs(1, 3000);
    for text in [
        "{\"audio_filepath\":\"a.wav\",\"text\":\"x\"}\n{\"audio_filepath\":\"b.wav\",\"text\":\"y\"}",
        "{\"audio_filepath\":\"a.wav\"}\n",
        "{\"input\":\"a.wav\",\"text\":\"x\"}",
        "no json at all",
    ] {
        std::fs::create_dir_all(world.path("out")).unwrap();
        std::fs::write(world.path("out/manifest.jsonl"), text).unwrap();
        for more in [&[][..], &["--resume"]] {
            let output = world.run(&[&JOB[..], &["-o", "out"], more].concat());
            refused(&output, 2, &["manifest.jsonl", "another program's", "another folder"]);
            assert_eq!(std::fs::read_to_string(world.path("out/manifest.jsonl")).unwrap(), text);
            assert_eq!(world.files("out"), ["manifest.jsonl"]);
        }
    }
}

/// A limit on file sizes acts like a full disk on any machine.
#[test]
fn a_full_disk_stops_the_job_and_the_rest_is_resumed() {
    let world = World::trained();
    world.record("in/a.wav", &[mix(1, 4000)], RATE);
    for index in 0..20 {
        world.record(&format!("in/b{index:02}.wav"), &[mix(index, 30_000)], RATE);
    }
    let job = [&JOB[..], &["-o", "out", "--json", "--resume"]].concat();
    // In blocks of 512 bytes.
    let output = world.behind("ulimit -f 100; exec \"$@\"", &job).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let summary = json(&output);
    let count = |name: &str| summary[name].as_u64().unwrap();
    assert_eq!(["files", "done", "failed", "left"].map(count), [21, 1, 1, 19], "{summary}");
    assert_eq!(summary["full"], true);
    assert!(stderr(&output).contains("cannot write: File too large"), "{}", stderr(&output));
    assert_eq!(world.files("out"), ["a.hiss.wav", "a.tones.wav", "manifest.jsonl"]);

    // If not even the first output fits, this is not a usage error.
    let output = world.behind("ulimit -f 20; exec \"$@\"", &[&JOB[..], &["-o", "less"]].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).contains("no room for more results") && stdout(&output).contains("--resume"), "{output:?}");

    let output = world.run(&job);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(world.files("out").len(), 2 * 21 + 1);
}

#[test]
fn an_unreadable_folder_fails_alone() {
    let world = World::trained();
    world.inputs(2, 3000);
    world.record("in/locked/c.wav", &[mix(3, 3000)], RATE);
    std::fs::create_dir_all(world.path("in/dark")).unwrap();
    std::fs::copy(world.path("in/00.wav"), world.path("in/dark/d.wav")).unwrap();
    let lock = |mode: u32| {
        for (folder, mode) in [("in/locked", mode), ("in/dark", if mode == 0 { 0o444 } else { mode })] {
            std::fs::set_permissions(world.path(folder), PermissionsExt::from_mode(mode)).unwrap();
        }
    };
    let run = |arguments: &[&str]| -> Output {
        let mut command = world.as_nobody(arguments);
        lock(0);
        let output = command.output().unwrap();
        lock(0o755);
        output
    };
    let output = run(&[&JOB[..], &["-o", "out", "--json"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let summary = json(&output);
    assert_eq!((&summary["done"], &summary["failed"]), (&2.into(), &2.into()), "{summary}");
    let text = stderr(&output);
    assert!(text.contains("in/locked: cannot read") && text.contains("in/dark/d.wav: cannot open"), "{text}");
    // The output names are those of a run that can read the folder.
    assert!(world.path("out/00.tones.wav").exists());

    let train = ["train", "--source", "a=in", "--source", "b=hiss", "-o", "n.safetensors", "--rank", "2"];
    let output = run(&[&train[..], &["--iterations", "2", "--engine", "cpu"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("in/locked: cannot") && world.path("n.safetensors").exists(),
        "{}",
        stderr(&output)
    );
}

#[test]
fn existing_names_in_lists_take_precedence_over_patterns() {
    let world = World::trained();
    for name in ["take 1.wav", "take [a].wav", "what?.wav", "@home.wav", " blank .wav", "more/x1.wav", "more/x2.wav"] {
        world.record(name, &[mix(3, 2000)], RATE);
    }
    let names =
        "take 1.wav\ntake [12].wav\ntake [a].wav\nwhat?.wav\nwha?.wav\n@home.wav\n blank .wav\r\n@gone.wav\nnone\n";
    std::fs::write(world.path("list.txt"), names.to_string() + "more/x*.wav\nmore/y*.wav\nempty\n").unwrap();
    std::fs::create_dir(world.path("empty")).unwrap();
    let job = ["@list.txt", "--json"];
    let output = world.separate(&job);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let summary = json(&output);
    let named = |status: &str| {
        let of = summary["results"].as_array().unwrap().iter().filter(|line| line["status"] == status);
        let mut names: Vec<String> = of.map(|line| line["input"].as_str().unwrap().to_string()).collect();
        names.sort();
        names
    };
    let done = [" blank .wav", "@home.wav", "more/x1.wav", "more/x2.wav", "take 1.wav", "take [a].wav", "what?.wav"];
    assert_eq!(named("done"), done);
    assert_eq!(named("failed"), ["@gone.wav", "empty", "more/y*.wav", "none", "take [12].wav", "wha?.wav"]);
    assert!(stderr(&output).contains("'more/x*.wav' in a list"), "no warning about the wildcard: {}", stderr(&output));
}

#[test]
fn unsupported_audio_files_in_a_folder_are_counted() {
    let world = World::trained();
    world.record("in/a.wav", &[mix(1, 2000)], RATE);
    for (from, to) in [("a.wav", "b.wave"), ("a.wav", "c.bwf")] {
        std::fs::copy(world.path("in").join(from), world.path("in").join(to)).unwrap();
    }
    for name in
        ["in/x.opus", "in/y.OPUS", "in/below/z.wma", "in/notes.txt", "in/cover.jpg", "in/.hidden.opus", "other/u.opus"]
    {
        let path = world.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "x").unwrap();
    }
    let output = world.separate(&["in", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        (&json(&output)["files"], &json(&output)["left_out"]),
        (&3.into(), &serde_json::json!({"opus": 2, "wma": 1}))
    );
    let text = stdout(&world.separate(&["in", "--resume"]));
    assert!(text.contains("3 files left out: 2 opus, 1 wma"), "{text}");
    refused(&world.separate(&["other"]), 2, &["no audio files", "1 file left out: 1 opus"]);
    let train =
        world.run(&["train", "--source", "a=in", "--source", "b=hiss", "-o", "n", "--rank", "2", "--iterations", "2"]);
    assert!(train.status.success() && stderr(&train).contains("3 files left out: 2 opus, 1 wma"), "{}", stderr(&train));
}

#[test]
fn unwritable_streams_give_an_error_without_a_panic() {
    let world = World::trained();
    world.inputs(2, 3000);
    std::fs::write(world.path("in/broken.wav"), "no audio").unwrap();
    let score = ["evaluate", "--reference", "in/00.wav", "--estimate", "in/01.wav"];
    let separate = [&JOB[..], &["-o", "out"]].concat();
    let wrong = ["separate", "--nonsense"];
    for (redirect, arguments, status, told) in [
        (">/dev/full", &score[..], 2, "standard output: cannot write: No space left"),
        (">/dev/full", &["--help"], 2, "standard output: cannot write: No space left"),
        (">/dev/full", &["manifest", "merge", "out"], 2, "standard output: cannot write: No space left"),
        (">/dev/full", &separate, 2, "standard output: cannot write: No space left"),
        ("2>/dev/full", &separate, 1, ""),
        ("2>/dev/full", &wrong, 2, ""),
        (">/dev/full 2>&1", &separate, 2, ""),
        ("2>&-", &separate, 1, ""),
        ("2>&-", &wrong, 2, ""),
        (">&- 2>&- <&-", &separate, 1, ""),
    ] {
        if arguments[0] == "manifest" {
            world.run(&separate);
        }
        let output = world.behind(&format!("exec \"$@\" {redirect}"), arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{redirect} {arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(told), "{redirect} {arguments:?}: {}", stderr(&output));
    }
    assert_eq!(world.files("out").len(), 5);
    // A reader that closes the pipe early does not cause an error.
    let output = world.behind("{ \"$@\"; echo $? >&2; } | true", &["--help"]).output().unwrap();
    assert_eq!(stderr(&output).trim(), "0");
}

/// With thread stacks of 1 GiB and too little address space for all threads, some thread cannot start. The result must
/// be a one-line error, without a panic or a hang.
#[cfg(target_os = "linux")]
#[test]
fn a_thread_that_cannot_start_gives_an_error() {
    let world = World::trained();
    world.inputs(3, 3000);
    let mut failed = 0;
    for limit in 0..20 {
        let line = format!("ulimit -v {}; exec \"$@\"", (limit << 20) + (700 << 10));
        let job = [&JOB[..], &["-o", "out", "--threads", "4", "-q"]].concat();
        let mut command = world.behind(&line, &job);
        let output =
            command.env("RUST_MIN_STACK", (1 << 30).to_string()).env("MALLOC_ARENA_MAX", "1").output().unwrap();
        let text = stderr(&output);
        assert!(matches!(output.status.code(), Some(0 | 2)) && !text.contains("panicked"), "{limit}: {output:?}");
        if output.status.code() == Some(2) {
            assert!(text.starts_with("partwise: error: cannot") && text.lines().count() == 1, "{limit}: {text}");
            failed += 1;
        }
    }
    assert!(failed > 8, "{failed}");
}

#[test]
fn file_names_are_escaped_in_messages() {
    let world = World::trained();
    let odd = "a\nb\u{1b}[31m.wav";
    world.record(&format!("in/{odd}"), &[mix(1, 2000)], RATE);
    std::fs::write(world.path(&format!("in/broken{odd}")), "no audio").unwrap();
    let good = format!("in/{odd}");
    let clean = |output: &Output| {
        let text = stdout(output) + &stderr(output);
        assert!(!text.contains('\u{1b}') && text.contains("a\\nb\\u{1b}[31m"), "{text}");
        text
    };
    let output = world.separate(&["in", "-v"]);
    assert_eq!(output.status.code(), Some(1));
    let text = clean(&output);
    assert!(text.lines().any(|line| line.starts_with("failed: in/broken") && line.contains("is not a wav")), "{text}");
    assert!(
        text.lines().all(|line| line.starts_with("partwise: ") || !line.contains("31m") || line.starts_with("failed"))
    );
    clean(&world.run(&["evaluate", "--reference", &good, "--estimate", &good]));
    clean(&world.run(&["evaluate", "--csv", "--reference", &good, "--estimate", &good]));
    clean(&world.run(&["manifest", "merge", "out", "-o", "all.jsonl"]));
    clean(&world.run(&["factorize", &good, "--rank", "2", "-o", "x"]));
    let model = world.run(&["train", "--source", "a=tones", "-o", odd, "--rank", "2", "--iterations", "2"]);
    assert!(model.status.success());
    clean(&model);
}
