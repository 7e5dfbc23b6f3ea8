//! The facts that a survey collects.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::sources::postgres::name::Name;
use crate::sources::postgres::statement::{Act, Class, Statement, value};

/// How a dump is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `\connect` leads to each database: pg_dumpall, or pg_dump with --create. Globals alone, too.
    Cluster,
    /// One database, whose name the dump does not say.
    #[default]
    Single,
}

/// What a dump is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// How it is laid out.
    pub layout: Layout,
    /// The server's version, as pg_dump printed it first.
    pub server_banner: Option<String>,
    /// The client's version, as pg_dump printed it first.
    pub client_banner: Option<String>,
    /// The databases, in order; one without a name in a single layout, none in globals alone.
    pub sections: Vec<Section>,
    /// What it says of roles and tablespaces.
    pub globals: Globals,
    /// Every role that any statement needs or makes, without PUBLIC and the server's own.
    pub roles_referenced: BTreeSet<Name>,
    /// Bytes before the seal line, or of everything.
    pub bytes: u64,
    /// BLAKE3 of those bytes, in hex; empty where some were passed over.
    pub digest: String,
    /// Whether pg_dump's own last words were there, outside everything, with no statement after them.
    pub trailer: bool,
    /// What follows `-- bkp seal ` in the last line.
    pub seal: Option<Vec<u8>>,
    /// Every parameter that is SET, in lower case.
    pub settings: BTreeSet<String>,
    /// Every tablespace that anything is put into.
    pub tablespaces: BTreeSet<Name>,
    /// The line of the first statement of a dump of several that belongs to no database, and is not of roles or tablespaces either.
    pub stray: Option<u64>,
    /// What a person wants told.
    pub notes: Vec<String>,
}

/// One database of a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name; `None` in a single layout.
    pub database: Option<Name>,
    /// How the dump creates it.
    pub create: Option<CreateDatabase>,
    /// What COPY fills, in order.
    pub tables: Vec<Copied>,
    /// What CREATE EXTENSION names.
    pub extensions: BTreeSet<Name>,
    /// Every role that it needs: all that `roles_referenced` has, less those that only the dump's roles speak of.
    pub roles: BTreeSet<Name>,
    /// Roles that objects in it are given to, less those of schemas.
    pub owners: BTreeSet<Name>,
    /// Schemas that it makes, and to whom each is given.
    pub schemas: BTreeMap<Name, Name>,
    /// Roles that publications are given to.
    pub publishers: BTreeSet<Name>,
    /// In which schema objects are given to whom.
    pub placed: BTreeSet<(Name, Name)>,
    /// Roles that it lets create in `public`.
    pub creators_in_public: BTreeSet<Name>,
    /// Nothing but settings and comments (`postgres`, `template1`).
    pub empty: bool,
    /// The first client encoding it sets.
    pub encoding: Option<String>,
    /// How many large objects it makes.
    pub large_objects: u64,
    /// How many statements do something.
    pub statements: u64,
    /// How many bytes of the dump it is.
    pub bytes: u64,
}

impl Default for Section {
    fn default() -> Self {
        Self {
            database: None,
            create: None,
            tables: Vec::new(),
            extensions: BTreeSet::new(),
            roles: BTreeSet::new(),
            owners: BTreeSet::new(),
            schemas: BTreeMap::new(),
            publishers: BTreeSet::new(),
            placed: BTreeSet::new(),
            creators_in_public: BTreeSet::new(),
            empty: true,
            encoding: None,
            large_objects: 0,
            statements: 0,
            bytes: 0,
        }
    }
}

/// The rows of one COPY block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// `schema.table` as printed.
    pub table: String,
    /// Lines between the header and `\.`.
    pub rows: u64,
}

/// The options of CREATE DATABASE; values as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateDatabase {
    /// ENCODING
    pub encoding: Option<String>,
    /// LOCALE_PROVIDER (15 and later)
    pub locale_provider: Option<String>,
    /// LC_COLLATE
    pub lc_collate: Option<String>,
    /// LC_CTYPE
    pub lc_ctype: Option<String>,
    /// LOCALE
    pub locale: Option<String>,
    /// ICU_LOCALE (15 and later)
    pub icu_locale: Option<String>,
    /// BUILTIN_LOCALE (17 and later)
    pub builtin_locale: Option<String>,
    /// ICU_RULES (16 and later)
    pub icu_rules: Option<String>,
    /// TABLESPACE
    pub tablespace: Option<Name>,
    /// TEMPLATE
    pub template: Option<Name>,
    /// OWNER
    pub owner: Option<Name>,
    /// Any other option, in upper case, with its value.
    pub rest: Vec<(String, String)>,
}

impl CreateDatabase {
    /// Reads the options after the name at `at`: `WITH A = 'x' B = y …`.
    pub(super) fn read(statement: &Statement<'_>, at: usize) -> Self {
        let mut out = Self::default();
        for (keyword, token) in statement.database_options(at) {
            let key = String::from_utf8_lossy(statement.tokens()[keyword].text).to_ascii_uppercase();
            let bytes = value(&statement.tokens()[token]).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            match key.as_str() {
                "ENCODING" => out.encoding = Some(text),
                "LOCALE_PROVIDER" => out.locale_provider = Some(text),
                "LC_COLLATE" => out.lc_collate = Some(text),
                "LC_CTYPE" => out.lc_ctype = Some(text),
                "LOCALE" => out.locale = Some(text),
                "ICU_LOCALE" => out.icu_locale = Some(text),
                "BUILTIN_LOCALE" => out.builtin_locale = Some(text),
                "ICU_RULES" => out.icu_rules = Some(text),
                "TABLESPACE" => out.tablespace = statement.name(token),
                "TEMPLATE" => out.template = statement.name(token),
                "OWNER" => out.owner = statement.name(token),
                _ => out.rest.push((key, text)),
            }
        }
        out
    }
}

/// A membership that the dump grants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The role that is granted.
    pub role: Name,
    /// The role that gets it.
    pub member: Name,
    /// By whom.
    pub grantor: Option<Name>,
}

/// What a dump says of what belongs to no database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Globals {
    /// Roles created.
    pub created: BTreeSet<Name>,
    /// Roles altered.
    pub altered: BTreeSet<Name>,
    /// Memberships granted.
    pub memberships: BTreeSet<Member>,
    /// Tablespaces created.
    pub tablespaces: BTreeSet<Name>,
    /// How many statements that is.
    pub statements: u64,
}

impl Globals {
    /// Takes in a statement; false when it is none about roles or tablespaces.
    pub(super) fn read(&mut self, statement: &Statement<'_>) -> bool {
        match &statement.class {
            Class::Role { act, role, database } => {
                let name = role.and_then(|at| statement.name(at));
                match act {
                    Act::Create => self.created.extend(name),
                    Act::Alter if database.is_none() => self.altered.extend(name),
                    _ => {}
                }
            }
            Class::Membership => {
                let Some(found) = statement.membership() else {
                    return true;
                };
                let names = |places: &[usize]| places.iter().filter_map(|&at| statement.name(at)).collect::<Vec<_>>();
                let grantor = found.granted_by.and_then(|(_, at)| statement.name(at));
                for role in names(&found.roles) {
                    let to = |member| Member { role: role.clone(), member, grantor: grantor.clone() };
                    self.memberships.extend(names(&found.members).into_iter().map(to));
                }
            }
            Class::Tablespace { act: Act::Create, name } => self.tablespaces.extend(statement.name(*name)),
            Class::Tablespace { .. } | Class::Parameter => {}
            _ => return false,
        }
        true
    }
}
