//! The time of day, as it is stored.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

/// A length of time in milliseconds.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The moment that lies so far ahead, in milliseconds since the Unix epoch.
pub(crate) fn from_now(duration: Duration) -> i64 {
    now_ms().saturating_add(millis(duration))
}
