//! What a replay has heard from psql: which statements failed, why, and which of them only follow from others.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::place::Places;
use super::words::Message;
use crate::error::statements::{Failed, Failures};
use crate::sources::postgres::rewrite::Begun;
use crate::sources::postgres::sqlstate;
use crate::sources::postgres::statement::{Manner, Subject};

/// How many names of what was not made are kept.
const NAMES: usize = 10_000;

/// Shared by who feeds psql and who listens to it.
#[derive(Clone, Default)]
pub struct Heard(Arc<(Mutex<State>, Notify)>);

#[derive(Default)]
pub struct State {
    /// What was written.
    pub places: Places,
    /// A line of psql's that begins so is an answer to us; nobody else can know it.
    pub key: String,
    /// What is written is no dump but single tables: an error has no place in one, and may mean something else.
    pub of_tables: bool,
    /// Whether failures that are harmless under a named condition are spared.
    pub spares: bool,
    /// Failures that were spared, with the reason.
    pub spared: Vec<(Failed, &'static str)>,
    failures: Failures,
    missing: Missing,
    open: Option<Message>,
    answer: Option<String>,
    is_over: bool,
    is_hopeless: bool,
}

/// Codes after which nothing more is tried: every further statement would do harm or tell nothing. Resources, the operator's will,
/// the disk, damage.
const HOPELESS: [&str; 4] = ["53", "57", "58030", "XX"];

/// Codes whose message names what is lacking: the same words have the same cause, whatever the statement.
const LACKING: [&str; 4] = ["42P01", "42704", "42883", "3F000"];

impl Heard {
    /// The state, for a moment.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a line of psql's standard error; nothing at its end.
    pub fn hear(&self, line: Option<&[u8]>) {
        self.state().hear(line.map(String::from_utf8_lossy).as_deref());
        self.0.1.notify_one();
    }

    /// Waits for psql's answer of this number: everything that it said before is heard then. Nothing when psql ended first, or is not
    /// worth waiting for.
    pub async fn answered(&self, number: u64) -> Option<String> {
        let wanted = format!("{number} ");
        loop {
            {
                let state = self.state();
                if let Some(rest) = state.answer.as_deref().and_then(|answer| answer.strip_prefix(&wanted)) {
                    return Some(rest.to_owned());
                }
                if state.is_over || state.is_hopeless {
                    return None;
                }
            }
            self.0.1.notified().await;
        }
    }
}

impl State {
    /// Whether a statement has failed that is not harmless.
    pub fn has_failed(&self) -> bool {
        !self.failures.is_empty()
    }

    /// Whether what failed is of a kind after which nothing more is to be tried.
    pub fn is_hopeless(&self) -> bool {
        self.is_hopeless
    }

    /// What failed, and what to do about each cause. Where nothing did and psql has ended because of a statement:
    /// the last that was spared, among rows.
    pub fn take(&mut self, because_of_a_statement: bool) -> (Failures, Vec<&'static str>) {
        let mut failures = std::mem::take(&mut self.failures);
        if failures.is_empty() && because_of_a_statement {
            failures.listed.extend(self.spared.pop().map(|(failed, _)| failed));
        }
        let hint = if self.of_tables { sqlstate::hint_of_tables } else { sqlstate::hint };
        let mut hints = Vec::new();
        for hint in failures.listed.iter().filter_map(|one| hint(one.code.as_deref(), &one.message)) {
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
        (failures, hints)
    }

    fn hear(&mut self, line: Option<&str>) {
        let Some(line) = line else {
            self.close();
            self.is_over = true;
            return;
        };
        if let Some(answer) = line.strip_prefix(&self.key).filter(|_| !self.key.is_empty()) {
            self.close();
            self.answer = Some(answer.trim_start().to_owned());
        } else if let Some(message) = Message::begin(line) {
            self.close();
            self.open = Some(message);
        } else if let Some(open) = &mut self.open {
            open.go_on(line);
        } else if self.spares && !line.trim().is_empty() {
            // Where psql's exit status does not tell, nothing that it says may be passed over.
            self.open = Some(Message::unknown(line));
        }
    }

    /// The message that was being read is whole.
    fn close(&mut self) {
        let Some(message) = self.open.take().filter(|message| !message.is_fine()) else { return };
        let is_last = |one: &Failed| one.code.is_none() || ["FATAL", "PANIC"].contains(&one.severity.as_str());
        let is_echo = message.code.is_none() && self.failures.listed.last().is_some_and(is_last);
        // A connection that ends is told by the server, by libpq and by psql.
        if self.is_hopeless || is_echo {
            return;
        }
        if !self.spares {
            // The first error ends psql: what came before it was a notice, in a language that is not read.
            self.failures = Failures::default();
        }
        let begun = message.line.and_then(|line| self.places.statement(line));
        let subject = begun.map(|begun| begun.about.subject());
        let failed = self.failed(&message, begun, subject.as_ref());
        let is_among_others = message.line.is_some_and(|line| self.places.is_in_transaction(line));
        let code = failed.code.as_deref().unwrap_or_default();
        if let Some(why) = subject
            .as_ref()
            .filter(|_| self.spares && !is_among_others)
            .and_then(|subject| sqlstate::harmless(code, subject))
        {
            if self.spared.len() < Failures::MOST {
                self.spared.push((failed, why));
            }
            return;
        }
        let follows = match code {
            "25P02" => self.has_failed(),
            code => LACKING.contains(&code) && self.missing.speaks_of(&message.said),
        };
        let (hopeless, lacking) = (HOPELESS.iter().any(|class| code.starts_with(class)), LACKING.contains(&code));
        if let Some(subject) = subject.filter(|subject| subject.act == "CREATE") {
            self.missing.add(&subject);
        }
        let failures = &mut self.failures;
        if follows {
            failures.following += 1;
        } else if let Some(same) = failures
            .listed
            .iter_mut()
            .find(|one| lacking && (&one.code, &one.message) == (&failed.code, &failed.message))
        {
            same.more += 1;
        } else if failures.listed.len() < Failures::MOST {
            failures.listed.push(failed);
        } else {
            failures.more += 1;
        }
        self.is_hopeless = hopeless;
    }

    fn failed(&self, message: &Message, begun: Option<&Begun>, subject: Option<&Subject>) -> Failed {
        let (mut line, mut place) = message.line.map(|line| self.places.of(line)).unwrap_or_default();
        // Where a statement begins is where people look for it; of a COPY the row is told.
        match begun.map(|begun| (begun.line, begun.lines)) {
            Some((Some(first), Some(_))) => (line, place) = (Some(first), format!("line {first} of the dump")),
            Some((None, _)) => (line, place) = (None, String::new()),
            _ if self.of_tables => (line, place) = (None, String::new()),
            // Not in its rows: in what is ours before and behind them.
            Some((Some(first), None)) if line.is_none() => {
                (line, place) = (Some(first), format!("line {first} of the dump"));
            }
            _ => {}
        }
        let mut told = message.told();
        if let Some((number, row)) = message.row().and_then(|row| Some((message.line?, row)))
            && let Some((at, of_dump)) = self.places.row(number, row)
        {
            (line, place) = (Some(at), format!("line {at} of the dump"));
            told = message.told_of_row(of_dump);
        }
        let hides =
            message.code.as_deref().is_some_and(|code| code.starts_with("P0")) && subject.is_some_and(calls_for_rows);
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Failed {
            code: message.code.clone(),
            severity: message.severity.clone(),
            message: if hides { BY_A_FUNCTION.to_owned() } else { told },
            statement: subject.and_then(|subject| some(&subject.title)),
            kind: subject.and_then(|subject| some(subject.kind)),
            name: subject.and_then(|subject| some(&subject.name)),
            line,
            place,
            more: 0,
        }
    }
}

/// What is told of an error that a function raised about a row.
const BY_A_FUNCTION: &str = "raised by a function, whose words may hold a row and are not shown";

/// Whether functions are called for each row: a default, a check, an index's expression.
fn calls_for_rows(subject: &Subject) -> bool {
    subject.manner == Manner::Rows
        || subject.act == "REFRESH"
        || ["INDEX", "CONSTRAINT", "MATERIALIZED VIEW"].contains(&subject.kind)
}

/// Names of what a failed CREATE did not make, by what a message calls such a thing.
#[derive(Default)]
struct Missing {
    whole: BTreeSet<(&'static str, String)>,
    last: BTreeSet<(&'static str, String)>,
}

/// What a message calls a thing, and the kinds of objects that are called so.
const CALLED: [(&str, &[&str]); 6] = [
    ("relation", &["TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE", "INDEX"]),
    ("schema", &["SCHEMA"]),
    // A table is a type, too, and an extension mostly makes one of its own name.
    ("type", &["TYPE", "DOMAIN", "TABLE", "VIEW", "EXTENSION"]),
    ("function", &["FUNCTION", "AGGREGATE"]),
    ("procedure", &["PROCEDURE"]),
    ("extension", &["EXTENSION"]),
];

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

impl Missing {
    fn add(&mut self, subject: &Subject) {
        for (called, _) in CALLED.iter().filter(|(_, kinds)| kinds.contains(&subject.kind)) {
            if !subject.name.is_empty() && self.whole.len() < NAMES {
                self.whole.insert((called, subject.name.clone()));
                self.last.insert((called, last(&subject.name).to_owned()));
            }
        }
    }

    /// Whether `relation "shop.items" does not exist` is about one of these.
    fn speaks_of(&self, said: &str) -> bool {
        let Some((called, rest)) = CALLED.iter().find_map(|(called, _)| Some((*called, said.strip_prefix(called)?)))
        else {
            return false;
        };
        let Some(rest) = rest.strip_prefix(' ') else { return false };
        let name = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next(),
            None => rest.split(['(', ' ']).next(),
        };
        let Some(name) = name.filter(|_| said.contains(" does not exist")) else { return false };
        let key = |name: &str| (called, name.to_owned());
        match name.contains('.') {
            true => self.whole.contains(&key(name)) || self.whole.contains(&key(last(name))),
            false => self.last.contains(&key(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::postgres::statement::Statement;

    /// Statements, one a line, and what psql says of some of them.
    fn heard(sql: &str, said: &[(u64, &str)]) -> State {
        let mut state = State { key: "KEY".into(), spares: true, ..State::default() };
        state.places.at(Some(1));
        for (at, line) in (1..).zip(sql.lines()) {
            let begun = Begun::of(&Statement::parse(line.as_bytes(), true), true);
            state.places.begins(Begun { line: Some(at), lines: Some(0), ..begun });
            state.places.written += 1;
        }
        for (line, said) in said {
            state.hear(Some(&format!("psql:<stdin>:{line}: ERROR:  {said}")));
        }
        state.hear(Some("KEY 1 on"));
        state
    }

    #[test]
    fn what_follows_from_an_earlier_failure_is_counted() {
        let sql = "CREATE TABLE s.t (c lost);\nALTER TABLE s.t OWNER TO o;\nCREATE VIEW s.v AS SELECT * FROM s.t;\n\
                   GRANT SELECT ON TABLE s.v TO o;\nGRANT SELECT ON TABLE other TO o;\nGRANT ALL ON TABLE x TO t;\n";
        let mut state = heard(
            sql,
            &[
                (1, "42704: type \"lost\" does not exist"),
                (2, "42P01: relation \"s.t\" does not exist"),
                (3, "42P01: relation \"s.t\" does not exist"),
                (4, "42P01: relation \"s.v\" does not exist"),
                (5, "42P01: relation \"other\" does not exist"),
                (6, "42704: role \"t\" does not exist"),
            ],
        );
        let (failures, hints) = state.take(true);
        let lines: Vec<_> = failures.listed.iter().map(|one| one.line.unwrap()).collect();
        assert_eq!((lines, failures.following), (vec![1, 5, 6], 3));
        assert_eq!(failures.listed[0].name.as_deref(), Some("s.t"));
        assert_eq!(hints.len(), 2, "one for each cause: {hints:?}");
    }

    #[test]
    fn a_lost_transaction_is_told_once_and_never_forgotten() {
        let said = "25P02: current transaction is aborted";
        let mut state = heard("A;\nB;\nC;\n", &[(1, said), (2, said), (3, said)]);
        let (failures, _) = state.take(true);
        assert_eq!((failures.listed.len(), failures.following), (1, 2));
    }

    #[test]
    fn memory_is_bounded_and_the_rest_is_counted() {
        let sql: String = (0..200).map(|i| format!("CREATE TABLE t{i} (i int);\n")).collect();
        let said: Vec<String> = (0..200).map(|i| format!("42P07: relation \"t{i}\" already exists")).collect();
        let said: Vec<(u64, &str)> = (1..).zip(said.iter().map(String::as_str)).collect();
        let (failures, _) = heard(&sql, &said).take(true);
        assert_eq!((failures.listed.len(), failures.more), (Failures::MOST, 200 - Failures::MOST as u64));
        let same: Vec<(u64, &str)> = (1..=200).map(|line| (line, "42704: type \"x\" does not exist")).collect();
        let (failures, _) = heard(&sql, &same).take(true);
        assert_eq!((failures.listed.len(), failures.listed[0].more), (1, 199));
    }

    #[test]
    fn a_full_disk_ends_it_and_a_lost_connection_is_told_once() {
        let mut state =
            heard("A;\nB;\n", &[(1, "53100: could not extend file"), (2, "42P07: relation \"b\" already exists")]);
        assert!(state.is_hopeless());
        assert_eq!(state.take(true).0.listed.len(), 1);
        let mut state = heard("A;\nB;\n", &[(1, "42501: no"), (2, "42501: no")]);
        assert_eq!(state.take(true).0.listed.len(), 2, "the same words about two objects");
        let mut state = State::default();
        for line in [
            "psql:<stdin>:2: FATAL:  57P01: terminating",
            "psql:<stdin>:2: server closed the connection unexpectedly",
            "psql:<stdin>:2: error: connection to server was lost",
        ] {
            state.hear(Some(line));
        }
        state.hear(None);
        assert_eq!(state.take(true).0.listed.len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_a_failure_where_nothing_else_would_tell() {
        for (spares, fails) in [(true, true), (false, false)] {
            let mut state = State { spares, key: "KEY".into(), ..State::default() };
            state.hear(Some("psql(stdin)12 ERROR 42P01 in words of another version"));
            state.hear(Some("KEY 1 on"));
            assert_eq!(state.has_failed(), fails);
        }
    }

    #[test]
    fn where_the_first_error_ends_psql_notices_in_another_language_are_no_failures() {
        let mut state = State::default();
        for said in ["HINWEIS:  42710: gibt es schon", "WARNUNG:  01000: so so", "FEHLER:  42P01: gibt es nicht"] {
            state.hear(Some(&format!("psql:<stdin>:1: {said}")));
        }
        state.hear(None);
        let listed = state.take(true).0.listed;
        assert_eq!(listed.iter().map(|one| one.severity.as_str()).collect::<Vec<_>>(), ["FEHLER"]);
    }

    #[test]
    fn the_words_of_a_function_are_told_but_where_it_is_called_with_rows() {
        let sql = "COPY t FROM stdin;\nCREATE UNIQUE INDEX i ON t (f(c));\nCREATE EXTENSION e;\n";
        let said: Vec<(u64, &str)> = (1..=3).map(|line| (line, "P0001: no address: s3cret")).collect();
        let (failures, _) = heard(sql, &said).take(true);
        let told: Vec<bool> = failures.listed.iter().map(|one| one.to_string().contains("s3cret")).collect();
        assert_eq!(told, [false, false, true]);
    }

    #[test]
    fn a_copy_that_fails_in_what_is_ours_is_told_where_it_stands() {
        let mut state = State::default();
        state.places.at(None);
        let begun = Begun::of(&Statement::parse(b"COPY t FROM stdin;", true), true);
        state.places.begins(Begun { line: Some(7), lines: None, ..begun });
        // Its transaction begins, it has a row, and the transaction ends.
        state.places.written += 2;
        state.places.at(Some(7));
        state.places.written += 1;
        state.places.rows(8);
        state.places.written += 2;
        state.places.at(None);
        state.places.written += 1;
        for line in [1, 6] {
            state.hear(Some(&format!("psql:<stdin>:{line}: ERROR:  23505: duplicate key")));
            state.close();
            let failures = state.take(true).0;
            assert_eq!((failures.listed[0].line, &*failures.listed[0].place), (Some(7), "line 7 of the dump"));
        }
    }

    #[test]
    fn only_the_answer_to_the_key_is_one() {
        let mut state = heard("A;\n", &[(1, "42501: no\nKEX 1 on\n KEY 2 on")]);
        assert_eq!(state.answer.as_deref(), Some("1 on"));
        state.hear(Some("KEY 2 on"));
        assert_eq!(state.answer.as_deref(), Some("2 on"));
    }
}
