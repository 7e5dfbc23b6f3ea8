//! Times as operators say them: a day (`2026-11-20`), a time in UTC (`2026-11-20 13:00`), an age (`2h ago`). Pure.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use crate::error::Failure;
use crate::exit::Exit;

/// A day of UTC, and nothing more exact.
pub fn day(text: &str) -> Option<Date> {
    (text.len() == "2026-11-20".len()).then(|| text.parse().ok()).flatten()
}

/// A moment: a time in UTC or an age before `now`. Nothing for what is neither; a day is its beginning.
pub fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(age) = text.strip_suffix("ago") {
        return before(age, now);
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    // A run's id begins with digits too, but has no separators.
    let time: DateTime = text.contains(['-', ' ']).then(|| text.parse().ok()).flatten()?;
    time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// A bound of a list: a moment, or an age without `ago` (`7d`).
///
/// # Errors
/// Exit code 2, with what would have been right.
pub fn bound(option: &str, text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let text = text.trim();
    moment(text, now).or_else(|| before(text, now)).ok_or_else(|| {
        Failure::new(format!("{option} {text:?} is no time"))
            .hint("an age (7d, \"2h ago\"), a day (2026-11-20) or a time in UTC (\"2026-11-20 13:00\")")
            .exit(Exit::Usage)
    })
}

fn before(age: &str, now: Timestamp) -> Option<Timestamp> {
    let span: Span = age.trim().parse().ok()?;
    now.to_zoned(TimeZone::UTC).checked_sub(span.abs()).ok().map(|zoned| zoned.timestamp())
}

/// What clocks may be apart before a backup is said to be of the future.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// That a backup says a time that has not come yet, by more than a day; nothing for any other.
pub fn of_the_future(name: &str, time: Timestamp, now: Timestamp) -> Option<String> {
    let ahead = time.duration_since(now);
    (ahead > AHEAD).then(|| {
        let day = time.strftime("%Y-%m-%d %H:%M:%S");
        let days = ahead.as_hours() / 24;
        format!("{name} says that it is of {day} UTC, {days} d from now: a clock is or was wrong, and until then it is newer than every backup to come")
    })
}

/// `3 h ago`: how long before `now` something was, in one unit that says enough.
pub fn age(time: Timestamp, now: Timestamp) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    let seconds = now.as_second() - time.as_second();
    match seconds {
        // Another host's clock may be ahead of ours.
        i64::MIN..0 => "in future".to_owned(),
        0..MINUTE => "just now".to_owned(),
        MINUTE..HOUR => format!("{} min ago", seconds / MINUTE),
        // Two nights ago is more than a number of hours tells.
        _ if seconds < 2 * DAY => format!("{} h ago", seconds / HOUR),
        _ if seconds < 90 * DAY => format!("{} d ago", seconds / DAY),
        _ if seconds < 730 * DAY => format!("{} mo ago", seconds / (30 * DAY)),
        _ => format!("{} y ago", seconds / (365 * DAY)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_age_is_told_in_one_unit() {
        let now = at("2026-11-22T12:00:00Z");
        for (time, age_of_it) in [
            ("2026-11-22T12:00:01Z", "in future"),
            ("2026-11-22T11:59:30Z", "just now"),
            ("2026-11-22T11:00:01Z", "59 min ago"),
            ("2026-11-22T09:00:00Z", "3 h ago"),
            ("2026-11-20T12:00:01Z", "47 h ago"),
            ("2026-11-15T11:00:00Z", "7 d ago"),
            ("2026-02-01T00:00:00Z", "9 mo ago"),
            ("2016-11-22T12:00:00Z", "10 y ago"),
        ] {
            assert_eq!(age(at(time), now), age_of_it, "{time}");
        }
    }

    #[test]
    fn more_than_a_day_ahead_is_of_the_future() {
        let now = at("2026-11-22T12:00:00Z");
        for time in ["2026-11-22T11:00:00Z", "2026-11-22T12:30:00Z", "2026-11-23T12:00:00Z"] {
            assert_eq!(of_the_future("x", at(time), now), None, "{time}");
        }
        let told = of_the_future("x", at("2031-01-01T00:00:00Z"), now).unwrap();
        assert!(told.starts_with("x says that it is of 2031-01-01 00:00:00 UTC, 1500 d from now"), "{told}");
    }

    #[test]
    fn a_bound_is_said_as_a_time_of_a_restore_or_as_an_age_alone() {
        let now = at("2026-11-22T12:00:00Z");
        for (text, time) in [
            ("7d", "2026-11-15T12:00:00Z"),
            ("2h ago", "2026-11-22T10:00:00Z"),
            (" 90m ", "2026-11-22T10:30:00Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("2026-11-20 13:00", "2026-11-20T13:00:00Z"),
            ("2026-11-20T13:00:00+02:00", "2026-11-20T11:00:00Z"),
        ] {
            assert_eq!(bound("--since", text, now).unwrap(), at(time), "{text}");
        }
        for text in ["", "yesterday", "7", "20261121T231004Z-7f3a9c", "latest", "2026-13-40"] {
            assert!(bound("--since", text, now).is_err(), "{text}");
        }
    }
}
