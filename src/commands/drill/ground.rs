//! Where a drill loads: beside the live databases, or into a server that is made for it and never connects to the live one; and
//! whether there is room.

use std::path::PathBuf;

use anyhow::{Result, bail};
use tokio::task::block_in_place;

use super::{Request, files, places};
use crate::commands::catalog::Snapshot;
use crate::commands::restore::preflight::{self, Wish};
use crate::commands::restore::reading::Read;
use crate::commands::restore::room;
use crate::commands::{Context, Run};
use crate::error::Failure;
use crate::report;
use crate::settings::{Databases, DrillServer, Postgres, Roles, Settings};
use crate::sources::Item;
use crate::sources::files::scratch::{self, Scratch};
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::server;
use crate::sources::postgres::throwaway::{self, Plan, Server};

/// A server without data, and its write-ahead log.
const SERVER_BYTES: u64 = 64 << 20;

/// Where databases are loaded.
pub enum Ground {
    /// Beside the live ones.
    Configured,
    /// Into a server of the drill's own.
    Throwaway {
        /// Why there.
        why: String,
    },
}

/// Chooses. Nothing connects to the configured server when the operator wants another one.
///
/// # Errors
/// When the configured one cannot be reached and none can be made.
pub async fn choose(context: &Context, request: &Request, session_name: &str) -> Result<Ground> {
    let settings = &context.settings;
    let postgres = match (request.server.or(settings.drill.server), &settings.postgres) {
        (Some(DrillServer::Throwaway), _) => return Ok(Ground::Throwaway { why: "as asked for".to_owned() }),
        (Some(DrillServer::Configured), _) | (None, None) => return Ok(Ground::Configured),
        (None, Some(postgres)) => postgres,
    };
    let Some(error) = server::unreachable(postgres, session_name).await else { return Ok(Ground::Configured) };
    if throwaway::installed(&settings.client_dirs).await?.is_empty() {
        bail!(
            Failure::new(
                "the configured server cannot be reached, and no server program is at hand to make another one"
            )
            .hint("name the server, or install the package postgresql of the backup's major for a throwaway one")
            .because(server::told(error))
        );
    }
    Ok(Ground::Throwaway { why: format!("the configured server cannot be reached: {error}") })
}

/// The context of a drill there. With a server of its own nothing in it leads to the configured one, and all roles are the dump's.
pub fn context(context: &Context, ground: &Ground, request: &Request) -> Context {
    let mut settings = context.settings.clone();
    if let Ground::Throwaway { .. } = ground {
        let databases = settings.postgres.map_or(Databases::All, |postgres| postgres.databases);
        settings.postgres = Some(throwaway::unreached(databases));
        settings.restore.roles = Roles::Missing;
    }
    if settings.postgres.is_none() {
        settings = with_files(&settings, request);
    }
    Context { settings, stop: context.stop.clone(), json: context.json, told: context.told.clone() }
}

/// With a place for files those of a run are tried, whether or not the settings know where they live.
pub fn with_files(settings: &Settings, request: &Request) -> Settings {
    let mut settings = settings.clone();
    if request.scratch.is_some() || settings.drill.scratch.is_some() {
        settings.files.get_or_insert_default();
    }
    settings
}

/// The scratch directory, taken for this drill.
pub struct Taken {
    /// The directory.
    pub scratch: Scratch,
    note: Option<PathBuf>,
}

impl Taken {
    /// Takes it. What the settings do not name is noted, so that the next start of anything finds it.
    ///
    /// # Errors
    /// When it is live, somebody's, or another drill's.
    pub async fn take(context: &Context, run: &Run, request: &Request, trees: &[Snapshot]) -> Result<Taken> {
        let settings = &context.settings;
        let base = request.scratch.clone().unwrap_or_else(|| files::base(settings));
        let mut live: Vec<PathBuf> = settings.files.iter().flat_map(|files| files.roots.clone()).collect();
        live.extend(trees.iter().filter_map(|snapshot| match &snapshot.item {
            Item::Files(root) => Some(root.clone()),
            _ => None,
        }));
        let scratch = Scratch::take(&base, &live, &settings.app, &run.id, settings.lock_wait).await?;
        let note = places::note(settings, scratch.base());
        Ok(Taken { scratch, note })
    }

    /// Removes what was made. What cannot be removed is said; the next start tries again.
    pub fn remove(self) {
        match block_in_place(|| self.scratch.remove()) {
            Ok(()) => places::forget(self.note.as_deref()),
            Err(error) => tracing::error!("{error:#}; the next start tries again"),
        }
    }
}

/// Whether what comes has room in the scratch directory: the files, and the databases where a server is made there.
///
/// # Errors
/// When it has not.
pub fn room(scratch: &Scratch, trees: &[Snapshot], sql: Option<(&Read, &Postgres)>) -> Result<()> {
    let files: u64 = trees.iter().filter_map(|snapshot| snapshot.bytes).sum();
    let mut databases = None;
    if let Some((read, postgres)) = sql {
        let wanted = preflight::wanted(&read.survey, &postgres.databases, &Wish::default())?;
        databases = Some(wanted.iter().map(|wanted| read.survey.sections[wanted.section].bytes).sum());
    }
    let free = block_in_place(|| scratch::free_bytes(scratch))?;
    let Some(needs) = short(free, files, databases) else { return Ok(()) };
    bail!(
        Failure::new(format!(
            "the scratch directory {} has {} free, and {needs}; nothing was begun",
            scratch.base().display(),
            report::size(free)
        ))
        .hint("name a directory on a larger volume with --scratch or BKP_DRILL_SCRATCH")
    )
}

/// What is needed, when it cannot fit. Files need what they need; of databases only their size as SQL is known.
fn short(free: u64, files: u64, databases: Option<u64>) -> Option<String> {
    let least = databases.map_or(0, |sql| SERVER_BYTES + sql / room::HOPELESS);
    if free >= files.saturating_add(least) {
        return None;
    }
    let of_files = (files > 0).then(|| format!("the files need {}", report::size(files)));
    let of_databases = databases.map(|sql| {
        let server = report::size(SERVER_BYTES);
        format!("the databases are {} as SQL and go into a server that needs {server} itself", report::size(sql))
    });
    Some([of_files, of_databases].into_iter().flatten().collect::<Vec<_>>().join(", and "))
}

/// Makes the server and connects.
///
/// # Errors
/// When it cannot be made here, which says nothing of the backup.
pub async fn server(
    context: &Context,
    (scratch, session_name): (&Scratch, &str),
    read: &Read,
    why: &str,
) -> Result<(Server, Session)> {
    let (settings, survey) = (&context.settings, &read.survey);
    tracing::info!("databases go into a server that is made for this drill, {why}");
    let binaries = throwaway::installed(&settings.client_dirs).await?;
    let major = survey.server_banner.as_deref().and_then(throwaway::major_in);
    let binaries = throwaway::fitting(&binaries, major)?;
    let account = throwaway::account();
    let (data, log) = block_in_place(|| scratch.make_server(account))?;
    let plan = Plan {
        binaries,
        data: &data,
        log: &log,
        account,
        user: throwaway::first_superuser(&survey.globals),
        databases: context.postgres()?.databases.clone(),
    };
    let server = Server::start(plan).await?;
    tracing::info!("made a throwaway PostgreSQL {} in {}", binaries.version, scratch.base().display());
    let main = server::maintenance(&server.postgres, session_name).await?;
    Ok((server, main))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_fit_is_refused() {
        let mb = 1_000_000;
        assert_eq!(short(10 * mb, 10 * mb, None), None);
        assert!(short(10 * mb - 1, 10 * mb, None).is_some_and(|told| told.contains("10.0 MB")));
        assert_eq!(short(200 * mb, 100 * mb, Some(100 * mb)), None, "it may just fit");
        assert!(short(190 * mb, 100 * mb, Some(100 * mb)).is_some_and(|told| told.contains("the databases are 100")));
        assert!(short(60 * mb, 0, Some(0)).is_some(), "a server needs some room itself");
    }
}
