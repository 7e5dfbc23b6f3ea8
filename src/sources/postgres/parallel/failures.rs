//! Failures of several sessions, told as one: in the order of the dump.

use anyhow::Error;

use crate::error::statements::{Failed, Failures, failures_of};
use crate::error::{Failure, hints_of};

/// The failure that stands first in the dump: the others may be its echo, or an accident of who came first.
pub fn earliest(errors: Vec<Error>) -> Error {
    let line = |error: &Error| {
        failures_of(error)
            .and_then(|failures| failures.listed.first())
            .and_then(|failed| failed.line)
            .unwrap_or(u64::MAX)
    };
    let ended = || anyhow::anyhow!("a session of the load ended early");
    errors.into_iter().min_by_key(line).unwrap_or_else(ended)
}

/// All failures, when sessions went on in spite of them.
pub fn together(mut errors: Vec<Error>) -> Error {
    if errors.len() < 2 || errors.iter().any(|error| failures_of(error).is_none()) {
        return earliest(errors);
    }
    let mut hints: Vec<String> = Vec::new();
    let mut all = Failures::default();
    for error in &errors {
        let more = hints_of(error).into_iter().filter(|hint| !hints.contains(hint)).collect::<Vec<_>>();
        hints.extend(more);
        if let Some(failures) = failures_of(error) {
            all.more += failures.more;
            all.following += failures.following;
            all.listed.extend(failures.listed.iter().cloned());
        }
    }
    all.listed.sort_by_key(|failed| failed.line.unwrap_or(u64::MAX));
    let listed = all.listed.len().min(Failures::MOST);
    all.more += all.listed.drain(listed..).map(|failed| 1 + failed.more).sum::<u64>();
    let what = errors.remove(0).to_string();
    Failure::new(what).hints(hints).because(all).into()
}

/// What several sessions have loaded by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// Rows are what the dump has, taken by PostgreSQL's own means and extensions' in C.
    Itself,
    /// Functions were called for rows, which may have read what was there, or not yet.
    Functions,
    /// No rows have come: tables were made, each beside others, and what the server names for itself depends on who was first.
    Making,
}

/// Failures that no order makes: a line that is lost, a server without room for sessions, that is ended or cannot read its disk.
/// Locks and memory (53200) may do for one session.
const NEVER: [&str; 5] = ["08", "53300", "53400", "57", "58"];

/// No room on a disk: none for rows is none in any order, but what several sort at once for their indexes may be too much together.
const NO_ROOM: &str = "53100";

/// What is said of rows, and of keys on them: when no function had a hand in them, they say the same in any order.
const OF_ROWS: [&str; 5] = ["22", "23502", "23503", "23505", "23P01"];

/// A key that another one's failure leaves without its other end.
const ECHO: &str = "42830";

/// Whether the dump's order might have spared us this: everything that it surely would not have is loaded once more by one session.
pub fn may_be_of_the_order(error: &Error, by: By) -> bool {
    let Some(failures) = failures_of(error) else { return false };
    let is = |failed: &Failed, classes: &[&str]| {
        failed.code.as_deref().is_some_and(|code| classes.iter().any(|class| code.starts_with(class)))
    };
    let of_rows = |failed: &Failed| {
        // In a row a value is bad by itself; in a statement it may be a function's.
        let in_statement = is(failed, &["22"]) && failed.kind.as_deref() != Some("TABLE");
        by == By::Itself && is(failed, &OF_ROWS) && !in_statement
    };
    let has_cause = failures.listed.iter().any(of_rows);
    let no_room = |failed: &Failed| is(failed, &[NO_ROOM]) && failed.kind.as_deref() == Some("TABLE");
    let surely_not = |failed: &Failed| {
        failed.code.is_none()
            || is(failed, &NEVER)
            || no_room(failed)
            || of_rows(failed)
            || has_cause && is(failed, &[ECHO])
    };
    failures.following > 0 || !failures.listed.iter().all(surely_not)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(failed: &[(&str, u64)]) -> Error {
        let one = |(code, line): &(&str, u64)| Failed {
            code: Some((*code).to_owned()),
            line: Some(*line),
            kind: Some("TABLE".into()),
            ..Failed::default()
        };
        let failures = Failures { listed: failed.iter().map(one).collect(), ..Failures::default() };
        Failure::new("the replay into x failed").hint(format!("hint {}", failed[0].0)).because(failures).into()
    }

    #[test]
    fn the_first_in_the_dump_is_told_and_those_that_were_collected_all() {
        let lines = |error: &Error| -> Vec<u64> {
            failures_of(error).unwrap().listed.iter().filter_map(|failed| failed.line).collect()
        };
        let both = || vec![error(&[("23505", 9), ("23503", 12)]), error(&[("23505", 4), ("23505", 11)])];
        assert_eq!(lines(&earliest(both())), [4, 11]);
        let together = together(both());
        assert_eq!(lines(&together), [4, 9, 11, 12]);
        assert_eq!(together.to_string(), "the replay into x failed");
        assert_eq!(hints_of(&together), ["hint 23505"]);
    }

    #[test]
    fn only_what_order_cannot_have_made_is_told_at_once() {
        for code in ["23502", "23503", "23505", "23P01", "22P02"] {
            assert!(!may_be_of_the_order(&error(&[(code, 1), ("42830", 2)]), By::Itself), "{code}");
            assert!(may_be_of_the_order(&error(&[(code, 1)]), By::Functions), "{code}");
        }
        for code in ["53100", "53300", "57P01", "57014", "08006", "58030"] {
            assert!(!may_be_of_the_order(&error(&[(code, 1)]), By::Functions), "{code}");
        }
        let in_index = Failed { code: Some("53100".into()), kind: Some("INDEX".into()), ..Failed::default() };
        let sorted = Failures { listed: vec![in_index], ..Failures::default() };
        assert!(may_be_of_the_order(&Failure::new("no room to sort").because(sorted).into(), By::Itself));
        for code in ["40P01", "55P03", "23514", "P0001", "42P01", "42883", "25006", "0A000", "XX000", "53200", "42501"]
        {
            assert!(may_be_of_the_order(&error(&[("23505", 1), (code, 2)]), By::Itself), "{code}");
        }
        assert!(may_be_of_the_order(&error(&[("42830", 2)]), By::Itself));
        assert!(!may_be_of_the_order(&anyhow::anyhow!("cut short"), By::Functions));
    }
}
