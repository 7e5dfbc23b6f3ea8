//! Which backup is meant: exactly one, or an error that names candidates. Pure.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::commands::catalog::{Dump, Kind, Saved, SealState, Snapshot};
use crate::error::{Failure, exit_of};
use crate::sources::Item;

/// What is to be restored.
#[derive(Debug, Clone)]
pub struct Choice {
    /// What people call it.
    pub name: String,
    /// When it was taken.
    pub time: Timestamp,
    /// Whose it is, when it says so.
    pub app: Option<String>,
    /// The dump in the bucket, where nothing better holds the databases.
    pub dump: Option<Dump>,
    /// Snapshots, each of another item.
    pub snapshots: Vec<Snapshot>,
}

/// Chooses from `saved` (newest first) what `when` means at `now`: `latest`, an object's name, a run's or snapshot's id or the
/// beginning of one, a day (`2026-11-20`: its newest), a time in UTC (`2026-11-20 13:00`) or an age (`2h ago`): the newest at
/// or before. `instead` are ids of snapshots that take the place of the chosen ones of their items.
///
/// # Errors
/// When nothing or more than one fits, or the run lacks what it set out to save and `incomplete` does not allow that.
pub fn choose(saved: &[Saved], wish: &Wish<'_>, app: &str, now: Timestamp) -> Result<Choice> {
    let of_kind = |one: &&Saved| wish.kind.is_none_or(|kind| one.holds(kind));
    let fitting: Vec<Saved> = saved.iter().filter(of_kind).cloned().collect();
    let fitting = if fitting.is_empty() { saved } else { &fitting };
    let (meant, named) = meant(saved, fitting, wish.when.trim(), app, now)?;
    let missing: Vec<String> = meant.missing().into_iter().map(ToString::to_string).collect();
    if !meant.is_complete() && !wish.incomplete {
        bail!(
            Failure::new(format!("run {} is incomplete: it lacks {}", meant.name, missing.join(", ")))
                .hint("choose another run (bkp list), one item with --only, or take what is there with --incomplete")
        );
    }
    let mut snapshots = meant.snapshots.clone();
    if meant.run.is_none() && meant.dump.is_none() && !named {
        snapshots = newest_of_each_item(saved, meant.time, app);
    }
    for id in wish.instead {
        let other = snapshot(saved, id)?;
        snapshots.retain(|snapshot| snapshot.item != other.item);
        snapshots.push(other.clone());
    }
    let whole = |snapshot: &Snapshot| !matches!(snapshot.item, Item::Files(_));
    // Both hold the same databases: snapshots go first, because the files of the run lie beside them.
    let dump = meant.dump.clone().filter(|_| !snapshots.iter().any(whole) || !missing.is_empty());
    if dump.is_some() {
        snapshots.retain(|snapshot| !whole(snapshot));
    }
    Ok(Choice { name: meant.name.clone(), time: meant.time, app: meant.app.clone(), dump, snapshots })
}

/// What the operator said.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish<'a> {
    /// `latest` and so on.
    pub when: &'a str,
    /// Ids of snapshots that are taken for their items, whatever else is chosen.
    pub instead: &'a [String],
    /// Whether a run that lacks an item may be taken.
    pub incomplete: bool,
    /// What alone is wanted: a run without it is meant only when it is called by its name.
    pub kind: Option<Kind>,
}

/// The one of all that is meant, and whether it was called by its name; a time means one of the `fitting`.
fn meant<'a>(
    saved: &'a [Saved],
    fitting: &'a [Saved],
    when: &str,
    app: &str,
    now: Timestamp,
) -> Result<(&'a Saved, bool)> {
    if saved.is_empty() {
        bail!(
            Failure::new("there is no backup yet")
                .hint("check BKP_BUCKET and RESTIC_REPOSITORY; a backup is made by: bkp backup")
        );
    }
    if when == "latest" {
        return Ok((latest(fitting, app)?, false));
    }
    let is_called = |one: &&Saved| {
        one.name == when
            || one.dump.as_ref().is_some_and(|dump| dump.name == when || dump.name.rsplit('/').next() == Some(when))
    };
    if let Some(one) = saved.iter().find(is_called) {
        return Ok((one, true));
    }
    if let Some(day) = exactly::<Date>(when, 10) {
        let is_of_day = |one: &&Saved| one.time.to_zoned(TimeZone::UTC).date() == day;
        return match fitting.iter().filter(is_of_day).find(|one| usable(one, app)) {
            Some(one) => Ok((none_lost_between(fitting, one, |other| is_of_day(&other))?, false)),
            None => bail!(nothing(saved, when)),
        };
    }
    if let Some(time) = moment(when, now) {
        return match fitting.iter().find(|one| one.time <= time && usable(one, app)) {
            Some(one) => Ok((none_lost_between(fitting, one, |other| other.time <= time)?, false)),
            None => bail!(nothing(saved, when)),
        };
    }
    let begins = |id: &str| when.len() >= 4 && id.starts_with(when);
    let of_run: Vec<&Saved> = saved
        .iter()
        .filter(|one| {
            one.run.as_deref().is_some_and(begins) || one.snapshots.iter().any(|snapshot| begins(&snapshot.id))
        })
        .collect();
    match of_run.as_slice() {
        [one] => Ok((one, true)),
        [] => bail!(nothing(saved, when)),
        several => {
            let runs: Vec<&str> = several.iter().map(|one| one.run.as_deref().unwrap_or(&one.name)).take(5).collect();
            bail!(
                Failure::new(format!("{when} means several runs: {}", runs.join(", ")))
                    .hint("give more of the id, or the object's name")
            )
        }
    }
}

/// The newest whole run of the application; where there is none, the newest that another tool made.
fn latest<'a>(saved: &'a [Saved], app: &str) -> Result<&'a Saved> {
    if let Some(at) = saved.iter().position(|one| one.sealed_for(app) && one.is_complete()) {
        for newer in saved[..at].iter().filter(|one| one.may_be_of(app) && one.unreadable().is_none()) {
            match &newer.run {
                None => tracing::warn!("{} is newer, but has no seal; name it to restore it", newer.name),
                Some(run) => tracing::warn!("run {run} is newer, but incomplete; name it to restore it"),
            }
        }
        return none_lost_between(saved, &saved[at], |_| true);
    }
    if let Some(one) = saved.iter().find(|one| usable(one, app)) {
        return none_lost_between(saved, one, |_| true);
    }
    if let Some(incomplete) = saved.iter().find(|one| one.sealed_for(app)) {
        return Ok(incomplete);
    }
    match saved.iter().find_map(Saved::unreadable) {
        Some(unreadable) => bail!(unreadable),
        None => bail!(
            Failure::new(format!("there is no backup of application {app}"))
                .hint(format!("set BKP_APP to the application's name, one of: {}", apps(saved)))
        ),
    }
}

/// A newer dump that cannot be read may be the one that is meant: nobody gets older data without having said so.
fn none_lost_between<'a>(saved: &[Saved], chosen: &'a Saved, meant: impl Fn(&Saved) -> bool) -> Result<&'a Saved> {
    let newer = saved.iter().take_while(|one| one.name != chosen.name).filter(|one| meant(one));
    let Some(unreadable) = newer.filter_map(Saved::unreadable).next() else { return Ok(chosen) };
    let error = anyhow::Error::from(unreadable);
    bail!(
        Failure::new("the newest dump that fits cannot be used")
            .hint(format!("to restore the one before it all the same, name it: bkp restore {}", chosen.name))
            .exit(exit_of(&error))
            .because(error)
    )
}

/// Of what older scripts saved, one snapshot an item: the newest up to `until`, whatever host it came from.
fn newest_of_each_item(saved: &[Saved], until: Timestamp, app: &str) -> Vec<Snapshot> {
    let mut newest: BTreeMap<Item, Snapshot> = BTreeMap::new();
    let old = saved.iter().filter(|one| one.run.is_none() && one.may_be_of(app) && one.time <= until);
    for snapshot in old.flat_map(|one| &one.snapshots) {
        newest.entry(snapshot.item.clone()).or_insert_with(|| snapshot.clone());
    }
    newest.into_values().collect()
}

/// The one snapshot whose id begins like this.
fn snapshot<'a>(saved: &'a [Saved], id: &str) -> Result<&'a Snapshot> {
    let all = saved.iter().flat_map(|one| &one.snapshots);
    let found: Vec<&Snapshot> = all.filter(|snapshot| id.len() >= 4 && snapshot.id.starts_with(id)).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => bail!(Failure::new(format!("there is no snapshot {id}")).hint("see: bkp list")),
        _ => bail!(Failure::new(format!("{id} means several snapshots")).hint("give more of the id")),
    }
}

fn apps(saved: &[Saved]) -> String {
    let mut apps: Vec<&str> = saved.iter().filter_map(|one| one.app.as_deref()).collect();
    apps.sort_unstable();
    apps.dedup();
    apps.join(", ")
}

/// Whether it may be taken without having been named.
fn usable(one: &Saved, app: &str) -> bool {
    match &one.dump {
        Some(Dump { seal: SealState::Unreadable { .. }, .. }) if one.snapshots.is_empty() => false,
        _ if one.run.is_some() => one.sealed_for(app) && one.is_complete(),
        _ => one.may_be_of(app),
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

fn nothing(saved: &[Saved], when: &str) -> Failure {
    let names: Vec<&str> = saved.iter().take(5).map(|one| one.name.as_str()).collect();
    Failure::new(format!("no backup fits {when:?}; the newest are {}", names.join(", ")))
        .hint("a run id, an object's name, a day (2026-11-20), a time in UTC (2026-11-20 13:00), an age (2h ago) or latest; see: bkp list")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::catalog::joined;
    use crate::commands::catalog::tags::Tags;
    use crate::commands::repositories::Place;
    use crate::sources::postgres::seal::Seal;

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

    fn now() -> Timestamp {
        "2026-11-21T13:00:00Z".parse().unwrap()
    }

    fn chosen(when: &str) -> Option<String> {
        let wish = Wish { when, ..Wish::default() };
        choose(&joined(bucket(), vec![]), &wish, "shop", now()).ok().map(|choice| choice.dump.unwrap().name)
    }

    fn shop() -> Item {
        Item::Database("shop".into())
    }

    /// A snapshot of ours when a run is named, else one of an older script.
    fn snapshot(id: &str, time: &str, item: Item, run: Option<&str>) -> Snapshot {
        let plan = vec![Item::Roles, shop()];
        let tags = run.map(|run| Tags { run: run.into(), app: "shop".into(), item: item.clone(), plan });
        Snapshot {
            id: id.repeat(8),
            time: time.parse().unwrap(),
            host: format!("pod-{id}"),
            place: Place::All,
            item,
            file: Some("/stdin".into()),
            app: tags.as_ref().map(|tags| tags.app.clone()),
            tags,
            bytes: None,
        }
    }

    fn restic() -> Vec<Snapshot> {
        let (whole, half) = (Some("20261120T231000Z-bbbbbb"), Some("20261121T060000Z-eeeeee"));
        vec![
            snapshot("aa", "2026-11-18T23:10:00Z", Item::Roles, None),
            snapshot("ab", "2026-11-18T23:11:00Z", shop(), None),
            snapshot("ac", "2026-11-19T23:10:00Z", Item::Roles, None),
            snapshot("ad", "2026-11-20T23:10:00Z", Item::Roles, whole),
            snapshot("ae", "2026-11-20T23:11:00Z", shop(), whole),
            snapshot("af", "2026-11-21T06:00:00Z", Item::Roles, half),
        ]
    }

    fn ids(dumps: Vec<Dump>, snapshots: Vec<Snapshot>, wish: &Wish<'_>) -> Option<(bool, Vec<String>)> {
        let choice = choose(&joined(dumps, snapshots), wish, "shop", now()).ok()?;
        let mut ids: Vec<String> = choice.snapshots.iter().map(|snapshot| snapshot.id[..2].to_owned()).collect();
        ids.sort();
        Some((choice.dump.is_some(), ids))
    }

    fn found(when: &str) -> Option<Vec<String>> {
        ids(vec![], restic(), &Wish { when, ..Wish::default() }).map(|(_, ids)| ids)
    }

    #[test]
    fn latest_is_the_newest_run_that_lacks_nothing() {
        assert_eq!(found("latest").unwrap(), ["ad", "ae"]);
        assert_eq!(found("20261121T060000Z-eeeeee"), None);
        let wish = Wish { when: "20261121T060000Z-eeeeee", incomplete: true, ..Wish::default() };
        assert_eq!(ids(vec![], restic(), &wish).unwrap().1, ["af"]);
    }

    #[test]
    fn latest_is_the_newest_run_that_has_what_is_wanted() {
        let files = || Item::Files("/media/shop".into());
        let mut snapshots = restic();
        let mut hourly = snapshot("bc", "2026-11-21T12:00:00Z", files(), Some("20261121T120000Z-ffffff"));
        hourly.tags.iter_mut().for_each(|tags| tags.plan = vec![files()]);
        snapshots.push(hourly);
        for (kind, when, expected) in [
            (None, "latest", vec!["bc"]),
            (Some(Kind::Files), "latest", vec!["bc"]),
            (Some(Kind::Sql), "latest", vec!["ad", "ae"]),
            (Some(Kind::Sql), "1h ago", vec!["ad", "ae"]),
            (Some(Kind::Sql), "20261121T120000Z-ffffff", vec!["bc"]),
        ] {
            let wish = Wish { when, kind, ..Wish::default() };
            assert_eq!(ids(vec![], snapshots.clone(), &wish).unwrap().1, expected, "{kind:?} {when}");
        }
    }

    #[test]
    fn of_older_scripts_the_newest_of_each_item_is_taken_whatever_pod_it_came_from() {
        assert_eq!(found("2026-11-20 00:00").unwrap(), ["ab", "ac"]);
        assert_eq!(found("2026-11-19 00:00").unwrap(), ["aa", "ab"]);
        assert_eq!(found("abab").unwrap(), ["ab"], "a snapshot that is named stands alone");
    }

    #[test]
    fn a_snapshot_takes_the_place_of_the_chosen_one_of_its_item() {
        let instead = ["aaaaaaaa".to_owned()];
        let wish = Wish { when: "latest", instead: &instead, ..Wish::default() };
        assert_eq!(ids(vec![], restic(), &wish).unwrap().1, ["aa", "ae"]);
        let wish = Wish { instead: &["ffff".to_owned()], ..wish };
        assert_eq!(ids(vec![], restic(), &wish), None);
    }

    #[test]
    fn a_run_that_lies_in_both_is_one_and_the_dump_stands_in_for_what_restic_lacks() {
        let dumps = || vec![dump("x", "2026-11-21T06:00:00Z", Some(("20261121T060000Z-eeeeee", "shop")))];
        let latest = Wish { when: "latest", ..Wish::default() };
        assert_eq!(ids(dumps(), restic(), &latest).unwrap(), (true, vec![]));
        let mut both = restic();
        both.push(snapshot("ba", "2026-11-21T06:01:00Z", shop(), Some("20261121T060000Z-eeeeee")));
        assert_eq!(ids(dumps(), both, &latest).unwrap(), (false, vec!["af".into(), "ba".into()]));
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
