//! Tables whose rows may say or do something else when other rows are there already, or not yet: what runs while a row is taken
//! (generated columns, checks, domains, keys of partitions, indexes) calls functions that may read what they like, whatever they are
//! declared as. Asked of the side database, cheaply: from the functions to all that depends on them.
//!
//! Functions in C are trusted when an extension brings them: those that read tables read the extension's own, and these come alone.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use crate::sources::postgres::connect::Session;

/// Oids of tables that are to be filled with nothing beside it, and whether that is for a function's sake.
///
/// Some dependencies are kept the other way round, or not at all: of a domain on its checks, of a composite type on its columns, of an
/// operator class on its operators.
const DOUBTFUL: &str = "
WITH RECURSIVE doubtful (classid, objid) AS (
    SELECT o.classid, o.objid FROM (
        SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid, p.oid, l.lanname IN ('c', 'internal')
          FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
        UNION ALL SELECT 'pg_catalog.pg_opclass'::pg_catalog.regclass, oid, true FROM pg_catalog.pg_opclass) o (classid, objid, is_extensions)
     WHERE o.objid >= 16384 AND NOT (o.is_extensions AND EXISTS (
        SELECT FROM pg_catalog.pg_depend e WHERE e.classid = o.classid AND e.objid = o.objid AND e.objsubid = 0 AND e.deptype = 'e'))
  UNION
    SELECT n.classid, n.objid FROM doubtful o, LATERAL (
        SELECT d.classid, d.objid FROM pg_catalog.pg_depend d
         WHERE d.refclassid = o.classid AND d.refobjid = o.objid AND d.deptype <> 'e' AND d.classid IN ('pg_catalog.pg_operator'::pg_catalog.regclass,
            'pg_catalog.pg_opclass'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass, 'pg_catalog.pg_constraint'::pg_catalog.regclass,
            'pg_catalog.pg_attrdef'::pg_catalog.regclass, 'pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_cast'::pg_catalog.regclass)
        UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, k.contypid FROM pg_catalog.pg_constraint k
         WHERE o.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND k.oid = o.objid AND k.contypid <> 0
        UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, c.reltype FROM pg_catalog.pg_class c
         WHERE o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = o.objid AND c.relkind = 'c') n
)
SELECT objid, true FROM doubtful WHERE classid = 'pg_catalog.pg_class'::pg_catalog.regclass
UNION SELECT k.conrelid, true FROM doubtful o JOIN pg_catalog.pg_constraint k ON k.oid = o.objid AND k.conrelid <> 0
 WHERE o.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
UNION SELECT a.attrelid, true FROM doubtful o JOIN pg_catalog.pg_attrdef f ON f.oid = o.objid
    JOIN pg_catalog.pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum AND a.attgenerated <> ''
 WHERE o.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
UNION SELECT i.indrelid, true FROM doubtful o JOIN pg_catalog.pg_index i ON i.indexrelid = o.objid
 WHERE o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
UNION SELECT e.objid, false FROM pg_catalog.pg_depend e
 WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objsubid = 0 AND e.deptype = 'e'";

/// What the catalogue says of such tables.
#[derive(Debug, Default)]
pub struct Doubts {
    /// They come alone.
    pub alone: BTreeSet<u32>,
    /// Whether functions run while rows are taken that may have read what several sessions loaded in another order.
    pub calls: bool,
}

impl Doubts {
    /// Asks.
    ///
    /// # Errors
    /// When the side database cannot be asked.
    pub async fn ask(session: &Session) -> Result<Doubts> {
        let rows = session.query(DOUBTFUL, &[]).await.context("asking what runs while rows are taken")?;
        let mut doubts = Doubts::default();
        for row in rows {
            doubts.alone.insert(row.get(0));
            doubts.calls |= row.get::<_, bool>(1);
        }
        Ok(doubts)
    }
}
