//! Any bytes must be refused, or read to their end in blocks that keep the reader's guarantees.

#![no_main]

use std::io::Cursor;
use std::panic;
use std::path::Path;
use std::sync::Once;

use libfuzzer_sys::fuzz_target;
use partwise::audio::Reader;

/// A panic of a third-party decoder that the reader turns into an error is not a failure. A panic that escapes the
/// reader ends the run.
static CONTAINED: Once = Once::new();

fuzz_target!(|bytes: &[u8]| {
    CONTAINED.call_once(|| panic::set_hook(Box::new(|_| ())));
    let Ok(mut reader) = Reader::over(Path::new("fuzzed"), Cursor::new(bytes.to_vec())) else { return };
    assert!(reader.channels() >= 1 && reader.sample_rate() >= 1);
    assert!(reader.bits().is_none_or(|bits| (1..=32).contains(&bits)));
    let mut block = Vec::new();
    while let Ok(more) = reader.read(&mut block) {
        assert_eq!(block.len(), reader.channels());
        let length = block[0].len();
        assert!(block.iter().all(|samples| samples.len() == length && samples.iter().all(|sample| sample.is_finite())));
        assert!(if more { (1..=65_536).contains(&length) } else { length == 0 });
        if !more {
            assert!(reader.warnings().iter().all(|warning| !warning.contains('\n')));
            break;
        }
    }
});
