//! `bkp forget`: retention by hand. `backup` applies the same after success.

use std::collections::BTreeMap;

use anyhow::Result;

use super::backup::retain::{Saved as Kept, to_forget};
use super::catalog::{self, Saved};
use super::repositories::{Place, Repositories};
use super::{Context, now, store_failure};
use crate::exit::Exit;
use crate::report;
use crate::repository::bucket::layout;
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
    let app = &settings.app;
    let whole = |one: &&Saved| one.sealed_for(app) && one.is_complete();
    let sealed: Vec<Kept> = saved.iter().filter(whole).map(|one| seen(one, true)).collect();

    let mut gone: Vec<&Saved> = Vec::new();
    for series in series(&saved, app) {
        let runs: Vec<Kept> =
            sealed.iter().cloned().chain(series.iter().filter(|one| !whole(one)).map(|one| seen(one, false))).collect();
        let names = to_forget(&runs, &settings.retention, now());
        gone.extend(
            series.iter().filter(|one| names.contains(&one.name) && !(run.is_some() && one.run.as_deref() == run)),
        );
    }
    gone.sort_by(|a, b| catalog::age(a.time, &a.name).cmp(&catalog::age(b.time, &b.name)));
    gone.dedup_by(|a, b| a.name == b.name);
    if !dry_run {
        delete(repositories, &gone).await?;
    }
    Ok(gone.into_iter().map(|one| one.name.clone()).collect())
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
