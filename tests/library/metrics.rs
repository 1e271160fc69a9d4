//! Compares the separation metrics with mir_eval's own fixtures.
//!
//! `metrics/` holds cases 01, 02, 05 and 09 of mir_eval's tests, with their licence: `refNN/` and `estNN/` with one
//! 16-bit mono file per source, and the part of `outputNN.json` from `bss_eval_sources`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::path::PathBuf;

use partwise::evaluate::{Bss, TAPS, bss_eval, bss_eval_permuted, evaluate_windows, windows};
use serde_json::Value;

/// In dB. mir_eval's own test allows 0.01.
const TOLERANCE: f64 = 1e-6;

#[test]
fn scores_of_two_sources_equal_mir_evals() {
    check("01");
}

#[test]
fn scores_and_order_of_three_reordered_sources_equal_mir_evals() {
    check("02");
}

#[test]
fn scores_of_three_sources_equal_mir_evals() {
    check("05");
}

#[test]
fn scores_of_one_source_equal_mir_evals() {
    check("09");
}

#[test]
fn scores_of_windows_equal_mir_evals() {
    // bss_eval_sources_framewise(references, estimates, window=2500, hop=2000) of mir_eval 0.8.2, by measure, source and window.
    let expected = [
        [
            [4.168001318298446, 1.875188388771761, 1.9922929680239543],
            [8.81993955780289, 9.47488891750949, 17.41130088993572],
        ],
        [
            [6.081680395672906, 2.4401263816625525, 2.403649395140885],
            [17.27484423157723, 15.844749286242825, 21.456678526985648],
        ],
        [
            [9.605866904509524, 12.971836117252995, 14.404693981832501],
            [9.569340627881639, 10.72544425066927, 19.617297124544486],
        ],
    ];
    let of = |name: &str| read(name).into_iter().map(|signal| vec![signal]).collect::<Vec<_>>();
    let (references, estimates) = (of("ref01"), of("est01"));
    let scores = evaluate_windows(&references, &estimates, &windows(8000, 2500, 2000), || Ok(())).unwrap();
    assert_eq!(scores.len(), 3);
    for (window, of_window) in scores.iter().enumerate() {
        for (source, scores) in of_window.iter().enumerate() {
            let measures = [scores.measures.sdr, scores.measures.sir, scores.measures.sar];
            for (measure, got) in measures.into_iter().enumerate() {
                let want = expected[measure][source][window];
                assert!((got - want).abs() < TOLERANCE, "measure {measure}, source {source}, window {window}: {got}");
            }
        }
    }
}

fn check(case: &str) {
    let (references, estimates) = (read(&format!("ref{case}")), read(&format!("est{case}")));
    let text = std::fs::read_to_string(folder().join(format!("output{case}.json"))).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();

    let (order, scores) = bss_eval_permuted(&references, &estimates, TAPS).unwrap();
    let expected_order: Vec<usize> = serde_json::from_value(expected["Source permutation"].clone()).unwrap();
    assert_eq!(order, expected_order);
    compare(&scores, &expected);

    let sorted: Vec<Vec<f64>> = order.iter().map(|&estimate| estimates[estimate].clone()).collect();
    compare(&bss_eval(&references, &sorted, TAPS).unwrap(), &expected);
}

fn compare(scores: &[Bss], expected: &Value) {
    for (name, measure) in [
        ("Source to Distortion", (|score| score.sdr) as fn(&Bss) -> f64),
        ("Source to Interference", |score| score.sir),
        ("Source to Artifact", |score| score.sar),
    ] {
        let expected = expected[name].as_array().unwrap();
        assert_eq!(scores.len(), expected.len());
        for (source, (got, want)) in scores.iter().map(measure).zip(expected).enumerate() {
            match want.as_f64() {
                Some(want) => assert!((got - want).abs() < TOLERANCE, "{name} {source}: {got}, expected {want}"),
                None => assert_eq!((got, want), (f64::INFINITY, &Value::from("inf")), "{name} {source}"),
            }
        }
    }
}

/// The recordings 0.wav, 1.wav, ... of a folder.
fn read(name: &str) -> Vec<Vec<f64>> {
    let paths = (0..).map(|source| folder().join(name).join(format!("{source}.wav")));
    paths
        .take_while(|path| path.exists())
        .map(|path| {
            let recording = partwise::audio::read(&path).unwrap();
            recording.channels[0].iter().copied().map(f64::from).collect()
        })
        .collect()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/metrics")
}
