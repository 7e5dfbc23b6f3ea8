//! A large table's rows, given to the server by a session of ours instead of psql: psql reads each line by itself, 4 KiB at a time, and
//! costs a twentieth of a restore.
//!
//! The session is like psql's, or it is not used: both are asked who they are and for all settings. Those that nobody has listed
//! (`shop.tenant`) are for the caller to know. What the server says of a failure is heard as if psql had said it, with the lines that
//! psql would have counted.

use std::error::Error;

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use tokio::time::timeout;

use super::copying::{Copy, Copying, Refusal};
use super::place::Places;
use super::{Broken, ENGLISH, Loader};
use crate::settings::Postgres;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::spare::OPENED_WITHIN;

/// All that may decide how rows are read: who the session is, and every setting that is not as it was made, but for those that name it or
/// its transaction, or say in which words it tells what happens. Settings of a library are listed only where it has been loaded, so those
/// that nobody has set do not count. As a number: values may hold line ends.
const LIKENESS: &str = "SELECT pg_catalog.hashtext(pg_catalog.concat(current_user, '/', session_user, '/', \
    pg_catalog.string_agg(pg_catalog.concat(s.name, '=', s.setting), ',' ORDER BY s.name))) FROM pg_catalog.pg_settings s \
    WHERE pg_catalog.concat('=', s.setting) OPERATOR(pg_catalog.<>) pg_catalog.concat('=', s.boot_val) AND s.name OPERATOR(pg_catalog.<>) ALL \
    ('{application_name,lc_messages,client_min_messages,transaction_isolation,transaction_read_only,transaction_deferrable}')";

/// How to open a session that is like psql's.
#[derive(Debug)]
pub struct Twin {
    /// The server, the database, and what the session is called.
    pub opened: (Postgres, String, String),
    /// What sets it.
    pub session: String,
}

impl Twin {
    async fn open(&self) -> Result<Session> {
        let (postgres, database, session_name) = &self.opened;
        let session = Session::connect(postgres, database, session_name).await?;
        session.batch_execute(ENGLISH).await?;
        session.batch_execute(&self.session).await?;
        Ok(session)
    }
}

/// What may take psql's place.
#[derive(Default)]
pub enum Direct {
    /// Nothing yet.
    #[default]
    Not,
    /// Nothing ever: none was to be had, or it was another.
    Never,
    /// A session that waits.
    Idle(Session),
    /// A session that has it, perhaps amid a COPY; where psql stands.
    InPlace(Session, Option<Box<Copying>>, Places),
}

impl Loader {
    /// From here on a session of ours takes what is written, if it can be had and is like psql's in all that matters. Once it is not, it
    /// is not tried again.
    ///
    /// # Errors
    /// When psql is gone.
    pub async fn goes_directly(&mut self, twin: &Twin) -> Result<(), Broken> {
        let had = match std::mem::replace(&mut self.direct, Direct::Never) {
            Direct::Never => return Ok(()),
            Direct::Idle(session) => Some(session),
            _ => None,
        };
        // No command of psql's is to come meanwhile.
        self.strict().await?;
        self.settled().await?;
        // With this all that psql has counted is read, too: rows that are counted by us come behind it.
        let wanted = self.answer(LIKENESS).await?;
        let like = timeout(OPENED_WITHIN, like(had, &wanted, twin));
        match like.await.unwrap_or_else(|_| bail!("no further session was to be had")) {
            Ok(session) => self.direct = Direct::InPlace(session, None, self.heard.state().places.clone()),
            Err(error) => tracing::debug!("rows go through psql: {error:#}"),
        }
        Ok(())
    }

    /// psql has its place again.
    pub fn goes_through_psql(&mut self) {
        self.direct = match std::mem::take(&mut self.direct) {
            Direct::InPlace(session, _, before) => {
                self.heard.state().places = before;
                Direct::Idle(session)
            }
            other => other,
        }
    }

    /// Ends a session of ours that waits.
    pub fn ends_direct(&mut self) {
        if let Direct::Idle(_) = self.direct {
            self.direct = Direct::Not;
        }
    }

    /// The session that has psql's place.
    pub(super) fn direct(&self) -> Option<&Session> {
        match &self.direct {
            Direct::InPlace(session, ..) => Some(session),
            _ => None,
        }
    }

    /// Whether a session of ours takes what is written.
    pub fn is_direct(&self) -> bool {
        self.direct().is_some()
    }

    /// Begins a COPY; what is written next are its rows.
    ///
    /// # Errors
    /// As [`Loader::write`].
    pub async fn copy(&mut self, copy: Copy) -> Result<(), Broken> {
        let sql = copy.text();
        let Direct::InPlace(session, copying, _) = &mut self.direct else { return self.write(&sql).await };
        self.heard.state().places.wrote(&sql);
        match Copying::begin(session, copy).await {
            Ok(begun) => {
                *copying = Some(Box::new(begun));
                Ok(())
            }
            Err(error) => Err(self.refused(&error)),
        }
    }

    /// Rows of a COPY.
    ///
    /// # Errors
    /// As [`Loader::write`].
    pub async fn write_rows(&mut self, rows: Bytes) -> Result<(), Broken> {
        let Direct::InPlace(session, Some(copying), _) = &mut self.direct else { return self.write(&rows).await };
        self.heard.state().places.wrote(&rows);
        let taken = copying.rows(session, rows).await;
        taken.map_err(|refusal| self.refuses(refusal))
    }

    /// The line that ends a COPY's rows.
    ///
    /// # Errors
    /// As [`Loader::write`].
    pub async fn end_copy(&mut self, mark: &[u8]) -> Result<(), Broken> {
        let Direct::InPlace(session, copying @ Some(_), _) = &mut self.direct else { return self.write(mark).await };
        self.heard.state().places.wrote(mark);
        let Some(begun) = copying else { return Ok(()) };
        match begun.end(session).await {
            Ok(rows) => {
                *copying = None;
                self.said.extend_from_slice(format!("COPY {rows}\n").as_bytes());
                Ok(())
            }
            Err(refusal) => Err(self.refuses(refusal)),
        }
    }

    /// The server has refused something: what psql would have said of it.
    pub(super) fn refused(&mut self, error: &tokio_postgres::Error) -> Broken {
        let said = match error.as_db_error() {
            Some(told) => {
                let place = told.where_().map(|place| match &self.direct {
                    Direct::InPlace(_, Some(copying), _) => behind(copying.before, &copying.table, place),
                    _ => place.to_owned(),
                });
                let fields = [("DETAIL", told.detail()), ("HINT", told.hint()), ("CONTEXT", place.as_deref())];
                let more = fields.iter().filter_map(|(field, text)| Some(format!("\n{field}:  {}", (*text)?)));
                format!("{}:  {}: {}{}", told.severity(), told.code().code(), told.message(), more.collect::<String>())
            }
            None => {
                let why = error.source().map(|source| format!(" ({source})")).unwrap_or_default();
                let is_gone = error.is_closed() || error.source().is_some_and(|source| source.is::<std::io::Error>());
                let gone = if is_gone { "server closed the connection unexpectedly: " } else { "" };
                format!("error: {gone}{error}{why}")
            }
        };
        self.tells(&said)
    }

    /// A COPY does not take its rows.
    fn refuses(&mut self, refusal: Refusal) -> Broken {
        match refusal {
            Refusal::Server(error) => self.refused(&error),
            Refusal::Return(table, row) => {
                let said = format!(
                    "ERROR:  22P04: literal carriage return found in data\nHINT:  Use \"\\r\" to represent carriage return.\n\
                     CONTEXT:  COPY {table}, line {row}"
                );
                self.tells(&said)
            }
        }
    }

    fn tells(&mut self, said: &str) -> Broken {
        let line = self.heard.state().places.written;
        for line in format!("psql:<stdin>:{line}: {said}").lines() {
            self.heard.hear(Some(line.as_bytes()));
        }
        self.heard.hear(None);
        self.given_up = true;
        Broken
    }
}

/// Where among a table's rows something failed, of which so many went by another statement.
fn behind(before: u64, table: &str, place: &str) -> String {
    let counted = |line: &str| {
        let rest = line.strip_prefix("COPY ")?.strip_prefix(table)?.strip_prefix(", line ")?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let row = rest[..digits].parse::<u64>().ok()? + before;
        Some(format!("COPY {table}, line {row}{}", &rest[digits..]))
    };
    let lines = place.lines().map(|line| counted(line).unwrap_or_else(|| line.to_owned()));
    lines.collect::<Vec<_>>().join("\n")
}

/// The session that was had before, or a new one.
async fn like(had: Option<Session>, wanted: &str, twin: &Twin) -> Result<Session> {
    let session = match had {
        Some(session) => session,
        None => twin.open().await?,
    };
    let found: i32 = session.query_one(LIKENESS, &[]).await?.try_get(0)?;
    ensure!(found.to_string() == wanted, "no session like its own can be had");
    Ok(session)
}

#[cfg(test)]
mod tests {
    use super::behind;

    #[test]
    fn rows_are_counted_on_from_those_of_another_statement() {
        for (place, counted) in [
            ("COPY t, line 2, column i: \"x, line 3\"", "COPY t, line 7, column i: \"x, line 3\""),
            (
                "PL/pgSQL function f() line 3 at RAISE\nCOPY t, line 1",
                "PL/pgSQL function f() line 3 at RAISE\nCOPY t, line 6",
            ),
            ("COPY other, line 2", "COPY other, line 2"),
        ] {
            assert_eq!(behind(5, "t", place), counted);
        }
        assert_eq!(behind(5, "a, line 5", "COPY a, line 5, line 2"), "COPY a, line 5, line 7");
    }
}
