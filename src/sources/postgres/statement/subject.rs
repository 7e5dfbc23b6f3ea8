//! What a statement of a replay is about, as it is told when it fails, and what the replay has to know before it is sent.

use std::fmt;

use super::shown::Shown;
use super::{Class, Statement};
use crate::sources::postgres::token::{Kind, Tokens};

/// The longest beginning of a statement that is read for this, in bytes.
const READ_BYTES: usize = 4096;

/// Words between a statement's verb and the kind of its object.
const BEFORE: [&str; 11] = [
    "or",
    "replace",
    "unique",
    "unlogged",
    "temporary",
    "temp",
    "global",
    "local",
    "recursive",
    "trusted",
    "procedural",
];

/// Kinds of objects of more than one word, as they are told and word by word; the first that fits.
pub const LONG_KINDS: [(&str, &[&str]); 13] = [
    ("MATERIALIZED VIEW", &["materialized", "view"]),
    ("FOREIGN DATA WRAPPER", &["foreign", "data", "wrapper"]),
    ("FOREIGN TABLE", &["foreign", "table"]),
    ("EVENT TRIGGER", &["event", "trigger"]),
    ("OPERATOR CLASS", &["operator", "class"]),
    ("OPERATOR FAMILY", &["operator", "family"]),
    ("TEXT SEARCH CONFIGURATION", &["text", "search", "configuration"]),
    ("TEXT SEARCH DICTIONARY", &["text", "search", "dictionary"]),
    ("TEXT SEARCH PARSER", &["text", "search", "parser"]),
    ("TEXT SEARCH TEMPLATE", &["text", "search", "template"]),
    ("ACCESS METHOD", &["access", "method"]),
    ("USER MAPPING", &["user", "mapping"]),
    ("DEFAULT PRIVILEGES", &["default", "privileges"]),
];

/// Kinds of one word.
const SHORT_KINDS: [&str; 26] = [
    "TABLE",
    "INDEX",
    "VIEW",
    "SEQUENCE",
    "SCHEMA",
    "EXTENSION",
    "TYPE",
    "DOMAIN",
    "FUNCTION",
    "PROCEDURE",
    "AGGREGATE",
    "OPERATOR",
    "TRIGGER",
    "RULE",
    "POLICY",
    "PUBLICATION",
    "SUBSCRIPTION",
    "SERVER",
    "LANGUAGE",
    "COLLATION",
    "CONVERSION",
    "STATISTICS",
    "COLUMN",
    "CONSTRAINT",
    "ROLE",
    "DATABASE",
];

/// First words that somebody asks for: to compare with any other is in vain.
const ACTS: [&str; 9] = ["CREATE", "COPY", "COMMENT", "INSERT", "REFRESH", "BEGIN", "START", "COMMIT", "END"];

/// What a replay has to know of a statement before it sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It brings rows. Where a COPY fails, its rows must never be read as statements; where a table is missing, a million INSERTs fail.
    Rows,
    /// It decides how the bytes after it are read: when it fails, psql and we would read them differently.
    Reading,
    /// It goes with what stands around it: SET, SELECT, BEGIN.
    Along,
    /// It makes or changes something, and others can be tried when it fails.
    Makes,
}

/// The longest statement that is kept to be read when somebody asks what it is about, in bytes; many are kept at once.
const KEPT_BYTES: usize = 512;

/// What a statement is about, read when somebody asks, which is where it fails.
#[derive(Clone, PartialEq, Eq)]
pub enum About {
    /// Of a long one.
    Read(Subject),
    /// The statement, and whether strings are standard ones in it.
    Unread(Box<[u8]>, bool),
}

impl About {
    /// Takes what is needed of a statement that is held whole.
    pub fn of(statement: &Statement<'_>, standard_strings: bool) -> About {
        match statement.sql {
            sql if sql.len() <= KEPT_BYTES => About::Unread(sql.into(), standard_strings),
            _ => About::Read(Subject::of(statement, standard_strings)),
        }
    }

    /// What it is about.
    pub fn subject(&self) -> Subject {
        match self {
            About::Read(subject) => subject.clone(),
            About::Unread(sql, standard_strings) => {
                Subject::of(&Statement::parse(sql, *standard_strings), *standard_strings)
            }
        }
    }
}

/// Without the statement, which may hold a password.
impl fmt::Debug for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.subject().fmt(f)
    }
}

/// What a statement is about; names, never a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its first words, see [`Statement::title`].
    pub title: String,
    /// Its first word, see [`act`].
    pub act: &'static str,
    /// The kind of the object in capitals: `MATERIALIZED VIEW`; empty when there is none that we know.
    pub kind: &'static str,
    /// The object's name as the catalogue has it, `schema.name` where it says so; empty when there is none.
    pub name: String,
    /// Whether the statement ends with that name.
    pub bare: bool,
    /// How it is to be sent.
    pub manner: Manner,
}

impl Subject {
    /// Reads a statement that is held whole.
    pub fn of(statement: &Statement<'_>, standard_strings: bool) -> Subject {
        let manner = manner(statement);
        if manner == Manner::Rows {
            // Of these only the first words were read.
            return Subject { manner, ..Subject::beginning(statement.sql, standard_strings) };
        }
        let (kind, name, bare) = object(statement);
        Subject { title: statement.title(), act: act(statement), kind, name, bare, manner }
    }

    /// Reads the beginning of a statement that is longer than what is held.
    pub fn beginning(sql: &[u8], standard_strings: bool) -> Subject {
        let tokens = Tokens::new(&sql[..sql.len().min(READ_BYTES)], standard_strings).take(16).collect();
        let statement = Statement::of(sql, tokens);
        let act = act(&statement);
        let (kind, name, _) = match act {
            "COPY" => ("TABLE", name_at(&statement, 1).0, false),
            "INSERT" => ("TABLE", name_at(&statement, 2).0, false),
            _ => object(&statement),
        };
        let title = match act {
            "COPY" => format!("COPY {name}"),
            "INSERT" => format!("INSERT INTO {name}"),
            _ => statement.title(),
        };
        Subject { title, act, kind, name, bare: false, manner: manner(&statement) }
    }
}

/// A statement's first word in capitals: `CREATE`; empty when it is none that somebody asks for.
pub fn act(statement: &Statement<'_>) -> &'static str {
    let first = statement.token(0).map_or(&b""[..], |first| first.text);
    ACTS.into_iter().find(|act| first.eq_ignore_ascii_case(act.as_bytes())).unwrap_or_default()
}

/// How a statement is to be sent.
pub fn manner(statement: &Statement<'_>) -> Manner {
    let Some(first) = statement.token(0) else { return Manner::Along };
    let is = |words: &[&str]| words.iter().any(|word| first.is(word));
    match &statement.class {
        _ if is(&["copy", "insert"]) => Manner::Rows,
        _ if is(&["discard"]) || (is(&["reset"]) && statement.is(1, "all")) => Manner::Reading,
        Class::Set(setting) if ["standard_conforming_strings", "client_encoding"].contains(&setting.name.as_str()) => {
            Manner::Reading
        }
        _ if is(&["set"]) && statement.is(1, "names") => Manner::Reading,
        _ if is(&["set", "reset", "select", "begin", "start", "commit", "end", "rollback", "abort", "analyze"]) => {
            Manner::Along
        }
        _ => Manner::Makes,
    }
}

/// Kind and name of the object, and whether the statement ends there.
fn object(statement: &Statement<'_>) -> (&'static str, String, bool) {
    let is = |at: usize, word: &str| statement.is(at, word);
    let start = match statement.token(0) {
        Some(first) if ["create", "alter", "drop"].iter().any(|word| first.is(word)) => 1,
        Some(first) if first.is("comment") || first.is("security") => match statement.find(1, "on") {
            Some(on) => on + 1,
            None => return Default::default(),
        },
        Some(first) if first.is("grant") || first.is("revoke") => match statement.find(1, "on") {
            Some(on) => on + 1,
            None => return Default::default(),
        },
        _ => return Default::default(),
    };
    let mut at = start;
    // CONSTRAINT is a kind of its own in COMMENT ON CONSTRAINT, and comes before one in CREATE CONSTRAINT TRIGGER.
    let is_before = |at: usize| match is(at, "constraint") {
        true => is(at + 1, "trigger"),
        false => BEFORE.iter().any(|word| is(at, word)),
    };
    while is(0, "create") && is_before(at) {
        at += 1;
    }
    let named = statement.token(at).filter(|token| token.kind == Kind::Word).map_or(&b""[..], |token| token.text);
    let begins = |word: &str| named.eq_ignore_ascii_case(word.as_bytes());
    let goes_on = |words: &[&str]| words.iter().enumerate().skip(1).all(|(more, word)| is(at + more, word));
    let long = LONG_KINDS.iter().find(|(_, words)| begins(words[0]) && goes_on(words));
    let (mut kind, words) = match (long, SHORT_KINDS.iter().find(|word| begins(word))) {
        (Some((kind, words)), _) => (*kind, words.len()),
        (None, Some(kind)) => (*kind, 1),
        (None, None) => return Default::default(),
    };
    at += words;
    if is(at, "if") {
        at += if is(at + 1, "not") { 3 } else { 2 };
    }
    while is(at, "only") || is(at, "concurrently") {
        at += 1;
    }
    if kind == "INDEX" && is(at, "on") {
        return (kind, String::new(), false);
    }
    let (mut name, mut end) = name_at(statement, at);
    // ALTER TABLE t ADD CONSTRAINT c makes a constraint, and that is what is missing when it fails.
    if is(0, "alter") && is(end, "add") && is(end + 1, "constraint") {
        let (constraint, after) = name_at(statement, end + 2);
        (kind, name, end) = ("CONSTRAINT", constraint + " on " + &name, after);
    }
    let bare = statement.token(end).is_none_or(|token| token.is_punct(b';')) && statement.token(end + 1).is_none();
    (kind, name, bare)
}

/// `schema.name` at a place, without quotes, and the place after it.
fn name_at(statement: &Statement<'_>, mut at: usize) -> (String, usize) {
    let mut parts = Shown::new(40);
    while let Some(token) = statement.token(at) {
        let quoted = if token.kind == Kind::Quoted { token.name() } else { None };
        if token.kind != Kind::Word && quoted.is_none() {
            break;
        }
        if !parts.is_empty() {
            parts.apart(b'.');
        }
        match quoted {
            Some(name) => parts.push(name.as_bytes()),
            None => parts.push_folded(token.text),
        }
        at += 1;
        if !statement.token(at).is_some_and(|token| token.is_punct(b'.')) {
            break;
        }
        at += 1;
    }
    (parts.text(), at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(sql: &str) -> Subject {
        Subject::of(&Statement::parse(sql.as_bytes(), true), true)
    }

    #[test]
    fn the_object_is_told_by_kind_and_name() {
        for (sql, kind, name) in [
            ("CREATE UNLOGGED TABLE public.\"Odd t\" (i int);", "TABLE", "public.Odd t"),
            ("CREATE OR REPLACE FUNCTION s.f(i int) RETURNS int LANGUAGE sql AS 'x';", "FUNCTION", "s.f"),
            ("CREATE UNIQUE INDEX i ON public.t USING btree (a);", "INDEX", "i"),
            ("CREATE MATERIALIZED VIEW s.m AS SELECT 1;", "MATERIALIZED VIEW", "s.m"),
            ("CREATE CONSTRAINT TRIGGER g AFTER INSERT ON t;", "TRIGGER", "g"),
            ("COMMENT ON CONSTRAINT c ON s.t IS 'x';", "CONSTRAINT", "c"),
            ("CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public;", "EXTENSION", "hstore"),
            ("ALTER TABLE ONLY public.t ADD CONSTRAINT k PRIMARY KEY (i);", "CONSTRAINT", "k on public.t"),
            ("ALTER TABLE public.t OWNER TO shop;", "TABLE", "public.t"),
            ("COMMENT ON EXTENSION plpgsql IS 'x';", "EXTENSION", "plpgsql"),
            ("GRANT SELECT ON TABLE public.t TO shop;", "TABLE", "public.t"),
            ("COPY public.t (a, b) FROM stdin;", "TABLE", "public.t"),
            ("INSERT INTO public.t VALUES (1);", "TABLE", "public.t"),
            ("DO $$BEGIN END$$;", "", ""),
            ("CREATE TABLE type (i int);", "TABLE", "type"),
        ] {
            let found = subject(sql);
            assert_eq!((found.kind, found.name.as_str()), (kind, name), "{sql}");
        }
        assert!(subject("CREATE SCHEMA public;").bare);
        assert!(!subject("CREATE SCHEMA public AUTHORIZATION x;").bare);
        assert!(!subject("CREATE SCHEMA public CREATE TABLE t (i int);").bare);
    }

    #[test]
    fn what_is_read_when_somebody_asks_is_the_same() {
        let long = format!("CREATE SCHEMA s CREATE TABLE t ({} int);", "x".repeat(KEPT_BYTES));
        let escaped = r"SECURITY LABEL FOR 'p\' ON TABLE x' ON TABLE t IS 'hush';";
        let kept = format!("{escaped:KEPT_BYTES$}");
        for (sql, standard_strings) in
            [(&long, true), (&kept, false), (&"INSERT INTO s.t VALUES ('hush');".into(), true)]
        {
            let statement = Statement::parse(sql.as_bytes(), standard_strings);
            let (about, subject) = (About::of(&statement, standard_strings), Subject::of(&statement, standard_strings));
            assert_eq!(about.subject(), subject);
            assert_eq!(format!("{about:?}"), format!("{subject:?}"), "and tells no value");
        }
        let about = |sql: &str| About::of(&Statement::parse(sql.as_bytes(), true), true);
        assert!(matches!((about(&long), about(&kept)), (About::Read(_), About::Unread(..))));
    }

    #[test]
    fn a_title_tells_no_value() {
        for sql in [
            "ALTER ROLE r PASSWORD 'hush';",
            "INSERT INTO t VALUES ('hush', 7);",
            "CREATE USER MAPPING FOR a SERVER s OPTIONS (password 'hush');",
        ] {
            assert!(!subject(sql).title.contains("hush"), "{sql}");
        }
        assert_eq!(subject("COPY public.t (a) FROM stdin;").title, "COPY public.t");
    }

    #[test]
    fn rows_and_what_decides_how_they_are_read_are_told_from_the_rest() {
        for (sql, manner) in [
            ("COPY t FROM stdin;", Manner::Rows),
            ("/* x */ copy t FROM stdin;", Manner::Rows),
            ("INSERT INTO t VALUES (1);", Manner::Rows),
            ("SET standard_conforming_strings = off;", Manner::Reading),
            ("SET SESSION standard_conforming_strings = off;", Manner::Reading),
            ("SET LOCAL client_encoding = 'LATIN1';", Manner::Reading),
            ("RESET standard_conforming_strings;", Manner::Reading),
            ("RESET ALL;", Manner::Reading),
            ("SET NAMES 'UTF8';", Manner::Reading),
            ("DISCARD ALL;", Manner::Reading),
            ("SET default_tablespace = '';", Manner::Along),
            ("SELECT pg_catalog.setval('s', 1);", Manner::Along),
            ("CREATE TABLE t (i int);", Manner::Makes),
            ("DO $$BEGIN END$$;", Manner::Makes),
        ] {
            assert_eq!(subject(sql).manner, manner, "{sql}");
        }
    }
}
