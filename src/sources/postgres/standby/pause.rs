//! Pausing a standby's replay so that it goes on whatever happens to us.
//!
//! A read-only server has no place for a mark that says whose a pause is, and a file beside us is gone with our pod. So the
//! pause is given to the server itself: a *guard*, a second session, runs one request, "wait for this lock, then resume". We
//! hold the lock. When we end, by any death, the server ends our session and with it the lock, and the guard, which no longer
//! needs anybody to listen, resumes replay. No later start is needed, on this host or on another.
//!
//! - The guard waits before replay is paused, so there is no moment at which only we could resume it.
//! - A host that vanishes closes no connection: the server is told to look after ours (keepalive), and gives up in a minute.
//! - Who finds replay paused asks for the locks: a pause with a run's lock or guard behind it is bkp's, and is shared; the
//!   last one out resumes. Any other is somebody's own and stays as it is.
//! - If somebody ends the guard, we resume ourselves; if our session is lost too, through a new one.
//!
//! A table that the primary has locked exclusively stays locked for as long as replay is paused, and pg_dump would wait for it
//! for ever. So once paused we look for such locks; while there are any, replay goes on and we wait.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::error::Failure;
use crate::settings::Postgres;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::server::{self, told};

/// The first half of every such lock's key: says that it is one of a run of bkp that pauses.
const CLASS: i32 = 0x626b_7001;
/// How often the server is asked again.
const BEAT: Duration = Duration::from_millis(50);
/// How long replay may take to stop. It may itself be waiting for somebody's query, 30 s with PostgreSQL's own defaults.
const PAUSE_LIMIT: Duration = Duration::from_secs(60);
/// How long the primary may keep tables locked before the dump begins without a pause.
const LOCKED_LIMIT: Duration = Duration::from_secs(60);
/// How long a guard may take, ours to resume or a dead run's to be gone.
const GUARD_LIMIT: Duration = Duration::from_secs(10);
/// How long we try to resume by ourselves when the guard is gone.
const RESUME_LIMIT: Duration = Duration::from_secs(30);

/// A dead peer is noticed after about 30 + 3 × 10 s. Without effect on sockets of the file system, whose peers cannot vanish.
const KEEPALIVE: &str = "SELECT pg_catalog.set_config('tcp_keepalives_idle', '30', false),
    pg_catalog.set_config('tcp_keepalives_interval', '10', false), pg_catalog.set_config('tcp_keepalives_count', '3', false)";

/// A guard's client may be gone, and its request must go on. Majors before 14 do not look.
const NO_LOOKING_AFTER: &str = "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings
    WHERE name = 'client_connection_check_interval'";

/// Replay's pause, of ours from [`Pause::take`] until [`Pause::give_back`].
pub struct Pause<'a> {
    session: &'a Session,
    settings: &'a Postgres,
    session_name: &'a str,
    /// The second half of our lock's key.
    key: i32,
    locked: bool,
    /// Whether we asked for a pause, so that there may be one to end.
    asked: bool,
    guard: Option<JoinHandle<Result<(), tokio_postgres::Error>>>,
}

/// How replay is found.
enum Found {
    /// It goes on, or a live run of bkp has paused it.
    Free,
    /// Somebody else paused it.
    Theirs,
}

/// Whether the account may pause replay, and resume it.
pub(super) async fn is_allowed(session: &Session) -> Result<bool> {
    let row = session
        .query_one(
            "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_wal_replay_pause()', 'EXECUTE')
                AND pg_catalog.has_function_privilege('pg_catalog.pg_wal_replay_resume()', 'EXECUTE')",
            &[],
        )
        .await
        .context("asking whether replay may be paused")?;
    Ok(row.get(0))
}

impl<'a> Pause<'a> {
    /// Nothing is paused yet. The session holds the lock; it ends when the run does.
    pub fn new(session: &'a Session, settings: &'a Postgres, session_name: &'a str) -> Self {
        let hash = blake3::hash(session_name.as_bytes());
        let mut first = [0; 4];
        first.copy_from_slice(&hash.as_bytes()[..4]);
        Self {
            session,
            settings,
            session_name,
            key: i32::from_le_bytes(first),
            locked: false,
            asked: false,
            guard: None,
        }
    }

    /// Pauses replay for a dump of these databases. Where that is not possible it says why, and the dump goes without.
    ///
    /// # Errors
    /// When the server cannot be asked, or somebody else's pause would make the dump wait for ever.
    pub async fn take(&mut self, databases: &[String]) -> Result<()> {
        if !is_allowed(self.session).await? {
            tracing::warn!(
                "this account may not pause the standby's replay; a dump that replay cancels is done again (to allow it: {})",
                super::hint(crate::settings::Standby::Pause)
            );
            return Ok(());
        }
        if matches!(self.found().await?, Found::Theirs) {
            let locked = self.locked_databases(databases).await?;
            if !locked.is_empty() {
                bail!(
                    Failure::new(format!(
                        "somebody paused the standby's replay while its primary held tables of {} locked, so a dump would wait for ever",
                        locked.join(", ")
                    ))
                    .hint("SELECT pg_wal_replay_resume() on the standby, then run the backup again")
                );
            }
            tracing::warn!("somebody else paused the standby's replay; it stays so, also afterwards");
            return Ok(());
        }
        if let Err(error) = self.arm().await {
            // Without a guard a kill would leave replay paused: rather a dump that may have to be done again.
            tracing::warn!("replay is not paused, because nothing would resume it if this run were killed: {error:#}");
            self.give_back().await;
            return Ok(());
        }
        self.pause(databases).await
    }

    /// A dead run's guard is about to resume: it is waited for, or its pause would look like somebody's own.
    async fn found(&self) -> Result<Found> {
        let began = Instant::now();
        loop {
            let row = self
                .session
                .query_one(
                    &format!(
                        "SELECT pg_catalog.pg_is_wal_replay_paused(), count(*) FILTER (WHERE mode = 'ExclusiveLock'), count(*)
                         FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND classid = '{CLASS}'::oid AND objsubid = 2"
                    ),
                    &[],
                )
                .await
                .context("asking whether replay is paused")?;
            let (paused, runs, all) = (row.get::<_, bool>(0), row.get::<_, i64>(1), row.get::<_, i64>(2));
            if !paused || runs > 0 {
                return Ok(Found::Free);
            }
            if all == 0 || began.elapsed() > GUARD_LIMIT {
                return Ok(Found::Theirs);
            }
            sleep(BEAT).await;
        }
    }

    /// Takes the lock and sees the guard wait for it.
    async fn arm(&mut self) -> Result<()> {
        self.session.batch_execute(KEEPALIVE).await.context("setting keepalive")?;
        let row = self
            .session
            .query_one("SELECT pg_catalog.pg_try_advisory_lock($1, $2)", &[&CLASS, &self.key])
            .await
            .context("taking the pause's lock")?;
        if !row.get::<_, bool>(0) {
            bail!("another run has the pause's lock");
        }
        self.locked = true;
        let name = format!("{} guard", self.session_name);
        let guard =
            Session::connect(self.settings, self.session.database(), &name).await.map_err(told).context("the guard")?;
        guard.batch_execute(NO_LOOKING_AFTER).await.context("the guard")?;
        let pid: i32 = guard.query_one("SELECT pg_catalog.pg_backend_pid()", &[]).await.context("the guard")?.get(0);
        // One request of two statements: the server goes on to the second by itself.
        let request = format!(
            "SELECT pg_catalog.pg_advisory_lock_shared({CLASS}, {key}); {resume}",
            key = self.key,
            resume = self.resume()
        );
        self.guard = Some(tokio::spawn(async move { guard.batch_execute(&request).await }));
        let began = Instant::now();
        while !self.waits(pid).await? {
            if self.guard.as_ref().is_none_or(JoinHandle::is_finished) || began.elapsed() > GUARD_LIMIT {
                bail!("the guard does not wait");
            }
            sleep(BEAT / 10).await;
        }
        Ok(())
    }

    /// The statement that resumes, unless another run needs the pause.
    fn resume(&self) -> String {
        // The catalogue has unsigned halves.
        let key = u32::from_ne_bytes(self.key.to_ne_bytes());
        format!(
            "SELECT pg_catalog.pg_wal_replay_resume() WHERE pg_catalog.pg_is_in_recovery() AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND classid = '{CLASS}'::oid AND objsubid = 2
                AND mode = 'ExclusiveLock' AND granted AND objid <> '{key}'::oid)"
        )
    }

    async fn waits(&self, pid: i32) -> Result<bool> {
        let row = self
            .session
            .query_one(
                "SELECT count(*) FROM pg_catalog.pg_locks WHERE pid = $1 AND locktype = 'advisory' AND NOT granted",
                &[&pid],
            )
            .await
            .context("looking for the guard")?;
        Ok(row.get::<_, i64>(0) > 0)
    }

    /// Stops replay at a moment when it holds none of our tables locked.
    async fn pause(&mut self, databases: &[String]) -> Result<()> {
        let began = Instant::now();
        let mut said = false;
        loop {
            if !self.stopped().await? {
                return Ok(());
            }
            let locked = self.locked_databases(databases).await?;
            if locked.is_empty() {
                let row = self.session.query_one("SELECT pg_catalog.pg_last_wal_replay_lsn()::text", &[]).await?;
                let at = row.get::<_, Option<String>>(0).unwrap_or_default();
                tracing::info!("the standby's replay is paused for the dump, at {at}");
                return Ok(());
            }
            self.session.batch_execute(&self.resume()).await.context("resuming replay")?;
            if began.elapsed() > LOCKED_LIMIT {
                tracing::warn!("replay is not paused: the primary keeps tables of {} locked", locked.join(", "));
                self.give_back().await;
                return Ok(());
            }
            if !said {
                tracing::info!(
                    "the primary holds tables of {} locked; replay goes on until it lets go",
                    locked.join(", ")
                );
                said = true;
            }
            while !self.locked_databases(databases).await?.is_empty() && began.elapsed() <= LOCKED_LIMIT {
                sleep(BEAT).await;
            }
        }
    }

    /// Asks for the pause and waits until nothing is replayed; false when there is nothing to pause any more.
    async fn stopped(&mut self) -> Result<bool> {
        self.asked = true;
        let pause = "SELECT pg_catalog.pg_wal_replay_pause() WHERE pg_catalog.pg_is_in_recovery()";
        if let Err(error) = self.session.batch_execute(pause).await {
            tracing::warn!("replay cannot be paused: {}", told_by(&error));
            return Ok(false);
        }
        // Before 14 a server does not say whether it has stopped, only that it will, after the record at hand.
        let paused = match self.session.server_version_major() {
            ..14 => "SELECT pg_catalog.pg_is_wal_replay_paused()",
            _ => "SELECT pg_catalog.pg_get_wal_replay_pause_state() = 'paused'",
        };
        let began = Instant::now();
        while server::in_recovery(self.session).await? {
            match self.session.query_one(paused, &[]).await {
                Ok(row) if row.get(0) => return Ok(true),
                _ if began.elapsed() > PAUSE_LIMIT => {
                    tracing::warn!(
                        "replay has not stopped in {} s, perhaps it waits for somebody's query; a dump that it cancels is done again",
                        PAUSE_LIMIT.as_secs()
                    );
                    return Ok(false);
                }
                _ => sleep(BEAT).await,
            }
        }
        tracing::info!("the standby was promoted meanwhile; there is nothing to pause");
        Ok(false)
    }

    /// The databases of which replay holds tables locked. On a standby nobody else can.
    async fn locked_databases(&self, databases: &[String]) -> Result<Vec<String>> {
        let rows = self
            .session
            .query(
                "SELECT DISTINCT COALESCE(d.datname::text, 'all databases') FROM pg_catalog.pg_locks l
                 LEFT JOIN pg_catalog.pg_database d ON d.oid = l.database
                 WHERE pg_catalog.pg_is_in_recovery() AND l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.granted
                   AND (l.database = 0 OR d.datname::text = ANY ($1)) ORDER BY 1",
                &[&databases],
            )
            .await
            .context("asking what the primary has locked")?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Lets replay go on, unless another run needs the pause; nothing to do when nothing was taken. Never fails a run: what it
    /// cannot do, the server does when it notices that we are gone.
    pub async fn give_back(&mut self) {
        if !std::mem::take(&mut self.locked) {
            return;
        }
        let unlock = format!("SELECT pg_catalog.pg_advisory_unlock({CLASS}, {})", self.key);
        // When the session is lost, so is the lock.
        let _ = timeout(GUARD_LIMIT, self.session.batch_execute(&unlock)).await;
        if !std::mem::take(&mut self.asked) {
            return;
        }
        if let Some(guard) = self.guard.take()
            && matches!(timeout(GUARD_LIMIT, guard).await, Ok(Ok(Ok(()))))
        {
            tracing::info!("the standby's replay goes on, unless another run needs it paused");
            return;
        }
        let began = Instant::now();
        loop {
            match self.resume_ourselves().await {
                Ok(()) => {
                    tracing::info!(
                        "the standby's replay goes on; somebody had ended the session that was to see to it"
                    );
                    return;
                }
                Err(error) if began.elapsed() > RESUME_LIMIT => {
                    tracing::error!(
                        "the standby's replay may still be paused: {error:#}; SELECT pg_wal_replay_resume() there"
                    );
                    return;
                }
                Err(_) => sleep(BEAT).await,
            }
        }
    }

    async fn resume_ourselves(&self) -> Result<()> {
        if self.session.is_closed() {
            let session =
                Session::connect(self.settings, self.session.database(), self.session_name).await.map_err(told)?;
            return Ok(session.batch_execute(&self.resume()).await?);
        }
        Ok(timeout(GUARD_LIMIT, self.session.batch_execute(&self.resume())).await.context("no answer")??)
    }
}

/// The server's own words.
fn told_by(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |said| said.message().to_owned())
}
