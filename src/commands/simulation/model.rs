//! What must hold, told as simply as it can be: what was committed and not deleted is there; what a rule names stays.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::settings::Retention;

/// One dump in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Nothing for what an older script wrote.
    pub run: Option<String>,
    pub app: Option<&'static str>,
    /// The second in its name.
    pub time: Timestamp,
    /// Which of that second it is.
    pub taken: u32,
    /// What was in the database.
    pub rows: u64,
    /// Whether a restore took it of what it replaced.
    pub safety: bool,
    /// Whether a drill has proven it.
    pub proven: bool,
}

/// All dumps, by name.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub there: BTreeMap<String, Known>,
}

/// One with its name.
type Named<'a> = (&'a str, &'a Known);

impl Model {
    /// What `app` saved whole, newest first.
    pub fn good(&self, app: &str) -> Vec<Named<'_>> {
        self.newest_first(|one| one.app == Some(app) && !one.safety)
    }

    /// What restores of `app` saved of what they replaced, newest first.
    pub fn safety(&self, app: &str) -> Vec<Named<'_>> {
        self.newest_first(|one| one.app == Some(app) && one.safety)
    }

    /// What older scripts wrote, newest first.
    pub fn foreign(&self) -> Vec<Named<'_>> {
        self.newest_first(|one| one.run.is_none())
    }

    /// Chosen ones, newest first.
    pub fn newest_first(&self, of: impl Fn(&Known) -> bool) -> Vec<Named<'_>> {
        let mut all: Vec<Named<'_>> =
            self.there.iter().filter(|(_, one)| of(one)).map(|(name, one)| (name.as_str(), one)).collect();
        all.sort_by_key(|(_, one)| (one.time, one.taken));
        all.reverse();
        all
    }

    /// What `latest` means to `app`: its newest; where it has none, the newest that an older script wrote.
    pub fn latest(&self, app: &str) -> Option<&str> {
        self.good(app).first().or(self.foreign().first()).map(|(name, _)| *name)
    }

    /// What must not be deleted for `app` at `now`, where `run` has just saved.
    pub fn must_stay(&self, app: &str, rules: &Retention, now: Timestamp, run: Option<&str>) -> BTreeSet<String> {
        let everything = || self.there.keys().cloned().collect();
        if rules.keeps_everything() {
            return everything();
        }
        let (good, foreign) = (self.good(app), self.foreign());
        let min = rules.min.max(1) as usize;
        let mut stays: BTreeSet<&str> = good.iter().take(min).map(|(name, _)| *name).collect();
        stays.extend(good.iter().find(|(_, one)| one.proven).map(|(name, _)| *name));
        stays.extend(named_by(rules, &good, now));
        let together = self.newest_first(|one| one.run.is_none() || (one.app == Some(app) && !one.safety));
        let kept: BTreeSet<&str> = named_by(rules, &together, now);
        stays.extend(foreign.iter().map(|(name, _)| *name).filter(|name| good.len() < min || kept.contains(name)));
        let newer = |safety: &Known| good.iter().filter(|(_, one)| one.time > safety.time).count();
        stays.extend(self.safety(app).iter().filter(|(_, one)| newer(one) < min).map(|(name, _)| *name));
        // Nobody else's.
        stays.extend(self.newest_first(|one| one.app.is_some_and(|its| its != app)).iter().map(|(name, _)| *name));
        stays.extend(self.newest_first(|one| run.is_some() && one.run.as_deref() == run).iter().map(|(name, _)| *name));
        stays.into_iter().map(str::to_owned).collect()
    }
}

/// What the rules name, each by itself.
fn named_by<'a>(rules: &Retention, newest_first: &[Named<'a>], now: Timestamp) -> BTreeSet<&'a str> {
    let mut named: BTreeSet<&str> =
        newest_first.iter().take(rules.last.unwrap_or(0) as usize).map(|(name, _)| *name).collect();
    let date = |one: &Known| one.time.to_zoned(TimeZone::UTC).date();
    let monday = |day: Date| day.duration_since(Date::new(1, 1, 1).expect("a day")).as_hours() / 24 / 7;
    named.extend(first_of_each(rules.hourly, newest_first, |one| one.time.as_second() / 3600));
    named.extend(first_of_each(rules.daily, newest_first, date));
    named.extend(first_of_each(rules.weekly, newest_first, |one| monday(date(one))));
    named.extend(first_of_each(rules.monthly, newest_first, |one| (date(one).year(), date(one).month())));
    named.extend(first_of_each(rules.yearly, newest_first, |one| date(one).year()));
    if let Some(within) = rules.within {
        // The histories count in days alone, which in UTC have 24 hours.
        let oldest = now - jiff::SignedDuration::from_hours(24 * i64::from(within.days));
        named.extend(newest_first.iter().filter(|(_, one)| one.time >= oldest).map(|(name, _)| *name));
    }
    named
}

/// The newest of each of so many spans; where there are not so many, the oldest of all besides.
fn first_of_each<'a, K: Ord>(
    count: Option<u32>,
    newest_first: &[Named<'a>],
    span: impl Fn(&Known) -> K,
) -> Vec<&'a str> {
    let count = count.unwrap_or(0) as usize;
    let mut spans: BTreeMap<K, &str> = BTreeMap::new();
    for (name, one) in newest_first {
        spans.entry(span(one)).or_insert(name);
    }
    let mut named: Vec<&str> = spans.values().rev().take(count).copied().collect();
    if named.len() < count {
        named.extend(newest_first.last().map(|(name, _)| *name));
    }
    named
}
