//! Streams: what comes in blocks, or through a pipe, has the bits of the whole recording in a file.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::ops::ControlFlow::Continue;
use std::process::{Command, Output, Stdio};

use crate::common::world::{RATE, World, hiss, mix, refused, stderr, tones};
use partwise::audio::{self, Format};
use partwise::separate::{Plan, Stem, Stream};
use partwise::{AnyEngine, EngineChoice, Error, Model, Recording, Separation, separate};

const SOURCES: [&str; 4] = ["--source", "tones=tones", "--source", "hiss=hiss"];

/// A world with a model of one set of bases, and with one of several, some of which span several frames.
fn world() -> World {
    let world = World::trained();
    let several = ["--quality", "normal", "--members", "3", "--rank", "4", "--iterations", "5", "--window", "256"];
    let output = world.run(&[&["train", "-o", "several"], &SOURCES[..], &several].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    world
}

fn engine() -> AnyEngine {
    EngineChoice::Cpu.open().unwrap()
}

fn plan<'a>(model: &'a Model, separation: &Separation) -> Plan<'a> {
    Plan::new(Some(model), separation, &mut |_| Ok(())).unwrap()
}

/// All samples of the stems of a recording that is pushed in blocks of `block` samples, and how many were there before the end.
fn streamed(plan: &Plan, engine: &AnyEngine, recording: &Recording, block: usize) -> (Vec<Stem>, usize) {
    let separator = plan.on_borrowed(engine);
    let mut stream = Stream::new(plan, &*separator, recording.channels.len(), recording.sample_rate).unwrap();
    let mut stems: Vec<Stem> = Vec::new();
    let mut extend = |more: Vec<Stem>| {
        assert!(more.iter().flat_map(|stem| &stem.recording.channels).all(|c| c.len() == more[0].recording.frames()));
        if stems.is_empty() {
            stems = more;
        } else {
            for (stem, more) in stems.iter_mut().zip(more) {
                assert_eq!(stem.source, more.source);
                stem.recording.channels.iter_mut().zip(more.recording.channels).for_each(|(to, from)| to.extend(from));
            }
        }
        stems[0].recording.frames()
    };
    let mut early = 0;
    for start in (0..recording.frames()).step_by(block) {
        let end = recording.frames().min(start + block);
        let block: Vec<&[f32]> = recording.channels.iter().map(|channel| &channel[start..end]).collect();
        early = extend(stream.push(&block).unwrap());
    }
    extend(stream.finish().unwrap());
    (stems, early)
}

#[test]
fn blocks_of_any_size_give_the_bits_of_the_whole() {
    let (world, engine) = (world(), engine());
    let quiet_then_loud: Vec<f32> = mix(5, 40_001).iter().enumerate().map(|(n, x)| x * n as f32 / 40_001.0).collect();
    let recordings = [
        Recording::new(vec![quiet_then_loud], RATE).unwrap(),
        Recording::new(vec![mix(5, 19_000), mix(6, 19_000)], RATE).unwrap(),
        Recording::new(vec![mix(7, 30_000)], 3 * RATE).unwrap(),
        Recording::new(vec![mix(8, 9_000)], RATE / 2).unwrap(),
        Recording::new(vec![mix(9, 100)], RATE).unwrap(),
        Recording::new(vec![vec![0.5]], 3 * RATE).unwrap(),
    ];
    let usual = Separation { iterations: Some(4), ..Separation::default() };
    let descriptions = [
        usual.clone(),
        Separation { only: Some("hiss".into()), residual: true, ..usual.clone() },
        Separation { follow: true, ..usual.clone() },
    ];
    for model in ["m.safetensors", "several"].map(|name| Model::load(&world.path(name)).unwrap()) {
        for separation in &descriptions {
            let plan = plan(&model, separation);
            for recording in &recordings {
                let whole = separate(&engine, Some(&model), recording, separation, &mut |_| Continue(())).unwrap();
                assert_eq!(whole[0].recording.frames(), recording.frames());
                for block in [1, 7, 333, 4096, usize::MAX / 2] {
                    let (stems, _) = streamed(&plan, &engine, recording, block);
                    assert!(stems == whole, "{separation:?}: {} Hz in blocks of {block}", recording.sample_rate);
                }
            }
        }
    }
}

#[test]
fn what_comes_later_changes_nothing_before() {
    let (world, engine) = (world(), engine());
    let model = Model::load(&world.path("m.safetensors")).unwrap();
    let soft: Vec<f32> = mix(5, 40_000);
    let louder: Vec<f32> = soft.iter().chain(&mix(6, 8_000)).copied().collect();
    let louder = louder.iter().enumerate().map(|(n, x)| if n < 40_000 { *x } else { 20.0 * x }).collect();
    let [soft, louder] = [soft, louder].map(|samples| Recording::new(vec![samples], RATE).unwrap());
    let plan = plan(&model, &Separation::default());
    let (stems, early) = streamed(&plan, &engine, &soft, 100);
    // A stretch of 128 frames is 1 s here.
    assert!((30_000..40_000).contains(&early), "{early}");
    let (beside, _) = streamed(&plan, &engine, &louder, 5000);
    assert!(stems[0].recording.channels[0][..early] == beside[0].recording.channels[0][..early]);
}

#[test]
fn a_frame_that_is_followed_comes_a_window_later() {
    let (world, engine) = (world(), engine());
    let model = Model::load(&world.path("m.safetensors")).unwrap();
    let plan = plan(&model, &Separation { follow: true, ..Separation::default() });
    let separator = plan.on_borrowed(&engine);
    let mut stream = Stream::new(&plan, &*separator, 1, RATE).unwrap();
    let (mut pushed, mut given) = (0, 0);
    for block in mix(5, 4000).chunks(10) {
        pushed += block.len();
        given += stream.push(&[block]).unwrap()[0].recording.frames();
        assert!(given <= pushed && pushed - given < 256 + 10, "{given} of {pushed}");
    }
    assert_eq!(given + stream.finish().unwrap()[0].recording.frames(), 4000);
}

#[test]
fn streams_refuse_what_no_recording_is() {
    let (world, engine) = (World::trained(), engine());
    let model = Model::load(&world.path("m.safetensors")).unwrap();
    let usual = plan(&model, &Separation::default());
    let separator = usual.on_borrowed(&engine);
    let begin = |channels| Stream::new(&usual, &*separator, channels, RATE);
    assert!(matches!(begin(0), Err(Error::Audio { .. })));
    let says = |error: Error, reason: &str| assert!(error.to_string().contains(reason), "{error}");
    let mut stream = begin(2).unwrap();
    says(stream.push(&[[0.0; 3]]).unwrap_err(), "2 channels");
    says(stream.push(&[&[0.0; 3][..], &[0.0; 4]]).unwrap_err(), "[3, 4]");
    stream.push(&[[0.0; 5], [0.0; 5]]).unwrap();
    says(stream.push(&[[0.0; 3], [0.0, f32::NAN, 0.0]]).unwrap_err(), "6 of channel 1");
    // A block that was refused is as if it had never come.
    assert_eq!(stream.finish().unwrap()[0].recording.frames(), 5);
    says(begin(1).unwrap().finish().unwrap_err(), "0 samples");
    let rest = serde_json::from_str(r#"{"method": "rest", "rest": 3}"#).unwrap();
    let whole = plan(&model, &rest);
    says(Stream::new(&whole, &*separator, 1, RATE).err().unwrap(), "as a whole");
}

#[test]
fn only_frames_by_themselves_can_be_followed() {
    let world = world();
    let follow = Separation { follow: true, ..Separation::default() };
    let [one, several] = ["m.safetensors", "several"].map(|name| Model::load(&world.path(name)).unwrap());
    assert_eq!([&one, &several].map(|model| plan(model, &follow).scheme.stretch), [Some(1), Some(1)]);
    let output =
        world.run(&[&["train", "-o", "long", "--quality", "best"], &SOURCES[..], &["--window", "256"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    world.record("mix.wav", &[mix(5, 3000)], RATE);
    let refuses = |model: &str, words: &[&str], parts: &[&str]| {
        let output = world.run(&[&["separate", "mix.wav", "-o", "out", "--follow", "--model", model], words].concat());
        refused(&output, 2, parts);
    };
    refuses("long", &[], &["--follow", "span several frames", "--rank 64"]);
    refuses("m.safetensors", &["--tolerance", "1e-3"], &["--tolerance", "follow"]);
    refuses("m.safetensors", &["--rest", "3"], &["--follow", "rest", "as a whole"]);
}

/// The program with this standard input.
fn piped(world: &World, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_partwise"));
    command.args(arguments).args(["--engine", "cpu"]).current_dir(world.folder.path()).env_remove("RUST_LOG");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // The program may end before it has read everything.
    let writer = std::thread::spawn(move || input.chunks(1001).try_for_each(|part| stdin.write_all(part)));
    let output = child.wait_with_output().unwrap();
    drop(writer.join().unwrap());
    output
}

const PIPE: [&str; 10] =
    ["separate", "-", "-o", "-", "--model", "m.safetensors", "--only", "tones", "--iterations", "10"];

fn heard(world: &World, options: &[&str], input: &[u8]) -> Recording {
    let output = piped(world, &[&PIPE[..], options].concat(), input);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()), "{options:?}");
    std::fs::write(world.path("heard.wav"), &output.stdout).unwrap();
    world.read("heard.wav")
}

#[test]
fn a_pipe_has_the_samples_of_the_file() {
    let world = World::trained();
    let channels = [mix(5, 9001), mix(6, 9001)];
    for (name, format, rate, count) in [
        ("f32", Format::WavF32, RATE, 1),
        ("pcm16", Format::WavPcm16, RATE, 2),
        ("pcm24", Format::WavPcm24, 2 * RATE, 1),
    ] {
        let recording = Recording::new(channels[..count].to_vec(), rate).unwrap();
        audio::write(&world.path(&format!("{name}.wav")), &recording, format).unwrap();
        let bytes = std::fs::read(world.path(&format!("{name}.wav"))).unwrap();
        for options in [&[][..], &["--follow"], &["--format", "wav-pcm16"], &["--format", "wav-pcm24", "--follow"]] {
            let file = format!("{name}.wav");
            let output = world.separate(&[&[file.as_str(), "--only", "tones"], options].concat());
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            let written = world.read(&format!("out/{name}.tones.wav"));
            let heard = heard(&world, options, &bytes);
            assert_eq!((heard.channels == written.channels, heard.sample_rate), (true, rate), "{name}: {options:?}");
            assert!(heard.warnings.len() == 1 && heard.warnings[0].contains("never filled in"), "{:?}", heard.warnings);
        }
    }
}

#[test]
fn sizes_that_a_program_could_not_fill_in_are_none() {
    let world = World::trained();
    world.record("mix.wav", &[mix(5, 9000)], RATE);
    let bytes = std::fs::read(world.path("mix.wav")).unwrap();
    let expected = heard(&world, &[], &bytes);
    let at = bytes.windows(4).position(|name| name == b"data").unwrap() + 4;
    for size in [0_u32, 0x7FFF_F000, 0x8000_0000, u32::MAX] {
        let mut open = bytes.clone();
        open[at..at + 4].copy_from_slice(&size.to_le_bytes());
        assert!(heard(&world, &[], &open).channels == expected.channels, "{size:#x}");
    }
}

#[test]
fn what_is_odd_about_a_stream_is_told() {
    let world = World::trained();
    world.record("mix.wav", &[mix(5, 9000)], RATE);
    let bytes = std::fs::read(world.path("mix.wav")).unwrap();
    let frames = |output: &Output| {
        std::fs::write(world.path("heard.wav"), &output.stdout).unwrap();
        world.read("heard.wav").frames()
    };
    let cut = piped(&world, &PIPE, &bytes[..bytes.len() - 4002]);
    assert_eq!((cut.status.code(), frames(&cut)), (Some(0), 7999));
    assert!(stderr(&cut).contains("cut short: 7999 of 9000 frames are there"), "{}", stderr(&cut));
    let at = bytes.windows(4).position(|name| name == b"data").unwrap() + 4;
    let mut open = bytes.clone();
    open[at..at + 4].copy_from_slice(&[0xFF; 4]);
    let cut = piped(&world, &PIPE, &open[..open.len() - 2]);
    assert_eq!((cut.status.code(), frames(&cut)), (Some(0), 8999));
    assert!(stderr(&cut).contains("in the middle of a frame"), "{}", stderr(&cut));
    let mut short = bytes.clone();
    short[at..at + 4].copy_from_slice(&4000_u32.to_le_bytes());
    let more = piped(&world, &PIPE, &short);
    assert_eq!((more.status.code(), frames(&more)), (Some(0), 9000));
    assert!(stderr(&more).contains("counts 1000 frames, but 9000 were found"), "{}", stderr(&more));
    let listed = [&bytes[..], b"LIST\x04\0\0\0INFO"].concat();
    let listed = piped(&world, &PIPE, &listed);
    assert_eq!((frames(&listed), stderr(&listed)), (9000, String::new()));
    // A sum with the whole of the recording: what was said of blocks.
    let verbose = piped(&world, &[&PIPE[..], &["-v"]].concat(), &bytes);
    assert!(stderr(&verbose).contains("1.1 s of audio") && frames(&verbose) == 9000, "{}", stderr(&verbose));
}

#[test]
fn a_stream_that_cannot_be_used_is_refused_in_one_line() {
    let world = World::trained();
    world.record("mix.wav", &[mix(5, 3000)], RATE);
    let recording = Recording::new(vec![mix(5, 3000)], RATE).unwrap();
    audio::write(&world.path("mix.flac"), &recording, Format::Flac16).unwrap();
    let [wav, flac] = ["mix.wav", "mix.flac"].map(|name| std::fs::read(world.path(name)).unwrap());
    let mut nan = wav.clone();
    let last = nan.len() - 8;
    nan[last..last + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    for (input, parts) in [
        (&b""[..], &["standard input", "empty"][..]),
        (&flac, &["standard input", "is flac", "ffmpeg -i - -f wav - |"]),
        (&nan, &["standard input", "sample 2998", "NaN"]),
        (b"RIFF\0\0\0\0WAVE", &["standard input", "ends before its `fmt ` chunk"]),
        (&wav[..wav.len() - 12_000], &["standard input", "0 samples"]),
        (b"no audio", &["standard input", "is not audio of a known type", "only wav is read from a pipe"]),
    ] {
        refused(&piped(&world, &PIPE, input), 2, parts);
    }
    let model = ["--model", "m.safetensors"];
    for (words, parts) in [
        (&["separate", "-", "-o", "out"][..], &["-o -"][..]),
        (&["separate", "mix.wav", "-o", "-"], &["-o -", "standard output"]),
        (&["separate", "-", "mix.wav", "-o", "-"], &["alone"]),
        (&["separate", "-", "-o", "-"], &["tones, hiss", "--only"]),
        (&["separate", "-", "-o", "-", "--only", "tones", "--residual"], &["tones, residual", "--only"]),
        (&["separate", "-", "-o", "-", "--only", "tones", "--resume"], &["--resume"]),
        (&["separate", "-", "-o", "-", "--only", "tones", "--shard", "1/2"], &["--shard"]),
        (&["separate", "-", "-o", "-", "--only", "tones", "--json"], &["--json"]),
        (&["separate", "-", "-o", "-", "--only", "tones", "--format", "flac"], &["flac", "wav"]),
        (&["separate", "-", "-o", "-", "--only", "tones", "--rest", "3"], &["rest", "as a whole"]),
    ] {
        refused(&piped(&world, &[words, &model].concat(), &wav), 2, parts);
    }
    refused(&piped(&world, &["denoise", "-", "-o", "-"], &wav), 2, &["denoise", "as a whole"]);
}

#[test]
fn samples_come_before_the_end_and_a_reader_may_leave() {
    let world = World::trained();
    let mut command = Command::new(env!("CARGO_BIN_EXE_partwise"));
    command.args(PIPE).args(["--follow", "--engine", "cpu"]).current_dir(world.folder.path());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    world.record("mix.wav", &[[tones(200.0, 8000), hiss(4, 8000)].concat()], RATE);
    let bytes = std::fs::read(world.path("mix.wav")).unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    stdin.write_all(first).unwrap();
    // All but a window of what was written, while standard input is open.
    let mut early = vec![0; first.len() - 4 * 300];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut early).unwrap();
    drop(stdout);
    // Once the program meets the closed output, it ends.
    let _ = stdin.write_all(rest);
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}
