//! Replaying SQL with psql. The input of psql is never closed before it is known to be whole: psql takes the end of its input for
//! the end of a COPY, and would keep what it has. A loader that is dropped kills it instead.

use std::ffi::OsString;

use anyhow::{Result, bail};

use super::clients::Client;
use super::sqlstate;
use super::survey::Copied;
use crate::error::Failure;
use crate::exit::Exit;
use crate::process::{Consumer, Ended, Program};
use crate::settings::Postgres;

/// psql, being fed.
pub struct Loader {
    psql: Consumer,
    database: String,
    /// What psql said while it was waited for.
    said: Vec<u8>,
    lines: Lines,
}

/// What psql said at the end of a replay that went well.
pub struct Loaded {
    /// Rows of each COPY, in order, as the server counted them.
    pub rows: Vec<u64>,
    /// Text that the replay asked to be returned, see [`RETURNED`].
    pub returned: Vec<String>,
}

impl Loaded {
    fn read(said: &[u8]) -> Loaded {
        let mut loaded = Loaded { rows: Vec::new(), returned: Vec::new() };
        for line in String::from_utf8_lossy(said).lines() {
            if let Some(text) = line.strip_prefix(RETURNED) {
                loaded.returned.push(text.to_owned());
            } else if let Some(rows) = line.strip_prefix("COPY ").and_then(|rows| rows.parse().ok()) {
                loaded.rows.push(rows);
            }
        }
        loaded
    }
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
            "SHOW_CONTEXT=errors",
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
        let mut loader = Loader {
            psql: Consumer::start(&program, wanted)?,
            database: database.to_owned(),
            said: Vec::new(),
            lines: Lines::default(),
        };
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
        self.lines.written += memchr::memchr_iter(b'\n', sql).count() as u64;
        self.psql.write(sql).await.map_err(|_| Broken)
    }

    /// What is written next begins in this line of the dump; nothing: it is ours.
    pub fn at(&mut self, dump: Option<u64>) {
        self.lines.marks.push((self.lines.written + 1, dump));
    }

    /// What is fed is no dump but single tables: an error has no place in one, and may mean something else.
    #[must_use]
    pub fn of_tables(mut self) -> Loader {
        self.lines.of_tables = true;
        self
    }

    /// Why psql stopped reading.
    pub async fn failure(self) -> anyhow::Error {
        match self.psql.last_words().await {
            Ok(ended) => failed(&self.database, &ended, &self.lines).into(),
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
            bail!(failed(&self.database, &ended, &self.lines));
        }
        let mut said = self.said;
        said.extend_from_slice(&ended.stdout);
        Ok(Loaded::read(&said))
    }

    /// Waits until the replay returns a text that begins with `mark`, and gives what follows it: everything before it is done then.
    /// The input stays open.
    ///
    /// # Errors
    /// When a statement failed before: psql is gone then, and [`Loader::failure`] says why.
    pub async fn returned(&mut self, mark: &str) -> Result<String, Broken> {
        while let Some(line) = self.psql.line().await {
            self.said.extend_from_slice(&line);
            let line = String::from_utf8_lossy(&line);
            let text = line.strip_prefix(RETURNED).and_then(|text| text.strip_prefix(mark));
            if let Some(text) = text {
                return Ok(text.trim().to_owned());
            }
        }
        Err(Broken)
    }

    /// What psql has said so far.
    pub fn so_far(&self) -> Loaded {
        Loaded::read(&self.said)
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

/// Which line of the dump each line of psql's input is.
#[derive(Debug, Default)]
struct Lines {
    /// There is no dump.
    of_tables: bool,
    written: u64,
    /// From this line of psql's on: the dump's line, or nothing where the text is ours. Ascending.
    marks: Vec<(u64, Option<u64>)>,
}

impl Lines {
    /// Where psql's line stands in the dump, in words.
    fn place(&self, line: u64) -> String {
        match self.marks[..self.marks.partition_point(|(from, _)| *from <= line)].last() {
            Some((from, Some(dump))) => format!("line {} of the dump", dump + line - from),
            Some((_, None)) => "after the dump".to_owned(),
            None => "before the dump".to_owned(),
        }
    }

    /// The line with psql's words for the place put into ours.
    fn told(&self, error: &str) -> String {
        let (Some(rest), Some(at)) = (error.split_once("psql:<stdin>:"), error.find("psql:<stdin>:")) else {
            return error.to_owned();
        };
        match rest.1.split_once(':').and_then(|(line, said)| Some((line.parse().ok()?, said))) {
            Some((_, said)) if self.of_tables => format!("{}{}", &error[..at], said.trim_start()),
            Some((line, said)) => format!("{}{}:{said}", &error[..at], self.place(line)),
            None => error.to_owned(),
        }
    }
}

fn failed(database: &str, ended: &Ended, lines: &Lines) -> Failure {
    let said = harmless(&ended.stderr, lines);
    let said = if said.is_empty() { crate::process::ended(ended.status) } else { said };
    let failure = Failure::new(format!("the replay into {database} failed: {said}"));
    let hint = if lines.of_tables { sqlstate::hint_of_tables } else { sqlstate::hint };
    match hint(&ended.stderr) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The error without what may hold rows or passwords: psql shows the statement (`LINE n:`), the server shows rows.
fn harmless(stderr: &str, lines: &Lines) -> String {
    let error = stderr.lines().find(|line| {
        ["ERROR:", "FATAL:", "PANIC:", "psql: error", "server closed the connection", "connection to server"]
            .iter()
            .any(|mark| line.contains(mark))
    });
    let server_hint = stderr.lines().find(|line| line.starts_with("HINT:"));
    let copying = stderr.lines().find_map(copy_context);
    let place = |line: &str| lines.told(&without_values(line.trim()));
    let told = error.map(place).into_iter().chain(copying);
    told.chain(server_hint.map(str::to_owned)).collect::<Vec<_>>().join("; ")
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

/// `COPY shop.items, line 3, column price`: where among the rows it failed, without the row.
fn copy_context(line: &str) -> Option<String> {
    let context = line.strip_prefix("CONTEXT:  COPY ")?;
    let (table, rest) = context.rsplit_once(", line ").filter(|(table, _)| !table.contains(": "))?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = rest.split_at(digits);
    let column = rest.strip_prefix(", column ").and_then(|column| column.split(':').next());
    let column = column.map_or(String::new(), |column| format!(", column {column}"));
    Some(format!("COPY {table}, row {number}{column}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_show_no_statement_and_no_row() {
        let stderr = "psql:<stdin>:12: ERROR:  42601: syntax error at or near \"x\"\nLINE 1: CREATE ROLE a PASSWORD 'secret';\n        ^\nDETAIL:  Failing row contains (secret).\nHINT:  Look.\n";
        let lines = Lines { of_tables: false, written: 20, marks: vec![(4, Some(1)), (10, Some(30)), (20, None)] };
        let shown = harmless(stderr, &lines);
        assert_eq!(shown, "line 32 of the dump: ERROR:  42601: syntax error at or near \"x\"; HINT:  Look.");
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
        assert_eq!(harmless(stderr, &Lines::default()), "before the dump: server closed the connection unexpectedly");
    }

    #[test]
    fn a_place_among_rows_is_told_without_the_row() {
        let stderr = "psql:<stdin>:12: ERROR:  22P02: invalid input syntax for type integer: \"s3cret\"\nCONTEXT:  COPY orders, line 3, column total: \"s3cret\"\n";
        let lines = Lines { of_tables: false, written: 20, marks: vec![(4, Some(1))] };
        let shown = "line 9 of the dump: ERROR:  22P02: invalid input syntax for type integer: (a value, not shown); COPY orders, row 3, column total";
        assert_eq!(harmless(stderr, &lines), shown);
        assert_eq!(copy_context("CONTEXT:  COPY t, line 2: \"a, line 3, column s3cret\""), None);
        assert_eq!(copy_context("CONTEXT:  COPY t, line 2: \"a\""), Some("COPY t, row 2".to_owned()));
        assert_eq!(copy_context("CONTEXT:  SQL statement \"s3cret\""), None);
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
