//! What the role may do, asked of the catalogue: to try it would leave something, or stop somebody.

use anyhow::{Context as _, Result};

use super::finding::{Area, Finding};
use super::server::SESSION;
use crate::commands::Context;
use crate::commands::restore::preflight::{Target, no_side_database};
use crate::settings::{Roles, SavedRoles};
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::readable::{self, Lack};
use crate::sources::postgres::server::{self, ident};

/// More names than this help nobody.
const NAMED: usize = 5;

/// Everything that the role needs for a backup and a restore of these databases.
pub async fn look(context: &Context, session: &Session, databases: &[String]) -> Result<Vec<Finding>> {
    let target = Target::ask(session).await?;
    let role = ident(&target.connecting.to_string());
    if target.superuser {
        return Ok(vec![Finding::ok(
            Area::Rights,
            format!("{} is a superuser and may do everything", target.connecting),
        )]);
    }
    let mut findings = Vec::new();
    for database in databases {
        findings.extend(to_dump(context, database, &role, target.major).await);
    }
    if context.settings.saved_roles != SavedRoles::None {
        findings.push(Finding::warning(
            Area::Rights,
            "roles are saved without their passwords, which only a superuser can read",
            format!("ALTER ROLE {role} SUPERUSER, or keep the passwords elsewhere, or set BKP_ROLES=none"),
        ));
    }
    match no_side_database(&target) {
        Some(why) => findings.push(Finding::warning(
            Area::Rights,
            format!("{why}. A restore loads one database in place, and cannot be undone"),
            format!("ALTER ROLE {role} CREATEDB"),
        )),
        None => findings.push(Finding::ok(Area::Rights, format!("{} may create databases", target.connecting))),
    }
    findings.extend(to_swap(session, databases, &role).await?);
    if !target.create_role && context.settings.restore.roles != Roles::None {
        findings.push(Finding::warning(
            Area::Rights,
            format!("{} may not create roles: a restore to another server needs them made before", target.connecting),
            format!("ALTER ROLE {role} CREATEROLE"),
        ));
    }
    Ok(findings)
}

/// What keeps the role from reading all of a database.
async fn to_dump(context: &Context, database: &str, role: &str, major: u32) -> Vec<Finding> {
    let found = async {
        let session = Session::connect(context.postgres()?, database, SESSION).await.map_err(server::told)?;
        readable::lacks(&session).await
    };
    let lacks = match found.await {
        Ok(lacks) => lacks,
        Err(error) => return vec![Finding::of(Area::Rights, &error)],
    };
    let kinds = [Lack::Schema, Lack::Table, Lack::Policy, Lack::LargeObject];
    let told = kinds.into_iter().filter_map(|kind| {
        let names: Vec<&str> = lacks.iter().filter(|(lack, _)| *lack == kind).map(|(_, name)| name.as_str()).collect();
        (!names.is_empty()).then(|| lacking(kind, &names, database, role, major))
    });
    let mut findings: Vec<Finding> = told.collect();
    if findings.is_empty() {
        findings.push(Finding::ok(Area::Rights, format!("database {database} can be read, all of it")));
    }
    findings
}

fn lacking(kind: Lack, names: &[&str], database: &str, role: &str, major: u32) -> Finding {
    let more = names.len().saturating_sub(NAMED);
    let mut list = names[..names.len() - more].join(", ");
    if more > 0 {
        list.push_str(&format!(" and {more} more"));
    }
    let inside = format!("in database {database}");
    match kind {
        Lack::Policy => Finding::fault(
            Area::Rights,
            format!("{inside} row security hides rows of {list}, which no backup may be without"),
            format!("ALTER ROLE {role} BYPASSRLS"),
        ),
        Lack::LargeObject => Finding::fault(
            Area::Rights,
            format!("{inside} {role} cannot read large objects: {list}"),
            format!("{inside}: GRANT SELECT ON LARGE OBJECT {} TO {role}, for each of them", names[0]),
        ),
        // Since this version one role reads everything, also what is made later.
        Lack::Schema | Lack::Table if major >= 14 => Finding::fault(
            Area::Rights,
            format!("{inside} {role} cannot read {list}"),
            format!("GRANT pg_read_all_data TO {role}"),
        ),
        Lack::Schema => Finding::fault(
            Area::Rights,
            format!("{inside} {role} may not use the schema of {list}"),
            format!("{inside}: GRANT USAGE ON SCHEMA … TO {role}"),
        ),
        Lack::Table => Finding::fault(
            Area::Rights,
            format!("{inside} {role} cannot read {list}"),
            format!("{inside}: GRANT SELECT ON {} TO {role}", names.join(", ")),
        ),
    }
}

/// What keeps the role from putting a restored database in the place of a live one.
async fn to_swap(session: &Session, databases: &[String], role: &str) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let rows = session
        .query(
            "SELECT pg_catalog.textsend(datname::text), pg_catalog.pg_get_userbyid(datdba)::text FROM pg_catalog.pg_database
             WHERE datname::text = ANY ($1) AND NOT pg_catalog.pg_has_role(datdba, 'USAGE') ORDER BY datname",
            &[&databases],
        )
        .await
        .context("asking who owns the databases")?;
    for row in rows {
        let (name, owner) = (server::text(row.get(0)), row.get::<_, String>(1));
        findings.push(Finding::warning(
            Area::Rights,
            format!("database {name} belongs to {owner}: {role} can save it, and a restore cannot take its place"),
            format!("GRANT {} TO {role}", ident(&owner)),
        ));
    }
    let row = session
        .query_one(
            "SELECT pg_catalog.pg_has_role('pg_signal_backend'::name, 'USAGE'),
                    COALESCE((SELECT pg_catalog.string_agg(DISTINCT a.usename::text, ', ') FROM pg_catalog.pg_stat_activity a
                               JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
                              WHERE a.datname::text = ANY ($1) AND NOT pg_catalog.pg_has_role(a.usesysid, 'USAGE')
                                AND (r.rolsuper OR NOT pg_catalog.pg_has_role('pg_signal_backend'::name, 'USAGE'))), '')",
            &[&databases],
        )
        .await
        .context("asking whose sessions may be ended")?;
    let (signals, strange) = (row.get::<_, bool>(0), row.get::<_, String>(1));
    let grant = format!("GRANT pg_signal_backend TO {role}; sessions of superusers only a superuser can end");
    match (strange.is_empty(), signals) {
        (false, _) => findings.push(Finding::warning(
            Area::Rights,
            format!(
                "{role} may not end the sessions of {strange}, which are connected now: a restore cannot shut them out"
            ),
            grant,
        )),
        (true, true) => findings.push(Finding::ok(Area::Rights, format!("{role} may end the sessions of others"))),
        (true, false) => findings.push(Finding::warning(
            Area::Rights,
            format!("{role} may end only sessions of its own roles: a restore fails while others are connected"),
            grant,
        )),
    }
    Ok(findings)
}
