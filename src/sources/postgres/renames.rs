//! What a swap by renames came to, asked afterwards: a database keeps its oid whatever it is called.

use anyhow::{Context, Result};

use super::connect::Session;
use super::server::{ident, text};
use super::side;
use crate::sources::act::Rename;

/// Whether these renames, all of one transaction, were committed. Nothing when the server knows none of the databases, or calls
/// them otherwise by now.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn are_done(session: &Session, renames: &[Rename]) -> Result<Option<bool>> {
    let rows = session
        .query("SELECT oid, pg_catalog.textsend(datname::text) FROM pg_catalog.pg_database", &[])
        .await
        .context("asking what the databases are called")?;
    let names: Vec<(u32, String)> = rows.iter().map(|row| (row.get(0), text(row.get(1)))).collect();
    Ok(judge(renames, &names))
}

fn judge(renames: &[Rename], names: &[(u32, String)]) -> Option<bool> {
    let is = |rename: &Rename, name: &String| names.iter().any(|(oid, now)| *oid == rename.oid && now == name);
    if renames.iter().any(|rename| is(rename, &rename.to)) {
        return Some(true);
    }
    if renames.iter().any(|rename| is(rename, &rename.from)) {
        return Some(false);
    }
    // A server that was moved by dumps has other oids. Names with a run's id are nobody else's.
    let is_there = |name: &String| side::is_ours(name) && names.iter().any(|(_, now)| now == name);
    if renames.iter().any(|rename| is_there(&rename.to)) {
        return Some(true);
    }
    renames.iter().any(|rename| is_there(&rename.from)).then_some(false)
}

/// Why this account could not rename these `databases`, or nobody should; each as a sentence.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn hindrances(session: &Session, databases: &[&str]) -> Result<Vec<String>> {
    let me = session
        .query_one(
            "SELECT rolname::text, rolcreatedb OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user",
            &[],
        )
        .await
        .context("asking for our rights")?;
    let mut found = Vec::new();
    if !me.get::<_, bool>(1) {
        let me: String = me.get(0);
        found.push(format!(
            "the account {me} may not create databases, and so not rename them: ALTER ROLE {} CREATEDB, or undo with a superuser",
            ident(&me)
        ));
    }
    let broken = session
        .query(
            "SELECT pg_catalog.textsend(datname::text) FROM pg_catalog.pg_database WHERE datconnlimit = -2 AND datname = ANY($1) ORDER BY datname",
            &[&databases],
        )
        .await
        .context("asking for broken databases")?;
    for row in broken {
        let name = text(row.get(0));
        found.push(format!("database {name} was being dropped when that was interrupted, and cannot be used any more"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_known_by_its_oid_whatever_became_of_the_others() {
        let rename = |oid, from: &str, to: &str| Rename { oid, from: from.into(), to: to.into() };
        let (a, b) = ("shop__was_20261121T231004Z-7f3a9c", "shop__was_20261121T231104Z-7f3a9c");
        let renames = [rename(1, "shop", b), rename(2, a, "shop")];
        let judged = |names: &[(u32, &str)]| {
            judge(&renames, &names.iter().map(|(oid, name)| (*oid, (*name).to_owned())).collect::<Vec<_>>())
        };
        assert_eq!(judged(&[(1, "shop"), (2, a)]), Some(false));
        assert_eq!(judged(&[(1, b), (2, "shop")]), Some(true));
        assert_eq!(judged(&[(2, "shop")]), Some(true), "what was put aside is dropped");
        assert_eq!(judged(&[(1, "shop")]), Some(false), "what was to come is dropped");
        assert_eq!(judged(&[(3, "shop")]), None);
        assert_eq!(judged(&[(2, "mine")]), None);
        assert_eq!(judged(&[(7, "shop"), (8, a)]), Some(false), "on another server");
        assert_eq!(judged(&[(7, "shop"), (8, b)]), Some(true), "on another server");
    }
}
