//! Whatever names a database: it goes to the side database instead.

use super::policy::{Policy, RoleMode};
use super::roles::unknown_setting;
use super::verdict::{Changes, Does, To, Verdict};
use crate::sources::postgres::name::Name;
use crate::sources::postgres::statement::{Act, Statement};

pub(super) fn database(statement: &Statement<'_>, act: Act, names: &[usize], policy: &Policy) -> Verdict {
    if act == Act::Drop {
        return match policy.replays() {
            true => Verdict::comment(To::Here, "no database is dropped"),
            false => Verdict::keep(To::Here),
        };
    }
    let Some(name) = names.first().and_then(|&at| statement.name(at)) else {
        return Verdict::keep(To::Here);
    };
    if !policy.wants(&name) {
        return Verdict::gone(Does::Skip, None);
    }
    if policy.replays() && names.len() > 1 {
        // Some of them may be nobody's here.
        return Verdict::comment(To::Here, "rights on several databases at once, which pg_dump never writes");
    }
    let to = match act {
        Act::Create => To::Create(name),
        Act::Comment => To::Comment(name),
        _ => To::Property(name),
    };
    if act == Act::Create && policy.replays() && is_given(statement, names[0], policy) {
        return Verdict::comment(to, "every server has this database");
    }
    if let Some(why) = refused(statement, act, names[0], policy) {
        return Verdict::comment(to, why);
    }
    let mut changes = Changes::default();
    for &at in names {
        rename(statement, at, policy, &mut changes);
    }
    if act == Act::Create && policy.replays() {
        options(statement, names[0], policy, &mut changes);
    }
    Verdict::edit(to, changes)
}

/// ALTER ROLE … IN DATABASE: a property of the database, whoever the role is.
pub(super) fn role_setting(statement: &Statement<'_>, role: Option<usize>, at: usize, policy: &Policy) -> Verdict {
    let role = role.and_then(|at| statement.name(at));
    if role.as_ref().is_some_and(|role| policy.role_left_out(role)) {
        return Verdict::gone(Does::Remove, Some("no database that is saved uses the role"));
    }
    let Some(name) = statement.name(at) else {
        return Verdict::keep(To::Global);
    };
    if !policy.wants(&name) {
        return Verdict::gone(Does::Skip, None);
    }
    let to = To::Property(name);
    let exists = role.is_none_or(|role| policy.role_exists(&role));
    if policy.replays() && policy.roles.mode == RoleMode::None && !exists {
        return Verdict::comment(to, "roles are not restored");
    }
    if let Some(why) = unknown_setting(statement, at + 1, policy) {
        return Verdict::comment(to, why);
    }
    let mut changes = Changes::default();
    rename(statement, at, policy, &mut changes);
    Verdict::edit(to, changes)
}

/// pg_dumpall --clean drops and creates these again; they are not dropped here.
fn is_given(statement: &Statement<'_>, at: usize, policy: &Policy) -> bool {
    let given = |name: &Name| ["postgres", "template0", "template1"].into_iter().any(|g| *name == Name::from(g));
    statement.name(at).is_some_and(|name| given(&name) && !policy.rename.contains_key(&name))
}

fn rename(statement: &Statement<'_>, at: usize, policy: &Policy, changes: &mut Changes) {
    if let Some(side) = statement.name(at).and_then(|name| policy.rename.get(&name)) {
        changes.replace(statement, at, &side.quoted(), Some(format!("goes to the side database {side}")));
    }
}

fn refused(statement: &Statement<'_>, act: Act, name: usize, policy: &Policy) -> Option<String> {
    if act != Act::Alter {
        return None;
    }
    let tablespace = (statement.is(name + 1, "set") && statement.is(name + 2, "tablespace")).then_some(name + 3);
    match tablespace.and_then(|at| statement.name(at)) {
        Some(space) if policy.lacks_tablespace(&space) => Some(format!("the server has no tablespace {space}")),
        Some(_) => None,
        None => unknown_setting(statement, name + 1, policy),
    }
}

/// What a new database may be a copy of, as pg_dump spells it.
const TEMPLATES: [&str; 3] = ["template0", "template1", "default"];

/// Leaves out what the target's CREATE DATABASE does not know, or does not have.
fn options(statement: &Statement<'_>, name: usize, policy: &Policy, changes: &mut Changes) {
    for (keyword, value) in statement.database_options(name) {
        let is = |word: &str| statement.is(keyword, word);
        let since = match () {
            () if is("locale_provider") || is("icu_locale") || is("collation_version") || is("strategy") => 15,
            () if is("icu_rules") => 16,
            () if is("builtin_locale") => 17,
            () if is("locale") => 13,
            () => 0,
        };
        let space = statement.name(value).filter(|space| is("tablespace") && policy.lacks_tablespace(space));
        if is("template") && !TEMPLATES.iter().any(|template| statement.is(value, template)) {
            // Somebody's data, or the same name spelled oddly.
            let why = "TEMPLATE is template0: a new database holds what the dump has, and no other's data";
            changes.replace(statement, value, b"template0", Some(why.to_owned()));
        } else if policy.older_than(since) {
            let word = String::from_utf8_lossy(statement.tokens()[keyword].text).to_ascii_uppercase();
            changes.leave_out(statement, keyword, value, format!("{word} left out: the server does not know it"));
        } else if let Some(space) = space {
            changes.leave_out(statement, keyword, value, missing_space(&space));
        }
    }
}

pub(super) fn missing_space(name: &Name) -> String {
    format!("the server has no tablespace {name}: the default one is used")
}
