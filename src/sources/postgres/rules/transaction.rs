//! What a replay within one transaction of ours must not say: the transaction's end is decided after the proof, by us.
//!
//! pg_dump itself puts BEGIN and COMMIT around large objects.

use super::verdict::{Changes, Does, To, Verdict};
use crate::sources::postgres::statement::{Act, Class, Statement};
use crate::sources::postgres::token::first;

/// Words that begin, end or split a transaction.
const CONTROL: [&str; 9] = ["begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release", "prepare"];

const STAYED: &str = "what stayed in the live database is not made again: IF NOT EXISTS";

pub(super) fn decide(statement: &Statement<'_>) -> Option<Verdict> {
    let is = |at, word| statement.is(at, word);
    let drops_schema = is(0, "drop") && is(1, "schema");
    match () {
        () if is(0, "begin") || is(0, "commit") || (is(0, "end") && !is(1, "and")) || is(0, "start") => {
            Some(Verdict::comment(To::Here, "the whole load is one transaction, which ends after its proof"))
        }
        // PREPARE of a query is harmless; everything else of these would end what is to be decided after the proof.
        () if CONTROL.iter().any(|word| is(0, word)) && (!is(0, "prepare") || is(1, "transaction")) => {
            // Fails as it is: a function of that name is nowhere.
            let fails = b"SELECT pg_catalog.bkp_a_dump_that_rolls_back_needs_a_database_of_its_own();".to_vec();
            let edit = super::verdict::Edit { range: 0..statement.sql.len(), text: fails };
            let said = vec!["a dump that rolls back cannot be loaded in one transaction".to_owned()];
            Some(Verdict { to: To::Here, does: Does::Edit(vec![edit]), said })
        }
        () if is(0, "drop") && is(1, "extension") => {
            Some(Verdict::comment(To::Here, "extensions of the live database stay"))
        }
        () if drops_schema && (2..statement.tokens().len()).any(|at| is(at, "public")) => {
            Some(Verdict::comment(To::Here, "the schema public stays"))
        }
        // It may have stayed, because an extension is in it.
        () if is(0, "create") && is(1, "schema") && !is(2, "if") && !is(2, "authorization") => {
            let mut changes = Changes::default();
            changes.insert_after(statement, 1, "IF NOT EXISTS");
            changes.say(STAYED);
            Some(Verdict::edit(To::Here, changes))
        }
        () => match statement.class {
            Class::Extension { act: Act::Create, .. } if !is(2, "if") => {
                let mut changes = Changes::default();
                changes.insert_after(statement, 1, "IF NOT EXISTS");
                changes.say(STAYED);
                Some(Verdict::edit(To::Here, changes))
            }
            _ => None,
        },
    }
}

/// Whether a statement too long to be held may end the transaction: when it begins so, or nobody can tell.
pub(crate) fn ends_it(beginning: &[u8]) -> bool {
    first(beginning, true).is_none_or(|first| CONTROL.iter().any(|word| first.is(word)))
}
