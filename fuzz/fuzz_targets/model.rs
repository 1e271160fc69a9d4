//! Any bytes must be refused, or give a valid model that is the same after writing and reading it again.

#![no_main]

use std::collections::BTreeSet;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use partwise::model::Model;

fuzz_target!(|bytes: &[u8]| {
    let name = Path::new("fuzzed");
    let Ok(model) = Model::from_bytes(name, bytes) else { return };
    assert_eq!(model.bins(), model.stft.fft / 2 + 1);
    let names: BTreeSet<&str> = model.sources.iter().map(|source| source.name.as_str()).collect();
    assert!(!names.is_empty() && names.len() == model.sources.len());
    for source in &model.sources {
        assert!(source.bases.nrows() == model.bins() && source.bases.ncols() >= 1);
        assert!(source.bases.iter().all(|&w| w.is_finite() && w >= 0.0));
    }
    let written = model.to_bytes().expect("what was loaded can be written");
    let again = Model::from_bytes(name, &written).expect("what was written can be loaded");
    assert!(again == model && again.to_bytes().is_ok_and(|bytes| bytes == written));
});
