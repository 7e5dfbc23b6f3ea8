//! Saving directories: a snapshot for each, rooted there, so that it restores straight into a target.

use std::path::Path;

use anyhow::{Context as _, Result};
use tokio::task::block_in_place;

use super::parts::{Common, Kept, no_place};
use crate::commands::catalog::Snapshot;
use crate::commands::pausing;
use crate::commands::repositories::ResticPlaces;
use crate::repository::restic::Tree;
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

/// Saves one directory. `known` are the snapshots that are there: the newest of the same directory tells restic which files have
/// not changed, whatever host it came from.
pub async fn save(
    settings: &Settings,
    options: &Files,
    places: &ResticPlaces,
    common: &Common,
    known: &[Snapshot],
    root: &Path,
) -> Result<Saved> {
    let item = Item::Files(root.to_owned());
    let (place, repository) = places.for_item(&item).ok_or_else(|| no_place(&item))?;
    // The path that the kernel tells, by which restic matches what is left out.
    let root = &root.canonicalize().with_context(|| format!("looking at {}", root.display()))?;
    let parent = known
        .iter()
        .filter(|snapshot| snapshot.item == item && snapshot.place == place && snapshot.file.is_none())
        // Another application's directory of the same name has other files: with it, all of ours would be read each time.
        .filter(|snapshot| snapshot.app.as_ref().is_none_or(|its| *its == common.app))
        .max_by_key(|snapshot| snapshot.time)
        .map(|snapshot| snapshot.id.clone());
    let includes = match options.include.as_slice() {
        [] => None,
        patterns => Some(choice::included(root, patterns)?),
    };
    let tree = Tree {
        includes,
        excludes: choice::exclude_patterns(root, &options.exclude, &pausing::config(settings)?.own_files()),
    };
    let saved = repository
        .save_tree(&common.saving(places, &item, parent), root, &tree)
        .await
        .with_context(|| format!("saving {item}"))?;
    let mut unreadable: Vec<String> =
        saved.unread.iter().map(|unread| format!("{}: {}", unread.path, unread.why)).collect();
    let sockets = block_in_place(|| socket::sockets(root, tree.includes.as_deref(), &options.exclude));
    unreadable.extend(sockets.iter().map(|path| {
        format!("{}: a socket, which nothing can save; BKP_FILES_EXCLUDE leaves it out unsaid", path.display())
    }));
    for what in &unreadable {
        tracing::warn!("not saved: {what}");
    }
    let snapshot = saved.snapshot;
    tracing::info!("saved {item} as snapshot {}", &snapshot.id[..snapshot.id.len().min(8)]);
    let bytes = snapshot.summary.map_or(0, |summary| summary.bytes);
    let added_bytes = snapshot.added_bytes();
    Ok(Saved { kept: Kept { item, snapshot: snapshot.id, bytes, added_bytes }, unreadable })
}
