//! Tablespaces and session parameters.

use super::databases::missing_space;
use super::policy::Policy;
use super::verdict::{Changes, To, Verdict};
use crate::sources::postgres::name::Name;
use crate::sources::postgres::statement::{Act, Setting, Statement, value};

/// A statement about a tablespace itself: its directory is the server's business.
pub(super) fn tablespace(statement: &Statement<'_>, act: Act, name: usize, policy: &Policy) -> Verdict {
    if !policy.replays() {
        return Verdict::keep(To::Global);
    }
    let missing = statement.name(name).is_some_and(|name| policy.lacks_tablespace(&name));
    let why = match act {
        Act::Drop => "no tablespace is dropped",
        _ if policy.tablespaces.is_none() => return Verdict::keep(To::Global),
        Act::Create if missing => "a tablespace needs a directory on the server: the default one is used",
        _ if missing => "the server has no such tablespace",
        Act::Create => "the tablespace exists",
        _ => "the tablespace exists and is left alone",
    };
    Verdict::comment(To::Global, why)
}

/// SET of a parameter.
pub(super) fn set(statement: &Statement<'_>, setting: &Setting, policy: &Policy) -> Verdict {
    if policy.lacks_setting(&setting.name) {
        return Verdict::comment(To::Here, format!("the server does not know the parameter {}", setting.name));
    }
    let given = setting.value.filter(|_| setting.name == "default_tablespace");
    let space = given.and_then(|at| Some((at, value(statement.token(at)?)?)));
    let mut changes = Changes::default();
    if let Some((at, space)) = space.map(|(at, bytes)| (at, Name::new(bytes)))
        && !space.as_bytes().is_empty()
        && policy.lacks_tablespace(&space)
    {
        // Not commented out: the one that was set before would hold on.
        changes.replace(statement, at, b"''", Some(missing_space(&space)));
    }
    Verdict::edit(To::Here, changes)
}

/// TABLESPACE clauses of CREATE TABLE, INDEX and MATERIALIZED VIEW, and of ALTER … SET TABLESPACE.
pub(super) fn clause(statement: &Statement<'_>, policy: &Policy) -> Verdict {
    let create = statement.is(0, "create");
    if policy.tablespaces.is_none() || !(create || statement.is(0, "alter")) {
        return Verdict::keep(To::Here);
    }
    let stored = (1..4).any(|at| ["table", "index", "materialized"].into_iter().any(|word| statement.is(at, word)));
    if !stored || !statement.may_say("tablespace") {
        return Verdict::keep(To::Here);
    }
    // The query of a materialized view may use the word as a name.
    let end = statement.find(1, "as").unwrap_or(statement.tokens().len());
    let mut changes = Changes::default();
    let clauses = (2..end).filter(|&at| statement.tokens()[at].depth == 0 && statement.is(at, "tablespace"));
    for at in clauses {
        let Some(space) = statement.name(at + 1) else { continue };
        if !policy.lacks_tablespace(&space) {
            continue;
        }
        if !create {
            return Verdict::comment(To::Here, missing_space(&space));
        }
        let using = at >= 2 && statement.is(at - 1, "index") && statement.is(at - 2, "using");
        changes.leave_out(statement, if using { at - 2 } else { at }, at + 1, missing_space(&space));
    }
    Verdict::edit(To::Here, changes)
}
