//! Tests of what is said: on a terminal and elsewhere, once, in one form, and as much as was asked for.

#![cfg(unix)]

use std::process::Command;

use crate::common::terminal::OnTerminal;
use crate::common::world::{RATE, World, hiss, json, mix, refused, stderr, stdout, tones};

impl World {
    /// The program in this folder on a terminal, and what it shows there.
    fn on_terminal(&self, arguments: &[&str], environment: &[(&str, &str)]) -> (String, Option<i32>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_partwise"));
        command.args(arguments).current_dir(self.folder.path()).env_remove("NO_COLOR");
        command.envs(environment.iter().copied());
        OnTerminal::start(command).end()
    }
}

const JOB: [&str; 9] = ["separate", "--model", "m.safetensors", "-o", "out", "--engine", "cpu", "--iterations", "10"];

#[test]
fn a_failed_file_appears_once_on_a_terminal() {
    let world = World::trained();
    world.record("good.wav", &[mix(1, 3000)], RATE);
    std::fs::write(world.path("bad.wav"), "no audio").unwrap();
    let job = [&JOB[..], &["--no-progress", "good.wav", "bad.wav"]].concat();
    let (shown, status) = world.on_terminal(&job, &[]);
    assert_eq!((shown.matches("bad.wav").count(), status), (1, Some(1)), "{shown}");
    assert!(shown.contains("1 of 2 files separated, 1 failed"), "{shown}");
    assert!(shown.contains("wrote 2 files and manifest.jsonl in out"), "{shown}");
    // In files, each stream tells it.
    let output = world.run(&job);
    assert!(stderr(&output).contains("bad.wav") && stdout(&output).contains("failed: bad.wav"), "{output:?}");
}

#[test]
fn the_word_error_has_a_colour_on_a_terminal_alone() {
    let world = World::new();
    let (shown, status) = world.on_terminal(&["evaluate", "--reference"], &[]);
    assert_eq!(status, Some(2));
    assert!(shown.contains("partwise: \u{1b}[1m\u{1b}[31merror:\u{1b}[0m"), "{shown:?}");
    let (shown, _) = world.on_terminal(&["evaluate", "--reference"], &[("NO_COLOR", "1")]);
    assert!(shown.contains("partwise: error: "), "{shown:?}");
    let plain = stderr(&world.run(&["evaluate", "--reference"]));
    assert!(plain.starts_with("partwise: error: ") && !plain.contains('\u{1b}'), "{plain:?}");
}

#[test]
fn a_typo_in_a_folder_is_one_line() {
    let world = World::trained();
    let evaluate = ["evaluate", "--reference", "speach.wav", "--estimate", "tones/a.wav"];
    for (job, name) in [
        (&[&JOB[..], &["taks/"]].concat()[..], "taks/"),
        (&["train", "--source", "tones=tnes/", "--source", "hiss=hiss", "-o", "n.safetensors"], "tnes/"),
        (&evaluate, "speach.wav"),
    ] {
        let output = world.run(job);
        refused(&output, 2, &[name, "there is no such file or folder; check the name"]);
        assert_eq!((stderr(&output).lines().count(), stdout(&output).as_str()), (1, ""), "{output:?}");
    }
    assert!(!world.path("out").exists() && !world.path("n.safetensors").exists());
}

#[test]
fn wrong_usage_is_one_line_with_what_to_do() {
    let world = World::trained();
    for (arguments, parts) in [
        (&["help", "trian"][..], &["'trian'", "a similar subcommand exists: 'train'"][..]),
        (&["help", "client", "stauts"], &["'stauts'", "'status'"]),
        (&["trian"], &["'trian'", "a similar subcommand exists: 'train'"]),
        (
            &["train", "--sorce", "a=b"],
            &["'--sorce'", "a similar argument exists: '--source'", "`partwise train --help`"],
        ),
        (&["evaluate", "--engine", "cpu"], &["'--engine'", "`partwise evaluate --help`"]),
        (&["--json", "devices"], &["'--json'", "options come after the command"]),
        (&["separate", "x.wav"], &["--output <DIR>", "`partwise separate --help`"]),
        (&["separate", "x.wav", "-o", "out"], &["--model", "partwise train", "--method nmf2d"]),
        (&["separate", "x.wav", "-o", "out", "--model", "m.safetensors", "--seed", "1"], &["--seed", "nmf2d"]),
    ] {
        let output = world.run(arguments);
        refused(&output, 2, parts);
        let text = stderr(&output);
        assert!(text.lines().count() == 1 && text.starts_with("partwise: error: "), "{text}");
    }
}

#[test]
fn a_clearly_better_order_of_estimates_is_told() {
    let world = World::new();
    let (one, other) = (tones(200.0, 4000), hiss(7, 4000));
    let leaking = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a + 0.2 * b).collect::<Vec<f32>>();
    world.record("one.wav", std::slice::from_ref(&one), RATE);
    world.record("other.wav", std::slice::from_ref(&other), RATE);
    world.record("e1.wav", &[leaking(&one, &other)], RATE);
    world.record("e2.wav", &[leaking(&other, &one)], RATE);
    let evaluate = |estimates: [&str; 2], more: &[&str]| {
        let job = ["evaluate", "--reference", "one.wav", "other.wav", "--estimate", estimates[0], estimates[1]];
        let output = world.run(&[&job[..], more].concat());
        assert!(output.status.success());
        stderr(&output)
    };
    let text = evaluate(["e2.wav", "e1.wav"], &[]);
    assert!(
        text.contains("warning: the estimates fit better in another order") && text.contains("--permute"),
        "{text}"
    );
    assert_eq!(evaluate(["e1.wav", "e2.wav"], &[]), "");
    assert_eq!(evaluate(["e2.wav", "e1.wav"], &["--permute"]), "");
}

#[test]
fn a_window_that_was_meant_in_milliseconds_is_doubted_once() {
    let world = World::new();
    world.record("mix.wav", &[mix(1, 3000)], RATE);
    world.record("again.wav", &[mix(2, 3000)], RATE);
    let doubt =
        "partwise: warning: --window 15: is 1.9 ms at 8000 Hz, because it is in samples; write 15ms for milliseconds\n";
    let train = ["train", "--source", "a=tones", "--source", "b=hiss", "-o", "n.safetensors", "--rank", "2"];
    let blind = ["separate", "mix.wav", "again.wav", "--method", "nmf2d", "--starts", "1", "-o", "out"];
    for job in [&train[..], &blind] {
        let run = |window: &str| stderr(&world.run(&[job, &["--window", window, "--iterations", "2"]].concat()));
        assert_eq!(run("15"), doubt);
        assert_eq!(run("16ms"), "");
    }
}

#[test]
fn commands_end_with_what_they_wrote_and_what_comes_next() {
    let world = World::new();
    let train = ["train", "--source", "tones=tones", "--source", "hiss=hiss", "-o", "my model.safetensors"];
    let text = stdout(&world.run(&[&train[..], &["--rank", "4", "--window", "256"]].concat()));
    for part in ["frames: those with sound", "dead: components", "wrote my model.safetensors in "] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let next = text.lines().last().unwrap();
    assert_eq!(next, "next: partwise separate recordings/ --model 'my model.safetensors' -o separated/");
    world.record("recordings/mix.wav", &[mix(1, 3000)], RATE);
    let separate = ["separate", "recordings/", "--model", "my model.safetensors", "-o", "separated/"];
    let text = stdout(&world.run(&separate));
    assert!(text.contains("wrote 2 files and manifest.jsonl in separated/"), "{text}");
    let again = stdout(&world.run(&[&separate[..], &["--resume"]].concat()));
    assert!(again.contains("the results of earlier runs are in separated/"), "{again}");
    let merge = ["manifest", "merge", "separated", "-o", "all.jsonl"];
    assert!(stdout(&world.run(&merge)).ends_with("wrote all.jsonl\n"));
    assert_eq!(json(&world.run(&[&separate[..], &["--json"]].concat()))["output"], "separated/");
    // Quiet ones say nothing.
    for job in [&train[..], &separate, &merge] {
        let output = world.run(&[job, &["-q"]].concat());
        assert_eq!((stdout(&output), stderr(&output), output.status.code()), (String::new(), String::new(), Some(0)));
    }
    let quiet = ["evaluate", "-q", "--reference", "tones/a.wav", "--estimate", "tones/a.wav"];
    assert!(stdout(&world.run(&quiet)).contains("SI-SDR"), "what was asked for");
}

#[test]
fn verbose_runs_name_files_and_very_verbose_ones_panels() {
    let world = World::trained();
    world.record("in/a.wav", &[mix(1, 3000)], RATE);
    world.record("in/b.wav", &[mix(2, 3000)], RATE);
    let job = [&JOB[..], &["in"]].concat();
    assert_eq!(stderr(&world.run(&job)), "");
    let text = stderr(&world.run(&[&job[..], &["-v"]].concat()));
    for part in ["info: in/a.wav: begins", "info: in/b.wav: done, 0.4 s of audio", "info: engines: "] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("panel"), "{text}");
    let text = stderr(&world.run(&[&job[..], &["-vv", "--resume"]].concat()));
    assert!(text.contains("info: in/a.wav: done before") && !text.contains("begins\npartwise: debug"), "{text}");
    let text = stderr(&world.run(&[&job[..], &["-vv"]].concat()));
    assert!(text.contains("debug: panel of ") && text.contains("up to 10 passes"), "{text}");
    let text = stderr(&world.run(&["train", "-v", "--source", "a=tones", "-o", "n.safetensors", "--rank", "2"]));
    assert!(text.contains("info: tones/a.wav: read, 0.8 s") && text.contains("info: engine: "), "{text}");
}

#[test]
fn progress_names_files_and_counts_what_an_earlier_run_did() {
    let world = World::trained();
    for index in 0..3 {
        world.record(&format!("in/{index}.wav"), &[mix(index, 3000)], RATE);
    }
    world.run(&[&JOB[..], &["in/0.wav", "in/1.wav"]].concat());
    let (shown, status) = world.on_terminal(&[&JOB[..], &["in", "--resume", "--threads", "1"]].concat(), &[]);
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains("1 of 3 files separated, 2 done before"), "{shown}");
    assert!(shown.contains("2 of 3: 2.wav"), "{shown:?}");
    assert!(!shown.contains(" left"), "there is no guess in the first second: {shown:?}");
}

#[test]
fn shells_and_man_know_the_commands() {
    let world = World::new();
    for (shell, part) in [
        ("bash", "complete -F _partwise"),
        ("zsh", "#compdef partwise"),
        ("fish", "complete -c partwise"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = stdout(&world.run(&["completions", shell]));
        assert!(script.contains(part) && script.contains("prior-weight"), "{shell}: {script}");
    }
    refused(&world.run(&["completions", "sh"]), 2, &["sh", "bash", "zsh", "fish"]);
    let output = world.run(&["man", "man1"]);
    assert!(stdout(&output).contains("pages in man1\n"), "{output:?}");
    let files = world.files("man1");
    for page in ["partwise.1", "partwise-separate.1", "partwise-manifest-merge.1"] {
        assert!(files.iter().any(|file| file == page), "{page}: {files:?}");
    }
    let page = std::fs::read_to_string(world.path("man1/partwise-separate.1")).unwrap();
    assert!(page.contains(".TH partwise-separate 1") && page.contains("Examples:"), "{page}");
}
