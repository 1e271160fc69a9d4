//! Files that earlier versions wrote, kept in tests/earlier: models and a manifest of the version before descriptions of jobs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::world::{json, stderr};
use partwise::model::Parts;
use partwise::schedule::{Recorded, Status, read_manifest};
use partwise::{Model, Separation};

fn earlier(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/earlier").join(name)
}

fn partwise(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_partwise"));
    command.current_dir(folder).args(arguments);
    if arguments[0] == "separate" {
        command.args(["--engine", "cpu", "--threads", "1"]);
    }
    command.output().unwrap()
}

/// A folder with the earlier files, as the run left them that wrote the manifest.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str| std::fs::copy(earlier(from), folder.path().join(to)).map(drop).unwrap();
    std::fs::create_dir(folder.path().join("nmf")).unwrap();
    ["nmf.safetensors", "gain-prior.safetensors", "mix.wav"].iter().for_each(|name| copy(name, name));
    ["manifest.jsonl", "mix.low.wav", "mix.high.wav"].iter().for_each(|name| copy(name, &format!("nmf/{name}")));
    folder
}

#[test]
fn earlier_models_are_read() {
    let plain = Model::load(&earlier("nmf.safetensors")).unwrap();
    assert_eq!((plain.parts, plain.options), (Parts::Nmf, None));
    assert_eq!((plain.sample_rate, plain.training.sources[1].iterations), (8000, 5));
    let prior = Model::load(&earlier("gain-prior.safetensors")).unwrap();
    assert_eq!(prior.training.sources[0].details["mixture"]["components"], 2);
    let Parts::GainPrior(learned) = prior.parts else { panic!("no gain priors") };
    assert_eq!((learned.mixtures.len(), learned.leakage.unwrap().dim()), (2, (2, 2)));
}

#[test]
fn earlier_manifests_are_read_and_kept_as_they_are() {
    let lines = read_manifest(&earlier("manifest.jsonl")).unwrap();
    let ends: Vec<Status> = lines.iter().map(|line| line.status).collect();
    assert_eq!(ends, [Status::Failed, Status::Done, Status::Done, Status::Done]);
    // Plain separations are known by all their options; those with options of a method in the old form are kept, and prove nothing.
    let known: Vec<bool> = lines.iter().map(|line| matches!(line.parameters, Recorded::Known(_))).collect();
    assert_eq!(known, [true, true, false, false]);
    let Recorded::Known(parameters) = &lines[1].parameters else { panic!("not known") };
    let expected: Separation = serde_json::from_value(serde_json::json!({
        "method": "nmf", "mask": "ratio:2", "updates": "extrapolated", "iterations": 10
    }))
    .unwrap();
    assert_eq!(parameters.separation, expected);

    let folder = folder();
    let merged = partwise(folder.path(), &["manifest", "merge", "nmf", "-o", "all.jsonl", "--json"]);
    assert_eq!(json(&merged)["files"], 2, "{}", stderr(&merged));
    let text = std::fs::read_to_string(folder.path().join("all.jsonl")).unwrap();
    assert!(text.contains(r#""pitch lags":"18""#), "{text}");
}

#[test]
fn an_earlier_job_is_resumed() {
    let folder = folder();
    let job = ["separate", "mix.wav", "--model", "nmf.safetensors", "-o", "nmf", "--resume", "--json"];
    let resumed = |more: &[&str]| {
        let output = partwise(folder.path(), &[&job, more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        (json(&output)["resumed"].as_u64().unwrap(), json(&output)["done"].as_u64().unwrap())
    };
    assert_eq!(resumed(&["--iterations", "10"]), (1, 0));
    assert_eq!(resumed(&["--iterations", "11"]), (0, 1));
    // The same options again, by the new line.
    assert_eq!(resumed(&["--iterations", "11"]), (1, 0));
}

#[test]
fn files_of_a_later_version_say_which_version_they_take() {
    let folder = folder();
    let manifest = folder.path().join("nmf/manifest.jsonl");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let line = text.lines().nth(1).unwrap();
    for later in [
        line.replace(r#""version":"0.1.0""#, r#""version":"0.10.0""#)
            .replace(r#""mask":"ratio:2""#, r#""smoothing":3"#),
        line.replace(r#""version":"0.1.0""#, r#""version":"0.10.0""#)
            .replace(r#""status":"done""#, r#""status":"paused""#),
    ] {
        std::fs::write(&manifest, later + "\n").unwrap();
        let output =
            partwise(folder.path(), &["separate", "mix.wav", "--model", "nmf.safetensors", "-o", "nmf", "--resume"]);
        assert_eq!(output.status.code(), Some(2));
        let said = stderr(&output);
        let line = "manifest.jsonl, line 1: was written by partwise 0.10.0; use that version or a later one";
        assert!(said.contains(line) && said.lines().count() == 1, "{said}");
    }
    let model = std::fs::read(folder.path().join("nmf.safetensors")).unwrap();
    let text = String::from_utf8_lossy(&model).into_owned();
    assert!(text.contains("partwise/1") && text.contains(r#"\"version\":\"0.1.0\""#));
    let place = |of: &[u8]| model.windows(of.len()).position(|bytes| bytes == of).unwrap();
    let mut later = model.clone();
    later[place(b"partwise/1") + 9] = b'2';
    later[place(br#"\"version\":\"0.1.0\""#) + 16] = b'7';
    std::fs::write(folder.path().join("later.safetensors"), later).unwrap();
    let output = partwise(folder.path(), &["separate", "mix.wav", "--model", "later.safetensors", "-o", "out"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("has format 'partwise/2'; partwise ") && said.contains("it takes partwise "), "{said}");
    assert_eq!(said.lines().count(), 1);
}
