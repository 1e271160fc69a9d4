//! The commands of docs/first-hour.md, typed one after the other as a new user would.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]
#![cfg(unix)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use partwise::audio::{self, Format, Recording};
use partwise::evaluate::{self, Order};
use partwise::random::Stream;

/// A block of commands, and the lines of their output that the page shows.
#[derive(Debug, Default)]
struct Typed {
    commands: Vec<String>,
    shown: Vec<String>,
}

/// The blocks of commands of a page. A block of text shows the output of the commands before it.
fn blocks(page: &str) -> Vec<Typed> {
    let mut typed: Vec<Typed> = Vec::new();
    let mut block = None;
    for line in page.lines() {
        match (block, line.strip_prefix("```")) {
            (None, Some(kind)) => {
                block = Some(kind);
                if kind == "sh" {
                    typed.push(Typed::default());
                }
            }
            (Some(_), Some(_)) => block = None,
            (Some("sh"), None) => typed.last_mut().unwrap().commands.push(line.into()),
            (Some("text"), None) => typed.last_mut().unwrap().shown.push(line.into()),
            _ => {}
        }
    }
    typed
}

/// A line with every run of digits as one mark and every run of spaces as one space: numbers and the widths of columns differ
/// from machine to machine.
fn pattern(line: &str) -> String {
    let marked: String = line.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect();
    let mut pattern = String::new();
    for c in marked.replace("#.#", "#").trim().chars() {
        if !(matches!(c, '#' | ' ') && pattern.ends_with(c)) {
            pattern.push(c);
        }
    }
    pattern
}

/// A speaker of the demo in as much noise, and the speech alone.
fn talk() -> (Recording, Vec<f32>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let spoken = audio::read_folder(&root.join("examples/audio/speech/test")).unwrap().swap_remove(0);
    let drawn = Stream::new(3, "talk");
    // Noise with less power at high frequencies, as rooms and traffic have.
    let mut low = 0.0;
    let draw = |n: usize| {
        low = 0.95 * low + (drawn.uniform(n as u64) - 0.5) as f32;
        low
    };
    let speech = spoken.channels[0].clone();
    let noise: Vec<f32> = (0..speech.len()).map(draw).collect();
    let energy = |samples: &[f32]| samples.iter().map(|sample| sample * sample).sum::<f32>();
    let scale = (energy(&speech) / energy(&noise)).sqrt();
    let mixed = speech.iter().zip(&noise).map(|(speech, noise)| speech + scale * noise).collect();
    (Recording { channels: vec![mixed], ..spoken }, speech)
}

/// Runs a command in `folder`, with the program where a shell finds it.
fn run(command: &str, folder: &Path) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_partwise")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(folder).env("PATH", format!("{}:{path}", program.display()));
    shell.env_remove("RUST_LOG").output().unwrap()
}

/// Runs the command that installs the program, into `root` and without optimisations. It compiles everything, so it is run only
/// where PARTWISE_INSTALL is 1.
fn install(command: &str, root: &Path) {
    if std::env::var("PARTWISE_INSTALL").is_ok_and(|value| value == "1") {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("install");
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(env!("CARGO_MANIFEST_DIR"));
        shell.env("CARGO_INSTALL_ROOT", root).env("CARGO_TARGET_DIR", target);
        shell.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "64");
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        let version = Command::new(root.join("bin/partwise")).arg("--version").output().unwrap();
        assert!(String::from_utf8_lossy(&version.stdout).contains(env!("CARGO_PKG_VERSION")), "{version:?}");
    } else {
        // Not eprintln!, because the test harness hides it if a test passes.
        let _ = writeln!(std::io::stderr(), "SKIPPED: PARTWISE_INSTALL is not 1: {command}");
    }
}

#[test]
fn every_command_of_the_first_hour_works_at_once() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/first-hour.md")).unwrap();
    let typed = blocks(&page);
    let count = typed.iter().map(|block| block.commands.len()).sum::<usize>();
    assert!((8..=12).contains(&count), "{count} commands");
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    let (recording, speech) = talk();
    audio::write(&at("talk.wav"), &recording, Format::WavPcm16).unwrap();

    for Typed { commands, shown } in &typed {
        let mut printed = String::new();
        for command in commands {
            if command.starts_with("cargo install ") {
                install(command, &at("root"));
                continue;
            }
            let output = run(command, folder.path());
            let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success() && stderr.is_empty(), "{command}: {stdout}{stderr}");
            printed += &stdout;
        }
        let lines: Vec<String> = printed.lines().map(pattern).collect();
        for line in shown {
            assert!(lines.contains(&pattern(line)), "{commands:?} do not print '{line}':\n{printed}");
        }
    }

    // What the page says is there is there.
    let named = page.split('`').skip(1).step_by(2).filter(|name| {
        let is_path = !name.contains([' ', '\n']) && !name.starts_with("../");
        is_path && (name.ends_with(".html") || name.ends_with(".wav") || name.ends_with(".png"))
    });
    for name in named {
        assert!(at(name).is_file(), "{name} is not there");
    }

    // The noise is off.
    let estimate = audio::read(&at("clean/talk.speech.wav")).unwrap().channels.swap_remove(0);
    let wide = |samples: &[f32]| vec![samples.iter().copied().map(f64::from).collect::<Vec<f64>>()];
    let scores =
        evaluate::evaluate(&[wide(&speech)], &[wide(&estimate)], Some(&wide(&recording.channels[0])), Order::Given)
            .unwrap();
    let gain = scores[0].improvement.unwrap().si_sdr;
    assert!(gain > 3.0, "{gain} dB");
}

#[test]
fn numbers_and_spaces_do_not_set_lines_apart() {
    assert_eq!(pattern("mean  speech  +9.0 dB"), pattern("mean speech   +10.12 dB"));
    assert_ne!(pattern("mean speech 9"), pattern("mean piano 9"));
    let page = "x\n```sh\na\nb\n```\n```text\nc\n```\n";
    let typed = blocks(page);
    assert_eq!(
        (typed.len(), &typed[0].commands[..], &typed[0].shown[..]),
        (1, &["a".into(), "b".into()][..], &["c".into()][..])
    );
}
