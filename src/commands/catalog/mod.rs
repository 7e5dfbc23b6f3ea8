//! What there is to restore: runs, newest first, each with what it saved and where that lies.

pub mod drilled;
pub mod dumps;
mod kinds;
pub mod proofs;
pub mod snapshots;
pub mod tags;

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::Timestamp;

use super::repositories::Repositories;
use super::when::of_the_future;
use crate::error::Failure;
use crate::repository::bucket::layout;
use crate::settings::Settings;
use crate::sources::Item;
pub use dumps::{Dump, Kept, SealState};
pub use kinds::Kinds;
pub use snapshots::Snapshot;

/// What one run saved; of other tools, one dump or one snapshot.
#[derive(Debug, Clone)]
pub struct Saved {
    /// What people call it: an object's name, a run's id, or a snapshot's short id.
    pub name: String,
    /// When it was taken.
    pub time: Timestamp,
    /// The run, when it was one of ours.
    pub run: Option<String>,
    /// Whose it is, when it says so.
    pub app: Option<String>,
    /// Its dump in the bucket.
    pub dump: Option<Dump>,
    /// Its snapshots in restic repositories, one an item.
    pub snapshots: Vec<Snapshot>,
    /// More snapshots of the same items: copies, and what an attempt left that was made anew.
    pub copies: Vec<Snapshot>,
    /// What the run set out to save, as far as it says so.
    pub plan: Vec<Item>,
    /// When a drill proved last that all of it restores.
    pub proven: Proven,
    /// What goes with it: the proofs of it that lie in restic repositories, whether they count or not.
    pub proofs: Vec<drilled::Proof>,
}

/// When drills proved a run, by the store that they read. One that lies in both is tried from one of them, which is proven then: the
/// other's copy of the databases is of the same dump, but nobody has read it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Proven {
    /// The dump in the bucket, with the files of its run.
    pub bucket: Option<Timestamp>,
    /// All of the run's snapshots in restic repositories.
    pub restic: Option<Timestamp>,
}

impl Proven {
    /// The last of them.
    pub fn newest(self) -> Option<Timestamp> {
        self.bucket.max(self.restic)
    }
}

impl Saved {
    /// Whether it is proven whole, part by part, and of this application.
    pub fn sealed_for(&self, app: &str) -> bool {
        self.run.is_some() && self.app.as_deref() == Some(app)
    }

    /// Whether a restore took it of what it was about to replace: nothing that anybody wants back without naming it.
    pub fn is_safety(&self) -> bool {
        let in_dump = self.dump.as_ref().and_then(Dump::summary).is_some_and(|seal| seal.safety);
        in_dump || self.snapshots.iter().any(|one| one.tags.as_ref().is_some_and(|tags| tags.safety))
    }

    /// Whether nothing says that it is of another application.
    pub fn may_be_of(&self, app: &str) -> bool {
        self.app.as_deref().is_none_or(|its| its == app)
    }

    /// What the run set out to save and did not.
    pub fn missing(&self) -> Vec<&Item> {
        let here = |item: &Item| self.snapshots.iter().any(|snapshot| snapshot.item == *item);
        self.plan.iter().filter(|item| !here(item)).collect()
    }

    /// Whether all that the run set out to save is here: in the bucket a dump has it all, because it is one object.
    pub fn is_complete(&self) -> bool {
        let in_dump = |item: &Item| self.dump.is_some() && !matches!(item, Item::Files(_));
        self.missing().into_iter().all(in_dump)
    }

    /// Why it cannot be read, when it cannot.
    pub fn unreadable(&self) -> Option<Failure> {
        self.dump.as_ref().filter(|_| self.snapshots.is_empty()).and_then(Dump::unreadable)
    }
}

/// Lists everything that there is to restore, newest first. `host` keeps only the snapshots of that host.
///
/// # Errors
/// When a repository cannot be listed.
pub async fn saved(repositories: &Repositories, settings: &Settings, host: Option<&str>) -> Result<Vec<Saved>> {
    Ok(with_stale(repositories, settings, host).await?.0)
}

/// Warns when the newest of the application's backups, or the one that was `chosen`, says a time that has not come yet: it may not be the
/// newest at all.
pub fn warn_of_future(saved: &[Saved], chosen: Option<(&str, Timestamp)>, app: &str, now: Timestamp) {
    let newest = saved.iter().find(|one| one.may_be_of(app)).map(|one| (one.name.as_str(), one.time));
    let other = chosen.filter(|(name, _)| newest.is_none_or(|(newest, _)| newest != *name));
    for told in newest.into_iter().chain(other).filter_map(|(name, time)| of_the_future(name, time, now)) {
        tracing::warn!("{told}; see: bkp list");
    }
}

/// As [`saved`], and the proofs that nobody needs any more.
///
/// # Errors
/// When a repository cannot be listed.
pub async fn with_stale(
    repositories: &Repositories,
    settings: &Settings,
    host: Option<&str>,
) -> Result<(Vec<Saved>, Vec<drilled::Proof>)> {
    let dumps = match &repositories.bucket {
        Some(store) => dumps::dumps(store).await?,
        None => Vec::new(),
    };
    let (mut snapshots, proven) = match &repositories.restic {
        Some(places) => snapshots::listed(places, settings).await?,
        None => Default::default(),
    };
    let stale = drilled::stale(&proven, &snapshots);
    snapshots.retain(|snapshot| host.is_none_or(|host| snapshot.host == host));
    let mut all = joined(dumps, snapshots);
    drilled::mark(&mut all, proven);
    if let Some(store) = &repositories.bucket {
        proofs::mark(&mut all, &proofs::all(store).await?);
    }
    if repositories.restic.is_none() {
        // A dump's files cannot be seen from here, which does not make it less of a dump.
        all.iter_mut().for_each(|one| one.plan.clear());
    }
    Ok((all, stale))
}

/// Puts together what one run saved; newest first.
pub fn joined(dumps: Vec<Dump>, snapshots: Vec<Snapshot>) -> Vec<Saved> {
    let mut all: Vec<Saved> = Vec::new();
    let mut runs: BTreeMap<(String, String), usize> = BTreeMap::new();
    for dump in dumps {
        let (run, app) = (dump.summary().map(|seal| seal.run.clone()), dump.summary().map(|seal| seal.app.clone()));
        if let (Some(run), Some(app)) = (&run, &app) {
            // A copy of an object under another name is the same run once more, and stays an entry of its own.
            runs.entry((run.clone(), app.clone())).or_insert(all.len());
        }
        let (name, time) = (dump.name.clone(), dump.time);
        let plan = dump.summary().iter().flat_map(|seal| &seal.files).cloned().map(Item::Files).collect();
        all.push(Saved {
            name,
            time,
            run,
            app,
            dump: Some(dump),
            plan,
            snapshots: Vec::new(),
            copies: Vec::new(),
            proven: Proven::default(),
            proofs: Vec::new(),
        });
    }
    for snapshot in snapshots {
        let Some(tags) = snapshot.tags.clone() else {
            let (name, time, app) = (snapshot.short().to_owned(), snapshot.time, snapshot.app.clone());
            let (snapshots, copies, plan) = (vec![snapshot], Vec::new(), Vec::new());
            let (proven, proofs) = Default::default();
            all.push(Saved { name, time, run: None, app, dump: None, snapshots, copies, plan, proven, proofs });
            continue;
        };
        let at = *runs.entry((tags.run.clone(), tags.app.clone())).or_insert_with(|| {
            let (name, run, app) = (tags.run.clone(), Some(tags.run.clone()), Some(tags.app.clone()));
            let (snapshots, copies, plan) = (Vec::new(), Vec::new(), Vec::new());
            let (time, (proven, proofs)) = (snapshot.time, Default::default());
            all.push(Saved { name, time, run, app, dump: None, snapshots, copies, plan, proven, proofs });
            all.len() - 1
        });
        let saved = &mut all[at];
        if saved.dump.is_none() {
            saved.time = saved.time.min(snapshot.time);
        }
        saved.plan = tags.plan;
        saved.snapshots.push(snapshot);
    }
    for saved in &mut all {
        // The newest counts: a copy by `restic copy` or `rewrite` holds the same, and an attempt that was made anew holds what goes
        // with the other items.
        let mut snapshots = std::mem::take(&mut saved.snapshots);
        snapshots.sort_by(|a, b| (&a.item, b.time).cmp(&(&b.item, a.time)));
        for snapshot in snapshots {
            let is_copy = saved.snapshots.last().is_some_and(|newest| newest.item == snapshot.item);
            if is_copy { &mut saved.copies } else { &mut saved.snapshots }.push(snapshot);
        }
    }
    all.sort_by(|a, b| age(b.time, &b.name).cmp(&age(a.time, &a.name)));
    all
}

/// By what backups are put in order, oldest first. Dumps of one second are numbered.
pub fn age(time: Timestamp, name: &str) -> (Timestamp, u32, &str) {
    (time, layout::taken(name), name)
}
