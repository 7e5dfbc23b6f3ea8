//! What releases of bkp wrote.

use super::{AT, archive, fresh, has_files, has_rows, pod};
use crate::support::pod::Pod;
use crate::support::workdir::WorkDir;

/// Every release whose archives are here.
fn releases() -> Vec<String> {
    let all = std::fs::read_dir(archive("")).expect("archives").flatten();
    let mut names: Vec<String> = all.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name.starts_with("bkp-"));
    names.sort();
    names
}

#[test]
fn dumps_of_every_release_are_proven_and_restored() {
    assert!(!releases().is_empty());
    for release in releases() {
        for bucket in ["bucket-13", "bucket-17"] {
            let (name, cluster) = (format!("{release}/{bucket}"), fresh());
            let pod = pod(Pod::bare(), &name, Some(&cluster)).env("BKP_APP", "shop");
            let pod = pod.env("BKP_BUCKET", format!("file://{AT}/bucket"));
            pod.call("bkp", ["list"]).run().ok().says(" sealed ");
            pod.call("bkp", ["check", "--read-data"]).run().ok().says("1 dumps are as sealed");
            pod.call("bkp", ["restore"]).run().ok().says("proven");
            has_rows(&cluster, &name);
            assert_eq!(cluster.psql("shop", "SELECT convert_from(lo_get(4711), 'UTF8')"), "a large object");
            came_with_it(&cluster);
        }
    }
}

#[test]
fn repositories_of_every_release_are_proven_and_restored() {
    for release in releases() {
        let (name, cluster, volume) = (format!("{release}/restic"), fresh(), WorkDir::new());
        let pod = pod(Pod::bare(), &name, Some(&cluster)).volume(volume.path(), "/media/shop");
        let pod = pod.env("BKP_APP", "shop").env("BKP_DATABASES", "shop").env("BKP_FILES", "/media/shop");
        let pod = pod.env("RESTIC_REPOSITORY", format!("{AT}/repository"));
        pod.call("bkp", ["list"]).run().ok().says(" sealed ");
        pod.call("bkp", ["check", "--read-data"]).run().ok().says("is whole");
        pod.call("bkp", ["restore"]).run().ok().says("proven").says("it is read without one");
        has_rows(&cluster, &name);
        has_files(volume.path(), &name);
        came_with_it(&cluster);
    }
}

/// What belongs to a database and is no row.
fn came_with_it(cluster: &crate::support::cluster::Cluster) {
    let asked = "SELECT pg_get_userbyid(datdba), (SELECT setconfig FROM pg_db_role_setting WHERE setdatabase = d.oid),
        (SELECT rolcanlogin FROM pg_roles WHERE rolname = 'reader'), has_table_privilege('reader', 'orders', 'SELECT')
        FROM pg_database d WHERE datname = 'shop'";
    assert_eq!(cluster.psql("shop", asked), "shop|{work_mem=8MB}|f|t");
}
