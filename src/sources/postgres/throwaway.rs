//! A server of our own, for a restore test alone: made from nothing, reached by a socket in its own directory and by nothing else,
//! gone with whoever holds it.
//!
//! It loses everything when the machine does, and is fast for that. Its directory is its account's alone, so whoever can reach its
//! socket may connect. PostgreSQL refuses to run as root; started by root, the server gets the account `nobody`, which owns nothing
//! that lives: not `postgres`, to whom the live server belongs.

use std::fs::OpenOptions;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::fs::{Mode, OFlags};
use tokio::time::{Instant, sleep, timeout};

use super::clients::sets;
use super::survey::Globals;
use crate::error::Failure;
use crate::process::{Held, Holding, Program};
use crate::settings::ClientDirs;
use crate::settings::postgres::{RootCert, Tls, TlsMode};
use crate::settings::{Databases, Host, Postgres};

/// The number in its socket's name.
const PORT: u16 = 5432;

/// The longest path of a socket, in bytes: Linux has 108, the last of them for the end.
const SOCKET_PATH_BYTES: usize = 107;

/// initdb takes a second; so long on a disk that is very slow.
const MAKING: Duration = Duration::from_secs(300);
const STARTING: Duration = Duration::from_secs(60);
const PACE: Duration = Duration::from_millis(10);

/// One installed server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// 13 … 18.
    pub major: u32,
    /// As `postgres --version` says it, such as `17.11`.
    pub version: String,
    directory: PathBuf,
}

/// Asks every server program in these directories and in the usual places for its version. Those without `initdb` make no server.
///
/// # Errors
/// Never for a directory without a server; a program that does not run is passed over with a warning.
pub async fn installed(directories: &ClientDirs) -> Result<Vec<Binaries>> {
    let sets = sets(directories, &["postgres", "initdb"]).await;
    Ok(sets.into_iter().map(|(major, version, directory)| Binaries { major, version, directory }).collect())
}

/// The server for a dump of that major: its own, else the oldest newer one; the newest where a dump does not say its major.
///
/// # Errors
/// When none fits; says what is installed and what to install.
pub fn fitting(all: &[Binaries], major: Option<u32>) -> Result<&Binaries> {
    let fits = match major {
        Some(major) => all.iter().find(|one| one.major >= major),
        None => all.last(),
    };
    if let Some(one) = fits {
        return Ok(one);
    }
    let there: Vec<&str> = all.iter().map(|one| one.version.as_str()).collect();
    let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
    let wanted = major.map_or("postgresql".to_owned(), |major| format!("postgresql-{major}"));
    bail!(
        Failure::new(format!(
            "no server program is at hand that is as new as the backup{}; installed: {there}",
            major.map_or(String::new(), |major| format!(", PostgreSQL {major}"))
        ))
        .hint(format!(
            "install the package {wanted} (or newer), name the directory of initdb and postgres in BKP_PG_BIN, or drill on the configured server: --server configured"
        ))
    )
}

/// The major in `15.18 (Debian 15.18-0+deb12u1)`.
pub fn major_in(version: &str) -> Option<u32> {
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The name of the superuser that was there from the beginning where the dump was taken. Since 16 memberships can be granted by
/// him alone, who needs no right for it, so ours has to bear the same name.
pub fn first_superuser(globals: &Globals) -> String {
    let usual = || "postgres".to_owned();
    let grantors = globals.memberships.iter().filter_map(|membership| membership.grantor.as_ref());
    let member_of_none = |name: &&super::name::Name| globals.memberships.iter().all(|one| one.member != **name);
    let mut firsts: Vec<String> = grantors.filter(member_of_none).map(ToString::to_string).collect();
    firsts.sort();
    firsts.dedup();
    match firsts.as_slice() {
        [one] => one.clone(),
        _ => usual(),
    }
}

/// User and group for a server that root starts; nothing where we are nobody special ourselves.
pub fn account() -> Option<(u32, u32)> {
    rustix::process::geteuid().is_root().then(|| nobody(&std::fs::read_to_string("/etc/passwd").unwrap_or_default()))
}

/// Their numbers differ between distributions.
fn nobody(table: &str) -> (u32, u32) {
    let line = table.lines().find(|line| line.starts_with("nobody:")).unwrap_or_default();
    let mut numbers = line.split(':').skip(2).map_while(|field| field.parse().ok());
    (numbers.next().unwrap_or(65534), numbers.next().unwrap_or(65534))
}

/// How to reach a server that is not there yet.
pub fn unreached(databases: Databases) -> Postgres {
    Postgres {
        host: Host::Socket("/nonexistent".into()),
        address: None,
        port: PORT,
        user: "postgres".to_owned(),
        password: None,
        passfile: Default::default(),
        databases,
        maintenance: Some("postgres".to_owned()),
        tls: Tls { mode: TlsMode::Disable, root_cert: RootCert::None, cert: None, key: None },
        connect_timeout: Some(STARTING),
        other: Vec::new(),
    }
}

/// What a server is made from.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Its programs.
    pub binaries: &'a Binaries,
    /// An empty directory that belongs to its account, which no other may enter.
    pub data: &'a Path,
    /// Where its own words go.
    pub log: &'a Path,
    /// User and group that it gets.
    pub account: Option<(u32, u32)>,
    /// Its superuser.
    pub user: String,
    /// What is to be restored.
    pub databases: Databases,
}

/// A running server; dropped, it is gone.
#[derive(Debug)]
pub struct Server {
    /// How to reach it.
    pub postgres: Postgres,
    _held: Held,
    _data: OwnedFd,
}

impl Server {
    /// Makes it and starts it.
    ///
    /// # Errors
    /// With its own words when it cannot be made, or does not start.
    pub async fn start(plan: Plan<'_>) -> Result<Server> {
        // For this account alone: its words may quote values.
        let log = OpenOptions::new().write(true).create_new(true).mode(0o600).open(plan.log);
        let log = log.with_context(|| format!("making {}", plan.log.display()))?;
        let holding = Holding { directory: plan.data, account: plan.account, log: &log };
        let making = async { plan.make(holding).await?.end().await };
        match timeout(MAKING, making).await {
            Ok(Ok(status)) if status.success() => {}
            Ok(Ok(status)) => bail!(failed(&plan, &format!("initdb {}", crate::process::ended(status)))),
            Ok(Err(error)) => return Err(failed(&plan, "initdb does not start").because(error).into()),
            Err(_) => bail!(failed(&plan, "initdb takes longer than five minutes")),
        }
        // It listens on nothing but its socket; who is not its account does not get there.
        std::fs::write(plan.data.join("pg_hba.conf"), "local all all trust\n").context("writing pg_hba.conf")?;
        let mut held = plan
            .run(holding)
            .await
            .map_err(|error| anyhow::Error::from(failed(&plan, "it cannot be started").because(error)))?;
        let begun = Instant::now();
        while !is_ready(plan.data) {
            if let Some(status) = held.has_ended() {
                bail!(failed(&plan, &format!("it {}", crate::process::ended(status))));
            }
            if begun.elapsed() > STARTING {
                bail!(failed(&plan, "it is not ready after a minute"));
            }
            sleep(PACE).await;
        }
        let data = rustix::fs::open(plan.data, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let mut postgres = unreached(plan.databases.clone());
        postgres.user.clone_from(&plan.user);
        postgres.host = Host::Socket(socket_directory(plan.data, &data));
        Ok(Server { postgres, _held: held, _data: data })
    }
}

impl Plan<'_> {
    async fn make(&self, holding: Holding<'_>) -> Result<Held> {
        let mut arguments = vec!["-D".into(), self.data.into(), format!("--username={}", self.user).into()];
        // Each database of a dump says its own encoding and locale. These are for one that does not, and are everywhere.
        let rest = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"];
        arguments.extend(rest.map(std::ffi::OsString::from));
        let path = self.binaries.directory.join("initdb");
        Held::start(&Program { path, arguments, environment: Vec::new() }, holding).await
    }

    async fn run(&self, holding: Holding<'_>) -> Result<Held> {
        let mut arguments = vec!["-D".into(), self.data.into()];
        for setting in settings(self.binaries.major) {
            arguments.extend(["-c".into(), setting.into()]);
        }
        let path = self.binaries.directory.join("postgres");
        Held::start(&Program { path, arguments, environment: Vec::new() }, holding).await
    }
}

/// Its settings: reached by nothing but its socket, quick, and content with little.
fn settings(major: u32) -> Vec<&'static str> {
    let mut all = vec![
        "listen_addresses=",
        // In its working directory, which is its data; so the path has no length.
        "unix_socket_directories=.",
        "unix_socket_permissions=0700",
        "port=5432",
        "fsync=off",
        "synchronous_commit=off",
        "full_page_writes=off",
        "wal_level=minimal",
        "max_wal_senders=0",
        // A subscription of the dump never reaches the server that it names.
        "max_logical_replication_workers=0",
        "max_wal_size=256MB",
        "autovacuum=off",
        "max_connections=20",
        // Containers often have 64 MB of /dev/shm.
        "dynamic_shared_memory_type=mmap",
        // Where memory may not be executed, it cannot work.
        "jit=off",
        // No statement and no row in a log.
        "log_min_error_statement=panic",
        "log_error_verbosity=terse",
    ];
    if major >= 18 {
        all.push("io_method=sync");
    }
    all
}

/// The eighth line of its note says how far it is; it may be seen half written.
fn is_ready(data: &Path) -> bool {
    let note = std::fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    note.lines().nth(7).is_some_and(|line| line.trim() == "ready")
}

/// The directory of the socket, by a name that is short enough: by our own open one, if its own is too long.
fn socket_directory(data: &Path, open: &OwnedFd) -> PathBuf {
    let name = format!("/.s.PGSQL.{PORT}");
    match data.as_os_str().as_bytes().len() + name.len() <= SOCKET_PATH_BYTES {
        true => data.to_owned(),
        false => PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), open.as_raw_fd())),
    }
}

fn failed(plan: &Plan<'_>, what: &str) -> Failure {
    let said = std::fs::read_to_string(plan.log).unwrap_or_default();
    let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let said = said[said.len().saturating_sub(6)..].join("; ");
    let hint = match plan.account {
        _ if said.contains("could not look up effective user ID") => {
            "initdb needs an account with a name: give it one in /etc/passwd, or drill on the configured server: --server configured"
        }
        Some(_) => {
            "as root it runs as the account nobody; let the drill run as an account that is not root, or drill on the configured server: --server configured"
        }
        None => "mend what it says, or drill on the configured server: --server configured",
    };
    Failure::new(format!("no throwaway PostgreSQL {} could be made: {what}: {said}", plan.binaries.version)).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::postgres::survey::Member;

    fn one(major: u32) -> Binaries {
        Binaries { major, version: format!("{major}.1"), directory: PathBuf::from("/") }
    }

    #[test]
    fn a_server_is_never_older_than_the_dump_and_its_own_major_is_first() {
        let all = [one(14), one(15), one(17)];
        assert_eq!(fitting(&all, Some(15)).unwrap().major, 15);
        assert_eq!(fitting(&all, Some(16)).unwrap().major, 17);
        assert_eq!(fitting(&all, None).unwrap().major, 17);
        let said = fitting(&all, Some(18)).unwrap_err().to_string();
        assert!(said.contains("PostgreSQL 18") && said.contains("17.1"), "{said}");
        assert_eq!(major_in("15.18 (Debian 15.18-0+deb12u1)"), Some(15));
    }

    #[test]
    fn the_first_superuser_is_who_grants_without_being_granted() {
        let member = |role: &str, member: &str, grantor: Option<&str>| Member {
            role: role.to_owned().into(),
            member: member.to_owned().into(),
            grantor: grantor.map(|name| name.to_owned().into()),
        };
        let mut globals = Globals::default();
        assert_eq!(first_superuser(&globals), "postgres");
        globals.memberships.extend([member("a", "b", Some("boss")), member("c", "d", Some("b"))]);
        assert_eq!(first_superuser(&globals), "boss");
        globals.memberships.extend([member("a", "e", Some("other"))]);
        assert_eq!(first_superuser(&globals), "postgres", "nobody can tell");
    }

    #[test]
    fn the_account_of_nobody_is_the_systems_own() {
        assert_eq!(nobody("root:x:0:0::/:/bin/sh\nnobody:x:99:98:Nobody:/:/sbin/nologin\n"), (99, 98));
        assert_eq!(nobody(""), (65534, 65534));
    }

    #[test]
    fn a_path_that_is_too_long_for_a_socket_has_another_name() {
        let dir = tempfile::tempdir().unwrap();
        let open = rustix::fs::open(dir.path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        assert_eq!(socket_directory(dir.path(), &open), dir.path());
        let other = socket_directory(&dir.path().join("x".repeat(107)), &open);
        assert_eq!(other.canonicalize().unwrap(), dir.path().canonicalize().unwrap());
    }
}
