//! opsocket: hosts with systemd, whose units save files every hour and databases every night into one repository.

use std::fs;
use std::path::Path;

use super::{Watched, days_ago, short_ids, snapshots};
use crate::items::tree;
use crate::support::cluster::Cluster;
use crate::support::compare::{Snapshot, assert_same};
use crate::support::fixtures;
use crate::support::pod::Pod;
use crate::support::workdir::WorkDir;

const PASSWORD: &str = "opsocket=canary;";
const NAME: &str = "demo";

/// Files: the whole path was saved, by a host whose name is its own affair.
const OLD_FILES: &str = "restic backup --time \"$when\" /media/demo";

const OLD_DATABASES: &str = "pg_dumpall --clean | gzip --rsyncable |
    restic backup --time \"$when\" --host demo --stdin --stdin-filename postgres-demo.sql.gz";

/// What `Environment=` of a unit says, for the instance.
pub fn unit_env(unit: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(unit);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().filter_map(|line| line.strip_prefix("Environment="));
    let pairs = lines.flat_map(str::split_whitespace).filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.replace("%i", NAME).replace("%C", "/tmp"))).collect()
}

/// A host: its server, its data, and the repository that outlives it.
struct Host {
    cluster: Cluster,
    media: WorkDir,
    conf: WorkDir,
}

impl Host {
    fn new(repositories: &WorkDir) -> Self {
        let host = Self { cluster: Cluster::start(15), media: WorkDir::new(), conf: WorkDir::new() };
        let repository = repositories.join("backups");
        let conf = format!("RESTIC_REPOSITORY={}\nRESTIC_PASSWORD={PASSWORD}\n", repository.display());
        host.conf.file("demo.conf", conf);
        host
    }

    /// A unit's environment: its own, then `/etc/restic/demo.conf`.
    fn unit(&self, unit: &str) -> Watched {
        let mut pod = Pod::bare().on("ops-1").service("unused").volume(self.media.path(), "/media/demo");
        for (name, value) in unit_env(unit) {
            // Made anew for each host, as caches are.
            let value = if name == "RESTIC_CACHE_DIR" { self.conf.join("cache").display().to_string() } else { value };
            pod = pod.env(&name, value);
        }
        let conf = fs::read_to_string(self.conf.join("demo.conf")).expect("the configuration");
        for line in conf.lines() {
            let (name, value) = line.split_once('=').expect("KEY=VALUE");
            pod = pod.env(name, value);
        }
        Watched { pod, secrets: vec!["canary".to_owned()] }
    }

    fn files(&self) -> Watched {
        self.unit("bkp@.service")
    }

    /// The account postgres by the socket: here the tests' own account says so.
    fn databases(&self) -> Watched {
        let mut unit = self.unit("bkp-db@.service");
        let socket = self.cluster.socket_dir();
        unit.pod = unit.pod.volume(Path::new(&socket), "/var/run/postgresql").env("PGUSER", "postgres");
        unit.pod = unit.pod.env("PGPORT", self.cluster.port().to_string());
        unit
    }

    fn content(&self) -> Snapshot {
        Snapshot::of(&self.cluster).without_replaced()
    }
}

#[test]
fn opsocket_goes_on_in_its_repository_and_both_units_find_their_own() {
    let repositories = WorkDir::new();
    let host = Host::new(&repositories);
    fixtures::shop(&host.cluster);
    for name in ["www/index.html", ".env", "www/a b.txt"] {
        host.media.file(name, format!("content of {name}"));
    }
    let (files, databases) = (host.files(), host.databases());
    let all = || snapshots(&repositories, &repositories.join("backups"), PASSWORD);
    let saved = |watched: &Watched, script: &str, days: u32| {
        let script = watched.pod.script("0.18", Some(&host.cluster), script);
        script.env("when", days_ago(days)).env("RESTIC_CACHE_DIR", host.conf.join("cache")).run().ok();
    };
    files.pod.script("0.14", None, "restic init").run().ok();
    saved(&files, OLD_FILES, 20);
    // Another day each: snapshots of one second stand in no order, and below they are told by their place.
    saved(&files, OLD_FILES, 2);
    saved(&databases, OLD_DATABASES, 1);
    let (content, media) = (host.content(), tree(host.media.path()));
    let old = short_ids(&all());

    let lose = || {
        host.cluster.psql("shop", "DELETE FROM orders WHERE true");
        fs::remove_dir_all(host.media.join("www")).expect("removed");
        fs::remove_file(host.media.join(".env")).expect("removed");
        host.media.file("junk", "of the accident");
    };
    let is_back = |host: &Host| {
        assert_same(&content, &host.content());
        assert_eq!(tree(host.media.path()), media);
    };
    lose();
    for id in &old {
        files.run("bkp", ["list"]).ok().says(id);
    }
    files.run("bkp", ["restore"]).ok();
    databases.run("bkp", ["restore"]).ok();
    is_back(&host);

    // The units' own runs; whichever came last, each finds what it speaks of.
    databases.run("bkp", ["backup"]).ok();
    files.run("bkp", ["backup"]).ok();
    let last = all();
    // Saved from within now, and no longer by the whole path: read once more, but nothing of it is stored twice.
    let newest = &last[last.len() - 1];
    assert_eq!(newest["summary"]["data_blobs"], 0, "{newest:#}");
    files.run("bkp", ["backup"]).ok();
    let last = all();
    assert_eq!(last[last.len() - 1]["summary"]["files_unmodified"], 3, "{:#}", last[last.len() - 1]);
    lose();
    databases.run("bkp", ["restore"]).ok().says("proven");
    databases.run("bkp", ["backup"]).ok();
    files.run("bkp", ["restore"]).ok();
    is_back(&host);
    let runs = files.run("bkp", ["list"]).ok();
    assert_eq!(runs.stdout.matches(" sealed ").count(), 4, "{}", runs.stdout);

    // Seven days: what the host's scripts saved before that goes as soon as there is enough that is newer.
    files.check(files.pod.call("bkp", ["forget"]).env("BKP_KEEP_MIN", "1").run()).ok();
    let left = short_ids(&all());
    assert_eq!(old.iter().map(|id| left.contains(id)).collect::<Vec<_>>(), [false, true, true]);

    // A new host, from the snapshots of the scripts by their ids.
    let other = Host::new(&repositories);
    other.files().run("bkp", ["restore", &old[1]]).ok();
    other.databases().run("bkp", ["restore", &old[2]]).ok();
    is_back(&other);
}
