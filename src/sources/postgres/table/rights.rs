//! Rights that a new table must not have. Default privileges of the live database give them to every table that is made there, and
//! pg_dump, which knows nothing of those, does not take them back: whoever was shut out of a table would read its copy.

use anyhow::{Context, Result};

use super::{Table, quoted, rows};
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::server::literal;

/// Statements that take from the tables, and from sequences of theirs, what nobody has in the side database, where they are
/// called the same.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn only_those_of(side: &Session, tables: &[Table]) -> Result<String> {
    let mut script = String::new();
    for table in tables {
        script.push_str(&only("TABLE", &table.quoted(), &granted(side, &table.quoted()).await?));
        for [_, schema, name] in rows::sequences(side, table).await? {
            let name = quoted(&schema, &name);
            script.push_str(&only("SEQUENCE", &name, &granted(side, &name).await?));
        }
    }
    Ok(script)
}

/// A statement that takes from a table everything but its owner's rights and these.
pub fn only(kind: &str, name: &str, granted: &[String]) -> String {
    let granted = granted.iter().map(|grant| literal(grant)).collect::<Vec<_>>().join(", ");
    let body = format!(
        "DECLARE extra record;
BEGIN
  FOR extra IN {} WHERE NOT g.grantee || ' ' || g.privilege = ANY (ARRAY[{granted}]::pg_catalog.text[]) LOOP
    EXECUTE pg_catalog.format('REVOKE %s ON {kind} %s FROM %s', extra.privilege, {}, extra.grantee);
  END LOOP;
END",
        grants(name),
        literal(name)
    );
    format!("DO {};\n", literal(&body))
}

/// What others than the owner may do with it.
fn grants(name: &str) -> String {
    let grantee =
        "CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END";
    format!(
        "SELECT g.grantee, g.privilege FROM (SELECT {grantee} AS grantee, a.privilege_type AS privilege FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
          WHERE c.oid = {}::pg_catalog.regclass AND a.grantee <> c.relowner) g",
        literal(name)
    )
}

async fn granted(side: &Session, name: &str) -> Result<Vec<String>> {
    let rows = side.query(&grants(name), &[]).await.context("asking for the table's grants")?;
    Ok(rows.iter().map(|row| format!("{} {}", row.get::<_, &str>(0), row.get::<_, &str>(1))).collect())
}
