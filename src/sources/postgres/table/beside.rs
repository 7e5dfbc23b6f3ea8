//! A table made ready, in the side database, to stand beside the live one: everything that has a name in its schema gets another
//! one, and what ties it to other tables or would act on its own goes.

use anyhow::{Context, Result};

use super::partition::Part;
use super::{Table, beside_name, find, quoted};
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::durable::DURABLE;
use crate::sources::postgres::server::ident;

/// What became of it.
#[derive(Debug)]
pub struct Ready {
    /// The tables to copy, the first with the name that people look for.
    pub tables: Vec<Table>,
    /// What does not come along, each as a few words.
    pub left_out: Vec<String>,
}

/// Renames and unties. `side` is thrown away afterwards.
///
/// # Errors
/// When the side database refuses.
pub async fn make_ready(side: &Session, table: &Table, run: &str) -> Result<Ready> {
    let tree = find::with_partitions(side, table).await?;
    let oids: Vec<u32> = tree.iter().map(|table| table.oid).collect();
    let (mut script, left_out) = untie(side, table, &oids).await?;
    script.push_str(&renames(side, &oids, run).await?);
    for table in &tree {
        let name = beside_name(&table.name, run);
        script.push_str(&format!("ALTER TABLE {} RENAME TO {};\n", table.quoted(), ident(&name)));
    }
    let script = format!("BEGIN;\n{script}{DURABLE}COMMIT;\n");
    side.batch_execute(&script).await.with_context(|| format!("making {} ready", table.shown()))?;
    let tables = tree.into_iter().map(|table| Table { name: beside_name(&table.name, run), ..table }).collect();
    Ok(Ready { tables, left_out })
}

/// One kind of tie: how it is called, and a query for (statement, what people call it).
const TIES: [(&str, &str); 5] = [
    (
        "foreign keys",
        "SELECT pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::pg_catalog.regclass, k.conname), k.conname::text
         FROM pg_catalog.pg_constraint k
         WHERE k.conrelid = ANY($1) AND k.contype = 'f' AND (k.conparentid = 0 OR k.conrelid = $2) ORDER BY 1",
    ),
    (
        "triggers",
        "SELECT pg_catalog.format('DROP TRIGGER %I ON %s', t.tgname, t.tgrelid::pg_catalog.regclass), t.tgname::text
         FROM pg_catalog.pg_trigger t
         WHERE t.tgrelid = ANY($1) AND NOT t.tgisinternal AND (t.tgparentid = 0 OR t.tgrelid = $2) ORDER BY 1",
    ),
    (
        "rules",
        "SELECT pg_catalog.format('DROP RULE %I ON %s', r.rulename, r.ev_class::pg_catalog.regclass), r.rulename::text
         FROM pg_catalog.pg_rewrite r WHERE r.ev_class = ANY($1) AND $2::oid IS NOT NULL ORDER BY 1",
    ),
    (
        "defaults from sequences that are not its own",
        "SELECT DISTINCT pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', a.attrelid::pg_catalog.regclass, a.attname),
                a.attname::text
         FROM pg_catalog.pg_attrdef f
         JOIN pg_catalog.pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
         JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = f.oid
              AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
         JOIN pg_catalog.pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
         WHERE f.adrelid = ANY($1) AND $2::oid IS NOT NULL AND NOT EXISTS (
             SELECT FROM pg_catalog.pg_depend o WHERE o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND o.objid = s.oid
                AND o.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND o.refobjid = ANY($1) AND o.deptype IN ('a', 'i'))
         ORDER BY 1",
    ),
    (
        "parents",
        "SELECT pg_catalog.format('ALTER TABLE %s NO INHERIT %s', i.inhrelid::pg_catalog.regclass, i.inhparent::pg_catalog.regclass),
                i.inhparent::pg_catalog.regclass::text
         FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND NOT c.relispartition
         WHERE i.inhrelid = $2 AND $1::oid[] IS NOT NULL ORDER BY 1",
    ),
];

/// Statements that cut what ties the table to others, and what that leaves out.
async fn untie(side: &Session, table: &Table, oids: &[u32]) -> Result<(String, Vec<String>)> {
    // Names come out whole only when nothing is found by a path.
    side.batch_execute("SELECT pg_catalog.set_config('search_path', '', false)").await?;
    let (mut script, mut left_out) = (String::new(), Vec::new());
    let part = Part::of(side, table).await?;
    if let Some(part) = &part {
        // First: what a partition has from its parent can be dropped only once it stands alone.
        script.push_str(&part.detached(side).await?);
        left_out.push(format!("place as a partition ({})", part.statement));
    }
    for (kind, query) in TIES {
        let rows = side.query(query, &[&oids, &table.oid]).await.with_context(|| format!("asking for {kind}"))?;
        for row in &rows {
            script.push_str(&format!("{};\n", row.get::<_, &str>(0)));
        }
        if !rows.is_empty() {
            let names: Vec<&str> = rows.iter().map(|row| row.get(1)).collect();
            left_out.push(format!("{kind} ({})", names.join(", ")));
        }
    }
    // A partition that was detached keeps its parent's keys as its own, and loses its triggers.
    if part.is_some() {
        script = script.replace("DROP TRIGGER ", "DROP TRIGGER IF EXISTS ");
    }
    Ok((script, left_out))
}

/// Indexes (and with them the constraints that they stand for), sequences of its own, and statistics.
async fn renames(side: &Session, oids: &[u32], run: &str) -> Result<String> {
    let rows = side
        .query(
            "SELECT 'INDEX', n.nspname::text, c.relname::text FROM pg_catalog.pg_index i
               JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              WHERE i.indrelid = ANY($1)
             UNION SELECT 'SEQUENCE', n.nspname::text, c.relname::text FROM pg_catalog.pg_depend d
               JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'S' JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                AND d.refobjid = ANY($1) AND d.deptype IN ('a', 'i')
             UNION SELECT 'STATISTICS', n.nspname::text, s.stxname::text FROM pg_catalog.pg_statistic_ext s
               JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace WHERE s.stxrelid = ANY($1)",
            &[&oids],
        )
        .await
        .context("asking for what has a name of its own")?;
    let rename = |row: &tokio_postgres::Row| {
        let (kind, schema, name): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
        format!("ALTER {kind} {} RENAME TO {};\n", quoted(schema, name), ident(&beside_name(name, run)))
    };
    Ok(rows.iter().map(rename).collect())
}
