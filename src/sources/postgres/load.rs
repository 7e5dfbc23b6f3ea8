//! Replaying SQL with psql. The input of psql is never closed before it is known to be whole: psql takes the end of its input for
//! the end of a COPY, and would keep what it has. A loader that is dropped kills it instead.

use std::ffi::OsString;

use anyhow::{Result, bail};

use super::clients::Client;
use super::survey::Copied;
use crate::error::Failure;
use crate::exit::Exit;
use crate::process::{Consumer, Ended, Program};
use crate::settings::Postgres;

/// psql, being fed.
pub struct Loader {
    psql: Consumer,
    database: String,
}

/// What psql said at the end of a replay that went well.
pub struct Loaded {
    /// Rows of each COPY, in order, as the server counted them.
    pub rows: Vec<u64>,
    /// Text that the replay asked to be returned, see [`RETURNED`].
    pub returned: Vec<String>,
}

/// A result line that begins with this reaches [`Loaded::returned`], without it.
pub const RETURNED: &str = "bkp-returns ";

/// What an account, a database or a server may set for every session, taken back: not every dump does that itself. The names
/// are asked for because not every server has all of them.
const UNHINDERED: &[u8] = b"SET default_transaction_read_only = off;\n\
SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN ('statement_timeout', 'lock_timeout', \
'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout');\n";

impl Loader {
    /// Starts psql in `database`: stops at the first error, reads no configuration of the user.
    ///
    /// # Errors
    /// When psql cannot be started.
    pub async fn start(settings: &Postgres, client: &Client, database: &str, application_name: &str) -> Result<Loader> {
        let arguments = [
            "-X",
            "--no-password",
            "-v",
            "ON_ERROR_STOP=1",
            "-v",
            "VERBOSITY=verbose",
            "-v",
            "SHOW_CONTEXT=never",
            "-P",
            "pager=off",
            "-A",
            "-t",
            "-f",
            "-",
        ];
        let environment = settings.child_env(database, application_name);
        let program = Program {
            path: client.program("psql"),
            arguments: arguments.iter().map(OsString::from).collect(),
            environment,
        };
        let mut loader = Loader { psql: Consumer::start(&program, wanted)?, database: database.to_owned() };
        if client.knows_restrict() {
            // No meta-command gets past the rewriter. Should one all the same, psql itself refuses it: nobody can know the key.
            let mut key = [0; 16];
            rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())?;
            let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
            let _ = loader.write(format!("\\restrict {key}\n").as_bytes()).await;
        }
        let _ = loader.write(UNHINDERED).await;
        Ok(loader)
    }

    /// Feeds SQL.
    ///
    /// # Errors
    /// When a statement failed: psql's own words, less the rows and literals in them.
    pub async fn write(&mut self, sql: &[u8]) -> Result<(), Broken> {
        self.psql.write(sql).await.map_err(|_| Broken)
    }

    /// Why psql stopped reading.
    pub async fn failure(self) -> anyhow::Error {
        match self.psql.last_words().await {
            Ok(ended) => failed(&self.database, &ended).into(),
            Err(error) => error,
        }
    }

    /// Ends the input, which the caller knows to be whole, and waits for psql.
    ///
    /// # Errors
    /// When a statement failed or psql ended badly.
    pub async fn finish(self) -> Result<Loaded> {
        let ended = self.psql.finish().await?;
        if !ended.status.success() {
            bail!(failed(&self.database, &ended));
        }
        let mut loaded = Loaded { rows: Vec::new(), returned: Vec::new() };
        for line in String::from_utf8_lossy(&ended.stdout).lines() {
            if let Some(text) = line.strip_prefix(RETURNED) {
                loaded.returned.push(text.to_owned());
            } else if let Some(rows) = line.strip_prefix("COPY ").and_then(|rows| rows.parse().ok()) {
                loaded.rows.push(rows);
            }
        }
        Ok(loaded)
    }
}

/// psql no longer reads; [`Loader::failure`] says why.
#[derive(Debug)]
pub struct Broken;

/// Proves that the server took every row of every table.
///
/// # Errors
/// Exit code 5, naming the first table whose rows differ.
pub fn prove_rows(database: &str, expected: &[Copied], loaded: &[u64]) -> Result<()> {
    if expected.len() != loaded.len() {
        bail!(
            Failure::new(format!(
                "database {database}: {} tables were to be loaded, the server took {}",
                expected.len(),
                loaded.len()
            ))
            .exit(Exit::ProofFailed)
        );
    }
    for (copied, rows) in expected.iter().zip(loaded) {
        if copied.rows != *rows {
            bail!(
                Failure::new(format!(
                    "database {database}: table {} has {} rows in the dump, the server took {rows}",
                    copied.table, copied.rows
                ))
                .exit(Exit::ProofFailed)
            );
        }
    }
    Ok(())
}

fn wanted(line: &[u8]) -> bool {
    line.starts_with(b"COPY ") || line.starts_with(RETURNED.as_bytes())
}

fn failed(database: &str, ended: &Ended) -> Failure {
    let said = harmless(&ended.stderr);
    let said = if said.is_empty() { crate::process::ended(ended.status) } else { said };
    let failure = Failure::new(format!("the replay into {database} failed: {said}"));
    match hint(&ended.stderr) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The error without what may hold rows or passwords: psql shows the statement (`LINE n:`), the server shows rows.
fn harmless(stderr: &str) -> String {
    let error = stderr.lines().find(|line| {
        ["ERROR:", "FATAL:", "PANIC:", "psql: error", "server closed the connection", "connection to server"]
            .iter()
            .any(|mark| line.contains(mark))
    });
    let server_hint = stderr.lines().find(|line| line.starts_with("HINT:"));
    let place = |line: &str| without_values(line.trim()).replace("psql:<stdin>:", "line ");
    error.map(place).into_iter().chain(server_hint.map(str::to_owned)).collect::<Vec<_>>().join("; ")
}

/// An error line without the value that it quotes: data exceptions (class 22, but for settings: 22023) quote what a row holds,
/// and a syntax error (42601) what it stumbled over, which may be a password.
fn without_values(line: &str) -> String {
    let (code, said) = line.split_once("ERROR:  ").and_then(|(_, rest)| rest.split_once(": ")).unwrap_or_default();
    let literal = said.contains("at or near \"'") || said.contains("connection string");
    let quotes = (code.starts_with("22") && code != "22023") || (code == "42601" && literal);
    match (line.find('"'), line.rfind('"')) {
        // The value may hold a line's end: then there is one quote only.
        (Some(from), Some(to)) if quotes => {
            format!("{}(a value, not shown){}", &line[..from], if from < to { &line[to + 1..] } else { "" })
        }
        _ => line.to_owned(),
    }
}

/// What to do about the SQLSTATEs that a tired operator meets.
fn hint(stderr: &str) -> Option<&'static str> {
    let has = |code: &str| stderr.contains(&format!(" {code}: "));
    if has("53100") || stderr.contains("No space left on device") {
        Some(
            "the server's disk is full: a restore needs room for a second copy of the database; the live one was not touched",
        )
    } else if has("42501") {
        Some("the account lacks a right; restore with a superuser (POSTGRES_USER), or grant what the message names")
    } else if has("57P01") || has("57P02") || has("08006") || stderr.contains("server closed the connection") {
        Some("the server went away; when it is back, run the restore again")
    } else if has("3F000") || has("42P01") {
        Some(
            "the dump speaks of what it does not make: it is of rows only (--data-only) or of single tables (--table); a restore needs a dump of the whole database",
        )
    } else if has("42704") {
        Some("the target lacks something that the dump needs; create it, then run the restore again")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_show_no_statement_and_no_row() {
        let stderr = "psql:<stdin>:12: ERROR:  42601: syntax error at or near \"x\"\nLINE 1: CREATE ROLE a PASSWORD 'secret';\n        ^\nDETAIL:  Failing row contains (secret).\nHINT:  Look.\n";
        let shown = harmless(stderr);
        assert_eq!(shown, "line 12: ERROR:  42601: syntax error at or near \"x\"; HINT:  Look.");
    }

    #[test]
    fn values_in_the_error_itself_are_left_out_and_names_stay() {
        for (line, shown) in [
            (
                "ERROR:  22P02: invalid input syntax for type integer: \"s3cret\"",
                "ERROR:  22P02: invalid input syntax for type integer: (a value, not shown)",
            ),
            (
                "ERROR:  22P02: invalid input syntax for type integer: \"s3cret",
                "ERROR:  22P02: invalid input syntax for type integer: (a value, not shown)",
            ),
            (
                "ERROR:  22003: value \"99\" is out of range for type smallint",
                "ERROR:  22003: value (a value, not shown) is out of range for type smallint",
            ),
            (
                "ERROR:  42601: syntax error at or near \"'s3cret'\"",
                "ERROR:  42601: syntax error at or near (a value, not shown)",
            ),
            ("ERROR:  42601: syntax error at or near \"OPTION\"", "ERROR:  42601: syntax error at or near \"OPTION\""),
            ("ERROR:  42704: role \"shop\" does not exist", "ERROR:  42704: role \"shop\" does not exist"),
            (
                "ERROR:  22023: invalid value for parameter \"TimeZone\": \"x\"",
                "ERROR:  22023: invalid value for parameter \"TimeZone\": \"x\"",
            ),
        ] {
            assert_eq!(without_values(line), shown);
        }
    }

    #[test]
    fn a_server_that_went_away_is_said_in_psqls_words() {
        let stderr = "psql:<stdin>:12: server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n";
        assert_eq!(harmless(stderr), "line 12: server closed the connection unexpectedly");
    }

    #[test]
    fn rows_that_differ_are_named() {
        let expected = [Copied { table: "public.a".into(), rows: 2 }, Copied { table: "public.b".into(), rows: 3 }];
        assert!(prove_rows("shop", &expected, &[2, 3]).is_ok());
        assert!(prove_rows("shop", &expected, &[2]).is_err());
        let said = prove_rows("shop", &expected, &[2, 1]).unwrap_err().to_string();
        assert!(said.contains("public.b") && said.contains("took 1"), "{said}");
    }
}
