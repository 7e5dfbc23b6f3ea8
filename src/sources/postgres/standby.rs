//! Saving from a standby: what would cancel the dump there is kept away, and a cancelled dump is done again.
//!
//! A standby replays what the primary did. When that removes rows that a dump still reads, replay waits for
//! `max_standby_streaming_delay` and then cancels the dump. Three answers (`BKP_STANDBY`): replay is paused for the dump
//! ([`pause`]), which gives all databases one and the same state besides; or the standby tells the primary what it still reads
//! (`hot_standby_feedback`); or nothing. Whatever the answer, a dump that is cancelled all the same is no backup: the attempt is
//! made anew, a few times, then the run fails.
//!
//! A standby takes advisory locks, exports snapshots and serves pg_dump as a primary does. It cannot drop what dead restores
//! left, and its unlogged tables have no rows: both are said.

mod pause;

use anyhow::{Context, Result, bail};

use super::connect::Session;
use super::server::{self, told};
use crate::error::Failure;
use crate::process::Stop;
use crate::settings::{Postgres, Standby};
use pause::Pause;

/// How often a dump is tried that the standby cancels.
const ATTEMPTS: u32 = 3;

/// What a run saves, and how it may be kept from being cancelled.
pub struct Watch<'a> {
    /// The maintenance session, which lives until the run is over.
    pub session: &'a Session,
    /// Where the server is.
    pub settings: &'a Postgres,
    /// The operator's wish.
    pub mode: Standby,
    /// How our sessions are called.
    pub session_name: &'a str,
    /// The databases that are saved.
    pub databases: &'a [String],
}

/// Makes the attempt to save, on a standby under what keeps it from being cancelled, and again when it is cancelled all the
/// same. On a primary it is one attempt and nothing else. What was paused is resumed before this returns, whatever happened.
///
/// # Errors
/// The attempt's own; after [`ATTEMPTS`] cancelled ones, what to do about them.
pub async fn during<T>(watch: &Watch<'_>, stop: &Stop, attempt: impl AsyncFn() -> Result<T>) -> Result<T> {
    if !stop.or(server::in_recovery(watch.session)).await? {
        return attempt().await;
    }
    tracing::info!("the server is a standby; what its primary did last may not be there yet");
    stop.or(say_unlogged(watch)).await?;
    if watch.mode == Standby::Feedback {
        stop.or(say_feedback(watch.session)).await?;
    }
    let mut cancelled = 0;
    loop {
        let before = stop.or(async { Ok(conflicts(watch).await) }).await?;
        let error = match guarded(watch, stop, &attempt).await {
            Err(error) => error,
            saved => return saved,
        };
        if stop.check().is_err() || !(says_conflict(&error) || conflicts(watch).await > before) {
            return Err(error);
        }
        cancelled += 1;
        if cancelled == ATTEMPTS {
            bail!(
                Failure::new(format!(
                    "the standby cancelled the dump {ATTEMPTS} times, because its primary removed rows that were still to be read"
                ))
                .hint(hint(watch.mode))
                .because(error)
            );
        }
        tracing::warn!(
            "the standby cancelled the dump, because its primary removed rows that were still to be read; doing it again: {error:#}"
        );
    }
}

/// One attempt, with replay paused where that is wished and possible.
async fn guarded<T>(watch: &Watch<'_>, stop: &Stop, attempt: &impl AsyncFn() -> Result<T>) -> Result<T> {
    if watch.mode != Standby::Pause {
        return attempt().await;
    }
    let mut pause = Pause::new(watch.session, watch.settings, watch.session_name);
    let done = match stop.or(pause.take(watch.databases)).await {
        Ok(()) => attempt().await,
        Err(error) => Err(error),
    };
    if stop.or_after(pause.give_back()).await.is_none() {
        tracing::warn!(
            "the standby does not say that its replay goes on; it does when the server notices that this run is over"
        );
    }
    done
}

/// A restore writes, and a standby takes no writes: said before anything is read or made.
///
/// # Errors
/// When the server is a standby, or cannot be asked.
pub async fn refuse_restore(settings: &Postgres, session_name: &str) -> Result<()> {
    let session = server::maintenance(settings, session_name).await?;
    if server::in_recovery(&session).await? {
        bail!(
            Failure::new("the server is a standby and read-only, so nothing can be restored there; nothing was begun")
                .hint("restore on its primary, which hands it on to the standby; or promote the standby first")
        );
    }
    Ok(())
}

/// Whether the error says in PostgreSQL's own words that replay cancelled something. Servers that speak another language are
/// found out by [`conflicts`].
fn says_conflict(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let said = cause.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::as_db_error);
        said.map_or_else(|| cause.to_string(), ToString::to_string).contains("conflict with recovery")
    })
}

/// How often replay has cancelled something in our databases; nothing when the server does not say.
async fn conflicts(watch: &Watch<'_>) -> Option<i64> {
    let asked = watch
        .session
        .query_one(
            "SELECT COALESCE(sum(confl_tablespace + confl_lock + confl_snapshot + confl_bufferpin + confl_deadlock), 0)::bigint
             FROM pg_catalog.pg_stat_database_conflicts WHERE datname::text = ANY ($1)",
            &[&watch.databases],
        )
        .await;
    asked.ok().map(|row| row.get(0))
}

/// What would let this standby cancel a dump, when something would; nothing on a primary.
///
/// # Errors
/// When the server cannot be asked.
pub async fn unprotected(session: &Session, mode: Standby) -> Result<Option<(&'static str, &'static str)>> {
    if !server::in_recovery(session).await? {
        return Ok(None);
    }
    let why = match mode {
        Standby::Pause if !pause::is_allowed(session).await? => "the account may not pause the replay of this standby",
        Standby::Feedback if !has_feedback(session).await? => "hot_standby_feedback is off",
        Standby::None => "BKP_STANDBY=none",
        _ => return Ok(None),
    };
    Ok(Some((why, hint(mode))))
}

async fn has_feedback(session: &Session) -> Result<bool> {
    let on: String = session
        .query_one("SELECT pg_catalog.current_setting('hot_standby_feedback')", &[])
        .await
        .context("asking for hot_standby_feedback")?
        .get(0);
    Ok(on == "on")
}

fn hint(mode: Standby) -> &'static str {
    match mode {
        Standby::Pause => {
            "let the account pause replay: on the primary, in the database that control sessions use, \
             GRANT EXECUTE ON FUNCTION pg_wal_replay_pause(), pg_wal_replay_resume() to it; or set hot_standby_feedback on the standby"
        }
        Standby::Feedback => {
            "on the standby: ALTER SYSTEM SET hot_standby_feedback = on; SELECT pg_reload_conf(); or leave BKP_STANDBY at pause"
        }
        Standby::None => "leave BKP_STANDBY at pause, or raise max_standby_streaming_delay on the standby",
    }
}

/// Feedback that is not on protects nothing.
async fn say_feedback(session: &Session) -> Result<()> {
    if has_feedback(session).await? {
        tracing::info!("replay is not paused: the standby tells its primary what is still read");
    } else {
        tracing::warn!("hot_standby_feedback is off, so the dump may be cancelled; {}", hint(Standby::Feedback));
    }
    Ok(())
}

/// Unlogged tables are never sent to a standby. pg_dump leaves their rows out without a word.
async fn say_unlogged(watch: &Watch<'_>) -> Result<()> {
    for name in watch.databases {
        // What is wrong with a database is the dump's to say.
        let Ok(session) = Session::connect(watch.settings, name, watch.session_name).await.map_err(told) else {
            continue;
        };
        let unlogged: i64 = session
            .query_one("SELECT count(*) FROM pg_catalog.pg_class WHERE relpersistence = 'u' AND relkind = 'r'", &[])
            .await
            .context("looking for unlogged tables")?
            .get(0);
        if unlogged > 0 {
            tracing::warn!(
                "database {name}: a standby has no rows of unlogged tables; {unlogged} are saved without theirs"
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_is_known_by_its_words_wherever_they_stand() {
        let words = "pg_dump exited with status 1: ERROR:  canceling statement due to conflict with recovery";
        assert!(says_conflict(&anyhow::anyhow!(words)));
        assert!(says_conflict(&anyhow::anyhow!(words).context("dumping database shop")));
        assert!(!says_conflict(&anyhow::anyhow!("the disk is full").context("dumping database shop")));
    }
}
