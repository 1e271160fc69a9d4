//! Tests of how the built program finds GPUs: one device behind two drivers, and caches kept between runs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output};

use partwise::engine;

use crate::common::world::{RATE, World, json, mix, stderr, stdout};

/// The Vulkan loader's file of Mesa's software driver. Without it, for example on a machine with a card, a test reports
/// SKIPPED.
fn mesa() -> Option<PathBuf> {
    let folders = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
    let files = folders.into_iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
    let found = files
        .map(|file| file.unwrap().path())
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("lvp_icd"));
    if found.is_none() {
        let installed = engine::adapters().iter().any(|adapter| adapter.name.starts_with("llvmpipe"));
        assert!(!installed, "Mesa's software driver is not in the expected folders");
        let name = std::thread::current().name().unwrap_or("a test").to_string();
        let _ = writeln!(std::io::stderr(), "SKIPPED: {name}: Mesa's software driver is not installed");
    }
    found
}

/// Runs the program with Mesa's driver loaded `times` times, each from a file of its own.
fn with_mesa(world: &World, times: usize, arguments: &[&str]) -> Option<Output> {
    let driver = mesa()?;
    let copies = (0..times).map(|copy| {
        let file = world.path(&format!("icd{copy}.json"));
        std::fs::copy(&driver, &file).unwrap();
        file
    });
    Some(with_drivers(world, copies, arguments))
}

/// Runs the program with only these drivers for the Vulkan loader, and an empty cache.
fn with_drivers(world: &World, drivers: impl Iterator<Item = PathBuf>, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_partwise"));
    for variable in ["XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"] {
        command.env(variable, world.path("cache"));
    }
    command.env("VK_DRIVER_FILES", std::env::join_paths(drivers).unwrap()).env_remove("RUST_LOG");
    command.args(arguments).current_dir(world.folder.path()).output().unwrap()
}

#[test]
fn auto_uses_the_cpu_if_no_gpu_can_be_opened() {
    // Other systems have devices behind other backends.
    if !cfg!(target_os = "linux") {
        return;
    }
    let world = World::trained();
    world.record("m.wav", &[mix(1, 3000)], RATE);
    let separate = |engine: &[&str]| {
        let job = ["separate", "m.wav", "--model", "m.safetensors", "--iterations", "5", "-o", "out"];
        with_drivers(&world, [world.path("none.json")].into_iter(), &[&job, engine].concat())
    };
    let output = separate(&[]);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    // A user who names GPUs gets an error, or a warning and results if the program may choose the engine.
    let output = separate(&["--gpu", "all"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).starts_with("partwise: warning: no usable gpu: "), "{}", stderr(&output));
    assert!(stderr(&output).ends_with("; the cpu engine takes over\n") && stdout(&output).contains("on cpu ("));
    for engine in [&["--engine", "gpu"][..], &["--engine", "gpu", "--gpu", "all"], &["--gpu", "0"]] {
        let output = separate(engine);
        assert_eq!(output.status.code(), Some(3), "{engine:?}: {}", stderr(&output));
    }
}

#[test]
fn a_device_behind_two_drivers_is_listed_once() {
    let world = World { folder: tempfile::tempdir().unwrap() };
    let Some(output) = with_mesa(&world, 2, &["devices", "--json"]) else { return };
    let listing = json(&output);
    let [device] = listing["adapters"].as_array().unwrap().as_slice() else { panic!("{listing}") };
    let [other] = device["others"].as_array().unwrap().as_slice() else { panic!("{listing}") };
    assert_eq!((&device["index"], &other["index"]), (&0.into(), &1.into()));
    assert_eq!(device["name"], other["name"]);
    let output = with_mesa(&world, 2, &["devices"]).unwrap();
    assert!(stdout(&output).contains("\n0 is also 1: llvmpipe"), "{}", stdout(&output));
}

#[test]
fn a_device_behind_two_drivers_can_be_selected_by_any_name() {
    if mesa().is_none() {
        return;
    }
    let world = World::trained();
    world.record("m.wav", &[mix(1, 3000)], RATE);
    let run = |engine: &[&str]| {
        let job = ["separate", "m.wav", "--model", "m.safetensors", "--iterations", "5", "-o", "out", "--json"];
        with_mesa(&world, 2, &[&job, engine].concat()).unwrap()
    };
    let results = |engine: &[&str]| {
        let output = run(engine);
        assert_eq!(output.status.code(), Some(0), "{engine:?}: {}", stderr(&output));
        assert_eq!(stderr(&output), "", "{engine:?}");
        let engine = json(&output)["engine"].as_str().unwrap().to_string();
        (engine, std::fs::read(world.path("out/m.tones.wav")).unwrap())
    };
    let best = results(&["--engine", "gpu"]);
    assert!(best.0.starts_with("gpu (llvmpipe"), "{}", best.0);
    for name in ["0", "1", "llvmpipe", "vulkan:llvmpipe", "all"] {
        assert_eq!(results(&["--engine", "gpu", "--gpu", name]), best, "{name}");
    }
    let output = run(&["--gpu", "dx12:llvmpipe"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("the adapters are 0: llvmpipe"), "{}", stderr(&output));
}

#[test]
fn pipelines_are_kept_between_runs() {
    if mesa().is_none() {
        return;
    }
    let world = World::trained();
    world.record("m.wav", &[mix(1, 3000)], RATE);
    let below = if cfg!(target_os = "macos") { "Library/Caches/partwise" } else { "partwise" };
    let kept = || {
        let files = std::fs::read_dir(world.path(&format!("cache/{below}"))).unwrap();
        let files = files.map(|file| file.unwrap().path()).collect::<Vec<_>>();
        let [file] = files.as_slice() else { panic!("{files:?}") };
        assert!(file.file_name().unwrap().to_str().unwrap().starts_with("pipelines-vulkan-"), "{file:?}");
        file.clone()
    };
    let separate = || {
        let job = [
            "separate",
            "m.wav",
            "--model",
            "m.safetensors",
            "--iterations",
            "5",
            "-o",
            "out",
            "--engine",
            "gpu",
            "-v",
        ];
        let output = with_mesa(&world, 1, &job).unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let said = stderr(&output);
        let line =
            said.lines().find(|line| line.contains("start-up: ")).unwrap_or_else(|| panic!("{said}")).to_string();
        assert!(line.contains("start-up: waited ") && !said.contains("warning"), "{said}");
        (std::fs::read(world.path("out/m.tones.wav")).unwrap(), line)
    };
    let (expected, first) = separate();
    assert!(first.ends_with(" pipelines, 0 bytes of them kept before"), "{first}");
    let whole = std::fs::read(kept()).unwrap();
    let (again, second) = separate();
    assert_eq!(again, expected);
    assert!(second.ends_with(&format!(" pipelines, {} bytes of them kept before", whole.len())), "{second}");
    // A damaged or foreign cache is ignored and rewritten.
    for broken in [[&whole[..whole.len() / 2], &vec![7; whole.len()]].concat(), b"nothing".to_vec()] {
        std::fs::write(kept(), &broken).unwrap();
        assert_eq!(separate().0, expected);
        assert_ne!(std::fs::read(kept()).unwrap(), broken);
        assert_eq!(std::fs::read(kept()).unwrap().len(), whole.len());
    }
}
