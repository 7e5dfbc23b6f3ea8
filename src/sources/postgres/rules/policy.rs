//! What the rules are told of the target: facts only, gathered by whoever can ask a server.

use std::collections::{BTreeMap, BTreeSet};

use crate::sources::postgres::name::Name;
use crate::sources::postgres::survey::Layout;

/// What the rewritten dump is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// To be kept: backslash commands, drops and databases stay as they are.
    #[default]
    Store,
    /// To be replayed into databases that are new and empty.
    Replay,
}

/// Which roles a replay touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RoleMode {
    /// Creates those that are missing, leaves the others alone.
    #[default]
    Missing,
    /// Creates those that are missing and changes the others, but never the connecting one.
    All,
    /// Touches none.
    None,
}

/// The roles of the target.
#[derive(Debug, Clone, Default)]
pub struct RolePolicy {
    /// Which are touched.
    pub mode: RoleMode,
    /// Those that are there.
    pub existing: BTreeSet<Name>,
    /// The one we connect as.
    pub connecting: Option<Name>,
    /// Whether that one is a superuser.
    pub superuser: bool,
    /// Statements on any other role are left out altogether, so that no other application's
    /// password hash is stored.
    pub only: Option<BTreeSet<Name>>,
}

/// Everything the rules need to know. The default changes nothing.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// What the result is for.
    pub purpose: Purpose,
    /// How the dump is laid out, as its survey says.
    pub layout: Layout,
    /// Each database's side database.
    pub rename: BTreeMap<Name, Name>,
    /// The roles of the target.
    pub roles: RolePolicy,
    /// The target's parameters, in lower case; `None` when not known.
    pub known_settings: Option<BTreeSet<String>>,
    /// The target's major version; `None` when not known.
    pub server_major: Option<u32>,
    /// The target's tablespaces; `None` when not known.
    pub tablespaces: Option<BTreeSet<Name>>,
    /// Extensions of the target that belong to its provider, not to us.
    pub provided_extensions: BTreeSet<Name>,
    /// Schemas of the target that are not ours, and stay as they are.
    pub provided_schemas: BTreeSet<Name>,
    /// Whether the replay is one transaction in the live database, whose end is not the dump's to say.
    pub one_transaction: bool,
    /// The databases to replay; `None` for all. The others' bytes are skipped.
    pub sections_wanted: Option<BTreeSet<Name>>,
}

impl Policy {
    pub(super) fn replays(&self) -> bool {
        self.purpose == Purpose::Replay
    }

    pub(super) fn older_than(&self, major: u32) -> bool {
        self.server_major.is_some_and(|server| server < major)
    }

    /// Whether the target lacks the parameter. Names with a dot are anyone's.
    pub(super) fn lacks_setting(&self, name: &str) -> bool {
        self.known_settings.as_ref().is_some_and(|known| !name.contains('.') && !known.contains(name))
    }

    /// Whether the target lacks the tablespace.
    pub(super) fn lacks_tablespace(&self, name: &Name) -> bool {
        self.tablespaces.as_ref().is_some_and(|known| !name.as_bytes().starts_with(b"pg_") && !known.contains(name))
    }

    /// Whether the role is there before the replay.
    pub(super) fn role_exists(&self, name: &Name) -> bool {
        let roles = &self.roles;
        name.is_builtin_role() || roles.existing.contains(name) || roles.connecting.as_ref() == Some(name)
    }

    /// Whether statements on the role are to be left out altogether.
    pub(super) fn role_left_out(&self, name: &Name) -> bool {
        self.roles.only.as_ref().is_some_and(|only| !name.is_builtin_role() && !only.contains(name))
    }

    /// Whether the database is replayed.
    pub fn wants(&self, database: &Name) -> bool {
        self.sections_wanted.as_ref().is_none_or(|wanted| wanted.contains(database))
    }
}
