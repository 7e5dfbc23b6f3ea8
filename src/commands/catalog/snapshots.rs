//! What restic repositories hold of an application: its snapshots, by us and by the scripts that were there before us.

use std::path::{Path, PathBuf};

use anyhow::Result;
use futures::future::try_join_all;
use jiff::Timestamp;

use super::drilled::{self, Proof};
use super::tags::{PROOF, Tags};
use crate::commands::repositories::{Place, ResticPlaces};
use crate::repository::restic;
use crate::settings::{Databases, Settings};
use crate::sources::Item;

/// One snapshot, and what it holds.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// restic's id.
    pub id: String,
    /// When it was taken.
    pub time: Timestamp,
    /// The host that it was saved under.
    pub host: String,
    /// The repository that it is in.
    pub place: Place,
    /// What it holds.
    pub item: Item,
    /// The file with SQL in it; none for a tree.
    pub file: Option<String>,
    /// What its tags say, when they are ours.
    pub tags: Option<Tags>,
    /// Whose it is, as far as it tells. Nobody's may be restored, and is never forgotten.
    pub app: Option<String>,
    /// What was read to make it, in bytes.
    pub bytes: Option<u64>,
    /// How many files that were, of a tree.
    pub files: Option<u64>,
}

impl Snapshot {
    /// As people type it.
    pub fn short(&self) -> &str {
        &self.id[..self.id.len().min(8)]
    }
}

/// Lists the snapshots of all repositories, in no order.
///
/// # Errors
/// When a repository cannot be opened or listed.
pub async fn snapshots(places: &ResticPlaces, settings: &Settings) -> Result<Vec<Snapshot>> {
    Ok(listed(places, settings).await?.0)
}

/// Lists the snapshots of all repositories, in no order, and what drills have proven there.
///
/// # Errors
/// When a repository cannot be opened or listed.
pub async fn listed(places: &ResticPlaces, settings: &Settings) -> Result<(Vec<Snapshot>, Vec<Proof>)> {
    let each = places
        .each()
        .map(|(place, repository)| async move { anyhow::Ok((place, places.list(place, repository).await?)) });
    let (mut snapshots, mut proofs) = (Vec::new(), Vec::new());
    for (place, listed) in try_join_all(each).await? {
        proofs.extend(listed.iter().filter_map(|snapshot| drilled::read(snapshot, place)));
        snapshots.extend(listed.into_iter().filter_map(|snapshot| recognised(snapshot, place, settings)));
    }
    Ok((snapshots, proofs))
}

/// What bkp can restore of a list of a repository.
pub fn of_place(listed: &[restic::Snapshot], place: Place, settings: &Settings) -> Vec<Snapshot> {
    listed.iter().cloned().filter_map(|snapshot| recognised(snapshot, place, settings)).collect()
}

/// Tells what a snapshot is. Nothing for what bkp cannot restore.
fn recognised(snapshot: restic::Snapshot, place: Place, settings: &Settings) -> Option<Snapshot> {
    let tags = Tags::read(&snapshot.tags);
    let is_proof = snapshot.tags.iter().any(|tag| tag == PROOF) || drilled::is_proof(&snapshot.tags);
    // A backup stays one, whatever somebody adds to its tags.
    if tags.is_none() && is_proof {
        return None;
    }
    let path = snapshot.paths.first()?;
    let (item, file) = match &tags {
        Some(Tags { item: Item::Files(root), .. }) => (Item::Files(root.clone()), None),
        Some(tags) => (tags.item.clone(), Some(path.clone())),
        None => by_name(path, place, settings),
    };
    let app = match &tags {
        Some(tags) => Some(tags.app.clone()),
        // A base with one repository for each kind is one application's alone, whatever its pods were called.
        None if place != Place::All || is_our_host(&snapshot.host, settings) => Some(settings.app.clone()),
        // Our directory, saved by whoever: another host may have one of that name, and this repository too.
        None if is_our_root(&item, settings) => None,
        None => Some(snapshot.host.clone()),
    };
    Some(Snapshot {
        id: snapshot.id,
        time: snapshot.time,
        host: snapshot.host,
        place,
        item,
        file,
        tags,
        app,
        bytes: snapshot.summary.map(|summary| summary.bytes),
        files: snapshot.summary.map(|summary| summary.files),
    })
}

/// The old names: `/stdin` by what the repository is for, `/postgres-NAME.sql.gz` for a whole cluster, anything else is a tree.
fn by_name(path: &str, place: Place, settings: &Settings) -> (Item, Option<String>) {
    let is_sql = [".sql", ".sql.gz"].iter().any(|end| path.ends_with(end)) && path.matches('/').count() == 1;
    let stream = path == "/stdin" || is_sql;
    let item = match place {
        Place::Roles if stream => Item::Roles,
        Place::Databases if stream => match settings.postgres.as_ref().map(|postgres| &postgres.databases) {
            Some(Databases::Named(names)) if names.len() == 1 => Item::Database(names[0].clone()),
            _ => Item::Dump,
        },
        _ if stream => Item::Dump,
        _ => Item::Files(root_of(Path::new(path), settings)),
    };
    (item, stream.then(|| path.to_owned()))
}

/// A tree that was saved as a part of one of our directories is that directory's.
fn root_of(path: &Path, settings: &Settings) -> PathBuf {
    let roots = settings.files.iter().flat_map(|files| &files.roots);
    roots.into_iter().find(|root| path.starts_with(root)).map_or_else(|| path.to_owned(), Clone::clone)
}

/// Older scripts on a machine of its own saved under that machine's name.
fn is_our_host(host: &str, settings: &Settings) -> bool {
    let named = settings.restic.as_ref().is_some_and(|restic| restic.host == host) || settings.app == host;
    named || rustix::system::uname().nodename().to_bytes() == host.as_bytes()
}

fn is_our_root(item: &Item, settings: &Settings) -> bool {
    let roots = settings.files.iter().flat_map(|files| &files.roots);
    matches!(item, Item::Files(path) if roots.into_iter().any(|root| root == path))
}
