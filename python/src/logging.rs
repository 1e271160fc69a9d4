//! What the library logs goes to Python's logger `partwise`.

use log::{Level, LevelFilter, Log, Metadata, Record};
use pyo3::prelude::*;

struct Forward;

/// Makes the library's messages those of Python's logger.
pub(crate) fn forward() {
    // Another module in this process may have brought a logger of its own; then that one hears of them.
    if log::set_logger(&Forward).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

impl Log for Forward {
    fn enabled(&self, metadata: &Metadata) -> bool {
        // Of the library's packages and of this one.
        metadata.target().trim_start_matches('_').starts_with("partwise")
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // Python's numbers of these levels.
        let level = match record.level() {
            Level::Error => 40,
            Level::Warn => 30,
            _ => 20,
        };
        let message = record.args().to_string();
        // None while the interpreter ends. An exception of a handler has nobody to go to.
        Python::try_attach(|py| {
            let logger = py.import("logging")?.call_method1("getLogger", ("partwise",))?;
            logger.call_method1("log", (level, "%s", message)).map(drop)
        });
    }

    fn flush(&self) {}
}
