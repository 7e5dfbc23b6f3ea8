//! An application that everything can happen to: databases and files, a repository, a pause, and all of it behind the trap.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::fault::{Fault, Kind, Step};
use super::line::Line;
use super::programs::Programs;
use super::story::{Story, Verb};
use super::strike::{NAMES, World};
use super::trap::Trap;
use crate::items::quick::{self, Mounted};
use crate::items::{PASSWORD, tree};
use crate::store::servers::Server;
use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;
use crate::support::kube::{self, Kube};
use crate::support::run::run;
use crate::support::wait::{poll, until};
use crate::support::workdir::WorkDir;
use crate::support::{cluster, fixtures, parts};

/// Who bkp is: what root may do no fault could forbid.
const USER: u32 = 65532;

/// How many runs are there before each fault.
pub const RUNS: usize = 3;

/// A bkp of a scene sees the scene's names, and no others.
const INSIDE: &str = "mount --bind $0/hosts /etc/hosts && mount --bind $0/resolv /etc/resolv.conf && \
    exec setpriv --reuid=65532 --regid=65532 --clear-groups ${ANOTHER_CLOCK:+env LD_PRELOAD=$ANOTHER_CLOCK} \"$@\"";

/// The orders and the files.
pub type State = (String, Vec<String>);

/// One application, saved [`RUNS`] times.
pub struct Scene {
    pub story: Story,
    pub trap: Trap,
    pub world: World,
    pub work: WorkDir,
    pub cluster: Option<Cluster>,
    /// Whose standby that is.
    pub primary: Option<Cluster>,
    pub server: Option<Arc<Server>>,
    pub kube: Option<Kube>,
    pub saved: State,
    lines: Vec<(String, Line)>,
    programs: Programs,
    /// Below which it stores in a bucket.
    pub prefix: String,
    _small: [Mounted; 2],
}

impl Scene {
    /// Sets the scene of a story; a remote one on this server.
    pub fn open(story: Story, server: Option<&Arc<Server>>) -> Self {
        let work = WorkDir::new();
        let small = Mounted::tmpfs(&work.join("small"), "size=64m,mode=755");
        let server_small = Mounted::tmpfs(&work.join("server-small"), "size=512m,mode=755");
        let trap = Trap::default();
        let programs = Programs::new(work.join("programs"), &trap);
        work.file("hosts", NAMES);
        work.file("resolv", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
        work.file("password", format!("{PASSWORD}\n"));
        work.file("new-password", "another one\n");
        let told = work.dir("told");
        chown(&told, Some(USER), Some(USER)).expect("chown needs root");
        work.file("told/clock", "+0d\n");
        let (cluster, primary) = servers(story, &work.join("server-small"));
        let psql = primary.as_ref().or(cluster.as_ref()).map(|cluster| {
            let psql = Cluster::client_bin(15).join("psql").display().to_string();
            let at = format!("host={} port={} user=postgres dbname=postgres", cluster.socket_dir(), cluster.port());
            vec![psql, "-Xqd".to_owned(), at, "-c".to_owned()]
        });
        let world = World {
            small: work.join("small"),
            server_small: work.join("server-small"),
            filling: Arc::default(),
            user: USER,
            hosts: work.join("hosts"),
            clock: work.join("told/clock"),
            psql,
        };
        let mut lines = Vec::new();
        if let Some(cluster) = &cluster {
            lines.push(("db".to_owned(), Line::to(cluster.port(), Kind::Message, &trap)));
        }
        let server = server.filter(|_| story.remote).cloned();
        if let Some(server) = &server {
            // What a killed run left of an upload goes after a day.
            let line = match story.large {
                true => Line::to_old_store(server.port(), &trap),
                false => Line::to(server.port(), Kind::Request, &trap),
            };
            lines.push(("store".to_owned(), line));
        }
        let kube = story.scales.then(Kube::start);
        if let Some(kube) = &kube {
            lines.push(("api".to_owned(), Line::to(kube.port(), Kind::Api, &trap)));
            let trap = trap.clone();
            kube.meet(move |op, name| match trap.reach(Kind::Asked, &format!("{op:?} {name}")) {
                Some(Fault::Status(code)) => Some(kube::Fault::Status(code, "not now")),
                Some(Fault::Unanswered) => Some(kube::Fault::Unanswered),
                _ => None,
            });
        }
        let prefix = work.path().file_name().expect("a name").to_string_lossy().into_owned();
        let saved = (String::new(), Vec::new());
        let _small = [small, server_small];
        let mut scene =
            Self { story, trap, world, work, cluster, primary, server, kube, saved, lines, programs, prefix, _small };
        scene.furnish();
        scene
    }

    /// Programs, files, and the first runs.
    fn furnish(&mut self) {
        for program in ["pg_dump", "pg_dumpall", "psql"] {
            self.programs.wrap(program, &Cluster::client_bin(15).join(program));
        }
        // A new key is made quickly; no fault hits a restic that makes one.
        let restic = match self.story.verb {
            Verb::ChangePassword => crate::support::quick::restic(&self.work),
            _ => parts::restic("0.18"),
        };
        self.programs.wrap("restic", &restic);
        let paused = self.paused();
        for (name, words) in [("pause", "touch"), ("resume", "rm -f")] {
            let script = format!("#!/bin/sh\nexec {words} {}\n", paused.display());
            let real = self.work.file(&format!("real-{name}"), script);
            let _ = run(Command::new("chmod").arg("755").arg(&real), b"");
            self.programs.wrap(name, &real);
        }
        self.lay_files();
        for name in ["tmp", "state", "cache", "repository"] {
            fs::create_dir_all(self.at(name)).expect("mkdir");
        }
        if self.story.is_restic() && !self.story.remote {
            quick::lay_repository(&self.at("repository"));
        }
        self.give_to_user();
        if self.story.remote && self.story.is_restic() {
            let quick = crate::support::quick::restic(&self.work);
            self.bkp(&["init"], None).env("BKP_RESTIC_BIN", quick).by_way_of(self.way()).run().ok();
        }
        for _ in 0..RUNS {
            let second = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            let begun = second();
            self.run(&["backup"]).ok();
            // Runs of one second have no order, and retention keeps the last.
            until("the next second", || second() > begun);
        }
        self.saved = self.state();
        copy(&self.at("repository"), &self.work.join("fixture"));
    }

    /// A place on the small file system.
    pub fn at(&self, name: &str) -> PathBuf {
        self.world.small.join(name)
    }

    /// What the pause command makes and the resume command removes.
    pub fn paused(&self) -> PathBuf {
        self.work.join("told/paused")
    }

    /// What the last run told its metrics.
    pub fn metrics(&self) -> String {
        fs::read_to_string(self.work.join("told/bkp.prom")).unwrap_or_default()
    }

    fn lay_files(&self) {
        let files = self.at("files");
        let _ = fs::remove_dir_all(&files);
        for (name, content) in [("config/app.php", "secret"), ("data/a/photo.jpg", "a photo"), (".hidden", "dot")] {
            let path = files.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
            fs::write(path, content).expect("written");
        }
        self.give_to_user();
    }

    fn give_to_user(&self) {
        let ran = run(Command::new("chown").args(["-R", "65532:65532"]).arg(&self.world.small), b"");
        assert!(ran.success, "{}", ran.stderr);
    }

    /// Puts everything where it was before any fault; a restore finds what an accident left.
    pub fn reset(&self, round: usize) {
        self.world.relieve();
        let _ = fs::remove_file(self.work.join("told/bkp.prom"));
        let _ = fs::remove_file(self.paused());
        for name in ["tmp", "state"] {
            let _ = fs::remove_dir_all(self.at(name));
            fs::create_dir_all(self.at(name)).expect("mkdir");
        }
        if !self.story.remote {
            let _ = fs::remove_dir_all(self.at("repository"));
            copy(&self.work.join("fixture"), &self.at("repository"));
        }
        self.lay_files();
        if self.story.verb == Verb::Restore {
            // A bucket holds no files.
            if self.story.is_restic() {
                fs::write(self.at("files/config/app.php"), format!("overwritten {round}")).expect("written");
                fs::write(self.at("files/junk"), "of the accident").expect("written");
                self.give_to_user();
            }
            if let Some(cluster) = &self.cluster {
                cluster.psql(
                    "shop",
                    &format!("DELETE FROM orders WHERE id % 2 = 0 OR id > 1000; UPDATE orders SET total = {round}"),
                );
                let aside = cluster.databases().into_iter().filter(|name| name.contains("__was_"));
                aside
                    .for_each(|name| drop(cluster.psql("postgres", &format!("DROP DATABASE \"{name}\" WITH (FORCE)"))));
            }
        }
    }

    /// Starts a server again that ended for want of space, as whoever watches over it does.
    pub fn raise_server(&mut self) {
        if let Some(cluster) = &mut self.cluster {
            until("the server", || {
                if !cluster.is_running() {
                    cluster.stop_immediate();
                    cluster.start_again();
                }
                cluster.try_psql("postgres", "SELECT").is_ok()
            });
        }
    }

    /// Whether a standby replays what its primary does now, if there is one.
    pub fn replays(&self) -> bool {
        let (Some(standby), Some(primary)) = (&self.cluster, &self.primary) else { return true };
        let now = primary.psql("postgres", "SELECT pg_create_restore_point('now')");
        let there = format!("SELECT pg_last_wal_replay_lsn() >= '{}'", now.trim());
        poll(Duration::from_secs(30), || (standby.psql("postgres", &there).trim() == "t").then_some(())).is_some()
    }

    /// bkp with the settings of a pod, in the scene's world.
    fn bkp(&self, arguments: &[&str], fault: Option<Fault>) -> Bkp {
        let mut bkp = Bkp::bare().user(USER).env("BKP_APP", "shop").env("TMPDIR", self.at("tmp"));
        bkp = bkp.env("BKP_STATE_DIR", self.at("state")).env("BKP_METRICS_FILE", self.work.join("told/bkp.prom"));
        // To forget something, fewer are kept than there are.
        let kept = if arguments.first() == Some(&"forget") { "1" } else { "3" };
        bkp = bkp.env("BKP_LOCK_WAIT", "20").env("BKP_KEEP_LAST", kept).env("BKP_KEEP_MIN", "1");
        if self.cluster.is_some() {
            let port = self.port("db").to_string();
            bkp = bkp.env("POSTGRES_HOST", "db.bkp.test").env("POSTGRES_PORT", port).env("POSTGRES_DB", "shop");
            bkp = bkp.env("POSTGRES_USER", "keeper").env("POSTGRES_PASSWORD", cluster::PASSWORD);
            bkp = bkp.env("BKP_PG_BIN", self.programs.directory());
        } else {
            bkp = bkp.env("BKP_DATABASES", "none");
        }
        if self.story.pauses() {
            bkp = bkp.env("BKP_PAUSE_COMMAND", self.programs.directory().join("pause"));
            bkp = bkp.env("BKP_RESUME_COMMAND", self.programs.directory().join("resume"));
            bkp = bkp.env("BKP_QUIESCE_ON", "backup,restore");
        }
        if let Some(kube) = &self.kube {
            bkp = bkp.env("BKP_QUIESCE", "deployment/web,statefulset/queue").env("BKP_QUIESCE_ON", "backup,restore");
            bkp = bkp.env("KUBERNETES_SERVICE_HOST", "127.0.0.1").env("BKP_SERVICE_ACCOUNT_DIR", kube.account());
            bkp = bkp.env("KUBERNETES_SERVICE_PORT", self.port("api").to_string());
        }
        bkp = self.stored(bkp);
        if matches!(fault, Some(Fault::Clock(_))) {
            bkp = bkp.env("ANOTHER_CLOCK", parts::faketime()).env("FAKETIME_TIMESTAMP_FILE", &self.world.clock);
            bkp = bkp.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        bkp.args(arguments)
    }

    /// The settings of the repository.
    fn stored(&self, mut bkp: Bkp) -> Bkp {
        if let Some(server) = &self.server {
            let endpoint = format!("http://store.bkp.test:{}", self.port("store"));
            for (key, value) in server.keys() {
                bkp = bkp.env(key, value);
            }
            bkp = match self.story.is_restic() {
                true => bkp.env("RESTIC_REPOSITORY", format!("s3:{endpoint}/test-bucket/{}", self.prefix)),
                false => {
                    bkp.env("BKP_BUCKET", format!("s3://test-bucket/{}", self.prefix)).env("AWS_ENDPOINT_URL", endpoint)
                }
            };
        } else if self.story.is_restic() {
            bkp = bkp.env("RESTIC_REPOSITORY", self.at("repository"));
        } else {
            bkp = bkp.bucket(&self.at("repository"));
        }
        if self.story.is_restic() {
            bkp =
                bkp.env("BKP_FILES", self.at("files")).env("BKP_RESTIC_BIN", self.programs.directory().join("restic"));
            bkp = bkp.env("RESTIC_PASSWORD_FILE", self.work.join("password")).env("RESTIC_CACHE_DIR", self.at("cache"));
        }
        if self.story.verb == Verb::ChangePassword {
            bkp = bkp.env("RESTIC_NEW_PASSWORD_FILE", self.work.join("new-password"));
        }
        bkp
    }

    fn port(&self, name: &str) -> u16 {
        self.lines.iter().find(|(known, _)| known == name).map(|(_, line)| line.port()).expect("a line")
    }

    fn way(&self) -> [&str; 7] {
        let here = self.work.path().to_str().expect("a path");
        ["unshare", "--mount", "--propagation=private", "sh", "-c", INSIDE, here]
    }

    /// bkp, ready to go, to meet a fault perhaps.
    pub fn ready(&self, arguments: &[&str], fault: Option<Fault>) -> Bkp {
        self.bkp(arguments, fault).by_way_of(self.way())
    }

    /// Runs bkp undisturbed, and tells all that it did.
    pub fn run(&self, arguments: &[&str]) -> crate::support::bkp::Output {
        self.ready(arguments, None).run()
    }

    /// The steps of the story's command when nothing goes wrong.
    pub fn steps(&self) -> Vec<Step> {
        self.reset(0);
        self.trap.set(None);
        self.run(self.story.arguments()).ok();
        self.trap.seen()
    }

    /// What serves.
    pub fn state(&self) -> State {
        let sql = "SELECT count(*), md5(string_agg(o::text, '' ORDER BY id)) FROM orders o";
        let orders = self.cluster.as_ref().map(|cluster| cluster.psql("shop", sql)).unwrap_or_default();
        (orders, tree(&self.at("files")))
    }

    /// Whether the repository opens with the password of this file.
    pub fn opens_with(&self, name: &str) -> bool {
        let mut restic = Command::new(parts::restic("0.18"));
        restic
            .env_clear()
            .env("RESTIC_REPOSITORY", self.at("repository"))
            .env("RESTIC_PASSWORD_FILE", self.work.join(name));
        run(restic.args(["--no-cache", "--no-lock", "cat", "config"]), b"").success
    }

    /// The rows of the list, newest first; the error is what bkp said instead.
    pub fn listed(&self) -> Result<Vec<Value>, String> {
        let out = self.run(&["list", "--json"]);
        serde_json::from_slice(&out.bytes).map_err(|_| format!("list: {out:?}"))
    }
}

/// The server that is saved, with its files on the small file system; and its primary, if it is a standby.
fn servers(story: Story, small: &Path) -> (Option<Cluster>, Option<Cluster>) {
    if !story.has_database() {
        return (None, None);
    }
    // Less write-ahead log than the small file system takes.
    let small = Cluster::options(15).conf("max_wal_size = 64MB").conf("min_wal_size = 32MB").data_on(small);
    let first = if story.standby { Cluster::start(15) } else { small.clone().start() };
    fixtures::shop(&first);
    first.psql("postgres", &format!("CREATE ROLE keeper SUPERUSER LOGIN PASSWORD {}", literal()));
    if story.large {
        // What no gzip makes smaller than 8 MiB, the size of a part.
        first.psql("shop", "CREATE TABLE random AS SELECT gen_random_uuid() FROM generate_series(1, 560000)");
    }
    match story.standby {
        true => (Some(Cluster::standby_with(&first, small)), Some(first)),
        false => (Some(first), None),
    }
}

fn literal() -> String {
    format!("'{}'", cluster::PASSWORD.replace('\'', "''"))
}

fn copy(from: &Path, to: &Path) {
    let ran = run(Command::new("cp").arg("-a").arg(from).arg(to), b"");
    assert!(ran.success, "{}", ran.stderr);
}
