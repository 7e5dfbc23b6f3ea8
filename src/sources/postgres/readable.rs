//! What of a database the session's role cannot read, found without reading it: pg_dump locks every table before it dumps the first, and
//! ends at the first that it may not.

use anyhow::{Context, Result};

use super::connect::Session;
use super::server::text;

/// What is lacking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// The right to use the schema.
    Schema,
    /// The right to read the table or sequence.
    Table,
    /// A policy hides rows, and pg_dump refuses to leave them out.
    Policy,
    /// The right to read a large object.
    LargeObject,
}

/// As pg_dump chooses them: nothing of the system's, and of extensions only what they have marked as configuration.
const TABLES: &str = "
    SELECT pg_catalog.textsend(pg_catalog.format('%I.%I', n.nspname, c.relname)),
           pg_catalog.has_schema_privilege(n.oid, 'USAGE'),
           CASE c.relkind WHEN 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
                          ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't'
       AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND (NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                           AND d.objid = c.oid AND d.deptype = 'e')
            OR EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE c.oid = ANY (e.extconfig)))
       AND (NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE')
            OR NOT CASE c.relkind WHEN 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
                                  ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END
            OR (c.relkind = 'r' AND c.relrowsecurity AND pg_catalog.row_security_active(c.oid)))
     ORDER BY 1";

/// Readable by their owner and by whom an ACL names; `lo_compat_privileges` lets everybody.
const LARGE_OBJECTS: &str = "
    SELECT m.oid::text::bytea FROM pg_catalog.pg_largeobject_metadata m
     WHERE NOT pg_catalog.pg_has_role(m.lomowner, 'USAGE')
       AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(m.lomacl) a
                        WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE')))
       AND pg_catalog.current_setting('lo_compat_privileges') <> 'on'
     ORDER BY m.oid LIMIT 1000";

/// Everything that is lacking in the session's database, by name.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn lacks(session: &Session) -> Result<Vec<(Lack, String)>> {
    let asking = || format!("asking what may be read in {}", session.database());
    let rows = session.query(TABLES, &[]).await.with_context(asking)?;
    let mut lacks: Vec<(Lack, String)> = rows
        .iter()
        .map(|row| match (row.get(1), row.get(2)) {
            (false, _) => (Lack::Schema, text(row.get(0))),
            (_, false) => (Lack::Table, text(row.get(0))),
            _ => (Lack::Policy, text(row.get(0))),
        })
        .collect();
    let rows = session.query(LARGE_OBJECTS, &[]).await.with_context(asking)?;
    lacks.extend(rows.iter().map(|row| (Lack::LargeObject, text(row.get(0)))));
    Ok(lacks)
}
