//! The rows of a live table replaced, the table itself staying: views, grants, triggers, policies and foreign keys keep pointing to
//! it, as a swap by rename would not let them. Everything stands in one transaction.
//!
//! Foreign keys of other tables are dropped and made again at the end, which checks them: only so can the rows go without their
//! `ON DELETE CASCADE`, and without a superuser. The table's own triggers rest meanwhile. Sequences are raised where they are
//! behind the backup's, and never lowered: what the application has handed out since must not come again.

use anyhow::{Context, Result};

use super::{Table, find, links, quoted, rights, was_name};
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::server::{ident, literal};

/// Statements around the rows.
#[derive(Debug, Default)]
pub struct Frame {
    /// Keeps the old rows aside and empties the table.
    pub before: String,
    /// Puts everything back that rested.
    pub after: String,
}

/// How the columns of the live table differ from the backup's, each as a few words; nothing when rows of the one fit the other.
///
/// # Errors
/// When a catalogue cannot be read.
pub async fn differences(live: (&Session, &Table), side: (&Session, &Table)) -> Result<Vec<String>> {
    let (here, there) = (columns(live.0, live.1).await?, columns(side.0, side.1).await?);
    let mut told = Vec::new();
    if live.1.partitioned != side.1.partitioned {
        told.push("only one of them is partitioned".to_owned());
    }
    for (name, kind) in &there {
        match here.iter().find(|(other, _)| other == name) {
            None => told.push(format!("the live one lacks column {name}")),
            Some((_, other)) if other != kind => {
                told.push(format!("column {name} is {other} in the live one and {kind} in the backup"));
            }
            Some(_) => {}
        }
    }
    let new = here.iter().filter(|(name, _)| !there.iter().any(|(other, _)| other == name));
    told.extend(new.map(|(name, _)| format!("the backup lacks column {name}")));
    Ok(told)
}

async fn columns(session: &Session, table: &Table) -> Result<Vec<(String, String)>> {
    session.batch_execute("SELECT pg_catalog.set_config('search_path', '', false)").await?;
    let rows = session
        .query(
            "SELECT attname::text, pg_catalog.format_type(atttypid, atttypmod)
                    || CASE WHEN attgenerated::text <> '' THEN ' generated as ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid) ELSE '' END
             FROM pg_catalog.pg_attribute LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = attrelid AND d.adnum = attnum
             WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            &[&table.oid],
        )
        .await
        .context("asking for the columns")?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Everything that is done around the rows of these live tables.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn frame(live: &Session, tables: &[Table], run: &str) -> Result<Frame> {
    let mut frame = Frame::default();
    let (mut all, mut above, mut emptied) = (Vec::new(), Vec::new(), String::new());
    for table in tables {
        frame.before.push_str(&format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE;\n", table.quoted()));
        all.extend(find::with_partitions(live, table).await?);
        above.extend(find::above(live, table).await?);
    }
    for table in tables {
        frame.before.push_str(&keep_aside(live, table, run).await?);
        emptied.push_str(&format!("TRUNCATE TABLE {};\n", table.from()));
    }
    // All keys go before the first rows do: of several tables each may refer to another.
    let mut keys = String::new();
    for table in tables {
        let others = find::with_partitions(live, table).await?;
        for link in links::to(live, &others).await? {
            if !keys.contains(&link.statement) {
                frame.before.push_str(&link.dropped());
                keys.push_str(&format!("{};\n", link.statement));
                keys.push_str(&link.commented());
            }
        }
    }
    let oids = |tables: &[Table]| tables.iter().map(|table| table.oid).collect::<Vec<u32>>();
    // The rows of a partition go in through the root, whose own triggers are those of each statement.
    let triggers = live
        .query(
            "SELECT n.nspname::text, c.relname::text, t.tgname::text, t.tgenabled::text
             FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE (t.tgrelid = ANY($1) OR (t.tgrelid = ANY($2) AND t.tgtype & 1 = 0))
               AND (NOT t.tgisinternal OR (t.tgparentid <> 0 AND t.tgconstraint = 0)) AND t.tgenabled::text <> 'D' ORDER BY t.tgrelid, t.oid",
            &[&oids(&all), &oids(&above)],
        )
        .await
        .context("asking for the triggers")?;
    // Up to 14 the server calls those of partitions its own. From the root to its partitions, because what is said of a root is said of them too.
    for row in &triggers {
        let (table, name) = (quoted(row.get(0), row.get(1)), ident(row.get(2)));
        let enable = match row.get::<_, &str>(3) {
            "R" => "ENABLE REPLICA",
            "A" => "ENABLE ALWAYS",
            _ => "ENABLE",
        };
        frame.before.push_str(&format!("ALTER TABLE ONLY {table} DISABLE TRIGGER {name};\n"));
        frame.after.push_str(&format!("ALTER TABLE ONLY {table} {enable} TRIGGER {name};\n"));
    }
    frame.before.push_str(&emptied);
    frame.after.insert_str(0, "SET CONSTRAINTS ALL IMMEDIATE;\n");
    frame.after.push_str(&keys);
    Ok(frame)
}

/// A plain copy of the rows: its owner's alone, and behind row security where the table is.
async fn keep_aside(live: &Session, table: &Table, run: &str) -> Result<String> {
    let row = live
        .query_one(
            "SELECT pg_catalog.pg_get_userbyid(relowner)::text, relrowsecurity FROM pg_catalog.pg_class WHERE oid = $1",
            &[&table.oid],
        )
        .await
        .context("asking for the table's owner")?;
    let was = quoted(&table.schema, &was_name(&table.name, run));
    let mut script = format!("CREATE TABLE {was} AS SELECT * FROM {};\n", table.from());
    let comment = format!("rows of {} before the restore {run}", table.shown());
    script.push_str(&format!("COMMENT ON TABLE {was} IS {};\n", literal(&comment)));
    if row.get(1) {
        script.push_str(&format!("ALTER TABLE {was} ENABLE ROW LEVEL SECURITY;\n"));
    }
    script.push_str(&format!("ALTER TABLE {was} OWNER TO {};\n", ident(row.get(0))));
    script.push_str(&rights::only("TABLE", &was, &[]));
    Ok(script)
}

/// Sequences that belong to columns of the table: column, schema and name.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn sequences(session: &Session, table: &Table) -> Result<Vec<[String; 3]>> {
    let rows = session
        .query(
            "SELECT a.attname::text, n.nspname::text, s.relname::text FROM pg_catalog.pg_depend d
             JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S'
             JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
             JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
             WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
               AND d.refobjid = $1 AND d.deptype IN ('a', 'i') ORDER BY 1",
            &[&table.oid],
        )
        .await
        .context("asking for the table's sequences")?;
    Ok(rows.iter().map(|row| [row.get(0), row.get(1), row.get(2)]).collect())
}

/// Raises the live table's sequences to where the backup's stand. Unlike `setval`, this goes back with the transaction.
///
/// # Errors
/// When a catalogue cannot be read.
pub async fn raise_sequences(live: (&Session, &Table), side: (&Session, &Table)) -> Result<String> {
    let mut script = String::new();
    let backups = sequences(side.0, side.1).await?;
    for [column, schema, name] in sequences(live.0, live.1).await? {
        let Some([_, its_schema, its_name]) = backups.iter().find(|one| one[0] == column) else { continue };
        let next = |schema: &str, name: &str| {
            format!(
                "SELECT CASE WHEN NOT q.is_called THEN q.last_value
                             WHEN s.seqincrement > 0 THEN LEAST(q.last_value + s.seqincrement::numeric, s.seqmax)
                             ELSE GREATEST(q.last_value + s.seqincrement::numeric, s.seqmin) END::pg_catalog.int8, s.seqincrement > 0
                 FROM {} AS q, pg_catalog.pg_sequence AS s WHERE s.seqrelid = {}::pg_catalog.regclass",
                quoted(schema, name),
                literal(&quoted(schema, name))
            )
        };
        let row =
            side.0.query_one(&next(its_schema, its_name), &[]).await.context("asking for a sequence's standing")?;
        let (wanted, rises): (i64, bool) = (row.get(0), row.get(1));
        let is_behind = if rises { "<" } else { ">" };
        let body = format!(
            "BEGIN IF (SELECT n FROM ({}) AS here (n, rises)) {is_behind} {wanted} THEN ALTER SEQUENCE {} RESTART WITH {wanted}; END IF; END",
            next(&schema, &name),
            quoted(&schema, &name)
        );
        script.push_str(&format!("DO {};\n", literal(&body)));
    }
    Ok(script)
}
