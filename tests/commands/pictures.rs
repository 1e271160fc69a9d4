//! Tests of `partwise plot` and of the pages of `separate --report`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use crate::common::world::{RATE, World, json, mix, refused, stderr, stdout};
use serde_json::json;

/// The SVG that a command writes to `x.svg`.
fn drawn(world: &World, words: &[&str]) -> String {
    let output = world.run(&[&["plot", "-o", "x.svg"], words].concat());
    assert_eq!(output.status.code(), Some(0), "{words:?}: {}", stderr(&output));
    std::fs::read_to_string(world.path("x.svg")).unwrap()
}

fn has(svg: &str, words: &[&str]) {
    for word in words {
        assert!(svg.contains(&format!(">{word}</text>")), "{word}: {}", svg.replace(char::is_whitespace, " "));
    }
}

#[test]
fn a_recording_is_drawn_with_all_its_channels() {
    let world = World::new();
    world.record("in/a < b.wav", &[mix(1, 9000), mix(2, 9000)], RATE);
    let svg = drawn(&world, &["in/a < b.wav"]);
    has(&svg, &["Spectrogram", "a &lt; b.wav, channel 1", "a &lt; b.wav, channel 2", "time in s", "frequency in kHz"]);
    let output = world.run(&["plot", "in/a < b.wav", "--json"]);
    assert_eq!(json(&output), json!({ "output": "a < b.svg", "pictures": ["spectrogram"] }));
    assert_eq!(std::fs::read_to_string(world.path("a < b.svg")).unwrap(), svg);
    let output = world.run(&["plot", "in/a < b.wav", "-o", "y.PNG"]);
    assert_eq!(stdout(&output), "wrote y.PNG: spectrogram\n");
    let png = std::fs::read(world.path("y.PNG")).unwrap();
    // Twice 732 by 28 + 15 + 392 + 18 pixels.
    assert_eq!((&png[..8], &png[16..24]), (&b"\x89PNG\r\n\x1a\n"[..], &[0, 0, 5, 184, 0, 0, 3, 138][..]));
    assert!(world.run(&["plot", "in/a < b.wav", "-q"]).stdout.is_empty());
}

#[test]
fn a_model_shows_what_a_separation_finds_in_a_recording() {
    let world = World::trained();
    world.record("mix.wav", &[mix(1, 9000)], RATE);
    let all = ["spectrogram", "masks", "gains", "bases", "objective"];
    let output = world.run(&["plot", "mix.wav", "--model", "m.safetensors", "--json"]);
    assert_eq!(json(&output)["pictures"], json!(all), "{}", stderr(&output));
    let svg = std::fs::read_to_string(world.path("mix.svg")).unwrap();
    has(&svg, &["Spectrograms of the sources", "Masks", "Gains", "Bases", "Costs of frames", "tones", "hiss"]);
    has(&svg, &["tones: 4 components", "share", "component", "dB re the loudest", "cost"]);
    let svg = drawn(&world, &["mix.wav", "--model", "m.safetensors", "--what", "gains,masks", "--seconds", "0.5"]);
    has(&svg, &["Masks", "Gains"]);
    assert!(!svg.contains(">Bases<") && svg.contains("Of the first 0.5 s of the recording."), "{svg}");
}

#[test]
fn the_bases_of_every_set_of_a_model_are_drawn() {
    let world = World::trained();
    has(&drawn(&world, &["m.safetensors"]), &["Bases", "tones: 4 components", "hiss: 4 components"]);
    has(&drawn(&world, &["speech+noise"]), &["Bases", "speech: 96 components"]);
    let committee = ["--quality", "best", "--members", "2", "--context", "4", "--rank", "4", "--window", "256"];
    let sources = ["train", "--source", "tones=tones", "--source", "hiss=hiss", "-o", "c.safetensors"];
    let output = world.run(&[&sources[..], &committee].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let svg = drawn(&world, &["c.safetensors"]);
    assert!(svg.contains(">Bases, set 2 of 2<") && svg.contains("; the mean of them is shown"), "{svg}");
}

#[test]
fn factors_of_factorize_are_drawn() {
    let world = World::new();
    let v = ndarray::Array2::from_shape_fn((12, 30), |(f, n)| 1.0 + ((f * n) % 7) as f64);
    ndarray_npy::write_npy(world.path("v.npy"), &v).unwrap();
    world.run(&["factorize", "v.npy", "--rank", "3", "--iterations", "9", "-o", "w.npz"]);
    has(&drawn(&world, &["w.npz"]), &["Bases", "W: 3 components", "row", "Gains", "column", "Objective", "step"]);
    let shifted = ["factorize", "v.npy", "--method", "nmf2d", "--rank", "2", "--time-lags", "3", "--pitch-lags", "4"];
    world.run(&[&shifted[..], &["--iterations", "9", "-o", "s.npz"]].concat());
    has(&drawn(&world, &["s.npz"]), &["Patterns", "component 1", "lag in frames", "Gains", "Objective"]);
    let output = world.run(&["plot", "s.npz", "--what", "objective", "--json"]);
    assert_eq!(json(&output), json!({ "output": "s.svg", "pictures": ["objective"] }));
}

#[test]
fn gains_that_separate_wrote_are_drawn() {
    let world = World::trained();
    world.record("mix.wav", &[mix(1, 6000), mix(2, 6000)], RATE);
    world.separate(&["mix.wav", "--gains", "found.npz"]);
    let svg = drawn(&world, &["found.npz"]);
    has(&svg, &["Gains", "tones, channel 2", "Bases", "hiss: 4 components", "frequency in kHz", "Costs of frames"]);
    let blind = ["separate", "mix.wav", "--method", "nmf2d", "--sources", "2", "--iterations", "5", "-o", "out"];
    world.run(&[&blind[..], &["--gains", "blind.npz"]].concat());
    has(
        &drawn(&world, &["blind.npz"]),
        &["Gains", "source1, channel 1", "component 1", "lag in frames", "frequency in Hz"],
    );
}

#[test]
fn what_cannot_be_drawn_is_told_in_one_line() {
    let world = World::trained();
    world.record("mix.wav", &[mix(1, 900)], RATE);
    world.record("none.wav", &[Vec::new()], RATE);
    std::fs::write(world.path("text.wav"), "no audio").unwrap();
    std::fs::write(world.path("text.npz"), "no zip").unwrap();
    std::fs::write(world.path("text"), "no model").unwrap();
    ndarray_npy::write_npy(world.path("v.npy"), &ndarray::Array2::<f64>::ones((3, 4))).unwrap();
    let mut other = ndarray_npy::NpzWriter::new(std::fs::File::create(world.path("other.npz")).unwrap());
    other.add_array("V", &ndarray::Array2::<f64>::ones((3, 4))).unwrap();
    other.finish().unwrap();
    for (words, parts) in [
        (&["missing.wav"][..], &["missing.wav"][..]),
        (&["text.wav"], &["text.wav"]),
        (&["none.wav"], &["none.wav", "holds no audio"]),
        (&["text.npz"], &["text.npz", "not an .npz"]),
        (&["other.npz"], &["other.npz", "none of W, H and objective"]),
        (&["text"], &["text"]),
        (&["nothing"], &["nothing", "speech+noise"]),
        (&["tones"], &["tones", "manifest.jsonl"]),
        (&["mix.wav", "-o", "x.jpg"], &["-o x.jpg", ".svg or .png"]),
        (&["mix.wav", "-o", "x"], &["-o x", ".svg or .png"]),
        (&["mix.wav", "-o", "no/x.svg"], &["no/x.svg", "cannot write"]),
        (&["m.safetensors", "--model", "speech"], &["--model speech", "m.safetensors"]),
        (&["mix.wav", "--model", "speech"], &["--model speech", "separate --report"]),
        (&["mix.wav", "--what", "masks"], &["--what masks", "only spectrogram", "--model"]),
        (&["m.safetensors", "--what", "objective"], &["--what objective", "only bases"]),
        (&["mix.wav", "--what", "sound"], &["--what", "sound"]),
        (&["mix.wav", "--seconds", "0"], &["--seconds 0"]),
    ] {
        refused(&world.run(&[&["plot"], words].concat()), 2, parts);
    }
    assert!(!world.path("x.jpg").exists() && !world.path("mix.svg").exists());
}

/// What the links and players of a page name, relative to it.
fn targets(page: &Path) -> Vec<PathBuf> {
    let html = std::fs::read_to_string(page).unwrap();
    assert!(!html.contains("<script>alert"), "{}: a name breaks out", page.display());
    let named = ["href=\"", "src=\""].into_iter().flat_map(|attribute| html.split(attribute).skip(1));
    let named = named.filter_map(|rest| rest.split('"').next()).filter(|target| !target.starts_with("data:"));
    let decoded = named.map(|target| {
        let mut bytes = Vec::new();
        let mut parts = target.split('%');
        bytes.extend(parts.next().unwrap_or_default().bytes());
        for part in parts {
            bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
            bytes.extend(part[2..].bytes());
        }
        page.parent().unwrap().join(String::from_utf8(bytes).unwrap())
    });
    decoded.collect()
}

/// All pages of a report. Every link of each leads to a file.
fn pages(world: &World, report: &str) -> Vec<String> {
    let pages = world.files(report);
    for page in &pages {
        let targets = targets(&world.path(report).join(page));
        assert!(!targets.is_empty(), "{page} leads nowhere");
        targets.iter().for_each(|target| assert!(target.is_file(), "{page}: {}", target.display()));
    }
    pages
}

fn text(world: &World, page: &str) -> String {
    std::fs::read_to_string(world.path(page)).unwrap()
}

const HOSTILE: &str = "50% #1? \"<script>alert(1)<";

#[cfg(unix)]
#[test]
fn a_job_writes_a_page_for_every_recording_and_an_index() {
    let world = World::trained();
    world.record("in/a/x.wav", &[mix(1, 9000)], RATE);
    world.record("in/b/x.wav", &[mix(2, 9000), mix(3, 9000)], RATE);
    world.record(&format!("in/{HOSTILE}.wav"), &[mix(4, 5000)], RATE);
    world.record("in/index.wav", &[mix(5, 5000)], RATE);
    std::fs::write(world.path("in/broken.wav"), "RIFF").unwrap();
    let output = world.separate(&["in", "--report", "deep/report"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).contains("wrote 4 pages and deep/report/index.html\n"), "{}", stdout(&output));
    let expected = [&format!("{HOSTILE}.html"), "a/x.html", "b/x.html", "index-2.html", "index.html"];
    assert_eq!(pages(&world, "deep/report"), expected);

    let index = text(&world, "deep/report/index.html");
    assert_eq!((index.matches("<a href").count(), index.matches("broken.wav").count()), (4, 1), "{index}");
    for part in ["5 recordings. 4 have a page", "<td>1.1</td><td>done</td>", "href=\"a/x.html\""] {
        assert!(index.contains(part), "{part}: {index}");
    }
    let page = text(&world, "deep/report/b/x.html");
    for part in [
        "mixture",
        "tones",
        "hiss",
        "Masks",
        "Gains",
        "Bases",
        "Costs of frames",
        "href=\"../index.html\"",
        "tones, channel 2",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert_eq!(page.matches("<audio").count(), 3);
    // A run that finds everything done has pages too.
    let output = world.separate(&["in/a", "--resume", "--report", "again"]);
    assert_eq!((output.status.code(), pages(&world, "again").len()), (Some(0), 2), "{}", stderr(&output));
}

#[test]
fn denoising_and_separating_without_a_model_have_pages_too() {
    let world = World::new();
    world.record("mix.wav", &[mix(1, 6000)], RATE);
    let output = world.run(&["denoise", "mix.wav", "-o", "clean", "--iterations", "5", "--report", "r1"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(pages(&world, "r1"), ["index.html", "mix.html"]);
    assert!(text(&world, "r1/mix.html").contains("denoised"));
    let blind = ["separate", "mix.wav", "--method", "nmf2d", "--sources", "2", "--iterations", "5", "-o", "out"];
    let output = world.run(&[&blind[..], &["--report", "r2", "--json"]].concat());
    assert_eq!(json(&output)["report"]["pages"], json!(1), "{}", stderr(&output));
    assert!(text(&world, "r2/mix.html").contains("lag in frames"));
}

#[test]
fn a_folder_of_results_has_the_same_pages() {
    let world = World::trained();
    world.record("in/a.wav", &[mix(1, 6000)], RATE);
    world.record("in/b.wav", &[mix(2, 6000)], RATE);
    world.separate(&["in"]);
    let before = world.files("out");
    let output = world.run(&["plot", "out/"]);
    assert_eq!(stdout(&output), "wrote 2 pages and out.report/index.html\n", "{}", stderr(&output));
    assert_eq!(pages(&world, "out.report"), ["a.html", "b.html", "index.html"]);
    assert_eq!(world.files("out"), before, "nothing is added to the results");
    let page = text(&world, "out.report/a.html");
    assert!(page.contains("Shares of the stems") && !page.contains("Gains"), "{page}");

    let output = world.run(&["plot", "out", "--model", "m.safetensors", "-o", "explained", "--json"]);
    assert_eq!(json(&output)["index"], json!("explained/index.html"), "{}", stderr(&output));
    let page = text(&world, "explained/b.html");
    assert!(page.contains("Gains") && page.contains("Masks") && !page.contains("Shares of the stems"), "{page}");

    // The results and the mixtures were moved, and a stem is lost.
    std::fs::rename(world.path("out"), world.path("moved")).unwrap();
    std::fs::rename(world.path("in"), world.path("elsewhere")).unwrap();
    std::fs::remove_file(world.path("moved/b.hiss.wav")).unwrap();
    let output = world.run(&["plot", "moved"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("in/b.wav: has no page in the report: moved/b.hiss.wav"), "{}", stderr(&output));
    assert_eq!(pages(&world, "moved.report"), ["a.html", "index.html"]);
    assert!(text(&world, "moved.report/a.html").contains("The mixture is not where it was: in/a.wav"));
    assert!(text(&world, "moved.report/index.html").contains("has no page: moved/b.hiss.wav"));
}

#[test]
fn a_report_that_cannot_be_made_is_told_in_one_line() {
    let world = World::trained();
    world.record("mix.wav", &[mix(1, 3000)], RATE);
    std::fs::write(world.path("file"), "").unwrap();
    refused(&world.separate(&["mix.wav", "--report", "file"]), 2, &["file", "cannot create"]);
    assert!(!world.path("out/mix.tones.wav").exists(), "it is told before the work");
    world.separate(&["mix.wav"]);
    for (words, parts) in [
        (&["--model", "speech+noise"][..], &["--model speech+noise", "another model", "mix.wav"][..]),
        (&["-o", "file"], &["-o file", "folder"]),
        (&["--what", "masks"], &["--what masks", "report"]),
    ] {
        refused(&world.run(&[&["plot", "out"], words].concat()), 2, parts);
    }
    world.separate(&["mix.wav", "--mask", "hard", "--name", "{stem}-{source}.{ext}"]);
    world.record("other.wav", &[mix(1, 3000)], RATE);
    world.separate(&["other.wav"]);
    refused(&world.run(&["plot", "out", "--model", "m.safetensors"]), 2, &["several options"]);
}
