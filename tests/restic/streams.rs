//! One file out of a stream: whole, or not at all.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bkp::repository::restic::StreamIn;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::{Place, all, noise, options, os, repository, save, saving};
use crate::support::wait::until;

#[tokio::test]
async fn a_stream_comes_back_byte_for_byte_to_old_readers_too() {
    let place = Place::made().await;
    let time = "2026-11-20T23:10:00Z".parse().expect("a time");
    for (name, content) in [("shop.sql", noise(5_000_000)), ("one byte", vec![b'x'])] {
        let saving = bkp::repository::restic::Saving { time: Some(time), ..saving() };
        let mut stream = place.repository.save_stream(&saving, name).expect("begun");
        for piece in content.chunks(300_001) {
            stream.write(piece).await.expect("written");
        }
        let saved = stream.commit().await.expect("saved");
        assert_eq!(saved.summary.expect("figures").bytes, content.len() as u64);
        let path = format!("/{name}");
        let read = all(place.repository.read(&saved.id, &path).expect("opened")).await.expect("read");
        assert!(read == content, "{name}");
        assert!(place.restic("0.14", ["dump", &saved.id, &path]).stdout == content, "{name}");

        let snapshot = place.snapshots().await.into_iter().find(|snapshot| snapshot.id == saved.id).expect("listed");
        assert_eq!((snapshot.host.as_str(), &snapshot.tags, snapshot.time), ("shop", &saving.tags, time));
        assert_eq!((snapshot.paths, snapshot.parent), (vec![path.clone()], None));
        let files = place.repository.files_in(&saved.id, "/").await.expect("listed");
        assert_eq!(files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), [path]);
        assert_eq!(files[0].size, Some(content.len() as u64));
    }
}

#[tokio::test]
async fn a_stream_without_a_byte_becomes_no_snapshot() {
    let place = Place::made().await;
    save(&place.repository, "a.sql", b"").await.expect_err("nothing to store");
    assert!(place.snapshots().await.is_empty() && place.stored("locks").is_empty());
}

#[tokio::test]
async fn what_is_not_there_is_an_error_at_the_end_of_reading() {
    let place = Place::made().await;
    let id = save(&place.repository, "a.sql", b"x").await.expect("saved");
    for (snapshot, path) in [(id.as_str(), "/b.sql"), ("12345678", "/a.sql")] {
        let reading = place.repository.read(snapshot, path).expect("started");
        all(reading).await.expect_err("nothing to read");
    }
}

async fn begun(place: &Place) -> StreamIn {
    let mut stream = place.repository.save_stream(&saving(), "shop.sql").expect("begun");
    // More than all pipes hold: restic has begun to read when this is over.
    stream.write(&noise(8_000_000)).await.expect("written");
    stream
}

#[tokio::test]
async fn a_stream_that_is_given_up_leaves_no_snapshot_and_no_lock() {
    let place = Place::made().await;
    begun(&place).await.abort().await;
    assert!(place.snapshots().await.is_empty() && place.stored("locks").is_empty());
    drop(begun(&place).await);
    assert!(place.snapshots().await.is_empty() && place.stored("locks").is_empty());
    place.repository.prune().await.expect("pruned");
    save(&place.repository, "shop.sql", b"x").await.expect("saved");
    place.repository.check(true).await.expect("sound");
}

/// The restic that holds the only lock.
async fn holder(place: &Place) -> Pid {
    let locks = place.repository.locks().await.expect("listed");
    assert_eq!(locks.len(), 1, "{locks:?}");
    Pid::from_raw(i32::try_from(locks[0].pid).expect("a pid")).expect("a pid")
}

#[tokio::test]
async fn a_restic_killed_while_it_reads_is_told_and_bars_nobody() {
    let place = Place::made().await;
    let mut stream = begun(&place).await;
    kill_process(holder(&place).await, Signal::KILL).expect("killed");
    let error = loop {
        if let Err(error) = stream.write(&noise(1_000_000)).await {
            break error;
        }
    };
    assert!(format!("{error:#}").contains("signal 9"), "{error:#}");
    drop(stream);
    assert!(place.snapshots().await.is_empty());
    assert_eq!(place.stored("locks").len(), 1, "a killed restic leaves its lock");
    place.repository.prune().await.expect("pruned");
    assert!(place.stored("locks").is_empty());
}

#[tokio::test]
async fn a_restic_killed_before_it_stores_is_no_success() {
    let place = Place::made().await;
    let stream = begun(&place).await;
    kill_process(holder(&place).await, Signal::KILL).expect("killed");
    stream.commit().await.expect_err("not stored");
    assert!(place.snapshots().await.is_empty());
}

/// Names the work directory to the copy of this test that is to be killed.
const STREAM_IN: &str = "BKP_TEST_STREAM_IN";

#[tokio::test]
async fn a_bkp_killed_while_it_streams_leaves_no_snapshot() {
    if let Some(work) = std::env::var_os(STREAM_IN) {
        let work = Path::new(&work);
        let repository = repository(options(work), &work.join("repo").display().to_string()).await;
        let mut stream = repository.save_stream(&saving(), "shop.sql").expect("begun");
        stream.write(&noise(8_000_000)).await.expect("written");
        std::fs::write(work.join("streaming"), b"").expect("written");
        // Longer than the test lets it live.
        tokio::time::sleep(Duration::from_secs(60)).await;
        return;
    }
    let place = Place::made().await;
    let me = std::env::current_exe().expect("this program");
    let mut copy = Command::new(me);
    copy.args(["--exact", "restic::streams::a_bkp_killed_while_it_streams_leaves_no_snapshot"]);
    copy.env(STREAM_IN, place.work.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut copy = copy.spawn().expect("a copy");
    until("the copy streams", || place.work.join("streaming").exists());
    let restic = holder(&place).await;
    copy.kill().expect("killed");
    copy.wait().expect("gone");
    // Nobody ends it but the end of its input.
    until("restic is gone", || test_kill_process(restic).is_err());
    assert!(place.snapshots().await.is_empty());
    place.repository.prune().await.expect("pruned");
    save(&place.repository, "shop.sql", b"x").await.expect("saved");
    assert!(place.restic("0.18", os(&["check", "--read-data"])).success);
}
