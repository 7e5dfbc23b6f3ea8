//! What of a chosen backup is restored: SQL that is replayed, and trees that are exchanged. Pure, but for an open store.

use anyhow::{Context as _, Result, bail};

use super::Request;
use super::choose::Choice;
use super::only::Only;
use super::reading::{Piece, Source, Stored};
use crate::commands::catalog::{Kinds, Snapshot};
use crate::commands::repositories::Repositories;
use crate::error::Failure;
use crate::settings::Settings;
use crate::sources::Item;

/// What a restore works on.
pub struct Sorted {
    /// Roles and databases.
    pub sql: Option<Stored>,
    /// Files.
    pub trees: Vec<Snapshot>,
}

/// Sorts. What the settings do not speak of is left out, and said.
///
/// # Errors
/// When nothing is left.
pub fn sort(repositories: &Repositories, settings: &Settings, choice: &Choice, request: &Request) -> Result<Sorted> {
    let wanted = kinds(settings, request);
    let (trees, sql): (Vec<Snapshot>, Vec<Snapshot>) =
        choice.snapshots.iter().cloned().partition(|snapshot| matches!(snapshot.item, Item::Files(_)));
    let trees = match (wanted.files, &settings.files) {
        (true, _) => trees,
        (false, Some(_)) => Vec::new(),
        (false, None) => {
            for tree in &trees {
                tracing::info!("snapshot {} of {} stays where it is: BKP_FILES is not set", tree.short(), tree.item);
            }
            Vec::new()
        }
    };
    let asked = Only::of(request)?;
    let sql = match asked.as_ref().filter(|_| wanted.databases) {
        Some(Only::Database(name)) => only(sql, name, &choice.name)?,
        Some(Only::Roles) => roles(sql),
        _ => sql,
    };
    let may_lack_databases = asked == Some(Only::Roles);
    let stored = if wanted.databases { stored(repositories, choice, sql, may_lack_databases)? } else { None };
    if stored.is_none() && trees.is_empty() {
        bail!(
            Failure::new(format!("{} holds nothing that could be restored here", choice.name))
                .hint("see what it holds: bkp list")
        );
    }
    Ok(Sorted { sql: stored, trees })
}

/// What is to be restored at all: what the settings speak of, less what the operator leaves out.
pub fn kinds(settings: &Settings, request: &Request) -> Kinds {
    let is_files = matches!(Only::of(request), Ok(Some(Only::Files)));
    let only_files = is_files || request.to.is_some() || request.path.is_some();
    let only_database =
        (request.only.is_some() && !only_files) || request.under.is_some() || !request.tables.is_empty();
    Kinds {
        files: !only_database && (settings.files.is_some() || request.to.is_some()),
        databases: !only_files && settings.postgres.is_some(),
    }
}

/// Of databases that lie each by itself, the wanted one and the roles: another one that is damaged must not keep it from coming
/// back, nor a large one from coming back soon.
fn only(mut sql: Vec<Snapshot>, name: &str, from: &str) -> Result<Vec<Snapshot>> {
    let database = |snapshot: &Snapshot| match &snapshot.item {
        Item::Database(name) => Some(name.clone()),
        _ => None,
    };
    let there: Vec<String> = sql.iter().filter_map(database).collect();
    if there.is_empty() {
        return Ok(sql);
    }
    if !there.iter().any(|one| one == name) {
        bail!(
            Failure::new(format!("{from} holds no database {name}; it holds {}", there.join(", ")))
                .hint("choose one of them with --only NAME, the files with --only files, or another backup: bkp list")
        );
    }
    sql.retain(|snapshot| snapshot.item == Item::Roles || database(snapshot).as_deref() == Some(name));
    Ok(sql)
}

/// The roles by themselves, else the one piece that has them too.
fn roles(mut sql: Vec<Snapshot>) -> Vec<Snapshot> {
    let best = if sql.iter().any(|snapshot| snapshot.item == Item::Roles) { Item::Roles } else { Item::Dump };
    sql.retain(|snapshot| snapshot.item == best);
    sql
}

fn stored(
    repositories: &Repositories,
    choice: &Choice,
    mut snapshots: Vec<Snapshot>,
    may_lack_databases: bool,
) -> Result<Option<Stored>> {
    if let (Some(dump), Some(store)) = (&choice.dump, &repositories.bucket) {
        return Ok(Some(Stored::of_dump(store, dump)));
    }
    if snapshots.iter().any(|snapshot| matches!(snapshot.item, Item::Database(_))) {
        // Both would be the same databases twice.
        snapshots.retain(|snapshot| snapshot.item != Item::Dump);
    }
    if !snapshots.iter().any(|snapshot| may_lack_databases || snapshot.item != Item::Roles) {
        return Ok(None);
    }
    // Roles come first: what is loaded belongs to them.
    snapshots.sort_by(|a, b| a.item.cmp(&b.item));
    let pieces = snapshots.into_iter().map(|snapshot| {
        let places = repositories.restic.as_ref().context("a snapshot without a repository")?;
        let repository = places.at(snapshot.place).context("the repository of a snapshot")?.clone();
        Ok(Piece {
            name: format!("snapshot {} ({})", snapshot.short(), snapshot.item),
            run: snapshot.tags.as_ref().map(|tags| tags.run.clone()),
            seal: None,
            // What we save says its database itself; `pg_dump` without --create does not.
            database: match (&snapshot.item, &snapshot.tags) {
                (Item::Database(name), None) => Some(name.clone()),
                _ => None,
            },
            place: Source::Snapshot(repository, snapshot.id.clone(), snapshot.file.clone().unwrap_or_default()),
            item: snapshot.item,
        })
    });
    Ok(Some(Stored { name: choice.name.clone(), pieces: pieces.collect::<Result<_>>()? }))
}
