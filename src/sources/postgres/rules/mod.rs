//! The rules: what a statement of a dump becomes for a given target. All pure.

mod databases;
mod drops;
mod memberships;
mod policy;
mod provided;
mod roles;
mod storage;
mod transaction;
mod verdict;

use std::collections::BTreeSet;

use super::name::Name;
use super::statement::{Act, Class, Statement};

pub use self::policy::{Policy, Purpose, RoleMode, RolePolicy};
pub(crate) use self::transaction::ends_it;
pub(crate) use self::verdict::{Does, To, Verdict, apply, commented};

/// The answer for one statement. `created` collects the roles that the dump makes.
pub(crate) fn decide(statement: &Statement<'_>, policy: &Policy, created: &mut BTreeSet<Name>) -> Verdict {
    if policy.replays()
        && let Some(verdict) = provided::decide(statement, policy)
    {
        return verdict;
    }
    if policy.one_transaction
        && policy.replays()
        && let Some(verdict) = transaction::decide(statement)
    {
        return verdict;
    }
    match &statement.class {
        Class::Role { act, role, database: Some(database) } if *act == Act::Alter => {
            databases::role_setting(statement, *role, *database, policy)
        }
        Class::Role { act, role, .. } => roles::role(statement, *act, *role, policy, created),
        Class::Membership => memberships::membership(statement, policy, created),
        Class::Database { act, names } => databases::database(statement, *act, names, policy),
        Class::UpdatePgDatabase if policy.replays() => {
            Verdict::comment(To::Here, "the server's own list of databases is not ours to change")
        }
        Class::Tablespace { act, name } => storage::tablespace(statement, *act, *name, policy),
        Class::Parameter => roles::parameter(statement, policy),
        Class::Set(setting) => storage::set(statement, setting, policy),
        Class::Extension { act, name } => extension(statement, *act, *name, policy),
        Class::Drop if policy.replays() => drops::drop(statement),
        Class::LoUnlink if policy.replays() => {
            Verdict::comment(To::Here, "the new database has no large object to drop")
        }
        Class::Other => storage::clause(statement, policy),
        _ => Verdict::keep(To::Here),
    }
}

fn extension(statement: &Statement<'_>, act: Act, name: usize, policy: &Policy) -> Verdict {
    let provided = statement.name(name).is_some_and(|name| policy.provided_extensions.contains(&name));
    if provided && act != Act::Create {
        return Verdict::comment(To::Here, "the extension belongs to the server's provider");
    }
    Verdict::keep(To::Here)
}
