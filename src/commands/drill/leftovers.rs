//! What dead drills left: databases and roles, both with a journal in their comment, so that nobody's own are ever taken for them.
//!
//! A drill holds a lock of its own, not the application's: it goes on beside backups. Whoever holds the drill's lock knows that no
//! drill of the application lives.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::commands::restore::leftovers::drop_database;
use crate::error::exit_of;
use crate::exit::Exit;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::lock;
use crate::sources::postgres::server::{self, Database, ident};
use crate::sources::postgres::side::{self, Journal, State};

/// The name whose lock a drill holds. No application's name has a `/`.
pub fn lock_name(app: &str) -> String {
    format!("{app}/drill")
}

/// Drops what dead drills left, unless one lives. For runs that are no drill. Gives how many things could not be dropped.
///
/// # Errors
/// When the server cannot be asked.
pub async fn clear_dead(session: &Session, app: &str, dry_run: bool) -> Result<usize> {
    if found(session, app).await?.is_empty() || server::in_recovery(session).await? {
        return Ok(0);
    }
    let name = lock_name(app);
    match lock::acquire(session, &name, Duration::ZERO).await {
        Err(error) if exit_of(&error) == Exit::Locked => return Ok(0),
        taken => taken?,
    }
    let cleared = clear(session, app, dry_run).await;
    lock::release(session, &name).await;
    cleared
}

/// Drops what dead drills of the application left. The caller holds the drill's lock. Gives how many things could not be dropped.
///
/// # Errors
/// When the server cannot be asked. What cannot be dropped is only warned of.
pub async fn clear(session: &Session, app: &str, dry_run: bool) -> Result<usize> {
    let mut refused = 0;
    let found = found(session, app).await?;
    let things =
        found.databases.iter().map(|name| ("database", name)).chain(found.roles.iter().map(|name| ("role", name)));
    for (kind, name) in things {
        if dry_run {
            tracing::info!("{kind} {name} is left from a dead drill; a run would drop it");
            continue;
        }
        let dropped = match kind {
            "database" => drop_database(session, name).await,
            _ => session.batch_execute(&format!("DROP ROLE IF EXISTS {}", ident(name))).await.map_err(Into::into),
        };
        match dropped {
            Ok(()) => tracing::warn!("dropped {kind} {name}, which a drill left behind when it died"),
            Err(error) => {
                refused += 1;
                tracing::warn!("{kind} {name} is left from a dead drill and cannot be dropped: {error:#}");
            }
        }
    }
    Ok(refused)
}

#[derive(Default)]
struct Found {
    databases: Vec<String>,
    roles: Vec<String>,
}

impl Found {
    fn is_empty(&self) -> bool {
        self.databases.is_empty() && self.roles.is_empty()
    }
}

async fn found(session: &Session, app: &str) -> Result<Found> {
    let mut found = Found::default();
    for database in server::databases(session).await? {
        if is_left(session, &database, app).await? {
            found.databases.push(database.name);
        }
    }
    // A role that somebody has let log in since is somebody's.
    let rows = session
        .query(
            "SELECT pg_catalog.textsend(rolname::text), pg_catalog.textsend(pg_catalog.shobj_description(oid, 'pg_authid'))
             FROM pg_catalog.pg_roles WHERE NOT rolcanlogin AND pg_catalog.shobj_description(oid, 'pg_authid') LIKE 'bkp {%'",
            &[],
        )
        .await
        .context("looking for roles of dead drills")?;
    for row in rows {
        let journal = Journal::parse(&server::text(row.get(1)));
        if journal.is_some_and(|journal| journal.state == State::Drill && journal.app == app) {
            found.roles.push(server::text(row.get(0)));
        }
    }
    Ok(found)
}

async fn is_left(session: &Session, database: &Database, app: &str) -> Result<bool> {
    let Some(run) = side::drill_in_name(&database.name) else { return Ok(false) };
    match database.journal() {
        Some(journal) => Ok(journal.state == State::Drill && journal.app == app),
        // Died between CREATE DATABASE and its comment; or another application's drill is just there, whose session bears its name.
        None if database.comment.is_none() => {
            let row = session
                .query_one(
                    "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datname = $1 OR pg_catalog.strpos(application_name, $2) > 0",
                    &[&database.name, &run],
                )
                .await
                .context("looking for the drill of a database")?;
            Ok(row.get::<_, i64>(0) == 0)
        }
        None => Ok(false),
    }
}
