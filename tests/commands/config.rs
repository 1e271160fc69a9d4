//! Descriptions of jobs in files: `--config` and `--print-config`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::common::world::{RATE, World, json, mix, refused, stderr, stdout};
use partwise::{Separation, Training};
use serde_json::{Value, json};

/// Runs the program, which must succeed.
fn done(world: &World, arguments: &[&str]) -> String {
    let output = world.run(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stdout(&output)
}

fn write(world: &World, name: &str, config: &Value) {
    std::fs::write(world.path(name), config.to_string()).unwrap();
}

const SOURCES: [&str; 5] = ["train", "--source", "tones=tones", "--source", "hiss=hiss"];

#[test]
fn a_printed_description_trains_the_same_model() {
    let world = World::new();
    let options = ["--method", "gain-prior", "--mixtures", "2", "--rank", "3", "--rank", "hiss=2", "--iterations", "5"];
    let more = ["--window", "256", "--divergence", "is", "--seed", "9", "--tolerance", "1e-9"];
    let printed = done(&world, &[&["train", "--print-config"][..], &options, &more].concat());
    let training: Training = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        (training.seed, training.rank.named["hiss"], training.iterations),
        (9, partwise::options::Rank::Of(2), Some(5))
    );
    std::fs::write(world.path("job.json"), &printed).unwrap();
    done(&world, &[&SOURCES[..], &options, &more, &["-o", "flags"]].concat());
    done(&world, &[&SOURCES[..], &["--config", "job.json", "-o", "config"]].concat());
    let bytes = |name: &str| std::fs::read(world.path(name)).unwrap();
    assert!(bytes("flags") == bytes("config"));
    // What is printed again is the same, and the model holds it.
    assert_eq!(done(&world, &["train", "--print-config", "--config", "job.json"]), printed);
    assert_eq!(partwise::Model::load(&world.path("config")).unwrap().options, Some(training));
}

#[test]
fn typed_options_overrule_the_file() {
    let world = World::trained();
    world.record("mix.wav", &[mix(5, 7001)], RATE);
    write(&world, "job.json", &json!({"iterations": 7, "mask": "hard", "format": "wav-f32", "only": "hiss"}));
    let separate = |options: &[&str]| {
        let job = ["separate", "mix.wav", "--model", "m.safetensors", "-o", "out", "--json"];
        let output = world.run(&[&job[..], options].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let result = json(&output)["results"][0].clone();
        (result["parameters"].clone(), std::fs::read(world.path("out/mix.hiss.wav")).unwrap())
    };
    let (file, _) = separate(&["--config", "job.json"]);
    assert_eq!((&file["mask"], &file["iterations"], &file["only"]), (&json!("hard"), &json!(7), &json!("hiss")));
    assert_eq!(file["updates"], "extrapolated");
    let (both, bytes) = separate(&["--config", "job.json", "--mask", "wiener", "--iterations", "9"]);
    assert_eq!(
        (&both["mask"], &both["iterations"], &both["format"]),
        (&json!("ratio:2"), &json!(9), &json!("wav-f32"))
    );
    let typed = ["--mask", "wiener", "--iterations", "9", "--format", "wav-f32", "--only", "hiss"];
    assert!(separate(&typed) == (both.clone(), bytes.clone()));
    // The description that a result was made by makes it again.
    let mut again = both;
    let again = again.as_object_mut().unwrap();
    assert!(again.remove("version").is_some() && again.remove("model").is_some());
    write(&world, "again.json", &json!(again));
    assert!(separate(&["--config", "again.json"]).1 == bytes);
}

#[test]
fn a_description_in_force_leaves_nothing_open() {
    let world = World::trained();
    let printed = |options: &[&str]| -> Value {
        serde_json::from_str(&done(&world, &[&["separate", "--print-config"][..], options].concat())).unwrap()
    };
    let model = printed(&["--model", "m.safetensors"]);
    let expected = json!({
        "method": "nmf", "mask": "ratio:2", "updates": "extrapolated", "iterations": 12, "tolerance": 0.0,
        "format": "same", "only": null, "residual": false, "follow": false
    });
    assert_eq!(model, expected);
    let blind = printed(&["--method", "nmf2d", "--seed", "4"]);
    let expected = json!({"sources": 2, "starts": 8, "time_lags": 7, "pitch_lags": 18, "seed": 4, "hop": "64ms"});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&blind[name], value, "{name}");
    }
    assert_eq!((&blind["iterations"], &blind["updates"]), (&json!(300), &Value::Null));
    let given = printed(&["--method", "nmf2d", "--init-bases", "a=tones", "b=hiss/a.wav"]);
    assert_eq!(given["init_bases"][0], json!({"name": "a", "recordings": ["tones/a.wav", "tones/b.wav"]}));
    assert_eq!((&given["iterations"], &given["sources"], &given["time_lags"]), (&json!(100), &Value::Null, &json!(20)));
    let again: Separation = serde_json::from_value(given.clone()).unwrap();
    assert_eq!(serde_json::to_value(again).unwrap(), given);
}

#[test]
fn a_description_that_does_not_fit_is_refused_in_one_line() {
    let world = World::trained();
    let train = |config: &Value, options: &[&str]| {
        write(&world, "job.json", config);
        world.run(&[&["train", "--print-config", "--config", "job.json"][..], options].concat())
    };
    let separate = |config: &Value, options: &[&str]| {
        write(&world, "job.json", config);
        world.run(&[&["separate", "--print-config", "--config", "job.json"][..], options].concat())
    };
    let model = ["--model", "m.safetensors"];
    for (config, parts) in [
        (json!({"itertions": 5}), ["job.json: itertions: is not an option", "the nearest is iterations"]),
        (json!({"iterations": "five"}), ["job.json: iterations: ", "expected a whole number"]),
        (json!({"iterations": 0}), ["0 iterations", "between 1 and"]),
        (json!({"rank": 0}), ["job.json: rank: 0", "between 1 and"]),
        (json!({"mixtures": 5}), ["job.json: mixtures: is an option of the method gain-prior", "is nmf"]),
        (json!({"method": "deeper"}), ["job.json: method: deeper", "use nmf, exemplars"]),
        (json!({"divergence": "euclid"}), ["job.json: divergence: ", "euclid"]),
        (json!([1]), ["job.json: ", "no object of options"]),
    ] {
        refused(&train(&config, &[]), 2, &parts);
    }
    refused(&train(&json!({}), &["--mixtures", "2"]), 2, &["--mixtures is an option of the method gain-prior"]);
    std::fs::write(world.path("broken.json"), "{").unwrap();
    refused(&world.run(&["train", "--print-config", "--config", "broken.json"]), 2, &["broken.json: is not JSON"]);
    refused(&world.run(&["train", "--print-config", "--config", "absent.json"]), 2, &["absent.json", "cannot read"]);
    for (config, options, parts) in [
        (json!({"only": "drums"}), &model[..], ["job.json: only: drums", "there are tones, hiss"]),
        (json!({"prior_weight": "auto"}), &model, ["trained with the method nmf", "--method gain-prior"]),
        (json!({"sources": 2}), &model, ["method nmf2d", "takes no model"]),
        (json!({"method": "nmf"}), &[], ["job.json: method: nmf", "needs a model"]),
        (json!({"method": "nmf2d", "tolerance": 0.1}), &[], ["job.json: tolerance: 0.1", "method nmf2d"]),
        (json!({"mask": "soft"}), &model, ["job.json: mask: ", "use wiener, hard, or ratio:P"]),
        (json!({"updates": "joint"}), &model, ["job.json: updates: joint", "bases are fixed"]),
        (json!({"windows": 480}), &model, ["job.json: windows: is not an option of a separation", "nearest"]),
    ] {
        refused(&separate(&config, options), 2, &parts);
    }
}
