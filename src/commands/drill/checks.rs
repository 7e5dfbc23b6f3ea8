//! The operator's own checks: queries that must give true in the restored data.
//!
//! They are read as a dump is, so that a `;` in a string or a function's body ends nothing. `\connect NAME` says the database for
//! those after it; without it there must be one database only.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use tokio_postgres::types::Type;

use super::verdict;
use crate::error::Failure;
use crate::exit::Exit;
use crate::settings::names::BKP_DRILL_SQL;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::lexer::{DumpError, Event, Lexer, Meta};

/// One query that hangs must not hold the drill for ever.
const LIMIT: Duration = Duration::from_secs(600);

/// How much of a query is told, in characters.
const TOLD: usize = 120;

/// One query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The database that it is for, where it says so.
    pub database: Option<String>,
    /// The query.
    pub sql: String,
}

/// How a check ended.
#[derive(Debug, Clone, Serialize)]
pub struct Answer {
    /// The database, by the name that it has in the backup.
    pub database: String,
    /// The query, or its beginning.
    pub query: String,
    /// Whether it gave true.
    pub holds: bool,
    /// What it gave instead, or the error with its SQLSTATE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
}

/// Takes the queries apart.
///
/// # Errors
/// Exit code 2 when they are no SQL that can be taken apart.
pub fn parse(text: &str) -> Result<Vec<Check>> {
    let (mut checks, mut database, mut odd) = (Vec::new(), None, None);
    let mut lexer = Lexer::new();
    let mut take = |event: Event<'_>| match event {
        Event::Statement(sql) => {
            let sql = String::from_utf8_lossy(sql).trim().trim_end_matches(';').trim().to_owned();
            if !sql.is_empty() {
                checks.push(Check { database: database.clone(), sql });
            }
        }
        Event::Meta(line) => match Meta::parse(line) {
            Ok(Meta::Connect(name)) => database = Some(name.to_string()),
            _ => odd = Some("a backslash command other than \\connect NAME"),
        },
        Event::CopyRows { .. } | Event::CopyEnd(_) | Event::Long { .. } => odd = Some("something that is no query"),
        Event::Space(_) | Event::Comment(_) => {}
    };
    // The last `;` may be left out.
    let ended = format!("{}\n;\n", text.trim_end());
    let read = lexer.push(ended.as_bytes(), &mut |_, event| {
        take(event);
        Ok::<_, DumpError>(())
    });
    let read = read.and_then(|()| {
        lexer.finish(&mut |_, event| {
            take(event);
            Ok::<_, DumpError>(())
        })
    });
    let wrong = |why: String| {
        Failure::new(format!("{BKP_DRILL_SQL} cannot be read: {why}"))
            .hint("write queries that give true, each ended by a semicolon; \\connect NAME on a line of its own names the database")
            .exit(Exit::Usage)
    };
    match (read, odd) {
        (Err(error), _) => bail!(wrong(error.to_string())),
        (Ok(()), Some(odd)) => bail!(wrong(format!("it holds {odd}"))),
        (Ok(()), None) => Ok(checks),
    }
}

/// Asks one query in the loaded copy of `database`, in a transaction that can write nothing.
///
/// # Errors
/// When the session is lost, or the server or our rights do not let it be asked. A query that fails is an answer.
pub async fn ask(session: &Session, database: &str, check: &Check) -> Result<Answer> {
    let begin = format!(
        "RESET search_path; BEGIN READ ONLY; SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = '10s'",
        LIMIT.as_millis()
    );
    session.batch_execute(&begin).await.context("beginning a check")?;
    // By the protocol that takes one statement and no more: nothing behind it ends the transaction and goes on.
    let asked = session.query(&check.sql, &[]).await;
    let instead = match &asked {
        Ok(rows) => match rows.as_slice() {
            [row] if row.len() == 1 && *row.columns()[0].type_() == Type::BOOL => match row.get::<_, Option<bool>>(0) {
                Some(true) => None,
                Some(false) => Some("false".to_owned()),
                None => Some("NULL".to_owned()),
            },
            [row] if row.len() == 1 => Some(format!("a value of type {}", row.columns()[0].type_())),
            [row] => Some(format!("{} columns", row.len())),
            rows => Some(format!("{} rows", rows.len())),
        },
        Err(error) => match error.as_db_error() {
            Some(said) if verdict::is_of_the_server(said.code().code()) => bail!(
                Failure::new(format!("a check could not be asked: error {}: {}", said.code().code(), told(&check.sql)))
                    .hint("this says nothing of the backup: a check may take ten minutes (57014), and needs its rights (42501)")
            ),
            // Not its message: it may quote a row.
            Some(said) => Some(format!("error {}", said.code().code())),
            None => bail!("the session was lost during a check: {error}"),
        },
    };
    session.batch_execute("ROLLBACK").await.context("ending a check")?;
    Ok(Answer { database: database.to_owned(), query: told(&check.sql), holds: instead.is_none(), instead })
}

fn told(query: &str) -> String {
    query.chars().take(TOLD).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_taken_apart_as_sql_is() {
        let text = "-- orders\nSELECT count(*) > 0 FROM orders;\n\\connect wiki\nSELECT ';' = $$;$$; SELECT true";
        let checks = parse(text).unwrap();
        let told: Vec<(Option<&str>, &str)> =
            checks.iter().map(|check| (check.database.as_deref(), check.sql.as_str())).collect();
        let wiki = Some("wiki");
        assert_eq!(
            told,
            [(None, "SELECT count(*) > 0 FROM orders"), (wiki, "SELECT ';' = $$;$$"), (wiki, "SELECT true")]
        );
        assert_eq!(parse(" \n").unwrap(), []);
    }

    #[test]
    fn what_is_no_query_is_refused_before_anything_is_done() {
        for text in ["\\! rm -rf /", "SELECT 'open", "COPY t FROM stdin;\n1\n\\.\n"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
