//! The restic program: found once, and asked for its version before anything is entrusted to it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use jiff::Timestamp;
use rustix::fs::Access;

use crate::error::Failure;
use crate::exit::Exit;
use crate::process::{self, Program};

/// The oldest that has what we rely on: exit codes 10 and 11, and no snapshot of a command that fails.
const OLDEST: Version = Version(0, 17, 0);

/// Where it is looked for when no setting says where it is.
const USUAL: [&str; 3] = ["/usr/local/bin/restic", "/usr/bin/restic", "/bin/restic"];

/// Variables that we set ourselves, or that would change what a command means: `RESTIC_HOST` filters lists of snapshots.
const OURS: [&str; 11] = [
    "RESTIC_REPOSITORY",
    "RESTIC_REPOSITORY_FILE",
    "RESTIC_FROM_REPOSITORY",
    "RESTIC_FROM_REPOSITORY_FILE",
    "RESTIC_FROM_PASSWORD",
    "RESTIC_FROM_PASSWORD_FILE",
    "RESTIC_FROM_PASSWORD_COMMAND",
    "RESTIC_HOST",
    "RESTIC_PROGRESS_FPS",
    "TZ",
    "PWD",
];

/// What restic needs to know, from the settings.
#[derive(Clone)]
pub struct Options {
    /// The file to execute; otherwise it is looked for in the usual places.
    pub program: Option<PathBuf>,
    /// Everything that restic and its backends may read: `RESTIC_*`, `AWS_*`, `HOME`, `TMPDIR` and so on.
    pub environment: Vec<(String, OsString)>,
    /// A CA file for the store; `RESTIC_CACERT` in the environment comes first.
    pub cacert: Option<PathBuf>,
    /// How long a live lock is waited for.
    pub lock_wait: Duration,
    /// How long what is answered at once may take: restic itself tries for a quarter of an hour to reach a dead store.
    pub answer_within: Duration,
    /// bkp itself, as restic can start it: [`process::own_program`].
    pub relay: PathBuf,
    /// Tells the time; how old a lock is decides whether its holder can be alive.
    pub clock: fn() -> Timestamp,
}

impl Options {
    /// Enough for a slow store with many snapshots.
    pub const ANSWER_WITHIN: Duration = Duration::from_secs(300);
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.environment.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Options").field("program", &self.program).field("environment", &names).finish_non_exhaustive()
    }
}

/// `0.18.0`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32, u32, u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A restic that can be used.
#[derive(Clone)]
pub struct Restic {
    pub(super) path: PathBuf,
    pub(super) options: Arc<Options>,
    version: Version,
    cached: bool,
}

impl Restic {
    /// Finds the program and asks it for its version.
    ///
    /// # Errors
    /// When there is none, it does not run, or it is older than 0.17.0.
    pub async fn find(options: Options) -> Result<Restic> {
        let found = match &options.program {
            Some(path) => Some(path.clone()),
            None => candidates(&options.environment).into_iter().find(|path| path.is_file()),
        };
        let Some(path) = found else {
            bail!(
                Failure::new("there is no restic program here")
                    .hint("take the image that has it, or install restic 0.17 or newer")
                    .exit(Exit::Usage)
            );
        };
        let asked = Program { path: path.clone(), arguments: vec!["version".into()], environment: Vec::new() };
        let said = process::output(&asked).await.map_err(|error| {
            let failure = Failure::new(format!("{} does not run", path.display())).exit(Exit::Usage);
            failure.hint("install restic 0.17 or newer for this machine").because(error)
        })?;
        let said = String::from_utf8_lossy(&said).into_owned();
        let version = match parse_version(&said) {
            Some(version) if version >= OLDEST => version,
            Some(version) => bail!(
                Failure::new(format!("{} is restic {version}; {OLDEST} is the oldest that works", path.display()))
                    .hint("take the image that has a newer one, or install it: an older one stores what a failed dump left")
                    .exit(Exit::Usage)
            ),
            None => bail!(
                Failure::new(format!("{} is no restic: it says {:?}", path.display(), said.trim()))
                    .hint("correct BKP_RESTIC_BIN, or unset it where restic is in PATH")
                    .exit(Exit::Usage)
            ),
        };
        let cached = has_cache(&options.environment);
        if !cached {
            tracing::info!("restic works without a cache: RESTIC_CACHE_DIR can name a writable directory for it");
        }
        Ok(Restic { path, options: Arc::new(options), version, cached })
    }

    /// Which it is.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Arguments that every command begins with.
    pub(super) fn global_arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        if let Some(cacert) = self.options.cacert.as_ref().filter(|_| self.variable("RESTIC_CACERT").is_none()) {
            arguments.extend(["--cacert".into(), cacert.into()]);
        }
        if !self.cached {
            arguments.push("--no-cache".into());
        }
        arguments
    }

    /// What every command finds in its environment.
    pub(super) fn environment(&self) -> Vec<(String, OsString)> {
        let given = self.options.environment.iter().filter(|(name, _)| !OURS.contains(&name.as_str())).cloned();
        // Times are given and read in UTC. A word each second tells restic at the latest then that we are dead.
        let ours = [("TZ", "UTC"), ("RESTIC_PROGRESS_FPS", "1")].map(|(name, value)| (name.to_owned(), value.into()));
        given.chain(ours).collect()
    }

    /// The file of authorities that the store is held to.
    pub(super) fn authorities(&self) -> Option<&Path> {
        self.variable("RESTIC_CACERT").map(Path::new).or(self.options.cacert.as_deref())
    }

    pub(super) fn variable(&self, name: &str) -> Option<&OsStr> {
        variable(&self.options.environment, name)
    }
}

fn variable<'a>(environment: &'a [(String, OsString)], name: &str) -> Option<&'a OsStr> {
    environment.iter().find(|(given, value)| given == name && !value.is_empty()).map(|(_, value)| value.as_os_str())
}

/// The directories of PATH first, as an operator expects.
fn candidates(environment: &[(String, OsString)]) -> Vec<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let path = variable(environment, "PATH").unwrap_or_default().as_bytes();
    let named = path.split(|byte| *byte == b':').filter(|directory| directory.starts_with(b"/"));
    named.map(|dir| Path::new(OsStr::from_bytes(dir)).join("restic")).chain(USUAL.map(PathBuf::from)).collect()
}

/// Whether there is a place for restic's cache: in a container that may write nowhere, it would warn at each command.
fn has_cache(environment: &[(String, OsString)]) -> bool {
    let place = match (variable(environment, "RESTIC_CACHE_DIR"), variable(environment, "XDG_CACHE_HOME")) {
        (Some(directory), _) => PathBuf::from(directory),
        (None, Some(caches)) => Path::new(caches).join("restic"),
        (None, None) => match variable(environment, "HOME") {
            Some(home) => Path::new(home).join(".cache/restic"),
            None => return false,
        },
    };
    std::fs::create_dir_all(&place).is_ok() && rustix::fs::access(&place, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// Of "restic 0.18.0 compiled with go1.24.4 on linux/amd64", or "restic 0.17.3-dev (compiled manually) …".
fn parse_version(said: &str) -> Option<Version> {
    let number = said.strip_prefix("restic ")?.split_whitespace().next()?;
    let number = number.split(['-', '+']).next()?;
    let mut parts = number.split('.').map(|part| part.parse().ok());
    Some(Version(parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_what_restic_says() {
        for (said, version) in [
            ("restic 0.18.0 compiled with go1.24.4 on linux/amd64\n", Some(Version(0, 18, 0))),
            ("restic 0.17.3-dev (compiled manually) compiled with go1.23 on linux/arm64", Some(Version(0, 17, 3))),
            ("restic 1.2 x", Some(Version(1, 2, 0))),
            ("rustic 0.9.1", None),
            ("", None),
        ] {
            assert_eq!(parse_version(said), version, "{said}");
        }
        assert!(Version(0, 14, 0) < OLDEST && Version(0, 17, 0) >= OLDEST && Version(1, 0, 0) > OLDEST);
    }

    #[test]
    fn options_print_no_value() {
        let options = Options {
            program: None,
            environment: vec![("AWS_SECRET_ACCESS_KEY".into(), "hunter2".into())],
            cacert: None,
            lock_wait: Duration::ZERO,
            answer_within: Options::ANSWER_WITHIN,
            relay: PathBuf::new(),
            clock: || Timestamp::UNIX_EPOCH,
        };
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
