//! What an account without superuser may not do within a database: alter what the server's provider made there, and give objects to
//! owners who may create nothing where the objects lie.
//!
//! Whoever is given an object must have CREATE on its schema, and who is given a publication CREATE on the database (of a schema only the
//! one who gives it must). pg_dump writes such rights last of all, so during a load only owners have them. On a side database they are lent for the load, and taken back before the
//! dump's own grants come; what cannot be lent is a fault, because the load is sure to fail there.

use std::collections::BTreeSet;

use anyhow::Result;

use super::in_place::Way;
use super::preflight::{Target, Wanted};
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::name::Name;
use crate::sources::postgres::server;
use crate::sources::postgres::survey::{Section, Survey};

/// Since this version `public` belongs to the database's owner, and nobody else may create in it.
const PUBLIC_IS_THE_OWNERS: u32 = 15;

fn public() -> Name {
    Name::from("public")
}

/// Schemas that the account cannot alter: those of the live database that are not its own, and in a new one `public`, as far as that
/// still belongs to the provider.
pub fn provided_schemas(target: &Target, way: Option<&Way>) -> BTreeSet<Name> {
    match way {
        _ if target.superuser => BTreeSet::new(),
        Some(way) => way.live().schemas.clone(),
        None if target.major < PUBLIC_IS_THE_OWNERS => [public()].into(),
        None => BTreeSet::new(),
    }
}

/// Extensions that are there already and are not the account's.
pub fn provided_extensions(target: &Target, way: Option<&Way>) -> BTreeSet<Name> {
    match way {
        _ if target.superuser => BTreeSet::new(),
        Some(way) => way.live().provided.clone(),
        // The only one of a database that is made from template0.
        None => [Name::from("plpgsql")].into(),
    }
}

/// Owners of objects and schemas, less those of what stays as it is.
pub fn owners<'a>(section: &'a Section, provided: &BTreeSet<Name>) -> BTreeSet<&'a Name> {
    let of_schemas = section.schemas.iter().filter(|(schema, _)| !provided.contains(*schema));
    section.owners.iter().chain(of_schemas.map(|(_, owner)| owner)).collect()
}

/// Why objects cannot be given to their owners where they lie.
///
/// # Errors
/// When the server cannot be asked.
pub async fn faults(
    session: &Session,
    (survey, wanted): (&Survey, &[Wanted]),
    target: &Target,
    way: Option<&Way>,
) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    if target.superuser {
        return Ok(faults);
    }
    let provided = provided_schemas(target, way);
    for wanted in wanted {
        let section = &survey.sections[wanted.section];
        let known = |owner: &Name| target.roles.contains(owner);
        if let Some(way) = way {
            let creators = &way.live().creators;
            let lacking = section.publishers.iter().filter(|owner| known(owner) && !creators.contains(*owner));
            let lacking: BTreeSet<&Name> = lacking.collect();
            if !lacking.is_empty() {
                let list = listed(lacking);
                faults.push(format!(
                    "publications of the dump belong to roles that may create none in {0}: GRANT CREATE ON DATABASE {1} TO {list}",
                    wanted.target,
                    server::ident(&wanted.target)
                ));
            }
        }
        let mut nowhere: Vec<String> = Vec::new();
        for (schema, owner) in section.placed.iter().filter(|(_, owner)| known(owner)) {
            let may = match (way, section.schemas.get(schema)) {
                // It stays, with all rights on it.
                _ if provided.contains(schema) && *schema != public() => true,
                // Roles that are made for the restore are asked for in vain: what they will be, nobody knows yet.
                (_, Some(its)) => its == owner || server::has_role(session, owner, its).await?.unwrap_or(true),
                (Some(way), None) if *schema == public() => way.live().public_creators.contains(owner),
                // Lent, or everybody's; and what a dump does not make is the live database's business.
                _ => true,
            };
            if !may {
                nowhere.push(format!("{} in schema {}", sql(owner), sql(schema)));
            }
        }
        if !nowhere.is_empty() {
            faults.push(format!(
                "objects of the dump belong to roles that may create where these lie only by a grant, which comes after them: {}; restore with a superuser, or make each a member of the schema's owner meanwhile{}",
                nowhere.join(", "),
                if way.is_some() { " (for public: GRANT CREATE ON SCHEMA public TO it)" } else { "" }
            ));
        }
    }
    Ok(faults)
}

/// Rights that are lent for the load of one side database.
#[derive(Default)]
pub struct Lent {
    /// Run in the side database before the load.
    pub before: String,
    /// Run there after it, before the database's own grants.
    pub after: String,
}

impl Lent {
    /// To owners in the dump that lack it: CREATE on the database to those of publications, and on `public` to those who have objects
    /// there. Whoever has it already keeps it.
    ///
    /// # Errors
    /// When the server cannot be asked who has it.
    pub async fn to_owners(session: &Session, section: &Section, side: &str, target: &Target) -> Result<Lent> {
        let mut lent = Lent::default();
        if target.superuser {
            return Ok(lent);
        }
        let holding = async |right: &str| {
            let query = format!(
                "SELECT rolname::text FROM pg_catalog.pg_roles r, pg_catalog.pg_database d WHERE d.datname = {} AND {right}",
                server::literal(side)
            );
            server::names(session, &query).await
        };
        let creators = holding("pg_catalog.has_database_privilege(r.oid, d.oid, 'CREATE')").await?;
        let of_owner = holding("pg_catalog.pg_has_role(r.oid, d.datdba, 'USAGE')").await?;
        let database = server::ident(side);
        // Others may be stored in other bytes than the dump has them in.
        let lacking = |owner: &&Name, has: &BTreeSet<Name>| owner.as_bytes().is_ascii() && !has.contains(*owner);
        let publishers: BTreeSet<&Name> = section.publishers.iter().filter(|owner| lacking(owner, &creators)).collect();
        if !publishers.is_empty() {
            let list = listed(publishers);
            lent.before.push_str(&format!("GRANT CREATE ON DATABASE {database} TO {list};\n"));
            lent.after.push_str(&format!("REVOKE CREATE ON DATABASE {database} FROM {list};\n"));
        }
        let in_public = section.placed.iter().filter(|(schema, _)| *schema == public()).map(|(_, owner)| owner);
        let in_public: BTreeSet<&Name> = in_public.filter(|owner| lacking(owner, &of_owner)).collect();
        if target.major >= PUBLIC_IS_THE_OWNERS && !in_public.is_empty() {
            // What the dump itself grants must stay, and it has been granted by then.
            let only_lent: BTreeSet<&Name> =
                in_public.iter().copied().filter(|owner| !section.creators_in_public.contains(*owner)).collect();
            lent.before.push_str(&format!("GRANT CREATE ON SCHEMA public TO {};\n", listed(in_public)));
            if !only_lent.is_empty() {
                lent.after.push_str(&format!("REVOKE CREATE ON SCHEMA public FROM {};\n", listed(only_lent)));
            }
        }
        Ok(lent)
    }
}

fn listed(names: BTreeSet<&Name>) -> String {
    names.into_iter().map(sql).collect::<Vec<_>>().join(", ")
}

fn sql(name: &Name) -> String {
    String::from_utf8_lossy(&name.quoted()).into_owned()
}
