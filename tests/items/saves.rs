//! What a backup of files holds, what it cannot hold, and that it says so.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::process::Command;

use super::quick::{Mounted, Plain, restic_that, snapshot_ids};
use crate::support::parts;
use crate::support::run::run;

#[test]
fn what_cannot_be_saved_is_named_and_the_rest_is_saved_and_restorable() {
    let plain = Plain::open();
    let socket = UnixListener::bind(plain.files().join("data/app.sock")).expect("a socket");
    assert!(run(Command::new("mkfifo").arg(plain.files().join("data/fifo")), b"").success);
    let metrics = plain.work.join("bkp.prom");
    let backup = || plain.bkp(["backup"]).env("BKP_METRICS_FILE", &metrics);
    backup().run().fails_with(3).says("not saved: data/app.sock: a socket").never_says("fifo");
    let told = fs::read_to_string(&metrics).expect("metrics");
    assert!(told.contains("bkp_backup_unreadable_files{app=") && told.contains("bkp_item_size_bytes{app="), "{told}");
    assert!(!told.contains("bkp_last_success"), "it lacks a file: {told}");
    let listed = plain.listed();
    assert_eq!(listed[0]["sealed"], true, "{listed:?}");
    // Left out on purpose, it is no news.
    plain.bkp(["backup"]).env("BKP_FILES_EXCLUDE", "*.sock").run().ok();
    plain.bkp(["backup"]).env("BKP_FILES_EXCLUDE", "data/a*").run().ok();
    plain.bkp(["backup"]).env("BKP_FILES_INCLUDE", "config/").run().ok();
    plain.bkp(["backup"]).env("BKP_FILES_INCLUDE", "data/").run().fails_with(3);
    drop(socket);
    fs::remove_file(plain.files().join("data/app.sock")).expect("removed");
    let before = plain.tree();
    fs::remove_dir_all(plain.files().join("data")).expect("removed");
    let run = listed[0]["run"].as_str().expect("a run");
    plain.bkp(["restore", run]).run().ok();
    assert_eq!(plain.tree(), before, "the fifo too");
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_the_rest_is_restorable() {
    let plain = Plain::open();
    let closed = plain.work.file("files/data/closed.txt", "nobody's");
    // Root reads everything: a fault in the reading itself it cannot overcome.
    let user = Command::new("setpriv").args(["--reuid=65534", "--regid=65534", "--clear-groups", "true"]).status();
    assert!(user.expect("setpriv").success());
    let other = plain.work.file("files/data/locked/x.txt", "nobody's either");
    for (path, mode) in [(closed.as_path(), "000"), (other.parent().expect("a directory"), "000")] {
        assert!(run(Command::new("chmod").arg(mode).arg(path), b"").success);
    }
    assert!(run(Command::new("chown").args(["-R", "65534:65534"]).arg(plain.work.path()), b"").success);
    assert!(run(Command::new("chown").arg("0:0").arg(&closed).arg(other.parent().expect("a directory")), b"").success);
    let out = plain.bkp(["backup"]).user(65534).run().fails_with(3);
    out.clone().says("not saved: data/closed.txt").says("not saved: data/locked").says("permission denied");
    let listed = plain.listed();
    assert_eq!(listed[0]["sealed"], true, "{listed:?}");
    fs::remove_dir_all(plain.files().join("config")).expect("removed");
    plain.bkp(["restore", "--to", &plain.work.join("there").display().to_string()]).run().ok();
    assert_eq!(fs::read(plain.work.join("there/config/app.php")).expect("restored"), b"secret");
    assert!(!plain.work.join("there/data/closed.txt").exists());
}

#[test]
fn nothing_is_saved_of_an_empty_or_missing_directory() {
    let plain = Plain::open();
    let empty = plain.work.dir("empty");
    fs::create_dir(empty.join("lost+found")).expect("mkdir");
    plain.bkp(["backup"]).env("BKP_FILES", &empty).run().fails_with(1).says("is empty").says("mounted");
    let both = format!("{},{}", plain.files().display(), empty.display());
    plain.bkp(["backup"]).env("BKP_FILES", both).run().fails_with(1).says("is empty");
    plain.bkp(["backup"]).env("BKP_FILES", plain.work.join("nowhere")).run().fails_with(2).says("is not there");
    assert_eq!(snapshot_ids(&plain.repository()), [""; 0]);
}

#[test]
fn several_directories_with_what_is_wanted_of_them_come_back_each_to_its_place() {
    let plain = Plain::open();
    plain.work.file("more, of it/export/a.zip", "zip");
    plain.work.file("more/export/a.zip", "zip");
    plain.work.file("more/export/a.tmp", "tmp");
    plain.work.file("files/export/b.log", "log");
    plain.work.file("files/export/b.zip", "b");
    let both = format!("{},{}", plain.files().display(), plain.work.join("more").display());
    let bkp = |arguments: &[&str]| plain.bkp([]).args(arguments).env("BKP_FILES", &both);
    bkp(&["backup"]).env("BKP_FILES_INCLUDE", "export/").env("BKP_FILES_EXCLUDE", "*.tmp,export/*.log").run().ok();
    assert_eq!(snapshot_ids(&plain.repository()).len(), 2);
    assert_eq!(plain.listed()[0]["items"].as_array().expect("items").len(), 2);
    let there = plain.work.join("there");
    bkp(&["restore", "--to", &there.display().to_string()]).run().ok();
    let found = run(Command::new("find").args([".", "-type", "f", "-printf", "%f\n"]).current_dir(&there), b"");
    let mut found: Vec<&str> = std::str::from_utf8(&found.stdout).expect("names").lines().collect();
    found.sort_unstable();
    assert_eq!(found, ["a.zip", "b.zip"]);
    fs::write(plain.work.join("more/export/a.zip"), "spoilt").expect("write");
    bkp(&["restore"]).run().ok();
    assert_eq!(fs::read(plain.work.join("more/export/a.zip")).expect("a.zip"), b"zip");
    assert_eq!(fs::read(plain.files().join("export/b.zip")).expect("b.zip"), b"b");
}

#[test]
fn everything_that_a_file_is_survives() {
    let plain = Plain::open();
    let files = plain.files();
    let odd = OsStr::from_bytes(b"odd \xff\n\t'\"*[x]?\\ -name");
    fs::write(files.join(odd), "odd").expect("write");
    fs::write(files.join("-rf"), "dash").expect("write");
    fs::hard_link(files.join("config/app.php"), files.join("data/again.php")).expect("a hard link");
    let sparse = fs::File::create(files.join("data/sparse")).expect("a file");
    sparse.write_at(b"end", 64 << 20).expect("write");
    let script = "chmod 4711 config/app.php; chmod 1777 data; chown 1234:4321 .hidden; ln -s nowhere data/dangling
        mkfifo -m 640 data/fifo; mkdir -m 2750 data/empty; touch -h -d '2001-02-03 04:05:06.789 UTC' data/dangling
        touch -d '2001-02-03 04:05:06.789012345 UTC' data/a/photo.jpg data/empty data";
    let made = run(Command::new("sh").arg("-ec").arg(script).current_dir(&files), b"");
    assert!(made.success, "{}", made.stderr);
    let photo = files.join("data/a/photo.jpg");
    // An ACL is an attribute too: user 1234 may read.
    let entry =
        |tag: u16, rights: u16, id: u32| [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat();
    let all = [entry(1, 6, !0), entry(2, 4, 1234), entry(4, 4, !0), entry(16, 4, !0), entry(32, 0, !0)];
    let acl = [&2u32.to_le_bytes()[..], &all.concat()].concat();
    let attributes = [("user.note", &b"kept \xff"[..]), ("system.posix_acl_access", &acl)];
    for (name, value) in attributes {
        rustix::fs::setxattr(&photo, name, value, rustix::fs::XattrFlags::empty()).expect("an attribute");
    }
    let look = || {
        let listed = run(
            Command::new("sh")
                .arg("-c")
                .arg("find . -mindepth 1 -not -path './.bkp-*' -printf '%P|%y|%m|%U:%G|%l|%T@|%n|%s\\n' | sort; md5sum data/sparse")
                .current_dir(&files),
            b"",
        );
        listed.text()
    };
    let before = look();
    plain.bkp(["backup"]).run().ok();
    fs::remove_dir_all(files.join("data")).expect("removed");
    fs::write(files.join(odd), "spoilt").expect("write");
    plain.bkp(["restore"]).run().ok();
    assert_eq!(look(), before);
    for (name, value) in attributes {
        let mut buffer = vec![0; 256];
        let length = rustix::fs::getxattr(&photo, name, &mut buffer[..]).expect("an attribute");
        assert_eq!(&buffer[..length], value, "{name}");
    }
    let one = fs::metadata(files.join("config/app.php")).expect("there").ino();
    assert_eq!(fs::metadata(files.join("data/again.php")).expect("there").ino(), one, "one file with two names");
    assert!(fs::metadata(files.join("data/sparse")).expect("there").blocks() < 2048, "holes stay holes");
}

#[test]
fn a_wrong_password_is_told_apart_and_no_secret_is_said() {
    let plain = Plain::open();
    plain.work.file("wrong", "open sesame\n");
    for command in ["backup", "restore", "list", "forget", "check", "init"] {
        let out = plain.bkp([command]).env("RESTIC_PASSWORD_FILE", plain.work.join("wrong")).run();
        out.fails_with(12).never_says("sesame").never_says("battery");
    }
    plain.bkp(["backup"]).env("RESTIC_REPOSITORY", plain.work.join("typo")).run().fails_with(10).says("bkp init");
    assert!(!plain.work.join("typo").exists());
    let secret = "s3cr3t-in-the-address";
    let address = format!("rest:http://user:{secret}@127.0.0.1:9/repo");
    // restic tries a dead store for a quarter of an hour; a script says at once what it would say.
    let script = format!(
        "echo 'Fatal: unable to open config file: Head \"http://user:{secret}@127.0.0.1:9/repo/config\": connection refused' >&2; exit 1"
    );
    let restic = restic_that(&plain.work, &script);
    let out = plain.bkp(["backup"]).env("RESTIC_REPOSITORY", address).env("BKP_RESTIC_BIN", restic).run();
    out.fails_with(1).says("connection refused").never_says(secret);
    assert_eq!(snapshot_ids(&plain.repository()), [""; 0]);
}

#[test]
fn a_read_only_volume_is_saved_and_not_restored_into() {
    let plain = Plain::open();
    let before = plain.tree();
    let read_only = Mounted::read_only(&plain.files());
    plain.bkp(["backup"]).run().ok();
    plain.bkp(["restore"]).run().fails_with(1).says("read-only").says("nothing was begun");
    drop(read_only);
    assert_eq!(plain.tree(), before);
    plain.bkp(["restore"]).run().ok();
    // What the restore put aside cannot go from here, which is no reason to fail.
    let read_only = Mounted::read_only(&plain.files());
    plain.bkp(["backup"]).run().ok();
    drop(read_only);
}

#[test]
fn a_staged_tree_of_a_dead_restore_does_not_stop_backups_of_the_read_only_volume() {
    let plain = Plain::open();
    plain.bkp(["backup"]).run().ok();
    let restic =
        restic_that(&plain.work, "case \" $* \" in *' restore '*) kill -9 $PPID; exit 1;; esac\nexec $REAL \"$@\"");
    plain.bkp(["restore"]).env("BKP_RESTIC_BIN", restic).run().fails_with(137);
    let read_only = Mounted::read_only(&plain.files());
    plain.bkp(["backup"]).run().ok();
    drop(read_only);
    plain.bkp(["resume"]).run().ok();
    let left = fs::read_dir(plain.files()).expect("read").flatten();
    assert!(!left.into_iter().any(|entry| entry.file_name().as_bytes().starts_with(b".bkp-")));
}

#[test]
fn a_dry_run_and_a_restore_elsewhere_touch_nothing_else() {
    let plain = Plain::open();
    plain.bkp(["backup", "--dry-run"]).run().ok();
    assert_eq!(snapshot_ids(&plain.repository()), [""; 0]);
    plain.bkp(["backup"]).run().ok();
    fs::write(plain.files().join("config/app.php"), "changed").expect("write");
    let (before, there) = (plain.tree(), plain.work.join("there"));
    let to = there.display().to_string();
    plain.bkp(["restore", "--dry-run"]).run().ok();
    plain.bkp(["restore", "--to", &to, "--dry-run"]).run().ok();
    assert!(!there.exists());
    plain.bkp(["restore", "--to", &to]).run().ok();
    assert_eq!(fs::read(there.join("config/app.php")).expect("restored"), b"secret");
    plain.bkp(["restore", "--to", &to]).run().fails_with(1).says("empty");
    plain.bkp(["restore", "--to", &plain.files().display().to_string()]).run().fails_with(1);
    assert_eq!(plain.tree(), before);
    let own = fs::read_dir(plain.files()).expect("read").flatten();
    assert!(!own.into_iter().any(|entry| entry.file_name().as_bytes().starts_with(b".bkp-")));
}

#[test]
fn the_restic_of_older_systems_reads_what_bkp_saves() {
    let plain = Plain::open();
    plain.bkp(["backup"]).run().ok();
    let mut old = Command::new(parts::cache().join("restic/0.14/restic"));
    old.env_clear().env("RESTIC_PASSWORD", super::PASSWORD).args(["--no-cache", "-r"]).arg(plain.repository());
    let ran = run(old.args(["restore", "latest", "--target"]).arg(plain.work.join("old")), b"");
    assert!(ran.success, "{}", ran.stderr);
    assert_eq!(super::tree(&plain.work.join("old")), plain.tree());
}

#[test]
fn what_was_put_aside_outlives_a_backup_that_lacks_files() {
    let plain = Plain::open();
    plain.bkp(["backup"]).run().ok();
    plain.bkp(["restore"]).run().ok();
    let aside = || {
        let names = fs::read_dir(plain.files()).expect("listed").flatten().map(|entry| entry.file_name());
        names.filter(|name| name.to_string_lossy().starts_with(".bkp-")).count()
    };
    assert_eq!(aside(), 1);
    let _socket = std::os::unix::net::UnixListener::bind(plain.files().join("app.sock")).expect("a socket");
    plain.bkp(["backup"]).run().fails_with(3);
    assert_eq!(aside(), 1, "what could not be saved may be there alone");
    plain.bkp(["backup"]).env("BKP_FILES_EXCLUDE", "*.sock").run().ok();
    assert_eq!(aside(), 0);
}
