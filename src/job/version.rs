//! Versions of the program, which files name as their writer.

/// Whether a version of the program, such as "0.10.0", is later than this one.
pub(crate) fn is_later(version: &str) -> bool {
    let numbers =
        |version: &str| -> Vec<u64> { version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect() };
    numbers(version) > numbers(env!("CARGO_PKG_VERSION"))
}
