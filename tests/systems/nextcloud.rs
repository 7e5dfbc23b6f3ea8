//! Nextcloud: three repositories, roles made by its installer, a maintenance file, and a liveness probe that never rests.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use super::{Watched, days_ago, restic, short_ids, snapshots};
use crate::items::tree;
use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;
use crate::support::compare::{Snapshot, assert_same};
use crate::support::pod::Pod;
use crate::support::wait::until;
use crate::support::workdir::WorkDir;

/// What `sed` over config.php broke.
const DATABASE_PASSWORD: &str = "p);w'\"\\ $HOME canary";
const ROLE_PASSWORD: &str = "oc);pass'wörd canary";
const NEW_PASSWORD: &str = "new $canary";
const RESTIC_PASSWORD: &str = "restic);canary";

/// What today's `backup.bb` did, less its maintenance: the argument of restic's --time is in `when`.
const OLD_BACKUP: &str = r#"
export PGPASSWORD="$POSTGRES_PASSWORD" PGHOST="${POSTGRES_HOST%:*}" PGPORT="${POSTGRES_HOST#*:}" PGUSER="$POSTGRES_USER"
(cd /var/backups && restic -r "$RESTIC_REPOSITORY/files" backup --time "$when" .)
pg_dumpall --roles-only -d "dbname=$POSTGRES_DB" | grep oc_ |
    restic -r "$RESTIC_REPOSITORY/pg-role" backup --time "$when" --stdin
pg_dump -d "$POSTGRES_DB" | restic -r "$RESTIC_REPOSITORY/pg-database" backup --time "$when" --stdin
"#;

const OLD_INIT: &str = r#"
for name in files pg-role pg-database; do restic -r "$RESTIC_REPOSITORY/$name" init; done
"#;

/// A host: a server, a volume, and the repositories that outlive both.
struct Host {
    cluster: Cluster,
    volume: WorkDir,
}

impl Host {
    /// A new host has a superuser of its own and nothing else.
    fn fresh() -> Self {
        let cluster = Cluster::start(15);
        let password = DATABASE_PASSWORD.replace('\'', "''");
        cluster.psql("postgres", &format!("CREATE ROLE cloud SUPERUSER LOGIN PASSWORD '{password}'"));
        Self { cluster, volume: WorkDir::new() }
    }

    /// What Nextcloud's installer makes, and an administrator besides.
    fn installed() -> Self {
        let host = Self::fresh();
        let password = ROLE_PASSWORD.replace('\'', "''");
        host.cluster.psql(
            "postgres",
            &format!(
                "CREATE ROLE oc_admin LOGIN CREATEDB PASSWORD '{password}'; CREATE ROLE reporting;
                 CREATE DATABASE cloud OWNER oc_admin; ALTER DATABASE cloud SET work_mem = '8MB';"
            ),
        );
        host.cluster.psql(
            "cloud",
            "SET ROLE oc_admin;
             CREATE TABLE oc_filecache (id serial PRIMARY KEY, path text);
             INSERT INTO oc_filecache (path) SELECT 'files/' || n FROM generate_series(1, 500) n;
             GRANT SELECT ON oc_filecache TO reporting;",
        );
        for (name, content) in [
            ("config/config.php", "<?php $CONFIG = ['dbpassword' => 'p);w'];"),
            ("data/admin/files/photo.jpg", "a photo"),
            ("data/.ocdata", ""),
            ("core/a.php", "core"),
            (".htaccess", "deny"),
            ("index.php", "index"),
        ] {
            host.volume.file(name, content);
        }
        host
    }

    fn pod(&self, repositories: &WorkDir) -> Watched {
        let pod = Pod::of("nextcloud")
            .service("postgresql-service")
            .env("POSTGRES_HOST", format!("postgresql-service:{}", self.cluster.port()))
            .env("POSTGRES_DB", "cloud")
            .env("POSTGRES_USER", "cloud")
            .env("POSTGRES_PASSWORD", DATABASE_PASSWORD)
            .env("RESTIC_REPOSITORY", repositories.join("cloud").display().to_string())
            .env("CERTIFICATE_FILE", "")
            .env("AWS_DEFAULT_REGION", "eu-central-1")
            .env("RESTIC_DAYS_TO_KEEP", "30")
            .env("RESTIC_MONTHS_TO_KEEP", "12")
            .secret_file("AWS_ACCESS_KEY_ID_FILE", "aws-access-key-id", "aws-id-canary")
            .secret_file("AWS_SECRET_ACCESS_KEY_FILE", "aws-secret-access-key", "aws-key-canary")
            .secret_file("RESTIC_PASSWORD_FILE", "restic-password", RESTIC_PASSWORD)
            .env("RESTIC_NEW_PASSWORD_FILE", "/var/run/secrets/backup-secrets/restic-new-password")
            .volume(self.volume.path(), "/var/backups");
        let secrets = [DATABASE_PASSWORD, ROLE_PASSWORD, RESTIC_PASSWORD, "canary"].map(str::to_owned).to_vec();
        Watched { pod, secrets }
    }

    fn maintenance(&self) -> PathBuf {
        self.volume.join("config/bkp.config.php")
    }

    /// The databases and the role with its password, as they are.
    fn content(&self) -> Snapshot {
        Snapshot::of(&self.cluster).without_replaced()
    }

    fn lose_everything(&self) {
        self.cluster.psql("cloud", "DROP TABLE oc_filecache");
        fs::remove_dir_all(self.volume.join("data")).expect("removed");
        fs::remove_file(self.volume.join(".htaccess")).expect("removed");
        self.volume.file("index.php", "overwritten");
        self.volume.file("junk", "of the accident");
    }

    fn photo(&self, content: &str) {
        self.volume.file("data/admin/files/photo.jpg", content);
    }
}

fn old_backup(pod: &Pod, cluster: &Cluster, restic: &str, when: &str) {
    pod.script(restic, Some(cluster), OLD_BACKUP).env("when", when).run().ok();
}

/// Nextcloud's liveness probe, more eager than the real one: a new connection every 50 ms, until this is dropped.
struct Probe {
    shell: Child,
    answers: WorkDir,
}

impl Probe {
    fn start(cluster: &Cluster) -> Self {
        let script = "while :; do psql -X -q -d cloud -c 'SELECT 1'; sleep 0.05; done";
        let mut probe = Command::new("sh");
        probe.args(["-c", script]).env("PATH", format!("{}:/usr/bin:/bin", Cluster::client_bin(15).display()));
        probe.env("PGHOST", cluster.socket_dir()).env("PGPORT", cluster.port().to_string()).env("PGUSER", "postgres");
        let answers = WorkDir::new();
        let answer = fs::File::create(answers.join("answers")).expect("a file");
        Self { shell: probe.stdout(answer).stderr(Stdio::null()).spawn().expect("a shell"), answers }
    }

    /// How often it was answered so far.
    fn answers(&self) -> usize {
        fs::read_to_string(self.answers.join("answers")).unwrap_or_default().matches("(1 row)").count()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

#[test]
fn nextcloud_is_taken_over_with_all_that_its_scripts_saved() {
    let (host, repositories) = (Host::installed(), WorkDir::new());
    let cloud = host.pod(&repositories);
    let place = |name: &str| repositories.join("cloud").join(name);
    let all = |name: &str| snapshots(&repositories, &place(name), RESTIC_PASSWORD);
    cloud.pod.script("0.14", None, OLD_INIT).run().ok();

    // Nights of today's scripts, the first two of one month long ago, by Debian 12's restic.
    old_backup(&cloud.pod, &host.cluster, "0.14", "2024-03-05 23:10:00");
    let first = (host.content(), tree(host.volume.path()));
    host.photo("another photo");
    let files_alone = "cd /var/backups && restic -r \"$RESTIC_REPOSITORY/files\" backup --time '2024-03-20 23:10:00' .";
    cloud.pod.script("0.14", None, files_alone).run().ok();
    old_backup(&cloud.pod, &host.cluster, "0.18", &days_ago(2));
    let (content, files) = (host.content(), tree(host.volume.path()));
    let hosts: Vec<_> = all("files").iter().map(|one| one["hostname"].as_str().expect("a host").to_owned()).collect();
    assert!(hosts.len() == 3 && hosts[0] != hosts[1], "each pod has another name: {hosts:?}");

    let listed = cloud.run("list-snapshots.bb", []).ok();
    for id in ["files", "pg-role", "pg-database"].iter().flat_map(|name| short_ids(&all(name))) {
        assert!(listed.stdout.contains(&id), "{id}: {}", listed.stdout);
    }

    // Into the live system, while the probe connects.
    host.lose_everything();
    host.volume.file("config/config.php", "of this host");
    let probe = Probe::start(&host.cluster);
    until("it is probed", || probe.answers() > 0);
    cloud.run("restore.bb", []).ok();
    assert!(probe.answers() > 10, "{}", probe.answers());
    drop(probe);
    assert_same(&content, &host.content());
    assert_eq!(fs::read_to_string(host.volume.join("config/config.php")).expect("kept"), "of this host");
    host.volume.file("config/config.php", "<?php $CONFIG = ['dbpassword' => 'p);w'];");
    assert_eq!(tree(host.volume.path()), files);
    assert!(!host.maintenance().exists());

    // New runs go on in the old layout, from the newest snapshot of whatever pod.
    cloud.run("init.bb", []).ok().says("is there").never_says("made ");
    cloud.run("backup.bb", []).ok();
    let saved = all("files");
    let (newest, before) = (&saved[saved.len() - 1], &saved[saved.len() - 2]);
    assert_eq!((newest["hostname"].as_str(), &newest["parent"]), (Some("nextcloud"), &before["id"]), "{newest:#}");
    assert_eq!(newest["summary"]["files_new"], 0, "{newest:#}");
    let counts = ["files", "pg-role", "pg-database"].map(|name| all(name).len());
    assert_eq!(counts, [4, 3, 3], "nothing old is forgotten before there is enough that is sealed");
    let dumped = restic(&repositories, &place("pg-database"), RESTIC_PASSWORD, &["dump", "latest", "/stdin"]);
    assert!(dumped.success && dumped.text().contains("COPY public.oc_filecache"), "an old image can read it");

    // A fresh host: the role comes back with its password, owns what it owned, and config/ is there again.
    let other = Host::fresh();
    let fresh = other.pod(&repositories);
    fresh.run("restore.bb", []).ok();
    assert_same(&without_superuser(&content), &without_superuser(&other.content()));
    assert_eq!(tree(other.volume.path()), files);

    // Snapshots by their ids, in the old places: role, database, files.
    let (database, tree_id) = (short_ids(&all("pg-database"))[0].clone(), short_ids(&all("files"))[0].clone());
    other.cluster.psql("cloud", "DELETE FROM oc_filecache WHERE true");
    fresh.run("restore.bb", ["latest", &database, &tree_id]).ok();
    assert_same(&without_superuser(&first.0), &without_superuser(&other.content()));
    assert_eq!(tree(other.volume.path()), first.1);

    // Of a month long ago the newest stays, whatever pod it came from. As long as there are fewer months than are kept, the oldest
    // of all stays too.
    let months = |kept: &str| {
        let forget = cloud.pod.call("bkp", ["forget"]).env("BKP_KEEP_MIN", "1").env("RESTIC_MONTHS_TO_KEEP", kept);
        cloud.check(forget.run()).ok();
    };
    months("12");
    assert!(short_ids(&all("files")).contains(&tree_id));
    months("2");
    assert_eq!((all("files").len(), all("pg-database").len()), (3, 3));
    assert!(!short_ids(&all("files")).contains(&tree_id), "the older one of that month");

    // A new password, as the manual says: first beside the old one in the secret, then in its place.
    cloud.run("change-password.bb", []).fails_with(2).says("restic-new-password");
    cloud.pod.add_secret("restic-new-password", NEW_PASSWORD);
    cloud.run("change-password.bb", []).ok().says("restic-new-password under restic-password");
    cloud.run("change-password.bb", []).ok().says("already");
    cloud.run("list-snapshots.bb", []).ok().says("sealed");
    for name in ["files", "pg-role", "pg-database"] {
        let opens = |password| restic(&repositories, &place(name), password, &["cat", "config", "--no-lock"]).success;
        assert!(opens(NEW_PASSWORD) && !opens(RESTIC_PASSWORD), "{name}");
    }
    fresh.run("list-snapshots.bb", []).fails_with(12);
    fresh.pod.add_secret("restic-password", NEW_PASSWORD);
    fresh.run("list-snapshots.bb", []).ok().says("sealed");
}

/// Each host's own superuser has a password of its own making.
fn without_superuser(content: &Snapshot) -> Snapshot {
    content.clone().ignoring(|_, line| line.contains("cloud") && line.contains("SCRAM"))
}

/// From what today's scripts saved alone, onto a host that has nothing yet.
#[test]
fn nextcloud_comes_back_on_a_fresh_host_from_what_its_scripts_saved() {
    let (host, repositories) = (Host::installed(), WorkDir::new());
    let old = host.pod(&repositories);
    old.pod.script("0.18", None, OLD_INIT).run().ok();
    old_backup(&old.pod, &host.cluster, "0.18", &days_ago(1));
    let (files, rows) =
        (tree(host.volume.path()), "SELECT count(*), md5(string_agg(path, ',' ORDER BY id)) FROM oc_filecache");
    let before = host.cluster.psql("cloud", rows);

    let other = Host::fresh();
    let fresh = other.pod(&repositories);
    // `grep oc_` dropped a role that the dump grants something to: told before anything is made.
    fresh.run("restore.bb", []).fails_with(1).says("CREATE ROLE \"reporting\";");
    assert!(!other.cluster.databases().contains(&"cloud".to_owned()));
    other.cluster.psql("postgres", "CREATE ROLE reporting");
    fresh.run("restore.bb", []).ok();
    assert_eq!((other.cluster.psql("cloud", rows), tree(other.volume.path())), (before, files));
    let hash = "SELECT rolpassword FROM pg_authid WHERE rolname = 'oc_admin'";
    assert_eq!(other.cluster.psql("postgres", hash), host.cluster.psql("postgres", hash), "with its password");
    let owner = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'oc_filecache'";
    assert_eq!(other.cluster.psql("cloud", owner), "oc_admin");
}

#[test]
fn nextcloud_is_never_left_in_maintenance_and_a_typo_makes_no_repository() {
    let (host, repositories) = (Host::installed(), WorkDir::new());
    let cloud = host.pod(&repositories);
    cloud.run("init.bb", []).ok().says("made ");
    let on = || host.maintenance().exists();

    // Held up in the middle, it is in maintenance; ended, it is not.
    let mut holder = hold(&host.cluster);
    let backup = cloud.pod.call("/entrypoint.sh", []).spawn();
    until("maintenance", on);
    let content = fs::read_to_string(host.maintenance()).expect("it is there");
    assert_eq!(content, "<?php $CONFIG = ['maintenance' => true];");
    backup.kill(Signal::TERM);
    cloud.check(backup.wait()).fails_with(143);
    assert!(!on());
    let _ = holder.kill();
    let _ = holder.wait();

    // A dump that fails is a failure, and leaves neither a snapshot nor maintenance.
    host.cluster.psql("cloud", "CREATE TABLE broken (a int); SELECT lo_create(4711)");
    host.cluster.psql("cloud", "DELETE FROM pg_largeobject_metadata WHERE oid = 4711; UPDATE pg_class SET relnatts = 2 WHERE relname = 'broken'");
    cloud.run("backup.bb", []).fails_with(1);
    assert!(!on());
    assert_eq!(snapshots(&repositories, &repositories.join("cloud/pg-database"), RESTIC_PASSWORD).len(), 0);
    host.cluster.psql("cloud", "UPDATE pg_class SET relnatts = 1 WHERE relname = 'broken'");

    // A restore that fails leaves the application as it was, and running.
    let (content, files) = (host.content(), tree(host.volume.path()));
    cloud.run("restore.bb", []).fails_with(1).says("is incomplete: it lacks");
    assert_same(&content, &host.content());
    assert_eq!((tree(host.volume.path()), on()), (files, false));

    let typo = repositories.join("clout");
    let mistyped = |name: &str| -> Bkp { cloud.pod.call(name, []).env("RESTIC_REPOSITORY", &typo) };
    for name in ["backup.bb", "/entrypoint.sh", "restore.bb", "list-snapshots.bb"] {
        cloud.check(mistyped(name).run()).fails_with(10).says("RESTIC_REPOSITORY");
    }
    assert!(!typo.exists(), "nothing was made");
}

/// A session that keeps pg_dump waiting.
fn hold(cluster: &Cluster) -> Child {
    let mut psql = cluster.client("psql");
    psql.args(["-X", "-d", "cloud"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut holder = psql.spawn().expect("psql");
    let lock = b"BEGIN; LOCK TABLE oc_filecache;\n";
    holder.stdin.as_mut().expect("a pipe").write_all(lock).expect("written");
    until("the lock", || {
        let held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND database <> 0";
        cluster.psql("postgres", held) != "0"
    });
    holder
}

#[test]
fn an_idle_pod_ends_at_once_on_term() {
    for name in ["wait.bb", "/entrypoint-start-and-wait.sh"] {
        // Even with settings that make no sense: an operator must be able to get in and look.
        let pod = Pod::of("nextcloud");
        let idle = pod.call(name, []).spawn();
        let pid = idle.pid();
        until("it idles", || {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
            let (child, terminate) = (1 << 16, 1 << 14);
            !status.contains("Name:\tsh") && caught & child != 0 && caught & terminate != 0
        });
        idle.kill(Signal::TERM);
        idle.wait().ok();
    }
}
