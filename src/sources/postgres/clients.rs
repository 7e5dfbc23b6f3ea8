//! The PostgreSQL client programs at hand, and the right one for a server.
//!
//! A client dumps its own major version and older ones, never newer ones. The same major is best: a newer one writes settings
//! that the server does not know.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use futures::future::join_all;

use crate::error::Failure;
use crate::process::{Program, output};
use crate::settings::ClientDirs;

/// One installed set of pg_dump, pg_dumpall and psql.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// 13 … 18.
    pub major: u32,
    /// As `pg_dump --version` says it, such as `17.11`.
    pub version: String,
    directory: PathBuf,
}

impl Client {
    /// The path of one of its programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl Client {
    /// Whether its psql has `\restrict`: all minor versions since August 2025 (CVE-2025-8714).
    pub fn knows_restrict(&self) -> bool {
        let minor: u32 = self.version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(0);
        match self.major {
            13 => minor >= 22,
            14 => minor >= 19,
            15 => minor >= 14,
            16 => minor >= 10,
            17 => minor >= 6,
            major => major >= 18,
        }
    }
}

/// What Debian has in `/usr/bin` under the names of all client programs: Perl that starts one of [`DEBIANS`], where we look ourselves. It
/// takes ten times as long to say which.
const WRAPPER: &str = "postgresql-common/pg_wrapper";
const DEBIANS: &str = "/usr/lib/postgresql";

/// Asks every pg_dump in these directories and in the places where distributions install them for its version.
///
/// # Errors
/// Never for a directory without clients; a program that does not run is passed over with a warning.
pub async fn installed(directories: &ClientDirs) -> Result<Vec<Client>> {
    let sets = sets(directories, &["pg_dump", "pg_dumpall", "psql"]).await;
    Ok(sets.into_iter().map(|(major, version, directory)| Client { major, version, directory }).collect())
}

/// Directories that have all of these programs, the first of each major, ascending; the first program tells major and version.
pub(super) async fn sets(directories: &ClientDirs, programs: &[&str]) -> Vec<(u32, String, PathBuf)> {
    let has_all = |directory: &PathBuf| programs.iter().all(|name| directory.join(name).is_file());
    let (mut known, has_debians) = (BTreeSet::new(), Path::new(DEBIANS).is_dir());
    let is_new = |directory: &PathBuf| {
        let real = directory.join(programs[0]).canonicalize();
        real.is_ok_and(|real| !starts_another(&real, has_debians) && known.insert(real))
    };
    let asked = places(directories).filter(has_all).filter(is_new).map(async |directory| {
        let arguments = vec!["--version".into()];
        let asked = Program { path: directory.join(programs[0]), arguments, environment: Vec::new() };
        (output(&asked).await, asked, directory)
    });
    let mut sets: Vec<(u32, String, PathBuf)> = Vec::new();
    // All at once: an image has seven of them.
    for (said, asked, directory) in join_all(asked).await {
        match said {
            Ok(said) => {
                if let Some((major, version)) = parse_version(programs[0], &String::from_utf8_lossy(&said))
                    && !sets.iter().any(|(there, ..)| *there == major)
                {
                    sets.push((major, version, directory));
                }
            }
            Err(error) => tracing::warn!("{} is passed over: {error:#}", asked.path.display()),
        }
    }
    sets.sort_by_key(|(major, ..)| *major);
    sets
}

/// Whether a program only starts one that we find elsewhere.
fn starts_another(program: &Path, has_debians: bool) -> bool {
    has_debians && program.ends_with(WRAPPER)
}

/// Where programs of PostgreSQL are looked for.
fn places(directories: &ClientDirs) -> impl Iterator<Item = PathBuf> {
    directories.named.iter().cloned().chain(usual_directories()).chain(directories.path.iter().cloned())
}

fn usual_directories() -> Vec<PathBuf> {
    let versions = |base: &str, below: &str| -> Vec<PathBuf> {
        let Ok(entries) = Path::new(base).read_dir() else { return Vec::new() };
        let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path().join(below)).collect();
        found.sort();
        found
    };
    let mut all = versions(DEBIANS, "bin");
    all.extend(versions("/usr/libexec", "bin"));
    all.extend(versions("/opt", "bin"));
    all.extend(["/usr/local/bin", "/usr/bin"].map(PathBuf::from));
    all
}

/// What a program answers when it is asked for its version.
fn parse_version(program: &str, said: &str) -> Option<(u32, String)> {
    let version = said.strip_prefix(program)?.strip_prefix(" (PostgreSQL) ")?.split_whitespace().next()?;
    let major = version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    Some((major, version.to_owned()))
}

/// The client that dumps a server: its own major, else the oldest newer one.
///
/// # Errors
/// When none fits; says what is installed and what to install.
pub fn for_dump(clients: &[Client], server: u32) -> Result<&Client> {
    if let Some(client) = clients.iter().find(|client| client.major >= server) {
        return Ok(client);
    }
    bail!(none_fits(clients, server))
}

/// The client that replays into a server: its own major, else the oldest newer one, else the newest.
///
/// # Errors
/// When none is installed.
pub fn for_load(clients: &[Client], server: u32) -> Result<&Client> {
    match clients.iter().find(|client| client.major >= server).or(clients.last()) {
        Some(client) => Ok(client),
        None => bail!(none_fits(clients, server)),
    }
}

fn none_fits(clients: &[Client], server: u32) -> Failure {
    let installed: Vec<&str> = clients.iter().map(|client| client.version.as_str()).collect();
    let installed = if installed.is_empty() {
        "none is installed".to_owned()
    } else {
        format!("installed: {}", installed.join(", "))
    };
    Failure::new(format!(
        "no client programs for a PostgreSQL {server} server ({installed}); a client cannot dump a newer server"
    ))
    .hint(format!(
        "install the package postgresql-client-{server} (or newer), or name the directory of pg_dump in BKP_PG_BIN"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(major: u32) -> Client {
        Client { major, version: format!("{major}.1"), directory: PathBuf::from("/") }
    }

    #[test]
    fn the_same_major_is_picked_then_the_oldest_newer_one() {
        let all = [client(14), client(15), client(17)];
        assert_eq!(for_dump(&all, 15).unwrap().major, 15);
        assert_eq!(for_dump(&all, 16).unwrap().major, 17);
        assert_eq!(for_dump(&all, 13).unwrap().major, 14);
    }

    #[test]
    fn an_older_client_never_dumps_but_may_load() {
        let all = [client(14), client(15)];
        let said = for_dump(&all, 17).unwrap_err().to_string();
        assert!(said.contains("PostgreSQL 17") && said.contains("15.1"), "{said}");
        assert_eq!(for_load(&all, 17).unwrap().major, 15);
        assert!(for_load(&[], 17).is_err());
    }

    #[test]
    fn versions_are_read_as_the_programs_say_them() {
        assert_eq!(
            parse_version("pg_dump", "pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some((15, "15.18".to_owned()))
        );
        assert_eq!(parse_version("pg_dump", "pg_dump (PostgreSQL) 19beta1\n"), Some((19, "19beta1".to_owned())));
        assert_eq!(parse_version("pg_dump", "busybox"), None);
    }

    #[test]
    fn a_wrapper_is_asked_only_where_nothing_else_can_be() {
        let wrapper = Path::new("/usr/share/postgresql-common/pg_wrapper");
        assert!(starts_another(wrapper, true) && !starts_another(wrapper, false));
        assert!(!starts_another(Path::new("/usr/bin/pg_dump"), true));
    }

    #[tokio::test]
    async fn a_program_that_is_in_several_places_is_asked_once() {
        let top = tempfile::tempdir().unwrap();
        let (real, linked) = (top.path().join("real"), top.path().join("linked"));
        std::fs::create_dir_all(&real).unwrap();
        std::os::unix::fs::symlink(&real, &linked).unwrap();
        // By a shell: what this process has open for writing, another test's child may hold open while it is to run.
        let text = format!("#!/bin/sh\necho x >>'{}/times'\necho 'asked (PostgreSQL) 98.1'\n", top.path().display());
        let makes = ["-c", "printf %s \"$1\" >\"$2\" && chmod +x \"$2\"", "sh", &text].map(Into::into);
        let arguments = makes.into_iter().chain([real.join("asked").into()]).collect();
        output(&Program { path: "/bin/sh".into(), arguments, environment: Vec::new() }).await.unwrap();
        let found = sets(&ClientDirs { named: vec![real.clone()], path: vec![linked] }, &["asked"]).await;
        assert_eq!(found, [(98, "98.1".to_owned(), real)]);
        assert_eq!(std::fs::read_to_string(top.path().join("times")).unwrap(), "x\n");
    }
}
