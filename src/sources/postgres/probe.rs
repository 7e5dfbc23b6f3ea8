//! What a server would say to a statement, asked without changing anything.

use anyhow::{Context, Result, ensure};
use tokio_postgres::error::SqlState;

use super::connect::{ConnectError, Session};
use super::server::{ident, told};
use crate::settings::Postgres;

/// What to do where a limit lets in too few sessions; why it does, in the server's words, comes before.
pub const RAISE: &str =
    "raise the limit that this names (ALTER ROLE or ALTER DATABASE … CONNECTION LIMIT, max_connections)";

/// Why a database cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The SQLSTATE.
    pub code: String,
    /// The server's words.
    pub said: String,
}

/// Whether a database could be made by this CREATE DATABASE. It must name the database that the session is in: that one can be neither
/// dropped nor renamed meanwhile, so the statement always fails. Locale, encoding, provider, tablespace and rights are looked at first
/// (`createdb` in PostgreSQL's `dbcommands.c`), so that the name's being taken says that all else is well. Nothing, too, when the
/// server did not come to an answer.
///
/// # Errors
/// When the session is lost, or the statement is of another database.
pub async fn creation(session: &Session, statement: &str) -> Result<Option<Refused>> {
    // Other names may be stored in other bytes than they are sent in, and then would not be taken.
    if !session.database().is_ascii() {
        return Ok(None);
    }
    let ours = format!("CREATE DATABASE {} ", ident(session.database()));
    ensure!(statement.starts_with(&ours), "a database would be made instead of being asked for");
    let Err(error) = session.batch_execute(statement).await else { return Ok(None) };
    let said = error.as_db_error().map(|error| error.message().to_owned());
    match (error.code(), said) {
        (Some(code), Some(said)) if *code != SqlState::DUPLICATE_DATABASE => {
            let unanswered = ["53", "55", "57"].iter().any(|class| code.code().starts_with(class));
            Ok((!unanswered).then(|| Refused { code: code.code().to_owned(), said }))
        }
        (Some(_), Some(_)) => Ok(None),
        _ => Err(error).context("asking whether a database can be made"),
    }
}

/// Opens so many sessions in each of these databases at once, and ends them again. Nothing when all are let in, else how many were
/// open when the next one was not, and why.
///
/// # Errors
/// When the server cannot be asked whether they have ended.
pub async fn sessions(
    (main, settings): (&Session, &Postgres),
    wanted: &[(&str, usize)],
    session_name: &str,
) -> Result<Option<(usize, ConnectError)>> {
    let mut open = Vec::new();
    let mut refused = None;
    'all: for (database, count) in wanted {
        for _ in 0..*count {
            match Session::connect(settings, database, session_name).await {
                Ok(session) => open.push(session),
                Err(error) => {
                    refused = Some((open.len(), error));
                    break 'all;
                }
            }
        }
    }
    drop(open);
    // Else those that are about to end would be the ones too many, in a moment.
    for _ in 0..40 {
        let row = main
            .query_one(
                "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE application_name = $1 AND pid <> pg_catalog.pg_backend_pid()",
                &[&session_name],
            )
            .await
            .context("asking for our sessions")?;
        if row.get::<_, i64>(0) == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Ok(refused)
}

/// A connection error in one line.
pub fn in_words(error: ConnectError) -> String {
    format!("{:#}", told(error))
}
