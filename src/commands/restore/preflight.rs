//! Everything that can be known to fail is found before anything is made, and said all at once.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

use super::rights;
use crate::error::Failure;
use crate::settings::{Databases, Roles, Settings};
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::name::{NAME_BYTES, Name};
use crate::sources::postgres::server::{self, Database};
use crate::sources::postgres::side;
use crate::sources::postgres::survey::{Layout, Section, Survey};

/// What the target server has and what we may do there.
pub struct Target {
    /// Major version.
    pub major: u32,
    /// Whether we are superuser.
    pub superuser: bool,
    /// Whether we may create databases.
    pub create_database: bool,
    /// Whether we may create roles.
    pub create_role: bool,
    /// Who we are.
    pub connecting: Name,
    /// Roles, less PostgreSQL's own.
    pub roles: BTreeSet<Name>,
    /// Roles that we may give objects to.
    pub becomes: BTreeSet<Name>,
    /// Parameters that SET takes.
    pub settings: BTreeSet<String>,
    /// Tablespaces.
    pub tablespaces: BTreeSet<Name>,
    /// Extensions that can be created.
    pub extensions: BTreeSet<Name>,
    /// Of those, the ones that only a superuser can create.
    pub superuser_extensions: BTreeSet<Name>,
    /// Databases.
    pub databases: Vec<Database>,
}

impl Target {
    /// Asks the server.
    ///
    /// # Errors
    /// When the catalogue cannot be read.
    pub async fn ask(session: &Session) -> Result<Target> {
        let me = session
            .query_one("SELECT rolname::text, rolsuper, rolcreatedb OR rolsuper, rolcreaterole OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user", &[])
            .await
            .context("asking for our rights")?;
        Ok(Target {
            major: session.server_version_major(),
            connecting: Name::from(me.get::<_, String>(0)),
            superuser: me.get(1),
            create_database: me.get(2),
            create_role: me.get(3),
            roles: server::roles(session).await?,
            becomes: server::roles_we_may_become(session).await?,
            settings: server::known_settings(session).await?,
            tablespaces: server::names(session, "SELECT spcname::text FROM pg_catalog.pg_tablespace").await?,
            extensions: server::names(session, "SELECT name::text FROM pg_catalog.pg_available_extensions").await?,
            superuser_extensions: server::names(
                session,
                "SELECT v.name::text FROM pg_catalog.pg_available_extensions e JOIN pg_catalog.pg_available_extension_versions v
                 ON v.name = e.name AND v.version = e.default_version WHERE v.superuser AND NOT v.trusted",
            )
            .await?,
            databases: server::databases(session).await?,
        })
    }

    /// The live database of that name.
    pub fn database(&self, name: &str) -> Option<&Database> {
        self.databases.iter().find(|database| database.name == name)
    }
}

/// One database that a restore loads.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Which section of the dump it is.
    pub section: usize,
    /// Its name in the dump; nothing for a dump of one database without its name.
    pub name: Option<Name>,
    /// The live name that it gets.
    pub target: String,
}

/// What the operator asked to restore.
#[derive(Debug, Default)]
pub struct Wish {
    /// Only this database of the dump.
    pub only: Option<String>,
    /// Load under this name and touch nothing else.
    pub under: Option<String>,
}

/// Which databases of the dump are restored, and under which names.
///
/// # Errors
/// When the wish and the dump do not fit; names what is there.
pub fn wanted(survey: &Survey, databases: &Databases, wish: &Wish) -> Result<Vec<Wanted>> {
    if survey.layout == Layout::Single {
        let target = match (&wish.under, &wish.only, databases) {
            (Some(name), _, _) | (None, Some(name), _) => name.clone(),
            (None, None, Databases::Named(named)) if named.len() == 1 => named[0].clone(),
            _ => bail!(
                Failure::new("this dump is of one database and does not say its name")
                    .hint("name the target: POSTGRES_DB=NAME, or --as NAME")
            ),
        };
        return Ok(vec![Wanted { section: 0, name: None, target }]);
    }
    let named = |section: &Section| section.database.as_ref().map(ToString::to_string).unwrap_or_default();
    let asked: Option<Vec<String>> = match (&wish.only, databases) {
        (Some(name), _) => Some(vec![name.clone()]),
        (None, Databases::Named(names)) => Some(names.clone()),
        (None, Databases::All) => None,
    };
    let there: Vec<String> = survey.sections.iter().map(named).collect();
    if let Some(missing) = asked.iter().flatten().find(|name| !there.contains(name)) {
        bail!(
            Failure::new(format!("the dump holds no database {missing}; it holds {}", there.join(", ")))
                .hint("choose with --only NAME or POSTGRES_DB, or choose another dump: bkp list")
        );
    }
    let mut wanted: Vec<Wanted> = Vec::new();
    for (at, section) in survey.sections.iter().enumerate() {
        let name = named(section);
        // A dump by others may hold what a restore was loading or had put aside when it was made: no data of the application's.
        if asked.is_none() && side::is_ours(&name) {
            tracing::warn!(
                "database {name} of the dump was made by a restore and is left out; to have it: --only {name}"
            );
            continue;
        }
        // postgres and template1 are in every cluster and mostly hold nothing: nothing to replace, then.
        let asked_for =
            asked.as_ref().map_or(!(section.empty && ["postgres", "template1"].contains(&name.as_str())), |asked| {
                asked.contains(&name)
            });
        if asked_for {
            wanted.push(Wanted { section: at, name: section.database.clone(), target: name });
        }
    }
    if let Some(under) = &wish.under {
        let [one] = wanted.as_mut_slice() else {
            let names: Vec<&str> = wanted.iter().map(|wanted| wanted.target.as_str()).collect();
            bail!(
                Failure::new(format!("--as names one database, but the dump holds {}", names.join(", ")))
                    .hint("choose one with --only NAME")
            );
        };
        one.target = under.clone();
    }
    if wanted.is_empty() {
        bail!(Failure::new("the dump holds nothing to restore: its databases are empty"));
    }
    Ok(wanted)
}

/// Why there is no place beside the live databases, for what needs one.
pub fn no_side_database(target: &Target) -> Option<String> {
    let me = &target.connecting;
    (!target.create_database).then(|| {
        format!("the account {me} may not create databases, so nothing can be loaded beside the live ones: ALTER ROLE {} CREATEDB, or connect as a superuser", sql(me))
    })
}

/// Everything that would make the restore fail, each as a sentence. Schemas that are `provided` stay, with their owners.
pub fn faults(
    (survey, provided): (&Survey, &BTreeSet<Name>),
    wanted: &[Wanted],
    target: &Target,
    settings: &Settings,
    under: bool,
) -> Vec<String> {
    let mut faults = Vec::new();
    let me = &target.connecting;
    for wanted in wanted {
        if wanted.target.is_empty() || wanted.target.len() > NAME_BYTES {
            faults.push(format!("{:?} cannot be a database's name: that has 1 to {NAME_BYTES} bytes", wanted.target));
        }
        let live = target.database(&wanted.target);
        if under && live.is_some() {
            faults.push(format!("a database {} is there already; --as wants a new name", wanted.target));
        }
        let extensions = &survey.sections[wanted.section].extensions;
        let missing: Vec<String> = extensions.difference(&target.extensions).map(ToString::to_string).collect();
        if !missing.is_empty() {
            faults.push(format!(
                "database {} needs extensions that the server does not have: {}; install their packages on the server",
                wanted.target,
                missing.join(", ")
            ));
        }
        let forbidden: Vec<String> =
            extensions.intersection(&target.superuser_extensions).map(ToString::to_string).collect();
        if !target.superuser && !forbidden.is_empty() {
            faults.push(format!(
                "only a superuser can create the extensions {} of database {}",
                forbidden.join(", "),
                wanted.target
            ));
        }
    }
    faults.extend(owners((survey, provided), wanted, target));
    let mode = settings.restore.roles;
    let created: BTreeSet<Name> = if mode == Roles::None { BTreeSet::new() } else { survey.globals.created.clone() };
    let of_wanted: BTreeSet<&Name> = wanted.iter().flat_map(|wanted| &survey.sections[wanted.section].roles).collect();
    let (needed, nowhere) = match mode {
        // What the dump says of roles is left out then, and so are other databases.
        Roles::None => (of_wanted, "not on the server, and BKP_RESTORE_ROLES=none makes none"),
        _ => (survey.roles_referenced.iter().collect(), "neither on the server nor in the dump"),
    };
    let unknown: Vec<String> =
        needed.into_iter().filter(|role| !target.roles.contains(*role) && !created.contains(*role)).map(sql).collect();
    if !unknown.is_empty() {
        let statements: Vec<String> = unknown.iter().map(|role| format!("CREATE ROLE {role};")).collect();
        faults.push(format!(
            "roles that own or may use the dump's objects are {nowhere}: {}; create them first: {}",
            unknown.join(", "),
            statements.join(" ")
        ));
    }
    let to_create: Vec<String> = created.difference(&target.roles).map(ToString::to_string).collect();
    if !to_create.is_empty() && !target.create_role {
        faults.push(format!("the account {me} may not create roles, and these are missing: {}", to_create.join(", ")));
    }
    faults
}

/// Owners whom the account cannot give anything to. Those that are missing are made by it, or are a fault of their own.
fn owners((survey, provided): (&Survey, &BTreeSet<Name>), wanted: &[Wanted], target: &Target) -> Option<String> {
    let all: BTreeSet<&Name> =
        wanted.iter().flat_map(|wanted| rights::owners(&survey.sections[wanted.section], provided)).collect();
    let strange = all.into_iter().filter(|owner| target.roles.contains(*owner) && !target.becomes.contains(*owner));
    let strange: Vec<String> = strange.map(sql).collect();
    let (me, list) = (sql(&target.connecting), strange.join(", "));
    // Since 16 a membership may lack just that.
    let with = if target.major >= 16 { " WITH SET TRUE" } else { "" };
    (!strange.is_empty()).then(|| {
        format!("the dump's objects have owners that {me} may not give objects to: {list}; GRANT {list} TO {me}{with}, or restore with a superuser")
    })
}

fn sql(name: &Name) -> String {
    String::from_utf8_lossy(&name.quoted()).into_owned()
}
