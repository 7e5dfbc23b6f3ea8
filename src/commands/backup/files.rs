//! Saving directories: a snapshot for each, rooted there, so that it restores straight into a target.

use std::path::Path;
use std::pin::pin;
use std::time::Instant;

use anyhow::{Context as _, Result};
use tokio::task::{block_in_place, spawn_blocking};

use super::parts::{Common, Kept, no_place};
use crate::commands::catalog::{Snapshot, snapshots};
use crate::commands::pausing;
use crate::commands::repositories::ResticPlaces;
use crate::repository::restic::{self, Parent, Tree};
use crate::settings::{Files, Settings};
use crate::sources::Item;
use crate::sources::files::{choice, socket};

/// A directory that is saved, and what of it could not be read.
pub struct Saved {
    /// Its snapshot.
    pub kept: Kept,
    /// What is missing in it, and why.
    pub unreadable: Vec<String>,
}

/// The snapshot that tells restic which files have not changed: the newest of the same directory, whatever host it came from.
fn last<'a>(known: &'a [Snapshot], common: &Common, item: &Item) -> Option<&'a Snapshot> {
    known
        .iter()
        .filter(|snapshot| snapshot.item == *item && snapshot.file.is_none())
        // Another application's directory of the same name has other files: with it, all of ours would be read each time.
        .filter(|snapshot| snapshot.app.as_ref().is_none_or(|its| *its == common.app))
        .max_by_key(|snapshot| snapshot.time)
}

/// Saves one directory. `known` are the snapshots of its repository, once somebody has listed them.
pub async fn save(
    settings: &Settings,
    options: &Files,
    places: &ResticPlaces,
    common: &Common,
    known: &mut Option<Vec<restic::Snapshot>>,
    root: &Path,
) -> Result<Saved> {
    let (item, began) = (Item::Files(root.to_owned()), Instant::now());
    let (place, repository) = places.for_item(&item).ok_or_else(|| no_place(&item))?;
    // The path that the kernel tells, by which restic matches what is left out.
    let root = &root.canonicalize().with_context(|| format!("looking at {}", root.display()))?;
    let includes = match options.include.as_slice() {
        [] => None,
        patterns => Some(choice::included(root, patterns)?),
    };
    let excludes = choice::exclude_patterns(root, &options.exclude, &pausing::config(settings)?.own_files());
    let tree = Tree { includes, excludes, ..Tree::default() };
    // While restic reads the same directories, and says nothing of sockets.
    let (looked_in, includes, excluded) = (root.clone(), tree.includes.clone(), options.exclude.clone());
    let looking = spawn_blocking(move || socket::sockets(&looked_in, includes.as_deref(), &excluded));
    let from = |parent| common.saving(places, &item, parent);
    let ours = |listed: &[restic::Snapshot]| {
        let known = snapshots::of_place(listed, place, settings);
        let last = last(&known, common, &item)?;
        // Whoever watches expects as much as then; it is no matter who said so first.
        let _ = last.bytes.map(|bytes| tree.expected.set(bytes));
        Some(last.id.clone())
    };
    let saving = async {
        // With a list of what to include, restic has other paths, and by itself finds no snapshot of them.
        if known.is_none() && tree.includes.is_some() {
            *known = Some(repository.snapshots().await?);
        }
        if let Some(listed) = known {
            return repository.save_tree(&from(ours(listed).into()), root, &tree).await;
        }
        // restic chooses by itself while we ask what it should choose; where it chose otherwise, it begins anew.
        let own = from(Parent::Chosen);
        let mut begun = Box::pin(repository.save_tree(&own, root, &tree));
        let mut listing = pin!(repository.snapshots());
        let listed = tokio::select! {
            saved = &mut begun => {
                *known = listing.await.ok();
                return saved;
            }
            listed = &mut listing => listed?,
        };
        let (chosen, ours) = (restic::own_choice(&listed, &places.host, root).map(|own| own.id.clone()), ours(&listed));
        *known = Some(listed);
        if chosen == ours {
            return begun.await;
        }
        block_in_place(|| drop(begun));
        // A restic that is asked to end just when it locks leaves the lock, and to every other pod that is somebody's.
        if repository.may_be_locked()
            && let Err(error) = repository.clear_dead_locks().await
        {
            tracing::debug!("a lock of our own may stay: {error:#}");
        }
        repository.save_tree(&from(ours.into()), root, &tree).await
    };
    let saved = saving.await.with_context(|| format!("saving {item}"))?;
    let mut unreadable: Vec<String> =
        saved.unread.iter().map(|unread| format!("{}: {}", unread.path, unread.why)).collect();
    let sockets = looking.await.context("looking for sockets")?;
    unreadable.extend(sockets.iter().map(|path| {
        format!("{}: a socket, which nothing can save; BKP_FILES_EXCLUDE leaves it out unsaid", path.display())
    }));
    for what in &unreadable {
        tracing::warn!("not saved: {what}");
    }
    let snapshot = saved.snapshot;
    let (bytes, files) = snapshot.summary.map_or((0, 0), |summary| (summary.bytes, summary.files));
    let added_bytes = snapshot.added_bytes();
    let kept = Kept { item, snapshot: snapshot.id, bytes, files, added_bytes, rows: None };
    kept.say(began.elapsed());
    Ok(Saved { kept, unreadable })
}
