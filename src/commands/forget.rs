//! `bkp forget`: retention by hand. `backup` applies the same after success.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use super::backup::retain::{Saved as Kept, to_forget};
use super::catalog::{self, Dump, Kinds, Saved, drilled};
use super::held::Held;
use super::repositories::{Place, Repositories};
use super::{Context, now, shrink, store_failure};
use crate::exit::Exit;
use crate::report;
use crate::repository::bucket::layout;
use crate::repository::bucket::store::Store;
use crate::settings::Retention;
use crate::sources::Item;

/// Forgets what no rule keeps.
///
/// # Errors
/// When a repository cannot be listed, another run of the application is alive (exit code 11), or something cannot be deleted.
pub async fn forget(context: &Context, dry_run: bool) -> Result<Exit> {
    if context.settings.retention.keeps_everything() {
        tracing::warn!("no retention is set, so nothing is ever forgotten; set for example BKP_KEEP_DAILY=14");
    }
    let run = context.begin()?;
    let repositories = context.stop.or(Repositories::open(context)).await?;
    // A backup counts on what it sees, and a restore reads it twice: neither goes on beside this.
    let held = match dry_run {
        true => None,
        false => Some(context.stop.or(Held::take_without_server(context, &run.session_name("forget"))).await?),
    };
    let forgotten = context.stop.or(apply(context, &repositories, None, dry_run)).await;
    if let Some(held) = held {
        held.release(&context.settings.app).await;
    }
    let forgotten = forgotten?;
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
    let (saved, stale) = catalog::with_stale(repositories, settings, None).await?;
    if let Some(unreadable) = saved.iter().find_map(Saved::unreadable) {
        return Err(anyhow::Error::from(unreadable).context("nothing was forgotten"));
    }
    let suspects = shrink::suspects(&saved, settings);
    let mut gone = to_go(&saved, (&settings.app, &suspects), &settings.retention, now(), run);
    // A unit that saves files alone has no say in how long databases stay.
    gone.retain(|one| Kinds::set(settings).meets(one.meant()));
    if !dry_run {
        delete(repositories, &gone).await?;
        let gone_with = |proof: &drilled::Proof| gone.iter().any(|run| run.proofs.contains(proof));
        let ours = |proof: &&drilled::Proof| proof.says.app == settings.app;
        sweep(repositories, stale.iter().filter(ours).filter(|proof| !gone_with(proof))).await;
    }
    Ok(gone.into_iter().map(|one| one.name.clone()).collect())
}

/// What goes, oldest first.
fn to_go<'a>(
    saved: &'a [Saved],
    (app, suspects): (&str, &BTreeSet<String>),
    rules: &Retention,
    now: Timestamp,
    run: Option<&str>,
) -> Vec<&'a Saved> {
    // For one that lost most of its data nothing is forgotten.
    let is_small = |one: &Saved| one.run.as_ref().is_some_and(|run| suspects.contains(run));
    let whole = |one: &Saved| one.sealed_for(app) && one.is_complete() && !one.is_safety() && !is_small(one);
    let mut gone: Vec<&Saved> = safety_to_go(saved, app, rules, whole);
    for Series { members, beside } in series(saved, app) {
        let sealed = saved.iter().filter(|one| whole(one) && beside.allows(one.meant()));
        let runs: Vec<Kept> = sealed
            .map(|one| seen(one, true))
            .chain(members.iter().filter(|one| !whole(one)).map(|one| seen(one, false)))
            .collect();
        let names = to_forget(&runs, rules, now);
        gone.extend(
            members.iter().filter(|one| names.contains(&one.name) && !(run.is_some() && one.run.as_deref() == run)),
        );
    }
    gone.sort_by(|a, b| catalog::age(a.time, &a.name).cmp(&catalog::age(b.time, &b.name)));
    gone.dedup_by(|a, b| a.name == b.name);
    gone
}

/// What restores saved of what they replaced takes no place in any rule: it holds what nobody wanted to keep. It stays until as
/// many whole runs of the same kinds are newer as the floor asks for.
fn safety_to_go<'a>(
    saved: &'a [Saved],
    app: &str,
    rules: &Retention,
    whole: impl Fn(&Saved) -> bool,
) -> Vec<&'a Saved> {
    if rules.keeps_everything() {
        return Vec::new();
    }
    let is_enough = |safety: &Saved| {
        let newer =
            saved.iter().filter(|one| whole(one) && one.time > safety.time && one.meant().cover(safety.meant()));
        newer.count() >= rules.min.max(1) as usize
    };
    saved.iter().filter(|one| one.is_safety() && one.sealed_for(app) && is_enough(one)).collect()
}

fn seen(one: &Saved, sealed: bool) -> Kept {
    Kept { name: one.name.clone(), time: one.time, sealed, proven: one.proven.newest().is_some() }
}

/// What is decided on together.
struct Series<'a> {
    members: Vec<&'a Saved>,
    beside: Beside,
}

/// Beside which of our whole runs it is decided.
enum Beside {
    /// Those that saved just these kinds.
    Like(Kinds),
    /// Those that saved at least these.
    Above(Kinds),
}

impl Beside {
    fn allows(&self, kinds: Kinds) -> bool {
        match self {
            Beside::Like(these) => kinds == *these,
            Beside::Above(these) => kinds.cover(*these),
        }
    }
}

/// Our runs of one kind: files that are saved every hour must not stand in for databases that are saved every night. Dumps without
/// a seal. And of what older scripts saved, each kind of item by itself, since a night of theirs is not one thing.
fn series<'a>(saved: &'a [Saved], app: &str) -> Vec<Series<'a>> {
    let mut ours: BTreeMap<Kinds, Vec<&Saved>> = BTreeMap::new();
    let mut old: BTreeMap<&Item, Vec<&Saved>> = BTreeMap::new();
    // Another application's are its own business, and so are files with names that are not ours.
    for one in saved.iter().filter(|one| one.may_be_of(app) && !one.is_safety()) {
        match (&one.run, &one.dump, one.snapshots.as_slice()) {
            (Some(_), ..) => ours.entry(one.meant()).or_default().push(one),
            (None, Some(dump), _) if layout::time_of(&dump.name).is_some() => {
                old.entry(&Item::Dump).or_default().push(one);
            }
            // What only looks like ours is not ours to delete.
            (None, None, [snapshot]) if one.app.is_some() => old.entry(&snapshot.item).or_default().push(one),
            _ => {}
        }
    }
    let ours = ours.into_iter().map(|(kinds, members)| Series { members, beside: Beside::Like(kinds) });
    let old = old.into_iter().map(|(item, members)| Series { members, beside: Beside::Above(Kinds::of([item])) });
    ours.chain(old).collect()
}

/// Deletes objects and snapshots, then gives back their space.
async fn delete(repositories: &Repositories, gone: &[&Saved]) -> Result<()> {
    if let Some(store) = &repositories.bucket {
        // The oldest first, and a few at once: a store that is far away is asked many times when years are forgotten.
        let deletions = gone.iter().filter_map(|one| Some(delete_dump(store, one, one.dump.as_ref()?)));
        stream::iter(deletions).buffered(store.at_once()).try_collect::<()>().await?;
    }
    let Some(places) = &repositories.restic else { return Ok(()) };
    let mut ids: BTreeMap<Place, Vec<String>> = BTreeMap::new();
    for snapshot in gone.iter().flat_map(|one| one.snapshots.iter().chain(&one.copies)) {
        ids.entry(snapshot.place).or_default().push(snapshot.id.clone());
    }
    for proof in gone.iter().flat_map(|one| &one.proofs) {
        ids.entry(proof.place).or_default().push(proof.id.clone());
    }
    for (place, ids) in ids {
        if let Some(repository) = places.at(place) {
            repository.forget(&ids).await?;
            repository.prune().await?;
        }
    }
    Ok(())
}

/// Deletes an object, and its proof after it: a proof of nothing is ignored, a dump whose proof is gone could be forgotten.
async fn delete_dump(store: &Store, one: &Saved, dump: &Dump) -> Result<()> {
    store.delete(&dump.name).await.map_err(store_failure)?;
    if let (Some(_), Some(run)) = (one.proven.bucket, &one.run) {
        let proof = catalog::proofs::object_name(&dump.name, run);
        store.delete(&proof).await.map_err(store_failure)?;
    }
    Ok(())
}

/// Removes proofs of runs that somebody else removed, and replaced ones. They are in nobody's way: what cannot be removed is only said.
async fn sweep(repositories: &Repositories, stale: impl Iterator<Item = &drilled::Proof>) {
    let Some(places) = &repositories.restic else { return };
    if let Err(error) = drilled::remove(places, stale).await {
        tracing::warn!("proofs that nobody needs any more stay: {error:#}");
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use jiff::SignedDuration;

    use super::*;
    use crate::commands::catalog::tags::Tags;
    use crate::commands::catalog::{Snapshot, joined};
    use crate::settings::Span;

    fn now() -> Timestamp {
        "2026-11-21T23:10:00Z".parse().unwrap()
    }

    /// A snapshot of so many hours ago: of a run of ours, or of an older script.
    fn snapshot(hours: i64, item: Item, by_us: bool) -> Snapshot {
        let run = format!("{item}-{hours}");
        let tags = by_us.then(|| Tags {
            run: run.clone(),
            app: "demo".into(),
            item: item.clone(),
            plan: vec![item.clone()],
            safety: false,
            guarded: false,
        });
        Snapshot {
            id: format!("{run}-{by_us}"),
            time: now() - SignedDuration::from_hours(hours),
            host: "demo".into(),
            place: Place::All,
            item,
            file: None,
            app: Some("demo".into()),
            tags,
            bytes: None,
            files: None,
        }
    }

    fn files() -> Item {
        Item::Files(PathBuf::from("/media/demo"))
    }

    fn database() -> Item {
        Item::Database("demo".into())
    }

    fn left(snapshots: Vec<Snapshot>) -> Vec<(Item, i64)> {
        let rules = Retention { within: Some(Span { days: 7, ..Span::default() }), ..Retention::none() };
        let saved = joined(vec![], snapshots);
        let gone: Vec<&str> = to_go(&saved, ("demo", &BTreeSet::new()), &rules, now(), None)
            .into_iter()
            .map(|one| one.name.as_str())
            .collect();
        let left = saved.iter().filter(|one| !gone.contains(&one.name.as_str()));
        left.map(|one| (one.snapshots[0].item.clone(), now().duration_since(one.time).as_hours())).collect()
    }

    #[test]
    fn files_of_every_hour_do_not_stand_in_for_databases_that_stopped_being_saved() {
        let mut all: Vec<Snapshot> = (0..400).map(|hours| snapshot(hours, files(), true)).collect();
        all.extend((20..60).map(|days| snapshot(24 * days + 1, database(), true)));
        let left = left(all);
        let databases: Vec<i64> =
            left.iter().filter(|(item, _)| *item == database()).map(|(_, hours)| *hours).collect();
        assert_eq!(databases, [481, 505, 529], "the floor is each kind's own");
        assert_eq!(left.len() - databases.len(), 169);
    }

    #[test]
    fn what_older_scripts_saved_waits_for_enough_sealed_runs_of_its_kind() {
        let old = |item: Item| (10..20).map(move |days| snapshot(24 * days, item.clone(), false));
        let with =
            |item: Item| (0..3).map(|hours| snapshot(hours, item.clone(), true)).chain(old(database())).collect();
        assert_eq!(left(with(files())).len(), 13);
        assert_eq!(left(with(database())).len(), 3);
    }

    #[test]
    fn what_another_host_saved_of_a_directory_of_that_name_is_not_ours_to_forget() {
        let mut all: Vec<Snapshot> = (0..3).map(|hours| snapshot(hours, files(), true)).collect();
        for mut theirs in (10..20).map(|days| snapshot(24 * days, files(), false)) {
            (theirs.host, theirs.app) = ("other".into(), None);
            all.push(theirs);
        }
        assert_eq!(left(all).len(), 13);
    }
}
