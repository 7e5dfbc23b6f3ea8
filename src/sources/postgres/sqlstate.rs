//! What a failing statement of a replay means, by its SQLSTATE: the one table of hints, and what differs for single tables.
//!
//! **Every** error fails the replay, at the first one: in a dump what follows is mostly its echo. What is harmless never comes to be an
//! error, because the rules change the statement beforehand, each under a named condition and said in the report: CREATE ROLE of a role
//! that is there, DROP of what a new database lacks (`IF EXISTS`), CREATE SCHEMA and CREATE EXTENSION of what stays in a live database
//! (`IF NOT EXISTS`), COMMENT ON EXTENSION where the extension is the provider's, SET of a parameter that the server does not know.
//! So nobody has to tell harmless errors from others while they happen.

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

/// What to do about the error in psql's words, where it was fed single tables.
pub fn hint_of_tables(stderr: &str) -> Option<&'static str> {
    let its = |code: &str| HINTS_OF_TABLES.iter().find(|(known, _)| code.starts_with(known)).map(|(_, hint)| *hint);
    code(stderr).and_then(its).or_else(|| hint(stderr))
}

/// What to do about the error in psql's words.
pub fn hint(stderr: &str) -> Option<&'static str> {
    if stderr.contains("No space left on device") {
        return by_code("53100");
    }
    match code(stderr) {
        Some(code) => by_code(code),
        None => stderr.contains("server closed the connection").then(|| by_code("08006")).flatten(),
    }
}

/// The SQLSTATE of the first error (`VERBOSITY=verbose`).
fn code(stderr: &str) -> Option<&str> {
    let marks = ["ERROR:  ", "FATAL:  ", "PANIC:  "];
    let said = stderr.lines().find_map(|line| marks.iter().find_map(|mark| Some(line.split_once(mark)?.1)))?;
    said.get(..5).filter(|code| said[5..].starts_with(':') && code.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn by_code(code: &str) -> Option<&'static str> {
    HINTS.iter().find(|(known, _)| code.starts_with(known)).map(|(_, hint)| *hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_entry_hides_another() {
        for (at, (known, _)) in HINTS.iter().enumerate() {
            assert!(HINTS[..at].iter().all(|(before, _)| !known.starts_with(before)), "{known} is never told");
        }
    }

    #[test]
    fn of_single_tables_the_live_database_is_spoken_of_and_else_the_same_is_said() {
        let of = |code: &str| hint_of_tables(&format!("psql:<stdin>:3: ERROR:  {code}: x")).unwrap_or_default();
        assert!(of("23503").contains("live database") && of("42P07").contains("renamed"));
        assert_eq!(Some(of("53100")), by_code("53100"));
    }

    #[test]
    fn the_code_is_read_and_never_the_words() {
        assert_eq!(code("psql:<stdin>:3: ERROR:  42501: permission denied for 53100: x"), Some("42501"));
        assert_eq!(code("psql:<stdin>:3: ERROR:  permission denied"), None);
        assert!(hint("psql:<stdin>:3: ERROR:  42501: must be owner").is_some_and(|hint| hint.contains("right")));
        assert!(hint("server closed the connection unexpectedly").is_some_and(|hint| hint.contains("went away")));
        assert_eq!(hint("psql:<stdin>:3: ERROR:  99999: new"), None);
    }
}
