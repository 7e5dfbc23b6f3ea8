//! Where settings come from, behind a trait, so that tests bring a map instead of changing the process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A setting's file that is larger than this is not a setting.
const FILE_LIMIT_BYTES: u64 = 1 << 20;

/// The account of the operating system that we run as.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// Its name; none for a bare number, as containers often have.
    pub name: Option<String>,
    /// Its home directory.
    pub home: Option<PathBuf>,
}

/// What a file is, as far as settings care.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// A plain file, after links.
    pub is_file: bool,
    /// The permission bits.
    pub mode: u32,
}

/// The process's surroundings.
pub trait Environment {
    /// The value of a variable.
    fn get(&self, name: &str) -> Option<OsString>;
    /// The names of all variables.
    fn names(&self) -> Vec<OsString>;
    /// What a small file holds.
    ///
    /// # Errors
    /// When it cannot be read or is too large to be a setting.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// What is at a path, if anything.
    fn stat(&self, path: &Path) -> Option<Kind>;
    /// Who we are.
    fn account(&self) -> Account;
}

/// The real one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Process;

impl Process {
    /// What the process was called with, its own name first.
    #[must_use]
    pub fn arguments(self) -> Vec<OsString> {
        std::env::args_os().collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
impl Environment for Process {
    fn get(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn names(&self) -> Vec<OsString> {
        std::env::vars_os().map(|(name, _)| name).collect()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(FILE_LIMIT_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_LIMIT_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
        }
        Ok(bytes)
    }

    fn stat(&self, path: &Path) -> Option<Kind> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Kind { is_file: metadata.is_file(), mode: metadata.mode() & 0o7777 })
    }

    fn account(&self) -> Account {
        let uid = rustix::process::geteuid().as_raw().to_string();
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let mut account = account_of(&passwd, &uid);
        // As libpq: HOME wins over what the system says.
        if let Some(home) = std::env::var_os("HOME").filter(|home| !home.is_empty()) {
            account.home = Some(home.into());
        }
        account
    }
}

/// Finds a uid in the text of `/etc/passwd`.
fn account_of(passwd: &str, uid: &str) -> Account {
    for line in passwd.lines() {
        let fields: Vec<_> = line.split(':').collect();
        if let [name, _, found, _, _, home, ..] = fields[..]
            && found == uid
        {
            return Account { name: Some(name.into()), home: Some(home.into()) };
        }
    }
    Account::default()
}

/// A made-up one, for tests and for whoever resolves settings from elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Made {
    /// Variables.
    pub variables: BTreeMap<String, OsString>,
    /// Files by path: what they hold and their permission bits.
    pub files: BTreeMap<PathBuf, (Vec<u8>, u32)>,
    /// Who we are.
    pub account: Account,
}

impl Made {
    /// One with these variables, run by an account called `me` whose home is `/home/me`.
    #[must_use]
    pub fn of(variables: &[(&str, &str)]) -> Self {
        Self {
            variables: variables.iter().map(|(name, value)| ((*name).into(), value.into())).collect(),
            files: BTreeMap::new(),
            account: Account { name: Some("me".into()), home: Some("/home/me".into()) },
        }
    }

    /// The same with a file more, readable by its owner alone.
    #[must_use]
    pub fn file(mut self, path: &str, text: impl AsRef<[u8]>) -> Self {
        self.files.insert(path.into(), (text.as_ref().to_vec(), 0o600));
        self
    }
}

impl Environment for Made {
    fn get(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).cloned()
    }

    fn names(&self) -> Vec<OsString> {
        self.variables.keys().map(OsString::from).collect()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(path).map(|(bytes, _)| bytes.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn stat(&self, path: &Path) -> Option<Kind> {
        self.files.get(path).map(|(_, mode)| Kind { is_file: true, mode: *mode })
    }

    fn account(&self) -> Account {
        self.account.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbkp:x:65532:65532::/home/bkp:/bin/false\n";
        assert_eq!(account_of(passwd, "65532").name.as_deref(), Some("bkp"));
        assert!(account_of(passwd, "5").name.is_none());
    }

    #[test]
    fn a_directory_is_no_setting() {
        assert!(Process.read(Path::new("/")).is_err());
        assert!(Process.stat(Path::new("/")).is_some_and(|kind| !kind.is_file));
    }
}
