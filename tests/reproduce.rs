//! The papers' experiments, on recordings small enough for a test: that they run, agree with themselves and say what they did.

mod common;

use common::world::{RATE, World, hiss, json, refused, stderr, stdout, tones};

fn world() -> World {
    let world = World::new();
    for (name, pitch) in [("train/a", 200.0), ("train/b", 310.0), ("test/c", 250.0), ("test/d", 330.0)] {
        world.record(&format!("speech/{name}.wav"), &[tones(pitch, 4000)], RATE);
    }
    for (name, seed) in [("train/a", 1), ("test/b", 2)] {
        world.record(&format!("music/{name}.wav"), &[hiss(seed, 6000)], RATE);
    }
    world
}

const SMALL: [&str; 14] = [
    "reproduce",
    "gain-prior",
    "--speech",
    "speech",
    "--music",
    "music",
    "--rank",
    "4",
    "--mixtures",
    "2",
    "--grid",
    "0,1",
    "--levels",
    "10,-5",
];

#[test]
fn the_gain_prior_experiment_says_what_it_found() {
    let world = world();
    let run = |options: &[&str]| {
        let output = world.run(&[&SMALL, options].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        output
    };
    let found = json(&run(&["-o", "one", "--json"]));
    let number =
        |table: usize, row: usize, column: usize| found["tables"][table]["rows"][row][column].as_f64().unwrap();
    assert_eq!((number(0, 0, 0), number(0, 1, 0)), (-5.0, 10.0));
    // Hiss lies everywhere and tones do not: what is left in the mixture is less than it was, and more where it was louder.
    assert!(number(0, 0, 1) > 0.0 && number(0, 1, 1) > number(0, 0, 1) + 5.0, "{found}");
    // Every pair of 0 and 1 is in the grid, no prior among them.
    for row in 0..2 {
        for column in [1, 3] {
            assert!(number(1, row, column) >= 0.0, "{found}");
        }
    }
    // The paper's table is beside it.
    assert_eq!((number(2, 0, 0), number(2, 0, 1)), (-5.0, 3.32));
    assert!((number(2, 5, 3) - 3.55).abs() < 1e-9, "{found}");

    let text = stdout(&run(&["-o", "two"]));
    for part in ["auto, paper", "0.1, exact", "speech: 2 recordings", "2 a level", "as printed", "two/report.html"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let read = |name: &str| std::fs::read_to_string(world.path(name)).unwrap();
    for name in ["findings.json", "gain-prior.svg", "gains.svg", "report.html"] {
        assert!(read(&format!("one/{name}")) == read(&format!("two/{name}")), "{name} differs from run to run");
    }
    assert_eq!(serde_json::from_str::<serde_json::Value>(&read("one/findings.json")).unwrap(), found);
    assert_eq!(read("one/report.html").matches("<svg").count(), 2);
    // One draws other portions by another seed.
    let other = json(&run(&["-o", "three", "--json", "--seed", "1"]));
    assert_ne!(other["tables"][0], found["tables"][0]);
}

#[test]
fn an_experiment_that_cannot_be_done_is_refused() {
    let world = world();
    std::fs::create_dir(world.path("speech/empty")).unwrap();
    std::fs::create_dir_all(world.path("untested/train")).unwrap();
    for (changed, parts) in [
        (["--speech", "absent"], ["absent/train", "no folder"]),
        (["--speech", "untested"], ["untested/train", "no audio files"]),
        (["--levels", "nan"], ["levels", "-100 and 100 dB"]),
        (["--grid", "0,nan"], ["grid", "not negative"]),
        (["--clips", "0"], ["a clip or more", "levels"]),
        (["--mixtures", "0"], ["0 mixtures", "at least one"]),
    ] {
        let at = SMALL.iter().position(|word| *word == changed[0]);
        let mut words: Vec<String> = SMALL.map(String::from).to_vec();
        match at {
            Some(at) => words[at + 1] = changed[1].into(),
            None => words.extend(changed.map(String::from)),
        }
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        words.extend(["-o", "none"]);
        refused(&world.run(&words), 2, &parts);
        assert!(!world.path("none").exists());
    }
}
