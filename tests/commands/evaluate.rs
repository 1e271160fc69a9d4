//! Tests of scores of many recordings as a user gets them: which files belong together, what is told of the others, and windows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Output;

use crate::common::world::{RATE, World, hiss, json, refused, stderr, stdout, tones};
use serde_json::Value;

const FOLDERS: [&str; 4] = ["--references", "true", "--estimates", "out"];

/// Records a recording of two sources: true ones, estimates that leak by `leak`, and the mixture.
fn record(world: &World, clip: &str, leak: f32, samples: usize) {
    let (one, other) = (tones(200.0, samples), hiss(samples as u64, samples));
    let with = |a: &[f32], b: &[f32], leak: f32| a.iter().zip(b).map(|(a, b)| a + leak * b).collect::<Vec<f32>>();
    world.record(&format!("true/{clip}.tones.wav"), std::slice::from_ref(&one), RATE);
    world.record(&format!("true/{clip}/hiss.wav"), std::slice::from_ref(&other), RATE);
    world.record(&format!("out/{clip}/tones.wav"), &[with(&one, &other, leak)], RATE);
    world.record(&format!("out/{clip}.hiss.wav"), &[with(&other, &one, leak)], RATE);
    world.record(&format!("mixes/{clip}.wav"), &[with(&one, &other, 1.0)], RATE);
}

/// Two recordings, one of them below a folder.
fn world() -> World {
    let world = World { folder: tempfile::tempdir().unwrap() };
    record(&world, "first", 0.1, 3000);
    record(&world, "more/se.cond", 0.2, 5000);
    world
}

fn run(world: &World, arguments: &[&str]) -> Output {
    world.run(&[&["evaluate"], arguments].concat())
}

fn done(world: &World, arguments: &[&str]) -> Output {
    let output = run(world, arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    output
}

fn close(value: &Value, expected: f64) -> bool {
    value.as_f64().is_some_and(|value| (value - expected).abs() < 1e-9)
}

#[test]
fn files_of_two_folders_match_by_recording_and_source() {
    let world = world();
    let scores = json(&done(&world, &[&FOLDERS[..], &["--mixtures", "mixes", "--json"]].concat()));
    let clips = scores["clips"].as_array().unwrap();
    let names: Vec<&str> = clips.iter().map(|clip| clip["clip"].as_str().unwrap()).collect();
    assert_eq!(names, ["first", "more/se.cond"]);
    for (clip, name) in clips.iter().zip(names) {
        // As by itself.
        let truth = [format!("true/{name}/hiss.wav"), format!("true/{name}.tones.wav")];
        let guess = [format!("out/{name}.hiss.wav"), format!("out/{name}/tones.wav")];
        let mixture = format!("mixes/{name}.wav");
        let files = ["--reference", &truth[0], &truth[1], "--estimate", &guess[0], &guess[1], "--mixture", &mixture];
        let alone = json(&done(&world, &[&files[..], &["--json"]].concat()));
        for (index, source) in ["hiss", "tones"].into_iter().enumerate() {
            let mut got = clip["sources"][index].clone();
            assert_eq!(got.as_object_mut().unwrap().remove("source"), Some(source.into()));
            assert_eq!(got, alone["sources"][index], "{name}");
        }
    }
    let of = |clip: usize, source: usize, measure: &str| clips[clip]["sources"][source][measure].as_f64().unwrap();
    let hiss = &scores["sources"][0];
    assert_eq!((hiss["source"].as_str(), hiss["count"].as_u64()), (Some("hiss"), Some(2)));
    assert!(close(&hiss["mean"]["sdr"], (of(0, 0, "sdr") + of(1, 0, "sdr")) / 2.0));
    let mut all = [of(0, 0, "snr"), of(0, 1, "snr"), of(1, 0, "snr"), of(1, 1, "snr")];
    assert!(close(&scores["all"]["mean"]["snr"], all.iter().sum::<f64>() / 4.0));
    all.sort_by(f64::total_cmp);
    assert!(close(&scores["all"]["median"]["snr"], (all[1] + all[2]) / 2.0));
    assert!(scores["all"]["mean_improvement"]["si_sdr"].as_f64().unwrap() > 10.0);

    let text = stdout(&done(&world, &FOLDERS));
    let rows: Vec<&str> = text.lines().map(|line| line.split("  ").next().unwrap()).collect();
    let expected = [
        "dB",
        "first: hiss",
        "first: tones",
        "more/se.cond: hiss",
        "more/se.cond: tones",
        "mean of hiss",
        "median of hiss",
        "mean of tones",
        "median of tones",
        "mean",
        "median",
    ];
    assert_eq!(rows[..11], expected, "{text}");
    assert!(text.ends_with("\n2 recordings scored\n") && !text.contains("gain"), "{text}");
    let csv = stdout(&done(&world, &[&FOLDERS[..], &["--csv"]].concat()));
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[0].starts_with("clip,source,reference,estimate,sdr,") && lines.len() == 5, "{csv}");
    assert!(lines[1].starts_with("\"first\",\"hiss\",\"true/first/hiss.wav\",\"out/first.hiss.wav\","), "{csv}");
}

#[test]
fn what_has_no_partner_is_named_and_what_cannot_be_scored_fails_alone() {
    let world = world();
    for clip in 0..12 {
        world.record(&format!("true/other{clip:02}.hiss.wav"), &[hiss(1, 99)], RATE);
    }
    world.record("out/first.drums.wav", &[hiss(1, 99)], RATE);
    world.record("out/first.hiss.flac.wav", &[hiss(1, 99)], RATE);
    record(&world, "short", 0.1, 800);
    world.record("out/short.hiss.wav", &[hiss(1, 799)], RATE);
    record(&world, "broken", 0.1, 800);
    std::fs::write(world.path("out/broken.hiss.wav"), "no audio").unwrap();
    let output = run(&world, &FOLDERS);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(text.contains("true/other00.hiss.wav: has no estimate; it is left out"), "{text}");
    assert!(text.contains("4 more files are left out; --json names all of them"), "{text}");
    assert!(text.contains("error: short: ") && text.contains("error: broken: out/broken.hiss.wav: "), "{text}");
    assert!(stdout(&output).ends_with("\n2 recordings scored, 2 failed, 14 files left out\n"), "{}", stdout(&output));
    let scores = json(&run(&world, &[&FOLDERS[..], &["--json"]].concat()));
    assert_eq!((scores["failed"].as_array().unwrap().len(), scores["left_out"].as_array().unwrap().len()), (2, 14));
    let reasons: Vec<&str> =
        scores["left_out"].as_array().unwrap().iter().map(|one| one["reason"].as_str().unwrap()).collect();
    assert!(reasons.contains(&"has no reference"), "{reasons:?}");
}

#[test]
fn folders_that_do_not_match_are_refused() {
    let world = world();
    world.record("loud/other.wav", &[hiss(1, 99)], RATE);
    for (arguments, parts) in [
        (["--references", "true", "--estimates", "loud"], ["true and loud", "no reference has an estimate"]),
        (["--references", "true", "--estimates", "none"], ["--estimates none", "is not a folder"]),
        (["--references", "true", "--threads", "1"], ["--estimates", ""]),
    ] {
        refused(&run(&world, &arguments), 2, &parts);
    }
    refused(&run(&world, &[&FOLDERS[..], &["--reference", "a.wav"]].concat()), 2, &["--reference"]);
    refused(&run(&world, &[&FOLDERS[..], &["--frames", "0"]].concat()), 2, &["--frames", "seconds above 0"]);
    std::fs::remove_dir_all(world.path("out")).unwrap();
    world.record("out/first.hiss.wav", &[hiss(1, 9)], RATE);
    refused(&run(&world, &FOLDERS), 2, &["1 of 1 recordings cannot be scored"]);
}

#[test]
fn mixtures_are_taken_by_several_names() {
    let world = world();
    for mixture in
        ["mixes/more/se.cond.wav", "out/first/mixture.wav", "true/first.mix.wav", "true/more/se.cond/mixture.wav"]
    {
        world.record(mixture, &[hiss(9, if mixture.contains("first") { 3000 } else { 5000 })], RATE);
    }
    let gains = |arguments: &[&str]| {
        let output = run(&world, &[&FOLDERS[..], arguments, &["--json"]].concat());
        let scores = json(&output);
        let gain = |clip: usize| !scores["clips"][clip]["sources"][0]["improvement"].is_null();
        (output.status.code(), gain(0), gain(1))
    };
    // Those beside the references.
    assert_eq!(gains(&[]), (Some(0), true, true));
    assert_eq!(gains(&["--mixtures", "true"]), (Some(0), true, true));
    assert_eq!(gains(&["--mixtures", "mixes"]), (Some(0), true, true));
    std::fs::remove_file(world.path("mixes/first.wav")).unwrap();
    assert_eq!(gains(&["--mixtures", "mixes"]), (Some(1), false, true));
}

#[test]
fn estimates_without_names_are_put_in_order() {
    let world = world();
    let rename = |from: &str, to: &str| std::fs::rename(world.path(from), world.path(to)).unwrap();
    rename("out/first/tones.wav", "out/first.source1.wav");
    rename("out/first.hiss.wav", "out/first.source2.wav");
    assert_eq!(run(&world, &FOLDERS).status.code(), Some(1));
    let scores = json(&done(&world, &[&FOLDERS[..], &["--permute", "--json"]].concat()));
    let of = |source: usize| {
        let one = &scores["clips"][0]["sources"][source];
        (one["source"].as_str().unwrap().to_string(), one["estimate_file"].as_str().unwrap().to_string())
    };
    assert_eq!(of(0), ("hiss".into(), "out/first.source2.wav".into()));
    assert_eq!(of(1), ("tones".into(), "out/first.source1.wav".into()));
    std::fs::remove_file(world.path("out/first.source2.wav")).unwrap();
    let output = run(&world, &[&FOLDERS[..], &["--permute"]].concat());
    assert!(
        output.status.code() == Some(1) && stderr(&output).contains("2 references and 1 estimates"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_list_names_what_no_name_says() {
    let world = world();
    let by_name = json(&done(&world, &[&FOLDERS[..], &["--mixtures", "mixes", "--json"]].concat()));
    std::fs::create_dir(world.path("lists")).unwrap();
    let rows = ["first", "more/se.cond"].iter().flat_map(|clip| {
        [
            ("hiss", format!("../true/{clip}/hiss.wav"), format!("../out/{clip}.hiss.wav")),
            ("tones", format!("../true/{clip}.tones.wav"), format!("../out/{clip}/tones.wav")),
        ]
        .map(|(source, reference, estimate)| {
            [clip.to_string(), source.into(), reference, estimate, format!("../mixes/{clip}.wav")]
        })
    });
    let rows: Vec<[String; 5]> = rows.collect();
    let names = ["clip", "source", "reference", "estimate", "mixture"];
    let csv: String = rows.iter().map(|row| format!("\"{}\"\r\n", row.join("\",\""))).collect();
    std::fs::write(world.path("lists/a.csv"), format!("\u{feff}{}\r\n{csv}", names.join(","))).unwrap();
    let object = |row: &[String; 5]| {
        let object: serde_json::Map<String, Value> =
            names.iter().zip(row).map(|(name, value)| (name.to_string(), value.clone().into())).collect();
        format!("{}\n", Value::from(object))
    };
    std::fs::write(world.path("lists/b.jsonl"), rows.iter().map(object).collect::<String>()).unwrap();
    for list in ["lists/a.csv", "lists/b.jsonl"] {
        let scores = json(&done(&world, &["--manifest", list, "--json"]));
        assert_eq!(scores["all"], by_name["all"], "{list}");
        assert_eq!(scores["clips"][1]["clip"], "more/se.cond");
    }
    for (text, parts) in [
        ("clip,source,reference\na,b,c\n", ["a line needs clip", "estimate"]),
        ("clip,source,reference,estimate\n", ["names no recordings", ""]),
        ("{\"clip\": 3}\n", ["line 1", "clip"]),
        ("clip,source,reference,estimate\na,b,c,d\na,b,e,f\n", ["the source b of a is named twice", ""]),
        ("clip,source,reference,estimate,mixture\na,b,c,d,e\na,f,c,d,g\n", ["a has two mixtures", "lists/e"]),
    ] {
        std::fs::write(world.path("lists/bad"), text).unwrap();
        refused(&run(&world, &["--manifest", "lists/bad"]), 2, &[&["lists/bad"], &parts[..]].concat());
    }
    refused(&run(&world, &["--manifest", "absent.csv"]), 2, &["absent.csv", "cannot read"]);
}

#[test]
fn windows_have_rows_of_their_own_and_medians_in_the_table() {
    let world = World { folder: tempfile::tempdir().unwrap() };
    record(&world, "clip", 0.1, 4500);
    // The second of four windows of 1000 samples is silent.
    let mut truth = hiss(4500, 4500);
    truth[1000..2000].fill(0.0);
    world.record("true/clip/hiss.wav", &[truth], RATE);
    let scores = json(&done(&world, &[&FOLDERS[..], &["--frames", "0.125", "--json"]].concat()));
    let windows = &scores["clips"][0]["sources"][0]["windows"];
    assert_eq!((windows["seconds"].as_f64(), windows["silent"].as_u64()), (Some(0.125), Some(1)));
    let starts: Vec<f64> =
        windows["scores"].as_array().unwrap().iter().map(|one| one["start"].as_f64().unwrap()).collect();
    assert_eq!(starts, [0.0, 0.125, 0.25, 0.375]);
    assert!(windows["scores"][1]["sdr"].is_null() && windows["scores"][1]["snr"].is_null());
    let mut snr: Vec<f64> = [0, 2, 3].map(|one: usize| windows["scores"][one]["snr"].as_f64().unwrap()).into();
    snr.sort_by(f64::total_cmp);
    assert!(close(&windows["median"]["snr"], snr[1]));
    assert!(close(&scores["sources"][0]["windows_mean"]["snr"], snr[1]));

    let csv = stdout(&done(&world, &[&FOLDERS[..], &["--frames", "0.125", "--csv"]].concat()));
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[0].starts_with("clip,source,reference,estimate,start,seconds,sdr,") && lines.len() == 11, "{csv}");
    assert!(
        lines[1].contains(".wav\",,,") && lines[2].contains(".wav\",0,0.125,") && lines[3].contains(",0.125,0.125,NaN")
    );
    let columns = |line: &str| line.matches(',').count();
    assert!(lines.iter().all(|line| columns(line) == columns(lines[0])), "{csv}");

    let text = stdout(&done(&world, &[&FOLDERS[..], &["--frames", "0.125"]].concat()));
    assert!(text.contains("SDR 0.125s") && text.contains("1 of 8 are silent and have no SDR"), "{text}");
    // A recording by itself, and windows of one second if no length is said.
    let files = ["--reference", "true/clip.tones.wav", "--estimate", "out/clip/tones.wav", "--frames"];
    let alone = json(&done(&world, &[&files[..], &["0.125", "--json"]].concat()));
    assert_eq!(alone["sources"][0]["windows"]["scores"].as_array().unwrap().len(), 4);
    done(&world, &[&files[..], &["--json"]].concat());
    let text = stdout(&done(&world, &files));
    assert!(text.contains("SNR 1s") && text.contains("no recording is as long as one"), "{text}");
    let plain = json(&done(&world, &[&files[..4], &["--json"]].concat()));
    assert!(plain["sources"][0].get("windows").is_none());
}
