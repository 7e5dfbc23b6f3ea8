//! What a server holds: questions to the catalogue that a backup and a restore ask before they act.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context, Result, bail};

use super::connect::{ConnectError, Session};
use super::name::Name;
use super::side::{self, Journal};
use crate::error::Failure;
use crate::exit::Exit;
use crate::settings::{Databases, Postgres};

/// One database of a server.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its number, which a rename leaves alone.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// Whether it accepts connections at all (`datallowconn`, and not left invalid by an interrupted DROP).
    pub connectable: bool,
    /// Its comment.
    pub comment: Option<String>,
    /// Its size, where it was [measured](measure) and we may know it.
    pub bytes: Option<i64>,
}

impl Database {
    /// The journal of a database that bkp made or put aside.
    pub fn journal(&self) -> Option<Journal> {
        side::is_ours(&self.name).then(|| self.comment.as_deref().and_then(Journal::parse)).flatten()
    }
}

/// Opens the session for locks and catalogue questions: on `BKP_MAINTENANCE_DB`, else the first of `postgres`, the named
/// databases and `template1` that lets us in.
///
/// # Errors
/// When none lets us in; the error is that of the first.
pub async fn maintenance(settings: &Postgres, application_name: &str) -> Result<Session> {
    match maintenance_beside(settings, application_name, &[]).await? {
        Some(session) => Ok(session),
        None => bail!("there is no database to connect to"),
    }
}

/// The same, but in none of `avoid`: a database cannot be renamed by those who are in it. Nothing when there is no other.
///
/// # Errors
/// When none lets us in; the error is that of the first.
pub async fn maintenance_beside(
    settings: &Postgres,
    application_name: &str,
    avoid: &[String],
) -> Result<Option<Session>> {
    let mut names: Vec<String> = settings.maintenance.iter().cloned().collect();
    names.push("postgres".to_owned());
    if let Databases::Named(named) = &settings.databases {
        names.extend(named.iter().cloned());
    }
    names.extend([settings.user.clone(), "template1".to_owned()]);
    names.retain(|name| !avoid.contains(name));
    let mut first = None;
    for name in &names {
        match Session::connect(settings, name, application_name).await {
            Ok(session) => return Ok(Some(session)),
            Err(error) => {
                // Only what is about this database makes another one worth a try.
                let elsewhere = matches!(error, ConnectError::NoDatabase { .. } | ConnectError::NotAdmitted { .. });
                first.get_or_insert(error);
                if !elsewhere {
                    break;
                }
            }
        }
    }
    match first {
        Some(error) => Err(told(error)),
        None => Ok(None),
    }
}

/// Why nobody answers there, if nobody does; whoever answers and refuses is there.
pub async fn unreachable(settings: &Postgres, application_name: &str) -> Option<ConnectError> {
    let database = settings.maintenance.as_deref().unwrap_or("postgres");
    match Session::connect(settings, database, application_name).await {
        Err(error @ ConnectError::Unreachable { .. }) => Some(error),
        _ => None,
    }
}

/// A connection error with its hint, as a failure for the edge.
pub fn told(error: ConnectError) -> anyhow::Error {
    let (what, hint) = (error.to_string(), error.hint());
    let exit = if matches!(error, ConnectError::WrongPassword { .. }) { Exit::WrongPassword } else { Exit::Failed };
    let failure = Failure::new(what).exit(exit);
    let failure = match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    };
    match std::error::Error::source(&error) {
        Some(source) => failure.because(anyhow::anyhow!("{source}")).into(),
        None => failure.into(),
    }
}

/// The server's version, as it says it: `17.11`, without the packager's words.
///
/// # Errors
/// When it cannot be asked.
pub async fn version(session: &Session) -> Result<String> {
    let said: String =
        session.query_one("SHOW server_version", &[]).await.context("asking for the server's version")?.get(0);
    Ok(said.split_whitespace().next().unwrap_or_default().to_owned())
}

/// Whether the server is a standby (or restoring an archive): read-only, and replaying what another server did.
///
/// # Errors
/// When it cannot be asked.
pub async fn in_recovery(session: &Session) -> Result<bool> {
    let row = session.query_one("SELECT pg_catalog.pg_is_in_recovery()", &[]).await;
    Ok(row.context("asking whether the server is a standby")?.get(0))
}

/// All databases, by name; `template0` is nobody's data and left out.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn databases(session: &Session) -> Result<Vec<Database>> {
    let rows = session
        .query(
            "SELECT pg_catalog.textsend(datname::text), datallowconn AND datconnlimit <> -2,
                    pg_catalog.textsend(pg_catalog.shobj_description(oid, 'pg_database')), oid
             FROM pg_catalog.pg_database WHERE datname <> 'template0' ORDER BY datname",
            &[],
        )
        .await
        .context("listing the databases")?;
    Ok(rows
        .iter()
        .map(|row| Database {
            name: text(row.get(0)),
            connectable: row.get(1),
            comment: row.get::<_, Option<&[u8]>>(2).map(text),
            oid: row.get(3),
            bytes: None,
        })
        .collect())
}

/// Asks for the sizes of some. The server looks at every file of a database for that, so nobody asks it of all.
///
/// # Errors
/// When it cannot be asked.
pub async fn measure(session: &Session, databases: &mut [Database], of: impl Fn(&Database) -> bool) -> Result<()> {
    let wanted: Vec<u32> = databases.iter().filter(|database| of(database)).map(|database| database.oid).collect();
    let query = "SELECT oid, pg_catalog.pg_database_size(oid) FROM pg_catalog.pg_database
                 WHERE oid = ANY ($1) AND pg_catalog.has_database_privilege(oid, 'CONNECT')";
    let sizes = session.query(query, &[&wanted]).await.context("asking for sizes of databases")?;
    // Of one that is being dropped the server says nothing.
    let sizes: HashMap<u32, Option<i64>> = sizes.iter().map(|row| (row.get(0), row.get(1))).collect();
    for database in databases {
        database.bytes = sizes.get(&database.oid).copied().flatten();
    }
    Ok(())
}

/// What all databases share is kept in the encoding of the database that it was written in, and a server hands it out as it is.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Names of one column.
///
/// # Errors
/// When the query fails.
pub async fn names(session: &Session, query: &str) -> Result<BTreeSet<Name>> {
    let query = format!("SELECT pg_catalog.textsend(name) FROM ({query}) AS names (name)");
    let rows = session.query(&query, &[]).await.context("asking the catalogue")?;
    Ok(rows.iter().map(|row| Name::new(row.get::<_, &[u8]>(0))).collect())
}

/// All roles but PostgreSQL's own.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn roles(session: &Session) -> Result<BTreeSet<Name>> {
    names(session, "SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_'").await
}

/// Roles that this session's role may become, and so give objects to: since 16 a membership may be without that.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn roles_we_may_become(session: &Session) -> Result<BTreeSet<Name>> {
    let right = if session.server_version_major() >= 16 { "SET" } else { "MEMBER" };
    names(
        session,
        &format!("SELECT rolname::text FROM pg_catalog.pg_roles WHERE pg_catalog.pg_has_role(oid, '{right}')"),
    )
    .await
}

/// Whether a role has the rights of another one; nothing when one of them is not there.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn has_role(session: &Session, role: &Name, other: &Name) -> Result<Option<bool>> {
    let names = [role.to_string(), other.to_string()];
    let row = session
        .query_opt(
            "SELECT pg_catalog.pg_has_role(a.oid, b.oid, 'USAGE') FROM pg_catalog.pg_roles a, pg_catalog.pg_roles b
             WHERE a.rolname = $1 AND b.rolname = $2",
            &[&names[0], &names[1]],
        )
        .await
        .context("asking who is a member of whom")?;
    Ok(row.map(|row| row.get(0)))
}

/// Names of all parameters that the server knows, in lower case.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn known_settings(session: &Session) -> Result<BTreeSet<String>> {
    let rows = session
        .query("SELECT lower(name) FROM pg_catalog.pg_settings", &[])
        .await
        .context("asking for the settings")?;
    let mut known: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    // What SET takes besides parameters.
    known.extend(
        ["role", "session authorization", "session_authorization", "names", "time zone", "timezone", "xml option"]
            .map(str::to_owned),
    );
    Ok(known)
}

/// The roles that the session's database uses: owners, grantees, members of policies and default privileges, those with
/// settings of their own here, and by membership those above and below them. The bootstrap superuser is always among them,
/// because the catalogue does not record what it owns.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn roles_used(session: &Session) -> Result<BTreeSet<Name>> {
    names(
        session,
        "WITH RECURSIVE here AS (SELECT oid, datdba FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()),
         used(oid) AS (
             SELECT d.refobjid FROM pg_catalog.pg_shdepend d, here
              WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
                AND (d.dbid = here.oid OR (d.classid = 'pg_catalog.pg_database'::pg_catalog.regclass AND d.objid = here.oid))
             UNION SELECT datdba FROM here
             UNION SELECT s.setrole FROM pg_catalog.pg_db_role_setting s, here WHERE s.setdatabase = here.oid AND s.setrole <> 0
             UNION SELECT 10::oid),
         above(oid) AS (SELECT oid FROM used UNION SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN above ON m.member = above.oid),
         below(oid) AS (SELECT oid FROM used UNION SELECT m.member FROM pg_catalog.pg_auth_members m JOIN below ON m.roleid = below.oid)
         SELECT r.rolname::text FROM pg_catalog.pg_roles r
          WHERE r.oid IN (SELECT oid FROM above UNION SELECT oid FROM below) AND r.rolname !~ '^pg_'",
    )
    .await
}

/// Roles whose names begin with `prefix`, and the groups that they are in.
///
/// # Errors
/// When the server cannot be asked.
pub async fn roles_with_prefix(session: &Session, prefix: &str) -> Result<BTreeSet<Name>> {
    let sql = format!(
        "WITH RECURSIVE above(oid) AS (
             SELECT oid FROM pg_catalog.pg_roles WHERE pg_catalog.starts_with(rolname::text, {})
             UNION SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN above ON m.member = above.oid)
         SELECT r.rolname::text FROM pg_catalog.pg_roles r JOIN above USING (oid) WHERE r.rolname !~ '^pg_'",
        literal(prefix)
    );
    names(session, &sql).await
}

/// Quotes an identifier.
pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a string, safe whatever `standard_conforming_strings` says.
pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!(" E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}
