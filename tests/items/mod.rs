//! An application of databases and files, saved item by item into restic repositories by the real restic.

mod beforehand;
mod calls;
mod change_password;
mod cuts;
mod deaths;
mod drill;
mod dumps;
mod halves;
mod in_place;
mod kills;
mod locks;
mod nights;
mod only;
mod paths;
mod pods;
mod power;
mod preflight;
mod proofs;
pub mod quick;
mod round_trip;
mod safety;
mod saves;
mod table_deaths;
mod undo;
mod whole;
mod words;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;
use crate::support::run::{Ran, run};
use crate::support::workdir::WorkDir;
use crate::support::{fixtures, parts};

/// The password of every repository.
pub const PASSWORD: &str = "correct horse, battery \"staple\"";

/// A server with the shop, a directory of files, and a place for repositories.
pub struct App {
    pub cluster: Cluster,
    pub work: WorkDir,
    restic: PathBuf,
}

impl App {
    pub fn open() -> Self {
        let cluster = Cluster::start(15);
        fixtures::shop(&cluster);
        let work = WorkDir::new();
        let restic = crate::support::quick::restic(&work);
        let app = Self { cluster, work, restic };
        app.work.file("password", format!("{PASSWORD}\n"));
        for (name, content) in [("config/app.php", "secret"), ("data/a/photo.jpg", "a photo"), (".hidden", "dot")] {
            app.work.file(&format!("files/{name}"), content);
        }
        std::os::unix::fs::symlink("a/photo.jpg", app.files().join("data/link")).expect("a link");
        app
    }

    /// The same with a repository that opens in no time.
    pub fn quick() -> Self {
        let app = Self::open();
        quick::lay_repository(&app.repository());
        app
    }

    pub fn files(&self) -> PathBuf {
        self.work.join("files")
    }

    pub fn repository(&self) -> PathBuf {
        self.work.join("repository")
    }

    /// bkp with the settings of a pod: databases and files, into one base of repositories.
    pub fn bkp<const N: usize>(&self, arguments: [&str; N]) -> Bkp {
        self.with_settings(Bkp::new(&self.cluster)).args(arguments)
    }

    /// The settings of a pod, but for the server.
    pub fn with_settings(&self, bkp: Bkp) -> Bkp {
        bkp.env("POSTGRES_DB", "shop")
            .env("BKP_FILES", self.files())
            .env("RESTIC_REPOSITORY", self.repository())
            .env("RESTIC_PASSWORD_FILE", self.work.join("password"))
            .env("RESTIC_CACHE_DIR", self.work.join("cache"))
            .env("BKP_RESTIC_BIN", &self.restic)
            .env("BKP_STATE_DIR", self.work.join("state"))
    }

    /// The real restic, by itself, on one of the repositories.
    pub fn restic<const N: usize>(&self, below: &str, arguments: [&str; N]) -> Ran {
        let mut restic = Command::new(parts::restic("0.18"));
        restic.env_clear().env("RESTIC_REPOSITORY", self.repository().join(below)).env("RESTIC_PASSWORD", PASSWORD);
        restic.env("RESTIC_CACHE_DIR", self.work.join("cache")).current_dir(self.work.path());
        run(restic.args(arguments), b"")
    }

    /// The orders, as the application sees them.
    pub fn orders(&self) -> String {
        self.cluster.psql("shop", "SELECT count(*), md5(string_agg(o::text, '' ORDER BY o::text)) FROM orders o")
    }

    /// Databases and files as they are, told apart from any other state.
    pub fn state(&self) -> (String, Vec<String>) {
        (self.orders(), tree(&self.files()))
    }

    /// What an accident does.
    pub fn lose_everything(&self) {
        self.cluster.psql("shop", "DELETE FROM orders WHERE true");
        fs::remove_dir_all(self.files().join("data")).expect("removed");
        fs::remove_file(self.files().join(".hidden")).expect("removed");
        self.work.file("files/config/app.php", "overwritten");
        self.work.file("files/junk", "of the accident");
    }
}

/// Every entry below a directory with what it holds, less our own.
pub fn tree(root: &Path) -> Vec<String> {
    let listed = run(
        Command::new("sh")
            .arg("-c")
            .arg(
                "find . -mindepth 1 -path './.bkp-*' -prune -o -printf '%P %y %m %U:%G %l\\n' | sort; \
             find . -path './.bkp-*' -prune -o -type f -print0 | sort -z | xargs -0 -r md5sum",
            )
            .current_dir(root),
        b"",
    );
    assert!(listed.success, "{}", listed.stderr);
    listed.text().lines().map(str::to_owned).collect()
}
