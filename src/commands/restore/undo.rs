//! What a restore that failed takes back, and how it finds out that it had not failed.

use super::{aside, leftovers};
use crate::settings::Postgres;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::server;

/// What a failed restore takes back: side databases and roles that it made.
#[derive(Default)]
pub struct Undo {
    /// Side databases.
    pub databases: Vec<String>,
    /// Roles.
    pub roles: Vec<String>,
    /// Everything is loaded and proven: what follows is the swap.
    pub loaded: bool,
}

/// How a failed restore ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// The old application serves; what was made beside it is gone, or will be at the next run.
    Back,
    /// The swap had been committed when the connection was lost: the new application serves.
    NotBack,
}

impl Undo {
    /// Takes it all back, unless the swap turns out to be done.
    pub async fn run(&self, main: &Session, postgres: &Postgres, session_name: &str) -> Taken {
        // The session may be what was lost.
        let again;
        let session = if main.is_closed() {
            match server::maintenance(postgres, session_name).await {
                Ok(session) => {
                    again = session;
                    &again
                }
                Err(error) => {
                    if self.loaded {
                        tracing::warn!(
                            "whether the swap was done cannot be asked: the server is away; if it was, what was there before is kept under a name with __was_ in it"
                        );
                    }
                    if !self.databases.is_empty() {
                        tracing::warn!(
                            "{} could not be dropped; the next run drops it: {error:#}",
                            self.databases.join(", ")
                        );
                    }
                    return Taken::Back;
                }
            }
        } else {
            main
        };
        let _ = session.batch_execute("ROLLBACK").await;
        // The side databases lose their names in the swap, all at once: without them it was committed.
        if !self.databases.is_empty()
            && let Ok(here) = server::databases(session).await
            && !here.iter().any(|database| self.databases.contains(&database.name) && !aside::is_one(&database.name))
            && self.loaded
        {
            return Taken::NotBack;
        }
        for name in &self.databases {
            if let Err(error) = leftovers::drop_database(session, name).await {
                tracing::warn!("{name} could not be dropped; the next run drops it: {error:#}");
            }
        }
        for role in &self.roles {
            if let Err(error) = session.batch_execute(&format!("DROP ROLE IF EXISTS {}", server::ident(role))).await {
                tracing::warn!("role {role}, which this restore made, could not be dropped: {error}");
            }
        }
        Taken::Back
    }
}
