//! What is told before anything is changed, and what is changed however the old password is given.

use std::fs;

use rustix::fs::{FlockOperation, flock};

use super::{NEW, OLD, Secrets};
use crate::support::bkp::{Bkp, Output};

fn silent(out: Output) -> Output {
    [OLD, NEW].into_iter().fold(out, Output::never_says)
}

#[test]
fn wrong_passwords_and_files_are_told_and_nothing_is_changed() {
    let secrets = Secrets::one();
    let before = secrets.state();
    let refused = |bkp: Bkp, code, words: &str| silent(bkp.run().fails_with(code).says(words).says("hint"));
    let change = || secrets.bkp(["change-password"]);
    let file = |name: &str, content: &str| secrets.work.file(name, content);

    refused(change().without("RESTIC_NEW_PASSWORD_FILE"), 2, "no new password is set");
    refused(change().env("RESTIC_NEW_PASSWORD_FILE", secrets.work.join("none")), 2, "cannot read");
    refused(change().env("RESTIC_NEW_PASSWORD_FILE", file("white", " \n\t\n")), 2, "is empty");
    refused(change().env("RESTIC_NEW_PASSWORD_FILE", file("lines", "two\nlines\n")), 2, "more than one line");
    refused(change().env("RESTIC_NEW_PASSWORD_FILE", file("same", &format!("\t{OLD}  \r\n"))), 2, "have already");
    refused(change().env("RESTIC_PASSWORD_FILE", file("wrong", "wrong")), 12, "does not open");
    refused(change().env("RESTIC_REPOSITORY", secrets.work.join("nowhere")), 10, "no restic repository");
    let bucket = Bkp::bare().env("BKP_BUCKET", "file:///nowhere").env("BKP_APP", "shop").env("POSTGRES_HOST", "h");
    refused(bucket.args(["change-password"]), 2, "no restic repository is set");

    let held = fs::File::open(secrets.work.join("files")).expect("the directory");
    flock(&held, FlockOperation::LockExclusive).expect("locked");
    refused(change(), 11, "is locked by");
    drop(held);

    assert_eq!(secrets.state(), before);
    assert!(secrets.opens("", OLD) && !secrets.opens("", NEW));
}

#[test]
fn the_old_password_may_be_in_a_variable_and_have_two_keys() {
    let secrets = Secrets::one();
    // As a call leaves them that was killed while restic went on by itself; and a key that is none of bkp's business.
    for (name, password) in [("same", OLD), ("operator", "the operator's own")] {
        let file = secrets.work.file(name, password);
        let add = ["key", "add", "--new-password-file", file.to_str().expect("UTF-8")];
        assert!(secrets.restic("", OLD, add).success);
    }
    let bkp = secrets.bkp(["change-password"]).without("RESTIC_PASSWORD_FILE").env("RESTIC_PASSWORD", OLD);
    silent(bkp.run().ok().says("set RESTIC_PASSWORD to"));
    assert_eq!(secrets.stored("keys").len(), 2);
    assert!(secrets.opens("", NEW) && secrets.opens("", "the operator's own") && !secrets.opens("", OLD));
}

#[test]
fn the_old_password_may_come_from_a_command_and_no_server_is_needed() {
    let secrets = Secrets::one();
    let command = format!("cat '{}'", secrets.work.join("old").display());
    let bkp = secrets.bkp(["change-password"]).without("RESTIC_PASSWORD_FILE").env("RESTIC_PASSWORD_COMMAND", command);
    // Nobody listens on that port.
    let bkp = bkp.env("POSTGRES_HOST", "127.0.0.1:1").env("POSTGRES_USER", "u").env("POSTGRES_DB", "shop");
    silent(bkp.run().ok().says("without the lock on the database server").says("let RESTIC_PASSWORD_COMMAND print"));
    secrets.assert_changed();
}
