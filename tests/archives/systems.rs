//! What the commands of the five older systems wrote, found by the settings of their images and units.

use super::{AT, files, fresh, has_files, has_rows, pod};
use crate::support::cluster::Cluster;
use crate::support::pod::Pod;
use crate::support::workdir::WorkDir;

/// A pod of an image in `images/`, with the repositories where its manifest has them.
fn of(image: &str, cluster: Option<&Cluster>) -> Pod {
    pod(Pod::of(image), image, cluster).env("RESTIC_REPOSITORY", AT)
}

#[test]
fn nextcloud_by_backup_bb() {
    let (cluster, volume) = (fresh(), WorkDir::new());
    let pod = of("nextcloud", Some(&cluster)).env("POSTGRES_DB", "cloud").volume(volume.path(), "/var/backups");
    pod.call("list-snapshots.bb", []).run().ok().says("database cloud");
    pod.call("restore.bb", []).run().ok();
    has_rows(&cluster, "nextcloud");
    has_files(volume.path(), "nextcloud");
    let role = "SELECT rolcanlogin, rolpassword LIKE 'SCRAM-SHA-256$%', (SELECT pg_get_userbyid(relowner) FROM pg_class
        WHERE relname = 'oc_filecache') FROM pg_authid WHERE rolname = 'oc_admin'";
    assert_eq!(cluster.psql("cloud", role), "t|t|oc_admin", "with its password");
}

#[test]
fn taiga_by_backup_sh() {
    let (cluster, volume) = (fresh(), WorkDir::new());
    // There is no repository of roles.
    cluster.psql("postgres", "CREATE ROLE taiga SUPERUSER LOGIN");
    let pod = of("taiga", Some(&cluster)).env("POSTGRES_DB", "taiga").volume(volume.path(), "/media");
    pod.call("list-snapshots.sh", []).run().ok().says("database taiga");
    pod.call("restore.sh", []).run().ok();
    has_rows(&cluster, "taiga");
    has_files(volume.path(), "taiga");
}

#[test]
fn jira_by_backup_sh() {
    let volume = WorkDir::new();
    let pod = of("jira", None).volume(volume.path(), "/var/backups");
    pod.call("restore.sh", []).run().ok();
    // An export alone, and where Jira imports it from.
    let noted = std::fs::read_to_string(super::archive("jira/files.txt")).expect("the files that were saved");
    let export = noted.lines().find(|line| line.starts_with("export/") && line.contains(".zip ")).expect("an export");
    assert_eq!(files(volume.path()), format!("{}\n", export.replacen("export/", "import/", 1)));
}

#[test]
fn opsocket_by_its_units() {
    let (cluster, volume) = (fresh(), WorkDir::new());
    let unit = |unit: &str| {
        let mut bare = Pod::bare().on("ops-2").volume(volume.path(), "/media/demo");
        for (name, value) in crate::systems::unit_env(unit) {
            bare = bare.env(&name, value);
        }
        pod(bare, "opsocket", None).service("unused").env("RESTIC_REPOSITORY", format!("{AT}/backups"))
    };
    let databases = unit("bkp-db@.service").volume(cluster.socket_dir().as_ref(), "/var/run/postgresql");
    let databases = databases.env("PGUSER", "postgres").env("PGPORT", cluster.port().to_string());
    databases.call("bkp", ["restore"]).run().ok();
    has_rows(&cluster, "opsocket");
    let own = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'shop'";
    assert_eq!(cluster.psql("postgres", own), "shop");
    // A host of another name takes it over by its id: nothing says that this directory is the same.
    let files = unit("bkp@.service");
    let listed = files.call("bkp", ["list", "--json"]).run().ok();
    let rows: serde_json::Value = serde_json::from_str(&listed.stdout).expect("JSON");
    let tree = |row: &&serde_json::Value| row["items"][0] == "files /media/demo";
    let id = rows.as_array().expect("a list").iter().find(tree).expect("the files")["snapshots"][0]["id"].clone();
    files.call("bkp", ["restore", id.as_str().expect("an id")]).run().ok();
    has_files(volume.path(), "opsocket");
}

#[test]
fn quetzal_by_backup_sh() {
    let cluster = fresh();
    cluster.psql("postgres", "CREATE ROLE dbuser SUPERUSER LOGIN");
    let pod = pod(Pod::of("quetzal"), "quetzal", Some(&cluster)).env("BKP_BUCKET", format!("file://{AT}/bucket"));
    pod.call("bkp", ["list"]).run().ok().says("db/db_dump-20260104_030000.bak.gz");
    pod.call("bkp", ["restore"]).run().ok().says("has no seal");
    has_rows(&cluster, "quetzal");
    let rights = "SELECT pg_get_userbyid(relowner), has_table_privilege('db_ro_user', 'metadata', 'SELECT') FROM pg_class WHERE relname = 'metadata'";
    for database in ["quetzal", "unittests"] {
        assert_eq!(cluster.psql(database, rights), "db_user|t");
    }
}
