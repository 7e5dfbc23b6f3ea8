//! What a statement of a replay is about, as it is told when it fails, and what the replay has to know before it is sent.

use super::shown::Shown;
use super::{Class, Statement};
use crate::sources::postgres::token::{Kind, head};

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

/// Kinds of objects of more than one word; the first that fits.
pub const LONG_KINDS: [&[&str]; 13] = [
    &["materialized", "view"],
    &["foreign", "data", "wrapper"],
    &["foreign", "table"],
    &["event", "trigger"],
    &["operator", "class"],
    &["operator", "family"],
    &["text", "search", "configuration"],
    &["text", "search", "dictionary"],
    &["text", "search", "parser"],
    &["text", "search", "template"],
    &["access", "method"],
    &["user", "mapping"],
    &["default", "privileges"],
];

/// Kinds of one word.
const SHORT: [&str; 26] = [
    "table",
    "index",
    "view",
    "sequence",
    "schema",
    "extension",
    "type",
    "domain",
    "function",
    "procedure",
    "aggregate",
    "operator",
    "trigger",
    "rule",
    "policy",
    "publication",
    "subscription",
    "server",
    "language",
    "collation",
    "conversion",
    "statistics",
    "column",
    "constraint",
    "role",
    "database",
];

/// What a replay has to know of a statement before it sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Manner {
    /// It brings rows. Where a COPY fails, its rows must never be read as statements; where a table is missing, a million INSERTs fail.
    Rows,
    /// It decides how the bytes after it are read: when it fails, psql and we would read them differently.
    Reading,
    /// It goes with what stands around it: SET, SELECT, BEGIN.
    #[default]
    Along,
    /// It makes or changes something, and others can be tried when it fails.
    Makes,
}

/// What a statement is about; names, never a value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subject {
    /// Its first words, see [`Statement::title`].
    pub title: String,
    /// Its first word in capitals: `CREATE`.
    pub act: String,
    /// The kind of the object in capitals: `MATERIALIZED VIEW`; empty when there is none that we know.
    pub kind: String,
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
        let act = statement.tokens.first().map_or(String::new(), |first| capitals(first.text));
        Subject { title: statement.title(), act, kind, name, bare, manner }
    }

    /// Reads the beginning of a statement that is longer than what is held.
    pub fn beginning(sql: &[u8], standard_strings: bool) -> Subject {
        let tokens = head(&sql[..sql.len().min(READ_BYTES)], standard_strings, 16);
        let statement = Statement { sql, tokens, class: Class::Other };
        let act = statement.tokens.first().map_or(String::new(), |first| capitals(first.text));
        let (kind, name) = match act.as_str() {
            "COPY" => ("TABLE".to_owned(), name_at(&statement, 1).0),
            "INSERT" => ("TABLE".to_owned(), name_at(&statement, 2).0),
            _ => {
                let (kind, name, _) = object(&statement);
                (kind, name)
            }
        };
        let title = match act.as_str() {
            "COPY" => format!("COPY {name}"),
            "INSERT" => format!("INSERT INTO {name}"),
            _ => statement.title(),
        };
        Subject { title, act, kind, name, bare: false, manner: manner(&statement) }
    }
}

fn capitals(word: &[u8]) -> String {
    let mut word = String::from_utf8_lossy(&word[..word.len().min(20)]).into_owned();
    word.make_ascii_uppercase();
    word
}

fn manner(statement: &Statement<'_>) -> Manner {
    let Some(first) = statement.tokens.first() else { return Manner::Along };
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
fn object(statement: &Statement<'_>) -> (String, String, bool) {
    let is = |at: usize, word: &str| statement.is(at, word);
    let start = match statement.tokens.first() {
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
    let named = statement.tokens.get(at).filter(|token| token.kind == Kind::Word).map_or(&b""[..], |token| token.text);
    let begins = |word: &str| named.eq_ignore_ascii_case(word.as_bytes());
    let goes_on = |words: &[&str]| words.iter().enumerate().skip(1).all(|(more, word)| is(at + more, word));
    let long = LONG_KINDS.iter().find(|words| begins(words[0]) && goes_on(words));
    let mut kind = match (long, SHORT.iter().find(|word| begins(word))) {
        (Some(words), _) => words.join(" "),
        (None, Some(word)) => (*word).to_owned(),
        (None, None) => return Default::default(),
    };
    at += long.map_or(1, |words| words.len());
    let is_index = kind == "index";
    kind.make_ascii_uppercase();
    if is(at, "if") {
        at += if is(at + 1, "not") { 3 } else { 2 };
    }
    while is(at, "only") || is(at, "concurrently") {
        at += 1;
    }
    if is_index && is(at, "on") {
        return (kind, String::new(), false);
    }
    let (mut name, mut end) = name_at(statement, at);
    // ALTER TABLE t ADD CONSTRAINT c makes a constraint, and that is what is missing when it fails.
    if is(0, "alter") && is(end, "add") && is(end + 1, "constraint") {
        let (constraint, after) = name_at(statement, end + 2);
        (kind, name, end) = ("CONSTRAINT".to_owned(), format!("{constraint} on {name}"), after);
    }
    let bare = statement.tokens.get(end).is_none_or(|token| token.is_punct(b';')) && end + 1 >= statement.tokens.len();
    (kind, name, bare)
}

/// `schema.name` at a place, without quotes, and the place after it.
fn name_at(statement: &Statement<'_>, mut at: usize) -> (String, usize) {
    let mut parts = Shown::new(40);
    while let Some(token) = statement.tokens.get(at) {
        let quoted = if token.kind == Kind::Quoted { token.name() } else { None };
        if token.kind != Kind::Word && quoted.is_none() {
            break;
        }
        if !parts.is_empty() {
            parts.push(b".");
        }
        match quoted {
            Some(name) => parts.push(name.as_bytes()),
            None => parts.push_folded(token.text),
        }
        at += 1;
        if !statement.tokens.get(at).is_some_and(|token| token.is_punct(b'.')) {
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
            assert_eq!((found.kind.as_str(), found.name.as_str()), (kind, name), "{sql}");
        }
        assert!(subject("CREATE SCHEMA public;").bare);
        assert!(!subject("CREATE SCHEMA public AUTHORIZATION x;").bare);
        assert!(!subject("CREATE SCHEMA public CREATE TABLE t (i int);").bare);
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
