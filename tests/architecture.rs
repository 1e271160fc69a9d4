//! The import arrows: which room may name which. An arrow that is not here needs an argument in ARCHITECTURE.md first.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A room of the library, and the rooms that it may name. `error` may be named by all.
const ARROWS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("random", &[]),
    ("audio", &[]),
    ("arrays", &[]),
    ("spectrogram", &[]),
    ("evaluate", &[]),
    ("divergence", &[]),
    ("engine", &[]),
    ("report", &["spectrogram"]),
    ("kernels", &["engine", "divergence"]),
    ("check", &["kernels", "engine", "divergence", "random"]),
    ("methods", &["kernels", "engine", "divergence", "random"]),
    ("model", &["kernels", "divergence", "spectrogram"]),
    ("separate", &["methods", "model", "kernels", "divergence", "spectrogram"]),
    ("train", &["methods", "model", "kernels", "divergence", "audio", "spectrogram"]),
    ("schedule", &["separate", "model", "kernels", "audio", "spectrogram"]),
    (
        "reproduce",
        &[
            "train",
            "separate",
            "model",
            "methods",
            "kernels",
            "divergence",
            "audio",
            "spectrogram",
            "evaluate",
            "report",
            "random",
        ],
    ),
];

/// Packages that only some files may name: (package, path prefixes or suffixes).
const PACKAGES: &[(&str, &[&str])] = &[
    ("wgpu", &["compute/src/engine/gpu/", "/gpu.rs"]),
    (
        "pulp",
        &["compute/src/engine/cpu/", "/cpu.rs", "compute/src/kernels/products/cpu/", "compute/src/kernels/shifts/cpu/"],
    ),
    ("anyhow", &["src/main.rs", "src/cli/"]),
    ("clap", &["src/main.rs", "src/cli/"]),
    ("indicatif", &["src/cli/"]),
    ("symphonia", &["src/audio/"]),
    ("flacenc", &["src/audio/"]),
    ("rubato", &["src/audio/"]),
    ("zip", &["src/arrays/"]),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file, by its path from the root, without its tests and comments; nothing is left of a file of tests.
fn files() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    ["src", "compute/src"].iter().for_each(|folder| sources(&root.join(folder), &mut found));
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("[cfg(test)]").next().unwrap_or_default();
        let code = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        (name, code)
    };
    found.into_iter().map(read).collect()
}

/// The room of a file: the folder or file directly below a src.
fn room(file: &str) -> &str {
    let below = file.strip_prefix("compute/").unwrap_or(file);
    let below = below.strip_prefix("src/").unwrap_or(below);
    below.split('/').next().unwrap_or(below).trim_end_matches(".rs")
}

/// The rooms that a text names, as crate::room or, in braces, crate::{room, …}.
fn named(code: &str, rooms: &[&str]) -> Vec<String> {
    let mut named = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let group = rest.strip_prefix('{').map(|group| group.split('}').next().unwrap_or(group));
        let words: Vec<&str> = match group {
            Some(group) => group.split(',').map(str::trim).collect(),
            None => vec![rest],
        };
        for word in words {
            let name: String = word.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if rooms.contains(&name.as_str()) {
                named.push(name);
            }
        }
    }
    named
}

#[test]
fn imports_run_downwards_only() {
    let rooms: Vec<&str> = ARROWS.iter().map(|(room, _)| *room).collect();
    let mut seen = 0;
    for (file, code) in files() {
        if ["lib", "main", "cli"].contains(&room(&file)) {
            continue;
        }
        let (_, allowed) = ARROWS
            .iter()
            .find(|(known, _)| *known == room(&file))
            .unwrap_or_else(|| panic!("{file}: a room without arrows"));
        for name in named(&code, &rooms) {
            let own = name == room(&file) || name == "error";
            assert!(own || allowed.contains(&name.as_str()), "{file} names {name}");
            seen += usize::from(!own);
        }
    }
    assert!(seen > 30, "only {seen} imports were seen: the search no longer finds them");
}

#[test]
fn methods_and_jobs_name_no_engine() {
    for (file, code) in files() {
        if ["methods", "separate", "train", "schedule"].contains(&room(&file)) {
            for engine in ["Gpu", "Cpu", "Reference"] {
                assert!(!code.contains(engine), "{file} names the engine {engine}");
            }
        }
    }
}

#[test]
fn packages_stay_in_their_rooms() {
    for (file, code) in files() {
        for (package, places) in PACKAGES {
            let named = code.match_indices(&format!("{package}::")).any(|(at, _)| {
                let before = code[..at].chars().next_back().unwrap_or(' ');
                !(before.is_alphanumeric() || before == '_' || before == ':')
            });
            let allowed = places.iter().any(|place| file.starts_with(place) || file.ends_with(place));
            assert!(!named || allowed, "{file} names {package}");
        }
    }
}

#[test]
fn the_search_sees_an_arrow_that_runs_upwards() {
    let rooms = ["schedule", "audio"];
    assert_eq!(named("use crate::schedule::run;", &rooms), ["schedule"]);
    assert_eq!(named("use crate::{Error, audio, schedule::{self, run}};", &rooms), ["audio", "schedule"]);
    assert!(named("use crate::scheduler; self::audio", &rooms).is_empty());
}
