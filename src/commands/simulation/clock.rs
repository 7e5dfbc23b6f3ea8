//! A clock that a history sets. A thread's own: other tests run beside.

use std::cell::Cell;

use jiff::Timestamp;

thread_local! {
    static NOW: Cell<Option<Timestamp>> = const { Cell::new(None) };
}

/// The time that this thread's history has; nothing outside of one.
pub fn now() -> Option<Timestamp> {
    NOW.get()
}

/// Sets it.
pub fn set(now: Timestamp) {
    NOW.set(Some(now));
}
