//! Tests of the demo, from a folder with an awkward name: its files, and that its report is true.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Runs the demo in `folder` and returns its JSON.
fn demo(folder: &Path, output: &str) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_partwise"));
    let run = command.current_dir(folder).args(["demo", "--engine", "cpu", "--json", "-o", output]).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(run.stderr.is_empty(), "{}", String::from_utf8_lossy(&run.stderr));
    serde_json::from_slice(&run.stdout).unwrap()
}

#[test]
fn the_demo_reaches_its_gain_and_reports_it() {
    let folder = tempfile::tempdir().unwrap();
    let results = demo(folder.path(), "my [demo]");
    let output = folder.path().join("my [demo]");
    let gain = results["mean"][0]["sdr"]["gain"].as_f64().unwrap();
    assert!(gain >= 5.0, "{gain}");
    let clips = results["clips"].as_array().unwrap();
    assert_eq!(clips.len(), 6);
    let mean = clips.iter().map(|clip| clip["sources"][0]["sdr"]["gain"].as_f64().unwrap()).sum::<f64>() / 6.0;
    assert!((mean - gain).abs() < 1e-9, "{mean} {gain}");

    let page = std::fs::read_to_string(output.join("report.html")).unwrap();
    assert!(page.contains(&format!("<b>{gain:+.1} dB</b>")), "the report lacks the gain");
    // The mixture, and of each source the estimate and the truth, with a picture of each.
    assert_eq!(page.matches("<svg").count(), 6 * 5);
    assert_eq!(page.matches("<h3>").count(), 6);
    let players: Vec<&str> = page.split("<audio ").skip(1).map(|rest| rest.split('"').nth(5).unwrap()).collect();
    assert_eq!(players.len(), 6 * 5);
    for player in players {
        let file = player.replace("%2B", "+");
        assert!(output.join(file).is_file(), "{player} is missing");
    }

    // The shown commands work in a shell.
    let commands: Vec<&str> = results["commands"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
    assert_eq!(commands.len(), 3);
    assert!(commands[1].contains("'my [demo]/mixtures'"), "{}", commands[1]);
}
