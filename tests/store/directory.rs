//! What is particular to a directory.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bkp::repository::bucket::error::StoreError;
use bkp::repository::bucket::store::{Made, Store};

use super::{bytes, download, names, open, quick, upload};
use crate::support::workdir::WorkDir;

fn at(path: &Path) -> Store {
    open(&format!("file://{}", path.display()), &quick())
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[tokio::test]
async fn a_directory_is_made_for_this_account_alone() {
    let directory = WorkDir::new();
    let path = directory.path().join("a/b");
    let store = at(&path);
    assert_eq!(store.ensure().await.expect("made"), Made::New);
    assert_eq!(store.ensure().await.expect("there"), Made::AlreadyThere);
    assert_eq!(mode(&path), 0o700);
    upload(&store, "run/dump", b"x").await.expect("uploaded");
    assert_eq!(mode(&path.join("run")), 0o700);
    assert_eq!(mode(&path.join("run/dump")), 0o600);
}

#[tokio::test]
async fn a_backup_never_makes_the_directory() {
    let directory = WorkDir::new();
    let path = directory.path().join("absent");
    let result = upload(&at(&path), "dump", b"x").await;
    assert!(matches!(result, Err(StoreError::BucketMissing { .. })), "{result:?}");
    assert!(!path.exists());
}

#[tokio::test]
async fn of_many_writers_of_one_name_one_wins() {
    let directory = WorkDir::new();
    let store = at(directory.path());
    let mut writers = Vec::new();
    for number in 0..8_usize {
        let mut writer = store.upload("dump").await.expect("begun");
        writer.write(bytes(1000 + number).into()).await.expect("written");
        writers.push(writer);
    }
    let results = futures::future::join_all(writers.into_iter().map(|writer| writer.commit())).await;
    let won: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
    assert_eq!(won.len(), 1, "{results:?}");
    assert!(results.iter().filter_map(|r| r.as_ref().err()).all(|err| matches!(err, StoreError::Exists { .. })));
    let length = usize::try_from(won[0].bytes).expect("small");
    assert_eq!(download(&store, "dump").await.expect("read"), bytes(length));
    assert_eq!(std::fs::read_dir(directory.path()).expect("listed").count(), 1, "no parts are left");
}

#[tokio::test]
async fn what_a_killed_run_left_is_hidden_and_removed_by_the_next() {
    let directory = WorkDir::new();
    let store = at(directory.path());
    let part = directory.path().join(".dump.1-0.part");
    std::fs::write(&part, "half").expect("written");
    assert_eq!(names(&store).await, Vec::<String>::new());
    let file = std::fs::File::options().write(true).open(&part).expect("opened");
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).expect("locked");
    upload(&store, "locked", b"x").await.expect("uploaded");
    assert!(part.exists(), "a locked part has a writer");
    drop(file);
    upload(&store, "free", b"x").await.expect("uploaded");
    assert!(!part.exists());
    assert_eq!(names(&store).await, ["free", "locked"]);
}

#[tokio::test]
async fn writers_that_begin_at_once_do_not_take_each_other_for_dead() {
    let directory = WorkDir::new();
    let store = at(directory.path());
    let uploads = (0..200).map(|number| {
        let store = store.clone();
        tokio::spawn(async move { upload(&store, &format!("{number}"), b"x").await.map(drop) })
    });
    for upload in uploads.collect::<Vec<_>>() {
        upload.await.expect("no panic").expect("uploaded");
    }
    assert_eq!(names(&store).await.len(), 200);
}

#[tokio::test]
async fn a_file_cut_while_it_is_read_is_found() {
    let directory = WorkDir::new();
    let store = at(directory.path());
    upload(&store, "dump", &bytes(4 << 20)).await.expect("uploaded");
    let mut reading = store.read("dump", None, None).await.expect("opened");
    assert!(reading.next().await.expect("read").is_some());
    let file = std::fs::File::options().write(true).open(directory.path().join("dump")).expect("opened");
    file.set_len(1 << 20).expect("cut");
    let mut result = Ok(Some(bytes::Bytes::new()));
    while matches!(result, Ok(Some(_))) {
        result = reading.next().await;
    }
    assert!(matches!(result, Err(StoreError::Corrupt { .. })), "{result:?}");
}

#[tokio::test]
async fn what_is_no_directory_is_called_so_and_left_alone() {
    let directory = WorkDir::new();
    let file = directory.path().join("file");
    std::fs::write(&file, "mine").expect("written");
    std::os::unix::fs::symlink("nowhere", directory.path().join("dangling")).expect("a link");
    for path in [file.clone(), file.join("below"), directory.path().join("dangling")] {
        let said = at(&path).ensure().await.expect_err("no directory").to_string();
        assert!(said.contains("cannot be made"), "{said}");
    }
    assert_eq!(std::fs::read(&file).expect("read"), b"mine");
}

#[tokio::test]
async fn a_folder_that_is_a_link_to_another_disk_is_listed() {
    let (directory, other) = (WorkDir::new(), WorkDir::new());
    std::os::unix::fs::symlink(other.path(), directory.path().join("db")).expect("a link");
    std::os::unix::fs::symlink(other.path(), other.path().join("circle")).expect("a link");
    let store = at(directory.path());
    upload(&store, "db/dump", b"x").await.expect("uploaded");
    let listed = store.list("db/").await.expect("listed");
    assert_eq!(listed.iter().map(|object| object.name.as_str()).collect::<Vec<_>>(), ["db/dump"]);
}
