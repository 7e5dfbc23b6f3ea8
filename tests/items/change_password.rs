//! A new password for every repository: made once, finished by the next call whenever it was killed, and nobody locked out.

mod deaths;
mod refusals;
mod repositories;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::support::bkp::Bkp;
use crate::support::run::{Ran, run};
use crate::support::workdir::WorkDir;
use crate::support::{parts, quick};

pub(super) const OLD: &str = "open sesame";
pub(super) const NEW: &str = "nouveau mot d'\u{e9}t\u{e9}";
/// The repositories of the old layout.
pub(super) const SPLIT: [&str; 3] = ["files", "pg-database", "pg-role"];

/// A directory of files with its repositories, and both passwords in files.
pub(super) struct Secrets {
    pub(super) work: WorkDir,
}

impl Secrets {
    /// One repository with one run in it: made once, unpacked for each test.
    pub(super) fn one() -> Self {
        static MADE: OnceLock<Vec<u8>> = OnceLock::new();
        let made = MADE.get_or_init(|| {
            let secrets = Self::empty();
            secrets.bkp(["init"]).run().ok();
            secrets.bkp(["backup"]).run().ok();
            secrets.pack()
        });
        Self::empty().unpacked(made)
    }

    /// Three of them without a run, as older scripts made them.
    pub(super) fn split() -> Self {
        let secrets = Self::empty();
        for place in SPLIT {
            assert!(secrets.restic(place, OLD, ["init"]).success);
        }
        secrets
    }

    fn empty() -> Self {
        let work = WorkDir::new();
        work.file("old", format!("{OLD}\n"));
        work.file("new", format!("{NEW}\n"));
        work.file("files/a/b.txt", "content");
        Self { work }
    }

    fn pack(&self) -> Vec<u8> {
        let packed = run(Command::new("tar").arg("-C").arg(self.work.path()).args(["-c", "repository"]), b"");
        assert!(packed.success, "{}", packed.stderr);
        packed.stdout
    }

    fn unpacked(self, packed: &[u8]) -> Self {
        let unpacked = run(Command::new("tar").arg("-C").arg(self.work.path()).arg("-x"), packed);
        assert!(unpacked.success, "{}", unpacked.stderr);
        self
    }

    /// The same once more, to be changed in other ways.
    fn copy(&self) -> Self {
        Self::empty().unpacked(&self.pack())
    }

    pub(super) fn repository(&self) -> PathBuf {
        self.work.join("repository")
    }

    /// bkp with the settings of a pod whose secret has both passwords.
    pub(super) fn bkp<const N: usize>(&self, arguments: [&str; N]) -> Bkp {
        Bkp::bare()
            .env("BKP_APP", "shop")
            .env("BKP_FILES", self.work.join("files"))
            .env("RESTIC_REPOSITORY", self.repository())
            .env("RESTIC_PASSWORD_FILE", self.work.join("old"))
            .env("RESTIC_NEW_PASSWORD_FILE", self.work.join("new"))
            .env("BKP_RESTIC_BIN", quick::restic(&self.work))
            .env("BKP_STATE_DIR", self.work.join("state"))
            .args(arguments)
    }

    /// A program in restic's place: `$restic` is the usual one, `$real` the one that minds signals.
    pub(super) fn script(&self, words: &str) -> PathBuf {
        let (restic, real, here) = (quick::restic(&self.work), parts::restic("0.18"), self.work.path().display());
        let script = format!("#!/bin/sh\nrestic={} real={}\ncd {here}\n{words}\n", restic.display(), real.display());
        let path = self.work.file("script", script);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
        path
    }

    /// The real restic, by itself, with a password.
    fn restic<const N: usize>(&self, below: &str, password: &str, arguments: [&str; N]) -> Ran {
        let mut restic = Command::new(quick::restic(&self.work));
        restic
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("RESTIC_REPOSITORY", self.repository().join(below))
            .env("RESTIC_PASSWORD", password);
        run(restic.arg("--no-cache").args(arguments).current_dir(self.work.path()), b"")
    }

    pub(super) fn opens(&self, below: &str, password: &str) -> bool {
        self.restic(below, password, ["cat", "config", "--no-lock"]).success
    }

    /// Names of what is stored of a kind, such as `keys`; not what a killed restic was about to store.
    pub(super) fn stored(&self, kind: &str) -> Vec<String> {
        let entries = fs::read_dir(self.repository().join(kind)).expect("a directory");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| !name.contains("-tmp-"));
        names.sort();
        names
    }

    /// Everything that a change of password changes.
    fn state(&self) -> Vec<String> {
        [self.stored("keys"), self.stored("snapshots")].concat()
    }

    /// Only the new password opens, and nothing but the run is there.
    fn assert_changed(&self) {
        assert!(self.opens("", NEW), "nobody is locked out");
        assert!(!self.opens("", OLD), "the old password is gone");
        assert_eq!((self.stored("keys").len(), self.stored("snapshots").len()), (1, 1));
        assert_eq!(self.stored("locks"), [""; 0]);
    }

    /// How many runs `bkp list` shows, and all that it shows is a run of ours.
    pub(super) fn runs(&self) -> usize {
        let listed = self.bkp(["list", "--json"]).run().ok();
        let rows: serde_json::Value = serde_json::from_str(&listed.stdout).expect("JSON");
        let rows = rows.as_array().expect("a list");
        assert!(rows.iter().all(|row| row["run"].is_string()), "{rows:?}");
        rows.len()
    }
}
