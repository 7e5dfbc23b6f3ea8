//! Archives that releases of bkp and the commands of older systems wrote, and that are never written again: this release restores
//! every one of them, out of a directory that it cannot write, and what comes back is what was noted beside them.

mod ours;
mod systems;
mod unchanged;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::cluster::{Cluster, PASSWORD};
use crate::support::parts;
use crate::support::pod::Pod;
use crate::support::run::run;

/// What opens the repositories of all archives.
const RESTIC_PASSWORD: &str = "only for tests";

/// Where a pod finds its archive.
const AT: &str = "/archive";

fn archive(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/archives").join(name)
}

/// A server of today, on which nothing is but its superuser.
fn fresh() -> Cluster {
    Cluster::start(parts::NEWEST)
}

/// A pod that has the archive, read-only, and the server.
fn pod(pod: Pod, name: &str, cluster: Option<&Cluster>) -> Pod {
    let pod = pod.read_only(&archive(name), AT).secret_file("RESTIC_PASSWORD_FILE", "restic-password", RESTIC_PASSWORD);
    match cluster {
        None => pod,
        Some(cluster) => pod
            .service("postgresql-service")
            .env("POSTGRES_HOST", format!("postgresql-service:{}", cluster.port()))
            .env("POSTGRES_USER", "postgres")
            .env("POSTGRES_PASSWORD", PASSWORD),
    }
}

/// All rows of the tables that were noted are there, and no others.
fn has_rows(cluster: &Cluster, name: &str) {
    let noted = fs::read_to_string(archive(name).join("rows.txt")).expect("the rows that were saved");
    let is_table = |line: &&str| {
        line.split_once('.').is_some_and(|(database, table)| {
            [database, table].iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        })
    };
    let mut here = String::new();
    for line in noted.lines().filter(is_table) {
        let (database, table) = line.split_once('.').expect("a table");
        let rows = cluster.psql(database, &format!("SET TimeZone = 'UTC'; SELECT * FROM {table} ORDER BY 1"));
        here.push_str(&format!("{line}\n{rows}\n"));
    }
    assert!(!here.is_empty());
    assert_eq!(here, noted, "{name}");
}

/// Every file with the digest of its content, as it was noted.
fn files(directory: &Path) -> String {
    let script = "find . -type f -not -path './.bkp-*' -printf '%P\\n' | LC_ALL=C sort | while read -r file; do echo \"$file $(sha256sum <\"$file\" | cut -c1-64)\"; done";
    let listed = run(Command::new("sh").args(["-c", script]).current_dir(directory), b"");
    assert!(listed.success, "{}", listed.stderr);
    String::from_utf8(listed.stdout).expect("names in UTF-8")
}

fn has_files(directory: &Path, name: &str) {
    assert_eq!(
        files(directory),
        fs::read_to_string(archive(name).join("files.txt")).expect("the files that were saved"),
        "{name}"
    );
}
