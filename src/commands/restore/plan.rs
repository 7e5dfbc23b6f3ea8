//! What a restore will do, decided before anything is done.

use std::collections::{BTreeMap, BTreeSet};

use super::preflight::{Target, Wanted};
use crate::commands::Run;
use crate::settings::{Roles, Settings};
use crate::sources::postgres::clients::Client;
use crate::sources::postgres::name::Name;
use crate::sources::postgres::rewrite::{Policy, Purpose, RoleMode, RolePolicy};
use crate::sources::postgres::side;
use crate::sources::postgres::survey::Survey;

/// One database to load.
#[derive(Debug, Clone)]
pub struct Load {
    /// Which section of the dump.
    pub section: usize,
    /// Its name in the dump; nothing for a dump of one database without its name.
    pub name: Option<Name>,
    /// The live name that it gets.
    pub target: String,
    /// The side database.
    pub side: String,
    /// Whether a live one is replaced.
    pub replaces: bool,
}

/// The plan of a restore.
pub struct Plan {
    /// The databases, in the dump's order.
    pub loads: Vec<Load>,
    /// What the rewriter does.
    pub policy: Policy,
    /// Whether the live database itself is loaded, because no other can be made.
    pub in_place: bool,
    /// Roles that will be made.
    pub new_roles: Vec<String>,
}

impl Plan {
    /// Decides.
    pub fn make(run: &Run, settings: &Settings, survey: &Survey, wanted: &[Wanted], target: &Target) -> Plan {
        let in_place = !target.create_database;
        let named = |database: &str| match in_place {
            true => database.to_owned(),
            false => side::loading_name(database, &run.id),
        };
        let mut plan = Plan::beside(named, settings, survey, wanted, target);
        plan.in_place = in_place;
        plan.policy.one_transaction = in_place;
        plan
    }

    /// The same with other names for what is loaded.
    pub fn beside(
        named: impl Fn(&str) -> String,
        settings: &Settings,
        survey: &Survey,
        wanted: &[Wanted],
        target: &Target,
    ) -> Plan {
        let loads: Vec<Load> = wanted
            .iter()
            .map(|wanted| Load {
                section: wanted.section,
                name: wanted.name.clone(),
                target: wanted.target.clone(),
                side: named(&wanted.target),
                replaces: target.database(&wanted.target).is_some(),
            })
            .collect();
        let rename: BTreeMap<Name, Name> =
            loads.iter().filter_map(|load| Some((load.name.clone()?, Name::from(load.side.clone())))).collect();
        let policy = Policy {
            sections_wanted: (!rename.is_empty()).then(|| rename.keys().cloned().collect::<BTreeSet<_>>()),
            rename,
            roles: RolePolicy {
                mode: match settings.restore.roles {
                    Roles::Missing => RoleMode::Missing,
                    Roles::All => RoleMode::All,
                    Roles::None => RoleMode::None,
                },
                existing: target.roles.clone(),
                connecting: Some(target.connecting.clone()),
                superuser: target.superuser,
                only: None,
            },
            known_settings: Some(target.settings.clone()),
            server_major: Some(target.major),
            tablespaces: Some(target.tablespaces.clone()),
            purpose: Purpose::Replay,
            layout: survey.layout,
            ..Policy::default()
        };
        let new_roles = if settings.restore.roles == Roles::None {
            Vec::new()
        } else {
            survey.globals.created.difference(&target.roles).map(ToString::to_string).collect()
        };
        Plan { loads, policy, in_place: false, new_roles }
    }

    /// Says it.
    pub fn say(&self, client: &Client) {
        for load in self.loads.iter().filter(|_| !self.in_place) {
            let fate =
                if load.replaces { "then swapped with the live one, which is kept" } else { "new on this server" };
            tracing::info!("plan: database {} is loaded beside as {}, proven, {fate}", load.target, load.side);
        }
        if !self.new_roles.is_empty() {
            tracing::info!("plan: roles to make: {}; roles that exist are left alone", self.new_roles.join(", "));
        }
        tracing::info!("plan: replay with psql {}", client.version);
    }
}
