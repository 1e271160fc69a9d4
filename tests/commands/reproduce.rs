//! Tests of the papers' experiments on small recordings: they run, are deterministic and report their parameters.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::common::world::{RATE, World, hiss, json, refused, stderr, stdout, tones};

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

/// The names of the tracks that the page of an experiment plays, recording by recording. Their files are there, they sound, and
/// they are those of another run.
fn heard(world: &World, [folder, again]: [&str; 2]) -> Vec<Vec<String>> {
    let page = std::fs::read_to_string(world.path(&format!("{folder}/report.html"))).unwrap();
    let track = |tag: &str| {
        let value = |name: &str| tag.split(&format!(" {name}=\"")).nth(1).unwrap().split('"').next().unwrap();
        let file = |folder: &str| world.path(&format!("{folder}/{}", value("src")));
        assert!(partwise::audio::read(&file(folder)).unwrap().peak() > 0.0, "{}", value("src"));
        assert!(std::fs::read(file(folder)).unwrap() == std::fs::read(file(again)).unwrap(), "{}", value("src"));
        value("aria-label").replace("&#39;", "'")
    };
    let section = |section: &str| section.split("<audio ").skip(1).map(track).collect();
    page.split("<section class=\"listening\"").skip(1).map(section).collect()
}

/// These tracks: the mixture, and every source by these methods and true.
fn tracks(sources: &[&str], methods: &[&str]) -> Vec<String> {
    let of =
        |source: &&str| methods.iter().chain(&["true"]).map(|method| format!("{source}, {method}")).collect::<Vec<_>>();
    std::iter::once("mixture".into()).chain(sources.iter().flat_map(of)).collect()
}

#[test]
fn the_gain_prior_experiment_reports_its_findings() {
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
    // Hiss covers all bins and tones do not. So separation improves the speech, and more at the higher level.
    assert!(number(0, 0, 1) > 0.0 && number(0, 1, 1) > number(0, 0, 1) + 5.0, "{found}");
    // The grid contains every pair of 0 and 1, so no prior is among them.
    for row in 0..2 {
        for column in [1, 3] {
            assert!(number(1, row, column) >= 0.0, "{found}");
        }
    }
    // The paper's table follows.
    assert_eq!((number(2, 0, 0), number(2, 0, 1)), (-5.0, 3.32));
    assert!((number(2, 5, 3) - 3.55).abs() < 1e-9, "{found}");

    let text = stdout(&run(&["-o", "two"]));
    for part in ["auto, paper", "0.1, exact", "speech: 2 recordings", "2 per level", "as printed", "two/report.html"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let read = |name: &str| std::fs::read_to_string(world.path(name)).unwrap();
    for name in ["findings.json", "gain-prior.svg", "gains.svg", "report.html"] {
        assert!(read(&format!("one/{name}")) == read(&format!("two/{name}")), "{name} differs from run to run");
    }
    assert_eq!(serde_json::from_str::<serde_json::Value>(&read("one/findings.json")).unwrap(), found);
    let methods = ["no prior", "weights of 0.1, the paper's gradient", "weights from the data, the exact gradient"];
    assert_eq!(heard(&world, ["one", "two"]), vec![tracks(&["speech", "music"], &methods); 2]);
    assert_eq!(read("one/report.html").matches("<svg").count(), 2 + 2 * 9);
    // Another seed draws other stretches.
    let other = json(&run(&["-o", "three", "--json", "--seed", "1"]));
    assert_ne!(other["tables"][0], found["tables"][0]);
}

#[test]
fn invalid_gain_prior_experiments_are_refused() {
    let world = world();
    std::fs::create_dir(world.path("speech/empty")).unwrap();
    std::fs::create_dir_all(world.path("untested/train")).unwrap();
    for (changed, parts) in [
        (["--speech", "absent"], ["absent/train", "not a folder"]),
        (["--speech", "untested"], ["untested/train", "no audio files"]),
        (["--levels", "nan"], ["levels", "-100 to 100 dB"]),
        (["--grid", "0,nan"], ["grid", "nonnegative"]),
        (["--clips", "0"], ["at least one clip", "levels"]),
        (["--mixtures", "0"], ["mixtures: 0", "at least 1"]),
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

/// Notes of 1/20 s each: harmonics of `strengths` over a melody's pitches, in semitones above `hz`.
fn melody(hz: f32, strengths: &[f32], melody: &[f32], note: usize) -> Vec<f32> {
    let sample = |n: usize| {
        let (place, age) = (n / note % melody.len(), (n % note) as f32 / note as f32);
        let pitch = hz * (melody[place] / 12.0).exp2();
        let partial = |(k, strength): (usize, &f32)| {
            strength * ((k + 1) as f32 * pitch * n as f32 * std::f32::consts::TAU / RATE as f32).sin()
        };
        0.2 * (1.0 - age) * strengths.iter().enumerate().map(partial).sum::<f32>()
    };
    (0..RATE as usize).map(sample).collect()
}

fn band() -> World {
    let world = World::new();
    world.record("reed.wav", &[melody(700.0, &[1.0, 0.1, 0.8], &[0.0, 3.0, 1.0], 1100)], RATE);
    world.record("bell.wav", &[melody(180.0, &[1.0, 0.6], &[2.0, 0.0, 3.0, 0.0], 1600)], RATE);
    world
}

const MOVING: [&str; 16] = [
    "reproduce",
    "nmf2d",
    "--sources",
    "reed.wav",
    "--sources",
    "bell.wav",
    "--time-lags",
    "2",
    "--pitch-lags",
    "8,2",
    "--starts",
    "3",
    "--iterations",
    "40",
    "--window",
    "1024",
];

#[test]
fn the_nmf2d_experiment_reports_its_findings() {
    let world = band();
    let run = |options: &[&str]| {
        let output = world.run(&[&MOVING, &["--hop", "512"][..], options].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        output
    };
    let found = json(&run(&["-o", "one", "--json"]));
    let cell = |table: usize, row: usize, column: usize| &found["tables"][table]["rows"][row][column];
    let number = |table: usize, row: usize, column: usize| cell(table, row, column).as_f64().unwrap();
    assert_eq!(found["tables"][0]["heading"].as_array().unwrap()[1..4], ["reed, soft", "bell, soft", "mean, soft"]);
    assert_eq!((cell(0, 1, 0), cell(0, 6, 0)), (&"NMF2D, kl, 8 pitch lags".into(), &"masks of the sources".into()));
    for row in 0..7 {
        for first in [1, 4] {
            let mean = (number(0, row, first) + number(0, row, first + 1)) / 2.0;
            assert!((mean - number(0, row, first + 2)).abs() < 1e-9, "{found}");
            assert!(number(0, row, first + 2) <= number(0, 6, first + 2), "{found}");
        }
    }
    // Melodies over 3 semitones, 6 bands, fit 8 pitch lags but not 2. Least squares would need more starts for this.
    assert!(number(0, 1, 3) > 15.0 && number(0, 0, 3) < 5.0, "{found}");
    // At 180 Hz a band is narrower than a bin, so the bell's lowest note may be one band off.
    assert!(number(2, 1, 2) == 6.0 && (6.0..=7.0).contains(&number(2, 1, 3)), "{found}");
    assert_eq!([0, 1, 2, 3].map(|row| number(2, row, 1)), [1.0, 7.0, 1.0, 7.0]);
    for row in 0..6 {
        let [least, low, middle, high] = [1, 4, 5, 6].map(|column| number(1, row, column));
        assert!(least > 0.0 && low <= middle && middle <= high, "{found}");
        assert_eq!(number(1, row, 3), number(0, row, 3), "the score of the kept start");
        assert!((low..=high).contains(&number(1, row, 3)), "{found}");
        let near = cell(1, row, 2).as_str().unwrap();
        assert!(["1 of 3", "2 of 3", "3 of 3"].contains(&near), "{found}");
    }
    // 151 bands up to 4 kHz, ⌈(8000 + 512) / 512⌉ frames; then the paper's models.
    let row = |row: usize| (1..7).map(|column| number(3, row, column) as usize).collect::<Vec<_>>();
    assert_eq!(row(0), [151, 17, 2, 2, 2, (2 * 151 + 2 * 17) * 2]);
    assert_eq!(row(2), [151, 17, 2, 1, 6, (2 * 151 + 17) * 6]);
    assert_eq!((number(3, 3, 6), number(3, 4, 6)), (3962.0, 7728.0));

    let text = stdout(&run(&["-o", "two"]));
    for part in ["reed, bell", "1.00 s at 8000 Hz", "hann 1024 / 512 / 1024", "151 bands", "two/report.html"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let read = |name: &str| std::fs::read_to_string(world.path(name)).unwrap();
    for name in ["findings.json", "nmfd.svg", "nmf2d.svg", "separated.svg", "report.html"] {
        assert!(read(&format!("one/{name}")) == read(&format!("two/{name}")), "{name} differs from run to run");
    }
    for (name, part) in [("nmfd", ">H 6, "), ("nmf2d", ">H, bell<"), ("separated", ">amplitude<")] {
        assert!(read(&format!("one/{name}.svg")).contains(part), "{part} in {name}");
    }
    assert_eq!(serde_json::from_str::<serde_json::Value>(&read("one/findings.json")).unwrap(), found);
    let methods = ["NMF2D, eu, 8 pitch lags", "NMFD, eu, 2 time lags"];
    assert_eq!(heard(&world, ["one", "two"]), [tracks(&["reed", "bell"], &methods)]);
    assert_eq!(read("one/report.html").matches("<svg").count(), 3 + 7);
    let other = json(&run(&["-o", "three", "--json", "--seed", "1", "--nmfd-lags", "3,1,3"]));
    assert_ne!(other["tables"][1]["rows"][0], found["tables"][1]["rows"][0]);
    let names = other["tables"][0]["rows"].as_array().unwrap().iter().map(|row| row[0].as_str().unwrap());
    let of_nmfd: Vec<&str> = names.filter(|name| name.starts_with("NMFD")).collect();
    let expected = ["kl, 1", "kl, 3", "eu, 1", "eu, 3"].map(|arm| format!("NMFD, {arm} time lags"));
    assert_eq!(of_nmfd, expected);
}

#[test]
fn invalid_nmf2d_experiments_are_refused() {
    let world = band();
    world.record("fast.wav", &[melody(700.0, &[1.0], &[0.0], 900)], 16_000);
    world.record("empty.wav", &[vec![]], RATE);
    world.record("silent.wav", &[vec![0.0; 4000]], RATE);
    for (options, parts) in [
        (&["--sources", "reed.wav"][..], &["one recording is no mixture", "--sources"][..]),
        (&["--sources", "reed.wav", "fast.wav"], &["fast.wav", "is at 16000 Hz, others at 8000 Hz", "resample"]),
        (&["--sources", "reed.wav", "empty.wav"], &["empty.wav", "no samples"]),
        (&["--sources", "reed.wav", "silent.wav"], &["silent.wav", "is silent in the first 4000 samples"]),
        (&["--sources", "reed.wav", "reed.wav"], &["reed.wav", "two sources are called reed"]),
        (&["--sources", "reed.wav", "absent.wav"], &["absent.wav", "cannot open"]),
        (&["--sources", "reed.wav", "bell.wav", "--pitch-lags", "12,152"], &["152 pitch lags", "151 bands"]),
        (&["--sources", "reed.wav", "bell.wav", "--time-lags", "10"], &["10 time lags", "9 frames"]),
        (&["--sources", "reed.wav", "bell.wav", "--starts", "0"], &["at least one", "start"]),
        (&["--sources", "reed.wav", "bell.wav", "--window", "512"], &["--hop 1024", "use 1 to 512 samples"]),
    ] {
        refused(&world.run(&[&["reproduce", "nmf2d", "-o", "none"], options].concat()), 2, parts);
        assert!(!world.path("none").exists());
    }
}

/// Two voices of one sex and one of the other, with two sentences to train with and two to mix.
fn voices() -> World {
    let world = World::new();
    for (voice, pitch) in [("ada", 220.0), ("bea", 310.0), ("cal", 110.0)] {
        for (index, name) in ["train/a", "train/b", "test/a", "test/b"].into_iter().enumerate() {
            let steps = [0.0, 2.0 + index as f32, 5.0, 3.0 - index as f32];
            let strengths = [1.0, 0.5 * pitch / 110.0, 0.2, 0.4 * index as f32];
            world.record(&format!("{voice}/{name}.wav"), &[melody(pitch, &strengths, &steps, 700)], RATE);
        }
    }
    world
}

const VOICES: [&str; 16] = [
    "reproduce",
    "discriminative",
    "--female",
    "ada",
    "bea",
    "--male",
    "cal",
    "--ranks",
    "4,8",
    "--sparsities",
    "0,0.1",
    "--mixtures",
    "3",
    "--iterations",
    "20",
    "--starts",
];

#[test]
fn the_discriminative_experiment_reports_its_findings() {
    let world = voices();
    let run = |options: &[&str]| {
        let output = world.run(&[&VOICES, &["2"][..], options].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        output
    };
    let found = json(&run(&["-o", "one", "--json"]));
    let cell = |table: usize, row: usize, column: usize| &found["tables"][table]["rows"][row][column];
    let number = |table: usize, row: usize, column: usize| cell(table, row, column).as_f64().unwrap();
    assert_eq!((cell(0, 0, 0), cell(0, 1, 1)), (&"SNMF".into(), &8.0.into()));
    // Every mixture gets better than 0 dB, its own SNR.
    for row in 0..6 {
        for column in 2..4 {
            assert!(number(0, row, column) > 1.0 && number(1, row, column) > 1.0, "{found}");
        }
    }
    assert_eq!((cell(2, 0, 0), cell(2, 2, 0)), (&"DNMF".into(), &"DNMF, separation".into()));
    for table in 0..2 {
        let gain = number(table, 3, 3) - number(table, 1, 3);
        assert!((gain - number(table + 2, 1, 3)).abs() < 1e-9, "{found}");
    }
    assert_eq!((cell(4, 0, 1), cell(4, 3, 1)), (&"same sex".into(), &"opposite sex".into()));
    // One pair of one sex and two of the other: the means of table 1 are those of all three.
    let all = (number(4, 0, 2) + 2.0 * number(4, 3, 2)) / 3.0;
    assert!((all - number(0, 1, 2)).abs() < 1e-9, "{found}");
    assert!(number(5, 0, 7) > 0.0 && number(5, 1, 1) > 0.0, "{found}");
    assert_eq!((number(6, 7, 6), number(7, 0, 2), number(8, 2, 2)), (5.99, 4.49, 7.8));
    let text = stdout(&run(&["-o", "two"]));
    for part in [
        "ada (female), bea (female), cal (male)",
        "9 of two sentences",
        "3 pairs of speakers, 1 of one sex",
        "mel:80:0-4000",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let read = |name: &str| std::fs::read_to_string(world.path(name)).unwrap();
    for name in ["findings.json", "snr-mel.svg", "snr-wav.svg", "report.html"] {
        assert!(read(&format!("one/{name}")) == read(&format!("two/{name}")), "{name} differs from run to run");
    }
    let methods = ["SNMF", "DNMF", "DNMF, separation", "NMF, 128 ms"];
    assert_eq!(heard(&world, ["one", "two"]), [tracks(&["ada", "bea"], &methods), tracks(&["ada", "cal"], &methods)]);
    // Powers and other starts give other numbers.
    assert_ne!(json(&run(&["-o", "three", "--json", "--spectrum", "power"]))["tables"][0], found["tables"][0]);
    assert_ne!(json(&run(&["-o", "four", "--json", "--seed", "1"]))["tables"][0], found["tables"][0]);
}

#[test]
fn invalid_discriminative_experiments_are_refused() {
    let world = voices();
    let run = |options: &[&str]| world.run(&[&["reproduce", "discriminative", "-o", "none"], options].concat());
    for (options, parts) in [
        (&["--female", "ada"][..], &["at least two speakers"][..]),
        (&["--female", "ada", "absent"], &["absent/train", "not a folder"]),
        (&["--female", "ada", "--male", "cal", "--ranks", "0"], &["rank", "between 1 and"]),
        (&["--female", "ada", "--male", "cal", "--starts", "0"], &["at least one", "start"]),
        (&["--female", "ada", "--male", "cal", "--sparsities=-1"], &["sparsity -1", "not negative"]),
        (&["--female", "ada", "--male", "cal", "--bands", "mel:80:0-5000"], &["up to 5000 Hz", "8000"]),
    ] {
        refused(&run(options), 2, parts);
        assert!(!world.path("none").exists());
    }
}

#[test]
fn the_averaged_experiment_reports_its_findings() {
    let world = world();
    std::fs::rename(world.path("music"), world.path("noise")).unwrap();
    // A clip needs as many frames as the background has components.
    for (name, pitch) in [("c", 250.0), ("d", 330.0)] {
        world.record(&format!("speech/test/{name}.wav"), &[tones(pitch, 20_000)], RATE);
    }
    let small = ["reproduce", "averaged", "--speech", "speech", "--noise", "noise", "--orders", "1,2", "--levels=0,9"];
    let sizes = ["--draws", "1", "--frames", "30", "--iterations", "6", "--clips", "1"];
    let run = |options: &[&str]| {
        let output = world.run(&[&small[..], &sizes, options].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        output
    };
    let found = json(&run(&["-o", "one", "--json"]));
    let cell = |table: usize, row: usize, column: usize| &found["tables"][table]["rows"][row][column];
    let number = |table: usize, row: usize, column: usize| cell(table, row, column).as_f64().unwrap();
    let ways = ["VB selection", "VB fusion", "fusion of estimates", "oracle selection", "fusion by mean"];
    for (row, way) in ways.iter().enumerate() {
        assert_eq!(cell(0, row, 0), way);
        // The mean is that of both levels, and it is compared with selection.
        let mean = (number(0, row, 1) + number(0, row, 2)) / 2.0;
        assert!((mean - number(0, row, 3)).abs() < 1e-9, "{found}");
        assert!((mean - number(0, 0, 3) - number(0, row, 4)).abs() < 1e-9, "{found}");
        assert!(
            number(0, row, 3) <= number(0, 3, 3) || row == 1 || row == 2 || row == 4,
            "no order beats the best: {found}"
        );
    }
    // The weights of the orders of each row sum to 1.
    for row in 0..2 {
        assert!((number(1, row, 3) + number(1, row, 4) - 1.0).abs() < 1e-9, "{found}");
    }
    assert_eq!((number(3, 1, 1), number(3, 3, 6)), (4.24, 7.04));
    let best = (0..2).map(|row| number(4, 5 + row, 1)).fold(f64::NEG_INFINITY, f64::max);
    assert_eq!(number(4, 8, 1), best, "{found}");
    let text = stdout(&run(&["-o", "two"]));
    for part in ["1 and 1 recordings for the two models", "1 of each order and level", "nmf, kl, K = 64"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let read = |name: &str| std::fs::read_to_string(world.path(name)).unwrap();
    for name in ["sdr.svg", "posterior.svg", "free-energy.svg"] {
        assert!(read(&format!("one/{name}")) == read(&format!("two/{name}")), "{name} differs from run to run");
    }
    let mut expected =
        tracks(&["speech"], &["averaged, fusion, background", "averaged, joint, background", "nmf, kl, K = 64"]);
    expected.push("noise, true".into());
    assert_eq!(heard(&world, ["one", "two"]), [expected]);
    for (options, parts) in [
        (&["--draws", "0"][..], &["at least one draw"][..]),
        (&["--orders", "2,2"], &["2 is given twice"]),
        (&["--levels=200"], &["levels from -100 to 100"]),
    ] {
        let small = ["reproduce", "averaged", "--speech", "speech", "--noise", "noise", "-o", "none"];
        refused(&world.run(&[&small[..], options].concat()), 2, parts);
    }
}

#[test]
fn the_experiment_on_learned_costs_reports_its_findings() {
    let world = World::new();
    for (index, pitch) in [180.0f32, 260.0, 340.0].into_iter().enumerate() {
        world.record(&format!("clean/{index}.wav"), &[tones(pitch, 6000)], RATE);
        for (place, speaker) in ["anna", "berta", "carl", "david"].into_iter().enumerate() {
            let own = tones(pitch * (1.0 + 0.3 * place as f32), 9000);
            let part = if index == 2 { "test" } else { "train" };
            world.record(&format!("{speaker}/{part}/{index}.wav"), &[own], RATE);
        }
    }
    let speakers = ["--female", "anna", "berta", "--male", "carl", "david"];
    let sizes =
        ["--components", "2", "--stacks", "6", "--after", "5,1", "--noises", "1", "--starts", "1", "--batch", "1"];
    let run = |options: &[&str]| {
        let command = ["reproduce", "deep", "--clean", "clean", "--steps", "2", "--mixtures", "1"];
        world.run(&[&command[..], &sizes, options].concat())
    };
    let succeeds = |options: &[&str]| {
        let output = run(options);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        output
    };
    let found = json(&succeeds(&[&speakers[..], &["-o", "one", "--json"]].concat()));
    let rows = |table: usize| found["tables"][table]["rows"].as_array().unwrap();
    // Ours, each with the paper's. Gains are those of two numbers of updates, of known recordings and of others.
    assert_eq!([rows(0).len(), rows(1).len(), rows(2).len(), rows(3).len()], [10, 6, 7, 6]);
    assert!(rows(0).iter().chain(rows(2)).flat_map(|row| row.as_array().unwrap()).skip(1).all(|cell| !cell.is_null()));
    assert_eq!((&rows(1)[0][1], &rows(3)[2][4]), (&5.37.into(), &5.19.into()));
    let learned = rows(0).iter().filter(|row| row[0].as_str().unwrap().contains("learned"));
    assert_eq!(learned.count(), 4);
    for figure in
        ["denoising-known", "denoising-others", "denoising-densities", "denoising-training", "separation-known"]
    {
        let picture = std::fs::read_to_string(world.path(&format!("one/{figure}.svg"))).unwrap();
        assert!(picture.contains("t, ν = 4") || picture.contains("t, learned"), "{figure}");
    }
    let noisy = tracks(&["recording"], &["IS", "t, learned", "GGD, learned", "network, learned"]);
    let mixed = tracks(&["speaker 1", "speaker 2"], &["IS", "t, learned", "GGD, learned", "network, learned"]);
    assert_eq!(heard(&world, ["one", "one"]), [noisy, mixed]);
    // Without speakers there is one part, which has the same numbers.
    let alone = json(&succeeds(&["-o", "two", "--json"]));
    assert_eq!((&alone["tables"][0], alone["tables"].as_array().unwrap().len()), (&found["tables"][0], 2));
    refused(&run(&["--female", "anna", "--male", "carl", "-o", "none"]), 2, &["two or more speakers of each"]);
    let none = ["reproduce", "deep", "--clean", "clean", "--steps", "0", "-o", "none"];
    refused(&world.run(&none), 2, &["at least one step"]);
    refused(&world.run(&["reproduce", "deep", "--clean", "absent", "-o", "none"]), 2, &["absent: is not a folder"]);
}
