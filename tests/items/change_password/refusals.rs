//! What is told before anything is changed, and what is changed however the old password is given.

use std::fs;

use rustix::fs::{FlockOperation, flock};

use super::{NEW, OLD, OPERATOR, Secrets};
use crate::support::bkp::{Bkp, Output};

fn silent(out: Output) -> Output {
    [OLD, NEW, OPERATOR].into_iter().fold(out, Output::never_says)
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
fn the_old_password_may_come_from_a_variable_or_a_command_and_no_server_is_needed() {
    let secrets = Secrets::one();
    let bkp = || secrets.bkp(["change-password"]).without("RESTIC_PASSWORD_FILE");
    silent(bkp().env("RESTIC_PASSWORD", OLD).run().ok().says("set RESTIC_PASSWORD to"));
    secrets.assert_changed();

    let third = secrets.work.file("third", "a third one");
    let command = format!("cat '{}'", secrets.work.join("new").display());
    let out = bkp().env("RESTIC_PASSWORD_COMMAND", command).env("RESTIC_NEW_PASSWORD_FILE", third);
    // Nobody listens on that port.
    let out = out.env("POSTGRES_HOST", "127.0.0.1:1").env("POSTGRES_USER", "u").env("POSTGRES_DB", "shop");
    silent(out.run().ok().says("without the lock on the database server").never_says("a third one"));
    assert!(secrets.opens("", "a third one") && !secrets.opens("", NEW));
}
