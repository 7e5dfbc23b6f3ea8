//! What belongs to the server's provider stays as it is: statements that only its owner may run are left out.

use super::policy::Policy;
use super::verdict::{To, Verdict};
use crate::sources::postgres::name::Name;
use crate::sources::postgres::statement::Statement;

/// The answer for statements on a schema or an extension of the provider's; nothing for all others.
pub(super) fn decide(statement: &Statement<'_>, policy: &Policy) -> Option<Verdict> {
    if policy.provided_schemas.is_empty() && policy.provided_extensions.is_empty() {
        return None;
    }
    let is = |at: usize, word: &str| statement.is(at, word);
    let ours = |at: usize, all: &std::collections::BTreeSet<Name>| {
        let names = statement.name(at)?;
        all.contains(&names).then_some(())
    };
    let labelled = if is(0, "security") && is(1, "label") { statement.find(2, "on") } else { None };
    let commented = (is(0, "comment") && is(1, "on")).then_some(1);
    let granted = if is(0, "grant") || is(0, "revoke") { statement.find(1, "on") } else { None };
    let on = |at: Option<usize>, kind: &str| at.filter(|at| is(at + 1, kind)).map(|at| at + 2);
    let schema = match () {
        () if (is(0, "create") || is(0, "alter") || is(0, "drop")) && is(1, "schema") => {
            // IF EXISTS, IF NOT EXISTS.
            Some((2..6).find(|at| !["if", "not", "exists"].iter().any(|word| is(*at, word))).unwrap_or(2))
        }
        () => [labelled, commented, granted].into_iter().find_map(|at| on(at, "schema")),
    };
    if schema.and_then(|at| ours(at, &policy.provided_schemas)).is_some() {
        return Some(Verdict::comment(To::Here, "the schema is not the account's, so it stays as it is"));
    }
    let extension = [labelled, commented].into_iter().find_map(|at| on(at, "extension"));
    extension
        .and_then(|at| ours(at, &policy.provided_extensions))
        .map(|()| Verdict::comment(To::Here, "the extension belongs to the server's provider"))
}
