//! Lengths of time as people write them: `90`, `5m`, `1h30m`; and calendar spans for retention: `30d`, `2y5m7d3h`.

use std::fmt;
use std::time::Duration;

/// A calendar span, as restic's `--keep-within` takes it: a month is a month, however long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Years.
    pub years: u32,
    /// Months.
    pub months: u32,
    /// Days.
    pub days: u32,
    /// Hours.
    pub hours: u32,
}

impl Span {
    /// Whether it is no time at all.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0h");
        }
        for (count, unit) in [(self.years, 'y'), (self.months, 'm'), (self.days, 'd'), (self.hours, 'h')] {
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

/// Reads `2y5m7d3h`: any of years, months, days and hours, each once, largest first.
///
/// # Errors
/// What would have been right.
pub fn span(text: &str) -> Result<Span, String> {
    let wrong = || "must be like 30d or 2y5m7d3h: years, months, days, hours".to_owned();
    let counts = counts(text, &['y', 'm', 'd', 'h']).ok_or_else(wrong)?;
    let [years, months, days, hours] = counts[..] else { return Err(wrong()) };
    // Ten thousand years is further back than calendars go.
    if years > 9_999 || months > 120_000 || days > 3_650_000 || hours > 87_600_000 {
        return Err("is longer than any calendar".into());
    }
    Ok(Span { years, months, days, hours })
}

/// Reads seconds (`90`) or `1h30m`: hours, minutes and seconds, each once, largest first.
///
/// # Errors
/// What would have been right.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "must be seconds, or like 5m or 1h30m: hours, minutes, seconds".to_owned();
    if let Some(seconds) = whole(text) {
        return Ok(Duration::from_secs(seconds.into()));
    }
    let counts = counts(text, &['h', 'm', 's']).ok_or_else(wrong)?;
    let [hours, minutes, seconds] = counts[..] else { return Err(wrong()) };
    Ok(Duration::from_secs(u64::from(hours) * 3600 + u64::from(minutes) * 60 + u64::from(seconds)))
}

/// A number of digits only; no sign, no space.
pub(super) fn whole(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// One count for each unit, zero where it is not named.
fn counts(text: &str, units: &[char]) -> Option<Vec<u32>> {
    let mut counts = vec![0; units.len()];
    let mut next = 0;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_digit())?;
        let unit = rest[end..].chars().next()?;
        let place = next + units[next..].iter().position(|known| *known == unit)?;
        counts[place] = whole(&rest[..end])?;
        next = place + 1;
        rest = &rest[end + unit.len_utf8()..];
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_are_read_as_restic_reads_them() {
        assert_eq!(span("30d").unwrap(), Span { days: 30, ..Span::default() });
        assert_eq!(span("2y5m7d3h").unwrap(), Span { years: 2, months: 5, days: 7, hours: 3 });
        for wrong in ["", "30", "d", "3d2y", "1d1d", "-1d", "1 d", "99999999999d", "3w", "1d€"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_seconds_or_have_units() {
        assert_eq!(duration("0").unwrap(), Duration::ZERO);
        assert_eq!(duration("90").unwrap(), Duration::from_secs(90));
        assert_eq!(duration("1h30m").unwrap(), Duration::from_secs(5400));
        for wrong in ["", "m", "1m1h", "+1", "1.5m", "5 m", "1d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_span_reads_back_as_it_was_written(years in 0u32..100, months in 0u32..100, days in 0u32..1000, hours in 0u32..1000) {
            let it = Span { years, months, days, hours };
            prop_assert_eq!(span(&it.to_string()).unwrap(), it);
        }

        #[test]
        fn no_text_upsets_the_parsers(text in ".*") {
            let _ = (span(&text), duration(&text));
        }
    }
}
