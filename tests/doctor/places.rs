//! restic repositories, directories, and room.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::Told;
use crate::items::App;
use crate::items::quick::{Mounted, Plain};
use crate::support::parts;
use crate::support::wait::until;

#[test]
fn a_password_that_opens_nothing_and_a_repository_that_is_not_there_are_faults() {
    let app = App::quick();
    app.work.file("password", "another one\n");
    let told = Told::by(app.bkp([]), 2).has("fault", "restic", &["password", "RESTIC_PASSWORD_FILE"]);
    told.all_ok_in(&["server", "files"]).output.never_says("another one");
    let told = Told::by(app.bkp([]).env("RESTIC_REPOSITORY", app.work.join("nowhere")), 2);
    told.has("fault", "restic", &["there is no restic repository", "bkp init"]).all_ok_in(&["server", "files"]);
    assert!(!app.work.join("nowhere").exists());
    Told::by(app.bkp([]).env("BKP_RESTIC_BIN", "/nonexistent/restic"), 2).has(
        "fault",
        "restic",
        &["/nonexistent/restic"],
    );
}

#[test]
fn a_lock_is_told_with_who_holds_it_and_whether_that_one_is_dead() {
    let plain = Plain::open();
    let mut restic = Command::new(parts::restic("0.18"));
    restic
        .env_clear()
        .env("RESTIC_REPOSITORY", plain.repository())
        .env("RESTIC_PASSWORD_FILE", plain.work.join("password"));
    restic.args(["--no-cache", "backup", "--stdin"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut holder = restic.spawn().expect("restic");
    let locks = || fs::read_dir(plain.repository().join("locks")).expect("locks").count();
    until("a lock", || locks() > 0);
    let process = format!("process {}", holder.id());
    Told::by(plain.bkp([]), 0).has("warning", "restic", &["locked by", &process, "BKP_LOCK_WAIT"]);
    holder.kill().expect("killed");
    holder.wait().expect("gone");
    Told::by(plain.bkp([]), 0).has("warning", "restic", &["dead has left a lock", &process, "unlock"]);
    assert_eq!(locks(), 1, "changes nothing");
}

#[test]
fn a_repository_that_cannot_be_written_is_a_fault() {
    let plain = Plain::open();
    let _read_only = Mounted::read_only(&plain.repository());
    Told::by(plain.bkp([]), 2).has("ok", "restic", &["the password opens it"]).has(
        "fault",
        "restic",
        &["cannot write to", "Read-only", "readOnly: false"],
    );
}

#[test]
fn a_directory_that_is_missing_empty_or_not_readable_is_a_fault() {
    let plain = Plain::open();
    let away = plain.work.join("away");
    fs::rename(plain.files(), &away).expect("moved");
    Told::by(plain.bkp([]), 2).has("fault", "files", &["is not there", "is the volume mounted"]).all_ok_in(&["restic"]);
    fs::create_dir(plain.files()).expect("mkdir");
    let told = Told::by(plain.bkp([]), 2);
    told.has("fault", "files", &["is empty", "BKP_FILES_ALLOW_EMPTY=1"]).all_ok_in(&["restic"]);
    fs::remove_dir(plain.files()).expect("removed");
    fs::rename(&away, plain.files()).expect("moved");

    let secret = plain.files().join("config/app.php");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("chmod");
    let as_nobody = || plain.bkp([]).user(65532);
    let told = Told::by(as_nobody(), 2);
    let told = told.has("fault", "files", &["user 65532 cannot read", "config/app.php", "runAsUser"]);
    told.has("warning", "files", &["may not write to", "run the restore as root"]);
}

#[test]
fn a_volume_that_saves_but_cannot_be_restored_into_is_told() {
    let plain = Plain::open();
    let _read_only = Mounted::read_only(&plain.files());
    Told::by(plain.bkp([]), 0).has("ok", "files", &["can be read"]).has("warning", "files", &["read-only", "--to"]);
}

#[test]
fn a_volume_without_room_for_a_restore_is_told() {
    let plain = Plain::open();
    let small = plain.work.join("small");
    let _mounted = Mounted::tmpfs(&small, "size=8m");
    fs::write(small.join("large"), vec![1; 6 << 20]).expect("written");
    let told = Told::by(plain.bkp([]).env("BKP_FILES", &small), 0);
    told.has("warning", "room", &["a restore of", "needs about 6.2 MB", "--to"]);
    fs::write(small.join("larger"), vec![1; (1 << 20) + (1 << 19)]).expect("written");
    Told::by(plain.bkp([]).env("BKP_FILES", &small), 2).has("fault", "room", &["a restore of", "enlarge the volume"]);
}
