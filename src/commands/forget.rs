//! `bkp forget`: retention by hand. `backup` applies the same after success.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use jiff::Timestamp;

use super::backup::retain::{Saved as Kept, to_forget};
use super::catalog::{self, Kind, Saved};
use super::repositories::{Place, Repositories};
use super::{Context, now, store_failure};
use crate::exit::Exit;
use crate::report;
use crate::repository::bucket::layout;
use crate::settings::Retention;
use crate::sources::Item;

/// Forgets what no rule keeps.
///
/// # Errors
/// When a repository cannot be listed, or something cannot be deleted.
pub async fn forget(context: &Context, dry_run: bool) -> Result<Exit> {
    if context.settings.retention.keeps_everything() {
        tracing::warn!("no retention is set, so nothing is ever forgotten; set for example BKP_KEEP_DAILY=14");
    }
    let repositories = context.stop.or(Repositories::open(context)).await?;
    let forgotten = context.stop.or(apply(context, &repositories, None, dry_run)).await?;
    let verb = if dry_run { "would be forgotten" } else { "forgotten" };
    for name in &forgotten {
        tracing::info!("{name} {verb}");
    }
    tracing::info!("{} backups {verb}", forgotten.len());
    if context.json {
        report::json(&serde_json::json!({"command": "forget", "dry_run": dry_run, "forgotten": forgotten}))?;
    }
    Ok(Exit::Done)
}

/// Decides and deletes, oldest first; returns the names. `run` is the one that has just saved: with a clock that jumped back it
/// looks older than those before it, and stays all the same.
///
/// # Errors
/// When a dump's seal cannot be read (nothing is deleted on a guess), or something cannot be deleted.
pub async fn apply(
    context: &Context,
    repositories: &Repositories,
    run: Option<&str>,
    dry_run: bool,
) -> Result<Vec<String>> {
    let settings = &context.settings;
    if settings.retention.keeps_everything() {
        return Ok(Vec::new());
    }
    let saved = catalog::saved(repositories, settings, None).await?;
    if let Some(unreadable) = saved.iter().find_map(Saved::unreadable) {
        return Err(anyhow::Error::from(unreadable).context("nothing was forgotten"));
    }
    let mut gone = decided(&saved, &settings.app, Kind::only_one(settings), &settings.retention, now());
    gone.retain(|one| run.is_none() || one.run.as_deref() != run);
    gone.sort_by(|a, b| catalog::age(a.time, &a.name).cmp(&catalog::age(b.time, &b.name)));
    gone.dedup_by(|a, b| a.name == b.name);
    if !dry_run {
        delete(repositories, &gone).await?;
    }
    Ok(gone.into_iter().map(|one| one.name.clone()).collect())
}

/// What no rule keeps. Files and databases may be saved by runs of their own, and each has its own floor: however many runs save
/// the one, the last ones of the other stay. `kind` is the only one that the settings speak of; runs without it are none of ours.
fn decided<'a>(saved: &'a [Saved], app: &str, kind: Option<Kind>, rules: &Retention, now: Timestamp) -> Vec<&'a Saved> {
    let whole = |one: &Saved| one.sealed_for(app) && one.is_complete();
    let mut gone = Vec::new();
    for series in series(saved, app) {
        let mut kept: BTreeSet<&str> = BTreeSet::new();
        for kind in Kind::ALL {
            let sealed = saved.iter().filter(|one| whole(one) && one.holds(kind)).map(|one| seen(one, true));
            let others = series.iter().filter(|one| !whole(one) && one.holds(kind)).map(|one| seen(one, false));
            let names = to_forget(&sealed.chain(others).collect::<Vec<_>>(), rules, now);
            let stays = |one: &&&Saved| one.holds(kind) && !names.contains(&one.name);
            kept.extend(series.iter().filter(stays).map(|one| one.name.as_str()));
        }
        let ours = |one: &&Saved| kind.is_none_or(|kind| one.holds(kind));
        gone.extend(series.into_iter().filter(ours).filter(|one| !kept.contains(one.name.as_str())));
    }
    gone
}

fn seen(one: &Saved, sealed: bool) -> Kept {
    Kept { name: one.name.clone(), time: one.time, sealed }
}

/// What is decided on together: our runs and dumps without a seal; and of what older scripts saved, each kind of item by itself,
/// since a night of theirs is not one thing.
fn series<'a>(saved: &'a [Saved], app: &str) -> Vec<Vec<&'a Saved>> {
    let mut ours = Vec::new();
    let mut old: BTreeMap<&Item, Vec<&Saved>> = BTreeMap::new();
    // Another application's are its own business, and so are files with names that are not ours.
    for one in saved.iter().filter(|one| one.may_be_of(app)) {
        match (&one.run, &one.dump, one.snapshots.as_slice()) {
            (Some(_), ..) => ours.push(one),
            (None, Some(dump), _) if layout::time_of(&dump.name).is_some() => ours.push(one),
            (None, None, [snapshot]) => old.entry(&snapshot.item).or_default().push(one),
            _ => {}
        }
    }
    std::iter::once(ours).chain(old.into_values()).collect()
}

/// Deletes objects and snapshots, then gives back their space.
async fn delete(repositories: &Repositories, gone: &[&Saved]) -> Result<()> {
    if let Some(store) = &repositories.bucket {
        for dump in gone.iter().filter_map(|one| one.dump.as_ref()) {
            store.delete(&dump.name).await.map_err(store_failure)?;
        }
    }
    let Some(places) = &repositories.restic else { return Ok(()) };
    let mut ids: BTreeMap<Place, Vec<String>> = BTreeMap::new();
    for snapshot in gone.iter().flat_map(|one| &one.snapshots) {
        ids.entry(snapshot.place).or_default().push(snapshot.id.clone());
    }
    for (place, ids) in ids {
        if let Some(repository) = places.at(place) {
            repository.forget(&ids).await?;
            repository.prune().await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::catalog::{Snapshot, joined, tags::Tags};
    use crate::sources::Item;

    fn now() -> Timestamp {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    /// A run of one item, so many days ago.
    fn run(days: i64, item: &Item) -> Snapshot {
        let run = format!("run-{days}-{item}");
        let tags = Tags { run: run.clone(), app: "shop".into(), item: item.clone(), plan: vec![item.clone()] };
        Snapshot {
            id: run,
            time: now() - jiff::SignedDuration::from_hours(24 * days),
            host: "shop".into(),
            place: Place::All,
            item: item.clone(),
            file: None,
            app: Some("shop".into()),
            tags: Some(tags),
            bytes: None,
        }
    }

    fn gone(runs: Vec<Snapshot>, kind: Option<Kind>) -> Vec<String> {
        let week = crate::settings::Span { days: 7, ..Default::default() };
        let rules = Retention {
            last: None,
            hourly: None,
            daily: None,
            weekly: None,
            monthly: None,
            yearly: None,
            within: Some(week),
            min: 3,
        };
        let saved = joined(vec![], runs);
        let mut gone: Vec<String> =
            decided(&saved, "shop", kind, &rules, now()).iter().map(|one| one.name.clone()).collect();
        gone.sort();
        gone
    }

    #[test]
    fn runs_of_files_never_push_out_the_last_ones_of_databases() {
        let (files, database) = (Item::Files("/media/shop".into()), Item::Database("shop".into()));
        let runs = || {
            let nights = (8..13).map(|day| run(day, &database));
            (0..10).map(|day| run(day, &files)).chain(nights).collect::<Vec<_>>()
        };
        let files_gone = ["run-8-files /media/shop", "run-9-files /media/shop"];
        let databases_gone = ["run-11-database shop", "run-12-database shop"];
        assert_eq!(gone(runs(), Some(Kind::Files)), files_gone, "who saves files leaves the databases' runs alone");
        assert_eq!(gone(runs(), Some(Kind::Sql)), databases_gone);
        assert_eq!(gone(runs(), None), [databases_gone, files_gone].concat());
    }
}
