//! What of a restore is tried before it begins, because no catalogue tells it: making a database like that of the dump, and opening the
//! sessions that it takes. And what an older server, or one without the tablespaces, will leave out, which is said.

use anyhow::Result;

use super::loading::create::from_nothing;
use super::preflight::{Target, Wanted};
use crate::settings::Postgres;
use crate::sources::postgres::carry;
use crate::sources::postgres::connect::{ConnectError, Session};
use crate::sources::postgres::probe;
use crate::sources::postgres::server::{ident, literal};
use crate::sources::postgres::survey::{CreateDatabase, Survey};

/// Why side databases cannot be made as the dump wants them: a locale, an encoding, a provider or a right that is not there.
///
/// # Errors
/// When the server cannot be asked.
pub async fn creations(session: &Session, survey: &Survey, wanted: &[Wanted], target: &Target) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for wanted in wanted.iter().filter(|_| target.create_database) {
        let section = &survey.sections[wanted.section];
        let name = session.database();
        let statement = match (&section.create, target.database(&wanted.target)) {
            (Some(create), _) => format!("CREATE DATABASE {} {}", ident(name), options(create, target)),
            (None, Some(live)) => carry::create_like(session, &live.name, name).await?,
            (None, None) => from_nothing(name, section),
        };
        let Some(refused) = probe::creation(session, &statement).await? else { continue };
        let how = statement.split_once(" TEMPLATE template0").map_or("", |(_, how)| how).trim();
        let advice = match refused.code.as_str() {
            "42501" => "grant what the message names, or restore with a superuser",
            "0A000" => "the server was built without it: restore on one that has it",
            _ => {
                "install the locale on the server (`locale -a` lists those that are there) and restart it, or restore on one that has it"
            }
        };
        faults.push(format!(
            "the server cannot make a database for {} as the dump has it{}: {}; {advice}",
            wanted.target,
            if how.is_empty() { String::new() } else { format!(" ({how})") },
            refused.said
        ));
    }
    Ok(faults)
}

/// What the rewriter leaves of the dump's CREATE DATABASE.
fn options(create: &CreateDatabase, target: &Target) -> String {
    let mut sql = "TEMPLATE template0".to_owned();
    let all = [
        (0, "ENCODING", &create.encoding),
        (15, "LOCALE_PROVIDER", &create.locale_provider),
        (0, "LOCALE", &create.locale),
        (0, "LC_COLLATE", &create.lc_collate),
        (0, "LC_CTYPE", &create.lc_ctype),
        (15, "ICU_LOCALE", &create.icu_locale),
        (16, "ICU_RULES", &create.icu_rules),
        (17, "BUILTIN_LOCALE", &create.builtin_locale),
    ];
    for (since, name, value) in all {
        if let Some(value) = value.as_ref().filter(|_| target.major >= since) {
            sql.push_str(&format!(" {name} {}", literal(value)));
        }
    }
    if let Some(space) = create.tablespace.as_ref().filter(|space| target.tablespaces.contains(space)) {
        sql.push_str(&format!(" TABLESPACE {}", String::from_utf8_lossy(&space.quoted())));
    }
    sql
}

/// Why the sessions cannot be had that the restore opens at once: so many in each of these databases, beside the one there is. That
/// there are too many is no reason yet where the application, which may have them all, is paused first.
///
/// # Errors
/// When the server cannot be asked.
pub async fn sessions(
    (main, postgres): (&Session, &Postgres),
    wanted: &[(&str, usize)],
    session_name: &str,
    pauses: bool,
) -> Result<Option<String>> {
    // A name of its own: the restore's own sessions are not waited for.
    let name = format!("{session_name} tries");
    let Some((open, error)) = probe::sessions((main, postgres), wanted, &name).await? else { return Ok(None) };
    let all: usize = wanted.iter().map(|(_, count)| count).sum();
    if pauses && matches!(error, ConnectError::TooManyConnections { .. }) {
        let why = probe::in_words(error);
        tracing::warn!("plan: no session is free now; the application is paused first, which may free some: {why}");
        return Ok(None);
    }
    Ok(Some(match error {
        ConnectError::TooManyConnections { .. } => format!(
            "the restore opens {} sessions at once, and got {}: {}; {}, or end other sessions",
            all + 1,
            open + 1,
            probe::in_words(error),
            probe::RAISE
        ),
        error => format!("the restore needs another session, and got none: {}", probe::in_words(error)),
    }))
}

/// What will be left out of the dump, or may be, because the server is older or lacks a tablespace.
pub fn left_out(survey: &Survey, target: &Target) -> Vec<String> {
    let mut said = Vec::new();
    let dumped = survey.server_banner.as_deref().and_then(major);
    if let Some(dumped) = dumped.filter(|dumped| *dumped > target.major) {
        let unknown: Vec<&str> = survey.settings.difference(&target.settings).map(String::as_str).collect();
        let settings = match unknown.as_slice() {
            [] => String::new(),
            unknown => format!(" Parameters that it does not know are left out: {}.", unknown.join(", ")),
        };
        said.push(format!(
            "the dump is of PostgreSQL {dumped}, and the server is {}, which is older.{settings} A statement that it cannot run ends the restore before anything live is touched",
            target.major
        ));
    }
    let is_missing = |space: &&_| !target.tablespaces.contains(*space);
    let missing: Vec<String> = survey.tablespaces.iter().filter(is_missing).map(ToString::to_string).collect();
    if !missing.is_empty() {
        said.push(format!(
            "the server has no tablespace {}: what the dump has there goes into the default one; to have it as it was, CREATE TABLESPACE first",
            missing.join(", ")
        ));
    }
    said
}

/// `17.11 (Debian 17.11-1)` → 17
fn major(banner: &str) -> Option<u32> {
    banner.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_is_read_from_what_pg_dump_prints() {
        assert_eq!(major("17.11 (Debian 17.11-1.pgdg120+1)"), Some(17));
        assert_eq!(major("18beta2"), Some(18));
        assert_eq!(major("of a fork"), None);
    }
}
