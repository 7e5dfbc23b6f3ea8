//! Saving directories: a snapshot for each, rooted there, so that it restores straight into a target.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context as _, Result};
use tokio::task::block_in_place;

use super::parts::{Common, Kept, no_place};
use crate::commands::catalog::Snapshot;
use crate::commands::pausing;
use crate::commands::repositories::ResticPlaces;
use crate::repository::restic::{Tree, TreeAhead};
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
pub fn parent(known: &[Snapshot], common: &Common, item: &Item) -> Option<String> {
    known
        .iter()
        .filter(|snapshot| snapshot.item == *item && snapshot.file.is_none())
        // Another application's directory of the same name has other files: with it, all of ours would be read each time.
        .filter(|snapshot| snapshot.app.as_ref().is_none_or(|its| *its == common.app))
        .max_by_key(|snapshot| snapshot.time)
        .map(|snapshot| snapshot.id.clone())
}

fn excludes(settings: &Settings, options: &Files, root: &Path) -> Result<Vec<OsString>> {
    Ok(choice::exclude_patterns(root, &options.exclude, &pausing::config(settings)?.own_files()))
}

/// Starts restic for one directory, which waits; not where only some of it is saved, which is looked up when it is saved.
///
/// # Errors
/// When restic cannot be started.
pub async fn ahead(
    settings: &Settings,
    places: &ResticPlaces,
    common: &Common,
    root: &Path,
) -> Result<Option<TreeAhead>> {
    let item = Item::Files(root.to_owned());
    let (Some(options), Some((_, repository))) = (&settings.files, places.for_item(&item)) else { return Ok(None) };
    if !options.include.is_empty() {
        return Ok(None);
    }
    let root = &root.canonicalize().with_context(|| format!("looking at {}", root.display()))?;
    let tree = Tree { includes: None, excludes: excludes(settings, options, root)? };
    Ok(Some(repository.tree_ahead(&common.saving(places, &item, None), root, &tree).await?))
}

/// Saves one directory; `ahead` is its restic, when that waits already. `known` are the snapshots that are there.
pub async fn save(
    settings: &Settings,
    options: &Files,
    places: &ResticPlaces,
    common: &Common,
    (ahead, known): (Option<TreeAhead>, &[Snapshot]),
    root: &Path,
) -> Result<Saved> {
    let item = Item::Files(root.to_owned());
    let (_, repository) = places.for_item(&item).ok_or_else(|| no_place(&item))?;
    // The path that the kernel tells, by which restic matches what is left out.
    let root = &root.canonicalize().with_context(|| format!("looking at {}", root.display()))?;
    let includes = match options.include.as_slice() {
        [] => None,
        patterns => Some(choice::included(root, patterns)?),
    };
    let tree = Tree { includes, excludes: excludes(settings, options, root)? };
    let saving = || async {
        if let Some(ahead) = ahead
            && let Some(saved) = ahead.save().await?
        {
            return Ok(saved);
        }
        repository.save_tree(&common.saving(places, &item, parent(known, common, &item)), root, &tree).await
    };
    let saved = saving().await.with_context(|| format!("saving {item}"))?;
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
