//! The server: reached, by which kind of line, of which version, with clients that fit it, and the databases that are to be saved.

use anyhow::{Context as _, Result};

use super::finding::{Area, Finding};
use super::{clock, left, rights, room, sessions};
use crate::commands::Context;
use crate::commands::backup::plan::Dump;
use crate::settings::{Host, Postgres};
use crate::sources::postgres::clients::Client;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::{server, standby};

/// How our sessions are called on the server.
pub const SESSION: &str = "bkp doctor";

/// Everything that needs a session. Nothing of it writes.
pub async fn look(context: &Context, postgres: &Postgres, findings: &mut Vec<Finding>) {
    let session = match server::maintenance(postgres, SESSION).await {
        Ok(session) => session,
        Err(error) => return findings.push(Finding::of(Area::Server, &error)),
    };
    match connected(&session, postgres).await {
        Ok(finding) => findings.push(finding),
        Err(error) => return findings.push(Finding::of(Area::Server, &error)),
    }
    match Dump::client(&context.settings, &session).await {
        Ok(client) => {
            let what = format!("the client programs {} can dump it", client.version);
            findings.push(Finding::ok(Area::Server, what));
            findings.extend(unguarded(&client));
        }
        Err(error) => findings.push(Finding::of(Area::Server, &error)),
    }
    let databases = match Dump::databases(postgres, &session).await {
        Ok((databases, skipped)) => {
            findings.push(Finding::ok(Area::Server, format!("to be saved: {}", databases.join(", "))));
            for name in &skipped {
                findings.push(Finding::warning(
                    Area::Server,
                    format!("database {name} accepts no connections and is not saved"),
                    format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", server::ident(name)),
                ));
            }
            databases
        }
        Err(error) => {
            findings.push(Finding::of(Area::Server, &error));
            Vec::new()
        }
    };
    gather(findings, Area::Server, on_standby(context, &session).await);
    gather(findings, Area::Rights, rights::look(context, &session, &databases).await);
    gather(findings, Area::Room, room::on_server(&session, postgres, &databases).await);
    gather(findings, Area::Left, left::on_server(context, &session).await);
    gather(findings, Area::Clock, clock::of_server(&session).await.map(|finding| vec![finding]));
    gather(findings, Area::Server, sessions::look(&session, postgres, &databases).await);
}

/// A psql that runs any command that reaches it. None of a dump does, as far as we know.
fn unguarded(client: &Client) -> Option<Finding> {
    (!client.knows_restrict()).then(|| {
        Finding::warning(
            Area::Server,
            format!(
                "psql {} lacks \\restrict, the second guard against dumps that hold commands (CVE-2025-8714)",
                client.version
            ),
            format!("install a newer minor version of the package postgresql-client-{}", client.major),
        )
    })
}

/// What was found, or why nothing could be.
pub fn gather(findings: &mut Vec<Finding>, area: Area, found: Result<Vec<Finding>>) {
    match found {
        Ok(found) => findings.extend(found),
        Err(error) => findings.push(Finding::of(area, &error)),
    }
}

async fn connected(session: &Session, postgres: &Postgres) -> Result<Finding> {
    let row = session
        .query_one(
            "SELECT (SELECT version FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid() AND ssl), current_user::text",
            &[],
        )
        .await
        .context("asking how we are connected")?;
    let line = match (row.get::<_, Option<String>>(0), &postgres.host) {
        (Some(version), _) => version,
        (None, Host::Socket(_)) => "by its socket".to_owned(),
        (None, Host::Tcp(_)) => "without TLS".to_owned(),
    };
    let (version, at, user) = (server::version(session).await?, at(postgres), row.get::<_, String>(1));
    Ok(Finding::ok(Area::Server, format!("PostgreSQL {version} at {at} lets {user} in, {line}")))
}

fn at(postgres: &Postgres) -> String {
    match &postgres.host {
        Host::Socket(directory) => directory.display().to_string(),
        Host::Tcp(host) => format!("{host}:{}", postgres.port),
    }
}

async fn on_standby(context: &Context, session: &Session) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    if server::in_recovery(session).await? {
        findings.push(Finding::warning(
            Area::Server,
            "the server is a standby: it can be saved, and nothing can be restored there",
            "for a restore, set POSTGRES_HOST to its primary",
        ));
    }
    if let Some((why, mend)) = standby::unprotected(session, context.settings.standby).await? {
        findings.push(Finding::warning(Area::Server, format!("{why}, so it may cancel a dump"), mend));
    }
    Ok(findings)
}
