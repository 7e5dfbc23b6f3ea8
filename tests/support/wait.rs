//! Waiting with a limit, so that a test that hangs says where.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Asks again and again until there is an answer, or the limit is over.
pub fn poll<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        sleep(Duration::from_millis(5));
    }
}

/// Waits until something is true.
///
/// # Panics
/// When it is not within 30 seconds, naming what was waited for.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let seen = poll(Duration::from_secs(30), || is_so().then_some(()));
    assert!(seen.is_some(), "waited 30 s in vain: {what}");
}
