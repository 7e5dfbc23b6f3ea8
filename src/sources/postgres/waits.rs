//! What a dump waits for is said, and has an end.
//!
//! A session that holds a table exclusively (a migration, a forgotten `BEGIN; ALTER TABLE …`) keeps pg_dump waiting without a word.
//! `--lock-wait-timeout` ends only its LOCK TABLE, not what it asks of views and indexes, and names nobody. So the sessions of the run
//! are looked at from beside: what they wait for, and for whom, is said after a while and then again and again; after the limit the
//! dump is ended, and its error names both.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Error, Result};

use super::connect::Session;
use super::server::{ident, text};
use crate::error::Failure;
use crate::settings::Postgres;

/// How often it is looked. Shorter waits are nobody's concern.
const PACE: Duration = Duration::from_secs(1);

/// How long a wait goes unsaid.
const UNSAID: Duration = Duration::from_secs(10);

/// How often it is said again.
const AGAIN: Duration = Duration::from_secs(60);

/// A server that does not answer such a question is another's concern: the dump notices by itself.
const ANSWER: Duration = Duration::from_secs(10);

/// How long one wait may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Nothing: as long as it takes.
    pub limit: Option<Duration>,
    /// The setting that says so, where one does.
    pub setting: Option<&'static str>,
}

/// The sessions that are looked at.
pub struct Watch<'a> {
    /// Where the server is.
    pub settings: &'a Postgres,
    /// Asks; in any database.
    pub session: &'a Session,
    /// How the watched sessions are called.
    pub session_name: &'a str,
    /// How long they may wait.
    pub patience: Patience,
}

/// Does the work while its sessions are watched.
///
/// # Errors
/// The work's own; and when it waited too long, for what and for whom. It is dropped then.
pub async fn during<T>(watch: &Watch<'_>, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        biased;
        done = work => done,
        error = watch.too_long() => Err(error),
    }
}

/// One wait of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wait {
    pid: i32,
    database: String,
    /// The relation's number in that database, when it waits for one.
    relation: Option<u32>,
    /// What else it waits for: `transactionid`, `advisory`.
    kind: String,
}

impl Watch<'_> {
    /// Returns when one wait is over its limit; never while there is none.
    async fn too_long(&self) -> Error {
        let mut current: Option<(Wait, Instant, Duration)> = None;
        loop {
            tokio::time::sleep(PACE).await;
            let Some(wait) = self.wait().await else {
                current = None;
                continue;
            };
            let (began, said) = match &current {
                Some((same, began, said)) if *same == wait => (*began, *said),
                _ => (Instant::now(), Duration::ZERO),
            };
            let waited = began.elapsed();
            let over = self.patience.limit.is_some_and(|limit| waited >= limit);
            let due = if said.is_zero() { UNSAID } else { said + AGAIN };
            if over || waited >= due {
                let told = self.told(&wait).await;
                if over {
                    return self.gave_up(&told, waited);
                }
                tracing::warn!("waiting since {} for {told}", Shown(waited));
            }
            current = Some((wait, began, if waited >= due { waited } else { said }));
        }
    }

    /// The longest of our waits. Nothing when there is none, and when the server does not say.
    async fn wait(&self) -> Option<Wait> {
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&self.session_name];
        let asked = self.session.query(
            "SELECT l.pid, coalesce(pg_catalog.textsend(d.datname::text), ''), l.relation, l.locktype
             FROM pg_catalog.pg_stat_activity a JOIN pg_catalog.pg_locks l ON l.pid = a.pid AND NOT l.granted
             LEFT JOIN pg_catalog.pg_database d ON d.oid = a.datid
             WHERE a.application_name = $1 AND a.pid <> pg_catalog.pg_backend_pid() ORDER BY a.backend_start LIMIT 1",
            &parameters,
        );
        let rows = tokio::time::timeout(ANSWER, asked).await.ok()?.ok()?;
        let row = rows.first()?;
        Some(Wait { pid: row.get(0), database: text(row.get(1)), relation: row.get(2), kind: row.get(3) })
    }

    /// What it is, and who holds it.
    async fn told(&self, wait: &Wait) -> Told {
        let what = match wait.relation {
            Some(relation) => match tokio::time::timeout(ANSWER, self.relation(wait, relation)).await {
                Ok(Some(name)) => name,
                // No session left for us there: the number is better than nothing.
                _ => format!("relation {relation}"),
            },
            None => format!("a lock ({})", wait.kind),
        };
        let holders = tokio::time::timeout(ANSWER, self.holders(wait.pid)).await.unwrap_or_default();
        Told { what: format!("{what} of database {}", wait.database), holders }
    }

    /// Its name is in its own database alone.
    async fn relation(&self, wait: &Wait, relation: u32) -> Option<String> {
        // Under another name: it must not be taken for one of those that are watched.
        let session = Session::connect(self.settings, &wait.database, "bkp waits").await.ok()?;
        let row = session
            .query_opt(
                "SELECT pg_catalog.textsend(pg_catalog.concat(CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
                        WHEN 'i' THEN 'index' WHEN 'I' THEN 'index' ELSE 'table' END, ' ', n.nspname, '.', c.relname))
                 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1",
                &[&relation],
            )
            .await
            .ok()??;
        Some(text(row.get(0)))
    }

    async fn holders(&self, pid: i32) -> Vec<Holder> {
        let rows = self
            .session
            .query(
                "SELECT b.pid, coalesce(pg_catalog.textsend(a.usename::text), ''), coalesce(pg_catalog.textsend(a.application_name), ''),
                        coalesce(a.state, ''), coalesce(pg_catalog.to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), '')
                 FROM (SELECT DISTINCT pid FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) pid) b
                 LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid ORDER BY b.pid LIMIT 3",
                &[&pid],
            )
            .await
            .unwrap_or_default();
        let holder = |row: &tokio_postgres::Row| Holder {
            pid: row.get(0),
            user: text(row.get(1)),
            name: text(row.get(2)),
            state: row.get(3),
            since: row.get(4),
        };
        rows.iter().map(holder).collect()
    }

    fn gave_up(&self, told: &Told, waited: Duration) -> Error {
        let end = match told.holders.first() {
            Some(holder) if holder.pid != 0 => {
                format!("let that session end, or end it: SELECT pg_terminate_backend({})", holder.pid)
            }
            _ => "end what holds it (SELECT * FROM pg_prepared_xacts, pg_locks)".to_owned(),
        };
        let setting = self.patience.setting.map(|name| format!("; how long is waited says {name}")).unwrap_or_default();
        Failure::new(format!("given up after {}, nothing was saved: the dump waited for {told}", Shown(waited)))
            .hint(format!("{end}; then run it again{setting}"))
            .into()
    }
}

/// Who holds what is waited for.
struct Holder {
    /// 0: a prepared transaction, which is nobody's any more.
    pid: i32,
    user: String,
    name: String,
    /// Not known of other roles' sessions without `pg_read_all_stats`.
    state: String,
    since: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pid == 0 {
            return f.write_str("a prepared transaction");
        }
        write!(f, "session {}", self.pid)?;
        if !self.user.is_empty() {
            write!(f, " of {}", ident(&self.user))?;
        }
        if !self.name.is_empty() {
            write!(f, " ({})", self.name)?;
        }
        if !self.state.is_empty() {
            write!(f, ", {}", self.state)?;
        }
        if !self.since.is_empty() {
            write!(f, ", its transaction open since {} UTC", self.since)?;
        }
        Ok(())
    }
}

struct Told {
    what: String,
    holders: Vec<Holder>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holders: Vec<String> = self.holders.iter().map(ToString::to_string).collect();
        match holders.as_slice() {
            [] => f.write_str(&self.what),
            _ => write!(f, "{}, held by {}", self.what, holders.join("; ")),
        }
    }
}

/// Seconds, or minutes.
struct Shown(Duration);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds @ ..120 => write!(f, "{seconds} s"),
            seconds => write!(f, "{} min", seconds / 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_with_all_that_is_known_of_its_holders() {
        let known = Holder {
            pid: 4711,
            user: "app".into(),
            name: "psql".into(),
            state: "idle in transaction".into(),
            since: "2026-11-21 23:10:04".into(),
        };
        let hidden =
            Holder { pid: 12, user: "o\"dd".into(), name: String::new(), state: String::new(), since: String::new() };
        let prepared =
            Holder { pid: 0, user: String::new(), name: String::new(), state: String::new(), since: String::new() };
        let told = Told { what: "table public.orders of database shop".into(), holders: vec![prepared, hidden, known] };
        assert_eq!(
            told.to_string(),
            "table public.orders of database shop, held by a prepared transaction; session 12 of \"o\"\"dd\"; session 4711 of \"app\" (psql), \
             idle in transaction, its transaction open since 2026-11-21 23:10:04 UTC"
        );
    }

    #[test]
    fn a_length_is_short_to_read() {
        assert_eq!(Shown(Duration::from_secs(10)).to_string(), "10 s");
        assert_eq!(Shown(Duration::from_secs(3_700)).to_string(), "61 min");
    }
}
