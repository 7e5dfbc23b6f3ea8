//! What on the server would keep a live database from being renamed. A swap that cannot work is better known before hours of
//! loading than after.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::connect::Session;
use super::server::{ident, literal, text};

/// Everything that forbids the swap of the live `databases`, each as a sentence with what to do.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn of_swap(session: &Session, databases: &[&str]) -> Result<Vec<String>> {
    let rows = session
        .query(
            "SELECT pg_catalog.textsend(d.datname::text), pg_catalog.textsend(pg_catalog.pg_get_userbyid(d.datdba)::text),
                    pg_catalog.pg_has_role(d.datdba, 'USAGE'),
                    ARRAY(SELECT pg_catalog.textsend(s.subname::text) FROM pg_catalog.pg_subscription s WHERE s.subdbid = d.oid AND s.subenabled ORDER BY 1)
             FROM pg_catalog.pg_database d WHERE d.datname = ANY($1) ORDER BY d.datname",
            &[&databases],
        )
        .await
        .context("asking what would keep the live databases from being swapped")?;
    let mut obstacles = prepared(session, databases).await?;
    for row in rows {
        let (name, owner) = (text(row.get(0)), text(row.get(1)));
        if !row.get::<_, bool>(2) {
            obstacles.push(format!(
                "database {name} belongs to {owner}, so this account may not rename it: GRANT {} TO it, or restore with a superuser",
                ident(&owner)
            ));
        }
        for subscription in row.get::<_, Vec<Vec<u8>>>(3) {
            let subscription = text(&subscription);
            obstacles.push(format!(
                "database {name} subscribes to another server, and would go on doing so where it is put aside: ALTER SUBSCRIPTION {} DISABLE there first",
                ident(&subscription)
            ));
        }
    }
    Ok(obstacles)
}

/// Prepared transactions of the live `databases`, each as a sentence: no session holds their locks, so none can be ended for them.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn prepared(session: &Session, databases: &[&str]) -> Result<Vec<String>> {
    let rows = session
        .query(
            "SELECT pg_catalog.textsend(database::text), pg_catalog.textsend(gid) FROM pg_catalog.pg_prepared_xacts WHERE database = ANY($1) ORDER BY 1, 2",
            &[&databases],
        )
        .await
        .context("asking for prepared transactions")?;
    let told = |row: &tokio_postgres::Row| {
        let (name, statement) = (text(row.get(0)), literal(&text(row.get(1))));
        format!(
            "database {name} holds the prepared transaction {statement}, with which it can neither be renamed nor emptied: end it there by COMMIT PREPARED {statement} or ROLLBACK PREPARED {statement}"
        )
    };
    Ok(rows.iter().map(told).collect())
}

/// Logical replication slots of the live `databases`: they stay with what is put aside.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn slots(session: &Session, databases: &[&str]) -> Result<Vec<String>> {
    let rows = session
        .query(
            "SELECT pg_catalog.textsend(slot_name::text) FROM pg_catalog.pg_replication_slots WHERE database = ANY($1) AND NOT temporary ORDER BY slot_name",
            &[&databases],
        )
        .await
        .context("asking for replication slots")?;
    Ok(rows.iter().map(|row| text(row.get(0))).collect())
}

/// Ends all sessions of this application name but the one that asks, and waits until they are gone: what they were about to commit
/// can be seen then.
///
/// # Errors
/// When they cannot be asked for, or do not go.
pub async fn end_sessions_named(session: &Session, name: &str) -> Result<()> {
    for _ in 0..100 {
        let rows = session
            .query(
                "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
                 WHERE application_name = $1 AND pid <> pg_catalog.pg_backend_pid()",
                &[&name],
            )
            .await
            .with_context(|| format!("ending the sessions of {name}"))?;
        if rows.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("the sessions of {name} do not end")
}

/// Who is connected to `databases`, in words for the operator: at most five.
pub async fn sessions(session: &Session, databases: &[&str]) -> Vec<String> {
    let rows = session
        .query(
            "SELECT pid, coalesce(pg_catalog.textsend(usename::text), ''), pg_catalog.textsend(backend_type), pg_catalog.textsend(application_name)
             FROM pg_catalog.pg_stat_activity WHERE datname = ANY($1) AND pid <> pg_catalog.pg_backend_pid() ORDER BY pid LIMIT 5",
            &[&databases],
        )
        .await
        .unwrap_or_default();
    let said = |pid: i32, user: String, kind: String, name: String| {
        let kind = if kind == "client backend" || kind.is_empty() { "session".to_owned() } else { kind };
        let user = if user.is_empty() { String::new() } else { format!(" of {user}") };
        let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
        format!("{kind} {pid}{user}{name}")
    };
    let part = |row: &tokio_postgres::Row, at: usize| row.get::<_, Option<&[u8]>>(at).map(text).unwrap_or_default();
    rows.iter().map(|row| said(row.get(0), part(row, 1), part(row, 2), part(row, 3))).collect()
}
