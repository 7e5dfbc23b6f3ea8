//! Which backup is meant: exactly one, or an error that names candidates. Pure.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::shrunk::{self, IfShrunk};
use crate::commands::catalog::{Dump, Kinds, Saved, SealState, Snapshot};
use crate::commands::shrink::Shrunk;
use crate::commands::when::{day, moment};
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
    /// What of it is much smaller than before, in words.
    pub shrunk: Vec<String>,
}

/// Chooses from `saved` (newest first) what `when` means at `now`: `latest`, an object's name, a run's or snapshot's id or the
/// beginning of one, a day (`2026-11-20`: its newest), a time in UTC (`2026-11-20 13:00`) or an age (`2h ago`): the newest at
/// or before. `instead` are ids of snapshots that take the place of the chosen ones of their items.
///
/// # Errors
/// When nothing or more than one fits, when the run lacks what it set out to save and `incomplete` does not allow that, and when it is
/// much smaller than before and nobody named it.
pub fn choose(saved: &[Saved], wish: &Wish<'_>, app: &str, now: Timestamp) -> Result<Choice> {
    let (meant, named) = meant(saved, wish, app, now)?;
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
    let mut by_id: Vec<&Snapshot> = Vec::new();
    for id in wish.instead {
        let other = snapshot(saved, id)?;
        if let Some(its) = other.app.as_deref().filter(|its| *its != app && !wish.other_app) {
            bail!(
                Failure::new(format!("snapshot {id} is of application {its}, not of {app}"))
                    .hint("choose another one (bkp list), or take it over with --allow-other-app")
            );
        }
        snapshots.retain(|snapshot| !stands_for(&other.item, &snapshot.item));
        snapshots.push(other.clone());
        by_id.push(other);
    }
    let whole = |snapshot: &Snapshot| !matches!(snapshot.item, Item::Files(_));
    // Both hold the same databases: snapshots go first, because the files of the run lie beside them.
    let dump = meant.dump.clone().filter(|_| !snapshots.iter().any(whole) || !missing.is_empty());
    if dump.is_some() {
        snapshots.retain(|snapshot| !whole(snapshot));
    }
    let is_by_id = |snapshot: &Snapshot| by_id.iter().any(|one| one.id == snapshot.id);
    let is_used = dump.is_some() || snapshots.iter().any(|snapshot| !is_by_id(snapshot));
    if is_used && !named && wish.if_shrunk == IfShrunk::Refuse {
        shrunk::refuse(saved, meant, wish, |one| usable(one, wish.kinds, app))?;
    }
    let of_ids = by_id.iter().filter_map(|one| one.tags.as_ref()).map(|tags| &tags.run);
    let runs: BTreeSet<&String> = meant.run.iter().filter(|_| is_used).chain(of_ids).collect();
    let shrunk = runs.into_iter().filter_map(|run| wish.shrunk.get(run)).flatten().cloned().collect();
    Ok(Choice { name: meant.name.clone(), time: meant.time, app: meant.app.clone(), dump, snapshots, shrunk })
}

/// What the operator said.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// `latest` and so on.
    pub when: &'a str,
    /// Ids of snapshots that are taken for their items, whatever else is chosen.
    pub instead: &'a [String],
    /// Whether a run that lacks an item may be taken.
    pub incomplete: bool,
    /// Whether another application's snapshots may be taken.
    pub other_app: bool,
    /// What is to be restored: a backup without any of it is taken only when it is called by its name.
    pub kinds: Kinds,
    /// The runs that are much smaller than before.
    pub shrunk: &'a Shrunk,
    /// What becomes of one of them that nobody called by its name.
    pub if_shrunk: IfShrunk,
}

/// The one that is meant, and whether it was called by its name.
fn meant<'a>(saved: &'a [Saved], wish: &Wish<'_>, app: &str, now: Timestamp) -> Result<(&'a Saved, bool)> {
    let when = wish.when.trim();
    if saved.is_empty() {
        bail!(
            Failure::new("there is no backup yet")
                .hint("check BKP_BUCKET and RESTIC_REPOSITORY; a backup is made by: bkp backup")
        );
    }
    if when == "latest" {
        return Ok((latest(saved, wish.kinds, app)?, false));
    }
    let is_called = |one: &&Saved| {
        one.name == when
            || one.dump.as_ref().is_some_and(|dump| dump.name == when || dump.name.rsplit('/').next() == Some(when))
    };
    if let Some(one) = saved.iter().find(is_called) {
        return Ok((one, true));
    }
    if let Some(day) = day(when) {
        let is_of_day = |one: &&Saved| one.time.to_zoned(TimeZone::UTC).date() == day;
        return match saved.iter().filter(is_of_day).find(|one| usable(one, wish.kinds, app)) {
            Some(one) => Ok((none_lost_between(saved, one, wish.kinds, |other| is_of_day(&other))?, false)),
            None => bail!(nothing(saved, when)),
        };
    }
    if let Some(time) = moment(when, now) {
        return match saved.iter().find(|one| one.time <= time && usable(one, wish.kinds, app)) {
            Some(one) => Ok((none_lost_between(saved, one, wish.kinds, |other| other.time <= time)?, false)),
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
fn latest<'a>(saved: &'a [Saved], kinds: Kinds, app: &str) -> Result<&'a Saved> {
    if let Some(at) = saved.iter().position(|one| one.sealed_for(app) && usable(one, kinds, app)) {
        let newer = saved[..at].iter().filter(|one| one.may_be_of(app) && one.kinds().meets(kinds) && !one.is_safety());
        for newer in newer.filter(|one| one.unreadable().is_none()) {
            match &newer.run {
                None => tracing::warn!("{} is newer, but has no seal; name it to restore it", newer.name),
                Some(run) => tracing::warn!("run {run} is newer, but incomplete; name it to restore it"),
            }
        }
        return none_lost_between(saved, &saved[at], kinds, |_| true);
    }
    if let Some(one) = saved.iter().find(|one| usable(one, kinds, app)) {
        return none_lost_between(saved, one, kinds, |_| true);
    }
    let sealed = |one: &&Saved| one.sealed_for(app) && one.kinds().meets(kinds) && !one.is_safety();
    if let Some(incomplete) = saved.iter().find(sealed) {
        return Ok(incomplete);
    }
    match saved.iter().find_map(Saved::unreadable) {
        Some(unreadable) => bail!(unreadable),
        None if saved.iter().any(|one| one.may_be_of(app)) => {
            let what = if kinds.files { "files" } else { "databases" };
            bail!(
                Failure::new(format!("there is no backup of {what} of application {app}"))
                    .hint("see what there is: bkp list")
            )
        }
        None => bail!(
            Failure::new(format!("there is no backup of application {app}"))
                .hint(format!("set BKP_APP to the application's name, one of: {}", apps(saved)))
        ),
    }
}

/// A newer dump that cannot be read may be the one that is meant: nobody gets older data without having said so.
fn none_lost_between<'a>(
    saved: &[Saved],
    chosen: &'a Saved,
    kinds: Kinds,
    meant: impl Fn(&Saved) -> bool,
) -> Result<&'a Saved> {
    let newer =
        saved.iter().take_while(|one| one.name != chosen.name).filter(|one| one.kinds().meets(kinds) && meant(one));
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

/// Whether one item, when it is asked for, leaves no place for the other: a whole dump has every database, and would be replayed beside it.
fn stands_for(one: &Item, other: &Item) -> bool {
    let is_whole = |a: &Item, b: &Item| *a == Item::Dump && matches!(b, Item::Database(_));
    one == other || is_whole(one, other) || is_whole(other, one)
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
fn usable(one: &Saved, kinds: Kinds, app: &str) -> bool {
    match &one.dump {
        _ if !one.kinds().meets(kinds) || one.is_safety() => false,
        Some(Dump { seal: SealState::Unreadable { .. }, .. }) if one.snapshots.is_empty() => false,
        _ if one.run.is_some() => one.sealed_for(app) && one.is_complete(),
        _ => one.may_be_of(app),
    }
}

fn nothing(saved: &[Saved], when: &str) -> Failure {
    let names: Vec<&str> = saved.iter().take(5).map(|one| one.name.as_str()).collect();
    Failure::new(format!("no backup fits {when:?}; the newest are {}", names.join(", ")))
        .hint("a run id, an object's name, a day (2026-11-20), a time in UTC (2026-11-20 13:00), an age (2h ago) or latest; see: bkp list")
}

#[cfg(test)]
mod tests;
