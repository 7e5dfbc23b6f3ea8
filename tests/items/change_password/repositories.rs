//! Until the secret is swapped, everything works with either password.

use std::fs;

use super::{NEW, Secrets};

#[test]
fn until_the_secret_is_swapped_every_command_works_with_the_old_one_in_it() {
    let secrets = Secrets::one();
    let said = secrets.bkp([]).called("change-password.bb").run().ok();
    said.says("restic-new-password under restic-password").says("all 1 repositories have the new password");
    secrets.assert_changed();
    secrets.bkp(["change-password"]).run().ok().says("have the new password already");
    secrets.assert_changed();

    secrets.bkp(["init"]).run().ok().says("is there");
    let backup = secrets.bkp(["backup"]).env("BKP_KEEP_LAST", "1").env("BKP_KEEP_MIN", "1");
    backup.run().ok().says("1 forgotten");
    assert_eq!(secrets.runs(), 1);
    fs::remove_file(secrets.work.join("files/a/b.txt")).expect("an accident");
    secrets.bkp(["restore"]).run().ok();
    assert_eq!(fs::read(secrets.work.join("files/a/b.txt")).expect("restored"), b"content");
    secrets.bkp(["check"]).run().ok();
    secrets.bkp(["forget"]).env("BKP_KEEP_LAST", "1").run().ok();

    let wrong = secrets.work.file("wrong", "wrong");
    secrets.bkp(["backup"]).env("RESTIC_NEW_PASSWORD_FILE", &wrong).run().fails_with(12);
    secrets.bkp(["backup"]).without("RESTIC_NEW_PASSWORD_FILE").run().fails_with(12);
    secrets.work.file("old", format!("{NEW}\n"));
    secrets.bkp(["list"]).env("RESTIC_NEW_PASSWORD_FILE", &wrong).run().ok().says("sealed");
}
