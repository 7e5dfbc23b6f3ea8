//! The sessions that a backup has at once: a limit of an account or of a database may allow fewer, and says so in the night.

use anyhow::Result;

use super::finding::{Area, Finding};
use super::server::SESSION;
use crate::settings::Postgres;
use crate::sources::postgres::connect::{ConnectError, Session};
use crate::sources::postgres::probe;

/// Beside the one that the server is asked by: one that holds a database's snapshot, and pg_dump's.
const BESIDE: usize = 2;

/// Which databases let in too few. That they cannot be entered at all is told with the rights.
pub async fn look(session: &Session, postgres: &Postgres, databases: &[String]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let name = format!("{SESSION} tries");
    for database in databases {
        let refused = probe::sessions((session, postgres), &[(database, BESIDE)], &name).await?;
        let Some((open, error @ ConnectError::TooManyConnections { .. })) = refused else { continue };
        let why = probe::in_words(error);
        let what = format!(
            "a backup has {} sessions at once, and got {} with database {database}: {why}",
            BESIDE + 1,
            open + 1
        );
        let mend = format!("{}, or run backups when fewer sessions are open", probe::RAISE);
        findings.push(Finding::fault(Area::Server, what, mend));
        // The account's limit and the server's are the same in all of them.
        if !why.contains("for database") {
            break;
        }
    }
    Ok(findings)
}
