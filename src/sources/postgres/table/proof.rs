//! Rows compared between two databases of one server: their count, and a sum of the hashes of each row's text. Neither the order
//! of the rows nor the settings of a session play a part.

use anyhow::{Context, Result};

use super::Table;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::server::{ident, literal};

/// What a value's text depends on, the same on both sides.
pub const ALIKE: &str = "SET datestyle TO 'ISO, YMD'; SET intervalstyle TO 'postgres'; SET timezone TO 'UTC'; \
SET extra_float_digits TO 3; SET bytea_output TO 'hex'; SET lc_monetary TO 'C'; SET row_security TO off; \
SET client_encoding TO 'UTF8';\nSELECT pg_catalog.set_config('search_path', '', false);\n";

/// Names of the columns, in the table's order.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn columns(session: &Session, table: &Table) -> Result<Vec<String>> {
    let rows = session
        .query(
            "SELECT attname::text FROM pg_catalog.pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            &[&table.oid],
        )
        .await
        .context("asking for the columns")?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The query that gives the digest of a table as one text.
pub fn query(table: &Table, columns: &[String]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| format!("t.{}", ident(column))).collect();
    format!(
        "SELECT pg_catalog.concat(pg_catalog.count(*), ' rows, ', pg_catalog.sum(pg_catalog.hashtextextended(ROW({})::text, 0)::numeric))
         FROM {} AS t",
        columns.join(", "),
        table.from()
    )
}

/// The digest of a table; the session is [`ALIKE`] afterwards.
///
/// # Errors
/// When the rows cannot be read.
pub async fn digest(session: &Session, table: &Table, columns: &[String]) -> Result<String> {
    session.batch_execute(ALIKE).await.context("settling how values are written")?;
    let row = session.query_one(&query(table, columns), &[]).await;
    Ok(row.with_context(|| format!("reading the rows of {}", table.shown()))?.get(0))
}

/// SQLSTATE of a demand that is not met, `data_corrupted`.
pub const NOT_ALIKE: &str = "XX001";

/// A statement that fails with [`NOT_ALIKE`], and with it the transaction that it stands in, unless the table has that digest.
pub fn demand(table: &Table, columns: &[String], digest: &str) -> String {
    let body = format!(
        "BEGIN IF ({}) IS DISTINCT FROM {} THEN RAISE EXCEPTION USING ERRCODE = '{NOT_ALIKE}', MESSAGE = {}; END IF; END",
        query(table, columns),
        literal(digest),
        literal(&format!("the rows of {} are not those of the backup", table.shown()))
    );
    format!("DO {};\n", literal(&body))
}
