//! Which dump is meant: exactly one, or an error that names candidates. Pure.

use anyhow::{Result, bail};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::commands::catalog::{Dump, SealState};
use crate::error::{Failure, exit_of};

/// Chooses from `dumps` (newest first) what `when` means at `now`: `latest`, an object's name, a run's id or the beginning of
/// one, a day (`2026-11-20`: its newest dump), a time in UTC (`2026-11-20 13:00`) or an age (`2h ago`): the newest at or before.
///
/// # Errors
/// When nothing or more than one fits.
pub fn choose<'a>(dumps: &'a [Dump], when: &str, app: &str, now: Timestamp) -> Result<&'a Dump> {
    let when = when.trim();
    if dumps.is_empty() {
        bail!(Failure::new("the bucket holds no dumps").hint("check BKP_BUCKET; a backup is made by: bkp backup"));
    }
    if when == "latest" {
        return latest(dumps, app);
    }
    if let Some(dump) = dumps.iter().find(|dump| dump.name == when || dump.name.rsplit('/').next() == Some(when)) {
        return Ok(dump);
    }
    if let Some(day) = exactly::<Date>(when, 10) {
        let of_day: Vec<&Dump> =
            dumps.iter().filter(|dump| dump.time.to_zoned(TimeZone::UTC).date() == day && usable(dump, app)).collect();
        return match of_day.first() {
            Some(dump) => none_lost_between(dumps, dump, |other| other.time.to_zoned(TimeZone::UTC).date() == day),
            None => bail!(nothing(dumps, when)),
        };
    }
    if let Some(time) = moment(when, now) {
        return match dumps.iter().find(|dump| dump.time <= time && usable(dump, app)) {
            Some(dump) => none_lost_between(dumps, dump, |other| other.time <= time),
            None => bail!(nothing(dumps, when)),
        };
    }
    let of_run: Vec<&Dump> = dumps
        .iter()
        .filter(|dump| when.len() >= 4 && dump.seal().is_some_and(|seal| seal.run.starts_with(when)))
        .collect();
    match of_run.as_slice() {
        [dump] => Ok(dump),
        [] => bail!(nothing(dumps, when)),
        several => {
            let runs: Vec<&str> =
                several.iter().filter_map(|dump| dump.seal()).map(|seal| seal.run.as_str()).take(5).collect();
            bail!(
                Failure::new(format!("{when} means several runs: {}", runs.join(", ")))
                    .hint("give more of the run's id, or the object's name")
            )
        }
    }
}

/// The newest sealed dump of the application; where there is none, the newest without a seal.
fn latest<'a>(dumps: &'a [Dump], app: &str) -> Result<&'a Dump> {
    if let Some(at) = dumps.iter().position(|dump| dump.sealed_for(app)) {
        if let Some(newer) = dumps[..at].iter().find(|dump| matches!(dump.seal, SealState::Unsealed)) {
            tracing::warn!("{} is newer, but has no seal; name it to restore it", newer.name);
        }
        return none_lost_between(dumps, &dumps[at], |_| true);
    }
    match dumps.iter().find(|dump| matches!(dump.seal, SealState::Unsealed)) {
        Some(dump) => none_lost_between(dumps, dump, |_| true),
        None => match dumps.iter().find_map(Dump::unreadable) {
            Some(unreadable) => bail!(unreadable),
            None => bail!(
                Failure::new(format!("the bucket holds no dump of application {app}"))
                    .hint(format!("set BKP_APP to the application's name, one of: {}", apps(dumps)))
            ),
        },
    }
}

/// A newer dump that cannot be read may be the one that is meant: nobody gets older data without having said so.
fn none_lost_between<'a>(dumps: &[Dump], chosen: &'a Dump, meant: impl Fn(&Dump) -> bool) -> Result<&'a Dump> {
    let newer = dumps.iter().take_while(|dump| dump.name != chosen.name).filter(|dump| meant(dump));
    let Some(unreadable) = newer.filter_map(Dump::unreadable).next() else { return Ok(chosen) };
    let error = anyhow::Error::from(unreadable);
    bail!(
        Failure::new("the newest dump that fits cannot be used")
            .hint(format!("to restore the one before it all the same, name it: bkp restore {}", chosen.name))
            .exit(exit_of(&error))
            .because(error)
    )
}

fn apps(dumps: &[Dump]) -> String {
    let mut apps: Vec<&str> = dumps.iter().filter_map(|dump| dump.seal()).map(|seal| seal.app.as_str()).collect();
    apps.sort_unstable();
    apps.dedup();
    apps.join(", ")
}

fn usable(dump: &Dump, app: &str) -> bool {
    match &dump.seal {
        SealState::Sealed(seal) => seal.app == app,
        SealState::Unsealed => true,
        SealState::Unreadable { .. } => false,
    }
}

fn exactly<T: std::str::FromStr>(text: &str, length: usize) -> Option<T> {
    (text.len() == length).then(|| text.parse().ok()).flatten()
}

fn moment(when: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(age) = when.strip_suffix("ago") {
        let span: Span = age.trim().parse().ok()?;
        return now.to_zoned(TimeZone::UTC).checked_sub(span.abs()).ok().map(|zoned| zoned.timestamp());
    }
    if let Ok(time) = when.parse::<Timestamp>() {
        return Some(time);
    }
    // A run's id begins with digits too, but has no separators.
    let time: DateTime = when.contains(['-', ' ']).then(|| when.parse().ok()).flatten()?;
    time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

fn nothing(dumps: &[Dump], when: &str) -> Failure {
    let names: Vec<&str> = dumps.iter().take(5).map(|dump| dump.name.as_str()).collect();
    Failure::new(format!("no dump fits {when:?}; the newest are {}", names.join(", ")))
        .hint("a run id, an object's name, a day (2026-11-20), a time in UTC (2026-11-20 13:00), an age (2h ago) or latest; see: bkp list")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::postgres::seal::Seal;
    use std::collections::BTreeMap;

    fn dump(name: &str, time: &str, sealed: Option<(&str, &str)>) -> Dump {
        let seal = sealed.map_or(SealState::Unsealed, |(run, app)| {
            let seal = Seal {
                format: 1,
                run: run.into(),
                app: app.into(),
                server: String::new(),
                client: String::new(),
                databases: BTreeMap::new(),
                skipped: vec![],
                bytes: 0,
                digest: String::new(),
            };
            SealState::Sealed(Box::new(seal))
        });
        Dump { name: format!("db/{name}"), bytes: 1, time: time.parse().unwrap(), version: None, seal }
    }

    fn bucket() -> Vec<Dump> {
        vec![
            dump("e", "2026-11-21T12:00:00Z", None),
            dump("d", "2026-11-21T06:00:00Z", Some(("20261121T060000Z-aaaaaa", "shop"))),
            dump("c", "2026-11-20T23:10:00Z", Some(("20261120T231000Z-bbbbbb", "shop"))),
            dump("b", "2026-11-20T23:00:00Z", Some(("20261120T230000Z-cccccc", "other"))),
            dump("a", "2026-11-20T06:00:00Z", Some(("20261120T060000Z-dddddd", "shop"))),
        ]
    }

    fn chosen(when: &str) -> Option<String> {
        let now = "2026-11-21T13:00:00Z".parse().unwrap();
        choose(&bucket(), when, "shop", now).ok().map(|dump| dump.name.clone())
    }

    #[test]
    fn latest_is_the_newest_sealed_dump_of_this_application() {
        assert_eq!(chosen("latest").as_deref(), Some("db/d"));
    }

    #[test]
    fn names_runs_days_times_and_ages_choose_one() {
        for (when, name) in [
            ("db/a", "db/a"),
            ("a", "db/a"),
            ("20261120T231000Z-bbbbbb", "db/c"),
            ("20261120T2310", "db/c"),
            ("2026-11-20", "db/c"),
            ("2026-11-20 13:00", "db/a"),
            ("2026-11-21T05:00:00Z", "db/c"),
            ("2h ago", "db/d"),
            ("1d ago", "db/a"),
        ] {
            assert_eq!(chosen(when).as_deref(), Some(name), "{when}");
        }
    }

    #[test]
    fn what_fits_nothing_or_several_is_an_error() {
        for when in ["2026-11-19", "nonsense", "9d ago", "20261120", "2026-01-01 00:00", ""] {
            assert_eq!(chosen(when), None, "{when}");
        }
    }
}
