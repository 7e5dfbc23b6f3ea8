//! What may be forgotten. With none of these variables set, nothing ever is.

use super::names::*;
use super::reader::Reader;
use super::span::{self, Span};

/// The rules; a run that any of them keeps stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// This many of the newest.
    pub last: Option<u32>,
    /// The newest of each of this many hours.
    pub hourly: Option<u32>,
    /// The newest of each of this many days.
    pub daily: Option<u32>,
    /// The newest of each of this many weeks.
    pub weekly: Option<u32>,
    /// The newest of each of this many months.
    pub monthly: Option<u32>,
    /// The newest of each of this many years.
    pub yearly: Option<u32>,
    /// All that are younger than this.
    pub within: Option<Span>,
    /// Never fewer sealed runs than this; at least one.
    pub min: u32,
}

impl Retention {
    /// Whether no rule is set; then nothing may be forgotten.
    #[must_use]
    pub fn keeps_everything(&self) -> bool {
        let counts = [self.last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly];
        counts.iter().all(Option::is_none) && self.within.is_none()
    }

    /// No rule but the floor, to be filled by tests.
    #[cfg(test)]
    pub(crate) fn none() -> Retention {
        let (last, hourly, daily, weekly, monthly, yearly) = Default::default();
        Retention { last, hourly, daily, weekly, monthly, yearly, within: None, min: 3 }
    }
}

pub(super) fn resolve(reader: &mut Reader<'_>) -> Retention {
    let mut count = |names: &[&'static str]| {
        let found = reader.first(names)?;
        // Zero is a rule that keeps nothing, which is no rule; restic reads it so too.
        reader.accept(found, number).filter(|count| *count > 0)
    };
    let (last, hourly, daily) = (count(&[BKP_KEEP_LAST]), count(&[BKP_KEEP_HOURLY]), count(&[BKP_KEEP_DAILY]));
    let (weekly, yearly) = (count(&[BKP_KEEP_WEEKLY]), count(&[BKP_KEEP_YEARLY]));
    let monthly = count(&[BKP_KEEP_MONTHLY, RESTIC_MONTHS_TO_KEEP]);
    let within = reader.first(&[BKP_KEEP_WITHIN, RESTIC_DAYS_TO_KEEP]).and_then(|found| {
        let is_days = found.name == RESTIC_DAYS_TO_KEEP;
        reader.accept(found, |text| if is_days { days(text) } else { span::span(text) })
    });
    let min = reader.parsed(BKP_KEEP_MIN, |text| match number(text)? {
        0 => Err("must be at least 1: the last sealed run is never forgotten".into()),
        min => Ok(min),
    });
    Retention {
        last,
        hourly,
        daily,
        weekly,
        monthly,
        yearly,
        within: within.filter(|span| !span.is_zero()),
        min: min.unwrap_or(3),
    }
}

fn number(text: &str) -> Result<u32, String> {
    span::whole(text).ok_or_else(|| "must be a whole number".into())
}

fn days(text: &str) -> Result<Span, String> {
    let days = number(text)?;
    if days > 3_650_000 {
        return Err("is longer than any calendar".into());
    }
    Ok(Span { days, ..Span::default() })
}
