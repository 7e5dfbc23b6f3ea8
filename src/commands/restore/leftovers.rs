//! What dead runs left on the server, and replaced databases that are no longer needed.
//!
//! A restore that dies leaves either the old application with side databases beside it, or the new one: the swap is one
//! transaction. So giving back means dropping side databases, and nothing else. A side database is rubbish when its journal
//! names this application (whose lock we hold), or when it has no journal yet and no session of its run lives. An undo that died is
//! concluded first, by [`super::back`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tokio::task::block_in_place;

use super::verdict::Verdicts;
use crate::commands::backup::{Saved, databases_of};
use crate::commands::held::Held;
use crate::commands::{Context, Run, drill, pausing};
use crate::settings::{KeepReplaced, Settings};
use crate::sources::Item;
use crate::sources::files::exchange::{self, Found, Recovered, Way, turn};
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::obstacles;
use crate::sources::postgres::server::{self, Database, ident, literal};
use crate::sources::postgres::side::{self, State};

/// What is there still of dead runs; each is told where it is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stays {
    /// Things that could not be removed, which the next start tries again.
    pub refused: usize,
    /// Things that are not removed: nobody knows what they are, or only a primary can.
    pub alone: usize,
}

/// Gives back what dead runs of this application left: the files of a restore whose databases never came, side databases,
/// staged trees, and the application itself when it was paused. The caller holds the locks. Gives what stays all the same.
///
/// # Errors
/// When the server cannot be asked, or the application cannot be resumed.
pub async fn give_back(context: &Context, held: &Held, dry_run: bool) -> Result<Stays> {
    let mut stays = Stays::default();
    let settings = &context.settings;
    let roots = roots(settings);
    let mut verdicts = Verdicts::default();
    super::back::recover(held.session.as_ref(), &roots, dry_run).await?;
    let mut unfinished = BTreeSet::new();
    if let Some(session) = &held.session {
        unfinished = loading_runs(session, &settings.app, dry_run).await?;
        if !dry_run {
            unfinished.extend(super::in_place::unfinished(session, &roots).await?);
        }
    }
    // Before the side databases go: they are what tells that a restore did not come to its COMMIT.
    if !dry_run {
        unfinished.extend(block_in_place(|| half_exchanged(&roots))?);
        unfinished.iter().for_each(|run| verdicts.old(run));
        for root in &roots {
            block_in_place(|| recover(root, &unfinished, &mut verdicts, &mut stays))
                .with_context(|| format!("setting {} right", root.display()))?;
        }
    }
    if let Some(session) = &held.session {
        clear(session, &settings.app, dry_run, &mut stays).await?;
        stays.refused += drill::leftovers::clear_dead(session, &settings.app, dry_run).await?;
    }
    stays.refused += drill::files::clear_dead(settings, dry_run).await;
    for run in pausing::resume_left(context, dry_run).await? {
        verdicts.of_paused(&run, held.session.as_ref(), &roots).await?;
    }
    verdicts.say();
    Ok(stays)
}

/// The directories that are there, by their real paths.
pub fn roots(settings: &Settings) -> Vec<PathBuf> {
    let roots = settings.files.iter().flat_map(|files| &files.roots);
    roots.filter_map(|root| root.canonicalize().ok()).filter(|root| root.is_dir()).collect()
}

/// Runs that were loading databases when they died.
async fn loading_runs(session: &Session, app: &str, dry_run: bool) -> Result<BTreeSet<String>> {
    let runs = noted_runs(session, app).await?;
    if runs.is_empty() || dry_run {
        return Ok(runs);
    }
    // The server may not have noticed yet that they are dead, and still be at their COMMIT.
    for run in &runs {
        obstacles::end_sessions_named(session, &format!("bkp restore {run}")).await?;
    }
    noted_runs(session, app).await
}

async fn noted_runs(session: &Session, app: &str) -> Result<BTreeSet<String>> {
    // What a swap stood in tells nothing: it is dropped some time after the COMMIT.
    let sides = server::databases(session).await?.into_iter().filter(|database| !super::aside::is_one(&database.name));
    Ok(sides
        .filter_map(|database| database.journal())
        .filter(|journal| journal.state == State::Loading && journal.app == app)
        .map(|journal| journal.run)
        .collect())
}

/// Runs that died between two directories: one has the restored tree, the other has not.
fn half_exchanged(roots: &[PathBuf]) -> Result<BTreeSet<String>> {
    let (mut staged, mut begun) = (BTreeSet::new(), BTreeSet::new());
    for root in roots {
        for left in exchange::leftovers(root)? {
            match left.found {
                Found::Staged => staged.insert(left.run),
                Found::Halfway { .. } | Found::Replaced => begun.insert(left.run),
                _ => false,
            };
        }
    }
    Ok(staged.intersection(&begun).cloned().collect())
}

/// The root holds one whole tree afterwards: the old one when the run's databases are the old ones, else the new one.
fn recover(root: &Path, unfinished: &BTreeSet<String>, verdicts: &mut Verdicts, stays: &mut Stays) -> Result<()> {
    for left in exchange::leftovers(root)? {
        if !unfinished.contains(&left.run) {
            continue;
        }
        match left.found {
            Found::Halfway { .. } => {
                exchange::recover(root, Way::Back)?;
            }
            Found::Replaced => {
                exchange::undo(root, Some(&left.run))?;
            }
            _ => continue,
        }
        exchange::drop_taken_back(root, &left.run)?;
        tracing::warn!(
            "{}: brought back what run {} had replaced, because it died before it had replaced all",
            root.display(),
            left.run
        );
    }
    for (run, done) in exchange::recover(root, Way::AsBegun)? {
        let what = match done {
            Recovered::Stays => {
                stays.refused += 1;
                continue;
            }
            Recovered::Unknown => {
                stays.alone += 1;
                continue;
            }
            Recovered::Removed => "removed what it had staged; nothing live had been touched",
            Recovered::Finished => "carried its exchange to the end: the restored files are live",
            Recovered::GivenBack => "took its exchange back: the old files are live",
        };
        verdicts.of_files(&run, done);
        tracing::warn!("{}: run {run} died here; {what}", root.display());
    }
    Ok(())
}

/// Drops the side databases of dead runs of this application; only names them on a dry run. The caller holds the lock.
///
/// # Errors
/// When the server cannot be asked. A database that cannot be dropped is only warned of.
async fn clear(session: &Session, app: &str, dry_run: bool, stays: &mut Stays) -> Result<()> {
    let read_only = server::in_recovery(session).await?;
    for database in server::databases(session).await? {
        if !is_rubbish(session, &database, app).await? {
            continue;
        }
        if read_only {
            stays.alone += 1;
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
            Ok(()) => {
                tracing::warn!("dropped {}, which a restore had made for itself and left when it died", database.name)
            }
            Err(error) => {
                stays.refused += 1;
                tracing::warn!("database {} is left from a dead run and cannot be dropped: {error:#}", database.name);
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
    // A restored template database is a template already while it is loaded. No other is altered: one whose dropping was broken off may only
    // be dropped, and whoever alters it loses the session.
    let templates =
        format!("SELECT datname FROM pg_catalog.pg_database WHERE datistemplate AND datname = {}", literal(name));
    if !session.query(&templates, &[]).await.with_context(|| format!("looking at {name}"))?.is_empty() {
        let _ = session.batch_execute(&format!("ALTER DATABASE {} IS_TEMPLATE false", ident(name))).await;
    }
    if side::is_ours(name) {
        let loaded = side::run_in_name(name).or_else(|| side::drill_in_name(name)).is_some();
        end_subscriptions(session, name, loaded).await?;
    }
    session
        .batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", ident(name)))
        .await
        .with_context(|| format!("dropping {name}"))
}

/// The server drops no database that subscribes to another one. What was only loaded never subscribed to anything: a dump makes
/// subscriptions that are not enabled, and the slots that they name are those of the live database. What was replaced had none that
/// is enabled, and its slots are its successor's now; one that somebody has enabled since is left to them, and so is the database.
async fn end_subscriptions(session: &Session, database: &str, loaded: bool) -> Result<()> {
    let query = format!(
        "SELECT s.subname::text FROM pg_catalog.pg_subscription s, pg_catalog.pg_database d
         WHERE d.oid = s.subdbid AND d.datname = {} AND ({loaded} OR NOT s.subenabled)",
        literal(database)
    );
    let subscriptions = server::names(session, &query).await?;
    if subscriptions.is_empty() {
        return Ok(());
    }
    let there = session.in_database(database).await.map_err(server::told)?;
    // One whose first copy has not ended has slots besides its own, for which the server would call the other one.
    let copying =
        there.query_one("SELECT count(*) FROM pg_catalog.pg_subscription_rel WHERE srsubstate <> 'r'", &[]).await;
    if copying.context("asking for subscriptions that are being filled")?.get::<_, i64>(0) > 0 {
        bail!("a subscription of {database} was put aside amid its first copy: DROP SUBSCRIPTION it there");
    }
    for name in subscriptions {
        let name = ident(&name.to_string());
        // One by one: each is its own transaction. Without its slot's name nobody asks the other server to drop that.
        for statement in [
            format!("ALTER SUBSCRIPTION {name} DISABLE"),
            format!("ALTER SUBSCRIPTION {name} SET (slot_name = NONE)"),
            format!("DROP SUBSCRIPTION {name}"),
        ] {
            let dropped = there.batch_execute(&statement).await;
            dropped.with_context(|| format!("dropping subscription {name} of {database}"))?;
        }
    }
    Ok(())
}

/// When a run began, as its id says it: to the second, in an order that text has too.
fn time(run: &str) -> &str {
    run.split('-').next().unwrap_or(run)
}

/// Drops what restores put aside, once a sealed backup of its successor exists: only what was saved itself, since a database
/// may have gone while the others were dumped.
///
/// # Errors
/// When something cannot be dropped; the rest is.
pub async fn drop_replaced(settings: &Settings, held: &Held, run: &Run, saved: &Saved) -> Result<()> {
    if settings.restore.keep_replaced == KeepReplaced::Always {
        return Ok(());
    }
    let mut failed = Ok(());
    let databases = databases_of(saved);
    if let Some(session) = &held.session {
        let read_only = server::in_recovery(session).await?;
        for database in server::databases(session).await? {
            let Some(journal) = database.journal() else { continue };
            // Run ids begin with their time: a copy that was put aside while the backup ran is not of a database that it holds.
            let succeeded = super::back::succeeded(&journal, &databases) && time(&journal.run) <= time(&run.id);
            if journal.state != State::Replaced || journal.app != settings.app || !succeeded {
                continue;
            }
            if read_only {
                tracing::info!(
                    "{} stays: a standby cannot drop it, the next backup of its primary does",
                    database.name
                );
                continue;
            }
            match drop_database(session, &database.name).await {
                Ok(()) => {
                    tracing::info!("dropped {}: {} is saved since it was replaced", database.name, journal.database);
                }
                Err(error) => failed = Err(error),
            }
        }
    }
    // What could not be read is nowhere but in what was put aside.
    for kept in saved.kept.iter().filter(|_| saved.unreadable.is_empty()) {
        if let Item::Files(root) = &kept.item
            && let Err(error) = block_in_place(|| drop_replaced_files(root, run, held.session.is_some()))
        {
            failed = Err(error);
        }
    }
    failed
}

/// Without the server nobody knows whether the databases that were restored together with them came to their COMMIT: if they did not, these
/// are the files that go with them.
fn drop_replaced_files(root: &Path, run: &Run, knows_databases: bool) -> Result<()> {
    let root = root.canonicalize()?;
    for aside in turn::asides(&root)? {
        if !knows_databases && aside.act.as_ref().is_some_and(|act| !act.databases.is_empty()) {
            tracing::info!(
                "{}: what run {} put aside together with databases stays until a backup that has their server too",
                root.display(),
                aside.by
            );
            continue;
        }
        // What an undo turned round was put aside by the undo.
        if time(&aside.by) <= time(&run.id) {
            exchange::drop_replaced(&root, &aside.run)?;
            tracing::info!("{}: dropped what run {} had put aside; its successor is saved", root.display(), aside.by);
        }
    }
    Ok(())
}
