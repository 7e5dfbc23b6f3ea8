//! What `pg_dump --clean` drops first: in a new database it is not there.
//!
//! Made conditional, as `--if-exists` does it (`RestoreArchive`), rather than commented out: some
//! of it (the schema `public`) is in every new database and is created again by the dump.

use super::verdict::{Changes, To, Verdict};
use crate::sources::postgres::statement::{LONG_KINDS, Statement};

const WHY: &str = "what a new database lacks cannot be dropped: IF EXISTS";

/// What else a DROP may speak of, where the name does not follow the first word.
const MORE_KINDS: [&[&str]; 3] =
    [&["procedural", "language"], &["trusted", "procedural", "language"], &["property", "graph"]];

pub(super) fn drop(statement: &Statement<'_>) -> Verdict {
    if statement.is(1, "subscription") {
        // One that is there would call its publisher.
        return Verdict::comment(To::Here, "the new database has no subscription to drop");
    }
    let mut changes = Changes::default();
    // A statement that ends there names nothing, and is no better with more words in it.
    let names = |at: usize| statement.token(at + 1).is_some_and(|token| !token.is_punct(b';'));
    if statement.is(0, "alter") {
        if names(1) && !statement.is(2, "if") {
            changes.insert_after(statement, 1, "IF EXISTS");
        }
        let dropped = (2..statement.tokens().len()).find(|&at| {
            names(at) && statement.is(at, "constraint") && statement.is(at - 1, "drop") && !statement.is(at + 1, "if")
        });
        if let Some(at) = dropped {
            changes.insert_after(statement, at, "IF EXISTS");
        }
    } else {
        let fits = |kind: &&&[&str]| kind.iter().enumerate().all(|(at, word)| statement.is(at + 1, word));
        let kinds = LONG_KINDS.iter().map(|(_, words)| words).chain(&MORE_KINDS);
        let words = kinds.filter(fits).map(|kind| kind.len()).max().unwrap_or(1);
        if names(words) && !statement.is(words + 1, "if") {
            changes.insert_after(statement, words, "IF EXISTS");
        }
    }
    changes.say(WHY);
    Verdict::edit(To::Here, changes)
}
