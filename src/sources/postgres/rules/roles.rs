//! CREATE, ALTER, DROP, COMMENT ON and SECURITY LABEL ON ROLE; rights on parameters.

use std::collections::BTreeSet;

use super::policy::{Policy, RoleMode};
use super::verdict::{Changes, Does, To, Verdict};
use crate::sources::postgres::name::Name;
use crate::sources::postgres::statement::{Act, Statement, setting};
use crate::sources::postgres::token::Kind;

/// How a statement may speak of the role that runs it, without its name.
const OURSELVES: [&str; 3] = ["current_user", "current_role", "session_user"];

/// Whether what stands there is the role that runs the statement.
pub(super) fn is_ourselves(statement: &Statement<'_>, at: usize) -> bool {
    OURSELVES.iter().any(|word| statement.is(at, word))
}

pub(super) fn role(
    statement: &Statement<'_>,
    act: Act,
    role: Option<usize>,
    policy: &Policy,
    created: &mut BTreeSet<Name>,
) -> Verdict {
    let name = role.and_then(|at| statement.name(at));
    if name.as_ref().is_some_and(|name| policy.role_left_out(name)) {
        return Verdict::gone(Does::Remove, Some("no database that is saved uses the role"));
    }
    if act == Act::Create {
        created.extend(name.clone());
    }
    if policy.replays() {
        let mode = policy.roles.mode;
        let ourselves = role.is_some_and(|at| is_ourselves(statement, at));
        let exists = ourselves || name.as_ref().is_none_or(|name| policy.role_exists(name));
        let why = match act {
            Act::Drop => Some("no role is dropped"),
            _ if mode == RoleMode::None => Some("roles are not restored"),
            Act::Create if exists => Some("the role exists"),
            _ if ourselves || (name.is_some() && name == policy.roles.connecting) => {
                Some("the role that restores is never changed")
            }
            _ if exists && mode == RoleMode::Missing => Some("the role exists and is left alone"),
            _ => None,
        };
        if let Some(why) = why {
            return Verdict::comment(To::Global, why);
        }
        if exists {
            return attributes(statement, role, To::Existing, policy);
        }
    }
    attributes(statement, role, To::Global, policy)
}

/// What only a superuser may say is left out when we are none; so are parameters that the target lacks.
fn attributes(statement: &Statement<'_>, role: Option<usize>, to: To, policy: &Policy) -> Verdict {
    let from = role.unwrap_or(2) + 1;
    if let Some(why) = unknown_setting(statement, from, policy) {
        return Verdict::comment(to, why);
    }
    let mut changes = Changes::default();
    let first = statement.token(0);
    let has_list = first.is_some_and(|t| t.is("create") || t.is("alter"));
    if policy.replays() && !policy.roles.superuser && has_list {
        // Behind these stand other roles' names.
        let stops = ["in", "role", "admin", "user", "sysid", "set", "reset", "rename", "to"];
        let mut left_out = Vec::new();
        for at in from..statement.tokens().len() {
            let token = &statement.tokens()[at];
            if stops.into_iter().any(|stop| token.is(stop)) {
                break;
            }
            let word = token.text.to_ascii_uppercase();
            match word.strip_prefix(b"NO").unwrap_or(&word) {
                _ if token.kind != Kind::Word => continue,
                b"SUPERUSER" | b"REPLICATION" | b"BYPASSRLS" => {}
                _ => continue,
            }
            changes.cut(statement, at, at);
            left_out.push(String::from_utf8_lossy(&word).into_owned());
        }
        if left_out.iter().any(|word| !word.starts_with("NO")) {
            changes.say(&format!("{} left out: only a superuser may give that", left_out.join(", ")));
        } else if !left_out.is_empty() {
            changes.say(&format!("{} left out: the default, and only a superuser may say it", left_out.join(", ")));
        }
    }
    Verdict::edit(to, changes)
}

/// Why `… SET parameter` after the place `from` cannot run on the target.
pub(super) fn unknown_setting(statement: &Statement<'_>, from: usize, policy: &Policy) -> Option<String> {
    let set = (from..from + 3).find(|&at| statement.is(at, "set") || statement.is(at, "reset"))?;
    let name = setting(&statement.tokens()[set..])?.name;
    policy.lacks_setting(&name).then(|| format!("the server does not know the parameter {name}"))
}

/// GRANT … ON PARAMETER.
pub(super) fn parameter(statement: &Statement<'_>, policy: &Policy) -> Verdict {
    let roles = statement.roles();
    if roles.iter().any(|role| policy.role_left_out(role)) {
        return Verdict::gone(Does::Remove, Some("no database that is saved uses the role"));
    }
    if !policy.replays() {
        return Verdict::keep(To::Global);
    }
    let why = match policy.roles.mode {
        _ if policy.older_than(15) => "the server has no rights on parameters",
        _ if !policy.roles.superuser => "only a superuser may give rights on parameters",
        RoleMode::None => "roles are not restored",
        RoleMode::Missing if roles.iter().all(|role| policy.role_exists(role)) => "the role exists and is left alone",
        _ => return Verdict::keep(To::Global),
    };
    Verdict::comment(To::Global, why)
}
