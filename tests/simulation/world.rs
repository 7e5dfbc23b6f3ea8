//! An application with its repositories, what the model knows of them, and bkp as its pods call it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::items::quick::lay_repository;
use crate::support::bkp::{Bkp, Output};
use crate::support::cluster::Cluster;
use crate::support::quick;
use crate::support::run::run;
use crate::support::wait::until;
use crate::support::workdir::WorkDir;

/// What stands in restic's place: at the call that `fault` names, something else happens. And a backup is of the history's time.
const RESTIC: &str = r#"#!/bin/sh
here=@HERE@ restic=@RESTIC@
case "$*" in version*) exec "$restic" "$@" ;; esac
echo $$ >>"$here/pids"
dies=
if [ -e "$here/fault" ]; then
    read -r left what <"$here/fault"
    if [ "$left" -gt 0 ]; then
        echo "$((left - 1)) $what" >"$here/fault"
    else
        # Of two at once one alone: a second TERM would be another thing.
        mv "$here/fault" "$here/fault.$$" 2>/dev/null || what=none
        echo "$what at $*" >>"$here/met"
        case $what in
        kill) kill -9 $PPID; exit 1 ;;
        fail) echo 'Fatal: made up' >&2; exit 1 ;;
        term) kill -TERM $PPID ;;
        kill-after) dies=1 ;;
        esac
    fi
fi
case " $* " in
*" --time "*) ;;
*" backup "*)
    for word; do
        shift
        set -- "$@" "$word"
        if [ "$word" = backup ]; then set -- "$@" --time "$(cat "$here/time")"; fi
    done ;;
esac
export TZ=UTC
[ -n "$dies" ] || exec "$restic" "$@"
"$restic" "$@"
code=$?
kill -9 $PPID
exit $code
"#;

/// One run that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Good {
    pub run: String,
    /// What the application had then.
    pub version: u64,
}

/// An application of files, and of a database where there is a server.
pub struct World<'a> {
    pub cluster: Option<&'a Cluster>,
    pub work: WorkDir,
    /// Dumps go into a bucket besides.
    pub bucket: bool,
    /// Newest first.
    pub good: Vec<Good>,
    /// What the application has.
    pub version: u64,
    /// How many of the newest retention keeps.
    pub last: usize,
    /// How many faults were met.
    pub met: usize,
    passwords: usize,
    now: Timestamp,
    pods: usize,
}

impl<'a> World<'a> {
    pub fn new(cluster: Option<&'a Cluster>, bucket: bool, last: usize) -> Self {
        let work = WorkDir::new();
        let restic = quick::restic(&work);
        let script = RESTIC.replace("@HERE@", &work.path().display().to_string());
        let script = work.file("restic", script.replace("@RESTIC@", &restic.display().to_string()));
        fs::set_permissions(script, fs::Permissions::from_mode(0o755)).expect("chmod");
        lay_repository(&work.join("repository"));
        work.file("password", crate::items::PASSWORD);
        let now = Timestamp::now() - SignedDuration::from_hours(24 * 60);
        let mut world =
            Self { cluster, work, bucket, good: Vec::new(), version: 0, last, met: 0, passwords: 0, now, pods: 0 };
        if let Some(cluster) = cluster {
            let _ = cluster.try_psql("postgres", "DROP DATABASE IF EXISTS shop WITH (FORCE)");
            cluster.psql("postgres", "CREATE DATABASE shop");
            cluster.psql("shop", "CREATE TABLE state AS SELECT 0 AS version; CREATE TABLE padding AS SELECT n FROM generate_series(1, 50) n");
        }
        world.write();
        if bucket {
            world.bkp(&["init"]).run().ok();
        }
        world
    }

    /// bkp in a pod of its own: nothing that one writes is there for the next, but for volumes and repositories.
    pub fn bkp(&mut self, arguments: &[&str]) -> Bkp {
        self.pods += 1;
        let time = self.now.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string();
        self.work.file("time", time);
        let bkp = match self.cluster {
            Some(cluster) => Bkp::new(cluster).env("POSTGRES_DB", "shop"),
            None => Bkp::bare().env("BKP_APP", "shop").env("BKP_DATABASES", "none"),
        };
        let bkp = if self.bucket { bkp.bucket(&self.work.join("bucket")) } else { bkp };
        bkp.env("BKP_FILES", self.work.join("files"))
            .env("RESTIC_REPOSITORY", self.work.join("repository"))
            .env("RESTIC_PASSWORD_FILE", self.work.join("password"))
            .env("RESTIC_CACHE_DIR", self.work.join("cache"))
            .env("BKP_RESTIC_BIN", self.work.join("restic"))
            .env("BKP_STATE_DIR", self.work.join(&format!("state-{}", self.pods)))
            .env("BKP_MAINTENANCE_FILE", self.closed())
            .env("BKP_MAINTENANCE_CONTENT", "closed")
            .env("BKP_QUIESCE_ON", "backup,restore")
            .env("BKP_KEEP_LAST", self.last.to_string())
            .env("BKP_KEEP_MIN", "1")
            .args(arguments)
    }

    /// The application is closed while this is there. On its volume, as everything is that a dead pod leaves.
    pub fn closed(&self) -> PathBuf {
        self.work.join("files/closed")
    }

    /// Time goes by. Never to where bkp is itself, whose clock is the machine's.
    pub fn pass(&mut self, minutes: i64) {
        self.now += SignedDuration::from_mins(minutes);
    }

    /// The application writes: the same into its database and its files.
    pub fn write(&mut self) {
        self.version += 1;
        let version = self.version;
        self.work.file("files/config/version", format!("{version}\n"));
        self.work.file(&format!("files/data/{}/of-{version}", version % 3), format!("{version}\n").repeat(100));
        if let Some(cluster) = self.cluster {
            cluster.psql("shop", &format!("UPDATE state SET version = {version}"));
        }
    }

    /// What the application has, by its files and, where it has one, its database.
    pub fn state(&self) -> (u64, Option<u64>) {
        let file = fs::read_to_string(self.work.join("files/config/version")).expect("a version");
        let row = self.cluster.map(|cluster| cluster.psql("shop", "SELECT version FROM state"));
        (file.trim().parse().expect("a number"), row.map(|row| row.trim().parse().expect("a number")))
    }

    /// Whether both are of this version.
    pub fn is_of(&self, version: u64) -> bool {
        let of_version = self.work.join(&format!("files/data/{}/of-{version}", version % 3));
        let (file, row) = self.state();
        file == version && row.is_none_or(|row| row == version) && of_version.exists()
    }

    /// Something happens at the call of restic that comes after so many others.
    pub fn plan(&self, fault: Option<(usize, &str)>) {
        let _ = fs::remove_file(self.work.join("fault"));
        if let Some((before, what)) = fault {
            self.work.file("fault", format!("{before} {what}\n"));
        }
    }

    /// Takes the plan back. Whether it was met.
    pub fn was_met(&mut self) -> bool {
        let _ = fs::remove_file(self.work.join("fault"));
        let was_met = fs::remove_file(self.work.join("met")).is_ok();
        self.met += usize::from(was_met);
        was_met
    }

    /// The whole runs that a list shows, newest first.
    pub fn listed(&mut self) -> Vec<String> {
        let out = self.bkp(&["list", "--json"]).env("BKP_LOCK_WAIT", "30").run().ok();
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&out.bytes).expect("JSON");
        let whole: Vec<_> = rows.iter().filter(|row| row["sealed"] == true && row["safety"] != true).collect();
        for row in &whole {
            let items: Vec<&str> =
                row["items"].as_array().into_iter().flatten().filter_map(|item| item.as_str()).collect();
            let has = |kind: &str| items.iter().any(|item| item.starts_with(kind));
            let has_database = self.cluster.is_none() || has("database") || row["object"].is_string();
            assert!(has("files") && has_database, "what is called whole is not: {row}");
        }
        whole.iter().map(|row| row["run"].as_str().expect("a run").to_owned()).collect()
    }

    /// Waits until the restics of a dead bkp have ended, too: they finish what they have begun, and then it is there.
    pub fn is_quiet(&self) {
        let pids = fs::read_to_string(self.work.join("pids")).unwrap_or_default();
        let here = self.work.path().display().to_string();
        let lives = |pid: &str| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains(&here)
        };
        until("the restics of a dead pod", || !pids.lines().any(lives));
        let _ = fs::remove_file(self.work.join("pids"));
    }

    /// A new password in a file of its own; gives its place in the secret.
    pub fn next_password(&mut self) -> PathBuf {
        self.passwords += 1;
        self.work.file("new", format!("password of {}\n", self.passwords))
    }

    /// The secret holds the new one now; the old one is kept to be tried.
    pub fn turn_password(&self) {
        fs::rename(self.work.join("password"), self.work.join("old")).expect("renamed");
        fs::rename(self.work.join("new"), self.work.join("password")).expect("renamed");
    }

    /// Databases that restores left half-made. What they put aside is another matter.
    pub fn half_made(&self) -> Vec<String> {
        let Some(cluster) = self.cluster else { return Vec::new() };
        cluster.databases().into_iter().filter(|name| name.contains("__bkp")).collect()
    }

    /// restic's own check of all that is stored.
    pub fn check(&self) {
        let mut restic = Command::new(quick::restic(&self.work));
        restic.env_clear().env("PATH", "/usr/bin:/bin").env("RESTIC_REPOSITORY", self.work.join("repository"));
        restic.env("RESTIC_PASSWORD_FILE", self.work.join("password"));
        let ran = run(restic.args(["check", "--no-cache", "--read-data"]), b"");
        assert!(ran.success, "{}", ran.stderr);
    }
}

/// Whether it was ended from outside: by a signal, or because of one.
pub fn died(out: &Output) -> bool {
    matches!(out.code, 137 | 143)
}
