//! What an operator reads, and what he gets by asking for a part.

use std::net::TcpListener;
use std::process::Command;

use rustix::process::Signal;

use super::quick::{Plain, lay_repository, listed, restic_that, snapshot_ids};
use super::{App, PASSWORD};
use crate::support::bkp::Bkp;
use crate::support::parts;
use crate::support::wait::until;

#[test]
fn one_database_comes_back_although_another_one_of_the_run_is_damaged() {
    let app = App::quick();
    app.cluster.psql("postgres", "CREATE DATABASE large");
    let bkp = |arguments: &[&str]| app.bkp([]).without("POSTGRES_DB").args(arguments);
    bkp(&["backup"]).run().ok();
    let orders = app.orders();
    app.cluster.psql("shop", "DELETE FROM orders WHERE true");
    let restic = restic_that(
        &app.work,
        "case \"$*\" in *'dump '*large*) echo 'Fatal: ciphertext verification failed' >&2; exit 1;; esac\nexec $REAL \"$@\"",
    );
    let damaged = |arguments: &[&str]| bkp(arguments).env("BKP_RESTIC_BIN", &restic);
    damaged(&["restore"]).run().fails_with(5).says("ciphertext verification failed");
    damaged(&["restore", "--only", "shop"]).run().ok().says("(database shop): ");
    assert_eq!(app.orders(), orders);
    let refused = damaged(&["restore", "--only", "shpo"]).run().fails_with(1);
    refused.says("holds no database shpo; it holds large, postgres, shop, template1").never_says("proven");
}

#[test]
fn every_command_that_ends_well_prints_one_document() {
    let plain = Plain::open();
    plain.bkp(["backup"]).run().ok();
    let there = plain.work.join("there").display().to_string();
    for arguments in [&["restore", "--to", &there, "--dry-run"][..], &["restore", "--to", &there], &["resume"]] {
        let out = plain.bkp(["--json"]).args(arguments).run().ok();
        let document: serde_json::Value = serde_json::from_str(&out.stdout).expect("one document");
        assert_eq!(document["command"], arguments[0], "{arguments:?}");
    }
    assert_eq!(std::fs::read(plain.work.join("there/.hidden")).expect("restored"), b"dot");
}

#[test]
fn a_host_without_backups_is_no_repository_without_backups() {
    let plain = Plain::open();
    plain.bkp(["list"]).run().ok().says("no backups yet");
    plain.bkp(["backup"]).run().ok();
    for command in [&["list", "--host", "nobody"][..], &["restore", "--host", "nobody"]] {
        let out = plain.bkp([]).args(command).run();
        out.says("there is no backup of host nobody").never_says("yet");
    }
}

#[test]
fn a_list_shows_the_id_beside_each_item_and_no_column_of_dashes() {
    let plain = Plain::open();
    plain.bkp(["backup"]).run().ok();
    let id = listed(plain.bkp(["list", "--json"]))[0]["snapshots"][0]["id"].as_str().expect("an id")[..8].to_owned();
    let item = format!("files {} {id}\n", plain.files().display());
    plain.bkp(["list"]).run().ok().says(&item).never_says("STORED").never_says(" - ");
}

#[test]
fn a_file_that_is_named_for_a_directory_is_told_apart() {
    let plain = Plain::open();
    let file = plain.work.file("a-file", "");
    plain.bkp(["backup"]).env("BKP_FILES", file).run().fails_with(2).says("is no directory").says("hint:");
}

#[test]
fn a_store_that_does_not_answer_is_told_while_it_is_waited_for() {
    let plain = Plain::open();
    // Nothing listens there once this is gone.
    let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr()).expect("a port").port();
    let address = format!("rest:http://joe:hunter2@127.0.0.1:{port}/shop");
    // Its log in a file, to be read while it waits.
    let (mut shell, log) = (Command::new("sh"), plain.work.join("log"));
    shell.args(["-c", "exec \"$0\" list 2>\"$LOG\"", env!("CARGO_BIN_EXE_bkp")]);
    let bkp = Bkp::by(shell).env("LOG", &log).env("RESTIC_REPOSITORY", address).env("RESTIC_PASSWORD", PASSWORD);
    let running = bkp.env("BKP_RESTIC_BIN", parts::restic("0.18")).env("BKP_DATABASES", "none").spawn();
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    until("a word of the store", || said().contains("does not answer"));
    running.kill(Signal::TERM);
    running.wait().fails_with(143);
    assert!(said().contains("connection refused"), "{}", said());
    assert!(!said().contains("hunter2") && !said().contains(PASSWORD), "{}", said());
}

#[test]
fn a_run_that_has_no_place_for_an_item_stores_nothing_at_all() {
    let app = App::open();
    for below in ["files", "pg-role"] {
        lay_repository(&app.repository().join(below));
    }
    app.bkp(["backup"]).run().fails_with(10).says("no restic repository for database shop").says("bkp init");
    app.bkp(["backup", "--dry-run"]).run().fails_with(10);
    assert_eq!(snapshot_ids(&app.repository().join("pg-role")), [""; 0]);
}

#[test]
fn a_damaged_repository_is_named_once_with_what_to_do() {
    let plain = Plain::open();
    plain.bkp(["backup"]).run().ok();
    std::fs::remove_dir_all(plain.repository().join("data")).expect("removed");
    let out = plain.bkp(["check"]).run().fails_with(5).says("hint: keep the repository as it is");
    let line = out.stderr.lines().find(|line| line.contains("is damaged")).expect("the damage");
    assert_eq!(line.matches(&plain.repository().display().to_string()).count(), 1, "{line}");
}

#[test]
fn the_last_line_of_a_backup_tells_how_much_of_what_was_saved() {
    let plain = Plain::open();
    plain.bkp(["backup"]).run().ok().says("saved 1 directory (16 B) as ").never_says("SQL").never_says("rows");
}

#[test]
fn a_repository_that_goes_away_while_restic_writes_holds_no_backup() {
    for (lost, word) in [("config", "there is no repository"), ("snapshots/*", "does not have it")] {
        let plain = Plain::open();
        let script = format!(
            "case \" $* \" in *' backup '*) $REAL \"$@\" || exit; rm $RESTIC_REPOSITORY/{lost}; exit 0;; esac\nexec $REAL \"$@\""
        );
        let out = plain.bkp(["backup"]).env("BKP_RESTIC_BIN", restic_that(&plain.work, &script)).run();
        out.fails_with(1).says("made no whole backup").says(word);
    }
}

#[test]
fn without_threads_or_descriptors_bkp_says_so_and_ends() {
    let nobody = ["setpriv", "--reuid=64321", "--regid=64321", "--clear-groups"];
    for (limit, word) in [
        ("--nproc=1", "fewer threads"),
        ("--nproc=2", "fewer threads"),
        ("--nproc=3", "fewer threads"),
        ("--nofile=6", "too few file descriptors"),
        ("--nofile=7", "too few file descriptors"),
    ] {
        let plain = Plain::open();
        let bkp = plain.bkp(["list"]).by_way_of(["prlimit", limit].into_iter().chain(nobody));
        bkp.run().fails_with(1).says(word).says("hint: raise the limit");
    }
}
