//! Any bytes must give a one-line error, or an array with as many numbers as its shape says.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use partwise::arrays::{Archive, read_from};
use partwise::{Result, ndarray::ArrayD};

fn check(read: Result<ArrayD<f64>>, bytes: usize) {
    match read {
        Ok(array) => assert_eq!(array.len(), array.shape().iter().product::<usize>()),
        Err(error) => {
            let message = error.to_string();
            assert!(!message.contains('\n') && message.len() < 300 + 4 * bytes, "{message}");
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    check(read_from("fuzzed", Cursor::new(bytes), bytes.len() as u64), bytes.len());
    let Ok(mut archive) = Archive::over("fuzzed", Cursor::new(bytes)) else { return };
    for name in archive.names().to_vec() {
        check(archive.read(&name), bytes.len());
    }
});
