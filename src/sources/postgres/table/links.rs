//! What others have to do with a table that is made again under its own name: foreign keys to it, which are theirs and therefore
//! not among what pg_dump writes for it, and views that went with it. Extended statistics, which pg_dump
//! writes only for whole databases.

use anyhow::{Context, Result};

use super::Table;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::server::{ident, literal};

/// A foreign key of another table.
#[derive(Debug, Clone)]
pub struct Link {
    /// The other table's schema, name, and the key's name.
    key: [String; 3],
    comment: Option<String>,
    /// The statement that makes it.
    pub statement: String,
}

impl Link {
    /// A statement that makes it if the live rows allow it, and else leaves it out.
    pub fn tried(&self) -> String {
        let body = format!("BEGIN {}; {} EXCEPTION WHEN OTHERS THEN NULL; END", self.statement, self.commented());
        format!("DO {};\n", literal(&body))
    }

    /// A statement that drops it.
    pub fn dropped(&self) -> String {
        let [schema, table, name] = &self.key;
        format!("ALTER TABLE {} DROP CONSTRAINT {};\n", super::quoted(schema, table), ident(name))
    }

    /// A statement that gives it its comment; empty without one.
    pub fn commented(&self) -> String {
        let [schema, table, name] = &self.key;
        let on = || format!("{} ON {}", ident(name), super::quoted(schema, table));
        let comment = self.comment.as_deref();
        comment.map(|text| format!("COMMENT ON CONSTRAINT {} IS {};\n", on(), literal(text))).unwrap_or_default()
    }

    /// Whether it is there now.
    ///
    /// # Errors
    /// When the catalogue cannot be read.
    pub async fn is_there(&self, live: &Session) -> Result<bool> {
        let [schema, table, name] = &self.key;
        let row = live
            .query_opt(
                "SELECT 1 FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname = $1 AND c.relname = $2 AND k.conname = $3",
                &[schema, table, name],
            )
            .await;
        Ok(row.context("asking for the foreign key")?.is_some())
    }
}

/// Foreign keys of tables other than `made` to one of them.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn to(session: &Session, made: &[Table]) -> Result<Vec<Link>> {
    session.batch_execute("SELECT pg_catalog.set_config('search_path', '', false)").await?;
    let oids: Vec<u32> = made.iter().map(|table| table.oid).collect();
    let rows = session
        .query(
            "SELECT n.nspname::text, c.relname::text, k.conname::text, pg_catalog.pg_get_constraintdef(k.oid),
                    pg_catalog.obj_description(k.oid, 'pg_constraint')
             FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE k.contype = 'f' AND k.confrelid = ANY($1) AND NOT k.conrelid = ANY($1) AND k.conparentid = 0
             ORDER BY 1, 2, 3",
            &[&oids],
        )
        .await
        .context("asking for foreign keys to the table")?;
    Ok(rows
        .iter()
        .map(|row| {
            let key: [String; 3] = [row.get(0), row.get(1), row.get(2)];
            let table = super::quoted(&key[0], &key[1]);
            let statement = format!("ALTER TABLE {table} ADD CONSTRAINT {} {}", ident(&key[2]), row.get::<_, &str>(3));
            Link { key, comment: row.get(4), statement }
        })
        .collect())
}

/// Views (and materialized ones) that read one of the tables, as people write them.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn views_of(side: &Session, made: &[Table]) -> Result<Vec<(String, String)>> {
    let oids: Vec<u32> = made.iter().map(|table| table.oid).collect();
    let rows = side
        .query(
            "SELECT DISTINCT n.nspname::text, v.relname::text FROM pg_catalog.pg_depend d
             JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = d.objid
             JOIN pg_catalog.pg_class v ON v.oid = r.ev_class AND v.relkind IN ('v', 'm')
             JOIN pg_catalog.pg_namespace n ON n.oid = v.relnamespace
             WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = ANY($1) ORDER BY 1, 2",
            &[&oids],
        )
        .await
        .context("asking for views of the table")?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Publications that hold every new table, of the database or of a schema.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn publications(live: &Session) -> Result<Vec<String>> {
    let of_schemas = "UNION SELECT p.pubname::text FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_publication_namespace n ON n.pnpubid = p.oid";
    let of_schemas = if live.server_version_major() >= 15 { of_schemas } else { "" };
    let query =
        format!("SELECT pubname::text FROM pg_catalog.pg_publication WHERE puballtables {of_schemas} ORDER BY 1");
    let rows = live.query(&query, &[]).await.context("asking for publications")?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Statements that make the extended statistics of the tables.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn statistics(side: &Session, tables: &[Table]) -> Result<String> {
    side.batch_execute("SELECT pg_catalog.set_config('search_path', '', false)").await?;
    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    let rows = side
        .query(
            "SELECT pg_catalog.pg_get_statisticsobjdef(s.oid), n.nspname::text, s.stxname::text,
                    pg_catalog.pg_get_userbyid(s.stxowner)::text, coalesce(s.stxstattarget, -1)::integer,
                    pg_catalog.obj_description(s.oid, 'pg_statistic_ext')
             FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
             WHERE s.stxrelid = ANY($1) ORDER BY s.oid",
            &[&oids],
        )
        .await
        .context("asking for extended statistics")?;
    let mut script = String::new();
    for row in &rows {
        let name = super::quoted(row.get(1), row.get(2));
        let made = row.get::<_, &str>(0).replacen("CREATE STATISTICS ", "CREATE STATISTICS IF NOT EXISTS ", 1);
        script.push_str(&format!("{made};\nALTER STATISTICS {name} OWNER TO {};\n", ident(row.get(3))));
        if let target @ 0.. = row.get::<_, i32>(4) {
            script.push_str(&format!("ALTER STATISTICS {name} SET STATISTICS {target};\n"));
        }
        if let Some(comment) = row.get::<_, Option<&str>>(5) {
            script.push_str(&format!("COMMENT ON STATISTICS {name} IS {};\n", literal(comment)));
        }
    }
    Ok(script)
}
