//! What dead runs left on the server, and replaced databases that are no longer needed.
//!
//! A restore that dies leaves either the old application with side databases beside it, or the new one: the swap is one
//! transaction. So giving back means dropping side databases, and nothing else. A side database is rubbish when its journal
//! names this application (whose lock we hold), or when it has no journal yet and no session of its run lives.

use anyhow::{Context, Result};

use crate::settings::KeepReplaced;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::seal::Seal;
use crate::sources::postgres::server::{self, Database, ident};
use crate::sources::postgres::side::{self, State};

/// Drops the side databases of dead runs of this application; only names them on a dry run or on a standby. The caller holds the lock.
///
/// # Errors
/// When the server cannot be asked. A database that cannot be dropped is only warned of.
pub async fn clear(session: &Session, app: &str, dry_run: bool) -> Result<()> {
    let read_only = server::in_recovery(session).await?;
    for database in server::databases(session).await? {
        if !is_rubbish(session, &database, app).await? {
            continue;
        }
        if read_only {
            tracing::warn!(
                "database {} is left from a dead run; a standby cannot drop it, the next run on its primary does",
                database.name
            );
            continue;
        }
        if dry_run {
            tracing::info!("database {} is left from a dead run; a run would drop it", database.name);
            continue;
        }
        match drop_database(session, &database.name).await {
            Ok(()) => tracing::warn!(
                "dropped {}, which a restore left behind when it died; the live data was not touched by it",
                database.name
            ),
            Err(error) => {
                tracing::warn!("database {} is left from a dead run and cannot be dropped: {error:#}", database.name)
            }
        }
    }
    Ok(())
}

async fn is_rubbish(session: &Session, database: &Database, app: &str) -> Result<bool> {
    let Some(run) = side::run_in_name(&database.name) else { return Ok(false) };
    match database.journal() {
        Some(journal) => Ok(journal.state == State::Loading && journal.app == app),
        // Died between CREATE DATABASE and its comment. Somebody's own comment would mean that it is somebody's own database.
        None if database.comment.is_none() => {
            let row = session
                .query_one("SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datname = $1 OR pg_catalog.strpos(application_name, $2) > 0", &[&database.name, &run])
                .await
                .context("looking for the run of a side database")?;
            Ok(row.get::<_, i64>(0) == 0)
        }
        None => Ok(false),
    }
}

/// Drops a database of ours, ending whoever is in it.
///
/// # Errors
/// When the server refuses.
pub async fn drop_database(session: &Session, name: &str) -> Result<()> {
    // A restored template database is a template already while it is loaded.
    let _ = session.batch_execute(&format!("ALTER DATABASE {} IS_TEMPLATE false", ident(name))).await;
    session
        .batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", ident(name)))
        .await
        .with_context(|| format!("dropping {name}"))
}

/// When a run began, as its id says it: to the second, in an order that text has too.
fn time(run: &str) -> &str {
    run.split('-').next().unwrap_or(run)
}

/// Drops what restores put aside, once a sealed backup of its successor exists: only what the seal itself names, since a
/// database may have gone while the others were dumped.
///
/// # Errors
/// When one cannot be dropped; the others are.
pub async fn drop_replaced(session: &Session, saved: &Seal, keep: &KeepReplaced) -> Result<()> {
    if *keep == KeepReplaced::Always {
        return Ok(());
    }
    let (mut failed, read_only) = (Ok(()), server::in_recovery(session).await?);
    for database in server::databases(session).await? {
        let Some(journal) = database.journal() else { continue };
        // Run ids begin with their time: a copy that was put aside while the backup ran is not of a database that it holds.
        let succeeded = saved.databases.contains_key(&journal.database) && time(&journal.run) <= time(&saved.run);
        if journal.state != State::Replaced || journal.app != saved.app || !succeeded {
            continue;
        }
        if read_only {
            tracing::info!("{} stays: a standby cannot drop it, the next backup of its primary does", database.name);
            continue;
        }
        match drop_database(session, &database.name).await {
            Ok(()) => tracing::info!("dropped {}: {} is saved since it was replaced", database.name, journal.database),
            Err(error) => failed = Err(error),
        }
    }
    failed
}
