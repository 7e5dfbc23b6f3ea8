//! What a restore that failed takes back, and how it finds out that it had not failed.

use std::time::Duration;

use super::{aside, leftovers};
use crate::settings::Postgres;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::{obstacles, server};

/// How often a server that went away at the COMMIT is looked for again, and how long it is waited between: it may be starting again.
const TRIES: u32 = 15;
const PACE: Duration = Duration::from_secs(1);

/// What a failed restore takes back: side databases and roles that it made.
#[derive(Default)]
pub struct Undo {
    /// Side databases.
    pub databases: Vec<String>,
    /// Roles.
    pub roles: Vec<String>,
    /// Everything is loaded and proven: what follows is the swap.
    pub loaded: bool,
    /// The swap's COMMIT was sent, and its answer never came.
    pub in_doubt: bool,
}

/// How a failed restore ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// The old application serves; what was made beside it is gone, or will be at the next run.
    Back,
    /// The swap had been committed when the connection was lost: the new application serves.
    NotBack,
    /// Whether it was committed cannot be asked, because the server is away.
    Unknown,
}

impl Undo {
    /// How it ended, as far as the server can tell. Changes nothing but that it ends what is left of our own sessions.
    pub async fn outcome(&self, main: &Session, postgres: &Postgres, session_name: &str) -> Taken {
        if !self.loaded {
            return Taken::Back;
        }
        let again;
        let session = if main.is_closed() {
            match self.reconnect(postgres, session_name).await {
                Some(session) => {
                    again = session;
                    &again
                }
                None if self.in_doubt => return Taken::Unknown,
                None => return Taken::Back,
            }
        } else {
            main
        };
        session.interrupt().await;
        let _ = session.batch_execute("ROLLBACK").await;
        // A session that we have lost may still be at its COMMIT, which nobody sees before it is over.
        if self.in_doubt && obstacles::end_sessions_named(session, session_name).await.is_err() {
            return Taken::Unknown;
        }
        match server::databases(session).await {
            // The side databases lose their names in the swap, all at once: without them it was committed.
            Ok(here) => {
                let ours = |name: &String| self.databases.contains(name) && !aside::is_one(name);
                let is_done = !self.databases.is_empty() && !here.iter().any(|database| ours(&database.name));
                if is_done { Taken::NotBack } else { Taken::Back }
            }
            Err(_) if self.in_doubt => Taken::Unknown,
            Err(_) => Taken::Back,
        }
    }

    /// Connects again; patiently when it is not known what became of the COMMIT.
    pub async fn reconnect(&self, postgres: &Postgres, session_name: &str) -> Option<Session> {
        for left in (0..if self.in_doubt { TRIES } else { 1 }).rev() {
            match server::maintenance(postgres, session_name).await {
                Ok(session) => return Some(session),
                Err(_) if left > 0 => tokio::time::sleep(PACE).await,
                Err(error) => tracing::warn!("the server is away: {error:#}"),
            }
        }
        None
    }

    /// Takes back what was made. Only when the swap is not done; and after the files, because the side databases are what tells the
    /// next run of a restore that died.
    pub async fn clear(&self, main: &Session, postgres: &Postgres, session_name: &str) {
        // A stop may have come while it made a database.
        main.interrupt().await;
        if self.databases.is_empty() && self.roles.is_empty() {
            return;
        }
        let again;
        let session = if main.is_closed() {
            match server::maintenance(postgres, session_name).await {
                Ok(session) => {
                    again = session;
                    &again
                }
                Err(error) => {
                    let names = self.databases.join(", ");
                    tracing::warn!("{names} could not be dropped; the next run drops it: {error:#}");
                    return;
                }
            }
        } else {
            main
        };
        let _ = session.batch_execute("ROLLBACK").await;
        // An application stays paused as long as this takes.
        let _ = session.batch_execute("SET lock_timeout = '10s'").await;
        let here = server::databases(session).await;
        let is_gone = |name: &String| here.as_ref().is_ok_and(|here| here.iter().all(|there| there.name != *name));
        for name in self.databases.iter().filter(|name| !is_gone(name)) {
            if let Err(error) = leftovers::drop_database(session, name).await {
                tracing::warn!("{name} could not be dropped; the next run drops it: {error:#}");
            }
        }
        for role in &self.roles {
            if let Err(error) = session.batch_execute(&format!("DROP ROLE IF EXISTS {}", server::ident(role))).await {
                tracing::warn!("role {role}, which this restore made, could not be dropped: {error}");
            }
        }
    }
}
