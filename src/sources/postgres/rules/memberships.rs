//! GRANT and REVOKE of roles to roles.
//!
//! Since 16 a membership has the options ADMIN, INHERIT and SET, and its grantor counts: he needs
//! ADMIN himself. Before 16 there was ADMIN OPTION alone, and GRANTED BY was a mere note;
//! pg_dumpall 16 and later leave the grantor of an older server out for that reason.

use std::collections::BTreeSet;

use super::policy::{Policy, RoleMode};
use super::roles::is_ourselves;
use super::verdict::{Changes, Does, To, Verdict};
use crate::sources::postgres::name::Name;
use crate::sources::postgres::statement::{Membership, Statement};

pub(super) fn membership(statement: &Statement<'_>, policy: &Policy, created: &BTreeSet<Name>) -> Verdict {
    let Some(parts) = statement.membership() else {
        return Verdict::keep(To::Global);
    };
    let both = parts.roles.iter().chain(&parts.members);
    let names: Vec<Name> = both.clone().filter_map(|&at| statement.name(at)).collect();
    let exists =
        |at: &usize| is_ourselves(statement, *at) || statement.name(*at).is_none_or(|name| policy.role_exists(&name));
    if names.iter().any(|name| policy.role_left_out(name)) {
        return Verdict::gone(Does::Remove, Some("no database that is saved uses one of the roles"));
    }
    if policy.replays() {
        match policy.roles.mode {
            RoleMode::None => return Verdict::comment(To::Global, "roles are not restored"),
            RoleMode::Missing if both.clone().all(exists) => {
                return Verdict::comment(To::Global, "both roles exist and are left alone");
            }
            // pg_dumpall grants one to one. Among several, one that is new would take those along that are not.
            RoleMode::Missing if both.clone().count() > 2 && parts.members.iter().any(exists) => {
                return Verdict::comment(To::Global, "a role among them exists and is left alone");
            }
            _ => {}
        }
    }
    let mut changes = Changes::default();
    let modern = options(statement, &parts, policy, &mut changes);
    if let Some((granted, at)) = parts.granted_by
        && let Some(why) = grantor(statement.name(at), modern, policy, created)
    {
        changes.leave_out(statement, granted, at, why);
    }
    Verdict::edit(To::Global, changes)
}

/// Leaves out what the target does not know of `WITH a, b, c`; true when the form is that of 16.
fn options(statement: &Statement<'_>, parts: &Membership, policy: &Policy, changes: &mut Changes) -> bool {
    let Some((with, end)) = parts.options else {
        return false;
    };
    let modern = (with..end).any(|at| statement.is(at, "inherit") || (statement.is(at, "set") && at > with));
    let mut admin = false;
    let mut lost = Vec::new();
    let mut at = with + 1;
    while at < end {
        let value_is = |value: &str| statement.is(at + 1, value);
        match &statement.tokens()[at] {
            t if t.is("admin") => admin = value_is("option") || value_is("true"),
            t if (t.is("inherit") || t.is("set")) && !policy.older_than(16) => {}
            // What a membership was before 16: inherited as the member says, and SET ROLE allowed.
            t if t.is("inherit") && value_is("true") => lost.push("INHERIT TRUE"),
            t if t.is("inherit") => lost.push("INHERIT FALSE"),
            t if t.is("set") && value_is("true") => lost.push("SET TRUE"),
            t if t.is("set") => lost.push("SET FALSE"),
            _ => lost.push("an option"),
        }
        at += 3;
    }
    if !lost.is_empty() && policy.replays() {
        let why = format!("{} left out: the server does not know it", lost.join(", "));
        if admin {
            changes.replace(statement, with + 1, b"ADMIN OPTION", Some(why));
            changes.cut(statement, with + 2, end - 1);
        } else {
            changes.leave_out(statement, with, end - 1, why);
        }
    }
    modern
}

/// Why GRANTED BY cannot be said on the target.
fn grantor(name: Option<Name>, modern: bool, policy: &Policy, created: &BTreeSet<Name>) -> Option<&'static str> {
    // CURRENT_USER and the like are always there.
    let name = name?;
    if policy.role_left_out(&name) {
        return Some("the grantor left out: no database that is saved uses the role");
    }
    if !policy.replays() {
        return None;
    }
    if !policy.role_exists(&name) && !created.contains(&name) {
        return Some("the grantor left out: there is no such role");
    }
    if !policy.roles.superuser && policy.roles.connecting.as_ref() != Some(&name) {
        return Some("the grantor left out: only a superuser may grant for another role");
    }
    if !modern && policy.server_major.is_some_and(|major| major >= 16) {
        return Some("the grantor left out: before 16 it was a mere note, now it would need rights");
    }
    None
}
