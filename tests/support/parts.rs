//! Where the programs are that `tests/support/install` fetched.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The majors that bkp supports and every test can start a server of.
pub const MAJORS: [u32; 5] = [14, 15, 16, 17, 18];

/// The newest of [`MAJORS`]: what a test uses when the version does not matter.
pub const NEWEST: u32 = 18;

/// The directory that `install` fills; the same choice as in that script.
pub fn cache() -> PathBuf {
    if let Some(chosen) = env::var_os("BKP_TEST_CACHE").filter(|value| !value.is_empty()) {
        return PathBuf::from(chosen);
    }
    if root() {
        return PathBuf::from("/var/cache/bkp-test");
    }
    let home = env::var_os("HOME").expect("HOME, or BKP_TEST_CACHE, must be set");
    PathBuf::from(home).join(".cache/bkp-test")
}

/// Directory of one major's programs.
///
/// # Panics
/// When it is not installed, saying how to install it: a test that silently passes without its server proves nothing.
pub fn bin(major: u32) -> PathBuf {
    let bin = cache().join(format!("pg/{major}/bin"));
    assert!(bin.join("postgres").exists(), "no PostgreSQL {major} in {}: run `make install-parts`", bin.display());
    bin
}

/// Directory of the clients that fit a server: its own major's, or the oldest that we have (13 comes without clients).
pub fn client_bin(major: u32) -> PathBuf {
    bin(major.max(MAJORS[0]))
}

/// The value of BKP_PG_BIN: all client directories, oldest first, joined as in PATH.
pub fn client_path() -> String {
    let dirs: Vec<String> = MAJORS.iter().map(|major| client_bin(*major).display().to_string()).collect();
    dirs.join(":")
}

/// A restic: `0.18`, which bkp uses, or `0.14`, Debian 12's.
///
/// # Panics
/// When it is not installed, saying how to install it.
pub fn restic(version: &str) -> PathBuf {
    let program = cache().join(format!("restic/{version}/restic"));
    assert!(program.exists(), "no {}: run `make install-parts`", program.display());
    program
}

/// The library that gives a program another clock.
///
/// # Panics
/// When it is not installed, saying how to install it.
pub fn faketime() -> PathBuf {
    let lib = Path::new("/usr/lib");
    let places = std::fs::read_dir(lib).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files = places.chain([lib.to_owned()]).map(|place| place.join("faketime/libfaketime.so.1"));
    files.find(|file| file.exists()).expect("no libfaketime: run `make install-parts`")
}

/// Whether the tests run as root, as they do in a container.
pub fn root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The words that start a program as the servers' user: PostgreSQL refuses to run as root.
pub fn as_server_user() -> Vec<String> {
    if !root() {
        return Vec::new();
    }
    let (uid, gid) = nobody();
    vec!["setpriv".into(), format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".into(), "--".into()]
}

/// Gives a file or directory to the servers' user; nothing to do when that is the user of the tests.
pub fn give_to_server_user(path: &Path) {
    if root() {
        let (uid, gid) = nobody();
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).expect("chown to nobody");
    }
}

/// The same for a directory and all that is in it.
pub fn give_all_to_server_user(path: &Path) {
    give_to_server_user(path);
    if path.is_dir() && !path.is_symlink() {
        for entry in std::fs::read_dir(path).expect("a directory") {
            give_all_to_server_user(&entry.expect("an entry").path());
        }
    }
}

/// Ids of `nobody`, from the system's own table: they differ between distributions.
fn nobody() -> (u32, u32) {
    let table = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = table.lines().find(|line| line.starts_with("nobody:")).unwrap_or_default();
    let mut ids = line.split(':').skip(2).map_while(|field| field.parse().ok());
    (ids.next().unwrap_or(65534), ids.next().unwrap_or(65534))
}

/// A command for one of the programs, its environment free of libpq's variables: the tester's own must not change a test.
pub fn program(bin: &Path, name: &str) -> Command {
    let mut command = Command::new(bin.join(name));
    for (key, _) in env::vars_os() {
        if key.to_string_lossy().starts_with("PG") {
            command.env_remove(&key);
        }
    }
    command.env("LC_ALL", "C");
    // The 13 server comes with its own libraries and looks for them nowhere.
    if let Some(lib) = bin.parent().map(|set| set.join("lib")).filter(|_| bin.ends_with("13/bin")) {
        command.env("LD_LIBRARY_PATH", lib);
    }
    command
}
