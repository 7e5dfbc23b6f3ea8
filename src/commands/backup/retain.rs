//! Which runs are kept: pure, the same for every kind of repository.
//!
//! The rules are restic's (`forget --keep-*`): each counts the newest run of each hour, day, week, month or year, and what any
//! rule keeps is kept. A rule that has not yet as many as it counts keeps the oldest run besides: it is on its way to be the newest of
//! its month or year. Above them stands the floor: the newest `min` sealed runs of an application are never forgotten,
//! nor is the newest one that a drill has proven.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::commands::catalog::age;
use crate::settings::{Retention, Span};

/// A run as retention sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// What identifies it to the caller.
    pub name: String,
    /// When it was taken.
    pub time: Timestamp,
    /// Whether it carries a seal of this application.
    pub sealed: bool,
    /// Whether a drill has proven that it restores.
    pub proven: bool,
}

/// The names to forget. Without any rule, nothing is.
pub fn to_forget(runs: &[Saved], rules: &Retention, now: Timestamp) -> BTreeSet<String> {
    if rules.keeps_everything() {
        return BTreeSet::new();
    }
    let sealed = newest_first(runs.iter().filter(|run| run.sealed));
    let mut kept: BTreeSet<&str> = sealed.iter().take(rules.min as usize).map(|run| run.name.as_str()).collect();
    // Until a newer one is proven it is the only one of which anybody knows that it restores.
    kept.extend(sealed.iter().find(|run| run.proven).map(|run| run.name.as_str()));
    kept.extend(kept_by_rules(&sealed, rules, now));
    // A dump without a seal takes no place from a sealed one, and goes only once there are enough of those.
    let all = newest_first(runs.iter());
    let enough = sealed.len() >= rules.min.max(1) as usize;
    let kept_with_unsealed: BTreeSet<&str> = kept_by_rules(&all, rules, now).collect();
    runs.iter()
        .filter(|run| {
            if run.sealed {
                !kept.contains(run.name.as_str())
            } else {
                enough && !kept_with_unsealed.contains(run.name.as_str())
            }
        })
        .map(|run| run.name.clone())
        .collect()
}

fn calendar(span: Span) -> jiff::Span {
    // Within what the settings allow, so that none of these can be out of range.
    jiff::Span::new().years(span.years).months(span.months).days(span.days).hours(span.hours)
}

fn newest_first<'a>(runs: impl Iterator<Item = &'a Saved>) -> Vec<&'a Saved> {
    let mut runs: Vec<&Saved> = runs.collect();
    runs.sort_by(|a, b| age(b.time, &b.name).cmp(&age(a.time, &a.name)));
    runs
}

fn kept_by_rules<'a>(newest_first: &[&'a Saved], rules: &Retention, now: Timestamp) -> impl Iterator<Item = &'a str> {
    let mut kept = BTreeSet::new();
    let mut newest_of_each = |count: Option<u32>, bucket: &dyn Fn(&Zoned) -> (i16, i16)| {
        let mut seen = None;
        let mut left = count.unwrap_or(0);
        for (at, run) in newest_first.iter().enumerate() {
            let this = bucket(&run.time.to_zoned(TimeZone::UTC));
            let is_oldest = at + 1 == newest_first.len();
            if left > 0 && (seen != Some(this) || is_oldest) {
                seen = Some(this);
                left -= 1;
                kept.insert(run.name.as_str());
            }
        }
    };
    newest_of_each(rules.hourly, &|t| (t.year(), t.day_of_year() * 24 + i16::from(t.hour())));
    newest_of_each(rules.daily, &|t| (t.year(), t.day_of_year()));
    newest_of_each(rules.weekly, &|t| {
        let week = t.date().iso_week_date();
        (week.year(), i16::from(week.week()))
    });
    newest_of_each(rules.monthly, &|t| (t.year(), i16::from(t.month())));
    newest_of_each(rules.yearly, &|t| (t.year(), 0));
    kept.extend(newest_first.iter().take(rules.last.unwrap_or(0) as usize).map(|run| run.name.as_str()));
    if let Some(within) = rules.within {
        // What lies before all calendars keeps everything.
        let oldest = now.to_zoned(TimeZone::UTC).checked_sub(calendar(within));
        let oldest = oldest.map_or(Timestamp::MIN, |oldest| oldest.timestamp());
        kept.extend(newest_first.iter().filter(|run| run.time >= oldest).map(|run| run.name.as_str()));
    }
    kept.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nights(count: i64, sealed: bool) -> Vec<Saved> {
        let now = now();
        (0..count)
            .map(|n| Saved {
                name: format!("{}{n}", if sealed { "s" } else { "u" }),
                time: now - jiff::SignedDuration::from_hours(24 * n),
                sealed,
                proven: false,
            })
            .collect()
    }

    fn now() -> Timestamp {
        "2026-11-21T23:10:00Z".parse().unwrap()
    }

    fn kept(runs: &[Saved], rules: &Retention) -> Vec<String> {
        let gone = to_forget(runs, rules, now());
        runs.iter().map(|run| run.name.clone()).filter(|name| !gone.contains(name)).collect()
    }

    #[test]
    fn without_rules_nothing_is_forgotten() {
        assert_eq!(kept(&nights(50, true), &Retention::none()).len(), 50);
    }

    #[test]
    fn each_rule_keeps_the_newest_of_its_kind() {
        let runs = nights(400, true);
        let none = || Retention { min: 1, ..Retention::none() };
        assert_eq!(kept(&runs, &Retention { last: Some(5), ..none() }).len(), 5);
        assert_eq!(kept(&runs, &Retention { daily: Some(7), ..none() }).len(), 7);
        assert_eq!(kept(&runs, &Retention { weekly: Some(4), ..none() }), ["s0", "s6", "s13", "s20"]);
        assert_eq!(kept(&runs, &Retention { monthly: Some(3), ..none() }), ["s0", "s21", "s52"]);
        let days = Span { days: 30, ..Span::default() };
        assert_eq!(kept(&runs, &Retention { within: Some(days), ..none() }).len(), 31);
    }

    #[test]
    fn a_rule_that_is_not_filled_keeps_the_oldest_run() {
        let runs = nights(400, true);
        let yearly = |count| kept(&runs, &Retention { yearly: Some(count), min: 1, ..Retention::none() });
        assert_eq!(yearly(2), ["s0", "s325"]);
        assert_eq!(yearly(3), ["s0", "s325", "s399"]);
    }

    #[test]
    fn a_time_before_all_calendars_keeps_everything() {
        let within = Some(Span { years: 9_999, months: 120_000, days: 3_650_000, hours: 87_600_000 });
        assert_eq!(kept(&nights(50, true), &Retention { within, min: 1, ..Retention::none() }).len(), 50);
    }

    #[test]
    fn the_floor_of_sealed_runs_stands_above_every_rule() {
        let mut runs = nights(10, true);
        for run in &mut runs {
            run.time -= jiff::SignedDuration::from_hours(24 * 1000);
        }
        let rules = Retention { within: Some(Span { days: 30, ..Span::default() }), min: 3, ..Retention::none() };
        assert_eq!(kept(&runs, &rules), ["s0", "s1", "s2"]);
    }

    #[test]
    fn unsealed_dumps_take_no_place_and_wait_for_sealed_ones() {
        let rules = Retention { last: Some(2), min: 3, ..Retention::none() };
        assert_eq!(kept(&nights(10, false), &rules).len(), 10, "nothing sealed yet: nothing goes");
        let mut runs = nights(10, false);
        runs.extend(nights(3, true));
        assert_eq!(kept(&runs, &rules).iter().filter(|name| name.starts_with('s')).count(), 3);
    }

    #[test]
    fn the_newest_proven_run_stays_until_a_newer_one_is_proven() {
        let rules = Retention { last: Some(2), min: 1, ..Retention::none() };
        let mut runs = nights(10, true);
        (runs[5].proven, runs[8].proven) = (true, true);
        assert_eq!(kept(&runs, &rules), ["s0", "s1", "s5"], "beyond every rule, and the newest alone");
        runs[1].proven = true;
        assert_eq!(kept(&runs, &rules), ["s0", "s1"]);
        let mut unsealed = nights(10, false);
        unsealed[9].proven = true;
        unsealed.extend(nights(3, true));
        assert!(!kept(&unsealed, &rules).contains(&"u9".to_owned()), "what has no seal cannot have been proven");
    }
}
