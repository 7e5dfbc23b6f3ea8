//! What a failing statement of a replay means, by its SQLSTATE: the one table of what is harmless, and the one of hints, with what differs
//! for single tables.
//!
//! Every error fails the replay, but for the few of [`HARMLESS`]. Most of what is harmless never comes to be an
//! error, because the rules change the statement beforehand, each under a named condition and said in the report: CREATE ROLE of a role
//! that is there, DROP of what a new database lacks (`IF EXISTS`), CREATE SCHEMA and CREATE EXTENSION of what stays in a live database
//! (`IF NOT EXISTS`), COMMENT ON EXTENSION where the extension is the provider's, SET of a parameter that the server does not know.
//! Here stand those that nobody can tell before they happen.

use super::statement::Subject;

/// A whole code or the beginning of one, and what the operator does about it. The first that fits is told.
const HINTS: [(&str, &str); 21] = [
    (
        "53100",
        "the server's disk is full: a restore needs room for a second copy of the database; the live one was not touched",
    ),
    (
        "53200",
        "the server is out of memory, or of locks: raise max_locks_per_transaction if the message says so, then run it again",
    ),
    ("53300", "the server has no connection free; stop what holds them, then run the restore again"),
    ("42501", "the account lacks a right; restore with a superuser (POSTGRES_USER), or grant what the message names"),
    ("57P", "the server went away; when it is back, run the restore again"),
    ("08", "the server went away; when it is back, run the restore again"),
    (
        "57014",
        "something took the statement back: a timeout of the server's, or its operator; then run the restore again",
    ),
    (
        "3F000",
        "the dump speaks of what it does not make: it is of rows only (--data-only) or of single tables (--table); a restore needs a dump of the whole database",
    ),
    (
        "42P01",
        "the dump speaks of what it does not make: it is of rows only (--data-only) or of single tables (--table); a restore needs a dump of the whole database",
    ),
    ("42704", "the target lacks something that the dump needs; create it, then run the restore again"),
    (
        "42883",
        "the target lacks a function that the dump needs, perhaps of an extension in another version; install that, then run the restore again",
    ),
    ("58P01", "the server lacks a file, mostly of an extension; install its package on the server"),
    (
        "0A000",
        "the server cannot do what the dump asks: is it older than the one that was saved, or without an extension's library?",
    ),
    ("55P03", "somebody holds what the restore needs; stop the application, then run it again"),
    ("40P01", "the restore and the application waited for each other; stop the application, then run it again"),
    (
        "23",
        "rows of the dump break a constraint of the dump: it was not all of one moment, or was changed by hand; choose another one: bkp list",
    ),
    (
        "22021",
        "the dump's bytes do not fit the database's encoding; create the database with the encoding of the one that was saved",
    ),
    (
        "22",
        "a value of the dump does not fit its column here: another version of an extension, or a dump that was changed by hand",
    ),
    (
        "42601",
        "the server does not know this syntax: is it older than the one that was saved, or was the dump changed by hand?",
    ),
    ("42P07", "the dump makes something twice: was it put together from several dumps?"),
    ("XX", "the server found damage or a defect of its own; look into its log"),
];

/// What means something else where single tables are put into a live database, or comes from nothing but that.
const HINTS_OF_TABLES: [(&str, &str); 8] = [
    ("3F000", "the live database lacks what the table needs; make that there, then run the restore again"),
    ("42P01", "the live database lacks what the table needs; make that there, then run the restore again"),
    ("42704", "the live database lacks what the table needs; make that there, then run the restore again"),
    ("42883", "the live database lacks a function that the table needs; make that there, then run the restore again"),
    (
        "42P07",
        "something in the live database has that name, perhaps of the table itself, which was renamed: rename or drop that, then run the restore again",
    ),
    (
        "23",
        "the rows of the backup and those of the live database do not go together; mend what the message names, or have the table beside and copy rows with SQL",
    ),
    (
        "22",
        "a value of the backup does not fit its column in the live database; have the table beside, without --in-place",
    ),
    (
        "XX001",
        "something in the live database changed the rows on their way; have the table beside, without --in-place",
    ),
];

/// A failure that is none: its SQLSTATE, the statement's first word, the object's kind and name (empty: any), and why.
///
/// Spared only where nothing else is lost with it: not within a transaction, which every error ends.
struct Harmless {
    code: &'static str,
    act: &'static str,
    kind: &'static str,
    name: &'static str,
    why: &'static str,
}

const HARMLESS: [Harmless; 3] = [
    Harmless {
        code: "42501",
        act: "COMMENT",
        kind: "EXTENSION",
        name: "",
        why: "the extension is there and not ours (plpgsql in every new database): only its comment is missing",
    },
    Harmless {
        code: "42501",
        act: "COMMENT",
        kind: "SCHEMA",
        name: "public",
        why: "before 15 the schema public of a new database is a superuser's: only its comment is missing",
    },
    Harmless {
        code: "42P06",
        act: "CREATE",
        kind: "SCHEMA",
        name: "public",
        why: "every new database has the schema public already, which is what pg_dump --schema=public asks for",
    },
];

/// Why this failure is none; nothing when it is one.
pub fn harmless(code: &str, subject: &Subject) -> Option<&'static str> {
    let fits = |known: &&Harmless| {
        (known.code, known.act, known.kind) == (code, subject.act, subject.kind)
            && (known.name.is_empty() || known.name == subject.name)
            // CREATE SCHEMA may have an owner and objects of its own, which would be lost.
            && (known.act == "COMMENT" || subject.bare)
    };
    HARMLESS.iter().find(fits).map(|known| known.why)
}

/// What to do about an error where single tables were fed.
pub fn hint_of_tables(code: Option<&str>, message: &str) -> Option<&'static str> {
    let known = HINTS_OF_TABLES.iter().find(|(known, _)| code.is_some_and(|code| code.starts_with(known)));
    known.map(|(_, hint)| *hint).or_else(|| hint(code, message))
}

/// What to do about an error.
pub fn hint(code: Option<&str>, message: &str) -> Option<&'static str> {
    if message.contains("No space left on device") {
        return by_code("53100");
    }
    match code {
        Some(code) => by_code(code),
        None => message.contains("server closed the connection").then(|| by_code("08006")).flatten(),
    }
}

fn by_code(code: &str) -> Option<&'static str> {
    HINTS.iter().find(|(known, _)| code.starts_with(known)).map(|(_, hint)| *hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::postgres::statement::Statement;

    #[test]
    fn no_entry_hides_another() {
        for (at, (known, _)) in HINTS.iter().enumerate() {
            assert!(HINTS[..at].iter().all(|(before, _)| !known.starts_with(before)), "{known} is never told");
        }
    }

    #[test]
    fn of_single_tables_the_live_database_is_spoken_of_and_else_the_same_is_said() {
        let of = |code: &str| hint_of_tables(Some(code), "x").unwrap_or_default();
        assert!(of("23503").contains("live database") && of("42P07").contains("renamed"));
        assert_eq!(Some(of("53100")), by_code("53100"));
    }

    #[test]
    fn a_hint_goes_by_the_code_and_never_by_the_words() {
        assert!(hint(Some("42501"), "permission denied for 53100: x").is_some_and(|hint| hint.contains("right")));
        assert!(hint(None, "server closed the connection unexpectedly").is_some_and(|hint| hint.contains("went away")));
        assert_eq!(hint(Some("99999"), "new"), None);
        assert_eq!(hint(None, "error: something"), None);
    }

    #[test]
    fn what_is_harmless_has_neighbours_that_are_not() {
        let is = |code: &str, sql: &str| {
            harmless(code, &Subject::of(&Statement::parse(sql.as_bytes(), true), true)).is_some()
        };
        assert!(is("42501", "COMMENT ON EXTENSION plpgsql IS 'x';"));
        assert!(is("42501", "COMMENT ON SCHEMA public IS 'x';"));
        assert!(is("42P06", "CREATE SCHEMA public;"));
        for (code, sql) in [
            ("42704", "COMMENT ON EXTENSION lost IS 'x';"),
            ("42501", "ALTER EXTENSION plpgsql SET SCHEMA x;"),
            ("42501", "COMMENT ON TABLE t IS 'x';"),
            ("42501", "COMMENT ON SCHEMA shop IS 'x';"),
            ("42501", "GRANT ALL ON SCHEMA public TO PUBLIC;"),
            ("42P06", "CREATE SCHEMA shop;"),
            ("42P06", "CREATE SCHEMA public AUTHORIZATION shop;"),
            ("42P06", "CREATE SCHEMA public CREATE TABLE t (i int);"),
            ("42501", "CREATE SCHEMA public;"),
        ] {
            assert!(!is(code, sql), "{code} {sql}");
        }
    }
}
