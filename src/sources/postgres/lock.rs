//! One run at a time per application: a session advisory lock on the maintenance database. It dies with its holder, so no lock
//! is ever stale, and it holds between pods and hosts, because it lives where the data lives.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::connect::Session;
use crate::error::Failure;
use crate::exit::Exit;

/// A holder that has just ended, or was killed, still stands in the server's list for a moment.
const GRACE: Duration = Duration::from_secs(1);

/// The key of an application's lock.
fn key(app: &str) -> i64 {
    let hash = blake3::hash(format!("bkp lock {app}").as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    i64::from_le_bytes(first)
}

/// Takes the lock of `app` in this session, waiting up to `wait` for another run to end.
///
/// # Errors
/// Exit code 11 naming the holder.
pub async fn acquire(session: &Session, app: &str, wait: Duration) -> Result<()> {
    let (key, began) = (key(app), Instant::now());
    let mut said = false;
    loop {
        let row = session
            .query_one("SELECT pg_catalog.pg_try_advisory_lock($1)", &[&key])
            .await
            .context("taking the lock")?;
        if row.get(0) {
            return Ok(());
        }
        let holder = holder(session, key).await.unwrap_or_else(|| "another run".to_owned());
        if began.elapsed() >= wait.max(GRACE) {
            bail!(
                Failure::new(format!("application {app} is locked by {holder}"))
                    .hint("wait for it to end, or set BKP_LOCK_WAIT (for example 10m) to wait for it here")
                    .exit(Exit::Locked)
            );
        }
        if !said && began.elapsed() >= GRACE {
            tracing::info!("waiting for {holder} to end");
            said = true;
        }
        tokio::time::sleep(if began.elapsed() < GRACE { GRACE / 20 } else { Duration::from_millis(250) }).await;
    }
}

/// Who holds the lock of `app`, if somebody does; takes nothing.
///
/// # Errors
/// When the server cannot be asked.
pub async fn holder_of(session: &Session, app: &str) -> Result<Option<String>> {
    let key = key(app);
    let row = session
        .query_one(
            "SELECT count(*) FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
               AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
               AND ((classid::bigint << 32) | objid::bigint) = $1",
            &[&key],
        )
        .await
        .context("asking who holds the lock")?;
    if row.get::<_, i64>(0) == 0 {
        return Ok(None);
    }
    Ok(Some(holder(session, key).await.unwrap_or_else(|| "another run".to_owned())))
}

/// Gives the lock back at once. Without this the next run may come before the server has noticed that we are gone.
pub async fn release(session: &Session, app: &str) {
    let key = key(app);
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&key];
    let asked = async {
        // A lock stays as long as its session, and that as long as what it was asked last.
        session.interrupt().await;
        session.query_one("SELECT pg_catalog.pg_advisory_unlock($1)", &params).await
    };
    // Best effort: the session may be lost, and then so is the lock.
    let _ = tokio::time::timeout(RELEASE_WAIT, asked).await;
}

/// A run that is over does not wait longer than this for a server that does not answer.
const RELEASE_WAIT: Duration = Duration::from_secs(3);

/// Whether `app`'s lock, taken in this session before, is still ours: it is lost when the server ends the session.
///
/// # Errors
/// When it is lost.
pub async fn held(session: &Session, app: &str) -> Result<()> {
    let lost = || {
        Failure::new(format!(
            "the session that held the lock of application {app} was ended, so another run may have begun"
        ))
        .hint("nothing was changed; find out who ended it (a time-out, an administrator, a restart), then run it again")
    };
    let row = session
        .query_one(
            "SELECT count(*) FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
               AND pid = pg_catalog.pg_backend_pid() AND ((classid::bigint << 32) | objid::bigint) = $1",
            &[&key(app)],
        )
        .await
        .map_err(|error| lost().because(error))?;
    if row.get::<_, i64>(0) == 0 {
        bail!(lost());
    }
    Ok(())
}

async fn holder(session: &Session, key: i64) -> Option<String> {
    let row = session
        .query_opt(
            "SELECT a.pid, a.application_name, a.client_addr::text, to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
             FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
             WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
               AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
               AND ((l.classid::bigint << 32) | l.objid::bigint) = $1",
            &[&key],
        )
        .await
        .ok()??;
    let text = |at: usize| row.get::<_, Option<String>>(at).filter(|text| !text.is_empty());
    let name = text(1).unwrap_or_else(|| "another run".to_owned());
    let from = text(2)
        .map_or_else(|| "this host".to_owned(), |address| address.split('/').next().unwrap_or_default().to_owned());
    let since = text(3).unwrap_or_else(|| "an unknown time".to_owned());
    Some(format!("{name} (from {from}, since {since} UTC, server process {})", row.get::<_, i32>(0)))
}
