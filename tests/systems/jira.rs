//! Jira: files alone; what a restore brings goes to another directory than what was saved.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Watched, short_ids, snapshots};
use crate::items::tree;
use crate::support::parts;
use crate::support::pod::Pod;
use crate::support::workdir::WorkDir;

const PASSWORD: &str = "jira canary";

fn jira(volume: &WorkDir, repositories: &WorkDir) -> Watched {
    let pod = Pod::of("jira")
        .env("RESTIC_REPOSITORY", repositories.join("jira").display().to_string())
        .env("RESTIC_DAYS_TO_KEEP", "14")
        .secret_file("RESTIC_PASSWORD_FILE", "restic-password", PASSWORD)
        .secret_file("AWS_ACCESS_KEY_ID_FILE", "aws-access-key-id", "aws-id-canary")
        .secret_file("AWS_SECRET_ACCESS_KEY_FILE", "aws-secret-access-key", "aws-key-canary")
        .volume(volume.path(), "/var/backups");
    Watched { pod, secrets: vec!["canary".to_owned()] }
}

/// Everything of the volume but import/, with its owners.
fn beside_import(volume: &WorkDir) -> Vec<String> {
    tree(volume.path()).into_iter().filter(|line| !line.contains("import")).collect()
}

fn imported(volume: &WorkDir, name: &str) -> (String, u32, u32) {
    let path = volume.join("import").join(name);
    let content = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let metadata = path.metadata().expect("its owner");
    (content, metadata.uid(), metadata.gid())
}

#[test]
fn jira_gets_its_exports_to_import_and_nothing_else_is_touched() {
    let (volume, repositories) = (WorkDir::new(), WorkDir::new());
    for name in ["export/first.zip", "export/second.zip", "export/notes.txt", "import/older.zip", "data/x"] {
        volume.file(name, format!("content of {name}"));
    }
    let pod = jira(&volume, &repositories);
    let place = repositories.join("jira/files");
    // Only root may give files away; a plain user's stay its own.
    let (uid, gid) = if parts::root() { (901, 901) } else { (owner_of(volume.path()), group_of(volume.path())) };
    let expected = |name: &str| (format!("content of export/{name}"), uid, gid);

    let old = "restic -r \"$RESTIC_REPOSITORY/files\" init; cd /var/backups; restic -r \"$RESTIC_REPOSITORY/files\" backup export";
    pod.pod.script("0.14", None, old).run().ok();
    let first = short_ids(&snapshots(&repositories, &place, PASSWORD)).remove(0);
    pod.run("list-snapshots.sh", []).ok().says(&first);
    pod.run("init.sh", []).ok().says("is there").never_says("made ");

    // Of what the script saved: a zip that is lost comes back in import/; export/ is not touched, not even what it lost.
    fs::remove_file(volume.join("export/second.zip")).expect("removed");
    let rest = beside_import(&volume);
    pod.run("restore.sh", []).ok();
    assert_eq!(beside_import(&volume), rest);
    for name in ["first.zip", "second.zip"] {
        assert_eq!(imported(&volume, name), expected(name));
    }
    assert_eq!(imported(&volume, "older.zip").0, "content of import/older.zip");
    assert!(!volume.join("import/notes.txt").exists());

    // The nightly job: unchanged files are not read again although the pod is another.
    volume.file("export/third.zip", "content of export/third.zip");
    pod.run("/entrypoint.sh", []).ok();
    let all = snapshots(&repositories, &place, PASSWORD);
    let (summary, parent) = (&all[1]["summary"], &all[1]["parent"]);
    assert_eq!((&summary["files_unmodified"], &summary["files_new"]), (&2.into(), &1.into()), "{:#}", all[1]);
    assert_eq!((parent, all[1]["hostname"].as_str()), (&all[0]["id"], Some("jira")));
    let repositories_made: Vec<_> = fs::read_dir(repositories.join("jira")).expect("the base").collect();
    assert_eq!(repositories_made.len(), 1, "files alone");

    // A fresh host, where there is no import/ yet; then the snapshot of the script, by its id in the third place.
    let other = WorkDir::new();
    let fresh = jira(&other, &repositories);
    fresh.run("restore.sh", []).ok();
    assert_eq!(imported(&other, "third.zip"), expected("third.zip"));
    fs::remove_dir_all(other.join("import")).expect("removed");
    fresh.run("restore.sh", ["latest", "latest", &first]).ok();
    assert_eq!(imported(&other, "second.zip"), expected("second.zip"));
    assert!(!other.join("import/third.zip").exists());

    // Nothing exported: no empty backup, but an error.
    fs::remove_dir_all(volume.join("export")).expect("removed");
    pod.run("backup.sh", []).fails_with(1).says("export/");
    assert_eq!(snapshots(&repositories, &place, PASSWORD).len(), 2);
}

fn owner_of(path: &Path) -> u32 {
    path.metadata().expect("an owner").uid()
}

fn group_of(path: &Path) -> u32 {
    path.metadata().expect("a group").gid()
}
