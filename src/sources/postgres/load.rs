//! Replaying SQL with psql. The input of psql is never closed before it is known to be whole: psql takes the end of its input for
//! the end of a COPY, and would keep what it has. A loader that is dropped kills it instead.
//!
//! Usually the first error ends psql. A replay that collects ([`Loader::collect`]) lets it go on, so that one restore tells all that
//! is wrong, but never into rows: where a COPY fails, psql (up to 14) reads its rows as statements and commands. So psql is in one of two
//! states, by its variable `ON_ERROR_STOP`:
//! - *strict*, at the start and wherever rows come ([`Manner::Rows`]), or what decides how bytes are read: the first error ends it.
//! - *lenient*, for what makes or changes something before the first COPY and after the last one.
//!
//! From lenient to strict there is a barrier: psql is asked to say, on its standard error, a key that nobody can know together with
//! the state that it is in. Not before that is heard, with nothing failed before it, is a row written. A failed replay is never
//! finished: psql is killed there.
//!
//! Rows of large tables may go to the server past psql ([`Loader::goes_directly`]).

mod copying;
mod direct;
mod heard;
mod place;
mod proof;
mod words;

use std::ffi::OsString;
use std::process::ExitStatus;

use anyhow::{Result, bail};

use super::clients::Client;
use super::rewrite::{Begun, guard};
use super::statement::Manner;
use crate::error::Failure;
use crate::error::statements::Failed;
use crate::process::{Consumer, Program};
use crate::settings::Postgres;

pub use self::copying::{Copy, ENDS};
use self::direct::Direct;
pub use self::direct::Twin;
use self::heard::Heard;
pub use self::proof::prove_rows;

/// psql, being fed.
pub struct Loader {
    psql: Consumer,
    database: String,
    /// What psql said while it was waited for.
    said: Vec<u8>,
    heard: Heard,
    /// Nobody knows it, so that no command but ours is taken; empty where psql does not know of such a thing.
    restrict: String,
    /// What the server's answers begin with. Another key: the server's functions may read this one, and speak on standard error.
    returns: String,
    /// Whether psql can answer on its standard error (13 and later).
    answers: bool,
    asked: u64,
    collecting: Option<Collecting>,
    /// Who takes psql's place for a while.
    direct: Direct,
    /// Statements have failed, and psql is not to go on, though it would.
    given_up: bool,
}

/// Where a replay that collects stands.
struct Collecting {
    /// How many COPYs come in all, and how many have come.
    copies: (usize, usize),
    lenient: bool,
}

/// The exit status of a psql that a statement has ended.
const ENDED_BY_A_STATEMENT: i32 = 3;

/// What psql said at the end of a replay that went well.
pub struct Loaded {
    /// Rows of each COPY, in order, as the server counted them.
    pub rows: Vec<u64>,
    /// Text that the replay asked to be returned, see [`RETURNED`].
    pub returned: Vec<String>,
    /// Statements that failed and are none the worse for it, with the reason.
    pub spared: Vec<(Failed, &'static str)>,
}

impl Loaded {
    fn read(said: &[u8]) -> Loaded {
        let mut loaded = Loaded { rows: Vec::new(), returned: Vec::new(), spared: Vec::new() };
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

/// Errors are told from notices by the server's own words for them, so these have to be English. A superuser may choose.
const ENGLISH: &str = "SELECT pg_catalog.set_config('lc_messages', 'C', false) WHERE pg_catalog.current_setting('is_superuser') = 'on';\n";
const SPEAKS: &str = "SELECT 'bkp-returns speaks ' || pg_catalog.current_setting('lc_messages');\n";

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
        let heard = Heard::default();
        heard.state().key = key()?;
        let listener = heard.clone();
        let mut loader = Loader {
            psql: Consumer::start(&program, wanted, move |line| listener.hear(line))?,
            database: database.to_owned(),
            said: Vec::new(),
            heard,
            // No meta-command gets past the rewriter. Should one all the same, psql itself refuses it.
            restrict: if client.knows_restrict() { key()? } else { String::new() },
            returns: key()?,
            answers: client.major >= 13,
            asked: 0,
            collecting: None,
            direct: Direct::Not,
            given_up: false,
        };
        if !loader.restrict.is_empty() {
            let _ = loader.write(format!("\\restrict {}\n", loader.restrict).as_bytes()).await;
        }
        let _ = loader.write(UNHINDERED).await;
        let _ = loader.write(guard(true).as_bytes()).await;
        Ok(loader)
    }

    /// Collects from here on: a statement that fails does not end psql, but where rows come; `copies` COPYs do. Where psql or the server
    /// speak so that nobody could tell errors from notices, the first error ends it as ever.
    ///
    /// # Errors
    /// When psql is gone.
    pub async fn collect(&mut self, copies: usize) -> Result<(), Broken> {
        if !self.answers {
            return Ok(());
        }
        self.write([ENGLISH, SPEAKS].concat().as_bytes()).await?;
        let language = self.returned("speaks ").await?;
        self.collecting = is_english(&language).then_some(Collecting { copies: (copies, 0), lenient: false });
        Ok(())
    }

    /// Feeds SQL.
    ///
    /// # Errors
    /// When psql no longer reads, or who has its place has failed; [`Loader::failure`] says why.
    pub async fn write(&mut self, sql: &[u8]) -> Result<(), Broken> {
        let Some(session) = self.direct() else { return self.write_to_psql(sql).await };
        self.heard.state().places.wrote(sql);
        let done = session.batch_execute(&String::from_utf8_lossy(sql)).await;
        done.map_err(|error| self.refused(&error))
    }

    async fn write_to_psql(&mut self, sql: &[u8]) -> Result<(), Broken> {
        self.heard.state().places.wrote(sql);
        self.psql.write(sql).await.map_err(|_| Broken)
    }

    /// What is written next begins in this line of the dump; nothing: it is ours.
    pub fn at(&mut self, dump: Option<u64>) {
        self.heard.state().places.at(dump);
    }

    /// What is written next is this statement.
    ///
    /// # Errors
    /// When rows come, and statements have failed before them.
    pub async fn begins(&mut self, begun: Begun) -> Result<(), Broken> {
        self.give_up_when_hopeless()?;
        let mut spoke = false;
        if let Some(collecting) = &mut self.collecting {
            let (lenient, among_rows) = (collecting.lenient, collecting.is_among_rows());
            collecting.copies.1 += usize::from(begun.act == "COPY");
            spoke = match (begun.manner, lenient) {
                (Manner::Rows | Manner::Reading, true) => self.strict().await.map(|()| true)?,
                (Manner::Makes, false) if !among_rows => self.lenient().await.map(|()| true)?,
                _ if self.heard.state().places.is_full() => self.ask("").await.map(|_| true)?,
                _ => false,
            };
        }
        if let Some(standard_strings) = begun.guarded {
            self.at(None);
            self.write(guard(standard_strings).as_bytes()).await?;
            spoke = true;
        }
        if spoke {
            // What we said to psql has lines, too.
            self.at(begun.line);
        }
        self.remember(begun);
        Ok(())
    }

    /// Rows of the COPY that was just begun come next; in the dump its first row is in this line.
    pub fn rows(&mut self, first: u64) {
        self.heard.state().places.rows(first);
    }

    /// How many COPYs have come so far, when others than this psql took some of them.
    pub fn come(&mut self, copies: usize) {
        if let Some(collecting) = &mut self.collecting {
            collecting.copies.1 = copies;
        }
    }

    /// Whether psql can say when it is done with something.
    pub fn answers(&self) -> bool {
        self.answers
    }

    /// Whether nothing that was collected has failed so far.
    pub fn is_well(&self) -> bool {
        !self.given_up && !self.heard.state().has_failed()
    }

    /// Waits until everything that was written is done. What was collected may have failed.
    ///
    /// # Errors
    /// When psql is gone.
    pub async fn settled(&mut self) -> Result<(), Broken> {
        self.ask("").await.map(|_| ())
    }

    /// The same where nothing is collected: it is told with its object when it fails.
    pub fn remember(&mut self, begun: Begun) {
        self.heard.state().places.begins(begun);
    }

    /// From here on the first error ends psql again. Everything before is done then, and nothing of it has failed.
    ///
    /// # Errors
    /// When something has.
    pub async fn strict(&mut self) -> Result<(), Broken> {
        let Some(collecting) = &mut self.collecting else { return Ok(()) };
        if !std::mem::replace(&mut collecting.lenient, false) {
            return Ok(());
        }
        let state = self.ask("\\set ON_ERROR_STOP on\n").await?;
        self.given_up = self.heard.state().has_failed() || state.trim() != "on";
        if self.given_up { Err(Broken) } else { Ok(()) }
    }

    async fn lenient(&mut self) -> Result<(), Broken> {
        if let Some(collecting) = &mut self.collecting {
            collecting.lenient = true;
        }
        self.heard.state().spares = true;
        self.command("\\set ON_ERROR_STOP off\n").await
    }

    /// Runs a command of ours, and waits until psql has said in which state it is.
    async fn ask(&mut self, command: &str) -> Result<String, Broken> {
        self.asked += 1;
        let key = self.heard.state().key.clone();
        self.command(&format!("{command}\\warn {key} {} :ON_ERROR_STOP\n", self.asked)).await?;
        let Some(answer) = self.heard.answered(self.asked).await else {
            self.give_up_when_hopeless()?;
            return Err(Broken);
        };
        self.heard.state().places.forget();
        Ok(answer)
    }

    fn give_up_when_hopeless(&mut self) -> Result<(), Broken> {
        self.given_up = self.collecting.is_some() && self.heard.state().is_hopeless();
        if self.given_up { Err(Broken) } else { Ok(()) }
    }

    /// psql takes commands from who knows its key.
    async fn command(&mut self, command: &str) -> Result<(), Broken> {
        let key = &self.restrict;
        let lines = match key.is_empty() {
            true => format!("\n{command}"),
            false => format!("\n\\unrestrict {key}\n{command}\\restrict {key}\n"),
        };
        self.at(None);
        self.write_to_psql(lines.as_bytes()).await
    }

    /// What is fed is no dump but single tables: an error has no place in one, and may mean something else.
    #[must_use]
    pub fn of_tables(self) -> Loader {
        self.heard.state().of_tables = true;
        self
    }

    /// Why psql stopped reading.
    pub async fn failure(self) -> anyhow::Error {
        if self.given_up {
            // It waits for more, and must not take the end of its input for the end of the replay.
            drop(self.psql);
            return failed(&self.database, &self.heard, None).into();
        }
        match self.psql.last_words().await {
            Ok(ended) => failed(&self.database, &self.heard, Some(ended.status)).into(),
            Err(error) => error,
        }
    }

    /// Ends the input, which the caller knows to be whole, and waits for psql.
    ///
    /// # Errors
    /// When a statement failed or psql ended badly.
    pub async fn finish(mut self) -> Result<Loaded> {
        if self.strict().await.is_err() {
            return Err(self.failure().await);
        }
        let ended = self.psql.finish().await?;
        // Where the first error ends psql its status tells, whatever language its notices are in.
        let has_failed = self.collecting.is_some() && self.heard.state().has_failed();
        if !ended.status.success() || has_failed {
            bail!(failed(&self.database, &self.heard, Some(ended.status)));
        }
        let mut said = self.said;
        said.extend_from_slice(&ended.stdout);
        let spared = std::mem::take(&mut self.heard.state().spared);
        Ok(Loaded { spared, ..Loaded::read(&said) })
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

    /// What the server answers to a question of one value, nothing where there is none. Whatever the replay returns by itself is no
    /// answer: it does not know the key.
    ///
    /// # Errors
    /// When a statement failed before, or the question itself.
    pub async fn answer(&mut self, question: &str) -> Result<String, Broken> {
        if let Some(session) = self.direct() {
            let value = session.query_one(&format!("SELECT pg_catalog.concat(({question}))"), &[]).await;
            return value.and_then(|row| row.try_get(0)).map_err(|error| self.refused(&error));
        }
        self.asked += 1;
        let mark = format!("{} {} ", self.returns, self.asked);
        self.write(format!("SELECT pg_catalog.concat('{RETURNED}{mark}', ({question}));\n").as_bytes()).await?;
        self.returned(&mark).await
    }

    /// What psql has said so far.
    pub fn so_far(&self) -> Loaded {
        Loaded::read(&self.said)
    }
}

/// psql no longer reads; [`Loader::failure`] says why.
#[derive(Debug, Clone, Copy)]
pub struct Broken;

fn wanted(line: &[u8]) -> bool {
    line.starts_with(b"COPY ") || line.starts_with(RETURNED.as_bytes())
}

impl Collecting {
    /// Whether more rows come after those that have come: what is between them is mostly their echo.
    fn is_among_rows(&self) -> bool {
        let (all, come) = self.copies;
        come > 0 && come < all
    }
}

/// Whether messages come in English for this value of `lc_messages`.
fn is_english(language: &str) -> bool {
    language.starts_with("en") || ["C", "POSIX"].contains(&language.split('.').next().unwrap_or_default())
}

/// What nobody can guess.
fn key() -> Result<String> {
    let mut key = [0; 16];
    rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())?;
    Ok(key.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn failed(database: &str, heard: &Heard, status: Option<ExitStatus>) -> Failure {
    let of_a_statement = status.is_none_or(|status| status.code() == Some(ENDED_BY_A_STATEMENT));
    let (failures, hints) = heard.state().take(of_a_statement);
    match (failures.is_empty(), status) {
        (true, Some(status)) => {
            Failure::new(format!("the replay into {database} failed: {}", crate::process::ended(status)))
        }
        (true, None) => {
            Failure::new(format!("the replay into {database} failed: psql is not in the state that it was told"))
        }
        _ => Failure::new(format!("the replay into {database} failed")).hints(hints).because(failures),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_english_is_read() {
        assert!(["C", "C.UTF-8", "POSIX", "en_US.UTF-8"].into_iter().all(is_english));
        assert!(["", "de_DE.UTF-8", "Ca", "ca_ES"].into_iter().all(|language| !is_english(language)));
    }
}
