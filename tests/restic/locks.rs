//! Whose lock is in the way: a dead one's is cleared, a living one's waited for and named.

use std::process::{Child, Stdio};
use std::time::Duration;

use bkp::error::exit_of;
use bkp::exit::Exit;

use rustix::process::{Pid, Signal, kill_process};

use super::{Place, save};
use crate::support::wait::until;

/// A restic that holds a lock until it is killed, or its input ends.
fn hold(place: &Place) -> Child {
    let mut command = place.command("0.18");
    command.args(["backup", "--stdin", "--stdin-filename", "held", "--host", "other"]);
    let holder = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("restic");
    until("a lock", || is_locked(place));
    holder
}

/// A lock has another name while it is written: killed then, restic leaves none.
fn is_locked(place: &Place) -> bool {
    place.stored("locks").iter().any(|path| path.file_name().is_some_and(|name| name.len() == 64))
}

fn end(mut holder: Child) {
    holder.kill().expect("killed");
    holder.wait().expect("gone");
}

#[tokio::test]
async fn the_lock_of_a_killed_restic_bars_nobody() {
    let place = Place::made().await;
    let id = save(&place.repository, "a", b"x").await.expect("saved");
    end(hold(&place));
    assert_eq!(place.stored("locks").len(), 1);
    place.repository.forget(&[id]).await.expect("forgotten");
    assert!(place.stored("locks").is_empty());
    end(hold(&place));
    place.repository.prune().await.expect("pruned");
    assert!(place.snapshots().await.is_empty());
}

#[tokio::test]
async fn a_living_lock_is_waited_for_then_named() {
    let place = Place::made().await;
    let holder = hold(&place);
    let error = place.repository.prune().await.expect_err("locked");
    assert_eq!(exit_of(&error), Exit::Locked, "{error:#}");
    assert!(format!("{error:#}").contains(&format!("process {} of ", holder.id())), "{error:#}");
    assert_eq!(place.stored("locks").len(), 1, "a living lock stays");

    let patient = place.again(|options| options.lock_wait = Duration::from_secs(60)).await;
    let mut pruning = std::pin::pin!(patient.prune());
    let waited = tokio::time::timeout(Duration::from_secs(3), &mut pruning).await;
    assert!(waited.is_err(), "it waits: {waited:?}");
    end(holder);
    tokio::time::timeout(Duration::from_secs(30), pruning).await.expect("in time").expect("pruned");
}

#[tokio::test]
async fn a_lock_of_another_host_is_not_cleared_before_its_time() {
    let place = Place::made().await;
    let command = place.command("0.18");
    // A host name of its own, as another pod has.
    let words = ["--uts", "sh", "-c", "hostname elsewhere; exec \"$0\" backup --stdin --host other"];
    let mut unshare = std::process::Command::new("unshare");
    unshare.args(words).arg(command.get_program()).env_clear();
    unshare.envs(command.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
    unshare.env("PATH", "/usr/bin:/bin").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let holder = unshare.spawn().expect("unshare");
    until("a lock", || is_locked(&place));
    end(holder);
    let error = place.repository.prune().await.expect_err("locked");
    assert!(exit_of(&error) == Exit::Locked && format!("{error:#}").contains("elsewhere"), "{error:#}");
    assert_eq!(place.stored("locks").len(), 1);
    // What only adds is let in.
    save(&place.repository, "a", b"x").await.expect("saved");
}

/// A restic that is stopped while it holds the repository alone.
fn hold_alone(place: &Place) -> (Child, Pid) {
    for _ in 0..20 {
        let mut command = place.command("0.18");
        // Slow, so that it is there long enough.
        command.args(["check", "--read-data", "--limit-download", "1"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut holder = command.spawn().expect("restic");
        let pid = Pid::from_child(&holder);
        until("a lock, or its end", || is_locked(place) || holder.try_wait().expect("waited").is_some());
        // It may have been over before we stop it.
        if kill_process(pid, Signal::STOP).is_ok() && is_locked(place) {
            return (holder, pid);
        }
        let _ = kill_process(pid, Signal::CONT);
        holder.wait().expect("ends");
    }
    panic!("not stopped in time in twenty tries");
}

#[tokio::test]
async fn a_stream_waits_for_an_exclusive_lock_before_it_takes_a_byte() {
    let place = Place::made().await;
    let (mut holder, pid) = hold_alone(&place);
    let mut stream = place.repository.save_stream(&super::saving(), "a").expect("begun");
    let outcome = stream.write(b"x").await.err();
    kill_process(pid, Signal::CONT).expect("goes on");
    holder.wait().expect("ends");
    let error = outcome.expect("locked");
    assert_eq!(exit_of(&error), Exit::Locked, "{error:#}");
    save(&place.repository, "a", b"x").await.expect("saved");
}
