//! Times: milliseconds since 1970 inside, RFC 3339 outside.

use std::time::{Duration, SystemTime};

/// Now.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A time as text: `2026-11-28T01:00:00.123Z`.
pub(super) fn text(milliseconds: i64) -> String {
    let since = Duration::from_millis(milliseconds.max(0) as u64);
    humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since).to_string()
}
