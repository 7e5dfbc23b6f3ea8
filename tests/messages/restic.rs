//! Directories, and the repositories that restic keeps them in.

use std::fs;
use std::process::{Command, Stdio};

use super::Messages;
use crate::items::quick::{Mounted, Plain, lay_repository, restic_that};
use crate::support::parts;
use crate::support::wait::until;

#[test]
fn repositories_and_directories() {
    let plain = Plain::open();
    let (work, files) = (plain.work.path().display(), plain.files());
    let mut messages = Messages::of("restic").hide(work, "<work>").hide(parts::cache().display(), "<parts>");
    let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("a host name");
    messages = messages.hide(format!(" on {},", host.trim()), " on <host>,");
    let nowhere = plain.work.join("nowhere");
    messages.case("no_repository", plain.bkp(["backup"]).env("RESTIC_REPOSITORY", nowhere));
    let wrong = plain.work.file("wrong", "canary\n");
    messages.case("a_wrong_password", plain.bkp(["backup"]).env("RESTIC_PASSWORD_FILE", &wrong));
    messages.case("a_list_with_a_wrong_password", plain.bkp(["list"]).env("RESTIC_PASSWORD_FILE", &wrong));
    messages.case("no_restic", plain.bkp(["backup"]).env("BKP_RESTIC_BIN", "/nonexistent/restic"));
    messages.case("another_program_than_restic", plain.bkp(["backup"]).env("BKP_RESTIC_BIN", "/bin/echo"));
    messages.case("nothing_saved_yet", plain.bkp(["restore"]));
    plain.bkp(["backup"]).run().ok();
    plain.bkp(["backup"]).run().ok();
    messages.case("when_is_no_backup", plain.bkp(["restore", "lastest"]));
    messages.case("no_such_run", plain.bkp(["restore", "0123abcd"]));
    messages.case("no_such_path", plain.bkp(["restore", "--path", "config/ap.php"]));
    messages.case("no_such_host", plain.bkp(["restore", "--host", "web-9"]));
    messages.case("a_directory_that_is_not_new", plain.bkp(["restore", "--to"]).args([&files]));

    let away = plain.work.join("away");
    fs::rename(&files, &away).expect("moved");
    messages.case("a_directory_that_is_not_there", plain.bkp(["backup"]));
    messages.case("a_restore_into_what_is_not_there", plain.bkp(["restore"]));
    fs::create_dir(&files).expect("mkdir");
    messages.case("an_empty_directory", plain.bkp(["backup"]));
    fs::remove_dir(&files).expect("removed");
    fs::rename(&away, &files).expect("moved");
    {
        let _read_only = Mounted::read_only(&files);
        messages.case("a_volume_that_is_read_only", plain.bkp(["restore"]));
    }
    {
        let _read_only = Mounted::read_only(&plain.repository());
        // A backup waits for as long as restic tries: a store may come back.
        messages.result("a_repository_that_is_read_only", plain.bkp(["doctor"]));
    }
    let small = plain.work.join("small");
    {
        let _mounted = Mounted::tmpfs(&small, "size=256k");
        lay_repository(&small);
        plain.work.file("files/large", random(1 << 20));
        messages.case("a_repository_on_a_full_disk", plain.bkp(["backup"]).env("RESTIC_REPOSITORY", &small));
    }
    fs::remove_file(files.join("large")).expect("removed");

    let mut holder = Command::new(parts::restic("0.18"));
    holder.env_clear().env("RESTIC_REPOSITORY", plain.repository());
    holder.env("RESTIC_PASSWORD_FILE", plain.work.join("password")).args(["--no-cache", "backup", "--stdin"]);
    holder.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut holder = holder.spawn().expect("restic");
    until("a lock", || fs::read_dir(plain.repository().join("locks")).is_ok_and(|locks| locks.count() > 0));
    messages
        .case("somebody_else_holds_the_lock", plain.bkp(["forget"]).env("BKP_KEEP_LAST", "1").env("BKP_KEEP_MIN", "1"));
    holder.kill().expect("killed");
    holder.wait().expect("gone");

    let script = "case \" $* \" in *\" backup \"*) echo 'Fatal: unable to save snapshot: connection reset' >&2; exit 1;; esac; exec $REAL \"$@\"";
    let dies = restic_that(&plain.work, script);
    messages.case("a_restic_that_fails", plain.bkp(["backup"]).env("BKP_RESTIC_BIN", dies));
    fs::remove_dir_all(plain.repository().join("data")).expect("removed");
    let _ = fs::remove_dir_all(plain.work.join("cache"));
    messages.case("a_damaged_repository_is_checked", plain.bkp(["check"]));
    messages.case("a_damaged_repository_is_restored", plain.bkp(["restore"]));
    messages.all_as_agreed();
}

/// Bytes that nothing compresses.
fn random(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}
