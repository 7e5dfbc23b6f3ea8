//! Taiga: two repositories, a read-only volume in the nightly job, and deployments that keep their connections open.

use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};

use super::{Watched, days_ago, restic, short_ids, snapshots};
use crate::items::tree;
use crate::support::cluster::Cluster;
use crate::support::compare::{Snapshot, assert_same};
use crate::support::parts;
use crate::support::pod::Pod;
use crate::support::wait::until;
use crate::support::workdir::WorkDir;

const PASSWORD: &str = "taiga canary";
const DATABASE_PASSWORD: &str = "p:a\\ss canary";

const OLD_INIT: &str = r#"for name in files pg-database; do restic -r "$RESTIC_REPOSITORY/$name" init; done"#;

const OLD_BACKUP: &str = r#"
export PGPASSWORD="$POSTGRES_PASSWORD" PGHOST="$POSTGRES_SERVICE" PGPORT="$POSTGRES_PORT" PGUSER="$POSTGRES_USER"
pg_dump -d "$POSTGRES_DB" | restic -r "$RESTIC_REPOSITORY/pg-database" backup --time "$when" --stdin
cd /media && restic -r "$RESTIC_REPOSITORY/files" backup --time "$when" .
"#;

struct Host {
    cluster: Cluster,
    media: WorkDir,
}

impl Host {
    fn fresh() -> Self {
        let cluster = Cluster::start(14);
        cluster.psql("postgres", &format!("CREATE ROLE taiga SUPERUSER LOGIN PASSWORD '{DATABASE_PASSWORD}'"));
        Self { cluster, media: WorkDir::new() }
    }

    fn installed() -> Self {
        let host = Self::fresh();
        host.cluster.psql("postgres", "CREATE DATABASE taiga OWNER taiga");
        host.cluster.psql(
            "taiga",
            "SET ROLE taiga; CREATE TABLE stories (id serial PRIMARY KEY, subject text);
             INSERT INTO stories (subject) SELECT 'story ' || n FROM generate_series(1, 300) n",
        );
        for name in ["attachments/a/1.png", "user/me.jpg", ".keep"] {
            host.media.file(name, format!("content of {name}"));
        }
        if parts::root() {
            let given = std::process::Command::new("chown").args(["-R", "999:999"]).arg(host.media.path()).status();
            assert!(given.expect("chown").success());
        }
        host
    }

    /// The pod of the Deployment; of the CronJob, where the volume is read-only.
    fn pod(&self, repositories: &WorkDir, nightly: bool) -> Watched {
        let pod = Pod::of("taiga")
            .service("postgresql-service")
            // Set by the manifest, and not the real address.
            .env("POSTGRES_HOST", "postgresql-service:5432")
            .env("POSTGRES_SERVICE", "postgresql-service")
            .env("POSTGRES_PORT", self.cluster.port().to_string())
            .env("POSTGRES_DB", "taiga")
            .env("POSTGRES_USER", "taiga")
            .secret_file("RESTIC_PASSWORD_FILE", "restic-password", PASSWORD)
            .env("POSTGRES_PASSWORD", DATABASE_PASSWORD)
            .env("RESTIC_REPOSITORY", repositories.join("taiga").display().to_string())
            .env("RESTIC_DAYS_TO_KEEP", "30");
        let pod = match nightly {
            true => pod.read_only(self.media.path(), "/media"),
            false => pod.volume(self.media.path(), "/media"),
        };
        Watched { pod, secrets: vec!["canary".to_owned()] }
    }

    fn content(&self) -> Snapshot {
        Snapshot::of_databases(&self.cluster, &["taiga"])
    }

    /// taiga-back and taiga-async, which nobody scales down.
    fn deployments(&self) -> Vec<Child> {
        let connect = |_| {
            let mut psql = self.cluster.client("psql");
            psql.args(["-X", "-d", "taiga"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut psql = psql.spawn().expect("psql");
            psql.stdin.as_mut().expect("a pipe").write_all(b"BEGIN; SELECT count(*) FROM stories;\n").expect("written");
            psql
        };
        let deployments = (0..3).map(connect).collect();
        let idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'taiga' AND state = 'idle in transaction'";
        until("three connections", || self.cluster.psql("postgres", idle) == "3");
        deployments
    }
}

#[test]
fn taiga_is_taken_over_and_restored_under_open_connections() {
    let (host, repositories) = (Host::installed(), WorkDir::new());
    let (nightly, operator) = (host.pod(&repositories, true), host.pod(&repositories, false));
    let all = |name: &str| snapshots(&repositories, &repositories.join("taiga").join(name), PASSWORD);
    operator.pod.script("0.18", None, OLD_INIT).run().ok();
    let old = |when: &str| {
        nightly.pod.script("0.18", Some(&host.cluster), OLD_BACKUP).env("when", when).run().ok();
    };
    old(&days_ago(3));
    let (content, files) = (host.content(), tree(host.media.path()));
    let by_script = (short_ids(&all("pg-database")).remove(0), short_ids(&all("files")).remove(0));

    let lose = || {
        host.cluster.psql("taiga", "DELETE FROM stories WHERE id % 2 = 0");
        fs::remove_dir_all(host.media.join("attachments")).expect("removed");
        host.media.file("junk", "of the accident");
    };
    lose();
    // Where the volume is read-only, that is said before anything is begun.
    nightly.run("restore.sh", []).fails_with(1).says("/media").says("nothing was begun");
    let mut deployments = host.deployments();
    operator.run("restore.sh", []).ok();
    assert_same(&content, &host.content());
    assert_eq!(tree(host.media.path()), files);
    for deployment in &mut deployments {
        let _ = deployment.kill();
        let _ = deployment.wait();
    }

    operator.run("/usr/local/bin/init.sh", []).ok().says("is there").never_says("made ");
    nightly.run("/usr/local/bin/backup.sh", []).ok();
    assert!(!repositories.join("taiga/pg-role").exists(), "a backup makes no repository");
    let saved = all("files");
    let newest = saved.last().expect("a snapshot");
    assert_eq!((&newest["summary"]["files_new"], newest["hostname"].as_str()), (&0.into(), Some("taiga")));
    let dumped =
        restic(&repositories, &repositories.join("taiga/pg-database"), PASSWORD, &["dump", "latest", "/stdin"]);
    assert!(dumped.text().contains("COPY public.stories"), "an old image finds the database where it looks for it");
    operator.run("list-snapshots.sh", []).ok().says("sealed").says(&by_script.0);

    // A fresh host, from the run; then from the script's own snapshots, in their places.
    let other = Host::fresh();
    let fresh = other.pod(&repositories, false);
    fresh.run("restore.sh", []).ok();
    assert_same(&content, &other.content());
    assert_eq!(tree(other.media.path()), files);
    other.cluster.psql("taiga", "DELETE FROM stories WHERE true");
    other.media.file("junk", "of the accident");
    fresh.run("restore.sh", ["latest", &by_script.0, &by_script.1]).ok();
    assert_same(&content, &other.content());
    assert_eq!(tree(other.media.path()), files);
}
