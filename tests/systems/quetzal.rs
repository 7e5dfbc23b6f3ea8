//! Quetzal: dumps in Google's store, by an account that may create, list and delete but not read.

use super::Watched;
use crate::job::bucket::credentials::key_file;
use crate::job::gzip;
use crate::support::cluster::Cluster;
use crate::support::compare::{Snapshot, assert_same};
use crate::support::gcs::{BUCKET, Gcs, Op, Proxy};
use crate::support::pod::Pod;
use crate::support::workdir::WorkDir;

const PASSWORD: &str = "helm's canary";

/// A server with the superuser that helm makes.
fn fresh() -> Cluster {
    let cluster = Cluster::start(15);
    cluster.psql("postgres", "CREATE ROLE dbuser SUPERUSER LOGIN PASSWORD 'helm''s canary'");
    cluster
}

fn installed() -> Cluster {
    let cluster = fresh();
    cluster.psql(
        "postgres",
        "CREATE ROLE db_user LOGIN PASSWORD 'user canary'; CREATE ROLE db_ro_user LOGIN PASSWORD 'reader canary';
         CREATE DATABASE quetzal OWNER db_user; CREATE DATABASE unittests OWNER db_user;",
    );
    for database in ["quetzal", "unittests"] {
        cluster.psql(
            database,
            "SET ROLE db_user; CREATE TABLE metadata (id serial PRIMARY KEY, json jsonb);
             INSERT INTO metadata (json) SELECT jsonb_build_object('n', n) FROM generate_series(1, 400) n;
             GRANT SELECT ON metadata TO db_ro_user",
        );
    }
    cluster
}

/// The pod of the chart's CronJob, whose way to Google's hosts leads to the tests' server.
fn quetzal(cluster: &Cluster, proxy: &Proxy, keys: &WorkDir) -> Watched {
    let (key_file, key) = key_file(keys);
    let pod = Pod::of("quetzal")
        .service("quetzal-db")
        .env("DB_HOST", "quetzal-db")
        .env("PGPORT", cluster.port().to_string())
        .env("POSTGRES_USER", "dbuser")
        .env("PGPASSWORD", PASSWORD)
        .env("GCP_BACKUP_BUCKET", format!("gs://{BUCKET}"))
        .env("HTTPS_PROXY", proxy.url())
        .env("CERTIFICATE_FILE", proxy.ca_file().display().to_string())
        .read_only(&key_file, "/conf/credentials.json");
    Watched { pod, secrets: vec!["canary".to_owned(), key.lines().nth(1).expect("a line of the key").to_owned()] }
}

/// All databases and roles; each host's own superuser has a password of its own making.
fn content(cluster: &Cluster) -> Snapshot {
    Snapshot::of(cluster).without_replaced().ignoring(|_, line| line.contains("dbuser") && line.contains("SCRAM"))
}

#[test]
fn quetzal_is_saved_without_the_right_to_read_and_comes_back_without_an_editor() {
    let (gcs, keys) = (Gcs::start(), WorkDir::new());
    gcs.require_token();
    let proxy = Proxy::before(&gcs);
    let cluster = installed();
    let cron_job = quetzal(&cluster, &proxy, &keys);
    let before = content(&cluster);
    let by_script = "db/db_dump-20260104_030000.bak.gz";
    gcs.put(by_script, gzip(&cluster.pg_dumpall([])));

    // What its script uploaded, into the server that has all of its roles and databases already.
    let lose = || {
        cluster.psql("quetzal", "DELETE FROM metadata WHERE true");
        cluster.psql("postgres", "DROP DATABASE unittests");
    };
    lose();
    cron_job.run("bkp", ["list"]).ok().says(by_script);
    cron_job.run("bkp", ["restore"]).ok().says("has no seal");
    assert_same(&before, &content(&cluster));

    gcs.forbid([Op::Get, Op::Stat]);
    cron_job.run("/backup.sh", []).ok();
    let objects = gcs.objects();
    assert!(objects.len() == 2 && objects[1].as_str() > by_script, "the name of its script: {objects:?}");
    assert_eq!(gcs.open_uploads(), 0);
    cron_job.run("bkp", ["restore"]).fails_with(1).says("objectAdmin");
    assert_same(&before, &content(&cluster));
    gcs.forbid([]);

    // A new cluster of the chart: its superuser is there, and nothing else.
    let other = fresh();
    let operator = quetzal(&other, &proxy, &keys);
    operator.run("bkp", ["restore"]).ok().says("proven");
    assert_same(&before, &content(&other));
    let first = fresh();
    quetzal(&first, &proxy, &keys).run("bkp", ["restore", by_script]).ok();
    assert_same(&before, &content(&first));

    lose();
    cron_job.run("bkp", ["restore"]).ok();
    assert_same(&before, &content(&cluster));
}
