//! What makes hundreds of calls of restic affordable: a repository whose password takes no time to try, and applications without
//! a server.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{PASSWORD, tree};
use crate::support::bkp::Bkp;
use crate::support::run::{Ran, run};
use crate::support::workdir::WorkDir;
use crate::support::{fixtures, parts};

/// Lays an empty repository. restic makes the key from the password slowly, to thwart guessing: half a second of processor time a
/// call. The cost stands in the key's file, and this one's is as low as it goes.
pub fn lay_repository(at: &Path) {
    let from = fixtures::path("restic");
    fs::create_dir_all(at.join("keys")).expect("mkdir");
    for folder in ["snapshots", "index", "locks", "data"] {
        fs::create_dir_all(at.join(folder)).expect("mkdir");
    }
    fs::copy(from.join("config"), at.join("config")).expect("the repository's configuration");
    for key in fs::read_dir(from.join("keys")).expect("keys").flatten() {
        fs::copy(key.path(), at.join("keys").join(key.file_name())).expect("a key");
    }
}

/// The ids of all snapshots that a repository has, without asking restic.
pub fn snapshot_ids(repository: &Path) -> Vec<String> {
    let listed = fs::read_dir(repository.join("snapshots")).into_iter().flatten().flatten();
    let mut ids: Vec<String> = listed.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    ids.sort();
    ids
}

/// The real restic on a repository.
pub fn restic_at(repository: &Path, arguments: &[&str]) -> Ran {
    restic_fed(repository, arguments, b"")
}

/// The same with something to read.
pub fn restic_fed(repository: &Path, arguments: &[&str], input: &[u8]) -> Ran {
    let mut restic = Command::new(parts::restic("0.18"));
    restic.env_clear().env("RESTIC_REPOSITORY", repository).env("RESTIC_PASSWORD", PASSWORD).env("TZ", "UTC");
    run(restic.arg("--no-cache").args(arguments), input)
}

/// A script that stands for restic: `$REAL` is the real one, `$D` a directory of its own. Asked for its version it is always
/// the real one.
pub fn restic_that(work: &WorkDir, script: &str) -> PathBuf {
    let directory = work.dir("faults");
    let path = directory.join("restic");
    let real = parts::restic("0.18");
    let text = format!(
        "#!/bin/sh\nREAL={}\nD={}\ncase \"$*\" in *version*) exec $REAL \"$@\";; esac\n{script}\n",
        real.display(),
        directory.display()
    );
    // A shell that still reads the old one must not find the new one in it.
    let _ = fs::remove_file(&path);
    fs::write(&path, text).expect("a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("an executable");
    path
}

/// Mounts a file system of its own at a directory, for as long as this lives.
pub struct Mounted(PathBuf);

impl Mounted {
    /// A small one in memory.
    pub fn tmpfs(at: &Path, options: &str) -> Self {
        fs::create_dir_all(at).expect("mkdir");
        Self::with(&["-t", "tmpfs", "-o", options, "tmpfs"], at)
    }

    /// The directory itself, but read-only.
    pub fn read_only(at: &Path) -> Self {
        let mounted = Self::with(&["--bind", &at.display().to_string()], at);
        std::mem::forget(Self::with(&["-o", "remount,bind,ro"], at));
        mounted
    }

    fn with(arguments: &[&str], at: &Path) -> Self {
        let ran = run(Command::new("mount").args(arguments).arg(at), b"");
        assert!(ran.success, "mount needs root: {}", ran.stderr);
        Self(at.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// An application of files alone.
pub struct Plain {
    pub work: WorkDir,
}

impl Plain {
    pub fn open() -> Self {
        let plain = Self { work: WorkDir::new() };
        plain.work.file("password", format!("{PASSWORD}\n"));
        lay_repository(&plain.repository());
        plain.work.file("files/config/app.php", "secret");
        plain.work.file("files/data/a/photo.jpg", "a photo");
        plain.work.file("files/.hidden", "dot");
        plain
    }

    pub fn files(&self) -> PathBuf {
        self.work.join("files")
    }

    pub fn repository(&self) -> PathBuf {
        self.work.join("repository")
    }

    pub fn bkp<const N: usize>(&self, arguments: [&str; N]) -> Bkp {
        self.settings(Bkp::bare()).args(arguments)
    }

    /// What every run of bkp is told.
    pub fn settings(&self, bkp: Bkp) -> Bkp {
        bkp.env("BKP_APP", "shop")
            .env("BKP_FILES", self.files())
            .env("RESTIC_REPOSITORY", self.repository())
            .env("RESTIC_PASSWORD_FILE", self.work.join("password"))
            .env("RESTIC_CACHE_DIR", self.work.join("cache"))
            .env("BKP_RESTIC_BIN", parts::restic("0.18"))
            .env("BKP_STATE_DIR", self.work.join("state"))
    }

    pub fn restic(&self, arguments: &[&str]) -> Ran {
        restic_at(&self.repository(), arguments)
    }

    pub fn tree(&self) -> Vec<String> {
        tree(&self.files())
    }

    /// What `list --json` says, newest first.
    pub fn listed(&self) -> Vec<serde_json::Value> {
        listed(self.bkp(["list", "--json"]))
    }
}

/// The rows of a `list --json`.
pub fn listed(list: Bkp) -> Vec<serde_json::Value> {
    serde_json::from_slice(&list.run().ok().bytes).expect("JSON")
}
